#include "lib/front/outcome.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "bearssl-glue.h"
#include "lib/base/clock.h"
#include "lib/front/routing.h"
#include "lib/store/bounce.h"
#include "lib/store/schedule.h"

enum { MARKS = 64 };		/* states that go to the disk together */

/* Operators mend what is theirs, and a local fault is no fault of the mail's. */
static bool
may_bounce(const struct result *r)
{
	return r->cause != CAUSE_OPERATOR && r->cause != CAUSE_LOCAL;
}

static uint32_t
random_number(void)
{
	uint32_t n = 0;

	random_bytes(&n, sizeof n);
	return n;
}

static void
log_line(const struct delivery *d, const struct message *m,
    const char *status, const char *reason)
{
	struct buf line = { 0 };

	log_pair(&line, "id", m->id);
	log_pair(&line, "from", *m->env.from ? m->env.from : "<>");
	if (status)
		log_pair(&line, "status", status);
	log_pair(&line, "reason", reason);
	log_write(d->log, "%s", buf_str(&line));
	log_trace(d->log, "* %s: %s", m->id, reason);
	buf_free(&line);
}

/* --- telling the sender --- */

/* A report: queued as a message of its own when ticket.q is set. */
struct report {
	struct ticket ticket;
	struct message m;
};

static int
report_init(const struct delivery *d, struct message *r, const char *to,
    struct result *res)
{
	struct buf from = { 0 };
	int rc = 0;

	*r = (struct message){ .born = time(NULL), .spool.fd = -1 };
	message_id_make(r->id);
	buf_addf(&from, "MAILER-DAEMON@%s", d->config->hostname);
	r->env.from = mem_dup("", 0);
	r->env.rcpts = calloc(1, sizeof *r->env.rcpts);
	if (r->env.rcpts)
		r->env.rcpts[0].addr = mem_dup(to, strlen(to));
	r->env.nrcpts = r->env.rcpts && r->env.rcpts[0].addr;
	if (from.failed || r->env.from == NULL || r->env.nrcpts == 0 ||
	    addr_list_add(&r->identities, from.p, from.len) < 0)
		rc = result_fail(res, EXIT_OS, "out of memory");
	buf_free(&from);
	return rc;
}

/*
 * Is there a way for mail without a sender? SES, for one, takes none: -2. -1: it
 * cannot be told now.
 */
static int
has_route(const struct delivery *d, const struct message *r,
    struct result *res)
{
	struct buf why = { 0 };
	const struct route *route = routing_choose(d->config, r, &why, res);

	buf_free(&why);
	return route ? 0 : res->exit == EXIT_OS ? -1 : -2;
}

static int
report_store(const struct bounce *b, struct queue *q, struct report *r,
    struct result *res)
{
	if (queue_create(q, &r->ticket, &r->m, res) < 0)
		return -1;
	if (bounce_write(b, &r->m.spool, res) == 0 &&
	    spool_finish(&r->m.spool, res) == 0)
		return queue_commit(&r->ticket, res);
	queue_remove(&r->ticket);
	return -1;
}

/*
 * Queue a report about those recipients. 0; -1: it could not be stored; -2: there
 * is no way to tell anyone. The reason is logged.
 */
static int
tell(const struct delivery *d, struct queue *q, const struct bounce *b,
    struct report *r)
{
	struct result res = { 0 };
	int rc = report_init(d, &r->m, b->to, &res);

	if (rc == 0)
		rc = has_route(d, &r->m, &res);
	if (rc == 0)
		rc = report_store(b, q, r, &res);
	if (rc == 0) {
		log_line(d, &r->m, "queued", b->delayed ? "delay notice" :
		    "failure report");
		return 0;
	}
	log_line(d, b->m, NULL, res.text);
	message_free(&r->m);
	r->ticket.q = NULL;
	return rc;
}

/*
 * The first try of a report, once the message that it is about says that it was
 * made: a crash before that makes another one.
 */
static bool
send_report(const struct delivery *d, struct report *r)
{
	bool left;

	if (r->ticket.q == NULL)
		return false;
	deliver(d, &r->m);
	left = r->m.left;
	/* Without a sender it has no report of its own: no deeper. */
	if (!left)
		outcome_apply(d, &r->ticket);
	message_free(&r->m);
	return left;
}

/* The recipients in that state whom a report is wanted for. NULL: no memory. */
static struct rcpt **
select_rcpts(const struct message *m, enum rcpt_state state, bool delayed,
    size_t *n)
{
	struct rcpt **v = malloc((m->env.nrcpts + 1) * sizeof *v);
	size_t i;

	*n = 0;
	for (i = 0; v && i < m->env.nrcpts; i++)
		if (m->env.rcpts[i].state == state &&
		    bounce_wanted(&m->env.rcpts[i], delayed))
			v[(*n)++] = &m->env.rcpts[i];
	return v;
}

/* -2 also for a message without a sender: nobody can be told. */
static int
tell_some(const struct delivery *d, struct ticket *t, enum rcpt_state state,
    bool delayed, struct report *r)
{
	const struct config *c = d->config;
	struct bounce b = { .m = t->m, .delayed = delayed,
		.to = c->bounce_to ? c->bounce_to : t->m->env.from,
		.hostname = c->hostname, .now = clock_wall(),
		.until = (time_t)(t->f.born + c->queue_lifetime) };
	struct rcpt **v = select_rcpts(t->m, state, delayed, &b.n);
	int rc = v ? 0 : -1;

	b.rcpts = v;
	if (b.n > 0)
		rc = *t->m->env.from ? tell(d, t->q, &b, r) : -2;
	free(v);
	return rc;
}

/* The refused are told of: on the disk before the report is tried. */
static void
close_refused(struct ticket *t)
{
	struct message *m = t->m;
	struct rcpt *v[MARKS];
	size_t i, n = 0;

	for (i = 0; i < m->env.nrcpts; i++) {
		if (m->env.rcpts[i].state == RCPT_REFUSED) {
			m->env.rcpts[i].state = RCPT_CLOSED;
			v[n++] = &m->env.rcpts[i];
		}
		if (n == MARKS || (n > 0 && i + 1 == m->env.nrcpts)) {
			queue_mark(t, v, n);
			n = 0;
		}
	}
}

/* --- judging --- */

/*
 * After the last fallback: a refusal is final. So is the result of who has waited
 * for too long; local: someone's failure was ours.
 */
static void
judge(const struct delivery *d, struct ticket *t, int64_t now, bool *local)
{
	bool expired = now - t->f.born >= d->config->queue_lifetime;
	struct rcpt *v[MARKS], *r;
	size_t i, n = 0;

	for (i = 0; i < t->m->env.nrcpts; i++) {
		r = &t->m->env.rcpts[i];
		if (r->state != RCPT_WAITING)
			continue;
		*local |= r->res.cause == CAUSE_LOCAL;
		if (r->res.outcome == OUT_DONE)
			r->state = RCPT_TAKEN;
		else if (may_bounce(&r->res) && (expired ||
		    r->res.outcome == OUT_PERM))
			r->state = RCPT_REFUSED;
		else
			continue;
		if (expired && r->res.outcome == OUT_TEMP)
			log_line(d, t->m, "failed", "given up after "
			    "`queue-lifetime`");
		v[n++] = r;
		if (n == MARKS) {
			queue_mark(t, v, n);
			n = 0;
		}
	}
	if (n > 0)
		queue_mark(t, v, n);
}

static size_t
count(const struct message *m, enum rcpt_state state)
{
	size_t i, n = 0;

	for (i = 0; i < m->env.nrcpts; i++)
		n += m->env.rcpts[i].state == state;
	return n;
}

/* Seconds that peers have asked us to wait for. */
static int64_t
asked_to_wait(const struct message *m)
{
	int after = 0;
	size_t i;

	for (i = 0; i < m->env.nrcpts; i++)
		if (m->env.rcpts[i].state == RCPT_WAITING &&
		    m->env.rcpts[i].res.after > after)
			after = m->env.rcpts[i].res.after;
	return after < SCHEDULE_MOST ? after : SCHEDULE_MOST;
}

static void
try_later(const struct delivery *d, struct ticket *t, int64_t now, bool local,
    struct report *r)
{
	int64_t warn = d->config->queue_warn, delay, asked;

	if (local)
		t->f.next = now;
	else {
		t->f.tries += t->f.tries < UINT_MAX;
		delay = schedule_delay(t->f.tries, random_number());
		asked = asked_to_wait(t->m);
		t->f.next = now + (delay > asked ? delay : asked);
	}
	/* Who cannot be told now for a reason of ours is told the next time. */
	if (warn > 0 && !t->f.warned && now - t->f.born >= warn)
		t->f.warned = tell_some(d, t, RCPT_WAITING, true, r) != -1;
	queue_defer(t);
}

/* All results are in, and `told` is what tell_some() returned. */
static void
conclude(const struct delivery *d, struct ticket *t, int64_t now, bool local,
    int told, struct report *notice)
{
	if (count(t->m, RCPT_WAITING) > 0 || told == -1)
		try_later(d, t, now, local || told == -1, notice);
	else if (told == 0)
		queue_remove(t);
	else if (queue_fail(t) == 0)
		log_line(d, t->m, "failed", "kept in failed/: nobody can be "
		    "told");
	else
		try_later(d, t, now, true, notice);
}

bool
outcome_apply(const struct delivery *d, struct ticket *t)
{
	int64_t now = time(NULL);
	struct report r = { 0 }, notice = { 0 };
	bool local = false, left;
	int told = 0;

	if (t->in != QUEUE_READY) {
		/* Taken for all, and gone. */
		queue_sync(t->q);
		return false;
	}
	schedule_mend(&t->f, now, d->config->queue_lifetime);
	judge(d, t, now, &local);
	if (t->in == QUEUE_READY && count(t->m, RCPT_REFUSED) > 0) {
		told = tell_some(d, t, RCPT_REFUSED, false, &r);
		if (told == 0)
			close_refused(t);
	}
	if (t->in == QUEUE_READY)
		conclude(d, t, now, local, told, &notice);
	queue_sync(t->q);
	left = send_report(d, &r);
	return send_report(d, &notice) || left;
}
