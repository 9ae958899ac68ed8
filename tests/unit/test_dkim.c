/* What DKIM hashes: RFC 6376 section 3.4.5, and bodies in pieces of any size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/mail/dkim.h"

static void
hash_in(const char *text, size_t piece, bool relaxed, uint64_t limit,
    unsigned char out[SHA256_SIZE])
{
	size_t n = strlen(text), at, k;
	struct dkim_body b;

	dkim_body_init(&b, relaxed, limit);
	for (at = 0; at < n; at += k) {
		k = n - at < piece ? n - at : piece;
		dkim_body_add(&b, text + at, k);
	}
	dkim_body_final(&b, out);
}

static void
test_bodies(void **state)
{
	static const struct { const char *in, *simple, *relaxed; } cases[] = {
		{ " C \r\nD \t E\r\n\r\n\r\n", " C \r\nD \t E\r\n",
		    " C\r\nD E\r\n" },
		{ "", "\r\n", "" }, { "\r\n\r\n", "\r\n", "" },
		{ " \t\r\n", " \t\r\n", "" },
		{ "a\r\n\r\n \r\nb\r\n", "a\r\n\r\n \r\nb\r\n",
		    "a\r\n\r\n\r\nb\r\n" }
	};
	unsigned char got[SHA256_SIZE], want[SHA256_SIZE];
	size_t i, piece;

	(void)state;
	for (i = 0; i < sizeof cases / sizeof *cases; i++)
		for (piece = 1; piece < 20; piece++) {
			hash_in(cases[i].in, piece, false, UINT64_MAX, got);
			sha256(want, cases[i].simple, strlen(cases[i].simple));
			assert_memory_equal(got, want, sizeof got);
			hash_in(cases[i].in, piece, true, UINT64_MAX, got);
			sha256(want, cases[i].relaxed,
			    strlen(cases[i].relaxed));
			assert_memory_equal(got, want, sizeof got);
		}
	hash_in("abcdef\r\n", 3, true, 4, got);
	sha256(want, "abcd", 4);
	assert_memory_equal(got, want, sizeof got);
}

static void
test_fields(void **state)
{
	static const char a[] = "A: X\r\n", b[] = "B : Y\t\r\n\tZ  \r\n";
	struct buf out = { 0 };

	(void)state;
	dkim_field(&out, a, sizeof a - 1, true);
	dkim_field(&out, b, sizeof b - 1, true);
	assert_string_equal(out.p, "a:X\r\nb:Y Z\r\n");
	buf_reset(&out);
	dkim_field(&out, b, sizeof b - 1, false);
	assert_string_equal(out.p, b);
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bodies), cmocka_unit_test(test_fields)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
