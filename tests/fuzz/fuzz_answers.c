/*
 * What IMDS, containers, STS and a credential_process answer: keys come out whole
 * and printable or not at all, and no secret stands in a failure's text.
 */
#define _GNU_SOURCE	/* memmem */
#include <stdlib.h>
#include <string.h>

#include "lib/aws/sources.h"
#include "lib/aws/xml.h"
#include "lib/base/clock.h"
#include "tests/fuzz/fuzz.h"

static void
check_key(const char *p)
{
	CHECK(p != NULL && *p != '\0');
	for (; *p; p++)
		CHECK(*p > ' ' && *p <= '~');
}

static void
check(enum found got, const struct credentials *c, const struct result *res)
{
	if (got == FOUND) {
		check_key(c->access_key_id);
		check_key(c->secret_access_key);
		if (c->session_token)
			check_key(c->session_token);
	} else {
		CHECK(got == FAILED);
		CHECK(*res->text && is_clean(res->text));
		/* A date that is none is shown. */
		CHECK(strstr(res->text, "SeCrEt") == NULL ||
		    strstr(res->text, "is no date"));
	}
}

static void
json(struct finder *f, const struct input *in, const char *token)
{
	unsigned char *text = in_copy(in);
	enum found got;

	credentials_free(f->c);
	set_source(f, "%s%s", "here", "");
	got = take_json(f, (char *)text, in->n, token);
	/* What a service says of its failure is repeated. */
	if (got == FOUND || !memmem(text, in->n, "\"Code", 5))
		check(got, f->c, f->res);
	CHECK(got != FOUND || *token != 'T' || f->c->session_token);
	free(text);
}

static void
xml(struct finder *f, struct input in)
{
	struct ini_item items[6] = { 0 };
	const char *name = answer_names;
	char *text = in_text(&in);
	int i;

	for (i = 0; i < 6; i++, name += strlen(name) + 1)
		items[i].key = name;
	credentials_free(f->c);
	if (xml_read(text, items, 6) == 0) {
		for (i = 0; i < 6; i++) {
			CHECK(strchr(buf_str(&items[i].value), '<') == NULL);
			CHECK(items[i].found || items[i].value.len == 0);
		}
		set_source(f, "%s%s", "STS", "");
		check(take_keys(f, answer_names, buf_str(&items[0].value),
		    buf_str(&items[1].value), buf_str(&items[2].value)), f->c,
		    f->res);
	}
	for (i = 0; i < 6; i++)
		buf_wipe(&items[i].value);
	free(text);
}

/* A date that is understood is the same when it is written again. */
static void
dates(struct input in)
{
	char *text = in_text(&in), again[CLOCK_TEXT_SIZE];
	time_t t, u;

	if (clock_parse_iso(text, &t) == 0 && t >= 0 && t < 253402300800) {
		clock_log(again, t);
		CHECK(clock_parse_iso(again, &u) == 0 && u == t);
	}
	clock_parse_http(text, &u);
	free(text);
}

FUZZ(answers)
{
	struct log log = { .target = LOG_TO_NONE };
	struct route r = { .type = ROUTE_SES };
	struct aws a = { .route = &r, .log = &log };
	struct credentials c = { 0 };
	struct result res = { 0 };
	struct finder f = { .a = &a, .c = &c, .res = &res };

	sha256_init(&f.recipe);
	json(&f, in, "SessionToken");
	json(&f, in, "Token");
	xml(&f, *in);
	dates(*in);
	credentials_free(&c);
	buf_free(&f.answers);
}
