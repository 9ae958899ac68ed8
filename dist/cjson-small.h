/*
 * Included before cJSON.c: builds cJSON without the two functions of the C library that would be its
 * largest parts: sscanf, which only checks numbers that it prints (we print
 * none), and strtod, for which a plain decimal reader is enough here: AWS sends
 * counts and quotas.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * cJSON hands in the address of an unsigned char *: stored as a char *, it would
 * be lost to the optimiser's type-based aliasing once this is inlined.
 */
static void
set_end(char **end, const char *s)
{
	memcpy(end, &s, sizeof s);
}

static double
decimal(const char *s, char **end)
{
	double v = 0, unit = 1;
	int sign = 1, exponent = 0, power_sign = 1, seen = 0;
	const char *start = s, *digits;

	if (*s == '-' || *s == '+')
		sign = *s++ == '-' ? -1 : 1;
	for (; *s >= '0' && *s <= '9'; s++, seen = 1)
		v = v * 10 + (*s - '0');
	if (*s == '.')
		for (s++; *s >= '0' && *s <= '9'; s++, seen = 1)
			v += (*s - '0') * (unit /= 10);
	set_end(end, seen ? s : start);
	if (seen && (*s == 'e' || *s == 'E')) {
		s++;
		if (*s == '-' || *s == '+')
			power_sign = *s++ == '-' ? -1 : 1;
		for (digits = s; *s >= '0' && *s <= '9'; s++)
			if (exponent < 1000)
				exponent = exponent * 10 + (*s - '0');
		if (s > digits)
			set_end(end, s);
		for (; exponent > 0; exponent--)
			v = power_sign > 0 ? v * 10 : v / 10;
	}
	return sign * v;
}

#define strtod decimal
#define sscanf(text, format, value) 0
