#include "lib/front/runner.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/front/outcome.h"
#include "lib/store/schedule.h"

enum {
	BATCH = 64,		/* messages in hand at once */
	FIRST_BATCH = 8, BATCH_MS = 2000,
	OTHER_FILES = 32,
	WORKERS = 100,		/* what `connections` may be */
	PATIENCE = 25,		/* seconds; see rate.h */
	RESCAN_MS = 5 * 60 * 1000	/* a long run looks for new mail */
};

/* A message as the scan saw it. */
struct entry {
	char id[MESSAGE_ID_LENGTH + 1];
	unsigned tries;
	int64_t next;
};

struct run {
	struct delivery *d;
	const struct run_options *o;
	const volatile sig_atomic_t *stop;
	int64_t now;
	struct entry *v;	/* fresh ones first, then those tried before */
	size_t n, cap, nfresh;
	size_t fresh, old;	/* the next of either kind */
	bool old_s_turn;
	bool no_memory;
	size_t share;		/* messages to take at once */
	bool left;		/* something that only the first process may do */
};

/* --- options --- */

/* "1h30m": the sum; a number alone counts minutes, as sendmail has it. */
static int
interval(const char *s, int64_t *out)
{
	static const char units[] = "smhdw";
	static const int seconds[] = { 1, 60, 3600, 86400, 604800 };
	char digits[8];
	const char *unit;
	uint64_t n;
	size_t len;

	*out = 0;
	while (*s) {
		len = strspn(s, "0123456789");
		if (len == 0 || len >= sizeof digits)
			return -1;
		memcpy(digits, s, len);
		digits[len] = '\0';
		s += len;
		unit = *s ? strchr(units, *s) : units + 1;
		if (unit == NULL || number_parse(digits, 1, 9999999, &n) < 0)
			return -1;
		*out += (int64_t)n * seconds[unit - units];
		s += *s != '\0';
	}
	return 0;
}

int
run_options_parse(const char *text, struct run_options *o,
    struct result *res)
{
	*o = (struct run_options){ 0 };
	switch (*text) {
	case '\0':
		return 0;
	case 'f':
		o->all = true;
		break;
	case 'I':
		o->id = text + 1;
		break;
	case 'R':
		o->rcpt = text + 1;
		break;
	case 'S':
		o->sender = text + 1;
		break;
	default:
		if (interval(text, &o->interval) == 0)
			return 0;
		text = "?";
	}
	if (*text == '?' || (*text == 'f' ? text[1] != '\0' : text[1] == '\0'))
		return result_fail(res, EXIT_USAGE, "-q: expected -q, -qf, "
		    "-qIid, -qRrecipient, -qSsender or a time such as -q15m "
		    "(try --help)");
	return 0;
}

static bool
selects(const struct run_options *o)
{
	return o->all || o->id || o->rcpt || o->sender;
}

/* --- the scan --- */

static int
note_entry(void *ctx, const char *name)
{
	struct run *r = ctx;
	struct queuefile f = { 0 };
	struct entry *bigger, *e;

	if (!message_id_valid(name) ||
	    (r->o->id && strstr(name, r->o->id) == NULL))
		return *r->stop;
	/* What cannot be read is met, and logged, when its turn comes. */
	if (queue_peek(r->d->queue, name, &f) == 0 && !selects(r->o) &&
	    !schedule_due(&f, r->now))
		return *r->stop;
	if (r->n == r->cap) {
		bigger = realloc(r->v, (r->cap * 2 + 64) * sizeof *bigger);
		if (bigger == NULL) {
			r->no_memory = true;
			return 1;
		}
		r->v = bigger;
		r->cap = r->cap * 2 + 64;
	}
	e = &r->v[r->n++];
	memcpy(e->id, name, sizeof e->id);
	e->tries = f.tries;
	e->next = f.next;
	return *r->stop;
}

/* First tries before others, each oldest first: see interleave(). */
static int
compare(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	if ((x->tries == 0) != (y->tries == 0))
		return x->tries == 0 ? -1 : 1;
	if (x->tries > 0 && x->next != y->next)
		return x->next < y->next ? -1 : 1;
	return strcmp(x->id, y->id);
}

static int
scan(struct run *r, struct result *res)
{
	r->n = 0;
	if (queue_each(r->d->queue, QUEUE_READY, note_entry, r) < 0)
		return result_fail(res, EXIT_IO, "cannot read the queue %s: %s",
		    r->d->queue->path, strerror(errno));
	if (r->no_memory)
		return result_fail(res, EXIT_OS, "out of memory");
	if (r->n > 0)
		qsort(r->v, r->n, sizeof *r->v, compare);
	return 0;
}

/* New mail and old in turn, so that neither waits for the other. NULL: the end. */
static const struct entry *
next_entry(struct run *r)
{
	bool old = r->old < r->n && (r->old_s_turn || r->fresh == r->nfresh);

	r->old_s_turn = !r->old_s_turn;
	if (old)
		return &r->v[r->old++];
	return r->fresh < r->nfresh ? &r->v[r->fresh++] : NULL;
}

static void
rewind_entries(struct run *r)
{
	r->fresh = r->nfresh = 0;
	while (r->nfresh < r->n && r->v[r->nfresh].tries == 0)
		r->nfresh++;
	r->old = r->nfresh;
	r->old_s_turn = false;
}

/* --- working it off --- */

struct job {
	struct ticket ticket;
	struct message m;
};

static bool
contains(const char *text, const char *part)
{
	return part == NULL || strstr(text, part) != NULL;
}

/* "<>" is how the list shows the null sender. */
static bool
is_sender(const char *from, const char *part)
{
	if (part && strcmp(part, "<>") == 0)
		return *from == '\0';
	return contains(from, part);
}

static bool
has_rcpt(const struct message *m, const char *part)
{
	size_t i;

	for (i = 0; i < m->env.nrcpts; i++)
		if (m->env.rcpts[i].state == RCPT_WAITING &&
		    contains(m->env.rcpts[i].addr, part))
			return true;
	return part == NULL;
}

static void
log_unusable(const struct run *r, const char *id, const struct result *res)
{
	struct buf line = { 0 };

	log_pair(&line, "id", id);
	log_pair(&line, "status", "deferred");
	log_pair(&line, "reason", res->text);
	log_write(r->d->log, "%s", buf_str(&line));
	buf_free(&line);
}

/* Lock the message and see whether it is still to be sent. */
static bool
take(struct run *r, const struct entry *e, struct job *j)
{
	struct result res = { 0 };
	int rc = queue_take(r->d->queue, e->id, &j->ticket, &j->m, &res);

	if (rc < 0)
		log_unusable(r, e->id, &res);
	if (rc <= 0)
		return false;
	/* Another run may have tried it since. */
	if (j->ticket.f.tries == e->tries && j->ticket.f.next == e->next &&
	    is_sender(j->m.env.from, r->o->sender) &&
	    has_rcpt(&j->m, r->o->rcpt))
		return true;
	message_free(&j->m);
	return false;
}

static void
send_batch(struct run *r, struct job *jobs, size_t n)
{
	struct message *m[BATCH] = { 0 };
	size_t i;

	for (i = 0; i < n; i++)
		m[i] = &jobs[i].m;
	deliver_all(r->d, m, n);
	for (i = 0; i < n; i++) {
		r->left |= m[i]->left || outcome_apply(r->d, &jobs[i].ticket);
		message_free(m[i]);
	}
}

/* All entries, or until it is time to look for new ones: false. */
static bool
work(struct run *r)
{
	struct job *jobs = malloc(BATCH * sizeof *jobs);
	size_t share = FIRST_BATCH < r->share ? FIRST_BATCH : r->share;
	int64_t began;
	/* What was selected is tried to its end: there is no other scan. */
	int64_t end = selects(r->o) ? INT64_MAX : clock_ms() + RESCAN_MS;
	const struct entry *e = NULL;
	size_t n;

	rewind_entries(r);
	do {
		for (n = 0; jobs && !*r->stop && n < share &&
		    (e = next_entry(r)) != NULL; )
			n += take(r, e, &jobs[n]);
		began = clock_ms();
		if (n > 0)
			send_batch(r, jobs, n);
		/* Who tells us to stop waits for a batch: two seconds or so. */
		if (clock_ms() - began > BATCH_MS)
			share = share / 2 + 1;
		else
			share = 2 * share < r->share ? 2 * share : r->share;
	} while (jobs && e && !*r->stop && clock_ms() < end);
	free(jobs);
	return e == NULL;
}

/* --- several processes --- */

/* As many as a route may have connections, and as there are messages for. */
static unsigned
workers(const struct run *r)
{
	const struct config *c = r->d->config;
	unsigned most = 1;
	size_t i;

	if (r->left)
		return 1;
	for (i = 0; i < c->nroutes; i++)
		if (c->routes[i].connections > most)
			most = c->routes[i].connections;
	return r->n < most ? (unsigned)(r->n > 0 ? r->n : 1) : most;
}

static void
wait_for(struct run *r, const pid_t *pids, unsigned n)
{
	unsigned i;
	int status = 1;

	for (i = 0; i < n; i++) {
		if (pids[i] <= 0)
			continue;
		if (*r->stop)
			kill(pids[i], SIGTERM);
		while (waitpid(pids[i], &status, 0) < 0 && errno == EINTR)
			if (*r->stop)
				kill(pids[i], SIGTERM);
		r->left |= status != 0;
	}
}

/* A message has a file, and perhaps another in which it was encoded. */
static size_t
batch(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0 ||
	    files.rlim_cur >= 2 * BATCH + OTHER_FILES)
		return BATCH;
	return files.rlim_cur > OTHER_FILES + 2 ?
	    (size_t)(files.rlim_cur - OTHER_FILES) / 2 : 1;
}

/* One walk over the entries, by all processes. As work(). */
static bool
work_together(struct run *r)
{
	unsigned n = workers(r), i;
	pid_t pids[WORKERS] = { 0 };
	bool whole;

	r->share = n == 1 ? BATCH : r->n / (2 * n) + 1;
	if (r->share > batch())
		r->share = batch();
	deliver_disconnect(r->d);
	r->left = false;
	for (i = 1; i < n; i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			r->d->worker = i;
			work(r);
			deliver_close(r->d);
			_exit(r->left ? 1 : 0);
		}
	}
	whole = work(r);
	wait_for(r, pids, n);
	/* What others had to leave; what they did is gone or not due. */
	if (r->left && selects(r->o) && !*r->stop)
		whole = work(r) && whole;
	return whole && (n == 1 || !r->left);
}

int
run_once(struct delivery *d, const struct run_options *o,
    const volatile sig_atomic_t *stop, struct result *res)
{
	struct run r = { .d = d, .o = o, .stop = stop };
	bool whole = false;
	int rc = 0;

	d->in_run = true;
	d->stop = stop;
	d->patience = PATIENCE;
	queue_sweep(d->queue);
	/* What was selected is tried once, whatever comes of it. */
	while (rc == 0 && !whole && !*stop) {
		r.now = time(NULL);
		rc = scan(&r, res);
		if (rc == 0)
			whole = work_together(&r) || selects(o);
	}
	free(r.v);
	deliver_disconnect(d);
	return rc;
}
