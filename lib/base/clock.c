#include "lib/base/clock.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/zone.h"

#ifndef BUILD_TIME
#define BUILD_TIME 0
#endif

static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
	"Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
static const char days[7][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri",
	"Sat" };

int64_t
clock_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int
clock_sleep(int64_t ms)
{
	struct timespec t = { .tv_sec = (time_t)(ms / 1000),
		.tv_nsec = (long)(ms % 1000) * 1000000 };

	return nanosleep(&t, NULL);
}

time_t
clock_wall(void)
{
	time_t now = time(NULL);

	return now < (time_t)BUILD_TIME ? (time_t)BUILD_TIME : now;
}

void
clock_rfc5322(char out[CLOCK_RFC5322_SIZE], time_t t)
{
	struct tm local;
	int64_t offset = zone_offset(t);
	char sign = '+';

	clock_civil(t + offset, &local);
	offset /= 60;
	if (offset < 0) {
		sign = '-';
		offset = -offset;
	}
	snprintf(out, CLOCK_RFC5322_SIZE,
	    "%s, %d %s %04d %02d:%02d:%02d %c%02d%02d", days[local.tm_wday],
	    local.tm_mday, months[local.tm_mon], local.tm_year + 1900,
	    local.tm_hour, local.tm_min, local.tm_sec, sign,
	    (int)(offset / 60 % 100), (int)(offset % 60));
}

/* Six numbers from year to second. (strftime would cost 4 KiB of locale.) */
static void
print_time(char *out, size_t size, const char *fmt, const struct tm *tm)
{
	snprintf(out, size, fmt, tm->tm_year + 1900, tm->tm_mon + 1, tm->tm_mday,
	    tm->tm_hour, tm->tm_min, tm->tm_sec);
}

void
clock_amz(char out[CLOCK_AMZ_SIZE], time_t t)
{
	struct tm tm;

	clock_civil(t, &tm);
	print_time(out, CLOCK_AMZ_SIZE, "%04d%02d%02dT%02d%02d%02dZ", &tm);
}

void
clock_text(char out[CLOCK_TEXT_SIZE], time_t t)
{
	struct tm tm;

	clock_civil(t, &tm);
	print_time(out, CLOCK_TEXT_SIZE, "%04d-%02d-%02d %02d:%02d:%02d UTC",
	    &tm);
}

void
clock_log(char out[CLOCK_TEXT_SIZE], time_t t)
{
	struct tm tm;

	clock_civil(t, &tm);
	print_time(out, CLOCK_TEXT_SIZE, "%04d-%02d-%02dT%02d:%02d:%02dZ",
	    &tm);
}

void
clock_syslog(char out[CLOCK_TEXT_SIZE], time_t t)
{
	struct tm tm;

	clock_civil(t + zone_offset(t), &tm);
	snprintf(out, CLOCK_TEXT_SIZE, "%s %2d %02d:%02d:%02d",
	    months[tm.tm_mon], tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

int64_t
clock_from_civil(int y, int mo, int d, int h, int mi, int s)
{
	static const int before[12] = { 0, 31, 59, 90, 120, 151, 181, 212, 243,
		273, 304, 334 };
	int64_t n;
	int leaps;

	if (y < 1 || y > 9999 || mo < 1 || mo > 12 || d < 1 || d > 31 ||
	    h < 0 || h > 23 || mi < 0 || mi > 59 || s < 0 || s > 60)
		return -1;
	/* Leap days before this date: those of the years gone by, and ours. */
	leaps = (y - 1) / 4 - (y - 1) / 100 + (y - 1) / 400;
	if (mo > 2 && (y % 4 == 0 && (y % 100 != 0 || y % 400 == 0)))
		leaps++;
	n = (int64_t)(y - 1) * 365 + leaps + before[mo - 1] + d - 1;
	n -= 719162;	/* days from 0001-01-01 to 1970-01-01 */
	return ((n * 24 + h) * 60 + mi) * 60 + s;
}

void
clock_civil(int64_t t, struct tm *out)
{
	int64_t day, era, year;
	int in_era, month;

	day = t / 86400 - (t % 86400 < 0);
	t -= day * 86400;
	*out = (struct tm){ .tm_hour = (int)(t / 3600),
		.tm_min = (int)(t / 60 % 60), .tm_sec = (int)(t % 60),
		.tm_wday = (int)((day % 7 + 11) % 7) };
	/* Eras of 400 years, and years that begin in March, from 0000-03-01. */
	day += 719468;
	era = day / 146097 - (day % 146097 < 0);
	in_era = (int)(day - era * 146097);
	year = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
	in_era -= (int)(year * 365 + year / 4 - year / 100);
	month = (5 * in_era + 2) / 153;
	out->tm_mday = in_era - (153 * month + 2) / 5 + 1;
	out->tm_mon = (month + 2) % 12;
	out->tm_year = (int)(year + era * 400 + (month >= 10) - 1900);
}

/* The number that n digits make, or -1. */
static int
digits(const char *s, int n)
{
	int v = 0;

	for (; n > 0; n--, s++) {
		if (*s < '0' || *s > '9')
			return -1;
		v = v * 10 + (*s - '0');
	}
	return v;
}

/* Is s, which is as long, what shape has it where that is no '_'? */
static bool
has_shape(const char *s, const char *shape)
{
	for (; *shape != '\0'; s++, shape++)
		if (*shape != '_' && *s != *shape)
			return false;
	return true;
}

int
clock_parse_http(const char *s, time_t *out)
{
	static const char shape[] = "___, __ ___ ____ __:__:__ GMT";
	int mo;
	int64_t t;

	if (strlen(s) != sizeof shape - 1 || !has_shape(s, shape))
		return -1;
	for (mo = 0; mo < 12; mo++)
		if (memcmp(months[mo], s + 8, 3) == 0)
			break;
	t = clock_from_civil(digits(s + 12, 4), mo + 1, digits(s + 5, 2),
	    digits(s + 17, 2), digits(s + 20, 2), digits(s + 23, 2));
	if (t < 0)
		return -1;
	*out = (time_t)t;
	return 0;
}

int
clock_parse_iso(const char *s, time_t *out)
{
	int64_t t;
	int h = 0, m = 0;

	if (strlen(s) < 20 || !has_shape(s, "____-__-__T__:__:__"))
		return -1;
	t = clock_from_civil(digits(s, 4), digits(s + 5, 2), digits(s + 8, 2),
	    digits(s + 11, 2), digits(s + 14, 2), digits(s + 17, 2));
	s += 19;
	if (*s == '.')
		s += 1 + strspn(s + 1, "0123456789");
	if (strcmp(s, "Z") != 0) {
		if ((*s != '+' && *s != '-') || strlen(s) != 6 || s[3] != ':')
			return -1;
		h = digits(s + 1, 2);
		m = digits(s + 4, 2);
	}
	if (t < 0 || h < 0 || m < 0)
		return -1;
	m += h * 60;
	*out = (time_t)(t - (*s == '-' ? -m : m) * 60);
	return 0;
}
