/* The address-list parser, and what stands on it. */
#include "lib/mail/address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "lib/base/buf.h"

/* Text with its length, so that NULs can stand in it. */
#define T(s) s, sizeof(s) - 1

#define L10 "abcdefghij"
#define L60 L10 L10 L10 L10 L10 L10
#define L63 L60 "abc"
#define L64 L60 "abcd"
#define D255 L63 "." L63 "." L63 "." L63	/* 4 * 63 + 3 */
#define C8 "(((((((("
#define E8 "))))))))"
#define C64 C8 C8 C8 C8 C8 C8 C8 C8
#define E64 E8 E8 E8 E8 E8 E8 E8 E8

struct list_case {
	const char *in;
	size_t n;
	const char *want;	/* the addresses, a '|' behind each */
};

struct bad_case {
	const char *in;
	size_t n;
	const char *text;
};

/* What was parsed parses again, to itself. */
static void
check_canonical(const char *addr)
{
	struct result res;
	char *again = address_parse_one(addr, NULL, &res);

	assert_non_null(again);
	assert_string_equal(again, addr);
	free(again);
}

/* The addresses of a list, a '|' behind each, or "EXIT text". Heap. */
static char *
outcome(const char *in, size_t n, const char *domain)
{
	struct addr_list l = { 0 };
	struct result res;
	struct buf b = { 0 };
	char *exact = malloc(n ? n : 1);
	size_t i;

	/* No byte behind the text may be read: the sanitizer sees to it. */
	assert_non_null(exact);
	memcpy(exact, in, n);
	memset(&res, 0xff, sizeof res);
	if (address_parse(exact, n, domain, &l, &res) == 0) {
		for (i = 0; i < l.n; i++) {
			buf_addf(&b, "%s|", l.v[i]);
			check_canonical(l.v[i]);
		}
	} else {
		buf_addf(&b, "%d %s", res.exit, res.text);
		assert_int_equal(res.outcome, OUT_PERM);
		assert_int_equal(res.cause, CAUSE_RCPT);
		assert_string_equal(res.enhanced,
		    res.exit == EXIT_DATA ? "5.1.3" : "5.6.7");
	}
	addr_list_free(&l);
	free(exact);
	return b.p ? b.p : mem_dup("", 0);
}

static void
check_lists(const struct list_case *c, size_t n)
{
	char *got;

	for (; n > 0; n--, c++) {
		got = outcome(c->in, c->n, "d.test");
		if (strcmp(got, c->want) != 0)
			print_error("case: %s\n", c->in);
		assert_string_equal(got, c->want);
		free(got);
	}
}

static void
check_refused(const struct bad_case *c, size_t n, int status)
{
	char want[600];
	char *got;

	for (; n > 0; n--, c++) {
		snprintf(want, sizeof want, "%d %s", status, c->text);
		got = outcome(c->in, c->n, "d.test");
		if (strcmp(got, want) != 0)
			print_error("case: %s\n", c->in);
		assert_string_equal(got, want);
		free(got);
	}
}

#define CHECK_LISTS(t) check_lists(t, sizeof(t) / sizeof *(t))
#define CHECK_REFUSED(t, status) \
	check_refused(t, sizeof(t) / sizeof *(t), status)

static void
test_examples_of_rfc_5322_appendix_a(void **state)
{
	static const struct list_case cases[] = {
		/* A.1.1 */
		{ T("John Doe <jdoe@machine.example>"),
		    "jdoe@machine.example|" },
		{ T("Mary Smith <mary@example.net>"), "mary@example.net|" },
		{ T("Michael Jones <mjones@machine.example>"),
		    "mjones@machine.example|" },
		/* A.1.2 */
		{ T("\"Joe Q. Public\" <john.q.public@example.com>"),
		    "john.q.public@example.com|" },
		{ T("Mary Smith <mary@x.test>, jdoe@example.org, "
		    "Who? <one@y.test>"),
		    "mary@x.test|jdoe@example.org|one@y.test|" },
		{ T("<boss@nil.test>, \"Giant; \\\"Big\\\" Box\" "
		    "<sysservices@example.net>"),
		    "boss@nil.test|sysservices@example.net|" },
		/* A.1.3 */
		{ T("Pete <pete@silly.example>"), "pete@silly.example|" },
		{ T("A Group:Ed Jones <c@a.test>,joe@where.test,"
		    "John <jdoe@one.test>;"),
		    "c@a.test|joe@where.test|jdoe@one.test|" },
		{ T("Undisclosed recipients:;"), "" },
		/* A.2 */
		{ T("\"Mary Smith: Personal Account\" <smith@home.example>"),
		    "smith@home.example|" },
		/* A.5 */
		{ T("Pete(A nice \\) chap) "
		    "<pete(his account)@silly.test(his host)>"),
		    "pete@silly.test|" },
		{ T("A Group(Some people)\r\n"
		    "     :Chris Jones <c@(Chris's host.)public.example>,\r\n"
		    "         joe@example.org,\r\n"
		    "  John <jdoe@one.test> (my dear friend); "
		    "(the end of the group)"),
		    "c@public.example|joe@example.org|jdoe@one.test|" },
		{ T("(Empty list)(start)Hidden recipients  "
		    ":(nobody(that I know))  ;"), "" },
		/* A.6.1 */
		{ T("Joe Q. Public <john.q.public@example.com>"),
		    "john.q.public@example.com|" },
		{ T("Mary Smith <@node.test:mary@example.net>, , "
		    "jdoe@test  . example"),
		    "mary@example.net|jdoe@test.example|" },
		/* A.6.3 */
		{ T("John Doe <jdoe@machine(comment).  example>"),
		    "jdoe@machine.example|" },
		{ T("Mary Smith\r\n          \r\n          <mary@example.net>"),
		    "mary@example.net|" },
	};

	(void)state;
	CHECK_LISTS(cases);
}

static void
test_plain_lists(void **state)
{
	static const struct list_case cases[] = {
		{ T(""), "" },
		{ T("  \t "), "" },
		{ T(","), "" },
		{ T(" , ,, "), "" },
		{ T("(only a comment)"), "" },
		{ T("a@b"), "a@b|" },
		{ T(" a@b "), "a@b|" },
		{ T("a@b,c@d"), "a@b|c@d|" },
		{ T("a@b,"), "a@b|" },
		{ T(",a@b"), "a@b|" },
		{ T("a@b,,c@d"), "a@b|c@d|" },
		{ T("a@b, a@b"), "a@b|a@b|" },
		{ T("User+Tag@Example.COM"), "User+Tag@Example.COM|" },
		{ T("!#$%&'*+-/=?^_`{|}~@x"), "!#$%&'*+-/=?^_`{|}~@x|" },
		{ T("host!user%relay@gw"), "host!user%relay@gw|" },
		{ T("-f@x"), "-f@x|" },
		{ T("a@under_score.x"), "a@under_score.x|" },
		{ T("a@xn--mnchen-3ya.de"), "a@xn--mnchen-3ya.de|" },
		{ T("a@1.2.3.4"), "a@1.2.3.4|" },
		{ T("a@example.com."), "a@example.com|" },
		{ T("a @ b"), "a@b|" },
		{ T("a(x)@(y)b"), "a@b|" },
		{ T("a . b @ c . d"), "a.b@c.d|" },
		{ T("a.(x)b@c(y).d"), "a.b@c.d|" },
	};

	(void)state;
	CHECK_LISTS(cases);
}

static void
test_display_names_are_dropped(void **state)
{
	static const struct list_case cases[] = {
		{ T("<a@b>"), "a@b|" },
		{ T("< a@b >"), "a@b|" },
		{ T("John<a@b>"), "a@b|" },
		{ T("\"\" <a@b>"), "a@b|" },
		{ T("\"Doe, John\" <a@b>"), "a@b|" },
		{ T("\"(Cron Daemon)\" <root>"), "root@d.test|" },
		{ T("root (Cron Daemon)"), "root@d.test|" },
		{ T("\"<x@y>\" <a@b>"), "a@b|" },
		{ T("\"x@y\" <a@b>"), "a@b|" },
		{ T("J\xc3\xb6rg <a@b>"), "a@b|" },
		{ T("J\xf6rg M\xfcller <a@b>"), "a@b|" },
		{ T("\"J\xf6rg, M\" <a@b>"), "a@b|" },
		{ T("a@b (J\xf6rg)"), "a@b|" },
		{ T("\x1b$B1*\x1b(B) <a@b>"), "a@b|" },
		{ T("=?utf-8?Q?J=C3=B6rg?= <a@b>"), "a@b|" },
		{ T("[EXT] John <a@b>"), "a@b|" },
		{ T("Mr. John Q. Public Jr. <a@b>"), "a@b|" },
		{ T("John \"Jack\" Doe <a@b>"), "a@b|" },
		{ T("a@b <a@b>"), "a@b|" },
		{ T("x@y <a@b>"), "a@b|" },
		{ T("x@y via List <a@b>"), "a@b|" },
		{ T("John <a@b>, x@y <c@d>, e@f"), "a@b|c@d|e@f|" },
	};

	(void)state;
	CHECK_LISTS(cases);
}

static void
test_bare_names_are_completed(void **state)
{
	static const struct list_case cases[] = {
		{ T("root"), "root@d.test|" },
		{ T("root,admin"), "root@d.test|admin@d.test|" },
		{ T("root, a@b"), "root@d.test|a@b|" },
		{ T("<root>"), "root@d.test|" },
		{ T("John <root>"), "root@d.test|" },
		{ T("\"root\""), "root@d.test|" },
		{ T("\"mail admin\""), "\"mail admin\"@d.test|" },
		{ T("<\"mail admin\">, \"a\\\"b\" (x)"),
		    "\"mail admin\"@d.test|\"a\\\"b\"@d.test|" },
		{ T("Bob <\"mail admin\">"), "\"mail admin\"@d.test|" },
		{ T("\"a@b\""), "\"a@b\"@d.test|" },
		{ T("john.\"q public\""), "\"john.q public\"@d.test|" },
		{ T("\"mail\r\n admin\""), "\"mail admin\"@d.test|" },
		{ T("john.doe"), "john.doe@d.test|" },
		{ T("(x)root(y)"), "root@d.test|" },
		{ T("staff: root, admin;"), "root@d.test|admin@d.test|" },
		{ T("host!user"), "host!user@d.test|" },
		{ T("a..b"), "a..b@d.test|" },
	};

	(void)state;
	CHECK_LISTS(cases);
}

static void
test_bare_names_want_a_usable_domain(void **state)
{
	char *got;

	(void)state;
	got = outcome(T("root"), "");
	assert_string_equal(got, "65 bad address \"root\": no '@' and no "
	    "domain to complete it with");
	free(got);
	got = outcome(T("root"), NULL);
	assert_string_equal(got, "65 bad address \"root\": no '@' and no "
	    "domain to complete it with");
	free(got);
	got = outcome(T("root"), "my host");
	assert_string_equal(got, "65 bad address \"root\": a character that "
	    "no domain has");
	free(got);
	got = outcome(T("root"), "[192.0.2.1]");
	assert_string_equal(got, "root@[192.0.2.1]|");
	free(got);
	got = outcome(T("root"), D255);
	assert_string_equal(got, "root@" D255 "|");
	free(got);
	got = outcome(T("root"), D255 D255);
	assert_string_equal(got, "65 bad address \"root\": longer than 320 "
	    "bytes");
	free(got);
}

static void
test_quoted_local_parts_are_canonical(void **state)
{
	static const struct list_case cases[] = {
		{ T("\"a\"@b"), "a@b|" },
		{ T("\"a.b\"@c"), "a.b@c|" },
		{ T("\"\\a\"@b"), "a@b|" },
		{ T("\"a b\"@c"), "\"a b\"@c|" },
		{ T("\"a\\ b\"@c"), "\"a b\"@c|" },
		{ T("\"a@b\"@c"), "\"a@b\"@c|" },
		{ T("\"a\\@b\"@c"), "\"a@b\"@c|" },
		{ T("\"a,b\"@c"), "\"a,b\"@c|" },
		{ T("\"a;b:c\"@d"), "\"a;b:c\"@d|" },
		{ T("\"(x)\"@c"), "\"(x)\"@c|" },
		{ T("\"a\\\"b\"@c"), "\"a\\\"b\"@c|" },
		{ T("\"a\\\\b\"@c"), "\"a\\\\b\"@c|" },
		{ T("\"a..b\"@c"), "\"a..b\"@c|" },
		{ T("\".a\"@c"), "\".a\"@c|" },
		{ T("\"a.\"@c"), "\"a.\"@c|" },
		{ T("\" \"@c"), "\" \"@c|" },
		{ T("john.\"q public\".doe@x"), "\"john.q public.doe\"@x|" },
		{ T("john.\"q\".doe@x"), "john.q.doe@x|" },
		{ T("\"john\" . \"doe\"@x"), "john.doe@x|" },
		{ T("<\"a b\"@c>"), "\"a b\"@c|" },
		{ T("\"a\r\n b\"@c"), "\"a b\"@c|" },
		{ T("\"a\n b\"@c"), "\"a b\"@c|" },
	};

	(void)state;
	CHECK_LISTS(cases);
}

static void
test_odd_dots_of_real_addresses_are_kept(void **state)
{
	static const struct list_case cases[] = {
		{ T("a..b@docomo.test"), "a..b@docomo.test|" },
		{ T(".a@docomo.test"), ".a@docomo.test|" },
		{ T("a.@docomo.test"), "a.@docomo.test|" },
		{ T("<a...@docomo.test>"), "a...@docomo.test|" },
	};

	(void)state;
	CHECK_LISTS(cases);
}

static void
test_groups(void **state)
{
	static const struct list_case cases[] = {
		{ T("undisclosed-recipients:;"), "" },
		{ T("undisclosed-recipients: ;"), "" },
		{ T("undisclosed-recipients:"), "" },
		{ T("g:;"), "" },
		{ T("g:,;"), "" },
		{ T("g:a@b;"), "a@b|" },
		{ T("g:a@b,;"), "a@b|" },
		{ T("\"a group\": <a@b>;"), "a@b|" },
		{ T("g:a@b;,c@d"), "a@b|c@d|" },
		{ T("g:a@b; c@d"), "a@b|c@d|" },
		{ T("g:a@b; h:c@d;"), "a@b|c@d|" },
		{ T("x@y, g:a@b;"), "x@y|a@b|" },
		{ T("g:;, h:;, a@b"), "a@b|" },
		{ T("g:a@b; h:"), "a@b|" },
	};

	(void)state;
	CHECK_LISTS(cases);
}

static void
test_comments(void **state)
{
	static const struct list_case cases[] = {
		{ T("a@b ()"), "a@b|" },
		{ T("(((a)b)c) a@b"), "a@b|" },
		{ T("a@b (x \\( y)"), "a@b|" },
		{ T("a@b (x \\\\)"), "a@b|" },
		{ T("a@b (c@d, <e@f>;)"), "a@b|" },
		{ T("a@b (\")"), "a@b|" },
		{ T("a@b (x\r\n y)"), "a@b|" },
		{ T("a@b (\x01\x7f)"), "a@b|" },
		{ T("a@b " C64 E64), "a@b|" },
		{ T("(x)(y)a(z)@(w)b(v)(u)"), "a@b|" },
	};

	(void)state;
	CHECK_LISTS(cases);
}

static void
test_folding(void **state)
{
	static const struct list_case cases[] = {
		{ T("a@b,\r\n c@d"), "a@b|c@d|" },
		{ T("a@b,\n\tc@d"), "a@b|c@d|" },
		{ T("a@b\r\n , c@d"), "a@b|c@d|" },
		{ T("\r\n a@b"), "a@b|" },
		{ T("a@b,\r\n \r\n c@d"), "a@b|c@d|" },
		{ T("John\n Doe\n <a@b>"), "a@b|" },
		{ T("\"John\r\n Doe\" <a@b>"), "a@b|" },
		{ T("<a@\r\n b>"), "a@b|" },
	};

	(void)state;
	CHECK_LISTS(cases);
}

static void
test_missing_commas_where_beyond_doubt(void **state)
{
	static const struct list_case cases[] = {
		{ T("a@b c@d"), "a@b|c@d|" },
		{ T("a@b c@d e@f"), "a@b|c@d|e@f|" },
		{ T("a@b\r\n c@d"), "a@b|c@d|" },
		{ T("<a@b><c@d>"), "a@b|c@d|" },
		{ T("<a@b> c@d"), "a@b|c@d|" },
		{ T("J <a@b> K L <c@d>"), "a@b|c@d|" },
		{ T("J <a@b> \"K, L\" <c@d>"), "a@b|c@d|" },
		{ T("a@b(x)c@d"), "a@b|c@d|" },
		{ T("g:a@b c@d;"), "a@b|c@d|" },
		{ T("a@[192.0.2.1] c@d"), "a@[192.0.2.1]|c@d|" },
	};

	(void)state;
	CHECK_LISTS(cases);
}

static void
test_source_routes_are_dropped(void **state)
{
	static const struct list_case cases[] = {
		{ T("<@a:b@c>"), "b@c|" },
		{ T("<@a,@b:c@d>"), "c@d|" },
		{ T("<@a,,@b.x,:c@d>"), "c@d|" },
		{ T("John <@a , @b : c @ d>"), "c@d|" },
		{ T("<@[192.0.2.1]:c@d>"), "c@d|" },
		{ T("<@a:root>"), "root@d.test|" },
	};

	(void)state;
	CHECK_LISTS(cases);
}

static void
test_domain_literals(void **state)
{
	static const struct list_case cases[] = {
		{ T("a@[192.0.2.1]"), "a@[192.0.2.1]|" },
		{ T("<a@[192.0.2.1]>"), "a@[192.0.2.1]|" },
		{ T("a@[IPv6:2001:db8::1]"), "a@[IPv6:2001:db8::1]|" },
		{ T("a@[ipv6:::]"), "a@[ipv6:::]|" },
	};

	(void)state;
	CHECK_LISTS(cases);
}

static void
test_lengths_up_to_the_limit(void **state)
{
	static const struct list_case cases[] = {
		{ T("a@" L63), "a@" L63 "|" },
		{ T("a@" D255), "a@" D255 "|" },
		{ T(L64 "@" D255), L64 "@" D255 "|" },
		{ T("\"" L60 " a\"@" D255), "\"" L60 " a\"@" D255 "|" },
		/* Not the domain's, but the address's own limit. */
		{ T(D255 "@" L60 ".abc"), D255 "@" L60 ".abc|" },
		/* Nothing but the address is limited. */
		{ T(D255 D255 " <a@b>"), "a@b|" },
		{ T("\"" D255 D255 "\" <a@b> (" D255 ")"), "a@b|" },
	};

	(void)state;
	CHECK_LISTS(cases);
}

static void
test_lengths_over_the_limit(void **state)
{
	static const struct bad_case cases[] = {
		{ T("a@" L64), "bad address \"a@" L64 "\": a part of the "
		    "domain is longer than 63 bytes" },
		{ T("a@" D255 ".a"), "bad address \"a@" L63 ".abcdefghijabcd"
		    "...\": the domain is longer than 255 bytes" },
		{ T(L64 "a@" D255), "bad address \"" L64 "a@abcdefghijabcd"
		    "...\": longer than 320 bytes" },
		{ T("\"" L60 " ab\"@" D255), "bad address \"\"" L60
		    " ab\"@abcdefghijabcd...\": longer than 320 bytes" },
		{ T(D255 D255), "bad address \"" L63 ".abcdefghijabcdef"
		    "...\": longer than 320 bytes" },
		{ T("a@" D255 D255), "bad address \"a@" L63 ".abcdefghijabcd"
		    "...\": longer than 320 bytes" },
		/* Every byte of it needs a backslash. */
		{ T("\"\\\"\\\"\\\"\\\"\\\"\\\"\"@" D255 "." L60),
		    "bad address \"\"\\\"\\\"\\\"\\\"\\\"\\\"\"@" L63 "."
		    "a...\": the domain is longer than 255 bytes" },
	};

	(void)state;
	CHECK_REFUSED(cases, 65);
}

static void
test_controls_are_refused_in_an_address(void **state)
{
	static const struct bad_case cases[] = {
		{ T("a@b\n"), "bad address \"a@b\": a line break inside" },
		{ T("a@b\r\n"), "bad address \"a@b\": a line break inside" },
		{ T("a@b\r"), "bad address \"a@b\": a line break inside" },
		{ T("a@b\r c@d"), "bad address \"a@b\": a line break inside" },
		{ T("a@b\r\nRCPT TO:<c@d>"),
		    "bad address \"a@b\": a line break inside" },
		{ T("a@b\nBcc: c@d"),
		    "bad address \"a@b\": a line break inside" },
		{ T("a@b\r\n\r\n c@d"),
		    "bad address \"a@b\": a line break inside" },
		{ T("\r\n"), "bad address \"\": a line break inside" },
		{ T("\"a\r\nb\"@c"),
		    "bad address \"\"a\": a line break inside" },
		{ T("\"a\\\nb\"@c"),
		    "bad address \"\"a\\\": a line break inside" },
		{ T("\"a\\\r\n b\"@c"),
		    "bad address \"\"a\\\": a line break inside" },
		{ T("a@b (x\r\ny)"),
		    "bad address \"a@b (x\": a line break inside" },
		{ T("<a@b\r\n>"), "bad address \"a@b\": a line break inside" },
		{ T("a@[1\n]"), "bad address \"a@[1\": a line break inside" },
		{ T("a\0@b"), "bad address \"a\": a NUL byte inside" },
		{ T("a@b\0"), "bad address \"a@b\": a NUL byte inside" },
		{ T("\"a\0\"@b"), "bad address \"\"a\": a NUL byte inside" },
		{ T("\"a\\\0\"@b"),
		    "bad address \"\"a\\\": a NUL byte inside" },
		{ T("J\0 <a@b>"), "bad address \"J\": a NUL byte inside" },
		{ T("a@b (\0)"), "bad address \"a@b (\": a NUL byte inside" },
		{ T("a\x01@b"),
		    "bad address \"a?@b\": a control character inside" },
		{ T("a@b\x1b[2J"),
		    "bad address \"a@b?[2J\": a control character inside" },
		{ T("a@b\x7f"),
		    "bad address \"a@b?\": a control character inside" },
		{ T("ro\x08ot"),
		    "bad address \"ro?ot\": a control character inside" },
		{ T("\"a\tb\"@c"),
		    "bad address \"\"a?b\"@c\": a control character inside" },
		{ T("\"a\\\x01\"@c"),
		    "bad address \"\"a\\?\"@c\": a control character inside" },
		{ T("<\x0b@c>"),
		    "bad address \"?@c\": a control character inside" },
	};

	(void)state;
	CHECK_REFUSED(cases, 65);
}

static void
test_angle_brackets_are_refused_in_an_address(void **state)
{
	static const struct bad_case cases[] = {
		{ T("\"a<b\"@c"), "bad address \"\"a<b\"@c\": "
		    "'<' or '>' inside" },
		{ T("\"a>b\"@c"), "bad address \"\"a>b\"@c\": "
		    "'<' or '>' inside" },
		{ T("<\"a\\>b\"@c>"), "bad address \"\"a\\>b\"@c\": "
		    "'<' or '>' inside" },
		{ T("a@[<1.2.3.4>]"), "bad address \"a@[<1.2.3.4>]\": "
		    "'<' or '>' inside" },
		{ T("a@b<c>"), "bad address \"a@b<c\": '<' inside" },
		{ T("a@b<c@d>"), "bad address \"a@b<c@d\": '<' inside" },
		{ T("a@b<script>alert"), "bad address \"a@b<script\": "
		    "'<' inside" },
		{ T("a@b>"), "bad address \"a@b\": '>' without '<'" },
		{ T("a>@b"), "bad address \"a\": '>' without '<'" },
		{ T("<a@b>>"), "bad address \"<a@b>\": '>' without '<'" },
		{ T("<<a@b>>"), "bad address \"<a@b\": "
		    "no address behind the '<'" },
		{ T("<a<b@c>"), "bad address \"a<b@c\": "
		    "'<' without '>' behind one address" },
		{ T("a<b@c"), "bad address \"b@c\": "
		    "'<' without '>' behind one address" },
		{ T("<a@b"), "bad address \"a@b\": "
		    "'<' without '>' behind one address" },
		{ T("<a@b, c@d>"), "bad address \"a@b\": "
		    "'<' without '>' behind one address" },
		{ T("<a@b c@d>"), "bad address \"a@b c@d\": "
		    "'<' without '>' behind one address" },
		{ T("<John Smith>"), "bad address \"John Smith\": "
		    "'<' without '>' behind one address" },
		{ T("<>"), "bad address \"\": an address that is empty" },
		{ T("a@b, <>"), "bad address \"\": an address that is empty" },
		{ T("John < >"), "bad address \"\": an address that is empty" },
		{ T("<"), "bad address \"\": no address behind the '<'" },
		{ T("<;>"), "bad address \"\": no address behind the '<'" },
		{ T("a<b>@c"), "bad address \"a<b>@c\": nothing before the '@'" },
	};

	(void)state;
	CHECK_REFUSED(cases, 65);
}

static void
test_doubtful_lists_are_refused(void **state)
{
	static const struct bad_case cases[] = {
		{ T("John Smith"), "bad address \"John Smith\": "
		    "a name without an address" },
		{ T("\"\""), "bad address \"\"\"\": "
		    "a name without an address" },
		{ T("<\"\">"), "bad address \"\"\"\": "
		    "a name without an address" },
		{ T("\"John\" . \"Q. Smith\""), "bad address \"\"John\" . "
		    "\"Q. Smith\"\": a name without an address" },
		{ T("\"John\" \"Smith\""), "bad address \"\"John\" "
		    "\"Smith\"\": a name without an address" },
		{ T("\"a<b\""), "bad address \"\"a<b\"\": "
		    "'<' or '>' inside" },
		{ T("Mr. Smith"), "bad address \"Mr. Smith\": "
		    "a name without an address" },
		{ T("<Mr. Smith>"), "bad address \"Mr. Smith\": "
		    "a name without an address" },
		{ T("[EXT]"), "bad address \"[EXT]\": "
		    "a name without an address" },
		{ T("<[192.0.2.1]>"), "bad address \"[192.0.2.1]\": "
		    "a name without an address" },
		{ T("a@b, John Smith, c@d"), "bad address \"John Smith\": "
		    "a name without an address" },
		{ T("John Smith a@b"), "bad address \"John Smith a@b\": "
		    "a comma, or <> around the address, is missing" },
		{ T("\"John Smith\" a@b"), "bad address \"\"John Smith\" "
		    "a@b\": a comma, or <> around the address, is missing" },
		{ T("root a@b"), "bad address \"root a@b\": "
		    "a comma, or <> around the address, is missing" },
		{ T("John\"Doe\"@x"), "bad address \"John\"Doe\"@x\": "
		    "a comma, or <> around the address, is missing" },
		{ T("a@b root"), "bad address \"a@b root\": "
		    "a comma is missing, or a name has no address" },
		{ T("<a@b> root"), "bad address \"<a@b> root\": "
		    "a comma is missing, or a name has no address" },
		{ T("<a@b>c"), "bad address \"<a@b>c\": "
		    "a comma is missing, or a name has no address" },
		{ T("a@b c@d <e@f>"), "bad address \"a@b c@d <e@f\": "
		    "a comma is missing" },
		{ T("a@b and c@d"), "bad address \"a@b and c@d\": "
		    "a comma, or <> around the address, is missing" },
		{ T("a@[192.0.2.1]x"), "bad address \"a@[192.0.2.1]x\": "
		    "a comma is missing, or a name has no address" },
	};

	(void)state;
	CHECK_REFUSED(cases, 65);
}

static void
test_broken_addresses_are_refused(void **state)
{
	static const struct bad_case cases[] = {
		{ T("@"), "bad address \"@\": nothing before the '@'" },
		{ T("@b"), "bad address \"@b\": nothing before the '@'" },
		{ T("a@"), "bad address \"a@\": no domain behind the '@'" },
		{ T("<a@>"), "bad address \"a@\": no domain behind the '@'" },
		{ T("a@,c@d"), "bad address \"a@\": "
		    "no domain behind the '@'" },
		{ T("a@b@c"), "bad address \"a@b@c\": more than one '@'" },
		{ T("<a@b@c>"), "bad address \"a@b@c\": more than one '@'" },
		{ T("a@@b"), "bad address \"a@@b\": no domain behind the '@'" },
		{ T("\"\"@b"), "bad address \"\"\"@b\": "
		    "nothing before the '@'" },
		{ T("."), "bad address \".\": nothing before the '@'" },
		{ T("..@b"), "bad address \"..@b\": nothing before the '@'" },
		{ T("a@."), "bad address \"a@.\": a dot too many in the "
		    "domain" },
		{ T("a@.b"), "bad address \"a@.b\": a dot too many in the "
		    "domain" },
		{ T("a@b..c"), "bad address \"a@b..c\": a dot too many in the "
		    "domain" },
		{ T("a@b.."), "bad address \"a@b..\": a dot too many in the "
		    "domain" },
		{ T("a@b!c"), "bad address \"a@b!c\": a character that no "
		    "domain has" },
		{ T("a@b/c"), "bad address \"a@b/c\": a character that no "
		    "domain has" },
		{ T("a@\"b\""), "bad address \"a@\"b\"\": quotes in the "
		    "domain" },
		{ T("a@b.\"c\""), "bad address \"a@b.\"c\"\": quotes in the "
		    "domain" },
		{ T("a@[]"), "bad address \"a@[]\": no IP address in the [] "
		    "([192.0.2.1] or [IPv6:...])" },
		{ T("a@[1.2.3]"), "bad address \"a@[1.2.3]\": no IP address "
		    "in the [] ([192.0.2.1] or [IPv6:...])" },
		{ T("a@[1.2.3.256]"), "bad address \"a@[1.2.3.256]\": no IP "
		    "address in the [] ([192.0.2.1] or [IPv6:...])" },
		{ T("a@[::1]"), "bad address \"a@[::1]\": no IP address in "
		    "the [] ([192.0.2.1] or [IPv6:...])" },
		{ T("a@[IPv6:]"), "bad address \"a@[IPv6:]\": no IP address "
		    "in the [] ([192.0.2.1] or [IPv6:...])" },
		{ T("a@[" L64 "]"), "bad address \"a@[" L64 "]\": "
		    "the address in [] is too long" },
		{ T("[x]@b"), "bad address \"[x]@b\": brackets before the "
		    "'@'" },
		{ T("<[x]@b>"), "bad address \"[x]@b\": brackets before the "
		    "'@'" },
		{ T("a@b;"), "bad address \"a@b\": ';' outside a group: "
		    "addresses are separated by ','" },
		{ T("a@b; c@d"), "bad address \"a@b\": ';' outside a group: "
		    "addresses are separated by ','" },
		{ T(";"), "bad address \"\": ';' outside a group: "
		    "addresses are separated by ','" },
		{ T("g:h:a@b;;"), "bad address \"h:a@b\": a group inside a "
		    "group" },
		{ T(":;"), "bad address \":\": ':' without the name of a "
		    "group" },
		{ T("a@b:c@d;"), "bad address \"a@b:c@d\": ':' without the "
		    "name of a group" },
		{ T("g:a@b"), "bad address \"a@b\": a group that does not end "
		    "with ';'" },
		{ T("mailto:a@b"), "bad address \"a@b\": a group that does "
		    "not end with ';'" },
		{ T("localhost:25"), "bad address \"25\": a group that does "
		    "not end with ';'" },
		{ T("<mailto:a@b>"), "bad address \"mailto:a@b\": "
		    "'<' without '>' behind one address" },
		{ T("<@a b@c>"), "bad address \"@a b@c\": the source route "
		    "does not end" },
		{ T("<@a:>"), "bad address \"@a:\": an address that is "
		    "empty" },
		{ T("\"a"), "bad address \"\"a\": a quote is not closed" },
		{ T("\"a\\"), "bad address \"\"a\\\": a quote is not closed" },
		{ T("\"a\\\""), "bad address \"\"a\\\"\": a quote is not "
		    "closed" },
		{ T("\"John <a@b>, c@d"), "bad address \"\"John <a@b>, c@d\": "
		    "a quote is not closed" },
		{ T("a@b (x"), "bad address \"a@b (x\": a comment is not "
		    "closed" },
		{ T("a@b (x(y)"), "bad address \"a@b (x(y)\": a comment is "
		    "not closed" },
		{ T("(\\"), "bad address \"(\\\": a comment is not closed" },
		{ T("a@b )"), "bad address \"a@b )\": a stray ')', ']' or "
		    "'\\'" },
		{ T("a\\b@c"), "bad address \"a\\b@c\": a stray ')', ']' or "
		    "'\\'" },
		{ T("a]@c"), "bad address \"a]@c\": a stray ')', ']' or '\\'" },
		{ T("[a@c"), "bad address \"[a@c\": a '[' is not closed" },
		{ T("a@[1.2.3.4"), "bad address \"a@[1.2.3.4\": a '[' is not "
		    "closed" },
		{ T("a " C64 "(x)" E64), "bad address \"a " C64 "(x))))))))"
		    "))))...\": comments are nested too deeply" },
	};

	(void)state;
	CHECK_REFUSED(cases, 65);
}

static void
test_non_ascii_addresses(void **state)
{
	static const struct list_case cases[] = {
		{ T("j\xc3\xb6rg@b"), "j\xc3\xb6rg@b|" },
		{ T("a@m\xc3\xbcnchen.de"), "a@xn--mnchen-3ya.de|" },
		{ T("\xc3\xb6"), "\xc3\xb6@d.test|" },
		{ T("J <\"\xc3\xb6 b\"@c>"), "\"\xc3\xb6 b\"@c|" }
	};
	static const struct bad_case bad[] = {
		{ T("j\xf6rg@b"), "bad address \"j\xf6rg@b\": 8-bit text that is "
		    "not UTF-8" },
		{ T("a@m\xfcnchen.de"), "bad address \"a@m\xfcnchen.de\": no "
		    "internationalised domain name" }
	};

	(void)state;
	CHECK_LISTS(cases);
	CHECK_REFUSED(bad, 65);
}

static void
test_what_came_before_an_error_is_kept(void **state)
{
	struct addr_list l = { 0 };
	struct result res;

	(void)state;
	assert_int_equal(addr_list_add(&l, "x@y", 3), 0);
	assert_int_equal(address_parse(T("a@b, c@d, @, e@f"), NULL, &l, &res),
	    -1);
	assert_int_equal(l.n, 3);
	assert_string_equal(l.v[0], "x@y");
	assert_string_equal(l.v[1], "a@b");
	assert_string_equal(l.v[2], "c@d");
	addr_list_free(&l);
	assert_null(l.v);
	assert_int_equal(l.n, 0);
}

/* Every beginning of a rich list is either parsed or refused; none crashes. */
static void
test_every_prefix_is_survived(void **state)
{
	static const char text[] = "A (x \\) (y)) : \"q\\\"\r\n .\" <@r,@[1.2."
	    "3.4]:a . \"b c\" @ d (e) . f>, J\xf6 <g@h>\n ,i@[IPv6:::1]; j";
	size_t n;
	char *got;

	(void)state;
	for (n = 0; n < sizeof text; n++) {
		got = outcome(text, n, "d.test");
		if (n + 1 == sizeof text)
			assert_string_equal(got, "\"a.b c\"@d.f|g@h|"
			    "i@[IPv6:::1]|j@d.test|");
		else
			assert_true(got[0] == '\0' ||
			    got[strlen(got) - 1] == '|' ||
			    strncmp(got, "65 bad address ", 15) == 0 ||
			    strncmp(got, "69 address ", 11) == 0);
		free(got);
	}
}

static void
check_one(const char *in, const char *want)
{
	struct result res;
	char *got = address_parse_one(in, "d.test", &res);

	assert_non_null(got);
	assert_string_equal(got, want);
	free(got);
}

static void
check_not_one(const char *in, int status, const char *text)
{
	struct result res;

	assert_null(address_parse_one(in, "d.test", &res));
	assert_string_equal(res.text, text);
	assert_int_equal(res.exit, status);
}

static void
test_one_address(void **state)
{
	(void)state;
	check_one("", "");
	check_one("<>", "");
	check_one("a@b", "a@b");
	check_one(" <a@b> ", "a@b");
	check_one("John <a@b>", "a@b");
	check_one("root", "root@d.test");
	check_one("\"a\"@b", "a@b");
	check_not_one("a@b, c@d", 65,
	    "bad address \"a@b, c@d\": more than one address");
	check_not_one("a@b a@b", 65,
	    "bad address \"a@b a@b\": more than one address");
	check_not_one(" ", 65, "bad address \"\": no address in it");
	check_not_one("g:;", 65, "bad address \"g:;\": no address in it");
	check_not_one("<><>", 65,
	    "bad address \"\": an address that is empty");
	check_not_one("John Smith", 65,
	    "bad address \"John Smith\": a name without an address");
	check_not_one("a@b\n", 65,
	    "bad address \"a@b\": a line break inside");
}

static void
test_equal_addresses(void **state)
{
	(void)state;
	assert_true(address_equal("a@b", "a@b"));
	assert_true(address_equal("a@Example.COM", "a@eXAMPLE.com"));
	assert_true(address_equal("\"a@X\"@b", "\"a@X\"@B"));
	assert_true(address_equal("", ""));
	assert_true(address_equal("root", "root"));
	assert_false(address_equal("A@b", "a@b"));
	assert_false(address_equal("a@b", "a@bc"));
	assert_false(address_equal("a@b", "ab@b"));
	assert_false(address_equal("\"a@X\"@b", "\"a@x\"@b"));
	assert_false(address_equal("", "a@b"));
	assert_false(address_equal("root", "Root"));
	assert_false(address_equal("a@b", "a"));
}

static void
test_domain_of_an_address(void **state)
{
	(void)state;
	assert_string_equal(address_domain("a@b.c"), "b.c");
	assert_string_equal(address_domain("\"a@x\"@b"), "b");
	assert_string_equal(address_domain("root"), "");
	assert_string_equal(address_domain(""), "");
}

struct spec_case {
	const char *in;
	const char *want;	/* with the address replaced by #; NULL: none */
};

static void
test_where_the_address_stands(void **state)
{
	static const struct spec_case cases[] = {
		{ "a@b", "#" },
		{ "  a@b  ", "  #  " },
		{ "John <a@b>", "John <#>" },
		{ "John < a@b >", "John <#>" },
		{ "\"Doe, <x@y>\" <a@b> (c)", "\"Doe, <x@y>\" <#> (c)" },
		{ "a@b (John)", "# (John)" },
		{ "(x) \"a b\" . c@d . e (y)", "(x) # (y)" },
		{ "root", "#" },
		{ "root (Cron Daemon)", "# (Cron Daemon)" },
		{ "\"(Cron Daemon)\" <root>", "\"(Cron Daemon)\" <#>" },
		{ "x@y <a@b>", "x@y <#>" },
		{ "J\xf6rg <\xc3\xb6@\xc3\xb6.de>", "J\xf6rg <#>" },
		{ "John\r\n <@r:a@b>,", "John\r\n <#>," },
		{ "a@b\r\n", "#\r\n" },
		{ " John <a@b>\r\n", " John <#>\r\n" },
		{ "g: a@b;", "g: #;" },
		{ "a@[1.2.3.4]", "#" },
		{ "", NULL },
		{ "g:;", NULL },
		{ "a@b, c@d", NULL },
		{ "a@b c@d", NULL },
		{ "John <a@b>, Jane <c@d>", NULL },
		{ "<>", NULL },
		{ "John Smith", NULL },
		{ "John <a@b", NULL },
		{ "a@b\n", NULL },
		{ "a@b\r\n\r\n", NULL },
	};
	const struct spec_case *c = cases;
	size_t i, start, end;
	char got[200];

	(void)state;
	for (i = 0; i < sizeof cases / sizeof *cases; i++, c++) {
		start = end = 999;
		if (!address_find_spec(c->in, strlen(c->in), &start, &end)) {
			assert_null(c->want);
			assert_int_equal(start, 999);
			assert_int_equal(end, 999);
			continue;
		}
		assert_non_null(c->want);
		snprintf(got, sizeof got, "%.*s#%s", (int)start, c->in,
		    c->in + end);
		assert_string_equal(got, c->want);
	}
}

static void
check_completed(const char *in, int want, const char *text)
{
	struct buf b = { 0 };

	buf_adds(&b, "To:");
	assert_int_equal(address_complete(in, strlen(in), "d.test", &b), want);
	if (want >= 0)
		assert_string_equal(b.p + 3, text);
	buf_free(&b);
}

static void
test_bare_names_in_a_text_are_completed(void **state)
{
	(void)state;
	check_completed("root", 1, "root@d.test");
	check_completed(" root\r\n", 1, " root@d.test\r\n");
	check_completed("root (Cron Daemon)", 1, "root@d.test (Cron Daemon)");
	check_completed(" \"(Cron Daemon)\" < root >\r\n", 1,
	    " \"(Cron Daemon)\" < root@d.test >\r\n");
	check_completed("root,a@b ,\r\n \"x\" , g: y ;\r\n", 3,
	    "root@d.test,a@b ,\r\n \"x\"@d.test , g: y@d.test ;\r\n");
	check_completed("<@r:root>", 1, "<@r:root@d.test>");
	check_completed("J\xf6rg <root>, \xc3\xb6@b", 1,
	    "J\xf6rg <root@d.test>, \xc3\xb6@b");
	check_completed(" \"mail admin\" (x), <\"b c\">\r\n", 2,
	    " \"mail admin\"@d.test (x), <\"b c\"@d.test>\r\n");
	check_completed("\"\"", -1, NULL);
	check_completed("a@b, ro\x1fot", -1, NULL);
	check_completed("", 0, "");
	check_completed("a@b\r\n", 0, "a@b\r\n");
	check_completed("x@y <a@b>", 0, "x@y <a@b>");
	check_completed("undisclosed-recipients:;\r\n", 0,
	    "undisclosed-recipients:;\r\n");
	check_completed("John Smith", -1, NULL);
	check_completed("root\n", -1, NULL);
	check_completed("root, @", -1, NULL);
}

static void
test_duplicates_go_and_order_stays(void **state)
{
	static const char *const in[] = { "c@d", "a@B", "a@b", "A@b", "c@d",
		"x@y", "a@b", "\"q q\"@b", "\"q q\"@B" };
	static const char *const want[] = { "c@d", "a@B", "A@b", "x@y",
		"\"q q\"@b" };
	struct addr_list l = { 0 };
	size_t i;

	(void)state;
	addr_list_dedup(&l);
	assert_int_equal(l.n, 0);
	for (i = 0; i < sizeof in / sizeof *in; i++)
		assert_int_equal(addr_list_add(&l, in[i], strlen(in[i])), 0);
	addr_list_dedup(&l);
	assert_int_equal(l.n, sizeof want / sizeof *want);
	for (i = 0; i < l.n; i++)
		assert_string_equal(l.v[i], want[i]);
	addr_list_free(&l);
	assert_int_equal(addr_list_add(&l, "a@b", 3), 0);
	addr_list_dedup(&l);
	assert_int_equal(l.n, 1);
	addr_list_pop(&l);
	assert_int_equal(l.n, 0);
	addr_list_free(&l);
}

/* 20,000 addresses, each twice: quadratic work would take half a minute. */
static void
test_many_addresses_take_no_time(void **state)
{
	struct addr_list l = { 0 };
	struct result res;
	struct buf b = { 0 };
	clock_t begun = clock();
	int i;

	(void)state;
	for (i = 0; i < 40000; i++)
		buf_addf(&b, "user%d@example.com%s", i % 20000,
		    i % 3 ? ", " : " ");
	assert_int_equal(address_parse(b.p, b.len, "d.test", &l, &res), 0);
	assert_int_equal(l.n, 40000);
	addr_list_dedup(&l);
	assert_int_equal(l.n, 20000);
	assert_string_equal(l.v[0], "user0@example.com");
	assert_string_equal(l.v[19999], "user19999@example.com");
	assert_true((clock() - begun) / CLOCKS_PER_SEC < 5);
	addr_list_free(&l);
	buf_free(&b);
}

static void
fill_with(struct buf *b, const char *what, size_t size)
{
	buf_reset(b);
	while (b->len < size)
		buf_adds(b, what);
}

/* A megabyte of what could make a parser go back, or down. */
static void
test_hostile_repetition_is_linear(void **state)
{
	static const char *const bits[] = { "(", "(x)", "\\", "\"", "\"\"", "<",
		"<a", ".", ". ", "a. ", "\"a\".", "@", "@a,", "a ", "[", "[x] ",
		":", "g:", "g:;", "\r\n ", "(a", "a(x).", "<@a,", "a@b.(", ",",
		"\xff", "\xc3\xb6.", "a@b. " };
	struct buf b = { 0 };
	clock_t begun = clock();
	size_t i;
	char *got;

	(void)state;
	for (i = 0; i < sizeof bits / sizeof *bits; i++) {
		fill_with(&b, bits[i], 1 << 20);
		got = outcome(b.p, b.len, "d.test");
		free(got);
	}
	assert_true((clock() - begun) / CLOCKS_PER_SEC < 20);
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_examples_of_rfc_5322_appendix_a),
		cmocka_unit_test(test_plain_lists),
		cmocka_unit_test(test_display_names_are_dropped),
		cmocka_unit_test(test_bare_names_are_completed),
		cmocka_unit_test(test_bare_names_want_a_usable_domain),
		cmocka_unit_test(test_quoted_local_parts_are_canonical),
		cmocka_unit_test(test_odd_dots_of_real_addresses_are_kept),
		cmocka_unit_test(test_groups),
		cmocka_unit_test(test_comments),
		cmocka_unit_test(test_folding),
		cmocka_unit_test(test_missing_commas_where_beyond_doubt),
		cmocka_unit_test(test_source_routes_are_dropped),
		cmocka_unit_test(test_domain_literals),
		cmocka_unit_test(test_lengths_up_to_the_limit),
		cmocka_unit_test(test_lengths_over_the_limit),
		cmocka_unit_test(test_controls_are_refused_in_an_address),
		cmocka_unit_test(test_angle_brackets_are_refused_in_an_address),
		cmocka_unit_test(test_doubtful_lists_are_refused),
		cmocka_unit_test(test_broken_addresses_are_refused),
		cmocka_unit_test(test_non_ascii_addresses),
		cmocka_unit_test(test_what_came_before_an_error_is_kept),
		cmocka_unit_test(test_every_prefix_is_survived),
		cmocka_unit_test(test_one_address),
		cmocka_unit_test(test_equal_addresses),
		cmocka_unit_test(test_domain_of_an_address),
		cmocka_unit_test(test_where_the_address_stands),
		cmocka_unit_test(test_bare_names_in_a_text_are_completed),
		cmocka_unit_test(test_duplicates_go_and_order_stays),
		cmocka_unit_test(test_many_addresses_take_no_time),
		cmocka_unit_test(test_hostile_repetition_is_linear),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
