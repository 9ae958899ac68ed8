/* What another qmail-remote prints: the same however it comes in pieces. */
#include <string.h>

#include "lib/front/report.h"
#include "tests/fuzz/fuzz.h"

FUZZ(report)
{
	struct report a = { .most = in_byte(in) % 8 }, b = { .most = a.most };
	size_t i, at = 0, n = 0;

	report_take(&a, (const char *)in->p, in->n);
	for (i = 0; i < in->n; i++)
		report_take(&b, (const char *)in->p + i, 1);
	CHECK(report_usable(&a) == report_usable(&b));
	CHECK(a.n == b.n && a.complete == b.complete && a.begun == b.begun);
	CHECK(a.broken == b.broken);
	CHECK(a.text.len == b.text.len);
	CHECK(memcmp(buf_str(&a.text), buf_str(&b.text), a.text.len) == 0);
	if (report_usable(&a)) {
		CHECK(a.n <= a.most);
		for (; at < a.text.len; at += strlen(a.text.p + at) + 1, n++)
			CHECK(strlen(a.text.p + at) <= REPORT_MAX);
		CHECK(n == a.n + 1);
		CHECK(strchr("KZD", a.text.p[a.last]) != NULL);
	}
	buf_free(&a.text);
	buf_free(&b.text);
}
