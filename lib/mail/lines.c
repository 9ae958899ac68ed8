#include "lib/mail/lines.h"

#include <stdint.h>
#include <string.h>

/* A UTF-8 sequence is at most this long; folding does not cut one in two. */
enum { UTF8_MAX = 4, FOLD_NEAR = LINE_MAX_BYTES - UTF8_MAX + 1 };

#define EACH_BYTE(v) (UINT64_C(0x0101010101010101) * (v))

/*
 * Length of the run at p that holds no byte below 0x0E: no NUL, LF or CR (nor a
 * few others, which the caller then takes singly). Eight bytes at a time.
 */
static size_t
plain_run(const unsigned char *p, size_t n, bool *has_8bit)
{
	uint64_t x, high = 0;
	size_t i = 0;

	for (; i + 8 <= n; i += 8) {
		memcpy(&x, p + i, 8);
		if ((x - EACH_BYTE(0x0E)) & ~x & EACH_BYTE(0x80))
			break;
		high |= x;
	}
	for (; i < n && p[i] >= 0x0E; i++)
		high |= p[i];
	if (high & EACH_BYTE(0x80))
		*has_8bit = true;
	return i;
}

static int
put(struct lines *l, const void *data, size_t n)
{
	l->column += n;
	if (l->column > LINE_MAX_BYTES)
		l->has_long = true;
	return l->sink(l->ctx, data, n);
}

static size_t
utf8_length(unsigned char lead)
{
	if (lead < 0xC0)
		return 1;
	return lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
}

/* How many of n bytes still fit on this line; 0: break it here. */
static size_t
room(const struct lines *l, const unsigned char *p, size_t n)
{
	if (l->column < FOLD_NEAR)
		return n < FOLD_NEAR - l->column ? n : FOLD_NEAR - l->column;
	return l->column + utf8_length(*p) > LINE_MAX_BYTES ||
	    l->column >= LINE_MAX_BYTES ? 0 : 1;
}

/* Hand on text without line ends. */
static int
put_text(struct lines *l, const unsigned char *p, size_t n)
{
	size_t k;

	if (l->column == 0 && n > 0 && *p == '.')
		l->has_dot_line = true;
	while (n > 0) {
		k = n;
		if (l->fold) {
			k = room(l, p, n);
			if (k == 0) {
				l->column = 0;
				if (l->sink(l->ctx, "\r\n", 2) < 0 ||
				    put(l, " ", 1) < 0)
					return -1;
				continue;
			}
		} else if (l->by_line && l->column < LINE_MAX_BYTES &&
		    k > LINE_MAX_BYTES - l->column)
			k = LINE_MAX_BYTES - l->column;
		if (put(l, p, k) < 0)
			return -1;
		p += k;
		n -= k;
	}
	return 0;
}

static int
put_end(struct lines *l)
{
	l->column = 0;
	return l->sink(l->ctx, "\r\n", 2);
}

/* A lone dot turned out to be data. */
static int
release_dot(struct lines *l)
{
	static const unsigned char dot[] = ".";

	if (l->held) {
		l->held = false;
		if (put_text(l, dot, 1) < 0 || put_end(l) < 0)
			return -1;
	}
	if (l->lone) {
		l->lone = false;
		return put_text(l, dot, 1);
	}
	return 0;
}

static int
line_end(struct lines *l)
{
	if (l->lone) {
		if (l->dot == DOT_ENDS) {
			l->ended = true;
			return 0;
		}
		/* An earlier dot line is not the last one: it was data. */
		l->lone = false;
		if (release_dot(l) < 0)
			return -1;
		l->held = true;
		return 0;
	}
	if (release_dot(l) < 0)
		return -1;
	return put_end(l);
}

/* Text at p, at the start of a line or inside it. */
static int
text(struct lines *l, const unsigned char *p, size_t n)
{
	if (l->dot != DOT_IS_DATA) {
		if (l->column == 0 && !l->lone && *p == '.') {
			if (l->held && release_dot(l) < 0)
				return -1;
			l->lone = true;
			p++;
			n--;
		}
		if (n > 0 && (l->lone || l->held) && release_dot(l) < 0)
			return -1;
	}
	return put_text(l, p, n);
}

/* One byte below 0x0E. */
static int
control(struct lines *l, unsigned char c)
{
	static const unsigned char space[] = " ";
	bool after_cr = l->after_cr;

	l->after_cr = c == '\r';
	if (c == '\n' && after_cr)
		return 0;		/* the CR was the line end already */
	if (c == '\n' || c == '\r')
		return line_end(l);
	if (c == '\0') {
		l->has_nul = true;
		return text(l, space, 1);
	}
	return text(l, &c, 1);
}

int
lines_feed(struct lines *l, const void *data, size_t n)
{
	const unsigned char *p = data;
	size_t run;
	int rc;

	while (n > 0 && !l->ended) {
		run = plain_run(p, n, &l->has_8bit);
		if (run > 0) {
			l->after_cr = false;
			rc = text(l, p, run);
		} else {
			run = 1;
			rc = control(l, *p);
		}
		if (rc < 0)
			return -1;
		p += run;
		n -= run;
	}
	return 0;
}

int
lines_finish(struct lines *l)
{
	if (l->ended)
		return 0;
	if (l->lone) {
		/* "." without its line end is a last line as well. */
		l->lone = false;
		return release_dot(l);
	}
	if (l->held)
		return 0;
	return l->column > 0 ? put_end(l) : 0;
}
