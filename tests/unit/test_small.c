/* Our strings and qsort against the C library's. */
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

static void
their_qsort(void *v, size_t n, size_t size,
    int (*compare)(const void *, const void *))
{
	qsort(v, n, size, compare);
}

#define TEXT_TEST
#define SORT_TEST
#include "lib/small/text.c"
#include "lib/small/sort.c"

static void
finds_text(void **state)
{
	static const char *const texts[] = { "", "a", "aa", "aab", "aaab",
		"abab", "ababc", "abcabcabd", "\n\n", "x\n\ny", "\xff\xfe" };
	size_t n = sizeof texts / sizeof texts[0], i, k;

	(void)state;
	for (i = 0; i < n; i++)
		for (k = 0; k < n; k++)
			assert_ptr_equal(text_strstr(texts[i], texts[k]),
			    their_strstr(texts[i], texts[k]));
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
		cmocka_unit_test(sorts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
