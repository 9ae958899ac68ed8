/* JSON that is written, read by another reader. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <cJSON.h>

#include "lib/base/json.h"

static void
separates(void **state)
{
	struct buf b = { 0 };

	(void)state;
	buf_addc(&b, '{');
	json_text(&b, "a", "x");
	json_number(&b, "n", INT64_MIN);
	json_key(&b, "list");
	buf_addc(&b, '[');
	json_text(&b, NULL, "[");
	json_text(&b, NULL, "{");
	json_number(&b, NULL, 0);
	buf_adds(&b, "]}");
	assert_string_equal(buf_str(&b), "{\"a\":\"x\","
	    "\"n\":-9223372036854775808,\"list\":[\"[\",\"{\",0]}");
	buf_free(&b);
	json_text(&b, NULL, "");
	assert_string_equal(buf_str(&b), "\"\"");
	buf_free(&b);
}

/* Each byte that may stand in a string comes back. */
static void
escapes(void **state)
{
	char text[130] = "";
	struct buf b = { 0 };
	cJSON *read;
	int c;

	(void)state;
	for (c = 1; c < 128; c++)
		text[c - 1] = (char)c;
	json_text(&b, NULL, text);
	for (c = 0; c < (int)b.len; c++)
		assert_true(b.p[c] >= 0x20);
	read = cJSON_Parse(buf_str(&b));
	assert_non_null(read);
	assert_string_equal(cJSON_GetStringValue(read), text);
	cJSON_Delete(read);
	buf_reset(&b);
	json_text(&b, NULL, "\x1f\"\\/\n\xc3\xa4");
	assert_string_equal(buf_str(&b),
	    "\"\\u001f\\\"\\\\/\\u000a\xc3\xa4\"");
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(separates),
		cmocka_unit_test(escapes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
