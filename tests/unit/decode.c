#include "decode.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The text up to the CRLF at or behind p; *p is moved behind it. */
static size_t
line(const char **p, const char *end, const char **start)
{
	const char *lf = memchr(*p, '\n', (size_t)(end - *p));

	*start = *p;
	assert_non_null(lf);
	assert_true(lf > *p && lf[-1] == '\r');
	*p = lf + 1;
	return (size_t)(lf - *start) - 1;
}

static int
hex(char c)
{
	const char *all = "0123456789ABCDEF", *at = strchr(all, c);

	assert_true(c != '\0' && at != NULL);
	return (int)(at - all);
}

void
decode_qp(const char *text, size_t n, struct buf *out)
{
	const char *p = text, *end = text + n, *s;
	size_t len, i;
	int high;

	while (p < end) {
		len = line(&p, end, &s);
		assert_in_range(len, 0, 76);
		assert_false(len > 0 && (s[len - 1] == ' ' ||
		    s[len - 1] == '\t'));
		assert_false(len > 0 && *s == '.');
		assert_false(len > 4 && memcmp(s, "From ", 5) == 0);
		for (i = 0; i < len; i++) {
			assert_true(s[i] == '\t' || (s[i] >= ' ' &&
			    s[i] <= '~'));
			if (s[i] == '=' && i + 1 == len)
				break;
			if (s[i] == '=') {
				assert_true(i + 2 < len);
				high = hex(s[i + 1]);
				buf_addc(out, (char)(high * 16 +
				    hex(s[i + 2])));
				i += 2;
			} else
				buf_addc(out, s[i]);
		}
		if (i == len)
			buf_adds(out, "\r\n");
	}
}

static int
base64_digit(char c)
{
	const char *all = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	    "0123456789+/", *at = strchr(all, c);

	assert_true(c != '\0' && at != NULL);
	return (int)(at - all);
}

/* Groups of four; padding only at the very end. */
static void
base64(const char *s, size_t n, struct buf *out)
{
	size_t i, pad, k;
	unsigned v;

	assert_int_equal(n % 4, 0);
	for (i = 0; i < n; i += 4) {
		pad = s[i + 3] != '=' ? 0 : s[i + 2] != '=' ? 1 : 2;
		assert_true(pad == 0 || i + 4 == n);
		for (v = 0, k = 0; k < 4; k++)
			v = v << 6 | (k < 4 - pad ?
			    (unsigned)base64_digit(s[i + k]) : 0);
		for (k = 0; k < 3 - pad; k++)
			buf_addc(out, (char)(v >> (16 - 8 * k)));
	}
}

void
decode_base64(const char *text, size_t n, struct buf *out)
{
	const char *p = text, *end = text + n, *s;
	struct buf all = { 0 };
	size_t len;

	while (p < end) {
		len = line(&p, end, &s);
		assert_in_range(len, 0, 76);
		buf_add(&all, s, len);
	}
	base64(buf_str(&all), all.len, out);
	buf_free(&all);
}

static void
q_word(const char *s, const char *end, struct buf *out)
{
	int high;

	for (; s < end; s++) {
		if (*s == '=') {
			assert_true(end - s > 2);
			high = hex(s[1]);
			buf_addc(out, (char)(high * 16 + hex(s[2])));
			s += 2;
		} else
			buf_addc(out, *s == '_' ? ' ' : *s);
	}
}

/* Whole characters: a lead byte and what it announces. */
static void
check_whole(const char *s, size_t n)
{
	size_t i, more = 0;
	unsigned char c;

	for (i = 0; i < n; i++) {
		c = (unsigned char)s[i];
		assert_int_equal((c & 0xC0) == 0x80, more > 0);
		if (more > 0)
			more--;
		else
			more = c < 0xC0 ? 0 : c < 0xE0 ? 1 : c < 0xF0 ? 2 : 3;
	}
	assert_int_equal(more, 0);
}

/* The encoded word at s, if there is one; returns what is behind it. */
static const char *
word(const char *s, const char *end, struct buf *out)
{
	const char *text, *stop;
	bool utf8 = end - s > 8 && memcmp(s, "=?utf-8?", 8) == 0;
	size_t before = out->len;

	if (!utf8 && (end - s < 15 || memcmp(s, "=?unknown-8bit?", 15) != 0))
		return NULL;
	text = strchr(s + 2, '?') + 3;
	stop = strstr(text, "?=");
	assert_non_null(stop);
	assert_in_range(stop + 2 - s, 1, 75);
	assert_null(memchr(s, ' ', (size_t)(stop - s)));
	if (text[-2] == 'B')
		base64(text, (size_t)(stop - text), out);
	else {
		assert_true(text[-2] == 'Q');
		q_word(text, stop, out);
	}
	if (utf8)
		check_whole(out->p + before, out->len - before);
	return stop + 2;
}

void
decode_words(const char *value, size_t n, struct buf *out)
{
	struct buf flat = { 0 };
	const char *p, *end, *next, *blank;
	size_t i;

	for (i = 0; i < n; i++)
		if (value[i] != '\r' && value[i] != '\n')
			buf_addc(&flat, value[i]);
	end = buf_str(&flat) + flat.len;
	for (p = buf_str(&flat); p < end; ) {
		next = word(p, end, out);
		if (next == NULL) {
			buf_addc(out, *p++);
			continue;
		}
		/* Blanks between two encoded words do not count. */
		for (blank = next; *blank == ' ' || *blank == '\t'; )
			blank++;
		p = strncmp(blank, "=?utf-8?", 8) == 0 ||
		    strncmp(blank, "=?unknown-8bit?", 15) == 0 ? blank : next;
	}
	buf_free(&flat);
}

size_t
longest_line(const char *text, size_t n)
{
	const char *p = text, *end = text + n, *s;
	size_t most = 0, len;

	while (p < end) {
		len = line(&p, end, &s);
		most = len > most ? len : most;
	}
	return most;
}
