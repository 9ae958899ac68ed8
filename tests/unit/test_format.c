/* Our printf family against the C library's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#pragma GCC diagnostic ignored "-Wformat"
#pragma GCC diagnostic ignored "-Wformat-truncation"

static char theirs[300];
static int their_length;

/* Filled before our names take the place of the library's. */
static int
their_vsnprintf(size_t size, const char *fmt, ...)
{
	va_list ap;

	memset(theirs, 'x', sizeof theirs);
	va_start(ap, fmt);
	their_length = vsnprintf(theirs, size, fmt, ap);
	va_end(ap);
	return their_length;
}

#define FORMAT_TEST
#include "lib/small/format.c"

#define SAME_IN(size, ...) do { \
	char ours[300]; \
	memset(ours, 'x', sizeof ours); \
	their_vsnprintf(size, __VA_ARGS__); \
	assert_int_equal(format_snprintf(ours, size, __VA_ARGS__), \
	    their_length); \
	assert_memory_equal(ours, theirs, sizeof ours); \
} while (0)
#define SAME(...) SAME_IN(300, __VA_ARGS__)

static void
numbers(void **state)
{
	static const int values[] = { 0, 1, -1, 9, 10, -10, 12345, INT_MAX,
		INT_MIN };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof values / sizeof values[0]; i++) {
		SAME("%d|%i|%u|%x|%X|%o", values[i], values[i], values[i],
		    values[i], values[i], values[i]);
		SAME("%5d|%-5d|%05d|%-05d", values[i], values[i], values[i],
		    values[i]);
		SAME("%.0d|%.1d|%.4d|%8.4d|%-8.4d", values[i], values[i],
		    values[i], values[i], values[i]);
		SAME("%*d|%.*d", 7, values[i], 3, values[i]);
		SAME("%ld|%lld|%lu|%zu|%jd|%lx", (long)values[i],
		    (long long)values[i], (unsigned long)values[i],
		    (size_t)values[i], (intmax_t)values[i], (long)values[i]);
	}
	SAME("%lld %lld %llu", LLONG_MAX, LLONG_MIN, ULLONG_MAX);
	SAME("%02d:%02d %04d %2d %06ld %03o %02X", 3, 59, 26, 7, 42L, 8, 10);
}

static void
strings(void **state)
{
	(void)state;
	SAME("");
	SAME("plain %% text");
	SAME("%s|%10s|%-10s|%.2s|%10.2s|%-10.2s|", "word", "word", "word",
	    "word", "word", "word");
	SAME("%.*s|%.0s|%s", 3, "abcdef", "x", "");
	SAME("%c%c|%3c|%-3c|", 'a', 'b', 'c', 'd');
	/* A precision bounds what is read: no NUL is needed. */
	SAME("%.3s", (const char[]){ 'a', 'b', 'c' });
}

static void
what_does_not_fit(void **state)
{
	size_t size;

	(void)state;
	for (size = 0; size < 20; size++) {
		SAME_IN(size, "%s %d", "hello", 12345);
		SAME_IN(size, "%20d", 7);
	}
}

static void
the_unknown_is_visible(void **state)
{
	char out[40];

	(void)state;
	assert_int_equal(format_snprintf(out, sizeof out, "a%qb"), 3);
	assert_string_equal(out, "a?b");
	assert_int_equal(format_snprintf(out, sizeof out, "a%"), 1);
	assert_string_equal(out, "a");
	assert_int_equal(format_sprintf(out, "u%04x", 0x1f), 5);
	assert_string_equal(out, "u001f");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers),
		cmocka_unit_test(strings),
		cmocka_unit_test(what_does_not_fit),
		cmocka_unit_test(the_unknown_is_visible)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
