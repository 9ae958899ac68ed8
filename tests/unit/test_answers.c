/* What sources of credentials answer: XML, JSON, dates; and a command line. */
#include "lib/aws/sources.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/aws/process.h"
#include "lib/aws/xml.h"
#include "lib/base/clock.h"

/* --- XML ------------------------------------------------------------------- */

struct xml_case {
	const char *text;
	int rc;
	const char *a, *b;	/* NULL: not there */
};

static const struct xml_case xml_cases[] = {
	{ "<x><Aa>1</Aa><Bb>2</Bb></x>", 0, "1", "2" },
	{ "<?xml version=\"1.0\"?>\n<x y=\"z\">\n <Aa>1 2</Aa>\n</x>", 0,
	    "1 2", NULL },
	{ "<x><Aa></Aa></x>", 0, "", NULL },
	{ "<x><Aa>&lt;&amp;</Aa></x>", 0, "&lt;&amp;", NULL },
	{ "", 0, NULL, NULL },
	{ "<html>Aa</html>", 0, NULL, NULL },
	{ "<Aaa>1</Aaa>", 0, NULL, NULL },
	{ "<Aa>1", -1, NULL, NULL },
	{ "<Aa>1</A", -1, NULL, NULL },
	{ "1</Aa>", -1, NULL, NULL },
	{ "</Aa><Aa>", -1, NULL, NULL },
	{ "<Aa>1</Aa><Aa>2</Aa>", -1, NULL, NULL },
	{ "<Aa>1<Aa>2</Aa></Aa>", -1, NULL, NULL },
	{ "<Aa>1<Bb>2</Bb></Aa>", -1, NULL, NULL },
	{ "<Aa>1</Bb><Bb>2</Aa>", -1, NULL, NULL },
	{ "<Aa><!-- 1 -->2</Aa>", -1, NULL, NULL }
};

static void
assert_item(const struct ini_item *item, const char *want, const char *text)
{
	if (item->found != (want != NULL) ||
	    strcmp(buf_str(&item->value), want ? want : "") != 0)
		fail_msg("%s: %s is \"%s\"", text, item->key,
		    buf_str(&item->value));
}

static void
elements_are_found_when_they_are_well_formed(void **state)
{
	const struct xml_case *c;
	size_t i;
	int rc;

	(void)state;
	for (i = 0; i < sizeof xml_cases / sizeof xml_cases[0]; i++) {
		struct ini_item items[] = { { .key = "Aa" }, { .key = "Bb" } };

		c = &xml_cases[i];
		rc = xml_read(c->text, items, 2);
		if (rc != c->rc)
			fail_msg("%s: %d", c->text, rc);
		if (rc == 0) {
			assert_item(&items[0], c->a, c->text);
			assert_item(&items[1], c->b, c->text);
		}
		buf_wipe(&items[0].value);
		buf_wipe(&items[1].value);
	}
}

/* --- command lines --------------------------------------------------------- */

struct split_case {
	const char *line;
	const char *words[8];
	int rc;
};

/* As Python's shlex.split. */
static const struct split_case split_cases[] = {
	{ "a", { "a" }, 0 },
	{ "  a \t b\n", { "a", "b" }, 0 },
	{ "a 'b  c' \"d e\" f\\ g", { "a", "b  c", "d e", "f g" }, 0 },
	{ "a ''", { "a", "" }, 0 },
	{ "a'b'\"c\"d", { "abcd" }, 0 },
	{ "'a\\'", { "a\\" }, 0 },
	{ "\"a\\\"b\\\\c\\d\"", { "a\"b\\c\\d" }, 0 },
	{ "\"'\" '\"'", { "'", "\"" }, 0 },
	{ "a #b $c *", { "a", "#b", "$c", "*" }, 0 },
	{ "a\\\\b", { "a\\b" }, 0 },
	{ "", { NULL }, -1 },
	{ " ", { NULL }, -1 },
	{ "a 'b", { NULL }, -1 },
	{ "a \"b", { NULL }, -1 },
	{ "a \"b\\\"", { NULL }, -1 },
	{ "a\\", { NULL }, -1 },
	{ "1 2 3 4 5 6 7", { "1", "2", "3", "4", "5", "6", "7" }, 0 },
	{ "1 2 3 4 5 6 7 8", { NULL }, -1 }
};

static void
lines_are_split_as_a_shell_would(void **state)
{
	const struct split_case *c;
	char *argv[8], *line;
	size_t i, k;

	(void)state;
	for (i = 0; i < sizeof split_cases / sizeof split_cases[0]; i++) {
		c = &split_cases[i];
		line = mem_dup(c->line, strlen(c->line));
		assert_non_null(line);
		if (process_split(line, argv, 8) != c->rc)
			fail_msg("%s", c->line);
		for (k = 0; c->rc == 0 && c->words[k] != NULL; k++)
			assert_string_equal(argv[k], c->words[k]);
		if (c->rc == 0)
			assert_null(argv[k]);
		free(line);
	}
}

/* --- dates ----------------------------------------------------------------- */

static const struct { const char *text; long long t; } dates[] = {
	{ "1970-01-01T00:00:00Z", 0 },
	{ "2026-11-24T15:37:56Z", 1795534676 },
	{ "2026-11-24T15:37:56.123456Z", 1795534676 },
	{ "2026-11-24T15:37:56+00:00", 1795534676 },
	{ "2026-11-24T16:37:56+01:00", 1795534676 },
	{ "2026-11-24T12:07:56-03:30", 1795534676 },
	{ "2026-11-24T12:07:56.5-03:30", 1795534676 },
	{ "2026-11-24T15:37:56", -1 },
	{ "2026-11-24T15:37:56z", -1 },
	{ "2026-11-24T15:37:56+0100", -1 },
	{ "2026-11-24T15:37:56+01:0", -1 },
	{ "2026-11-24T15:37:56Zulu", -1 },
	{ "2026-11-24 15:37:56Z", -1 },
	{ "2026-11-24T15:37", -1 },
	{ "2026-13-24T15:37:56Z", -1 },
	{ "2026-11-24T15:37:+6Z", -1 },
	{ "", -1 }, { "soon", -1 }
};

static void
dates_are_rfc_3339_s(void **state)
{
	time_t t;
	size_t i;
	int rc;

	(void)state;
	for (i = 0; i < sizeof dates / sizeof dates[0]; i++) {
		rc = clock_parse_iso(dates[i].text, &t);
		if (rc != (dates[i].t < 0 ? -1 : 0) ||
		    (rc == 0 && t != dates[i].t))
			fail_msg("%s: %d %lld", dates[i].text, rc,
			    (long long)t);
	}
}

static void
new_ones_are_due_five_minutes_before_the_end(void **state)
{
	struct credentials c = { .expires = 0 };

	(void)state;
	assert_true(credentials_renew_at(&c, 1000) == INT64_MAX);
	c.expires = 10000;
	assert_int_equal(credentials_renew_at(&c, 1000), 9700);
	assert_int_equal(credentials_renew_at(&c, 9640), 9700);
	assert_int_equal(credentials_renew_at(&c, 9800), 9860);
	assert_int_equal(credentials_renew_at(&c, 20000), 20060);
}

/* --- JSON ------------------------------------------------------------------ */

static const struct { const char *text, *token, *why; } json_cases[] = {
	{ "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"B\",\"Token\":\"C\","
	    "\"Expiration\":\"2026-11-24T15:37:56Z\",\"Code\":\"Success\"}",
	    "Token", NULL },
	{ "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"B\",\"Version\":1}",
	    "SessionToken", NULL },
	{ "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"B\",\"Version\":1,"
	    "\"SessionToken\":null,\"Expiration\":null}", "SessionToken",
	    NULL },
	{ "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"B\"}", "Token",
	    "SessionToken of us is empty" },
	{ "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"B\"}", "SessionToken",
	    "us: Version is not 1" },
	{ "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"B\",\"Version\":\"1\"}",
	    "SessionToken", "us: Version is not 1" },
	{ "{\"Code\":\"Failed\",\"Message\":\"no\\nway\"}", "Token",
	    "us: Failed: no?way" },
	{ "{\"Code\":\"Failed\"}", "Token", "us: Failed" },
	{ "{\"AccessKeyId\":1,\"SecretAccessKey\":\"B\"}", "Token",
	    "AccessKeyId of us is missing" },
	{ "{\"AccessKeyId\":\"A B\",\"SecretAccessKey\":\"B\"}", "Token",
	    "AccessKeyId of us holds a blank, a control character or one that "
	    "is not ASCII" },
	{ "", "Token", "us gave no JSON" },
	{ "{", "Token", "us gave no JSON" },
	{ "null", "Token", "AccessKeyId of us is missing" }
};

static void
json_answers_are_checked(void **state)
{
	struct credentials c;
	struct result res;
	struct finder f = { .c = &c, .res = &res };
	size_t i;
	enum found ret;

	(void)state;
	for (i = 0; i < sizeof json_cases / sizeof json_cases[0]; i++) {
		c = (struct credentials){ .source = "us" };
		sha256_init(&f.recipe);
		ret = take_json(&f, json_cases[i].text,
		    strlen(json_cases[i].text), json_cases[i].token);
		if (json_cases[i].why == NULL) {
			assert_int_equal(ret, FOUND);
			assert_string_equal(c.access_key_id, "A");
			assert_string_equal(c.secret_access_key, "B");
			assert_true(c.expires == (c.session_token ?
			    1795534676 : 0));
		} else {
			assert_int_equal(ret, FAILED);
			assert_string_equal(res.text +
			    sizeof "AWS credentials: " - 1,
			    json_cases[i].why);
		}
		credentials_free(&c);
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(elements_are_found_when_they_are_well_formed),
		cmocka_unit_test(lines_are_split_as_a_shell_would),
		cmocka_unit_test(dates_are_rfc_3339_s),
		cmocka_unit_test(new_ones_are_due_five_minutes_before_the_end),
		cmocka_unit_test(json_answers_are_checked)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
