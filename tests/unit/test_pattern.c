/* Sender patterns: which there are, and what they cover. */
#include "lib/config/pattern.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/buf.h"
#include "lib/config/senders.h"

static void
test_valid_patterns(void **state)
{
	static const char *const patterns[] = {
		"*", "alice@example.com", "ALICE@Example.COM", "@example.com",
		"@.example.com", "@.*.example.com", "*@example.com", "*@*",
		"@*", "@*.example.com", "a@*", "a*@b", "*a*@b", "a**b@c",
		"*-bounces@lists.example", "a@b", "a.b+c=d/e#f@g-h.i_j",
		"!#$%&'*+-/=?^_`{|}~@x", "..a@b", "\"a b\"@c", "\"@\"@c",
		"\"a\\\"b\"@c", "\"\"@c", "\"*\"@c", "a@[192.0.2.1]",
		"@[IPv6:2001:db8::1]", "\xc3\xa4@example.com",
		"@b\xc3\xbc" "cher.example",
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof patterns / sizeof *patterns; i++)
		if (!senders_pattern_valid(patterns[i]))
			fail_msg("refused: %s", patterns[i]);
}

static void
test_invalid_patterns(void **state)
{
	static const char *const patterns[] = {
		"", "**", "alice", "example.com", "a@", "@", "@.", "a@b@c",
		"a@@b", "@@b", "a@.example.com", "*@.example.com",
		"@..example.com", "a@b..c", "a@b.", "@b.", "a b@c", " a@b",
		"a@b ", "a@b c", "<a@b>", "a@b>", "a,b@c", "a@b,c@d", "a;b@c",
		"a:b@c", "(a)@b", "a\\b@c", "a\tb@c", "a\001b@c", "a@b\177",
		"a\177@b", "a@b\r", "\"a@b", "a\"@b", "\"a\"b@c", "\"a\\\"@b",
		"\"a\001\"@b", "\"a<\"@b", "\"a\\<\"@b", "\"a\"", "\"a\"@",
		"\"", "a@[192.0.2.1", "a@192.0.2.1]", "a@[]", "a@[a b]",
		"a@[*]", "@.[192.0.2.1]", "a@b#c", "a@b/c", "a@b+c", "/a@b\n",
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof patterns / sizeof *patterns; i++)
		if (senders_pattern_valid(patterns[i]))
			fail_msg("accepted: %s", patterns[i]);
}

/* Every byte is either fine in a local part, or special in one way. */
static void
test_every_byte_of_a_local_part(void **state)
{
	char pattern[] = "a?b@c";
	int c;

	(void)state;
	for (c = 1; c < 256; c++) {
		pattern[1] = (char)c;
		assert_int_equal(senders_pattern_valid(pattern), c > 0x20 &&
		    c != 0x7F && strchr("\"(),:;<>@[\\]", c) == NULL);
	}
}

static void
test_every_byte_of_a_domain(void **state)
{
	static const char good[] = "abcdefghijklmnopqrstuvwxyz"
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.*";
	char pattern[] = "a@b?c";
	int c;

	(void)state;
	for (c = 1; c < 256; c++) {
		pattern[3] = (char)c;
		assert_int_equal(senders_pattern_valid(pattern),
		    c >= 0x80 || strchr(good, c) != NULL);
	}
}

static const struct { const char *pattern, *addr; bool covers; } matches[] = {
	{ "*", "", true }, { "*", "a@b", true }, { "*", "root", true },
	{ "*@*", "", false }, { "*@*", "a@b", true }, { "@*", "", false },
	{ "*@*", "root", false },

	{ "alice@example.com", "alice@example.com", true },
	{ "alice@example.com", "alice@EXAMPLE.com", true },
	{ "alice@EXAMPLE.com", "alice@example.COM", true },
	{ "alice@example.com", "Alice@example.com", false },
	{ "alice@example.com", "alicea@example.com", false },
	{ "alice@example.com", "lice@example.com", false },
	{ "alice@example.com", "alice@example.co", false },
	{ "alice@example.com", "alice@example.com.au", false },
	{ "alice@example.com", "alice@mail.example.com", false },
	{ "alice@example.com", "alice", false },
	{ "alice@example.com", "", false },

	{ "@example.com", "a@example.com", true },
	{ "@example.com", "a@Example.Com", true },
	{ "@example.com", "\"a@b\"@example.com", true },
	{ "@example.com", "a@mail.example.com", false },
	{ "@example.com", "a@notexample.com", false },
	{ "@example.com", "a@xample.com", false },
	{ "@example.com", "example.com", false },
	{ "@example.com", "", false },

	{ "@.example.com", "a@mail.example.com", true },
	{ "@.example.com", "a@x.y.EXAMPLE.com", true },
	{ "@.example.com", "a@example.com", false },
	{ "@.example.com", "a@.example.com", false },
	{ "@.example.com", "a@notexample.com", false },
	{ "@.example.com", "a@x.notexample.com", false },
	{ "@.example.com", "a@mail.example.org", false },
	{ "@.example.com", "a@com", false },
	{ "@.*.example.com", "a@x.y.example.com", true },
	{ "@.*.example.com", "a@x.y.z.Example.com", true },
	{ "@.*.example.com", "a@y.example.com", false },
	{ "@.*.example.com", "a@x.y.example.org", false },

	{ "*-bounces@lists.example", "x-bounces@lists.example", true },
	{ "*-bounces@lists.example", "-bounces@lists.example", true },
	{ "*-bounces@lists.example", "a-b-bounces@LISTS.example", true },
	{ "*-bounces@lists.example", "x-Bounces@lists.example", false },
	{ "*-bounces@lists.example", "x-bounces2@lists.example", false },
	{ "*-bounces@lists.example", "bounces@lists.example", false },
	{ "bounce-*@b.example", "bounce-@b.example", true },
	{ "bounce-*@b.example", "bounce-12=c.example@b.example", true },
	{ "bounce-*@b.example", "bounce@b.example", false },
	{ "a*c@d", "abc@d", true }, { "a*c@d", "ac@d", true },
	{ "a*c@d", "acbc@d", true }, { "a*c@d", "acb@d", false },
	{ "*a*b*@c", "xaybz@c", true }, { "*a*b*@c", "ab@c", true },
	{ "*a*b*@c", "ba@c", false }, { "a**b@c", "ab@c", true },
	{ "*@c", "\"x y\"@c", true },
	/* No star goes over an @, not even over a quoted one. */
	{ "*@c", "\"x@y\"@c", false },
	{ "\"*\"@c", "\"x@y\"@c", false },
	{ "\"*@*\"@c", "\"x@y\"@c", true },
	{ "a*@c", "a@b@c", false },

	{ "*@*.example.com", "a@x.example.com", true },
	{ "*@*.example.com", "a@x.y.Example.com", true },
	{ "*@*.example.com", "a@example.com", false },
	{ "@*.example.com", "a@x.example.com", true },
	{ "@*example.com", "a@notexample.com", true },
	{ "@*example.com", "a@example.com", true },
	{ "a@*", "a@anything.example", true },
	{ "a@*", "b@anything.example", false },
	{ "a@mail*.example", "a@MAIL12.EXAMPLE", true },
	{ "a@mail*.example", "a@mai.example", false },

	{ "\"a b\"@c", "\"a b\"@c", true }, { "\"a b\"@c", "\"A b\"@c", false },
	{ "a@[192.0.2.1]", "a@[192.0.2.1]", true },
	{ "@[IPv6:2001:db8::a]", "a@[ipv6:2001:DB8::A]", true },
	{ "@[192.0.2.1]", "a@[192.0.2.10]", false },
	{ "\xc3\xa4@b", "\xc3\xa4@b", true },
	{ "\xc3\xa4@b", "\xc3\x84@b", false },
	/* Bytes that differ in 0x20 alone, but are no letters. */
	{ "@a_b", "x@a\177b", false }, { "@a-b", "x@a\rb", false },
	{ "@\xc3\xa4", "x@\xc3\x84", false },
};

static void
test_what_patterns_cover(void **state)
{
	struct buf b = { 0 };
	size_t i, n;

	(void)state;
	for (i = 0; i < sizeof matches / sizeof *matches; i++) {
		assert_true(senders_pattern_valid(matches[i].pattern));
		/* What is behind the n bytes does not count. */
		n = strlen(matches[i].pattern);
		buf_reset(&b);
		buf_addf(&b, "%sx", matches[i].pattern);
		if (senders_pattern_match(buf_str(&b), n, matches[i].addr) !=
		    matches[i].covers)
			fail_msg("%s and %s", matches[i].pattern,
			    matches[i].addr);
	}
	buf_free(&b);
}

/* Exponential matching would not come back from this. */
static void
test_many_stars_take_little_time(void **state)
{
	struct buf p = { 0 }, a = { 0 };
	int i;

	(void)state;
	for (i = 0; i < 400; i++)
		buf_adds(&p, "a*");
	buf_adds(&p, "b@*c*c*c*c*c*c*c*c*d");
	for (i = 0; i < 2000; i++)
		buf_addc(&a, 'a');
	buf_addc(&a, '@');
	for (i = 0; i < 200; i++)
		buf_addc(&a, 'c');
	assert_false(senders_pattern_match(buf_str(&p), p.len, buf_str(&a)));
	buf_free(&p);
	buf_free(&a);
}

static void
test_the_longest_pattern(void **state)
{
	char pattern[SENDERS_LINE_MAX + 2];

	(void)state;
	memset(pattern, 'a', sizeof pattern);
	pattern[10] = '@';
	pattern[SENDERS_LINE_MAX] = '\0';
	assert_true(senders_pattern_valid(pattern));
	pattern[SENDERS_LINE_MAX] = 'a';
	pattern[SENDERS_LINE_MAX + 1] = '\0';
	assert_false(senders_pattern_valid(pattern));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_valid_patterns),
		cmocka_unit_test(test_invalid_patterns),
		cmocka_unit_test(test_every_byte_of_a_local_part),
		cmocka_unit_test(test_every_byte_of_a_domain),
		cmocka_unit_test(test_what_patterns_cover),
		cmocka_unit_test(test_many_stars_take_little_time),
		cmocka_unit_test(test_the_longest_pattern),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
