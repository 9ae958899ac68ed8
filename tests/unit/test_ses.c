/* The SES transport: its body generator, its error table, and whole calls. */
#define _GNU_SOURCE	/* memfd_create */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/aws/backoff.h"
#include "lib/aws/email.h"
#include "lib/aws/verdict.h"
#include "lib/base/base64.h"
#include "ses.h"
#include "tests/unit/script.h"

/* In place of the C library's: nobody waits. */
static int64_t slept[8];
static unsigned nslept;
static bool disturbed;

int
nanosleep(const struct timespec *t, struct timespec *left)
{
	assert_null(left);
	assert_in_range(t->tv_nsec, 0, 999999999);
	assert_true(nslept < 8);
	slept[nslept++] = (int64_t)t->tv_sec * 1000 + t->tv_nsec / 1000000;
	return disturbed ? -1 : 0;
}

static void
fill_spool(struct spool *sp, const void *data, size_t n)
{
	sp->fd = memfd_create("message", 0);
	sp->size = (off_t)n;
	assert_int_equal(write(sp->fd, data, n), n);
}

static int
collect(void *ctx, const void *data, size_t n)
{
	buf_add(ctx, data, n);
	return 0;
}

static void
check_body(size_t n)
{
	struct spool sp = { 0 };
	struct buf got = { 0 };
	unsigned char *data = malloc(n + 1), *back = malloc(n + 4);
	static const char before[] = "{\"Content\":{\"Raw\":{\"Data\":\"";
	const size_t k = sizeof before - 1;
	size_t i;

	for (i = 0; i < n; i++)
		data[i] = (unsigned char)(i * 7 + n);
	fill_spool(&sp, data, n);
	assert_int_equal(email_write(&sp, ">>", collect, &got), 0);
	assert_int_equal(got.len, BASE64_SIZE(n) + k + 2);
	assert_memory_equal(got.p, before, k);
	assert_memory_equal(got.p + got.len - 2, ">>", 2);
	assert_int_equal(base64_decode(back, n + 3, got.p + k,
	    got.len - k - 2), n);
	if (n > 0)
		assert_memory_equal(back, data, n);
	close(sp.fd);
	buf_free(&got);
	free(data);
	free(back);
}

static void
body_at_every_size_that_matters(void **state)
{
	size_t n, edge;

	(void)state;
	for (n = 0; n <= 10; n++)
		check_body(n);
	for (edge = 24576; edge <= 3 * 24576; edge += 24576)
		for (n = edge - 4; n <= edge + 4; n++)
			check_body(n);
}

static int
refuse_second(void *ctx, const void *data, size_t n)
{
	int *calls = ctx;

	(void)data;
	(void)n;
	return ++*calls == 2 ? 1 : 0;
}

static void
body_ends_with_the_sink_or_the_spool(void **state)
{
	struct spool sp = { 0 };
	struct buf got = { 0 };
	int calls = 0;

	(void)state;
	fill_spool(&sp, "abc", 3);
	assert_int_equal(email_write(&sp, ">", refuse_second, &calls), 1);
	assert_int_equal(calls, 2);
	sp.size = 4;	/* the file is shorter than it should be */
	assert_int_equal(email_write(&sp, ">", collect, &got), -2);
	close(sp.fd);
	buf_free(&got);
}

/* The errors of the SES v2 API and what is made of each. */
static const struct {
	int status;
	const char *code, *text;
	bool sent;
	enum outcome outcome;
	enum cause cause;
	bool fail_over;
	enum remedy remedy;
} table[] = {
	{ 429, "TooManyRequestsException", "", true, OUT_TEMP, CAUSE_ROUTE, true, REMEDY_LATER },
	{ 400, "TooManyRequestsException", "", true, OUT_TEMP, CAUSE_ROUTE, true, REMEDY_LATER },
	{ 400, "Throttling", "Maximum sending rate exceeded.", true, OUT_TEMP, CAUSE_ROUTE, true, REMEDY_LATER },
	{ 400, "ThrottlingException", "", true, OUT_TEMP, CAUSE_ROUTE, true, REMEDY_LATER },
	{ 400, "RequestThrottledException", "", true, OUT_TEMP, CAUSE_ROUTE, true, REMEDY_LATER },
	{ 400, "LimitExceededException", "", true, OUT_TEMP, CAUSE_ROUTE, true, REMEDY_WAIT },
	{ 400, "SendingPausedException", "", true, OUT_TEMP, CAUSE_OPERATOR, true, REMEDY_WAIT },
	{ 400, "AccountSuspendedException", "", true, OUT_TEMP, CAUSE_OPERATOR, true, REMEDY_WAIT },
	{ 400, "MessageRejected", "Email address is not verified. The following identities failed the check in region EU-WEST-1: a@x", true, OUT_TEMP, CAUSE_OPERATOR, true, REMEDY_NONE },
	{ 400, "MessageRejected", "Sending paused for this account.", true, OUT_TEMP, CAUSE_OPERATOR, true, REMEDY_WAIT },
	{ 400, "MessageRejected", "Sending suspended for this account.", true, OUT_TEMP, CAUSE_OPERATOR, true, REMEDY_WAIT },
	{ 400, "AccountSendingPausedException", "", true, OUT_TEMP, CAUSE_OPERATOR, true, REMEDY_WAIT },
	{ 400, "IncompleteSignature", "", true, OUT_TEMP, CAUSE_OPERATOR, true, REMEDY_NONE },
	{ 400, "NotAuthorized", "", true, OUT_TEMP, CAUSE_OPERATOR, true, REMEDY_NONE },
	{ 400, "MessageRejected", "Invalid email content: virus", true, OUT_PERM, CAUSE_CONTENT, false, REMEDY_NONE },
	{ 400, "MailFromDomainNotVerifiedException", "", true, OUT_TEMP, CAUSE_OPERATOR, true, REMEDY_NONE },
	{ 404, "NotFoundException", "Configuration set <x> does not exist.", true, OUT_TEMP, CAUSE_OPERATOR, true, REMEDY_NONE },
	{ 400, "BadRequestException", "", true, OUT_PERM, CAUSE_CONTENT, false, REMEDY_BISECT },
	{ 500, "InternalFailure", "", true, OUT_TEMP, CAUSE_ROUTE, false, REMEDY_NONE },
	{ 500, "InternalServiceErrorException", "", true, OUT_TEMP, CAUSE_ROUTE, false, REMEDY_NONE },
	{ 503, "ServiceUnavailable", "", true, OUT_TEMP, CAUSE_ROUTE, false, REMEDY_NONE },
	{ 503, "ServiceUnavailable", "", false, OUT_TEMP, CAUSE_ROUTE, true, REMEDY_LATER },
	{ 502, "", "", true, OUT_TEMP, CAUSE_ROUTE, false, REMEDY_NONE },
	{ 502, "", "", false, OUT_TEMP, CAUSE_ROUTE, true, REMEDY_LATER },
	{ 403, "ExpiredTokenException", "", true, OUT_TEMP, CAUSE_OPERATOR, true, REMEDY_CREDENTIALS },
	{ 403, "ExpiredToken", "", true, OUT_TEMP, CAUSE_OPERATOR, true, REMEDY_CREDENTIALS },
	{ 403, "UnrecognizedClientException", "", true, OUT_TEMP, CAUSE_OPERATOR, true, REMEDY_CREDENTIALS },
	{ 403, "InvalidClientTokenId", "", true, OUT_TEMP, CAUSE_OPERATOR, true, REMEDY_CREDENTIALS },
	{ 403, "InvalidSignatureException", "", true, OUT_TEMP, CAUSE_OPERATOR, true, REMEDY_CLOCK },
	{ 403, "SignatureDoesNotMatch", "", true, OUT_TEMP, CAUSE_OPERATOR, true, REMEDY_CLOCK },
	{ 400, "RequestExpired", "", true, OUT_TEMP, CAUSE_OPERATOR, true, REMEDY_CLOCK },
	{ 403, "RequestTimeTooSkewed", "", true, OUT_TEMP, CAUSE_OPERATOR, true, REMEDY_CLOCK },
	{ 403, "RequestInTheFuture", "", true, OUT_TEMP, CAUSE_OPERATOR, true, REMEDY_CLOCK },
	{ 403, "AccessDeniedException", "", true, OUT_TEMP, CAUSE_OPERATOR, true, REMEDY_NONE },
	/* Unknown codes: by status. */
	{ 401, "New", "", true, OUT_TEMP, CAUSE_OPERATOR, true, REMEDY_NONE },
	{ 403, "", "", true, OUT_TEMP, CAUSE_OPERATOR, true, REMEDY_NONE },
	{ 404, "", "", true, OUT_TEMP, CAUSE_OPERATOR, true, REMEDY_NONE },
	{ 408, "", "", true, OUT_TEMP, CAUSE_ROUTE, true, REMEDY_LATER },
	{ 429, "", "", true, OUT_TEMP, CAUSE_ROUTE, true, REMEDY_LATER },
	{ 413, "", "", true, OUT_PERM, CAUSE_CONTENT, false, REMEDY_NONE },
	{ 400, "New", "", true, OUT_PERM, CAUSE_CONTENT, false, REMEDY_NONE },
	{ 302, "", "", true, OUT_TEMP, CAUSE_OPERATOR, true, REMEDY_NONE }
};


static void
the_error_table(void **state)
{
	struct result res;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof table / sizeof table[0]; i++) {
		assert_int_equal(verdict(table[i].status, table[i].code,
		    table[i].text, table[i].sent, &res), table[i].remedy);
		assert_int_equal(res.outcome, table[i].outcome);
		assert_int_equal(res.cause, table[i].cause);
		assert_int_equal(result_may_fail_over(&res),
		    table[i].fail_over);
		assert_int_equal(res.code, table[i].status);
		assert_non_null(strstr(res.text, table[i].code));
		assert_non_null(strstr(res.text, table[i].text));
	}
}

/* --- whole calls --- */

enum { RCPTS_MAX = 60 };

struct delivery {
	struct route route;
	struct config config;
	struct log log;
	struct message m;
	struct rcpt rcpts[RCPTS_MAX];
	struct rcpt *list[RCPTS_MAX];
	struct script script;
	bool hurry;
};

static struct delivery *
new_delivery(size_t n)
{
	struct delivery *d = calloc(1, sizeof *d);
	char addr[40];
	size_t i;

	assert_non_null(d);
	d->route.type = ROUTE_SES;
	d->route.name = strdup("ses");
	d->route.region = strdup("eu-west-1");
	d->route.endpoint = strdup("http://127.0.0.1:1");
	d->route.credentials = CRED_STATIC;
	d->route.access_key_id = strdup("AKIDEXAMPLE");
	d->route.secret_access_key.value = strdup("wJalrXUtnFEMI/EXAMPLEKEY");
	d->log.target = LOG_TO_NONE;
	d->m.env.from = strdup("f@x.example");
	d->m.env.nrcpts = n;
	for (i = 0; i < n; i++) {
		snprintf(addr, sizeof addr, "r%zu@y.example", i);
		d->rcpts[i].addr = strdup(addr);
		d->list[i] = &d->rcpts[i];
	}
	fill_spool(&d->m.spool, "Subject: x\r\n\r\nhi\r\n", 18);
	return d;
}

static void
free_delivery(struct delivery *d)
{
	size_t i;

	close(d->m.spool.fd);
	free(d->route.name);
	free(d->route.region);
	free(d->route.endpoint);
	free(d->route.access_key_id);
	free(d->route.secret_access_key.value);
	free(d->route.configuration_set);
	free(d->route.from_arn);
	free(d->m.env.from);
	for (i = 0; i < d->m.env.nrcpts; i++)
		free(d->rcpts[i].addr);
	free(d);
}

static void
run(struct delivery *d, const struct script_step *steps,
    void (*turn)(struct script *p, size_t n), size_t n)
{
	struct ses *c = ses_open(&d->route, &d->config, NULL, &d->log);
	struct stream s;
	size_t i;

	for (i = 0; i < d->m.env.nrcpts; i++)
		memset(&d->rcpts[i].res, 0, sizeof d->rcpts[i].res);
	nslept = 0;
	if (d->hurry)
		ses_hurry(c);
	script_open(&d->script, &s, steps);
	if (turn)
		turn(&d->script, n);
	ses_adopt(c, &s);
	ses_deliver(c, &d->m, d->list, d->m.env.nrcpts);
	ses_close(c);
}

#define DATA "\"Content\":{\"Raw\":{\"Data\":\"U3ViamVjdDogeA0KDQpoaQ0K\"}}"
#define TAKEN "HTTP/1.1 200 OK\r\nContent-Length: 22\r\n\r\n" \
	"{\"MessageId\":\"0100-1\"}"
#define REFUSED "HTTP/1.1 400 Bad Request\r\nContent-Length: 30\r\n" \
	"x-amzn-ErrorType: BadRequestException:http://x/\r\n\r\n" \
	"{\"message\":\"Invalid address.\"}"

/* The value of a field of the request that was written. */
static void
field(const struct delivery *d, const char *name, char *out, size_t size)
{
	const char *p = strstr(buf_str(&d->script.wrote), name);

	assert_non_null(p);
	p += strlen(name);
	snprintf(out, size, "%.*s", (int)strcspn(p, "\r"), p);
}

static void
one_call_as_ses_wants_it(void **state)
{
	static const struct script_step steps[] = {
		HEARS("POST /v2/email/outbound-emails HTTP/1.1\r\n"
		    "Host: 127.0.0.1:1\r\nContent-Type: application/json\r\n"
		    "X-Amz-Date: "),
		HEARS_UNTIL("\r\n\r\n"),
		HEARS("{" DATA ",\"Destination\":{\"BccAddresses\":"
		    "[\"r0@y.example\",\"r1@y.example\"]},"
		    "\"FeedbackForwardingEmailAddress\":\"f@x.example\"}"),
		SAYS(TAKEN), STOP
	};
	struct delivery *d = new_delivery(2);
	char value[300];

	(void)state;
	run(d, steps, NULL, 0);
	script_check(&d->script);
	assert_int_equal(d->script.writes, 1);	/* head and body at once */
	field(d, "Content-Length: ", value, sizeof value);
	assert_int_equal(strtol(value, NULL, 10),
	    strlen(strstr(buf_str(&d->script.wrote), "\r\n\r\n") + 4));
	field(d, "Authorization: ", value, sizeof value);
	assert_memory_equal(value,
	    "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/", 40);
	assert_non_null(strstr(value, "/eu-west-1/ses/aws4_request, "
	    "SignedHeaders=content-type;host;x-amz-date, Signature="));
	assert_int_equal(d->rcpts[0].res.outcome, OUT_DONE);
	assert_int_equal(d->rcpts[1].res.outcome, OUT_DONE);
	assert_non_null(strstr(d->rcpts[1].res.text, "MessageId 0100-1"));
	script_free(&d->script);
	free_delivery(d);
}

static void
options_of_the_route(void **state)
{
	static const struct script_step steps[] = {
		HEARS_UNTIL("\r\n\r\n"),
		HEARS("{" DATA ",\"Destination\":{\"BccAddresses\":"
		    "[\"r0@y.example\"]},\"FeedbackForwardingEmailAddress\":"
		    "\"f@x.example\",\"FromEmailAddressIdentityArn\":"
		    "\"arn:aws:ses:eu-west-1:1:identity/example\","
		    "\"FeedbackForwardingEmailAddressIdentityArn\":"
		    "\"arn:aws:ses:eu-west-1:1:identity/example\","
		    "\"ConfigurationSetName\":\"cs\",\"EmailTags\":"
		    "[{\"Name\":\"a\",\"Value\":\"1\"}]}"),
		SAYS(TAKEN), STOP
	};
	struct delivery *d = new_delivery(1);
	char name[] = "a", value[] = "1";
	struct tag tag = { name, value };

	(void)state;
	d->route.configuration_set = strdup("cs");
	d->route.from_arn = strdup("arn:aws:ses:eu-west-1:1:identity/example");
	d->route.tags = &tag;
	d->route.ntags = 1;
	run(d, steps, NULL, 0);
	script_check(&d->script);
	assert_int_equal(d->rcpts[0].res.outcome, OUT_DONE);
	script_free(&d->script);
	free_delivery(d);
}

#define CALL(rcpts) HEARS_UNTIL("\r\n\r\n"), HEARS_UNTIL(DATA \
	",\"Destination\":{\"BccAddresses\":[" rcpts "]},"), HEARS_UNTIL("\"}")

/* One unusable address among four does not take the others with it. */
static void
a_bad_request_is_bisected(void **state)
{
	static const struct script_step steps[] = {
		CALL("\"r0@y.example\",\"r1@y.example\",\"r2@y.example\","
		    "\"r3@y.example\""), SAYS(REFUSED),
		CALL("\"r0@y.example\",\"r1@y.example\""), SAYS(TAKEN),
		CALL("\"r2@y.example\",\"r3@y.example\""), SAYS(REFUSED),
		CALL("\"r2@y.example\""), SAYS(REFUSED),
		CALL("\"r3@y.example\""), SAYS(TAKEN), STOP
	};
	struct delivery *d = new_delivery(4);
	size_t i;

	(void)state;
	run(d, steps, NULL, 0);
	script_check(&d->script);
	for (i = 0; i < 4; i++)
		assert_int_equal(d->rcpts[i].res.outcome,
		    i == 2 ? OUT_PERM : OUT_DONE);
	assert_non_null(strstr(d->rcpts[2].res.text,
	    "400 BadRequestException: Invalid address."));
	script_free(&d->script);
	free_delivery(d);
}

/* What one half was told must not be said of the other, which was taken. */
static void
a_bisected_batch_keeps_each_result(void **state)
{
	static const struct script_step steps[] = {
		CALL("\"r0@y.example\",\"r1@y.example\",\"r2@y.example\","
		    "\"r3@y.example\""), SAYS(REFUSED),
		CALL("\"r0@y.example\",\"r1@y.example\""),
		SAYS("HTTP/1.1 429 Slow\r\nContent-Length: 0\r\n"
		    "Retry-After: 21\r\n\r\n"),
		CALL("\"r2@y.example\",\"r3@y.example\""), SAYS(TAKEN), STOP
	};
	struct delivery *d = new_delivery(4);
	size_t i;

	(void)state;
	run(d, steps, NULL, 0);
	script_check(&d->script);
	for (i = 0; i < 4; i++)
		assert_int_equal(d->rcpts[i].res.outcome,
		    i < 2 ? OUT_TEMP : OUT_DONE);
	script_free(&d->script);
	free_delivery(d);
}

static void
fifty_recipients_a_call(void **state)
{
	static const struct script_step steps[] = {
		HEARS_UNTIL("\"r49@y.example\"]},"), HEARS_UNTIL("\"}"),
		SAYS(TAKEN),
		CALL("\"r50@y.example\",\"r51@y.example\""), SAYS(TAKEN), STOP
	};
	struct delivery *d = new_delivery(52);
	size_t i;

	(void)state;
	run(d, steps, NULL, 0);
	script_check(&d->script);
	for (i = 0; i < 52; i++)
		assert_int_equal(d->rcpts[i].res.outcome, OUT_DONE);
	script_free(&d->script);
	free_delivery(d);
}

static void
a_throttled_batch_spares_the_next(void **state)
{
	static const struct script_step steps[] = {
		HEARS_UNTIL("\"r49@y.example\"]},"), HEARS_UNTIL("\"}"),
		SAYS("HTTP/1.1 429 Slow\r\nContent-Length: 45\r\n"
		    "Retry-After: 21\r\n\r\n"
		    "{\"__type\":\"aws.x#TooManyRequestsException\"}  "), STOP
	};
	struct delivery *d = new_delivery(52);
	size_t i;

	(void)state;
	run(d, steps, NULL, 0);
	script_check(&d->script);
	for (i = 0; i < 52; i++) {
		assert_int_equal(d->rcpts[i].res.outcome, OUT_TEMP);
		assert_true(result_may_fail_over(&d->rcpts[i].res));
	}
	script_free(&d->script);
	free_delivery(d);
}

/* --- back-off --- */

#define PUT_OFF(fields) "HTTP/1.1 429 Slow\r\nContent-Length: 0\r\n" fields \
	"x-amzn-ErrorType: ThrottlingException\r\n\r\n"
#define ONE CALL("\"r0@y.example\"")

static void
put_off_and_taken(void **state)
{
	static const struct script_step steps[] = {
		ONE, SAYS(PUT_OFF("")), ONE,
		SAYS("HTTP/1.1 400 Bad\r\nContent-Length: 39\r\n\r\n"
		    "{\"__type\":\"a#TooManyRequestsException\"}"),
		ONE, SAYS(TAKEN), STOP
	};
	struct delivery *d = new_delivery(1);

	(void)state;
	run(d, steps, NULL, 0);
	script_check(&d->script);
	assert_int_equal(d->rcpts[0].res.outcome, OUT_DONE);
	assert_int_equal(nslept, 2);
	assert_in_range(slept[0], 0, 999);
	assert_in_range(slept[1], 0, 1999);
	script_free(&d->script);
	free_delivery(d);
}

static void
put_off_for_good(void **state)
{
	static const struct script_step steps[] = {
		ONE, SAYS(PUT_OFF("")), ONE, SAYS(PUT_OFF("")),
		ONE, SAYS(PUT_OFF("")), STOP
	};
	struct delivery *d = new_delivery(1);

	(void)state;
	run(d, steps, NULL, 0);
	script_check(&d->script);
	assert_int_equal(d->rcpts[0].res.outcome, OUT_TEMP);
	assert_true(result_may_fail_over(&d->rcpts[0].res));
	assert_int_equal(d->rcpts[0].res.after, 0);
	assert_int_equal(nslept, 2);
	script_free(&d->script);
	free_delivery(d);
}

/* What SES asks for is the least, up to what the caller bears. */
static void
as_long_as_ses_asks(void **state)
{
	static const struct script_step steps[] = {
		ONE, SAYS(PUT_OFF("Retry-After: 5\r\n")), ONE,
		SAYS(PUT_OFF("x-amz-retry-after: 14001\r\n")), ONE, SAYS(TAKEN),
		STOP
	};
	static const struct script_step too_long[] = {
		ONE, SAYS(PUT_OFF("Retry-After: 5\r\n")), ONE,
		SAYS(PUT_OFF("x-amz-retry-after: 15001\r\n")), STOP
	};
	static const struct script_step hurry[] = {
		ONE, SAYS(PUT_OFF("Retry-After: 3\r\n")), ONE, SAYS(TAKEN), STOP
	};
	static const struct script_step hurry_too_long[] = {
		ONE, SAYS(PUT_OFF("Retry-After: 4\r\n")), STOP
	};
	struct delivery *d = new_delivery(1);

	(void)state;
	run(d, steps, NULL, 0);
	script_check(&d->script);
	assert_int_equal(d->rcpts[0].res.outcome, OUT_DONE);
	assert_int_equal(nslept, 2);
	assert_int_equal(slept[0], 5000);
	assert_int_equal(slept[1], 14001);
	script_free(&d->script);
	run(d, too_long, NULL, 0);
	script_check(&d->script);
	assert_int_equal(d->rcpts[0].res.outcome, OUT_TEMP);
	assert_int_equal(d->rcpts[0].res.after, 16);
	assert_int_equal(nslept, 1);
	script_free(&d->script);
	d->hurry = true;
	run(d, hurry, NULL, 0);
	script_check(&d->script);
	assert_int_equal(d->rcpts[0].res.outcome, OUT_DONE);
	assert_int_equal(slept[0], 3000);
	script_free(&d->script);
	run(d, hurry_too_long, NULL, 0);
	script_check(&d->script);
	assert_int_equal(nslept, 0);
	assert_int_equal(d->rcpts[0].res.after, 4);
	script_free(&d->script);
	/* `timeout` is the most that a step may take. */
	d->hurry = false;
	d->config.timeout = 3;
	run(d, hurry_too_long, NULL, 0);
	script_check(&d->script);
	assert_int_equal(nslept, 0);
	script_free(&d->script);
	free_delivery(d);
}

static void
whoever_is_told_to_stop_stops(void **state)
{
	static const struct script_step steps[] = {
		ONE, SAYS(PUT_OFF("Retry-After: 5\r\n")), STOP
	};
	struct delivery *d = new_delivery(1);

	(void)state;
	disturbed = true;
	run(d, steps, NULL, 0);
	disturbed = false;
	script_check(&d->script);
	assert_int_equal(d->rcpts[0].res.outcome, OUT_TEMP);
	assert_int_equal(nslept, 1);
	script_free(&d->script);
	free_delivery(d);
}

/* After what may have been taken, and after what is no matter of time. */
static void
never_again_at_once(void **state)
{
	static const char *const replies[] = {
		"503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n",
		"500 Oops\r\nContent-Length: 0\r\n\r\n",
		"502 Bad\r\nx-amz-retry-after: 5\r\nContent-Length: 0\r\n\r\n",
		"400 Bad\r\nRetry-After: 1\r\nContent-Length: 0\r\n"
		    "x-amzn-ErrorType: LimitExceededException\r\n\r\n",
		"403 No\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n",
		"400 Bad\r\nRetry-After: 1\r\nContent-Length: 0\r\n"
		    "x-amzn-ErrorType: MessageRejected\r\n\r\n"
	};
	struct delivery *d = new_delivery(1);
	char said[200];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof replies / sizeof replies[0]; i++) {
		struct script_step steps[] = { ONE, SAYS(""), STOP };

		snprintf(said, sizeof said, "HTTP/1.1 %s", replies[i]);
		steps[3] = (struct script_step)SAYS_N(said, strlen(said));
		run(d, steps, NULL, 0);
		script_check(&d->script);
		assert_int_equal(nslept, 0);
		assert_int_equal(d->rcpts[0].res.certainly_not_taken, i >= 3);
		script_free(&d->script);
	}
	free_delivery(d);
}

/* Calls that send nothing: at most one a second, also after a 5xx. */
static void
questions_are_asked_again(void **state)
{
	static const struct script_step steps[] = {
		HEARS_UNTIL("\r\n\r\n"), SAYS(PUT_OFF("")),
		HEARS_UNTIL("\r\n\r\n"),
		SAYS("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"),
		HEARS_UNTIL("\r\n\r\n"),
		SAYS("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"), STOP
	};
	struct delivery *d = new_delivery(1);
	struct ses *c = ses_open(&d->route, &d->config, NULL, &d->log);
	struct http_reply reply;
	struct result res;
	struct stream s;

	(void)state;
	nslept = 0;
	script_open(&d->script, &s, steps);
	ses_adopt(c, &s);
	assert_int_equal(ses_call(c, "GET", "/v2/email/account", NULL, &reply,
	    &res), 0);
	assert_int_equal(reply.status, 200);
	http_reply_free(&reply);
	ses_close(c);
	script_check(&d->script);
	assert_int_equal(nslept, 2);
	assert_int_equal(slept[0], 1000);
	assert_in_range(slept[1], 1000, 1999);
	script_free(&d->script);
	free_delivery(d);
}

static void
what_a_reply_asks_for(void **state)
{
	/* now: 1000000000, Sun, 09 Sep 2001 01:46:40 GMT */
	static const struct { const char *fields[6]; int64_t ms; } all[] = {
		{ { NULL }, 0 },
		{ { "Retry-After", "7" }, 7000 },
		{ { "retry-after", "0" }, 0 },
		{ { "Retry-After", "-1" }, 0 }, { { "Retry-After", "1.5" }, 0 },
		{ { "Retry-After", "soon" }, 0 }, { { "Retry-After", "" }, 0 },
		{ { "Retry-After", "7 s" }, 0 },
		{ { "Retry-After", "14400" }, 14400000 },
		{ { "Retry-After", "14401" }, 14400000 },
		{ { "Retry-After", "4294967297" }, 14400000 },
		{ { "Retry-After", "99999999999999999999999" }, 14400000 },
		{ { "x-amz-retry-after", "1234" }, 1234 },
		{ { "x-amz-retry-after", "99999999999" }, 14400000 },
		{ { "X-Amz-Retry-After", "1500", "Retry-After", "1" }, 1500 },
		{ { "X-Amz-Retry-After", "1500", "Retry-After", "2" }, 2000 },
		{ { "Retry-After", "Sun, 09 Sep 2001 01:46:50 GMT" }, 10000 },
		{ { "Retry-After", "Sun, 09 Sep 2001 01:46:30 GMT" }, 0 },
		{ { "Retry-After", "Sun, 09 Sep 2091 01:46:30 GMT" }, 14400000 },
		{ { "Retry-After", "Mon, 09 Sep 2002 01:46:50 GMT",
		    "Date", "Mon, 09 Sep 2002 01:46:45 GMT" }, 5000 },
		{ { "Retry-After", "Sun, 09 Sep 2001 01:46:50 GMT",
		    "Date", "nonsense" }, 10000 }
	};
	struct http_reply r;
	size_t i, k;

	(void)state;
	for (i = 0; i < sizeof all / sizeof all[0]; i++) {
		r = (struct http_reply){ 0 };
		for (k = 0; k < 6 && all[i].fields[k]; k++)
			buf_add(&r.head, all[i].fields[k],
			    strlen(all[i].fields[k]) + 1);
		if (backoff_asked(&r, 1000000000) != all[i].ms)
			fail_msg("%s: %s", all[i].fields[0], all[i].fields[1]);
		http_reply_free(&r);
	}
}

static void
how_long_to_wait(void **state)
{
	(void)state;
	assert_int_equal(backoff_wait(1, 0, 20000, 999), 999);
	assert_int_equal(backoff_wait(1, 0, 20000, 1000), 0);
	assert_int_equal(backoff_wait(2, 0, 20000, 1999), 1999);
	assert_int_equal(backoff_wait(2, 0, 20000, UINT32_MAX), 1295);
	assert_int_equal(backoff_wait(3, 0, 20000, 0), -1);
	assert_int_equal(backoff_wait(1, 20000, 20000, 0), 20000);
	assert_int_equal(backoff_wait(1, 20001, 20000, 0), -1);
	assert_int_equal(backoff_wait(1, 0, 500, 501), -1);
	assert_int_equal(backoff_wait(1, 300, 500, 400), 400);
}

static void
the_clock_is_corrected_once(void **state)
{
	static const struct script_step steps[] = {
		CALL("\"r0@y.example\""),
		SAYS("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n"
		    "Date: Tue, 01 Jan 2080 00:00:00 GMT\r\n"
		    "x-amzn-ErrorType: SignatureDoesNotMatch\r\n\r\n"),
		HEARS_UNTIL("X-Amz-Date: 20800101T0000"),
		CALL("\"r0@y.example\""), SAYS(TAKEN), STOP
	};
	static const struct script_step twice[] = {
		CALL("\"r0@y.example\""),
		SAYS("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n"
		    "Date: Tue, 01 Jan 2080 00:00:00 GMT\r\n"
		    "x-amzn-ErrorType: SignatureDoesNotMatch\r\n\r\n"),
		CALL("\"r0@y.example\""),
		SAYS("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n"
		    "Date: Tue, 01 Jan 2090 00:00:00 GMT\r\n"
		    "x-amzn-ErrorType: SignatureDoesNotMatch\r\n\r\n"), STOP
	};
	struct delivery *d = new_delivery(1);

	(void)state;
	run(d, steps, NULL, 0);
	script_check(&d->script);
	assert_int_equal(d->rcpts[0].res.outcome, OUT_DONE);
	script_free(&d->script);
	run(d, twice, NULL, 0);
	script_check(&d->script);
	assert_int_equal(d->rcpts[0].res.outcome, OUT_TEMP);
	assert_int_equal(d->rcpts[0].res.cause, CAUSE_OPERATOR);
	script_free(&d->script);
	free_delivery(d);
}

/* A 200 that is not SES's may hide anything: never tried elsewhere. */
static void
ok_without_a_message_id_is_ambiguous(void **state)
{
	static const char *const bodies[] = { "<html>", "{}", "",
		"{\"MessageId\":null}", "{\"MessageId\":7}", "[[[[" };
	struct delivery *d = new_delivery(1);
	char said[200];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
		struct script_step steps[] = {
			CALL("\"r0@y.example\""), SAYS(""), STOP
		};

		snprintf(said, sizeof said,
		    "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s",
		    strlen(bodies[i]), bodies[i]);
		steps[3] = (struct script_step)SAYS_N(said, strlen(said));
		run(d, steps, NULL, 0);
		assert_int_equal(d->rcpts[0].res.outcome, OUT_TEMP);
		assert_false(d->rcpts[0].res.certainly_not_taken);
		script_free(&d->script);
	}
	free_delivery(d);
}

static void
too_large_is_refused_unsent(void **state)
{
	static const struct script_step steps[] = { STOP };
	struct delivery *d = new_delivery(1);

	(void)state;
	d->m.spool.size = SES_MESSAGE_MAX + 1;
	run(d, steps, NULL, 0);
	assert_int_equal(d->script.wrote.len, 0);
	assert_int_equal(d->rcpts[0].res.outcome, OUT_PERM);
	assert_non_null(strstr(d->rcpts[0].res.text, "30474241 bytes"));
	script_free(&d->script);
	free_delivery(d);
}

/* --- the cut sweep --- */

static void
cut_sweep(void **state)
{
	static const struct script_step steps[] = {
		CALL("\"r0@y.example\""),
		SAYS("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"
		    "Transfer-Encoding: chunked\r\n\r\n"
		    "9;x=y\r\n{\"Message\r\nD\r\nId\":\"0100-1\"}\r\n0\r\n"
		    "X-T: 1\r\n\r\n"), STOP
	};
	struct delivery *d = new_delivery(1);
	size_t total = script_says_bytes(steps), n;

	(void)state;
	for (n = 0; n < 3 * total; n++) {
		run(d, steps, script_cut_input, n);
		assert_int_equal(d->rcpts[0].res.outcome, OUT_TEMP);
		assert_false(d->rcpts[0].res.certainly_not_taken);
		assert_non_null(strstr(d->rcpts[0].res.text, "duplicate"));
		script_free(&d->script);
	}
	run(d, steps, NULL, 0);
	script_check(&d->script);
	assert_int_equal(d->rcpts[0].res.outcome, OUT_DONE);
	script_free(&d->script);
	free_delivery(d);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(body_at_every_size_that_matters),
		cmocka_unit_test(body_ends_with_the_sink_or_the_spool),
		cmocka_unit_test(the_error_table),
		cmocka_unit_test(one_call_as_ses_wants_it),
		cmocka_unit_test(options_of_the_route),
		cmocka_unit_test(a_bad_request_is_bisected),
		cmocka_unit_test(a_bisected_batch_keeps_each_result),
		cmocka_unit_test(fifty_recipients_a_call),
		cmocka_unit_test(a_throttled_batch_spares_the_next),
		cmocka_unit_test(put_off_and_taken),
		cmocka_unit_test(put_off_for_good),
		cmocka_unit_test(as_long_as_ses_asks),
		cmocka_unit_test(whoever_is_told_to_stop_stops),
		cmocka_unit_test(never_again_at_once),
		cmocka_unit_test(questions_are_asked_again),
		cmocka_unit_test(what_a_reply_asks_for),
		cmocka_unit_test(how_long_to_wait),
		cmocka_unit_test(the_clock_is_corrected_once),
		cmocka_unit_test(ok_without_a_message_id_is_ambiguous),
		cmocka_unit_test(too_large_is_refused_unsent),
		cmocka_unit_test(cut_sweep)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
