#include "lib/relay/transaction.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/mail/dkim.h"
#include "lib/mail/idn.h"
#include "lib/mail/mime.h"
#include "lib/mail/spool.h"

/* Commands by number; behind the recipients' come DATA or BDAT, then the text. */
enum { RSET, MAIL, RCPT };

struct transaction *
transaction_new(const struct message *m, struct rcpt *const *rcpts, size_t n)
{
	/* Behind it: pointers to recipients, room to sort them, and flags. */
	size_t each = 2 * sizeof(struct rcpt *) + 3 * sizeof(bool), i;
	struct transaction *t = calloc(1, sizeof *t + n * each);

	if (t == NULL)
		return NULL;
	t->m = m;
	t->adapted.spool.fd = -1;
	t->rcpts = (struct rcpt **)(t + 1);
	t->accepted = (bool *)(t->rcpts + 2 * n);
	t->again = t->accepted + n;
	t->told = t->again + n;
	t->n = n;
	for (i = 0; i < n; i++) {
		t->rcpts[i] = rcpts[i];
		memset(&rcpts[i]->res, 0, sizeof rcpts[i]->res);
	}
	return t;
}

void
transaction_free(struct transaction *t)
{
	if (t)
		mime_done(&t->adapted);
	free(t);
}

/* --- before it is sent --- */

/* RFC 1870: what is larger than the peer takes need not be sent at all. */
static bool
too_large(const struct session *c, const struct message *m, struct result *res)
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
 * Without SMTPUTF8 those whose address, or whose sender's, is not ASCII cannot be
 * put on this wire: they are refused here. Returns how many are left.
 */
static size_t
sift(struct transaction *t, const struct session *c)
{
	bool from = is_ascii(t->m->env.from);
	struct rcpt *r;
	size_t i, left = 0;

	for (i = 0; i < t->n; i++) {
		r = t->rcpts[i];
		if (c->offer.utf8 || (from && is_ascii(r->addr))) {
			t->rcpts[left++] = r;
			continue;
		}
		result_set(&r->res, OUT_PERM, CAUSE_RCPT, "%s: %s is not "
		    "ASCII, and the server does not offer SMTPUTF8",
		    c->s.peer, from ? r->addr : t->m->env.from);
		result_set_enhanced(&r->res, "5.6.7");
		message_settled(t->m, &r, 1);
	}
	return left;
}

/*
 * A chunk is read as a whole before anything is said of it: once its size is told
 * there is no way back.
 */
static int
read_chunk(const struct spool *sp, char *block)
{
	off_t at;
	ssize_t n;

	for (at = 0; at < sp->size; at += n) {
		n = spool_read(sp, block + at, (size_t)(sp->size - at), at);
		if (n <= 0)
			return -1;
	}
	return 0;
}

static void
unreadable(struct result *res)
{
	result_set(res, OUT_TEMP, CAUSE_LOCAL,
	    "the stored message cannot be read");
}

bool
transaction_prepare(struct transaction *t, struct session *c, char *block)
{
	struct mime_peer peer = { c->offer.eightbit, c->offer.utf8 };

	t->wire = dkim_message(mime_message(t->m, &peer, &t->adapted, &t->res),
	    c->route, &t->adapted, &t->res);
	t->judged = t->wire == NULL || too_large(c, t->wire, &t->res);
	if (t->m->env.requiretls && !c->offer.requiretls) {
		message_needs_tls(&t->res, c->s.peer);
		t->judged = true;
	}
	if (t->judged)
		return false;
	t->n = sift(t, c);
	t->chunk = c->offer.chunking && !c->no_chunks &&
	    t->wire->spool.size <= CHUNK_MAX;
	if (t->n > 0 && t->chunk && read_chunk(&t->wire->spool, block) < 0) {
		unreadable(&t->res);
		t->judged = true;
		return false;
	}
	t->first = t->sent = t->got = c->unfinished ? RSET : MAIL;
	return t->n > 0;
}

/* --- what is sent --- */

/* RFC 6531: an address, or text of the header, that is not ASCII. */
static bool
wants_utf8(const struct transaction *t)
{
	size_t i;

	if (t->wire->env.utf8 || t->wire->spool.has_8bit_header ||
	    !is_ascii(t->wire->env.from))
		return true;
	for (i = 0; i < t->n; i++)
		if (!is_ascii(t->rcpts[i]->addr))
			return true;
	return false;
}

/* Send the command that was put together in b, and free it. */
static int
send_built(struct session *c, struct buf *b)
{
	int rc = b->failed ? stream_fail(&c->s, CAUSE_LOCAL, "out of memory") :
	    session_send(c, b->p);

	buf_free(b);
	return rc;
}

static int
send_mail(const struct transaction *t, struct session *c)
{
	const struct message *m = t->wire;
	struct buf b = { 0 };

	buf_addf(&b, "MAIL FROM:<%s>", m->env.from);
	if (c->offer.size)
		buf_addf(&b, " SIZE=%lld", (long long)m->spool.size);
	if (c->offer.eightbit && m->spool.has_8bit)
		buf_adds(&b, " BODY=8BITMIME");
	if (c->offer.utf8 && wants_utf8(t))
		buf_adds(&b, " SMTPUTF8");
	if (m->env.requiretls)
		buf_adds(&b, " REQUIRETLS");
	if (c->offer.dsn && m->env.dsn_ret)
		buf_addf(&b, " RET=%s", m->env.dsn_ret);
	if (c->offer.dsn && m->env.dsn_envid)
		buf_addf(&b, " ENVID=%s", m->env.dsn_envid);
	c->unfinished = true;
	return send_built(c, &b);
}

static int
send_rcpt(const struct rcpt *r, struct session *c)
{
	struct buf b = { 0 };

	buf_addf(&b, "RCPT TO:<%s>", r->addr);
	if (c->offer.dsn && r->dsn_notify)
		buf_addf(&b, " NOTIFY=%s", r->dsn_notify);
	if (c->offer.dsn && r->dsn_orcpt)
		buf_addf(&b, " ORCPT=%s", r->dsn_orcpt);
	return send_built(c, &b);
}

static int
send_chunk(struct transaction *t, struct session *c, const char *block)
{
	size_t size = (size_t)t->wire->spool.size, last = size > 0;
	struct buf b = { 0 };
	int rc;

	session_step(c, BLOCK_SECONDS);
	buf_addf(&b, "BDAT %zu LAST", size);
	if (send_built(c, &b) < 0 || session_text(c, block, size - last) < 0)
		return -1;
	/* From here on the peer may have the whole message. */
	rc = session_text(c, block + size - last, last);
	t->end = c->written;
	return rc;
}

/* Write a block of whole CRLF text, a dot put before a line that begins so. */
static int
write_stuffed(struct session *c, const char *p, size_t n, bool *line_start)
{
	const char *lf;
	size_t k;

	while (n > 0) {
		if (*line_start && *p == '.' && session_text(c, ".", 1) < 0)
			return -1;
		lf = memchr(p, '\n', n);
		k = lf ? (size_t)(lf - p) + 1 : n;
		*line_start = lf != NULL;
		if (session_text(c, p, k) < 0)
			return -1;
		p += k;
		n -= k;
	}
	return 0;
}

/* The message up to, and without, the final dot. */
static int
send_lines(struct transaction *t, struct session *c, char *block)
{
	const struct spool *sp = &t->wire->spool;
	bool line_start = true;
	off_t at = 0;
	ssize_t n;
	int rc = 0;

	while (rc == 0 && (n = spool_read(sp, block, CHUNK_MAX, at)) != 0) {
		if (n < 0) {
			/* To cut the connection is all that says "never mind". */
			unreadable(&t->res);
			t->judged = true;
			return stream_fail(&c->s, CAUSE_LOCAL, "given up");
		}
		session_step(c, BLOCK_SECONDS);
		rc = sp->has_dot_line ?
		    write_stuffed(c, block, (size_t)n, &line_start) :
		    session_text(c, block, (size_t)n);
		at += n;
	}
	return rc;
}

/* 354 came; when nobody is to get anything the text is left out. */
static int
send_text(struct transaction *t, struct session *c, char *block)
{
	int rc;

	if (t->naccepted == 0 && c->route->type == ROUTE_LMTP)
		/* It would not be answered. */
		return stream_fail(&c->s, CAUSE_ROUTE, "DATA for nobody");
	if (t->naccepted > 0) {
		if (send_lines(t, c, block) < 0)
			return -1;
		log_trace(c->log, "> (%lld bytes of message)",
		    (long long)t->wire->spool.size);
	}
	/* From here on the peer may have the whole message. */
	session_step(c, DOT_SECONDS);
	c->unfinished = false;
	rc = session_text(c, ".\r\n", 3);
	t->end = c->written;
	return rc;
}

size_t
transaction_commands(const struct transaction *t)
{
	return RCPT + t->n + 1;
}

bool
transaction_pointless(const struct transaction *t, const struct session *c)
{
	if (!c->ready || t->mail_refused)
		return true;
	/* DATA for nobody: only known by now when there is no pipelining. */
	return t->sent == RCPT + t->n && t->got == t->sent && t->naccepted == 0;
}

int
transaction_send(struct transaction *t, struct session *c, char *block)
{
	size_t i = t->sent++;

	session_step(c, MAIL_SECONDS);
	if (i == RSET) {
		c->unfinished = false;
		return session_send(c, "RSET");
	}
	if (i == MAIL)
		return send_mail(t, c);
	if (i < RCPT + t->n)
		return send_rcpt(t->rcpts[i - RCPT], c);
	if (i > RCPT + t->n)
		return send_text(t, c, block);
	return t->chunk ? send_chunk(t, c, block) : session_send(c, "DATA");
}

bool
transaction_whole(const struct transaction *t, const struct session *c)
{
	return t->end > 0 && t->end <= c->written - c->s.out_len;
}

/* --- what is answered --- */

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
judge(struct result *res, const struct session *c, enum cause cause,
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

/* The verdict for all who have none of their own. */
static void
judge_all(struct transaction *t, const struct session *c, enum cause cause,
    const char *doing, const struct reply *r)
{
	judge(&t->res, c, cause, doing, r);
	t->judged = true;
}

static void
mail_reply(struct transaction *t, const struct session *c,
    const struct reply *r)
{
	enum cause cause = CAUSE_ROUTE;

	if (r->code / 100 == 2)
		return;
	t->mail_refused = true;
	/* Too large (RFC 1870) is the message's, the rest the route's. */
	if (r->code == 552 || strncmp(r->text, "5.3.4", 5) == 0)
		cause = CAUSE_CONTENT;
	judge_all(t, c, cause, "MAIL refused", r);
}

/* Of this transaction or session the server has enough (RFC 3463). */
static bool
is_limit(const struct reply *r)
{
	return strncmp(r->text, "4.5.3", 5) == 0;
}

/* RFC 5321 section 4.5.3.1.10: 552 to RCPT means 452, too many recipients. */
static bool
is_too_many(const struct reply *r)
{
	return r->code == 452 || r->code == 552 || is_limit(r);
}

static void
rcpt_reply(struct transaction *t, const struct session *c, size_t i,
    const struct reply *r)
{
	struct result *res = &t->rcpts[i]->res;

	if (t->mail_refused)
		return;
	if (r->code / 100 == 2) {
		t->accepted[i] = true;
		t->naccepted++;
		return;
	}
	judge(res, c, CAUSE_RCPT, "recipient refused", r);
	if (is_too_many(r)) {
		t->again[i] = true;
		res->outcome = OUT_TEMP;
	}
}

static void
data_reply(struct transaction *t, const struct session *c,
    const struct reply *r)
{
	if (r->code == 354)
		t->go = true;
	else if (t->naccepted > 0)
		judge_all(t, c, CAUSE_CONTENT, "DATA refused", r);
}

/*
 * Boxes in between let CHUNKING through and strip BDAT. 500 to 504 speak of
 * commands and never of a message; only 503 may also mean "no recipients".
 */
static bool
is_unchunked(const struct transaction *t, const struct reply *r)
{
	return t->chunk && t->ntold == 0 && r->code >= 500 && r->code <= 504 &&
	    (r->code != 503 || t->naccepted > 0);
}

/* One of several replies: it is for the first recipient who still waits. */
static void
tell_next(struct transaction *t, struct session *c, const struct reply *r)
{
	size_t i = 0;

	while (!t->accepted[i])
		i++;
	judge(&t->rcpts[i]->res, c, CAUSE_RCPT, r->code / 100 == 2 ? "" :
	    "message refused", r);
	t->accepted[i] = false;
	t->told[i] = true;
	message_settled(t->m, &t->rcpts[i], 1);
	if (++t->ntold < t->naccepted)
		t->got--;
	else
		judge_all(t, c, CAUSE_CONTENT, "", r);
}

/* The reply to the whole message; when it was for nobody it says only so. */
static void
final_reply(struct transaction *t, struct session *c, const struct reply *r)
{
	bool lmtp = c->route->type == ROUTE_LMTP;

	/* By LMTP more replies follow it where BDAT is known. */
	if (is_unchunked(t, r) && !(lmtp && c->chunks_proven)) {
		t->unchunked = c->no_chunks = true;
		return;
	}
	if (t->chunk)
		c->chunks_proven = true;
	if (t->naccepted > 0 && lmtp)
		tell_next(t, c, r);
	else if (t->naccepted > 0)
		judge_all(t, c, CAUSE_CONTENT, r->code / 100 == 2 ? "" :
		    "message refused", r);
}

/*
 * The peer ends the session. Many do so after so many messages, at the next MAIL:
 * that one has lost nothing, and has its turn on another connection. OpenSMTPD
 * then refuses every MAIL, and does not hang up.
 */
static void
good_bye(struct transaction *t, struct session *c, size_t i,
    const struct reply *r)
{
	bool late = c->used || c->closing;

	c->ready = false;
	c->closing = true;
	judge(&t->res, c, CAUSE_ROUTE, "the server closes the session", r);
	t->res.outcome = OUT_TEMP;
	t->put_off |= late && i <= MAIL;
	t->judged = !t->put_off;
}

bool
transaction_expects(const struct transaction *t, const struct session *c,
    const struct reply *r)
{
	bool text = t->got + t->chunk > RCPT + t->n;

	if (!t->chunk && t->got == RCPT + t->n)
		return r->code == 354 || r->code >= 400;
	return r->code >= 400 || (r->code < 300 && (!text ||
	    transaction_whole(t, c)));
}

void
transaction_reply(struct transaction *t, struct session *c,
    const struct reply *r)
{
	size_t i = t->got++;

	/* Where RSET does nothing, the next MAIL would add to the last. */
	if (r->code == 421 || (i == RSET && r->code / 100 != 2) ||
	    (i == MAIL && c->used && is_limit(r)))
		good_bye(t, c, i, r);
	if (t->put_off)
		return;
	if (i == MAIL)
		mail_reply(t, c, r);
	else if (i >= RCPT && i < RCPT + t->n)
		rcpt_reply(t, c, i - RCPT, r);
	else if (i == RCPT + t->n && !t->chunk)
		data_reply(t, c, r);
	else if (i != RSET)
		final_reply(t, c, r);
}

void
transaction_wait(const struct transaction *t, struct session *c)
{
	size_t i = t->got;

	/* Peers may hold their answers back until they have seen all of it. */
	session_step(c, c->closing ? BYE_SECONDS : t->end > 0 ? DOT_SECONDS :
	    i <= MAIL ? MAIL_SECONDS : i < RCPT + t->n ? RCPT_SECONDS :
	    DATA_SECONDS);
}

/* --- what came of it --- */

/* Make t what transaction_new() made of its first n recipients. */
static void
start_over(struct transaction *t, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		memset(&t->rcpts[i]->res, 0, sizeof t->rcpts[i]->res);
	for (i = 0; i < t->n; i++)
		t->accepted[i] = t->again[i] = t->told[i] = false;
	mime_done(&t->adapted);
	t->adapted.spool.fd = -1;
	memset(&t->res, 0, sizeof t->res);
	t->naccepted = t->ntold = 0;
	t->chunk = t->launched = t->mail_refused = t->go = false;
	t->judged = t->put_off = t->unchunked = false;
	t->end = 0;
	t->n = n;
}

size_t
transaction_settle(struct transaction *t, const struct session *c,
    const struct result *res)
{
	struct rcpt **done = t->rcpts + t->n;
	size_t i, settled = 0, left = 0;
	struct rcpt *r;
	bool again;

	for (i = 0; i < t->n; i++) {
		r = t->rcpts[i];
		if (t->told[i])
			continue;
		again = t->again[i] && t->naccepted > 0 && c->ready;
		if (t->accepted[i] || r->res.text[0] == '\0') {
			if (res)
				r->res = *res;
			again = res == NULL;
		}
		if (again)
			t->rcpts[left++] = r;
		else
			done[settled++] = r;
	}
	if (settled > 0)
		message_settled(t->m, done, settled);
	start_over(t, left);
	return left;
}
