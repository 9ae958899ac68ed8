/* The grammar of the configuration: lines, quotes, comments, sections. */
#include "lib/config/parse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/buf.h"
#include "tests/unit/conf.h"

/* `keyword`, which ends in user, with the value `written` means `want`. */
static void
value_is(const char *keyword, const char *written, const char *want)
{
	struct config c;
	struct buf b = { 0 };

	buf_addf(&b, SMTP "password x\n%s %s\n", keyword, written);
	conf_accepted(&c, buf_str(&b));
	assert_string_equal(c.routes[0].user, want);
	config_free(&c);
	buf_free(&b);
}

static void
test_values_are_bare_or_quoted(void **state)
{
	(void)state;
	value_is("user", "alice", "alice");
	value_is("user", "\t alice \t", "alice");
	value_is("user", "\"a b\"", "a b");
	value_is("user", "\"a \\\"b\\\" \\\\c\"", "a \"b\" \\c");
	value_is("user", "\"a\" ", "a");
	value_is("user", "a\\b", "a\\b");
	value_is("user", "\"\xc3\xa4\"", "\xc3\xa4");
	value_is("user", "'a'", "'a'");
	value_is("  user", "indented", "indented");
}

static void
test_comments(void **state)
{
	(void)state;
	value_is("user", "a#b", "a#b");
	value_is("user", "a #b", "a");
	value_is("user", "a\t# b c \"", "a");
	value_is("user", "\"a # b\"", "a # b");
	value_is("user", "\"a\" # \"b\"", "a");
	value_is("# user nobody\n\t # x\n#\n\nuser", "a", "a");
}

static void
test_line_ends(void **state)
{
	struct config c;

	(void)state;
	conf_accepted(&c, "route r\r\n\r\ntype smtp\r\nhost h.example\r\n"
	    "user \"u v\"\r\npassword p\r\nsender *");
	assert_string_equal(c.routes[0].host, "h.example");
	assert_string_equal(c.routes[0].user, "u v");
	assert_string_equal(c.routes[0].password.value, "p");
	assert_int_equal(c.routes[0].line, 2);
	config_free(&c);
	/* A line end is CR LF or LF, nothing else. */
	conf_refused("hostname a\r\r\n", "1: control character 0x0D; expected text");
	conf_refused("hostname a\rdomain b\n",
	    "1: control character 0x0D; expected text");
}

static void
test_a_byte_order_mark_is_passed_over(void **state)
{
	struct config c;
	struct result res;

	(void)state;
	assert_int_equal(config_parse(&c, "f", "\xEF\xBB\xBFhostname a.b", &res),
	    0);
	assert_string_equal(c.hostname, "a.b");
	config_free(&c);
	conf_refused("\n\xEF\xBB\xBFhostname a.b", "2: '\xEF\xBB\xBFhostname' is no "
	    "keyword; expected one of sendroute.conf(5)");
}

static void
test_grammar_errors(void **state)
{
	static const struct conf_bad cases[] = {
		{ "colour red\n", "1: 'colour' is no keyword; expected one of "
		    "sendroute.conf(5)" },
		{ "\n\nHOSTNAME a\n", "3: 'HOSTNAME' is no keyword; expected "
		    "one of sendroute.conf(5)" },
		{ "hostnam a\n", "1: 'hostnam' is no keyword; expected one of "
		    "sendroute.conf(5)" },
		{ "hostname=a\n", "1: 'hostname=a' is no keyword; expected one "
		    "of sendroute.conf(5)" },
		{ "hostname\"a\"\n", "1: 'hostname\"a\"' is no keyword; "
		    "expected one of sendroute.conf(5)" },
		{ D60 D10 " x\n", "1: '" D60 "' is no keyword; expected one of "
		    "sendroute.conf(5)" },
		{ "host a\n", "1: 'host' outside of a route; expected a line "
		    "'route NAME' before it" },
		{ "type smtp\n", "1: 'type' outside of a route; expected a "
		    "line 'route NAME' before it" },
		{ "route a\nhostname b\n", "2: 'hostname' in route a is not a "
		    "route's; expected it before the first route" },
		{ "hostname\n", "1: 'hostname' has no value; " IS_DOMAIN },
		{ "hostname \t \n", "1: 'hostname' has no value; " IS_DOMAIN },
		{ "hostname # a\n", "1: 'hostname' has no value; " IS_DOMAIN },
		{ "hostname", "1: 'hostname' has no value; " IS_DOMAIN },
		{ "hostname \"\"\n", "1: hostname '' is empty; " IS_DOMAIN },
		{ "hostname a b\n", "1: text behind the value of 'hostname'; "
		    "expected one value, in \"quotes\" when it holds blanks" },
		{ "hostname \"a\"b\n", "1: text behind the value of 'hostname'; "
		    "expected one value, in \"quotes\" when it holds blanks" },
		{ "hostname \"a\" b\n", "1: text behind the value of "
		    "'hostname'; expected one value, in \"quotes\" when it "
		    "holds blanks" },
		{ "hostname \"a\"# b\n", "1: text behind the value of "
		    "'hostname'; expected one value, in \"quotes\" when it "
		    "holds blanks" },
		{ "\nhostname \"a\n", "2: the value of 'hostname' has no "
		    "closing quote; expected it on the same line" },
		{ "hostname \"a\\\"\n", "1: the value of 'hostname' has no "
		    "closing quote; expected it on the same line" },
		{ "hostname \"a\\", "1: the value of 'hostname' has no "
		    "closing quote; expected it on the same line" },
		{ "hostname \"\n", "1: the value of 'hostname' has no "
		    "closing quote; expected it on the same line" },
		{ "hostname \"a\\n\"\n", "1: a backslash in the value of "
		    "'hostname'; expected \\\\ or \\\" in quotes" },
		{ "hostname a\"b\"\n", "1: a quote within the value of "
		    "'hostname'; expected quotes around the whole value, with "
		    "\\\" for one inside" },
		{ "hostname a\nhostname b\n", "2: 'hostname' is given again; "
		    "expected it once, and line 1 has it" },
		{ SMTP "port 1\nport 1\n", "6: 'port' is given again; expected "
		    "it once, and line 5 has it" },
		{ "hostname a\001\n", "1: control character 0x01; expected "
		    "text" },
		{ "# a\177\n", "1: control character 0x7F; expected text" },
		{ "# a\n#\v\n", "2: control character 0x0B; expected text" },
	};

	(void)state;
	CONF_ALL_REFUSED(cases);
}

static void
test_a_keyword_of_two_scopes_is_no_duplicate(void **state)
{
	struct config c;

	(void)state;
	conf_accepted(&c, "ca-file /one\n" SMTP "ca-file /two\n"
	    "route q\ntype smtp\nhost h\nsender *\n");
	assert_string_equal(c.ca_file, "/one");
	assert_string_equal(c.routes[0].ca_file, "/two");
	assert_string_equal(c.routes[1].ca_file, "/one");
	config_free(&c);
}

static void
test_a_long_file_name_leaves_room_for_the_reason(void **state)
{
	char name[1000];
	struct config c;
	struct result res;

	(void)state;
	memset(name, 'n', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	assert_int_equal(config_parse(&c, name, "max-size 1\n", &res), -1);
	assert_non_null(strstr(res.text, "nn:1: max-size '1' is out of range; "
	    IS_SIZE));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values_are_bare_or_quoted),
		cmocka_unit_test(test_comments),
		cmocka_unit_test(test_line_ends),
		cmocka_unit_test(test_a_byte_order_mark_is_passed_over),
		cmocka_unit_test(test_grammar_errors),
		cmocka_unit_test(test_a_keyword_of_two_scopes_is_no_duplicate),
		cmocka_unit_test(
		    test_a_long_file_name_leaves_room_for_the_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
