#include "lib/relay/session.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "bearssl-glue.h"
#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/net/proxy.h"
#include "lib/relay/auth.h"
#include "lib/relay/sasl.h"

/* --- steps and replies --- */

void
session_step(struct session *c, int64_t seconds)
{
	int64_t most = c->config->timeout;

	stream_step(&c->s, most > 0 && most < seconds ? most : seconds);
}

int
session_failed(struct session *c, const char *doing)
{
	result_set(&c->res, OUT_TEMP, c->s.err.cause, "%s (%s)",
	    c->s.err.text, doing);
	return -1;
}

int
session_refused(struct session *c, enum cause cause, const char *doing,
    const struct reply *r)
{
	result_set(&c->res, OUT_TEMP, cause, "%s: %s: %d %s", c->s.peer, doing,
	    r->code, r->text);
	c->res.code = r->code;
	result_set_enhanced(&c->res, r->text);
	return -1;
}

int
session_reply(struct session *c, struct reply *r)
{
	return reply_read(&c->s, c->log, r, NULL, NULL);
}

int
session_text(struct session *c, const void *data, size_t n)
{
	c->written += n;
	return stream_write(&c->s, data, n);
}

int
session_send_as(struct session *c, const char *command, const char *shown)
{
	log_trace(c->log, "> %s", shown);
	return session_text(c, command, strlen(command)) < 0 ||
	    session_text(c, "\r\n", 2) < 0 ? -1 : 0;
}

int
session_send(struct session *c, const char *command)
{
	return session_send_as(c, command, command);
}

/*
 * A reply that is waited for while nothing else is on its way: how long that
 * takes tells how far away the peer is.
 */
static int
timed_reply(struct session *c, struct reply *r,
    void (*each)(void *ctx, const char *text), void *ctx)
{
	int64_t ms = clock_ms();

	if (reply_read(&c->s, c->log, r, each, ctx) < 0)
		return -1;
	ms = clock_ms() - ms;
	if (ms < c->turn)
		c->turn = (int)ms;
	return 0;
}

int
session_command(struct session *c, const char *text, struct reply *r,
    const char *doing)
{
	session_step(c, MAIL_SECONDS);
	if (session_send(c, text) < 0 || timed_reply(c, r, NULL, NULL) < 0)
		return session_failed(c, doing);
	return 0;
}

/* --- from connecting to readiness --- */

/* One line of the reply to EHLO. */
static void
note_extension(void *ctx, const char *text)
{
	struct offer *o = ctx;

	if (str_iequal(text, "STARTTLS"))
		o->starttls = true;
	else if (str_iequal(text, "PIPELINING"))
		o->pipelining = true;
	else if (str_iequal(text, "CHUNKING"))
		o->chunking = true;
	else if (str_iequal(text, "8BITMIME"))
		o->eightbit = true;
	else if (str_iequal(text, "DSN"))
		o->dsn = true;
	else if (str_iequal(text, "SMTPUTF8"))
		o->utf8 = true;
	else if (str_iequal(text, "REQUIRETLS"))
		o->requiretls = true;
	else if (str_iequal(text, "SIZE"))
		o->size = true;
	else if (str_istarts(text, "SIZE ")) {
		o->size = true;
		number_parse(text + 5, 0, UINT64_MAX, &o->size_limit);
	} else if (str_istarts(text, "AUTH ") || str_istarts(text, "AUTH=")) {
		o->auth = true;
		auth_note(o, text + 5);
	}
}

static int
say_hello(struct session *c)
{
	char line[300];
	struct reply r, again;
	bool lmtp = c->route->type == ROUTE_LMTP;

	memset(&c->offer, 0, sizeof c->offer);
	snprintf(line, sizeof line, "%s %.255s", lmtp ? "LHLO" : "EHLO",
	    c->config->hostname);
	session_step(c, GREETING_SECONDS);
	if (session_send(c, line) < 0 || timed_reply(c, &r, note_extension,
	    &c->offer) < 0)
		return session_failed(c, lmtp ? "LHLO" : "EHLO");
	/* It means nothing where there is no TLS. */
	if (c->route->tls == TLS_OFF)
		c->offer.requiretls = false;
	if (r.code / 100 == 2)
		return 0;
	memset(&c->offer, 0, sizeof c->offer);
	/* An old server: fine as long as neither TLS nor AUTH is wanted. */
	if (r.code / 100 != 5 || c->route->tls == TLS_STARTTLS ||
	    c->route->user || lmtp)
		return session_refused(c, CAUSE_ROUTE, lmtp ? "LHLO refused" :
		    "EHLO refused", &r);
	snprintf(line, sizeof line, "HELO %.255s", c->config->hostname);
	if (session_command(c, line, &again, "HELO") < 0)
		return session_refused(c, CAUSE_ROUTE, "EHLO refused", &r);
	r = again;
	return r.code / 100 == 2 ? 0 :
	    session_refused(c, CAUSE_ROUTE, "HELO refused", &r);
}

static void
reached(struct session *c, enum step step)
{
	if (c->reached)
		c->reached(c, step);
}

static int
start_tls(struct session *c)
{
	struct tls_params p = config_tls(c->config, c->route, c->route->host);

	p.resume = &c->tls;
	p.leaf = c->leaf;
	if (tls_start(&c->s, &p, c->log) == 0) {
		reached(c, STEP_TLS);
		return 0;
	}
	c->res = c->s.err;
	return -1;
}

static int
upgrade(struct session *c)
{
	struct reply r;

	if (!c->offer.starttls) {
		result_set(&c->res, OUT_TEMP, CAUSE_OPERATOR, "%s: the server "
		    "does not offer STARTTLS, and nothing is sent in clear text "
		    "(wrong port, or `tls implicit`?)", c->s.peer);
		return -1;
	}
	if (session_command(c, "STARTTLS", &r, "STARTTLS") < 0)
		return -1;
	if (r.code != 220)
		return session_refused(c, CAUSE_ROUTE, "STARTTLS refused", &r);
	/* Everything said before the handshake is forgotten (RFC 3207). */
	if (start_tls(c) < 0)
		return -1;
	return say_hello(c);
}

static int
greeting(struct session *c)
{
	struct reply r;

	session_step(c, GREETING_SECONDS);
	if (session_reply(c, &r) < 0)
		return session_failed(c, "waiting for the greeting");
	if (r.code / 100 != 2)
		return session_refused(c, CAUSE_ROUTE, "greeting", &r);
	return 0;
}

/* Everything between an open stream and the first MAIL. */
static int
introduce(struct session *c, const char *password)
{
	if (c->route->tls == TLS_IMPLICIT && start_tls(c) < 0)
		return -1;
	if (greeting(c) < 0 || say_hello(c) < 0)
		return -1;
	if (c->route->tls == TLS_STARTTLS && upgrade(c) < 0)
		return -1;
	reached(c, STEP_HELLO);
	if (password == NULL && !(c->route->client_cert && !c->route->user &&
	    c->route->auth != AUTH_OFF && (c->offer.mechs & SASL_EXTERNAL)))
		return 0;
	return auth_log_in(c, password);
}

/* An open stream to the relay, and the session on it. */
static int
connect_relay(struct session *c, const char *password)
{
	int64_t seconds = c->config->timeout > 0 ? c->config->timeout :
	    GREETING_SECONDS;

	if (!c->connected && proxy_dial(&c->s, c->route->proxy, c->route->host,
	    c->route->port, c->route->source_address, seconds, c->log,
	    &c->res) < 0)
		return -1;
	c->connected = true;
	reached(c, STEP_CONNECTED);
	c->closing = c->used = c->unfinished = c->chunks_proven = false;
	c->resets = 0;
	c->credit = RESETS_MAX;
	c->turn = INT_MAX;
	stream_session(&c->s, c->config->timeout);
	return introduce(c, password);
}

int
session_open(struct session *c)
{
	char *password = NULL;
	int rc = 0;

	if (c->route->identity_err.text[0] != '\0') {
		c->res = c->route->identity_err;
		rc = -1;
	} else if (c->route->user && c->route->auth != AUTH_OFF) {
		password = secret_get(&c->route->password, "password", &c->res);
		rc = password ? 0 : -1;
	}
	if (rc == 0)
		rc = connect_relay(c, password);
	str_wipe_free(password);
	c->down = rc < 0;
	if (rc < 0)
		session_close(c);
	c->ready = rc == 0;
	return rc;
}

void
session_close(struct session *c)
{
	if (c->connected && !c->s.failed) {
		stream_step(&c->s, QUIT_SECONDS);
		session_send(c, "QUIT");
		stream_flush(&c->s);
	}
	if (c->connected)
		stream_close(&c->s);
	c->connected = c->ready = false;
}
