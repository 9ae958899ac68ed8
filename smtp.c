#include "smtp.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/relay/session.h"
#include "lib/relay/transaction.h"

enum {
	/*
	 * Commands ahead of their replies: at 512 bytes a reply (RFC 5321 section
	 * 4.5.3.1.5) these fit the socket's receive buffer, so that the peer can
	 * say them all while we write (RFC 2920 section 3.1).
	 */
	WINDOW = 128,
	/* Messages ahead of their replies, and bytes of them. */
	FLIGHT_MIN = 4, FLIGHT_MAX = 32, FLIGHT_BYTES = 256 * 1024 - CHUNK_MAX,
	/* Milliseconds of a turn for each such message: 500 a second, or more. */
	TURN_SHARE = 2,
	CONNECTS_MAX = 4		/* in a row that bring no answer */
};

struct smtp {
	struct session session;
};

struct list {
	struct transaction *head, *last;
};

/*
 * The transactions of one smtp_deliver(). Replies come in the order of commands,
 * so only the oldest transaction ever awaits one, and it ends first.
 */
struct flight {
	struct session *c;
	const struct parcel *parcels;
	size_t n, next;			/* parcels; the first not yet begun */
	struct list air, again;		/* sent; to be sent once more */
	int count;			/* of what is in the air */
	size_t bytes;			/* of its chunks */
	size_t awaited;			/* replies */
	size_t held;			/* of them to commands in c->s.out, at most */
	unsigned connects;		/* since the last answer */
	char *block;			/* CHUNK_MAX bytes */
	const struct message *settled;	/* the last one, since the last wait */
	struct result lost;		/* why the last connection ended */
};

static void
put_last(struct list *l, struct transaction *t)
{
	t->next = NULL;
	if (l->head)
		l->last->next = t;
	else
		l->head = t;
	l->last = t;
}

static struct transaction *
take_first(struct list *l)
{
	struct transaction *t = l->head;

	if (t)
		l->head = t->next;
	return t;
}

/* --- how transactions end --- */

/* What was settled is kept for good, while the peer is busy anyway. */
static void
keep(struct flight *f)
{
	if (f->settled)
		message_settled(f->settled, NULL, 0);
	f->settled = NULL;
}

/* As transaction_settle(); whoever is left has another go. */
static void
settle(struct flight *f, struct transaction *t, const struct result *res)
{
	f->settled = t->m;
	if (transaction_settle(t, f->c, res) > 0)
		put_last(&f->again, t);
	else
		transaction_free(t);
}

static struct transaction *
land(struct flight *f)
{
	struct transaction *t = take_first(&f->air);

	f->count--;
	f->bytes -= t->chunk ? (size_t)t->wire->spool.size : 0;
	return t;
}

/* Is the message itself what was sent last? */
static bool
sent_message(const struct transaction *t)
{
	return t->sent == transaction_commands(t) + (t->chunk ? 0 : 1);
}

/*
 * What a lost connection means for the oldest message in the air, by the peer's
 * last words, or by how much of it had left. first: all before it were answered.
 */
static void
strand(struct flight *f, struct transaction *t, bool first)
{
	const struct session *c = f->c;
	/* Good-bye, and gone: what came behind that was not looked at. */
	bool left = c->closing && stream_wait_ms(&c->s) > 0;
	struct result res;

	if (t->judged)
		settle(f, t, &t->res);
	else if (transaction_whole(t, c) && !left && !t->unchunked &&
	    !t->put_off) {
		result_ambiguous(&res, "%s, after the whole message was sent: it "
		    "may have been taken. Possible duplicate!", c->s.err.text);
		settle(f, t, &res);
	} else if (first && !c->closing && !t->unchunked &&
	    !(c->used && t->got == t->first))
		settle(f, t, &f->lost);
	else
		/* A kept connection was no more, or it was not its turn yet. */
		settle(f, t, NULL);
}

/* The stream has failed: everything in the air comes down. Returns -1. */
static int
crash(struct flight *f)
{
	const struct result *err = &f->c->s.err;
	bool first = true;

	if (!f->c->closing)
		result_set(&f->lost, OUT_TEMP, err->cause, "%s (sending the %s)",
		    err->text, f->air.head && sent_message(f->air.head) ?
		    "message" : "envelope");
	f->c->ready = false;
	while (f->air.head) {
		strand(f, land(f), first);
		first = false;
	}
	f->awaited = 0;
	session_close(f->c);
	return -1;
}

/*
 * Each chunk in the air may be refused and cost a RSET, and peers count those. So
 * a peer that takes everything is trusted with more and more at a time, and one
 * that refuses with as many as RESETS_MAX still allows.
 */
static void
count_resets(struct session *c, const struct transaction *t)
{
	if (t->res.outcome == OUT_DONE)
		c->credit++;
	else if (t->chunk || !t->go)
		c->credit = RESETS_MAX - ++c->resets;
}

/* The oldest transaction is over: everything it sent was answered. */
static int
conclude(struct flight *f)
{
	struct session *c = f->c;
	struct transaction *t = land(f);
	bool cut = t->unchunked && !c->chunks_proven;

	if (!c->closing) {
		c->used = true;
		f->connects = 0;
	}
	count_resets(c, t);
	/* Nothing was sent behind it, so the peer awaits MAIL. */
	if (t->chunk && t->res.outcome == OUT_DONE && f->air.head == NULL)
		c->unfinished = false;
	settle(f, t, t->judged ? &t->res : NULL);
	if (!cut)
		return 0;
	/* The chunk may have been read as commands, and will be answered as such. */
	stream_fail(&c->s, CAUSE_ROUTE, "CHUNKING is offered but not known");
	return crash(f);
}

/* --- replies --- */

/* Apply a reply to the command that has waited longest. */
static int
apply(struct flight *f, const struct reply *r)
{
	struct transaction *t = f->air.head;
	size_t before = t->got;
	bool closing = f->c->closing;

	if (!transaction_expects(t, f->c, r)) {
		stream_fail(&f->c->s, CAUSE_ROUTE, "a reply that makes no sense "
		    "here: %d %.80s", r->code, r->text);
		return crash(f);
	}
	transaction_reply(t, f->c, r);
	f->awaited -= t->got - before;
	if (t->ntold > 0)
		f->settled = t->m;
	if (f->c->closing && !closing)
		f->lost = t->res;
	return t->launched && t->got == t->sent ? conclude(f) : 0;
}

/*
 * Writing failed: a peer that closes early may have answered before it did, and
 * may have said why.
 */
static int
hear_out(struct flight *f)
{
	struct session *c = f->c;
	struct result err = c->s.err;
	struct reply r;

	if (err.cause != CAUSE_LOCAL) {
		stream_revive(&c->s, REASON_SECONDS);
		while (f->awaited > 0 && session_reply(c, &r) == 0)
			if (apply(f, &r) < 0)
				return -1;
		c->s.err = err;
		c->s.failed = true;
	}
	return crash(f);
}

/* Wait for the next reply. 0; or -1 when the connection is gone. */
static int
await(struct flight *f)
{
	struct session *c = f->c;
	struct reply r;

	transaction_wait(f->air.head, c);
	/* Nothing is answered before it was said; the text is never said so. */
	if (stream_buffered(&c->s) == 0 || (f->awaited <= f->held &&
	    !sent_message(f->air.head))) {
		if (stream_flush(&c->s) < 0)
			return hear_out(f);
		f->held = 0;
		keep(f);
	}
	if (session_reply(c, &r) < 0)
		return crash(f);
	return apply(f, &r);
}

/* --- sending --- */

static int
send_next(struct flight *f, struct transaction *t)
{
	f->awaited++;
	f->held = f->c->s.out_len > 0 ? f->held + 1 : 1;
	return transaction_send(t, f->c, f->block) < 0 ? hear_out(f) : 0;
}

/*
 * MAIL, RCPT... and BDAT or DATA, in as few flights as the peer allows. 0, or -1
 * when the connection is gone (t then has been dealt with).
 */
static int
send_envelope(struct flight *f, struct transaction *t)
{
	size_t ahead = f->c->offer.pipelining ? WINDOW : 1;

	while (t->sent < transaction_commands(t) &&
	    !transaction_pointless(t, f->c)) {
		if (send_next(f, t) < 0)
			return -1;
		while (f->awaited >= ahead)
			if (await(f) < 0)
				return -1;
	}
	return 0;
}

/* DATA has to be answered; the text then leaves with what follows it. */
static int
send_text(struct flight *f, struct transaction *t)
{
	while (t->got < t->sent)
		if (await(f) < 0)
			return -1;
	return t->go ? send_next(f, t) : 0;
}

static void
launch(struct flight *f, struct transaction *t)
{
	put_last(&f->air, t);
	f->count++;
	f->bytes += t->chunk ? (size_t)t->wire->spool.size : 0;
	if (send_envelope(f, t) < 0)
		return;
	if (!t->chunk && t->sent == transaction_commands(t) &&
	    send_text(f, t) < 0)
		return;
	t->launched = true;
	if (t->got == t->sent)
		conclude(f);
}

/* A session with nothing against sending MAIL. 0, or -1 with f->lost filled. */
static int
have_session(struct flight *f)
{
	struct session *c = f->c;

	if (f->air.head)
		return 0;
	/* What a peer says unasked is good-bye. */
	if (c->closing || (c->ready && (c->resets >= RESETS_MAX || (c->used &&
	    stream_has_input(&c->s)))))
		session_close(c);
	if (c->ready)
		return 0;
	if (f->connects++ == CONNECTS_MAX) {
		c->res = f->lost;
		c->down = true;
		return -1;
	}
	if (session_open(c) == 0)
		return 0;
	f->lost = c->res;
	return -1;
}

static void
set_all(const struct parcel *p, const struct result *res)
{
	size_t i;

	for (i = 0; i < p->n; i++)
		p->rcpts[i]->res = *res;
	if (p->n > 0)
		message_settled(p->m, p->rcpts, p->n);
}

/* The next message that is to be sent; NULL when there was no memory for it. */
static struct transaction *
choose(struct flight *f)
{
	struct transaction *t = take_first(&f->again);
	const struct parcel *p;
	struct result res;

	if (t)
		return t;
	p = &f->parcels[f->next++];
	t = transaction_new(p->m, p->rcpts, p->n);
	if (t == NULL) {
		result_set(&res, OUT_TEMP, CAUSE_LOCAL, "out of memory");
		set_all(p, &res);
	}
	return t;
}

static void
begin(struct flight *f)
{
	struct session *c = f->c;
	struct transaction *t = choose(f);

	if (t == NULL)
		return;
	/* The end of a session is meant for one message. */
	if (c->used)
		stream_session(&c->s, c->config->timeout);
	if (transaction_prepare(t, c, f->block))
		launch(f, t);
	else
		settle(f, t, &t->res);
}

static void
give_up(struct flight *f, const struct result *res)
{
	struct transaction *t;

	while ((t = take_first(&f->again)) != NULL)
		settle(f, t, res);
	while (f->next < f->n)
		set_all(&f->parcels[f->next++], res);
}

static bool
is_more(const struct flight *f)
{
	return f->again.head || f->next < f->n;
}

/*
 * How many messages may be in the air: what keeps the peer busy for a turn, and
 * no more, because each of them is in doubt when the connection dies. Whether a
 * peer that offers CHUNKING knows it is tried with a single one.
 */
static int
most_in_air(const struct flight *f)
{
	const struct session *c = f->c;
	int most = c->turn / TURN_SHARE;

	if (most < FLIGHT_MIN)
		most = FLIGHT_MIN;
	if (most > FLIGHT_MAX)
		most = FLIGHT_MAX;
	if (!f->air.head->chunk)
		return most;
	if (most > c->credit)
		most = c->credit;
	return most < 1 || !c->chunks_proven ? 1 : most;
}

/*
 * Is it time to read replies rather than to send another message? All that have
 * come are read first, so that what then leaves leaves together.
 */
static bool
must_wait(const struct flight *f)
{
	return f->air.head && (!is_more(f) || !f->c->ready ||
	    !f->c->offer.pipelining || f->count >= most_in_air(f) ||
	    f->bytes > FLIGHT_BYTES || stream_has_input(&f->c->s));
}

/* --- the interface --- */

struct smtp *
smtp_open(const struct route *r, const struct config *config, struct log *log)
{
	struct smtp *c = calloc(1, sizeof *c);

	if (c) {
		c->session.route = r;
		c->session.config = config;
		c->session.log = log;
		c->session.s.fd = -1;
	}
	return c;
}

void
smtp_close(struct smtp *c)
{
	if (c) {
		session_close(&c->session);
		mem_wipe(&c->session.tls, sizeof c->session.tls);
	}
	free(c);
}

void
smtp_adopt(struct smtp *c, struct stream *s)
{
	c->session.s = *s;
	memset(s, 0, sizeof *s);
	s->fd = -1;
	c->session.connected = true;
}

const struct result *
smtp_down(const struct smtp *c)
{
	return c->session.down ? &c->session.res : NULL;
}

void
smtp_deliver(struct smtp *c, const struct parcel *parcels, size_t n)
{
	struct flight f = { .c = &c->session, .parcels = parcels, .n = n };

	f.block = malloc(CHUNK_MAX);
	if (f.block == NULL) {
		result_set(&f.lost, OUT_TEMP, CAUSE_LOCAL, "out of memory");
		give_up(&f, &f.lost);
	}
	while (f.air.head || is_more(&f))
		if (must_wait(&f))
			await(&f);
		else if (have_session(&f) < 0)
			give_up(&f, &f.lost);
		else
			begin(&f);
	keep(&f);
	free(f.block);
	if (c->session.ready)
		c->session.used = true;
	else
		session_close(&c->session);
}
