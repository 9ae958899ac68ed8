#include "lib/base/zone.h"

#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/clock.h"

enum { DAY = 86400, HOURS_MAX = 167, FILE_MAX = 1 << 20 };

/* --- rules ------------------------------------------------------------- */

/* When in the year the clocks are changed. */
struct change {
	char kind;		/* M: month, week, day; J: no leap day; 0 */
	int month, week, day;
	int64_t at;		/* seconds after the day's midnight */
};

/* A number up to `most` at *s; -1: there is none. */
static int
take_number(const char **s, int most)
{
	int v = 0;
	const char *start = *s;

	for (; **s >= '0' && **s <= '9' && v <= most; ++*s)
		v = v * 10 + (**s - '0');
	return *s > start && v <= most ? v : -1;
}

static bool
take(const char **s, char c)
{
	if (**s != c)
		return false;
	++*s;
	return true;
}

/* "CET" or "<+03>". */
static bool
take_name(const char **s)
{
	const char *start = *s;

	if (take(s, '<')) {
		*s += strcspn(*s, ">");
		return take(s, '>');
	}
	while ((**s | 0x20) >= 'a' && (**s | 0x20) <= 'z')
		++*s;
	return *s - start >= 3;
}

/* [+-]h[h][:mm[:ss]] */
static bool
take_time(const char **s, int64_t *out)
{
	int64_t unit = 3600;
	int v, sign = 1;

	if (take(s, '-'))
		sign = -1;
	else
		take(s, '+');
	v = take_number(s, HOURS_MAX);
	*out = v * unit;
	while (v >= 0 && unit > 1 && take(s, ':')) {
		unit /= 60;
		v = take_number(s, 59);
		*out += v * unit;
	}
	*out *= sign;
	return v >= 0;
}

/* ",M3.5.0/2", ",J60" or ",59/1" */
static bool
take_change(const char **s, struct change *c)
{
	*c = (struct change){ .at = 2 * 3600 };
	if (!take(s, ','))
		return false;
	if (take(s, 'M')) {
		c->kind = 'M';
		c->month = take_number(s, 12);
		c->week = take(s, '.') ? take_number(s, 5) : -1;
		c->day = take(s, '.') ? take_number(s, 6) : -1;
		if (c->month < 1 || c->week < 1)
			return false;
	} else {
		c->kind = take(s, 'J') ? 'J' : 0;
		c->day = take_number(s, 365);
		if (c->kind == 'J' && c->day < 1)
			return false;
	}
	return c->day >= 0 && (!take(s, '/') || take_time(s, &c->at));
}

static int64_t
month_begin(int year, int month)
{
	return month > 12 ? clock_from_civil(year + 1, 1, 1, 0, 0, 0) :
	    clock_from_civil(year, month, 1, 0, 0, 0);
}

/* The moment of that change, as if the clock showed UTC. */
static int64_t
change_time(const struct change *c, int year)
{
	int64_t t = month_begin(year, c->kind == 'M' ? c->month : 1), end;
	bool leap = month_begin(year, 3) - month_begin(year, 2) > 28 * DAY;

	if (c->kind == 'M') {
		/* 1970-01-01 was a Thursday. */
		end = month_begin(year, c->month + 1);
		t += (c->day - (t / DAY + 4) % 7 + 14) % 7 * DAY;
		t += (c->week - 1) * 7 * DAY;
		if (t >= end)
			t -= 7 * DAY;
	} else if (c->kind == 'J')
		t += (c->day - 1 + (leap && c->day >= 60)) * DAY;
	else
		t += c->day * DAY;
	return t + c->at;
}

int
zone_rule_offset(const char *s, int64_t t, int64_t *out)
{
	struct change begin, end;
	int64_t standard, summer, from, to;
	struct tm tm;
	bool now;

	if (!take_name(&s) || !take_time(&s, &standard))
		return -1;
	if (*s == '\0') {
		*out = -standard;
		return 0;
	}
	if (!take_name(&s))
		return -1;
	summer = standard - 3600;
	if (*s != '\0' && *s != ',' && !take_time(&s, &summer))
		return -1;
	/* Without dates: those of the United States, as everybody has it. */
	if (*s == '\0')
		s = ",M3.2.0,M11.1.0";
	if (!take_change(&s, &begin) || !take_change(&s, &end) || *s != '\0')
		return -1;
	clock_civil(t - standard, &tm);
	from = change_time(&begin, tm.tm_year + 1900) + standard;
	to = change_time(&end, tm.tm_year + 1900) + summer;
	/* In the south the year begins and ends with summer. */
	now = from < to ? t >= from && t < to : t >= from || t < to;
	*out = now ? -summer : -standard;
	return 0;
}

/* --- files ------------------------------------------------------------- */

enum { HEADER = 44, RULE_MAX = 128 };

/* A signed big-endian number of n bytes. */
static int64_t
number(const unsigned char *p, unsigned n)
{
	uint64_t v = p[0] & 0x80 ? UINT64_MAX : 0;

	while (n-- > 0)
		v = v << 8 | *p++;
	return (int64_t)v;
}

/* A TZif header's counts, each below a million so that sums stay small. */
struct block {
	int64_t utc_flags, wall_flags, leaps, times, types, chars;
};

static bool
read_header(const unsigned char *p, size_t size, struct block *b)
{
	int64_t *n[] = { &b->utc_flags, &b->wall_flags, &b->leaps, &b->times,
		&b->types, &b->chars };
	size_t i;

	if (size < HEADER || memcmp(p, "TZif", 4) != 0)
		return false;
	for (i = 0; i < 6; i++) {
		*n[i] = number(p + 20 + 4 * i, 4);
		if (*n[i] < 0 || *n[i] > FILE_MAX)
			return false;
	}
	return true;
}

/* The bytes behind the header; `width` of a time. */
static size_t
block_size(const struct block *b, unsigned width)
{
	return (size_t)(b->times * (width + 1) + b->types * 6 + b->chars +
	    b->leaps * (width + 4) + b->wall_flags + b->utc_flags);
}

/* The type that holds at t: that of the last change before, or the first. */
static int64_t
find_offset(const unsigned char *p, const struct block *b, unsigned width,
    int64_t t)
{
	const unsigned char *type = p + b->times * width;
	int64_t i = b->times, which = 0;

	while (i > 0 && number(p + (i - 1) * width, width) > t)
		i--;
	if (i > 0)
		which = type[i - 1];
	return which < b->types ? number(type + b->times + 6 * which, 4) : 0;
}

/* The rule behind the last block, for the time after its last change. */
static int
footer_offset(const unsigned char *p, size_t size, int64_t t, int64_t *out)
{
	char rule[RULE_MAX];
	const unsigned char *end;

	if (size < 2 || p[0] != '\n')
		return -1;
	end = memchr(p + 1, '\n', size - 1);
	if (end == NULL || (size_t)(end - p) >= sizeof rule)
		return -1;
	memcpy(rule, p + 1, (size_t)(end - p - 1));
	rule[end - p - 1] = '\0';
	return zone_rule_offset(rule, t, out);
}

int
zone_file_offset(const unsigned char *p, size_t size, int64_t t, int64_t *out)
{
	const unsigned char *end = p + size;
	struct block b;
	unsigned width = 4;
	size_t n;

	if (!read_header(p, size, &b))
		return -1;
	/* From version 2 on the same follows with times of 64 bits. */
	if (p[4] >= '2') {
		n = HEADER + block_size(&b, width);
		if (n > size || !read_header(p + n, size - n, &b))
			return -1;
		p += n;
		width = 8;
	}
	p += HEADER;
	n = block_size(&b, width);
	if (n > (size_t)(end - p) || b.types == 0)
		return -1;
	if (width == 8 && (b.times == 0 ||
	    t >= number(p + (b.times - 1) * width, width)) &&
	    footer_offset(p + n, (size_t)(end - p) - n, t, out) == 0)
		return 0;
	*out = find_offset(p, &b, width, t);
	return 0;
}

/* --- which one --------------------------------------------------------- */

static int
offset_by_file(const char *path, int64_t t, int64_t *out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), rc = -1;
	struct stat st;
	void *p;

	if (fd < 0)
		return -1;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    st.st_size > 0 && st.st_size <= FILE_MAX) {
		p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
		if (p != MAP_FAILED) {
			rc = zone_file_offset(p, (size_t)st.st_size, t, out);
			munmap(p, (size_t)st.st_size);
		}
	}
	close(fd);
	return rc;
}

/* The zone that TZ names, unless it tries to leave the places for that. */
static void
offset_by_name(const char *name, int64_t t, int64_t *out)
{
	static const char places[][22] = { "/usr/share/zoneinfo/",
		"/share/zoneinfo/", "/etc/zoneinfo/" };
	char path[sizeof places[0] + NAME_MAX];
	size_t i;

	if (strchr(name, '.') != NULL || strlen(name) > NAME_MAX)
		return;
	for (i = 0; i < sizeof places / sizeof places[0]; i++) {
		snprintf(path, sizeof path, "%s%s", places[i], name);
		if (offset_by_file(path, t, out) == 0)
			return;
	}
}

int64_t
zone_offset(int64_t t)
{
	static const char usual[] = "/etc/localtime";
	const char *tz = getenv("TZ");
	int64_t offset = 0;

	if (tz == NULL)
		tz = usual;
	if (*tz == ':')
		tz++;
	if (*tz == '/') {
		if (strcmp(tz, usual) == 0 || !getauxval(AT_SECURE))
			offset_by_file(tz, t, &offset);
	} else if (zone_rule_offset(tz, t, &offset) < 0)
		offset_by_name(tz, t, &offset);
	return offset;
}
