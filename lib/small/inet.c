/*
 * inet_pton in place of the C library's, which is twice as large. IPv4 as four
 * decimal numbers, IPv6 as in RFC 4291 section 2.2, nothing else.
 */
#include <arpa/inet.h>
#include <stdbool.h>
#include <string.h>

#ifdef INET_TEST
#define inet_pton small_inet_pton
int small_inet_pton(int, const char *, void *);
#endif

#if defined(INET_TEST) || !defined(__GLIBC__)

/* The value of the digits at *s, of which there are 1 to most; or -1. */
static int
number(const char **s, int base, int most)
{
	const char *const digits = "0123456789abcdef0123456789ABCDEF";
	const char *d;
	int v = 0, n = 0;

	while (**s && (d = strchr(digits, **s)) != NULL &&
	    (d - digits) % 16 < base) {
		if (++n > most)
			return -1;
		v = v * base + (int)((d - digits) % 16);
		++*s;
	}
	return n > 0 ? v : -1;
}

static bool
parse_v4(const char *s, unsigned char *a)
{
	bool zero;
	int i, v;

	for (i = 0; i < 4; i++) {
		if (i > 0 && *s++ != '.')
			return false;
		zero = *s == '0';
		v = number(&s, 10, zero ? 1 : 3);
		if (v < 0 || v > 255)
			return false;
		a[i] = (unsigned char)v;
	}
	return *s == '\0';
}

static bool
parse_v6(const char *s, unsigned char *a)
{
	int n = 0, gap = -1, v;		/* n and gap: bytes in front of them */
	const char *group;

	if (*s == ':' && *++s != ':')
		return false;
	while (*s) {
		if (*s == ':' && gap < 0) {
			gap = n;
			s++;
			continue;
		}
		group = s;
		v = number(&s, 16, 4);
		if (*s == '.' && n <= 12 && parse_v4(group, a + n)) {
			n += 4;
			break;
		}
		if (v < 0 || n > 14 || (*s == ':' && *++s == '\0') ||
		    (*s && s[-1] != ':'))
			return false;
		a[n++] = (unsigned char)(v >> 8);
		a[n++] = (unsigned char)v;
	}
	if (gap < 0)
		return n == 16;
	if (n == 16)
		return false;
	memmove(a + 16 - (n - gap), a + gap, (size_t)(n - gap));
	memset(a + gap, 0, (size_t)(16 - n));
	return true;
}

int
inet_pton(int family, const char *restrict s, void *restrict out)
{
	unsigned char a[16];
	bool v4 = family == AF_INET;

	if (!(v4 ? parse_v4 : parse_v6)(s, a))
		return 0;
	memcpy(out, a, v4 ? 4 : 16);
	return 1;
}

#endif
