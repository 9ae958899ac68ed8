/*
 * The printf family without floating point and wide characters, in place of the
 * C library's where it is linked statically: 9 KiB less. Only the program has
 * it; the tests are built with the C library's own and compare the two.
 *
 * Known are flags 0 and -, width and precision (also as *), the sizes hh h l ll z
 * j t, and the conversions d i u o x X c s p %. Anything else comes out as '?'.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#ifdef FORMAT_TEST
#define snprintf format_snprintf
#define vsnprintf format_vsnprintf
#define sprintf format_sprintf
int format_snprintf(char *, size_t, const char *, ...);
int format_vsnprintf(char *, size_t, const char *, va_list);
int format_sprintf(char *, const char *, ...);
#endif

struct out {
	char *p;
	size_t size, len;	/* len counts what does not fit, too */
};

struct spec {
	int width, precision;	/* precision -1: none given */
	int zero, left, size;	/* size: as `size_of` says */
};

static void
put(struct out *o, char c)
{
	if (o->len + 1 < o->size)
		o->p[o->len] = c;
	o->len++;
}

static void
pad(struct out *o, char c, int n)
{
	while (n-- > 0)
		put(o, c);
}

/* n bytes, padded to the field's width with blanks. */
static void
put_field(struct out *o, const struct spec *f, const char *s, int n)
{
	int i;

	if (!f->left)
		pad(o, ' ', f->width - n);
	for (i = 0; i < n; i++)
		put(o, s[i]);
	if (f->left)
		pad(o, ' ', f->width - n);
}

/* Digits of v with at least the precision, the sign and zero padding. */
static void
put_number(struct out *o, const struct spec *f, uintmax_t v, unsigned base,
    const char *digits, int negative)
{
	char text[3 * sizeof v + 70];
	char *end = text + sizeof text, *p = end;
	int least = f->precision;

	if (least < 0) {
		least = f->zero && !f->left ? f->width - negative : 1;
		if (least > 64)
			least = 64;
	}
	for (; v != 0 || (end - p < least && p > text + 1); v /= base)
		*--p = digits[v % base];
	if (negative)
		*--p = '-';
	put_field(o, f, p, (int)(end - p));
}

static void
put_string(struct out *o, const struct spec *f, const char *s)
{
	size_t n = 0, most = f->precision < 0 ? SIZE_MAX : (size_t)f->precision;

	if (s == NULL)
		s = "(null)";
	while (n < most && s[n])
		n++;
	put_field(o, f, s, (int)n);
}

/* 0: int, 1: long, 2: long long and intmax_t; size_t and ptrdiff_t are long. */
static const char *
size_of(const char *p, int *size)
{
	*size = 0;
	for (;; p++) {
		if (*p == 'l')
			++*size;
		else if (*p == 'j')
			*size = 2;
		else if (*p == 'z' || *p == 't')
			*size = 1;
		else if (*p != 'h')
			return p;
	}
}

/* A run of digits, or * for an argument. */
static const char *
take_number(const char *p, int star, int *out)
{
	if (*p == '*') {
		*out = star;
		return p + 1;
	}
	for (*out = 0; *p >= '0' && *p <= '9'; p++)
		*out = *out * 10 + (*p - '0');
	return p;
}

int
vsnprintf(char *to, size_t size, const char *p, va_list ap)
{
	static const char lower[] = "0123456789abcdef";
	static const char upper[] = "0123456789ABCDEF";
	struct out o = { to, size, 0 };
	struct spec f;
	uintmax_t v;
	intmax_t d;
	char c;

	for (; *p; p++) {
		if (*p != '%') {
			put(&o, *p);
			continue;
		}
		f = (struct spec){ .precision = -1 };
		for (p++; *p == '0' || *p == '-'; p++)
			*(*p == '0' ? &f.zero : &f.left) = 1;
		p = take_number(p, *p == '*' ? va_arg(ap, int) : 0, &f.width);
		if (*p == '.') {
			p++;
			p = take_number(p, *p == '*' ? va_arg(ap, int) : 0,
			    &f.precision);
		}
		p = size_of(p, &f.size);
		switch (*p) {
		case 'd':
		case 'i':
			d = f.size == 0 ? va_arg(ap, int) : f.size == 1 ?
			    va_arg(ap, long) : va_arg(ap, long long);
			put_number(&o, &f, d < 0 ? 0 - (uintmax_t)d :
			    (uintmax_t)d, 10, lower, d < 0);
			break;
		case 'u':
		case 'x':
		case 'X':
		case 'o':
			v = f.size == 0 ? va_arg(ap, unsigned) : f.size == 1 ?
			    va_arg(ap, unsigned long) :
			    va_arg(ap, unsigned long long);
			put_number(&o, &f, v, *p == 'u' ? 10 : *p == 'o' ? 8 : 16,
			    *p == 'X' ? upper : lower, 0);
			break;
		case 'p':
			put_number(&o, &f, (uintptr_t)va_arg(ap, void *), 16,
			    lower, 0);
			break;
		case 'c':
			c = (char)va_arg(ap, int);
			put_field(&o, &f, &c, 1);
			break;
		case 's':
			put_string(&o, &f, va_arg(ap, const char *));
			break;
		case '\0':
			p--;
			break;
		default:
			put(&o, *p == '%' ? '%' : '?');
		}
	}
	if (size > 0)
		to[o.len < size ? o.len : size - 1] = '\0';
	return (int)o.len;
}

int
snprintf(char *to, size_t size, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(to, size, fmt, ap);
	va_end(ap);
	return n;
}

int
sprintf(char *to, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(to, (size_t)INT32_MAX, fmt, ap);
	va_end(ap);
	return n;
}
