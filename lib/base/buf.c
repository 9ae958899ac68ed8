#include "lib/base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUF_FIRST = 64 };

/* Room for n more bytes and a NUL; false when there is no memory for them. */
static bool
grow(struct buf *b, size_t n)
{
	size_t cap = b->cap ? b->cap : BUF_FIRST;
	char *p;

	if (b->failed)
		return false;
	if (n < b->cap - b->len)
		return true;
	while (cap - b->len <= n) {
		if (cap > SIZE_MAX / 4) {
			b->failed = true;
			return false;
		}
		cap *= 2;
	}
	p = realloc(b->p, cap);
	if (p == NULL) {
		b->failed = true;
		return false;
	}
	b->p = p;
	b->p[b->len] = '\0';
	b->cap = cap;
	return true;
}

void
buf_reserve(struct buf *b, size_t n)
{
	grow(b, n);
}

void
buf_add(struct buf *b, const void *data, size_t n)
{
	if (!grow(b, n))
		return;
	if (n > 0)
		memcpy(b->p + b->len, data, n);
	b->len += n;
	b->p[b->len] = '\0';
}

void
buf_adds(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void
buf_addc(struct buf *b, char c)
{
	buf_add(b, &c, 1);
}

void
buf_addf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0) {
		b->failed = true;
		return;
	}
	if (!grow(b, (size_t)n))
		return;
	va_start(ap, fmt);
	vsnprintf(b->p + b->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)n;
}

const char *
buf_str(const struct buf *b)
{
	return b->p ? b->p : "";
}

void
buf_reset(struct buf *b)
{
	b->len = 0;
	b->failed = false;
	if (b->p)
		b->p[0] = '\0';
}

void
buf_free(struct buf *b)
{
	free(b->p);
	*b = (struct buf){ 0 };
}

void
buf_wipe(struct buf *b)
{
	if (b->p)
		mem_wipe(b->p, b->cap);
	buf_free(b);
}

void
mem_wipe(void *p, size_t n)
{
	/* The compiler cannot know what is called, so it cannot leave it out. */
	static void *(*const volatile set)(void *, int, size_t) = memset;

	set(p, 0, n);
}

void
str_wipe_free(char *s)
{
	if (s)
		mem_wipe(s, strlen(s));
	free(s);
}

char *
mem_dup(const void *p, size_t n)
{
	char *copy = malloc(n + 1);

	if (copy) {
		if (n > 0)
			memcpy(copy, p, n);
		copy[n] = '\0';
	}
	return copy;
}

int
number_parse(const char *s, uint64_t min, uint64_t max, uint64_t *out)
{
	uint64_t v = 0;
	unsigned digit;

	if (*s == '\0')
		return -1;
	for (; *s; s++) {
		if (*s < '0' || *s > '9')
			return -1;
		digit = (unsigned)(*s - '0');
		if (v > (UINT64_MAX - digit) / 10)
			return -1;
		v = v * 10 + digit;
	}
	if (v < min || v > max)
		return -1;
	*out = v;
	return 0;
}

void
text_clean(char *s)
{
	unsigned char before = 0, c;

	for (; *s; s++, before = c) {
		c = (unsigned char)*s;
		if (c < 0x20 || c == 0x7F)
			*s = '?';
		else if (c >= 0x80 && c < 0xA0 && (before < 0x80 ||
		    before == 0xC2)) {
			/* C1, as a byte or in UTF-8: terminals obey them. */
			if (before == 0xC2)
				s[-1] = '?';
			*s = '?';
		}
	}
}

static unsigned char
lower(unsigned char c)
{
	return c >= 'A' && c <= 'Z' ? (unsigned char)(c + 32) : c;
}

bool
mem_is_ascii(const char *p, size_t n)
{
	for (; n > 0; n--)
		if (*p++ & 0x80)
			return false;
	return true;
}

void
str_lower(char *s)
{
	for (; *s; s++)
		*s = (char)lower((unsigned char)*s);
}

bool
mem_iequal(const void *a, const void *b, size_t n)
{
	const unsigned char *x = a, *y = b;

	for (; n > 0; n--)
		if (lower(*x++) != lower(*y++))
			return false;
	return true;
}

bool
str_iequal(const char *a, const char *b)
{
	size_t n = strlen(a);

	return n == strlen(b) && mem_iequal(a, b, n);
}

bool
str_istarts(const char *s, const char *prefix)
{
	size_t n = strlen(prefix);

	return strlen(s) >= n && mem_iequal(s, prefix, n);
}
