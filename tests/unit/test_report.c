/* The reports of a qmail-remote, in one piece and byte by byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/front/report.h"

#define TEXT(s) s, sizeof s - 1

static const struct {
	const char *in;
	size_t len;
	size_t most;
	const char *out;	/* NULL: not usable */
	size_t out_len;
	bool begun;
} cases[] = {
	{ TEXT("Kok\0"), 1, TEXT("Kok\0"), false },
	{ TEXT("r\0Kok\0"), 1, TEXT("r\0Kok\0"), false },
	{ TEXT("hno\0slater\0r\0Dx\0"), 3, TEXT("hno\0slater\0r\0Dx\0"), false },
	{ TEXT("r\0Zx\0behind it"), 2, TEXT("r\0Zx\0"), false },
	{ TEXT("Z\0K\0"), 2, TEXT("Z\0"), false },
	{ TEXT("!r\0Zx\0"), 1, TEXT("r\0Zx\0"), true },
	{ TEXT("!"), 1, NULL, 0, true },
	{ TEXT(""), 1, NULL, 0, false },
	{ TEXT("K"), 1, NULL, 0, false },
	{ TEXT("r\0Kno end"), 1, NULL, 0, false },
	{ TEXT("r\0r\0Kok\0"), 1, NULL, 0, false },
	{ TEXT("\0Kok\0"), 1, NULL, 0, false },
	{ TEXT("kok\0"), 1, NULL, 0, false },
	{ TEXT("noise\nr\0Kok\0"), 1, NULL, 0, false },
	{ TEXT("r\0"), 1, NULL, 0, false },
};

static void
check(size_t i, const struct report *r)
{
	assert_int_equal(r->begun, cases[i].begun);
	assert_int_equal(report_usable(r), cases[i].out != NULL);
	if (cases[i].out == NULL)
		return;
	assert_int_equal(r->text.len, cases[i].out_len);
	assert_memory_equal(r->text.p, cases[i].out, cases[i].out_len);
}

static void
what_is_a_report(void **state)
{
	struct report r;
	size_t i, k;

	(void)state;
	for (i = 0; i < sizeof cases / sizeof *cases; i++) {
		r = (struct report){ .most = cases[i].most };
		report_take(&r, cases[i].in, cases[i].len);
		check(i, &r);
		buf_free(&r.text);
		r = (struct report){ .most = cases[i].most };
		for (k = 0; k < cases[i].len; k++)
			report_take(&r, cases[i].in + k, 1);
		check(i, &r);
		buf_free(&r.text);
	}
}

static void
each_report_is_clipped(void **state)
{
	struct report r = { .most = 2 };
	char long_one[2 * REPORT_MAX];
	int i;

	(void)state;
	memset(long_one, 'x', sizeof long_one);
	for (i = 0; i < 3; i++) {
		report_take(&r, i < 2 ? "h" : "K", 1);
		report_take(&r, long_one, sizeof long_one);
		report_take(&r, "", 1);
	}
	assert_true(report_usable(&r));
	assert_int_equal(r.text.len, 3 * REPORT_MAX);
	assert_int_equal(r.text.p[REPORT_MAX], 'h');
	assert_int_equal(r.text.p[2 * REPORT_MAX], 'K');
	assert_int_equal(r.text.p[3 * REPORT_MAX - 1], '\0');
	buf_free(&r.text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_a_report),
		cmocka_unit_test(each_report_is_clipped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
