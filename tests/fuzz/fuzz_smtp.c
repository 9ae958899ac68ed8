/*
 * Whole SMTP and LMTP dialogues with a relay that says what the input holds. An
 * observer, who sees only what both sides said, pairs commands with replies and
 * knows so who must have got which message:
 *
 *   sent		only what the relay has said 2xx to, for MAIL, RCPT and
 *			the final dot; and that is never tried again
 *   failed		only with a 5xx from the relay, or when it cannot take it
 *   before TLS		neither credentials nor mail, when the route wants TLS
 *   on the wire	CRLF alone; the message byte for byte, behind its dots
 */
#define _GNU_SOURCE	/* memmem */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "smtp.h"
#include "tests/fuzz/fuzz.h"

enum { TLS = 1, LOGIN = 2, SILENT = 4, LMTP = 8, NO_HANDSHAKE = 16, HIGH = 32,
	OAUTH = 64 };
enum { MESSAGES = 2, RCPTS = 2, MAILS = MESSAGES * RCPTS, REPLIES = 400 };

static const char *const texts[MESSAGES] = {
	"Subject: x\r\n\r\nhi\r\n.\r\n..two\r\n\r\n",
	"Subject: y\r\n\r\n.\r\n"
};
static const char high_text[] = "Subject: \xc3\xa4\r\n\r\n\xc3\xb6\r\n";

/* --- the observer --- */

struct observer {
	const struct peer *p;
	int codes[REPLIES];
	size_t ncodes, next;	/* replies, in order; the next to be paired */
	size_t at;		/* in p->wrote */
	bool lmtp;

	bool chunked;		/* a BDAT was understood */
	bool mail, rcpt[MAILS];	/* of the transaction: accepted */
	size_t order[64], norder;	/* LMTP: who has a reply to come */
	bool taken[MAILS], perm, bye;
	bool odd;		/* a 3xx where none can be */
};

/* All whole replies at the front of what the relay said. */
static void
find_replies(struct observer *o)
{
	const char *p = buf_str(&o->p->said), *end = p + o->p->said.len, *lf;
	int code = 0, c;

	for (; o->ncodes < REPLIES && (lf = memchr(p, '\n',
	    (size_t)(end - p))) != NULL; p = lf + 1) {
		if (lf - p < 3 || memchr(" -\r\n", p[3], 4) == NULL ||
		    (p[3] == '\r' && lf - p > 4) || p[0] < '2' || p[0] > '5' || p[1] < '0' ||
		    p[1] > '9' || p[2] < '0' || p[2] > '9')
			return;
		c = (p[0] - '0') * 100 + (p[1] - '0') * 10 + p[2] - '0';
		if (code != 0 && c != code)
			return;
		code = c;
		if (p[3] == '-')
			continue;
		o->codes[o->ncodes++] = code;
		code = 0;
	}
}

/* The reply to the next command, which may be that 3xx; 0: none came. */
static int
reply_or(struct observer *o, int more)
{
	int code = o->next < o->ncodes ? o->codes[o->next++] : 0;

	o->odd |= code / 100 == 3 && code != more;
	o->perm |= code / 100 == 5;
	o->bye |= code == 421;
	return code;
}

static int
reply(struct observer *o)
{
	return reply_or(o, 0);
}

/* The next line that the client wrote; NULL: there is none. */
static const char *
command(struct observer *o, size_t *n)
{
	const char *p = buf_str(&o->p->wrote) + o->at, *lf;

	lf = memchr(p, '\n', o->p->wrote.len - o->at);
	if (lf == NULL) {
		CHECK(o->at == o->p->wrote.len);
		return NULL;
	}
	CHECK(lf > p && lf[-1] == '\r');
	*n = (size_t)(lf - p) - 1;
	CHECK(memchr(p, '\r', *n) == NULL && memchr(p, '\0', *n) == NULL);
	o->at += *n + 2;
	return p;
}

static bool
is(const char *line, const char *word)
{
	return strncmp(line, word, strlen(word)) == 0;
}

static void
finals(struct observer *o, bool chunk)
{
	size_t i, who;
	int code = o->next < o->ncodes ? o->codes[o->next] : 0;

	/* "What is BDAT?": that is all, even by LMTP. */
	if (chunk && !o->chunked && code >= 500 && code <= 504) {
		o->ncodes = o->next;
		return;
	}
	o->chunked |= chunk;
	if (o->lmtp) {
		for (i = 0; i < o->norder; i++) {
			code = reply(o);
			who = o->order[i];
			o->taken[who] |= code / 100 == 2 && o->mail;
		}
	} else {
		code = reply(o);
		for (i = 0; i < MAILS; i++)
			o->taken[i] |= o->rcpt[i] && o->mail && code / 100 == 2;
	}
	memset(o->rcpt, 0, sizeof o->rcpt);
	o->norder = 0;
	o->mail = false;
}

/* Which message is it, going by the recipients? */
static const char *
wanted(const struct observer *o)
{
	size_t i;

	for (i = 0; i < MAILS; i++)
		if (o->rcpt[i])
			return texts[i / RCPTS];
	return NULL;
}

static void
data(struct observer *o, bool exact)
{
	const char *p, *text = wanted(o);
	struct buf got = { 0 };
	size_t n;

	while ((p = command(o, &n)) != NULL && !(n == 1 && *p == '.')) {
		CHECK(n == 0 || *p != '.' || p[1] == '.');
		CHECK(n <= 998);
		if (*p == '.') {
			p++;
			n--;
		}
		buf_add(&got, p, n);
		buf_adds(&got, "\r\n");
	}
	if (p && got.len == 0)
		;	/* for nobody: a lone dot */
	else if (p && text && exact)
		CHECK(strcmp(buf_str(&got), text) == 0);
	buf_free(&got);
	if (p)
		finals(o, false);
}

static void
bdat(struct observer *o, const char *line, bool exact)
{
	const char *text = wanted(o);
	size_t n = strtoul(line + 5, NULL, 10);

	CHECK(strstr(line, " LAST\r\n") != NULL);
	if (n > o->p->wrote.len - o->at) {
		o->at = o->p->wrote.len;
		return;
	}
	if (text && exact)
		CHECK(n == strlen(text) &&
		    memcmp(o->p->wrote.p + o->at, text, n) == 0);
	o->at += n;
	finals(o, true);
}

static void
rcpt(struct observer *o, const char *line, int code)
{
	size_t who = (size_t)(line[9] - 'a');

	CHECK(who < MAILS);
	o->rcpt[who] = code / 100 == 2;
	if (o->rcpt[who])
		o->order[o->norder++ % 64] = who;
}

static void
auth(struct observer *o)
{
	size_t n;

	while (reply_or(o, 334) == 334)
		if (command(o, &n) == NULL)
			return;
}

static void
observe(struct observer *o, bool exact)
{
	const char *line;
	size_t n;

	find_replies(o);
	reply(o);		/* the greeting */
	while ((line = command(o, &n)) != NULL) {
		CHECK(n <= 510 || is(line, "AUTH"));
		if (is(line, "AUTH"))
			auth(o);
		else if (is(line, "MAIL")) {
			o->mail = reply(o) / 100 == 2;
			memset(o->rcpt, 0, sizeof o->rcpt);
			o->norder = 0;
		} else if (is(line, "RCPT TO:<"))
			rcpt(o, line, reply(o));
		else if (is(line, "BDAT"))
			bdat(o, line, exact);
		else if (!is(line, "DATA"))
			reply(o);
		else if (reply_or(o, 354) == 354)
			data(o, exact);
	}
}

/* --- the delivery --- */

static void
check_clear_text(const struct peer *p)
{
	static const char *const words[] = { "AUTH", "MAIL", "RCPT", "DATA",
		"BDAT", "Subject", "SeCrEt", "U2VDckV0", "VTZWRGNr" };
	size_t i, n = p->in_tls ? p->tls_wrote : p->wrote.len;

	for (i = 0; i < sizeof words / sizeof words[0]; i++)
		CHECK(memmem(buf_str(&p->wrote), n, words[i],
		    strlen(words[i])) == NULL);
}

/* libFuzzer learns what is looked for. */
static bool
has_said(const struct peer *p, const char *text)
{
	return memmem(buf_str(&p->said), p->said.len, text, strlen(text));
}

static void
check_results(const struct observer *o, const struct rcpt *rcpts)
{
	const struct result *res;
	size_t i;

	for (i = 0; i < MAILS; i++) {
		res = &rcpts[i].res;
		CHECK(is_clean(res->text) && *res->text);
		CHECK(res->outcome != OUT_DONE || o->taken[i]);
		CHECK(res->outcome != OUT_PERM || res->code == 0 || o->perm);
		CHECK(res->outcome != OUT_PERM || res->code == 0 ||
		    res->code / 100 == 5);
		CHECK(!o->taken[i] || res->outcome == OUT_DONE ||
		    (o->odd && !res->certainly_not_taken));
		CHECK(strstr(res->text, "SeCrEt") == NULL ||
		    has_said(o->p, "SeCrEt"));
	}
}

FUZZ(smtp)
{
	static char host[] = "127.0.0.1", user[] = "user", secret[] = "SeCrEt",
	    here[] = "h.example", from[] = "f@x.example",
	    to[MAILS][12] = { "a@y.example", "b@y.example", "c@y.example",
	    "d@y.example" };
	unsigned how = in_byte(in);
	struct route r = { .type = how & LMTP ? ROUTE_LMTP : ROUTE_SMTP,
		.name = host, .host = host, .port = 1,
		.tls = how & TLS ? TLS_STARTTLS : TLS_OFF };
	struct config c = { .hostname = here };
	struct log log = { .target = LOG_TO_NONE };
	struct message m[MESSAGES] = { 0 };
	struct rcpt rcpts[MAILS] = { 0 }, *list[MAILS];
	struct parcel parcels[MESSAGES];
	struct peer p = { .in = *in, .silent = how & SILENT,
		.tls = !(how & NO_HANDSHAKE) };
	struct observer o = { .p = &p, .lmtp = how & LMTP };
	struct stream s = { 0 };
	struct smtp *smtp;
	const char *text;
	size_t i;

	if (how & LOGIN) {
		r.user = user;
		r.password.value = secret;
		r.auth = how & OAUTH ? AUTH_XOAUTH2 : AUTH_AUTO;
	}
	for (i = 0; i < MAILS; i++) {
		rcpts[i].addr = to[i];
		list[i] = &rcpts[i];
	}
	for (i = 0; i < MESSAGES; i++) {
		text = how & HIGH ? high_text : texts[i];
		m[i].env.from = from;
		m[i].spool.fd = file_of(text, strlen(text));
		m[i].spool.size = (off_t)strlen(text);
		m[i].spool.has_dot_line = true;
		m[i].spool.has_8bit = m[i].spool.has_8bit_header = how & HIGH;
		parcels[i] = (struct parcel){ &m[i], list + RCPTS * i, RCPTS };
	}
	peer_open(&p, &s);
	smtp = smtp_open(&r, &c, &log);
	smtp_adopt(smtp, &s);
	smtp_deliver(smtp, parcels, MESSAGES);
	smtp_close(smtp);
	if (how & TLS)
		check_clear_text(&p);
	observe(&o, !(how & HIGH));
	check_results(&o, rcpts);
	peer_free(&p);
	for (i = 0; i < MESSAGES; i++)
		close(m[i].spool.fd);
}
