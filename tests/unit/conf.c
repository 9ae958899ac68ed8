#include "tests/unit/conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/buf.h"

void
conf_refused(const char *in, const char *text)
{
	static const struct config empty;
	struct config c;
	struct result res;
	char want[600];

	snprintf(want, sizeof want, "f:%s", text);
	memset(&c, 0xff, sizeof c);
	memset(&res, 0xff, sizeof res);
	if (config_parse(&c, "f", in, &res) == 0)
		fail_msg("accepted: %s", in);
	assert_string_equal(res.text, want);
	assert_int_equal(res.exit, EXIT_CONFIGURATION);
	assert_int_equal(res.outcome, OUT_TEMP);
	assert_memory_equal(&c, &empty, sizeof c);
	config_free(&c);
}

void
conf_all_refused(const struct conf_bad *t, size_t n)
{
	for (; n > 0; n--, t++)
		conf_refused(t->in, t->text);
}

void
conf_accepted(struct config *c, const char *in)
{
	struct buf b = { 0 };
	struct result res;

	buf_addf(&b, "hostname h.example.org\n%s", in);
	if (config_parse(c, "f", buf_str(&b), &res) != 0)
		fail_msg("%s\nfor: %s", res.text, in);
	buf_free(&b);
}
