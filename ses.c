#include "ses.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bearssl-glue.h"
#include "lib/aws/answer.h"
#include "lib/aws/backoff.h"
#include "lib/aws/email.h"
#include "lib/aws/signed.h"
#include "lib/base/clock.h"
#include "lib/mail/idn.h"
#include "lib/mail/dkim.h"
#include "lib/mail/mime.h"
#include "lib/net/proxy.h"

#ifndef VERSION
#define VERSION "0"
#endif

enum {
	CONNECT_SECONDS = 60, WRITE_SECONDS = 180, REPLY_SECONDS = 120,
	PATIENCE = 20, HURRY = 3	/* seconds of back-off for one message */
};

static const char target[] = "/v2/email/outbound-emails";

struct ses {
	struct aws aws;
	const struct route *route;
	const struct config *config;
	struct log *log;
	bool connected, used;		/* used: it has carried a call before */
	bool located;			/* endpoint and region are set */
	int64_t renew_at;		/* for the credentials: see prepare */
	bool asked;			/* ses_call() was used */
	bool hurry;			/* there is another way */
	int64_t left;			/* ms of back-off for this message */
	bool down;			/* down_why: see ses_down */
	struct credentials credentials;
	struct stream s;
	struct result down_why;
	struct endpoint endpoint;
};

/* --- what a request needs --- */

struct measure { struct sha256 hash; uint64_t size; };

static int
to_measure(void *ctx, const void *data, size_t n)
{
	struct measure *m = ctx;

	sha256_update(&m->hash, data, n);
	m->size += n;
	return 0;
}

static int
to_stream(void *ctx, const void *data, size_t n)
{
	return stream_write(ctx, data, n);
}

/* --- set-up --- */

/*
 * Credentials, found or renewed. Those that still have not ended are kept when
 * there are no new ones.
 */
static int
renew(struct ses *s, bool fresh, struct result *res)
{
	int64_t now = aws_now(&s->aws);
	struct credentials c;
	struct result why;

	if (credentials_find(&s->aws, fresh, &c, &why) < 0) {
		if (fresh || s->credentials.expires <= now) {
			*res = why;
			return -1;
		}
		log_trace(s->log, "* %s", why.text);
	} else {
		log_trace(s->log, "* credentials from %s", c.source);
		credentials_free(&s->credentials);
		s->credentials = c;
	}
	s->renew_at = credentials_renew_at(&s->credentials, now);
	return 0;
}

static int
prepare(struct ses *s, struct result *res)
{
	if (!s->located && aws_locate(&s->aws, &s->endpoint, res) < 0)
		return -1;
	s->located = true;
	return aws_now(&s->aws) < s->renew_at ? 0 : renew(s, false, res);
}

static int
capped(const struct ses *s, int seconds)
{
	int64_t most = s->config->timeout;

	return most > 0 && most < seconds ? (int)most : seconds;
}

static int
connect_endpoint(struct ses *s, struct result *res)
{
	const struct http_url *url = &s->endpoint.url;
	struct tls_params p = config_tls(s->config, s->route, url->host);

	if (s->connected) {
		/* The end of a session is meant for one call. */
		stream_session(&s->s, s->config->timeout);
		return 0;
	}
	p.ca_file = s->aws.ca_file;
	if (proxy_dial(&s->s, aws_proxy(&s->aws, url), url->host, url->port,
	    NULL, capped(s, CONNECT_SECONDS), s->log, res) < 0)
		return -1;
	s->connected = true;
	s->used = false;
	stream_session(&s->s, s->config->timeout);
	if (url->tls && tls_start(&s->s, &p, s->log) < 0) {
		*res = s->s.err;
		return -1;
	}
	return 0;
}

static void
disconnect(struct ses *s)
{
	if (s->connected)
		stream_close(&s->s);
	s->connected = false;
}

struct ses *
ses_open(const struct route *r, const struct config *c, env_lookup env,
    struct log *log)
{
	struct ses *s = calloc(1, sizeof *s);

	if (s) {
		s->route = r;
		s->config = c;
		s->aws = (struct aws){ .route = r, .config = c, .env = env,
			.log = log };
		s->log = log;
		s->s.fd = -1;
	}
	return s;
}

void
ses_close(struct ses *s)
{
	if (s == NULL)
		return;
	disconnect(s);
	credentials_free(&s->credentials);
	aws_free(&s->aws);
	free(s);
}

void
ses_hurry(struct ses *s)
{
	s->hurry = true;
}

void
ses_adopt(struct ses *s, struct stream *stream)
{
	s->s = *stream;
	memset(stream, 0, sizeof *stream);
	stream->fd = -1;
	s->connected = true;
}

static void
note_down(struct ses *s, const struct result *why)
{
	s->down = true;
	s->down_why = *why;
}

/* --- one call --- */

struct call {
	struct ses *s;
	const char *method, *target;
	const struct message *m;	/* or NULL: text is the body, if any */
	const char *text;
	struct http_reply *keep;	/* and this where the reply goes */
	const char *suffix;		/* of the request, behind the data */
	unsigned tries;			/* that SES put off */
	bool fresh_credentials, fixed_clock, reconnected;
	bool unreadable;		/* the spool failed while sending */
	struct measure measure;
};

static int
write_body(void *ctx, struct stream *stream)
{
	struct call *c = ctx;
	int rc;

	if (c->m == NULL)
		return stream_puts(stream, c->text);
	rc = email_write(&c->m->spool, c->suffix, to_stream, stream);
	if (rc == -2) {
		c->unreadable = true;
		return stream_fail(stream, CAUSE_LOCAL,
		    "the stored message cannot be read");
	}
	return rc;
}

/* The fields in the order in which they are sent; all but the last are signed. */
static int
exchange(struct call *c, struct http_reply *reply)
{
	struct ses *s = c->s;
	const char *base = s->endpoint.url.path;
	struct buf path = { 0 };
	unsigned char payload[SHA256_SIZE];
	struct signed_fields sign;
	size_t len = strlen(base);
	struct http_request req = { .method = c->method,
		.fields = sign.fields, .body_size = c->measure.size,
		.body = c->measure.size > 0 ? write_body : NULL, .ctx = c,
		.write_seconds = capped(s, WRITE_SECONDS),
		.reply_seconds = capped(s, REPLY_SECONDS) };
	int rc = -1;

	while (len > 0 && base[len - 1] == '/')
		len--;
	buf_add(&path, base, len);
	buf_adds(&path, c->target);
	req.target = buf_str(&path);
	sha256_final(&c->measure.hash, payload);
	if (signed_request(&s->aws, &s->endpoint, SERVICE_SES, &s->credentials,
	    c->method, req.target, req.body ? "application/json" : NULL, payload,
	    &sign) < 0 || path.failed)
		stream_fail(&s->s, CAUSE_LOCAL, "out of memory");
	else {
		sign.fields[sign.n++] = (struct http_field){ "User-Agent",
			"sendroute/" VERSION };
		req.nfields = sign.n;
		log_trace(s->log, "> %s https://%s%s (%" PRIu64 " bytes)",
		    c->method, s->endpoint.host, req.target, req.body_size);
		rc = http_exchange(&s->s, &req, reply);
	}
	signed_free(&sign);
	buf_free(&path);
	return rc;
}

/* The exchange failed: was the message taken, or is it worth another try? */
static bool
broken_off(struct call *c, const struct http_reply *reply, bool reused,
    struct result *res)
{
	const struct result *err = &c->s->s.err;

	if (c->m && reply->sent_whole && !c->unreadable) {
		result_ambiguous(res, "%s, after the whole message was sent: it "
		    "may have been taken. Possible duplicate!", err->text);
		return false;
	}
	result_set(res, OUT_TEMP, err->cause, "%s (%s SES)", err->text,
	    c->m ? "sending to" : "asking");
	/* A kept connection may have died since its last call. */
	if (c->unreadable || !reused || c->reconnected || reply->began)
		return false;
	c->reconnected = true;
	return true;
}

static void
be_patient(struct ses *s)
{
	s->left = (int64_t)capped(s, s->hurry ? HURRY : PATIENCE) * 1000;
}

/* true: it is time to try again. */
static bool
waited(struct call *c, int64_t asked)
{
	struct ses *s = c->s;
	uint32_t random = 0;
	int64_t ms;

	random_bytes(&random, sizeof random);
	/* What is no message may be asked once a second. */
	ms = backoff_wait(++c->tries, c->m == NULL && asked < 1000 ? 1000 :
	    asked, s->left, random);
	if (ms < 0)
		return false;
	log_trace(s->log, "* again in %lld ms", (long long)ms);
	s->left -= ms;
	return clock_sleep(ms) == 0;
}

/* true: the cause was mended, try again. */
static bool
mended(struct call *c, enum remedy remedy, const struct http_reply *reply,
    struct result *res)
{
	struct ses *s = c->s;
	int64_t asked = backoff_asked(reply, aws_now(&s->aws));

	res->after = (int)((asked + 999) / 1000);
	if (remedy == REMEDY_LATER)
		return waited(c, asked);
	if (remedy == REMEDY_CLOCK && !c->fixed_clock) {
		c->fixed_clock = true;
		return aws_fix_clock(&s->aws, reply);
	}
	if (remedy == REMEDY_CREDENTIALS && !c->fresh_credentials) {
		c->fresh_credentials = true;
		return renew(s, true, res) == 0;
	}
	return false;
}

/* One HTTP exchange and its judgement. true: try again. */
static bool
attempt(struct call *c, struct result *res, enum remedy *remedy)
{
	struct ses *s = c->s;
	struct http_reply reply = { 0 };
	bool again, reused = s->connected && s->used;

	*remedy = REMEDY_NONE;
	if (connect_endpoint(s, res) < 0) {
		disconnect(s);
		note_down(s, res);
		return false;
	}
	s->down = false;
	s->used = true;
	if (exchange(c, &reply) < 0)
		again = broken_off(c, &reply, reused, res);
	else if (reply.status / 100 == 2) {
		log_trace(s->log, "< %d", reply.status);
		if (c->m)
			answer_success(&reply, s->s.peer, res);
		else
			*c->keep = reply;
		again = false;
	} else {
		*remedy = answer_error(&reply, c->m != NULL, res);
		log_trace(s->log, "< %s", res->text);
		again = mended(c, *remedy, &reply, res);
		if (!again && *remedy != REMEDY_NONE &&
		    *remedy != REMEDY_BISECT &&
		    (*remedy != REMEDY_LATER || res->after > 0))
			note_down(s, res);
	}
	if (s->s.failed || !reply.keep_alive)
		disconnect(s);
	if (c->keep == NULL || c->keep->status == 0)
		http_reply_free(&reply);
	return again;
}

/* One SendEmail for n recipients. */
static enum remedy
send_email(struct ses *s, const struct message *m, struct rcpt *const *rcpts,
    size_t n, struct result *res)
{
	struct call c = { .s = s, .method = "POST", .target = target,
		.m = m };
	enum remedy remedy = REMEDY_NONE;
	struct buf suffix = { 0 };

	email_suffix(&suffix, s->route, m, rcpts, n);
	c.suffix = buf_str(&suffix);
	sha256_init(&c.measure.hash);
	if (suffix.failed)
		result_set(res, OUT_TEMP, CAUSE_LOCAL, "out of memory");
	else if (email_write(&m->spool, c.suffix, to_measure,
	    &c.measure) != 0)
		result_set(res, OUT_TEMP, CAUSE_LOCAL,
		    "the stored message cannot be read");
	else
		while (attempt(&c, res, &remedy))
			continue;
	buf_free(&suffix);
	return remedy;
}

const struct credentials *
ses_credentials(struct ses *s, const char **host, struct result *res)
{
	if (prepare(s, res) < 0)
		return NULL;
	*host = s->endpoint.host;
	return &s->credentials;
}

int
ses_call(struct ses *s, const char *method, const char *what,
    const char *text, struct http_reply *reply, struct result *res)
{
	struct call c = { .s = s, .method = method, .target = what,
		.text = text, .keep = reply };
	enum remedy remedy;

	memset(reply, 0, sizeof *reply);
	if (prepare(s, res) < 0)
		return -1;
	if (s->asked)
		clock_sleep(1000);
	s->asked = true;
	be_patient(s);
	sha256_init(&c.measure.hash);
	if (text)
		to_measure(&c.measure, text, strlen(text));
	while (attempt(&c, res, &remedy))
		continue;
	return reply->status != 0 ? 0 : -1;
}

/* A batch; on a BadRequest each half by itself, down to single recipients. */
static void
send_batch(struct ses *s, const struct message *m, struct rcpt *const *rcpts,
    size_t n)
{
	struct result res = { 0 };
	size_t i;

	if (send_email(s, m, rcpts, n, &res) == REMEDY_BISECT && n > 1) {
		send_batch(s, m, rcpts, n / 2);
		send_batch(s, m, rcpts + n / 2, n - n / 2);
		return;
	}
	for (i = 0; i < n; i++)
		rcpts[i]->res = res;
	message_settled(m, rcpts, n);
	message_settled(m, NULL, 0);
}

const struct result *
ses_down(const struct ses *s)
{
	return s->down ? &s->down_why : NULL;
}

const char *
ses_via(const struct ses *s)
{
	return s->s.via;
}

/* As mime_message(); qmail's message is not altered, but for what is private. */
static const struct message *
message_for_ses(const struct message *m, struct message *adapted,
    struct result *res)
{
	static const struct mime_peer peer = { .eightbit = true };

	if (!m->pristine)
		return mime_message(m, &peer, adapted, res);
	*adapted = *m;
	adapted->spool = spool_public(&m->spool);
	return adapted;
}

/* SES knows no SMTPUTF8: local parts must be ASCII. */
static bool
takes_address(const char *addr, struct result *res)
{
	if (is_ascii(addr))
		return true;
	result_set(res, OUT_PERM, CAUSE_RCPT, "SES: %s is not ASCII, and SES takes "
	    "no such address", addr);
	result_set_enhanced(res, "5.6.7");
	return false;
}

static bool
too_large(const struct message *m, struct result *res)
{
	if (m->spool.size <= SES_MESSAGE_MAX)
		return false;
	result_set(res, OUT_PERM, CAUSE_CONTENT, "SES: the message is too large: "
	    "%lld bytes, SES takes %d", (long long)m->spool.size,
	    SES_MESSAGE_MAX);
	result_set_enhanced(res, "5.3.4");
	return true;
}

void
ses_deliver(struct ses *s, const struct message *m,
    struct rcpt *const *rcpts, size_t n)
{
	struct rcpt **pending = malloc((n > 0 ? n : 1) * sizeof *pending);
	struct message adapted = { .spool.fd = -1 };
	struct result res = { 0 };
	size_t i, k, left = 0;

	be_patient(s);
	if (pending == NULL)
		result_set(&res, OUT_TEMP, CAUSE_LOCAL, "out of memory");
	else {
		m = dkim_message(message_for_ses(m, &adapted, &res), s->route,
		    &adapted, &res);
		if (m && !too_large(m, &res) &&
		    takes_address(m->env.from, &res) && prepare(s, &res) < 0)
			note_down(s, &res);
	}
	for (i = 0; i < n; i++) {
		rcpts[i]->res = res;
		if (res.text[0] == '\0' &&
		    takes_address(rcpts[i]->addr, &rcpts[i]->res))
			pending[left++] = rcpts[i];
	}
	for (i = 0; i < left; ) {
		k = left - i < SES_RCPTS_MAX ? left - i : SES_RCPTS_MAX;
		send_batch(s, m, pending + i, k);
		res = pending[i + k - 1]->res;
		i += k;
		/* What keeps this call from SES keeps the next ones too. */
		if (res.outcome == OUT_TEMP && res.certainly_not_taken)
			break;
	}
	for (; i < left; i++)
		pending[i]->res = res;
	free(pending);
	mime_done(&adapted);
}
