/*
 * TXT records in answers of the DNS: what is found, and that no answer, however
 * it is cut or bent, is read beyond its end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/net/txt.h"

/* A question for k.d, a CNAME for it, and a record of the strings "v=D" "KIM1". */
static const unsigned char answer[] = {
	0x12, 0x34, 0x81, 0x80, 0, 1, 0, 2, 0, 0, 0, 0,
	1, 'k', 1, 'd', 0, 0, 16, 0, 1,
	0xC0, 12, 0, 5, 0, 1, 0, 0, 0, 60, 0, 4, 1, 'x', 0xC0, 14,
	0xC0, 33, 0, 16, 0, 1, 0, 0, 0, 60, 0, 9,
	3, 'v', '=', 'D', 4, 'K', 'I', 'M', '1'
};

/* Read a heap copy of exactly n bytes: the sanitizer sees what lies behind. */
static int
read_copy(const unsigned char *p, size_t n, struct buf *text)
{
	unsigned char *copy = malloc(n > 0 ? n : 1);
	int rc;

	assert_non_null(copy);
	memcpy(copy, p, n);
	rc = txt_read(copy, n, text);
	free(copy);
	return rc;
}

static void
test_strings_are_joined(void **state)
{
	struct buf text = { 0 };

	(void)state;
	assert_int_equal(read_copy(answer, sizeof answer, &text), TXT_FOUND);
	assert_string_equal(buf_str(&text), "v=DKIM1");
	buf_free(&text);
}

static void
test_answer_without_one(void **state)
{
	unsigned char other[sizeof answer];
	struct buf text = { 0 };

	(void)state;
	memcpy(other, answer, sizeof answer);
	other[40] = 1;		/* an A record */
	assert_int_equal(read_copy(other, sizeof other, &text), TXT_NONE);
	other[7] = 0;
	assert_int_equal(read_copy(other, sizeof other, &text), TXT_NONE);
	assert_int_equal(text.len, 0);
}

static void
test_cut_at_every_byte(void **state)
{
	struct buf text = { 0 };
	size_t n;

	(void)state;
	for (n = 0; n < sizeof answer; n++)
		assert_int_equal(read_copy(answer, n, &text), TXT_NONE);
	assert_int_equal(text.len, 0);
}

/* Any byte may be anything: no crash, and no more text than there is. */
static void
test_every_byte_bent(void **state)
{
	unsigned char bent[sizeof answer];
	struct buf text = { 0 };
	unsigned value;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof answer; i++)
		for (value = 0; value < 256; value++) {
			memcpy(bent, answer, sizeof answer);
			bent[i] = (unsigned char)value;
			read_copy(bent, sizeof bent, &text);
			assert_true(text.len < sizeof answer);
			buf_reset(&text);
		}
	buf_free(&text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_strings_are_joined),
		cmocka_unit_test(test_answer_without_one),
		cmocka_unit_test(test_cut_at_every_byte),
		cmocka_unit_test(test_every_byte_bent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
