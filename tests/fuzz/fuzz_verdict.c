/*
 * SES's error bodies, through whole calls over a connection that says what the
 * input holds. DONE only after a 2xx; PERM only after a 4xx; what may have been
 * taken goes to no other route.
 */
#define _GNU_SOURCE	/* memmem */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/aws/verdict.h"
#include "ses.h"
#include "tests/fuzz/fuzz.h"

#define MESSAGE "Subject: x\r\n\r\nhi\r\n"

enum { RCPTS = 3 };

static void
check_verdict(int status, const char *code, const char *text, bool whole)
{
	struct result res;
	enum remedy r = verdict(status, code, text, whole, &res);

	CHECK(res.outcome == OUT_TEMP || res.outcome == OUT_PERM);
	CHECK(res.outcome == OUT_TEMP || (status >= 400 && status < 500) ||
	    *code);
	CHECK(res.code == status && is_clean(res.text));
	CHECK(r <= REMEDY_WAIT);
	CHECK(status < 500 || !whole || *code || !result_may_fail_over(&res));
}

/* Did the peer say the beginning of such a reply? */
static bool
said(const struct peer *p, char digit)
{
	char start[] = "HTTP/1.1 ?", old[] = "HTTP/1.0 ?";
	const char *text = buf_str(&p->said);

	start[9] = old[9] = digit;
	return memmem(text, p->said.len, start, 10) ||
	    memmem(text, p->said.len, old, 10);
}

static void
check_result(const struct peer *p, const struct result *res)
{
	CHECK(res->outcome != OUT_DONE || said(p, '2'));
	CHECK(res->outcome != OUT_PERM || said(p, '4'));
	CHECK(res->outcome != OUT_DONE || (res->code >= 200 &&
	    res->code < 300));
	CHECK(is_clean(res->text) && *res->text);
	CHECK(res->outcome != OUT_DONE || !result_may_fail_over(res));
	CHECK(strstr(res->text, "wJalr") == NULL ||
	    memmem(p->said.p, p->said.len, "wJalr", 5));
}

static void
call(const struct input *in, unsigned how)
{
	static char name[] = "ses", region[] = "eu-west-1", id[] = "AKIDEXAMPLE",
	    endpoint[] = "http://127.0.0.1:1", key[] = "wJalrXUtnEXAMPLEKEY",
	    from[] = "f@x.example", to[RCPTS][12] = { "a@y.example",
	    "b@y.example", "c@y.example" };
	struct route r = { .type = ROUTE_SES, .name = name, .region = region,
		.endpoint = endpoint, .credentials = CRED_STATIC,
		.access_key_id = id, .secret_access_key.value = key };
	struct config c = { 0 };
	struct log log = { .target = LOG_TO_NONE };
	struct message m = { .env.from = from };
	struct rcpt rcpts[RCPTS] = { 0 }, *list[RCPTS];
	struct peer p = { .in = *in, .silent = how & 1 };
	struct stream s = { 0 };
	struct ses *ses = ses_open(&r, &c, NULL, &log);
	size_t i;

	for (i = 0; i < RCPTS; i++) {
		rcpts[i].addr = to[i];
		list[i] = &rcpts[i];
	}
	m.spool.fd = file_of(MESSAGE, sizeof MESSAGE - 1);
	m.spool.size = sizeof MESSAGE - 1;
	peer_open(&p, &s);
	ses_adopt(ses, &s);
	ses_deliver(ses, &m, list, how & 2 ? RCPTS : 1);
	for (i = 0; i < (how & 2 ? RCPTS : 1); i++)
		check_result(&p, &rcpts[i].res);
	ses_close(ses);
	peer_free(&p);
	close(m.spool.fd);
}

/* A letter, then the HTTP replies; as a verdict: status, code, text by lines. */
FUZZ(verdict)
{
	unsigned how = in_byte(in);
	char *code, *text;
	int status;

	if (!(how & 4)) {
		call(in, how);
		return;
	}
	status = (int)(300 + (in_byte(in) + in_byte(in)) % 300);
	code = in_line(in);
	text = in_text(in);
	check_verdict(status, code, text, how & 1);
	free(code);
	free(text);
}
