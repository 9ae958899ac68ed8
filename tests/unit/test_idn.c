/* A-labels: the samples of RFC 3492 section 7.1 and names in real use. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/mail/idn.h"

static const struct { const char *in, *out; } names[] = {
	{ "example.com", "example.com" },
	{ "EXAMPLE.com", "EXAMPLE.com" },
	{ "b\xc3\xbc" "cher.example", "xn--bcher-kva.example" },
	{ "B\xc3\x9c" "CHER.example", "xn--bcher-kva.example" },
	{ "m\xc3\xbcnchen.de", "xn--mnchen-3ya.de" },
	{ "\xce\xb5\xce\xbb\xce\xbb\xce\xac\xce\xb4\xce\xb1.gr",
	    "xn--hxakic4aa.gr" },
	{ "\xd0\xbf\xd0\xbe\xd1\x87\xd1\x82\xd0\xb0.\xd1\x80\xd1\x84",
	    "xn--80a1acny.xn--p1ai" },
	{ "\xd0\x9f\xd0\x9e\xd0\xa7\xd0\xa2\xd0\x90.\xd0\xa0\xd0\xa4",
	    "xn--80a1acny.xn--p1ai" },
	{ "\xe4\xbe\x8b\xe5\xad\x90.\xe6\xb5\x8b\xe8\xaf\x95",
	    "xn--fsqu00a.xn--0zwm56d" },
	{ "\xe4\xbe\x8b\xe5\xad\x90\xe3\x80\x82" "com", "xn--fsqu00a.com" },
	{ "\xf0\x9f\x92\xa9.la", "xn--ls8h.la" },
	/* RFC 3492: "Pourquoi..." in Spanish, Chinese, Japanese with ASCII. */
	{ "\xe4\xbb\x96\xe4\xbb\xac\xe4\xb8\xba\xe4\xbb\x80\xe4\xb9\x88\xe4\xb8"
	    "\x8d\xe8\xaf\xb4\xe4\xb8\xad\xe6\x96\x87",
	    "xn--ihqwcrb4cv8a8dqg056pqjye" },
	{ "hello-another-way-\xe3\x81\x9d\xe3\x82\x8c\xe3\x81\x9e\xe3\x82\x8c"
	    "\xe3\x81\xae\xe5\xa0\xb4\xe6\x89\x80",
	    "xn--hello-another-way--fc4qua05auwb3674vfr0b" },
	{ "", "" },
	{ "a..b", "a..b" }
};

static void
known_names(void **state)
{
	char out[256];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof names / sizeof names[0]; i++) {
		assert_int_equal(idn_to_ascii(names[i].in, strlen(names[i].in),
		    out, sizeof out), strlen(names[i].out));
		assert_string_equal(out, names[i].out);
	}
}

static void
what_does_not_fit_is_refused(void **state)
{
	char out[256], in[200], c;
	size_t size;

	(void)state;
	for (size = 1; size < 22; size++)
		assert_int_equal(idn_to_ascii("b\xc3\xbc" "cher.example", 15, out,
		    size), -1);
	assert_int_equal(idn_to_ascii("b\xc3\xbc" "cher.example", 15, out, 22),
	    21);
	for (c = 'a'; c < 'a' + 2; c++) {
		memset(in, c, 64);
		assert_int_equal(idn_to_ascii(in, 64, out, sizeof out), -1);
		assert_int_equal(idn_to_ascii(in, 63, out, sizeof out), 63);
		memcpy(in + 50, "\xc3\xbc", 2);
		assert_int_equal(idn_to_ascii(in, 63, out, sizeof out), -1);
	}
}

static void
bad_utf8_is_refused(void **state)
{
	static const char *const bad[] = { "\xff", "\xc3", "\x80", "\xc0\xaf",
		"\xe0\x80\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "a\xc3.b",
		"\xf8\x88\x80\x80\x80" };
	static const char *const doubtful[] = { "mu\xcc\x88nchen.de",
		"\xe2\x80\x8bx.de", "\xc5\xbf.de", "a\xc2\xadz.de",
		"\xef\xbb\xbfx.de" };
	char out[64];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		assert_false(utf8_valid(bad[i], strlen(bad[i])));
		assert_int_equal(idn_to_ascii(bad[i], strlen(bad[i]), out,
		    sizeof out), -1);
	}
	for (i = 0; i < sizeof doubtful / sizeof doubtful[0]; i++)
		assert_int_equal(idn_to_ascii(doubtful[i], strlen(doubtful[i]),
		    out, sizeof out), -1);
	assert_true(utf8_valid("\xf4\x8f\xbf\xbf\xc2\x80\xe0\xa0\x80", 9));
	assert_true(is_ascii("plain"));
	assert_false(is_ascii("pl\xc3\xa4in"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_names),
		cmocka_unit_test(what_does_not_fit_is_refused),
		cmocka_unit_test(bad_utf8_is_refused)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
