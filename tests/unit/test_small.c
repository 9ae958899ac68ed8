/* Our strings, addresses and qsort against the C library's. */
#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char *
their_strstr(const char *s, const char *needle)
{
	return strstr(s, needle);
}

static size_t
their_strspn(const char *s, const char *set)
{
	return strspn(s, set);
}

static size_t
their_strcspn(const char *s, const char *set)
{
	return strcspn(s, set);
}

static char *
their_strchr(const char *s, int c)
{
	return strchr(s, c);
}

static int
their_strncmp(const char *a, const char *b, size_t n)
{
	return strncmp(a, b, n);
}

static int
their_inet_pton(int family, const char *s, void *out)
{
	return inet_pton(family, s, out);
}

static void
their_qsort(void *v, size_t n, size_t size,
    int (*compare)(const void *, const void *))
{
	qsort(v, n, size, compare);
}

#define TEXT_TEST
#define SORT_TEST
#define INET_TEST
#define ERRORS_TEST
#include "lib/small/text.c"
#include "lib/small/sort.c"
#undef strchr
#define strchr their_strchr
#include "lib/small/errors.c"
#include "lib/small/inet.c"

static int
sign(int n)
{
	return (n > 0) - (n < 0);
}

static void
compares(const char *a, const char *b)
{
	size_t n;

	for (n = 0; n < 6; n++)
		assert_int_equal(sign(text_strncmp(a, b, n)),
		    sign(their_strncmp(a, b, n)));
}

static void
finds_text(void **state)
{
	static const char *const texts[] = { "", "a", "aa", "aab", "aaab",
		"abab", "ababc", "abcabcabd", "\n\n", "x\n\ny", "\xff\xfe" };
	size_t n = sizeof texts / sizeof texts[0], i, k;

	(void)state;
	for (i = 0; i < n; i++)
		for (k = 0; k < n; k++) {
			assert_ptr_equal(text_strstr(texts[i], texts[k]),
			    their_strstr(texts[i], texts[k]));
			assert_ptr_equal(text_strchr(texts[i], *texts[k]),
			    their_strchr(texts[i], *texts[k]));
			compares(texts[i], texts[k]);
		}
	assert_ptr_equal(text_strchr(texts[10], '\xfe'), texts[10] + 1);
}

static void
spans_and_copies(void **state)
{
	static const char *const texts[] = { "", "a", "ba", "abc", "xabcx",
		" \t x", "\xff\x80", "\x80z", "aaaaaaaaab" };
	size_t n = sizeof texts / sizeof texts[0], i, k;
	char out[16];

	(void)state;
	for (i = 0; i < n; i++) {
		for (k = 0; k < n; k++) {
			assert_int_equal(text_strspn(texts[i], texts[k]),
			    their_strspn(texts[i], texts[k]));
			assert_int_equal(text_strcspn(texts[i], texts[k]),
			    their_strcspn(texts[i], texts[k]));
		}
		assert_ptr_equal(text_strcpy(out, texts[i]), out);
		assert_string_equal(out, texts[i]);
	}
	memset(out, 'x', sizeof out);
	assert_ptr_equal(text_strncpy(out, "abc", 6), out);
	assert_memory_equal(out, "abc\0\0\0x", 7);
	text_strncpy(out, "ABCDEF", 4);
	assert_memory_equal(out, "ABCD\0\0x", 7);
	text_strncpy(out, "", 0);
	assert_memory_equal(out, "ABCD", 4);
}

static void
same_address(int family, const char *s)
{
	unsigned char ours[16], theirs[16];
	int rc;

	memset(ours, 'x', 16);
	memset(theirs, 'x', 16);
	rc = their_inet_pton(family, s, theirs);
	if (small_inet_pton(family, s, ours) != rc)
		fail_msg("%s: %d", s, rc);
	if (rc == 1)
		assert_memory_equal(ours, theirs, 16);
}

/* Addresses bent in one place, and any row of their parts. */
static void
reads_addresses(void **state)
{
	static const char *const texts[] = { "192.0.2.1", "0.0.0.0",
		"255.255.255.255", "256.1.1.1", "01.2.3.4", "1.2.3", "1.2.3.4.5",
		"1.2.3.4 ", "", "::", "::1", "1::", "2001:db8::1",
		"1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8",
		"1:2:3::5:6:7:8", "::ffff:1.2.3.4", "1:2:3:4:5:6:1.2.3.4",
		"fE80::aBcD", "12345::", "::12345", ":1::", "1:", "g::",
		"1:2:3:4:5:6:7:8:9", "::1.2.3.4.5", "1:2:3:4:5:6:7:1.2.3.4" };
	static const char *const parts[] = { ":", ":", "::", ".", "1.2.3.4",
		"1", "23", "0", "00", "abcd", "12345" };
	size_t n = sizeof texts / sizeof texts[0], i, k;
	unsigned r = 1, round;
	char text[64];

	(void)state;
	for (i = 0; i < n; i++)
		for (k = 0; k <= strlen(texts[i]); k++)
			for (r = 0; r < 4; r++) {
				strcpy(text, texts[i]);
				if (r > 0)
					text[k] = ":.0"[r - 1];
				text[strlen(texts[i])] = '\0';
				same_address(AF_INET, text);
				same_address(AF_INET6, text);
			}
	for (round = 0; round < 300000; round++) {
		text[0] = '\0';
		for (i = 0; i < 1 + round % 17 && strlen(text) < 50; i++) {
			r = r * 1664525 + 1013904223;
			strcat(text, parts[(r >> 16) % (sizeof parts /
			    sizeof parts[0])]);
		}
		same_address(AF_INET, text);
		same_address(AF_INET6, text);
	}
}

static void
names_errors(void **state)
{
	(void)state;
	assert_string_equal(errors_strerror(EPERM), "Operation not permitted");
	assert_string_equal(errors_strerror(ECONNREFUSED),
	    "Connection refused");
	assert_string_equal(errors_strerror(ECANCELED), "Operation canceled");
	assert_string_equal(errors_strerror(0), "Unknown error");
	assert_string_equal(errors_strerror(9999), "Unknown error");
}

struct item {
	unsigned key;
	char rest[7];
};

static int
compare_items(const void *a, const void *b)
{
	unsigned x = ((const struct item *)a)->key;
	unsigned y = ((const struct item *)b)->key;

	return (x > y) - (x < y);
}

static void
sorts(void **state)
{
	struct item ours[300], theirs[300];
	unsigned n, i, round, r = 1, range;

	(void)state;
	for (round = 0; round < 900; round++) {
		n = round % 300;
		range = round < 300 ? 5 : UINT_MAX;
		for (i = 0; i < n; i++) {
			r = r * 1664525 + 1013904223;
			ours[i].key = round < 600 ? (r >> 8) % range :
			    round % 2 ? i : n - i;
			memset(ours[i].rest, (int)(ours[i].key & 0x7f), 7);
		}
		memcpy(theirs, ours, n * sizeof *ours);
		sort_qsort(ours, n, sizeof *ours, compare_items);
		their_qsort(theirs, n, sizeof *theirs, compare_items);
		for (i = 0; i < n; i++) {
			assert_int_equal(ours[i].key, theirs[i].key);
			assert_memory_equal(ours[i].rest, theirs[i].rest, 7);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_text),
		cmocka_unit_test(spans_and_copies),
		cmocka_unit_test(reads_addresses),
		cmocka_unit_test(names_errors),
		cmocka_unit_test(sorts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
