#include "smtp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bearssl-glue.h"
#include "lib/base/base64.h"
#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/mail/idn.h"
#include "lib/mail/mime.h"
#include "lib/mail/spool.h"
#include "lib/net/dial.h"
#include "lib/net/reply.h"

enum {
	/* RFC 5321 section 4.5.3.2, in seconds. */
	GREETING_SECONDS = 300, MAIL_SECONDS = 300, RCPT_SECONDS = 300,
	DATA_SECONDS = 120, BLOCK_SECONDS = 180, DOT_SECONDS = 600,
	QUIT_SECONDS = 5, REASON_SECONDS = 2,

	COMMAND_MAX = 510,		/* without CRLF */
	WINDOW = 100,			/* commands sent ahead of their replies */
	BLOCK = 65536			/* of the spool: few system calls */
};

enum { MECH_PLAIN = 1, MECH_LOGIN = 2 };

/* What the last EHLO offered. */
struct offer {
	bool starttls, pipelining, eightbit, size, auth, dsn, utf8;
	uint64_t size_limit;		/* 0: none given */
	unsigned mechs;
	char mech_names[120];
};

struct smtp {
	const struct route *route;
	const struct config *config;
	struct log *log;
	struct stream s;
	bool connected, ready;		/* stream open; MAIL may follow */
	bool unfinished;		/* a transaction: RSET before MAIL */
	struct offer offer;
	struct result res;		/* why it is not ready */
};

/* --- steps and replies --- */

static void
step(struct smtp *c, int64_t seconds)
{
	int64_t most = c->config->timeout;

	stream_step(&c->s, most > 0 && most < seconds ? most : seconds);
}

static int
stream_failed(struct smtp *c, const char *doing)
{
	enum cause cause = c->s.err.cause;

	result_set(&c->res, OUT_TEMP, cause, "%s (%s)", c->s.err.text, doing);
	c->ready = false;
	return -1;
}

static int
refused(struct smtp *c, enum cause cause, const char *doing,
    const struct reply *r)
{
	result_set(&c->res, OUT_TEMP, cause, "%s: %s: %d %s", c->s.peer, doing,
	    r->code, r->text);
	c->res.code = r->code;
	result_set_enhanced(&c->res, r->text);
	c->ready = false;
	return -1;
}

static int
read_reply(struct smtp *c, struct reply *r)
{
	return reply_read(&c->s, c->log, r, NULL, NULL);
}

/* Send a command; shown is what the trace may tell of it. */
static int
send_command(struct smtp *c, const char *command, const char *shown)
{
	log_trace(c->log, "> %s", shown);
	return stream_puts(&c->s, command) < 0 ||
	    stream_puts(&c->s, "\r\n") < 0 ? -1 : 0;
}

/* One command and its reply. 0, or -1 after stream_failed(). */
static int
command(struct smtp *c, const char *text, struct reply *r, const char *doing)
{
	step(c, MAIL_SECONDS);
	if (send_command(c, text, text) < 0 || read_reply(c, r) < 0)
		return stream_failed(c, doing);
	return 0;
}

/* --- from connecting to readiness --- */

static unsigned
mechanism(const char *name, size_t n)
{
	if (n == 5 && mem_iequal(name, "PLAIN", 5))
		return MECH_PLAIN;
	if (n == 5 && mem_iequal(name, "LOGIN", 5))
		return MECH_LOGIN;
	return 0;
}

static void
note_mechanisms(struct offer *o, const char *list)
{
	size_t n;

	snprintf(o->mech_names, sizeof o->mech_names, "%s", list);
	while (*list) {
		list += strspn(list, " =");
		n = strcspn(list, " =");
		o->mechs |= mechanism(list, n);
		list += n;
	}
}

/* One line of the reply to EHLO. */
static void
note_extension(void *ctx, const char *text)
{
	struct offer *o = ctx;

	if (str_iequal(text, "STARTTLS"))
		o->starttls = true;
	else if (str_iequal(text, "PIPELINING"))
		o->pipelining = true;
	else if (str_iequal(text, "8BITMIME"))
		o->eightbit = true;
	else if (str_iequal(text, "DSN"))
		o->dsn = true;
	else if (str_iequal(text, "SMTPUTF8"))
		o->utf8 = true;
	else if (str_iequal(text, "SIZE"))
		o->size = true;
	else if (str_istarts(text, "SIZE ")) {
		o->size = true;
		number_parse(text + 5, 0, UINT64_MAX, &o->size_limit);
	} else if (str_istarts(text, "AUTH ") || str_istarts(text, "AUTH=")) {
		o->auth = true;
		note_mechanisms(o, text + 5);
	}
}

static int
say_hello(struct smtp *c)
{
	char line[300];
	struct reply r, again;

	memset(&c->offer, 0, sizeof c->offer);
	snprintf(line, sizeof line, "EHLO %.255s", c->config->hostname);
	step(c, GREETING_SECONDS);
	if (send_command(c, line, line) < 0 || reply_read(&c->s, c->log, &r,
	    note_extension, &c->offer) < 0)
		return stream_failed(c, "EHLO");
	if (r.code / 100 == 2)
		return 0;
	memset(&c->offer, 0, sizeof c->offer);
	/* An old server: fine as long as neither TLS nor AUTH is wanted. */
	if (r.code / 100 != 5 || c->route->tls == TLS_STARTTLS ||
	    c->route->user)
		return refused(c, CAUSE_ROUTE, "EHLO refused", &r);
	snprintf(line, sizeof line, "HELO %.255s", c->config->hostname);
	if (command(c, line, &again, "HELO") < 0)
		return refused(c, CAUSE_ROUTE, "EHLO refused", &r);
	r = again;
	return r.code / 100 == 2 ? 0 :
	    refused(c, CAUSE_ROUTE, "HELO refused", &r);
}

static int
start_tls(struct smtp *c)
{
	struct tls_params p = config_tls(c->config, c->route, c->route->host);

	if (tls_start(&c->s, &p, c->log) == 0)
		return 0;
	c->res = c->s.err;
	return -1;
}

static int
upgrade(struct smtp *c)
{
	struct reply r;

	if (!c->offer.starttls) {
		result_set(&c->res, OUT_TEMP, CAUSE_OPERATOR, "%s: the server "
		    "does not offer STARTTLS, and nothing is sent in clear text "
		    "(wrong port, or `tls implicit`?)", c->s.peer);
		return -1;
	}
	if (command(c, "STARTTLS", &r, "STARTTLS") < 0)
		return -1;
	if (r.code != 220)
		return refused(c, CAUSE_ROUTE, "STARTTLS refused", &r);
	/* Everything said before the handshake is forgotten (RFC 3207). */
	if (start_tls(c) < 0)
		return -1;
	return say_hello(c);
}

/* Send base64 of data as a line of its own, wiping every copy. */
static int
send_secret(struct smtp *c, const char *prefix, const void *data, size_t n)
{
	char *line = malloc(strlen(prefix) + BASE64_SIZE(n) + 1);
	char shown[32];
	size_t len = strlen(prefix);
	int rc;

	if (line == NULL)
		return stream_fail(&c->s, CAUSE_LOCAL, "out of memory");
	memcpy(line, prefix, len);
	line[len + base64_encode(line + len, data, n)] = '\0';
	snprintf(shown, sizeof shown, "%s***", prefix);
	rc = send_command(c, line, shown);
	str_wipe_free(line);
	return rc;
}

/* RFC 4616: one message, sent along with AUTH when the line stays short. */
static int
auth_plain(struct smtp *c, const char *password, struct reply *r)
{
	struct buf b = { 0 };
	bool initial;
	int rc = -1;

	buf_addc(&b, '\0');
	buf_adds(&b, c->route->user);
	buf_addc(&b, '\0');
	buf_adds(&b, password);
	if (b.failed) {
		stream_fail(&c->s, CAUSE_LOCAL, "out of memory");
		goto wipe;
	}
	initial = sizeof "AUTH PLAIN " - 1 + BASE64_SIZE(b.len) <= COMMAND_MAX;
	if (!initial) {
		if (send_command(c, "AUTH PLAIN", "AUTH PLAIN") < 0 ||
		    read_reply(c, r) < 0)
			goto wipe;
		if (r->code != 334) {
			rc = 0;
			goto wipe;
		}
	}
	if (send_secret(c, initial ? "AUTH PLAIN " : "", b.p, b.len) == 0)
		rc = read_reply(c, r);
wipe:
	buf_wipe(&b);
	return rc;
}

static int
auth_login(struct smtp *c, const char *password, struct reply *r)
{
	if (send_command(c, "AUTH LOGIN", "AUTH LOGIN") < 0 ||
	    read_reply(c, r) < 0)
		return -1;
	if (r->code != 334)
		return 0;
	if (send_secret(c, "", c->route->user, strlen(c->route->user)) < 0 ||
	    read_reply(c, r) < 0)
		return -1;
	if (r->code != 334)
		return 0;
	if (send_secret(c, "", password, strlen(password)) < 0)
		return -1;
	return read_reply(c, r);
}

/* The strongest mechanism that both sides know; 0 after filling c->res. */
static unsigned
choose_mechanism(struct smtp *c)
{
	static const unsigned asked[] = {
		[AUTH_AUTO] = MECH_PLAIN | MECH_LOGIN, [AUTH_PLAIN] = MECH_PLAIN,
		[AUTH_LOGIN] = MECH_LOGIN, [AUTH_OFF] = 0
	};
	unsigned both = c->offer.mechs & asked[c->route->auth];

	if (both & MECH_PLAIN)
		return MECH_PLAIN;
	if (both & MECH_LOGIN)
		return MECH_LOGIN;
	result_set(&c->res, OUT_TEMP, CAUSE_OPERATOR, "%s: no AUTH mechanism in "
	    "common (the server offers: %s)", c->s.peer,
	    c->offer.auth ? c->offer.mech_names : "none");
	return 0;
}

static int
log_in(struct smtp *c, const char *password)
{
	unsigned mech = choose_mechanism(c);
	struct reply r;
	int rc;

	if (mech == 0)
		return -1;
	step(c, MAIL_SECONDS);
	rc = mech == MECH_PLAIN ? auth_plain(c, password, &r) :
	    auth_login(c, password, &r);
	if (rc < 0)
		return stream_failed(c, "AUTH");
	if (r.code == 235)
		return 0;
	if (r.code == 334) {
		/* One challenge too many: give up properly (RFC 4954). */
		if (command(c, "*", &r, "AUTH") < 0)
			return -1;
	}
	if (r.code / 100 == 4)
		return refused(c, CAUSE_ROUTE, "AUTH deferred", &r);
	return refused(c, CAUSE_OPERATOR, "AUTH refused (check `user` and the "
	    "password)", &r);
}

static int
greeting(struct smtp *c)
{
	struct reply r;

	step(c, GREETING_SECONDS);
	if (read_reply(c, &r) < 0)
		return stream_failed(c, "waiting for the greeting");
	if (r.code / 100 != 2)
		return refused(c, CAUSE_ROUTE, "greeting", &r);
	return 0;
}

/* Everything between an open stream and the first MAIL. */
static int
introduce(struct smtp *c, const char *password)
{
	if (c->route->tls == TLS_IMPLICIT && start_tls(c) < 0)
		return -1;
	if (greeting(c) < 0 || say_hello(c) < 0)
		return -1;
	if (c->route->tls == TLS_STARTTLS && upgrade(c) < 0)
		return -1;
	return password ? log_in(c, password) : 0;
}

static int
connect_relay(struct smtp *c)
{
	int64_t seconds = c->config->timeout > 0 ? c->config->timeout :
	    GREETING_SECONDS;
	char *password = NULL;
	int rc;

	if (c->route->user && c->route->auth != AUTH_OFF) {
		password = secret_get(&c->route->password, "password", &c->res);
		if (password == NULL)
			return -1;
	}
	rc = c->connected ? 0 : dial(&c->s, c->route->host, c->route->port,
	    seconds, c->log, &c->res);
	if (rc == 0) {
		c->connected = true;
		stream_session(&c->s, c->config->timeout);
		rc = introduce(c, password);
	}
	str_wipe_free(password);
	c->ready = rc == 0;
	return rc;
}

static void
disconnect(struct smtp *c)
{
	if (!c->connected)
		return;
	if (!c->s.failed) {
		stream_step(&c->s, QUIT_SECONDS);
		send_command(c, "QUIT", "QUIT");
		stream_flush(&c->s);
	}
	stream_close(&c->s);
	c->connected = c->ready = c->unfinished = false;
}

struct smtp *
smtp_open(const struct route *r, const struct config *config, struct log *log)
{
	struct smtp *c = calloc(1, sizeof *c);

	if (c) {
		c->route = r;
		c->config = config;
		c->log = log;
		c->s.fd = -1;
	}
	return c;
}

void
smtp_close(struct smtp *c)
{
	if (c)
		disconnect(c);
	free(c);
}

void
smtp_adopt(struct smtp *c, struct stream *s)
{
	c->s = *s;
	memset(s, 0, sizeof *s);
	s->fd = -1;
	c->connected = true;
}

/* --- one transaction --- */

/* A run of MAIL, RCPT... DATA over a selection of recipients. */
struct transaction {
	struct smtp *c;
	const struct message *m;
	struct rcpt *const *rcpts;	/* with empty results */
	size_t n;
	bool *accepted, *again;		/* per recipient; again: too many */
	size_t naccepted;
	bool mail_refused, data_go;	/* data_go: 354 came */
	bool judged;			/* res is the peer's own word */
	struct result res;		/* for whom nothing more exact is known */
};

/*
 * Refusals that are ours to mend, not the mail's: SES's SMTP service words an
 * operator's error as a permanent one, and a server may ask for AUTH anywhere.
 */
static bool
is_operators(const struct reply *r)
{
	static const char *const words[] = { "Email address is not verified",
		"Sending paused", "Sending suspended" };
	size_t i;

	if (r->code == 530 || r->code == 534 || r->code == 535 ||
	    r->code == 538)
		return true;
	/* Others say "Access denied" of recipients: only at the start, as SES. */
	if (strncmp(r->text, "Access denied: User", 19) == 0)
		return true;
	for (i = 0; i < sizeof words / sizeof words[0]; i++)
		if (strstr(r->text, words[i]))
			return true;
	return false;
}

/* The peer's verdict as a result: the first digit decides. */
static void
judge(struct result *res, const struct smtp *c, enum cause cause,
    const char *doing, const struct reply *r)
{
	enum outcome outcome = OUT_TEMP;

	if (r->code / 100 == 2)
		outcome = OUT_DONE;
	else if (is_operators(r))
		cause = CAUSE_OPERATOR;
	else if (r->code / 100 == 5)
		outcome = OUT_PERM;
	result_set(res, outcome, cause, "%s: %s%s%d %s", c->s.peer, doing,
	    *doing ? ": " : "", r->code, r->text);
	res->code = r->code;
	result_set_enhanced(res, r->text);
}

/* RFC 6531: an address, or text of the header, that is not ASCII. */
static bool
wants_utf8(const struct transaction *t)
{
	size_t i;

	if (t->m->env.utf8 || t->m->spool.has_8bit_header ||
	    !is_ascii(t->m->env.from))
		return true;
	for (i = 0; i < t->n; i++)
		if (!is_ascii(t->rcpts[i]->addr))
			return true;
	return false;
}

static int
send_mail(struct transaction *t)
{
	const struct smtp *c = t->c;
	struct buf b = { 0 };
	int rc;

	buf_addf(&b, "MAIL FROM:<%s>", t->m->env.from);
	if (c->offer.size)
		buf_addf(&b, " SIZE=%lld", (long long)t->m->spool.size);
	if (c->offer.eightbit && t->m->spool.has_8bit)
		buf_adds(&b, " BODY=8BITMIME");
	if (c->offer.utf8 && wants_utf8(t))
		buf_adds(&b, " SMTPUTF8");
	if (c->offer.dsn && t->m->env.dsn_ret)
		buf_addf(&b, " RET=%s", t->m->env.dsn_ret);
	if (c->offer.dsn && t->m->env.dsn_envid)
		buf_addf(&b, " ENVID=%s", t->m->env.dsn_envid);
	rc = b.failed ? stream_fail(&t->c->s, CAUSE_LOCAL, "out of memory") :
	    send_command(t->c, b.p, b.p);
	buf_free(&b);
	return rc;
}

static int
send_rcpt(struct transaction *t, size_t i)
{
	const struct rcpt *r = t->rcpts[i];
	struct buf b = { 0 };
	int rc;

	buf_addf(&b, "RCPT TO:<%s>", r->addr);
	if (t->c->offer.dsn && r->dsn_notify)
		buf_addf(&b, " NOTIFY=%s", r->dsn_notify);
	if (t->c->offer.dsn && r->dsn_orcpt)
		buf_addf(&b, " ORCPT=%s", r->dsn_orcpt);
	rc = b.failed ? stream_fail(&t->c->s, CAUSE_LOCAL, "out of memory") :
	    send_command(t->c, b.p, b.p);
	buf_free(&b);
	return rc;
}

static void
mail_reply(struct transaction *t, const struct reply *r)
{
	enum cause cause = CAUSE_ROUTE;

	if (r->code / 100 == 2)
		return;
	t->mail_refused = t->judged = true;
	/* Too large (RFC 1870) is the message's, the rest the route's. */
	if (r->code == 552 || strncmp(r->text, "5.3.4", 5) == 0)
		cause = CAUSE_CONTENT;
	judge(&t->res, t->c, cause, "MAIL refused", r);
}

/* RFC 5321 section 4.5.3.1.10: 552 to RCPT means 452, too many recipients. */
static bool
is_too_many(const struct reply *r)
{
	return r->code == 452 || r->code == 552;
}

static void
rcpt_reply(struct transaction *t, size_t i, const struct reply *r)
{
	struct result *res = &t->rcpts[i]->res;

	if (t->mail_refused)
		return;
	if (r->code / 100 == 2) {
		t->accepted[i] = true;
		t->naccepted++;
		return;
	}
	judge(res, t->c, CAUSE_RCPT, "recipient refused", r);
	if (is_too_many(r)) {
		t->again[i] = true;
		res->outcome = OUT_TEMP;
	}
}

/* Apply the common result to whom no more exact one was given. */
static void
settle(struct transaction *t, const struct result *res)
{
	size_t i;

	for (i = 0; i < t->n; i++)
		if (t->accepted[i] || t->rcpts[i]->res.text[0] == '\0')
			t->rcpts[i]->res = *res;
}

/* The reply to command i: 0 is MAIL, 1..n RCPT, n+1 DATA. */
static int
take_reply(struct transaction *t, size_t i)
{
	struct reply r;

	step(t->c, i == 0 ? MAIL_SECONDS : i <= t->n ? RCPT_SECONDS :
	    DATA_SECONDS);
	if (read_reply(t->c, &r) < 0)
		return -1;
	if (r.code == 421) {
		t->c->ready = false;
		judge(&t->res, t->c, CAUSE_ROUTE, "the server closes the session",
		    &r);
		t->judged = true;
	}
	if (i == 0)
		mail_reply(t, &r);
	else if (i <= t->n)
		rcpt_reply(t, i - 1, &r);
	else if (r.code == 354)
		t->data_go = true;
	else if (t->naccepted > 0) {
		judge(&t->res, t->c, CAUSE_CONTENT, "DATA refused", &r);
		t->judged = true;
		if (t->res.outcome == OUT_DONE)
			t->res.outcome = OUT_TEMP;
	}
	return 0;
}

static int
send_nth(struct transaction *t, size_t i)
{
	if (i == 0)
		return send_mail(t);
	if (i <= t->n)
		return send_rcpt(t, i - 1);
	return send_command(t->c, "DATA", "DATA");
}

/* Is there still a point in sending command i? Only known without pipelining. */
static bool
pointless(const struct transaction *t, size_t i, size_t replies)
{
	if (!t->c->ready)
		return true;
	if (replies > 0 && t->mail_refused)
		return true;
	return i == t->n + 1 && replies == i && t->naccepted == 0;
}

/*
 * MAIL, RCPT... and DATA, in as few flights as the peer allows. 0, or -1 when the
 * stream failed.
 */
static int
send_envelope(struct transaction *t)
{
	size_t sent = 0, got = 0, total = t->n + 2;
	size_t ahead = t->c->offer.pipelining ? WINDOW : 1;

	step(t->c, MAIL_SECONDS);
	while (sent < total && !pointless(t, sent, got)) {
		if (send_nth(t, sent++) < 0)
			return -1;
		if (sent - got >= ahead && take_reply(t, got++) < 0)
			return -1;
	}
	while (got < sent)
		if (take_reply(t, got++) < 0)
			return -1;
	return 0;
}

/* Write a block of whole CRLF text, a dot put before a line that begins so. */
static int
write_stuffed(struct smtp *c, const char *p, size_t n, bool *line_start)
{
	const char *lf;
	size_t k;

	while (n > 0) {
		if (*line_start && *p == '.' && stream_write(&c->s, ".", 1) < 0)
			return -1;
		lf = memchr(p, '\n', n);
		k = lf ? (size_t)(lf - p) + 1 : n;
		*line_start = lf != NULL;
		if (stream_write(&c->s, p, k) < 0)
			return -1;
		p += k;
		n -= k;
	}
	return 0;
}

/* The message up to, and without, the final dot. 0; -1 stream, -2 spool. */
static int
send_text(struct transaction *t)
{
	struct smtp *c = t->c;
	char *block = malloc(BLOCK);
	bool line_start = true;
	off_t at = 0;
	ssize_t n;
	int rc = 0;

	if (block == NULL)
		return -2;
	while (rc == 0 && (n = spool_read(&t->m->spool, block, BLOCK, at)) != 0) {
		if (n < 0) {
			rc = -2;
			break;
		}
		step(c, BLOCK_SECONDS);
		rc = t->m->spool.has_dot_line ?
		    write_stuffed(c, block, (size_t)n, &line_start) :
		    stream_write(&c->s, block, (size_t)n);
		at += n;
	}
	free(block);
	return rc;
}

/*
 * Writing failed while the message was sent: a peer that closes early may have
 * said why. true when it did; t->res is its verdict then.
 */
static bool
said_why(struct transaction *t)
{
	struct smtp *c = t->c;
	struct result err = c->s.err;
	struct reply r;
	bool said;

	stream_revive(&c->s, REASON_SECONDS);
	said = read_reply(c, &r) == 0 && r.code >= 400;
	if (said)
		judge(&t->res, c, CAUSE_CONTENT, "message refused", &r);
	c->s.err = err;
	c->s.failed = true;
	c->ready = false;
	return said;
}

static void
final_reply(struct transaction *t)
{
	struct smtp *c = t->c;
	struct reply r;

	/* From here on the peer may have the whole message. */
	step(c, DOT_SECONDS);
	log_trace(c->log, "> (%lld bytes of message)",
	    (long long)t->m->spool.size);
	if (stream_puts(&c->s, ".\r\n") < 0 || stream_flush(&c->s) < 0) {
		if (said_why(t))
			return;
	} else if (read_reply(c, &r) == 0) {
		judge(&t->res, c, CAUSE_CONTENT, r.code / 100 == 2 ? "" :
		    "message refused", &r);
		if (r.code == 421)
			c->ready = false;
		return;
	}
	result_ambiguous(&t->res, "%s, after the whole message was sent: it may "
	    "have been taken. Possible duplicate!", c->s.err.text);
	c->ready = false;
}

static void
send_message(struct transaction *t)
{
	struct smtp *c = t->c;

	switch (send_text(t)) {
	case 0:
		final_reply(t);
		return;
	case -1:
		stream_failed(c, "sending the message");
		t->res = c->res;
		said_why(t);
		return;
	default:
		/* Cutting the connection is the only way to say "never mind". */
		result_set(&t->res, OUT_TEMP, CAUSE_LOCAL,
		    "the stored message cannot be read");
		stream_fail(&c->s, CAUSE_LOCAL, "given up");
		c->ready = false;
	}
}

/* DATA was accepted although nobody is to get anything: send nothing. */
static void
send_nothing(struct transaction *t)
{
	struct reply r;

	step(t->c, DATA_SECONDS);
	if (stream_puts(&t->c->s, ".\r\n") < 0 ||
	    read_reply(t->c, &r) < 0)
		t->c->ready = false;
}

static void
run(struct transaction *t)
{
	struct smtp *c = t->c;
	struct reply r;

	result_set(&t->res, OUT_TEMP, CAUSE_ROUTE, "%s: the server closes the "
	    "session", c->s.peer);
	if (c->unfinished && command(c, "RSET", &r, "RSET") < 0) {
		settle(t, &c->res);
		return;
	}
	if (send_envelope(t) < 0) {
		/* The peer's own word says more than that it went away. */
		stream_failed(c, "sending the envelope");
		if (!t->judged)
			t->res = c->res;
	} else if (t->data_go && t->naccepted > 0)
		send_message(t);
	else if (t->data_go)
		send_nothing(t);
	c->unfinished = !t->data_go;
	settle(t, &t->res);
}

/* Run one transaction; pending is cut down to those it is to be tried for again. */
static void
transact(struct smtp *c, const struct message *m, struct rcpt **pending,
    size_t *n)
{
	struct transaction t = { .c = c, .m = m, .rcpts = pending, .n = *n };
	size_t i, left = 0;

	t.accepted = calloc(*n, 2 * sizeof *t.accepted);
	if (t.accepted == NULL) {
		result_set(&t.res, OUT_TEMP, CAUSE_LOCAL, "out of memory");
		for (i = 0; i < *n; i++)
			pending[i]->res = t.res;
		*n = 0;
		return;
	}
	t.again = t.accepted + *n;
	run(&t);
	for (i = 0; i < *n; i++)
		if (t.again[i] && t.naccepted > 0 && c->ready) {
			memset(&pending[i]->res, 0, sizeof pending[i]->res);
			pending[left++] = pending[i];
		}
	*n = left;
	free(t.accepted);
}

static void
set_all(struct rcpt *const *rcpts, size_t n, const struct result *res)
{
	size_t i;

	for (i = 0; i < n; i++)
		rcpts[i]->res = *res;
}

/* RFC 1870: what is larger than the peer takes need not be sent at all. */
static bool
too_large(const struct smtp *c, const struct message *m, struct result *res)
{
	if (c->offer.size_limit == 0 ||
	    (uint64_t)m->spool.size <= c->offer.size_limit)
		return false;
	result_set(res, OUT_PERM, CAUSE_CONTENT, "%s: the message is too large: "
	    "%lld bytes, the server takes %llu", c->s.peer,
	    (long long)m->spool.size, (unsigned long long)c->offer.size_limit);
	result_set_enhanced(res, "5.3.4");
	return true;
}

/*
 * The recipients that can be put on this wire: without SMTPUTF8 those whose
 * address, or whose sender's, is not ASCII are refused here. Returns how many.
 */
static size_t
sift(const struct smtp *c, const struct message *m, struct rcpt *const *rcpts,
    size_t n, struct rcpt **pending)
{
	bool from = is_ascii(m->env.from);
	size_t i, left = 0;

	for (i = 0; i < n; i++) {
		if (c->offer.utf8 || (from && is_ascii(rcpts[i]->addr))) {
			pending[left++] = rcpts[i];
			continue;
		}
		result_set(&rcpts[i]->res, OUT_PERM, CAUSE_RCPT, "%s: %s is not "
		    "ASCII, and the server does not offer SMTPUTF8",
		    c->s.peer, from ? rcpts[i]->addr : m->env.from);
		result_set_enhanced(&rcpts[i]->res, "5.6.7");
	}
	return left;
}

void
smtp_deliver(struct smtp *c, const struct message *m,
    struct rcpt *const *rcpts, size_t n)
{
	struct rcpt **pending = malloc((n > 0 ? n : 1) * sizeof *pending);
	struct mime_peer peer;
	struct message adapted = { .spool.fd = -1 };
	struct result res = { 0 };
	bool go = false;
	size_t i;

	if (pending == NULL)
		result_set(&res, OUT_TEMP, CAUSE_LOCAL, "out of memory");
	else if (!c->ready && connect_relay(c) < 0)
		res = c->res;
	else {
		peer = (struct mime_peer){ c->offer.eightbit, c->offer.utf8 };
		m = mime_message(m, &peer, &adapted, &res);
		go = m && !too_large(c, m, &res);
	}
	set_all(rcpts, n, &res);
	if (go) {
		i = sift(c, m, rcpts, n, pending);
		while (i > 0 && c->ready)
			transact(c, m, pending, &i);
	}
	free(pending);
	mime_done(&adapted);
	if (!c->ready)
		disconnect(c);
}
