#include "lib/mail/lines.h"

#include <stdint.h>
#include <string.h>

#define EACH_BYTE(v) (UINT64_C(0x0101010101010101) * (v))

/*
 * Copy the run at p that holds no byte below 0x0E: no NUL, LF or CR (nor a few
 * others, which the caller then takes singly). Eight bytes at a time: every byte
 * of every message comes through here. Returns its length.
 */
static size_t
copy_run(unsigned char *to, const unsigned char *p, size_t n, bool *has_8bit)
{
	uint64_t x, high = 0;
	size_t i = 0;

	for (; i + 8 <= n; i += 8) {
		memcpy(&x, p + i, 8);
		if ((x - EACH_BYTE(0x0E)) & ~x & EACH_BYTE(0x80))
			break;
		high |= x;
		memcpy(to + i, &x, 8);
	}
	for (; i < n && p[i] >= 0x0E; i++) {
		high |= p[i];
		to[i] = p[i];
	}
	if (high & EACH_BYTE(0x80))
		*has_8bit = true;
	return i;
}

static int
flush(struct lines *l)
{
	size_t n = l->out_len;

	l->out_len = 0;
	return n > 0 ? l->sink(l->ctx, l->out, n) : 0;
}

/* Hand on n <= LINES_BUFFER bytes. */
static int
give(struct lines *l, const void *data, size_t n)
{
	if (l->by_line)
		return l->sink(l->ctx, data, n);
	if (n > LINES_BUFFER - l->out_len && flush(l) < 0)
		return -1;
	memcpy(l->out + l->out_len, data, n);
	l->out_len += n;
	return 0;
}

static int
put(struct lines *l, const void *data, size_t n)
{
	l->column += n;
	if (l->column > LINE_MAX_BYTES)
		l->has_long = true;
	return give(l, data, n);
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
		if (l->by_line && l->column < LINE_MAX_BYTES &&
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
	return give(l, "\r\n", 2);
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

/*
 * The way of nearly all bytes: text that needs no second look goes straight to
 * the buffer. Returns how much was taken; 0: the slow way must be taken.
 */
static size_t
take_run(struct lines *l, const unsigned char *p, size_t n)
{
	size_t run;

	if (l->by_line || l->lone || l->held || (l->column == 0 && *p == '.'))
		return 0;
	if (n > LINES_BUFFER - l->out_len)
		n = LINES_BUFFER - l->out_len;
	run = copy_run(l->out + l->out_len, p, n, &l->has_8bit);
	l->out_len += run;
	l->column += run;
	if (l->column > LINE_MAX_BYTES)
		l->has_long = true;
	return run;
}

/* Text the slow way, at most `piece` bytes. */
static int
take_text(struct lines *l, const unsigned char *p, size_t n, size_t *taken)
{
	unsigned char piece[LINE_MAX_BYTES];

	*taken = copy_run(piece, p, n < sizeof piece ? n : sizeof piece,
	    &l->has_8bit);
	return *taken > 0 ? text(l, piece, *taken) : 0;
}

int
lines_feed(struct lines *l, const void *data, size_t n)
{
	const unsigned char *p = data;
	size_t run;

	while (n > 0 && !l->ended) {
		run = take_run(l, p, n);
		if (run == 0 && take_text(l, p, n, &run) < 0)
			return -1;
		if (run > 0)
			l->after_cr = false;
		p += run;
		n -= run;
		if (n > 0 && *p < 0x0E && !l->ended) {
			if (control(l, *p) < 0)
				return -1;
			p++;
			n--;
		}
	}
	return 0;
}

static int
end_text(struct lines *l)
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

int
lines_finish(struct lines *l)
{
	return end_text(l) < 0 ? -1 : flush(l);
}
