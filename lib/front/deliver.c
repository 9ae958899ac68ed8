#include "lib/front/deliver.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/front/handover.h"
#include "lib/front/routing.h"
#include "lib/store/maildir.h"
#include "lib/store/rate.h"
#include "ses.h"
#include "smtp.h"

enum { SYSLOG_RCPTS = 600 };	/* bytes of to= in a line for syslog */

/* Recipients of one message on their way, and where they are sent next. */
struct group {
	struct message *m;
	const struct route *route;	/* NULL: nowhere any more */
	struct buf why;			/* this route */
	struct rcpt **rcpts;
	size_t n;
};

/* What a route has open: kept for the next message. */
struct link {
	struct smtp *smtp;
	struct ses *ses;
	bool down;			/* found out of reach in this run */
	struct result why;
};

static void
set_all(const struct group *g, const struct result *res)
{
	size_t i;

	for (i = 0; i < g->n; i++)
		g->rcpts[i]->res = *res;
}

static void
no_memory(const struct group *g)
{
	struct result res;

	result_set(&res, OUT_TEMP, CAUSE_LOCAL, "out of memory");
	set_all(g, &res);
}

/* --- the log --- */

/* Where a route leads, for relay=. */
static void
relay_name(const struct route *r, char *out, size_t size)
{
	switch (r->type) {
	case ROUTE_SMTP:
	case ROUTE_LMTP:
		if (strncmp(r->host, "unix:", 5) == 0)
			snprintf(out, size, "%s", r->host);
		else
			snprintf(out, size, "%s:%u", r->host, r->port);
		return;
	case ROUTE_SES:
		snprintf(out, size, "%s", r->endpoint ? r->endpoint : r->region ?
		    r->region : "ses");
		return;
	case ROUTE_MAILDIR:
	case ROUTE_QMAIL:
		snprintf(out, size, "%s", r->path);
		return;
	}
}

static bool
same_result(const struct result *a, const struct result *b)
{
	return a->outcome == b->outcome && a->code == b->code &&
	    strcmp(a->text, b->text) == 0;
}

/*
 * The recipients from i on that share its result, separated by `between`, until
 * the text is longer than `most`: the others are left for another line.
 */
static size_t
join_group(struct rcpt *const *rcpts, size_t n, size_t i, const char *between,
    size_t most, bool *done, struct buf *to)
{
	size_t k, count = 0;

	for (k = i; k < n && to->len <= most; k++) {
		if (done[k] || !same_result(&rcpts[i]->res, &rcpts[k]->res))
			continue;
		done[k] = true;
		buf_addf(to, "%s%s", count++ ? between : "", rcpts[k]->addr);
	}
	return count;
}

static void
log_group(const struct delivery *d, const struct message *m,
    const struct group *g, const struct result *res, const char *status,
    const char *to, int64_t ms)
{
	const struct route *r = g->route;
	struct buf line = { 0 }, reason = { 0 };
	char relay[300] = "", number[32];

	if (r)
		relay_name(r, relay, sizeof relay);
	log_pair(&line, "id", m->id);
	log_pair(&line, "from", *m->env.from ? m->env.from : "<>");
	log_pair(&line, "to", to);
	log_pair(&line, "route", r ? r->name : "-");
	log_pair(&line, "relay", *relay ? relay : "-");
	log_pair(&line, "status", status);
	snprintf(number, sizeof number, "%d", res->code);
	log_pair(&line, "code", number);
	log_pair(&line, "enhanced", *res->enhanced ? res->enhanced : "-");
	snprintf(number, sizeof number, "%lld", (long long)m->spool.size);
	log_pair(&line, "size", number);
	snprintf(number, sizeof number, "%" PRId64 ".%02d", ms / 1000,
	    (int)(ms % 1000 / 10));
	log_pair(&line, "seconds", number);
	buf_adds(&reason, res->text);
	if (g->why.len > 0)
		buf_addf(&reason, " (route: %s)", buf_str(&g->why));
	log_pair(&line, "reason", buf_str(&reason));
	log_write(d->log, "%s", buf_str(&line));
	buf_free(&line);
	buf_free(&reason);
}

static void
log_results(const struct delivery *d, const struct message *m,
    const struct group *g, int64_t ms)
{
	/* A datagram holds little: each line has all keys. */
	size_t most = d->log->target == LOG_TO_SYSLOG ? SYSLOG_RCPTS : SIZE_MAX;
	bool *done = calloc(g->n, sizeof *done);
	struct buf to = { 0 };
	size_t i;

	for (i = 0; done && i < g->n; i++) {
		buf_reset(&to);
		if (!done[i] && join_group(g->rcpts, g->n, i, ",", most,
		    done, &to))
			log_group(d, m, g, &g->rcpts[i]->res,
			    result_status(&g->rcpts[i]->res), buf_str(&to),
			    ms);
	}
	buf_free(&to);
	free(done);
}

void
deliver_log_queued(const struct delivery *d, const struct message *m)
{
	struct group none = { 0 };
	struct result res = { .text = "stored" };
	struct buf to = { 0 };
	size_t i;

	for (i = 0; i < m->env.nrcpts && to.len <= SYSLOG_RCPTS; i++)
		buf_addf(&to, "%s%s", i ? "," : "", m->env.rcpts[i].addr);
	if (i < m->env.nrcpts)
		buf_addf(&to, " and %zu more", m->env.nrcpts - i);
	log_group(d, m, &none, &res, "queued", buf_str(&to), 0);
	buf_free(&to);
}

/* --- sending --- */

static struct link *
link_of(const struct delivery *d, const struct route *r)
{
	return &d->links[r - d->config->routes];
}

static bool
is_relay(const struct route *r)
{
	return r->type == ROUTE_SMTP || r->type == ROUTE_LMTP;
}

static int
link_open(const struct delivery *d, const struct route *r, struct link *l)
{
	if (is_relay(r) && l->smtp == NULL)
		l->smtp = smtp_open(r, d->config, d->log);
	if (r->type == ROUTE_SES && l->ses == NULL) {
		l->ses = ses_open(r, d->config, d->env, d->log);
		/* A run of the queue has time; who has queued has not. */
		if (l->ses && (r->fallback_route || (d->queue && !d->stop)))
			ses_hurry(l->ses);
	}
	return (is_relay(r) && l->smtp == NULL) ||
	    (r->type == ROUTE_SES && l->ses == NULL) ? -1 : 0;
}

/* Only a relay can promise what REQUIRETLS asks for. */
static bool
breaks_promise(const struct route *r, const struct parcel *p)
{
	struct result res;
	size_t i;

	if (!p->m->env.requiretls)
		return false;
	message_needs_tls(&res, r->name);
	for (i = 0; i < p->n; i++)
		p->rcpts[i]->res = res;
	message_settled(p->m, p->rcpts, p->n);
	return true;
}

static void
transport(const struct delivery *d, const struct route *r, struct link *l,
    const struct parcel *p, size_t n)
{
	size_t i;

	switch (r->type) {
	case ROUTE_SMTP:
	case ROUTE_LMTP:
		smtp_deliver(l->smtp, p, n);
		return;
	case ROUTE_SES:
		for (i = 0; i < n; i++)
			if (!breaks_promise(r, &p[i]))
				ses_deliver(l->ses, p[i].m, p[i].rcpts, p[i].n);
		return;
	case ROUTE_MAILDIR:
		for (i = 0; i < n; i++)
			maildir_deliver(r, p[i].m, p[i].rcpts, p[i].n);
		return;
	case ROUTE_QMAIL:
		for (i = 0; i < n; i++)
			if (!breaks_promise(r, &p[i]))
				handover_deliver(r, d->whole, p[i].m,
				    p[i].rcpts, p[i].n, d->log);
		return;
	}
}

/* Does the whole route fail, and not only for one message? */
static void
note_down(const struct route *r, struct link *l)
{
	const struct result *why = NULL;

	if (is_relay(r))
		why = smtp_down(l->smtp);
	else if (r->type == ROUTE_SES)
		why = ses_down(l->ses);
	if (why) {
		l->down = true;
		l->why = *why;
	}
}

static bool
stopped(const struct delivery *d)
{
	return d->stop && *d->stop;
}

/* Those groups, at least one, that are to take the route r. */
static void
send_groups(const struct delivery *d, const struct route *r,
    struct group *const *groups, struct parcel *p, size_t n)
{
	struct link *l = link_of(d, r);
	struct result later;
	size_t i, k, step = n;

	for (i = 0; i < n; i++) {
		for (k = 0; k < groups[i]->n; k++)
			groups[i]->rcpts[k]->route = r->name;
		p[i] = (struct parcel){ groups[i]->m, groups[i]->rcpts,
			groups[i]->n };
	}
	if (link_open(d, r, l) < 0) {
		for (i = 0; i < n; i++)
			no_memory(groups[i]);
		return;
	}
	/* What SES says of one message may be meant for all. */
	if ((d->queue && r->rate > 0) || r->type == ROUTE_SES)
		step = 1;
	for (i = 0; i < n && !stopped(d); i += step) {
		if (l->down && d->in_run) {
			for (k = i; k < n; k++)
				set_all(groups[k], &l->why);
			return;
		}
		if (d->queue && r->rate > 0 && rate_wait(d->queue, r->name,
		    r->rate, d->patience) < 0)
			break;
		transport(d, r, l, p + i, step);
		note_down(r, l);
	}
	/* Told to stop, or no slot: a queue run will take the others. */
	result_set(&later, OUT_TEMP, CAUSE_LOCAL, "left to a later run");
	for (; i < n; i++) {
		set_all(groups[i], &later);
		groups[i]->m->left = true;
	}
}

/*
 * Where those go next that the route certainly did not take: the group is cut
 * down to them. NULL: nowhere.
 */
static const struct route *
fall_back(const struct delivery *d, struct group *g)
{
	const struct route *next = g->route->fallback_route;
	struct buf why = { 0 }, line = { 0 };
	struct result res;
	size_t i, left = 0;
	int rc;

	for (i = 0; i < g->n; i++)
		if (result_may_fail_over(&g->rcpts[i]->res))
			g->rcpts[left++] = g->rcpts[i];
	g->n = left;
	if (left == 0)
		return NULL;
	/* SES would refuse what its own rule does not cover. */
	while (next && next->type == ROUTE_SES) {
		buf_reset(&why);
		buf_adds(&why, "fallback not used: ");
		rc = routing_allows(next, g->m, &why, &res);
		if (rc == 1)
			break;
		if (rc < 0)
			buf_adds(&why, res.text);
		log_trace(d->log, "* route %s: %s", next->name, buf_str(&why));
		buf_reset(&line);
		log_pair(&line, "id", g->m->id);
		log_pair(&line, "route", next->name);
		log_pair(&line, "reason", buf_str(&why));
		log_write(d->log, "%s", buf_str(&line));
		next = next->fallback_route;
	}
	buf_free(&why);
	buf_free(&line);
	if (next) {
		log_trace(d->log, "* route %s failed (%s); falling back to %s",
		    g->route->name, g->rcpts[0]->res.text, next->name);
		buf_reset(&g->why);
		buf_addf(&g->why, "fallback of %s", g->route->name);
	}
	return next;
}

/* A worker for which the route has no connection leaves the message to others. */
static void
leave(const struct delivery *d, struct group *g)
{
	if (g->route && d->worker >= g->route->connections) {
		g->m->left = true;
		g->route = NULL;
	}
}

/* The recipients that are waiting, and their first route. -1: no memory. */
static int
group_init(const struct delivery *d, struct group *g, struct message *m)
{
	struct result res = { 0 };
	size_t i;

	*g = (struct group){ .m = m };
	g->rcpts = malloc((m->env.nrcpts + 1) * sizeof *g->rcpts);
	if (g->rcpts == NULL)
		return -1;
	for (i = 0; i < m->env.nrcpts; i++)
		if (m->env.rcpts[i].state == RCPT_WAITING)
			g->rcpts[g->n++] = &m->env.rcpts[i];
	if (g->n == 0)
		return 0;	/* all have their results already */
	g->route = routing_choose(d->config, m, &g->why, &res);
	if (g->route)
		log_trace(d->log, "* route %s: %s", g->route->name,
		    buf_str(&g->why));
	else {
		set_all(g, &res);
		log_results(d, m, g, 0);
	}
	leave(d, g);
	return 0;
}

/* All groups that take the same route as the first that has one. false: none. */
static bool
next_round(const struct delivery *d, struct group *groups, size_t n,
    struct group **same, struct parcel *parcels)
{
	const struct route *r = NULL;
	size_t i, k = 0;
	int64_t begin = clock_ms(), ms;

	for (i = 0; i < n; i++) {
		if (r == NULL)
			r = groups[i].route;
		if (r && groups[i].route == r)
			same[k++] = &groups[i];
	}
	if (r == NULL)
		return false;
	send_groups(d, r, same, parcels, k);
	ms = clock_ms() - begin;
	for (i = 0; i < k; i++) {
		if (same[i]->m->left) {
			same[i]->route = NULL;
			continue;
		}
		log_results(d, same[i]->m, same[i], ms);
		same[i]->route = fall_back(d, same[i]);
		leave(d, same[i]);
	}
	return true;
}

static void
give_up(struct message *m)
{
	struct result res;
	size_t i;

	result_set(&res, OUT_TEMP, CAUSE_LOCAL, "out of memory");
	for (i = 0; i < m->env.nrcpts; i++)
		if (m->env.rcpts[i].state == RCPT_WAITING)
			m->env.rcpts[i].res = res;
}

void
deliver_all(const struct delivery *d, struct message *const *m, size_t n)
{
	struct group *groups = calloc(n + 1, sizeof *groups);
	struct group **same = calloc(n + 1, sizeof(void *));
	struct parcel *parcels = calloc(n + 1, sizeof *parcels);
	size_t i, have = 0;

	if (groups && same && parcels && d->links)
		while (have < n && group_init(d, &groups[have], m[have]) == 0)
			have++;
	for (i = have; i < n; i++)
		give_up(m[i]);
	while (have > 0 && next_round(d, groups, have, same, parcels))
		continue;
	for (i = 0; i < have; i++) {
		buf_free(&groups[i].why);
		free(groups[i].rcpts);
	}
	free(groups);
	free(same);
	free(parcels);
}

void
deliver(const struct delivery *d, struct message *m)
{
	deliver_all(d, &m, 1);
}

int
deliver_open(struct delivery *d, const struct config *c, struct log *log,
    env_lookup env)
{
	*d = (struct delivery){ .config = c, .log = log, .env = env };
	d->links = calloc(c->nroutes + 1, sizeof *d->links);
	return d->links ? 0 : -1;
}

void
deliver_disconnect(struct delivery *d)
{
	struct link *l;
	size_t i;

	for (i = 0; d->links && i < d->config->nroutes; i++) {
		l = &d->links[i];
		smtp_close(l->smtp);
		ses_close(l->ses);
		l->smtp = NULL;
		l->ses = NULL;
	}
}

void
deliver_close(struct delivery *d)
{
	deliver_disconnect(d);
	free(d->links);
	d->links = NULL;
}

int
deliver_dry_run(const struct delivery *d, const struct message *m, FILE *out,
    struct result *res)
{
	const struct route *r;
	struct buf why = { 0 }, to = { 0 }, line = { 0 };
	bool failed;
	size_t i;

	r = routing_choose(d->config, m, &why, res);
	if (r) {
		for (i = 0; i < m->env.nrcpts; i++)
			buf_addf(&to, "%s%s", i ? "," : "",
			    m->env.rcpts[i].addr);
		log_pair(&line, "route", r->name);
		log_pair(&line, "from", *m->env.from ? m->env.from : "<>");
		log_pair(&line, "to", buf_str(&to));
		log_pair(&line, "reason", buf_str(&why));
		buf_addc(&line, '\n');
		fputs(buf_str(&line), out);
	}
	failed = why.failed || to.failed || line.failed;
	buf_free(&why);
	buf_free(&to);
	buf_free(&line);
	if (r && failed)
		return result_fail(res, EXIT_OS, "out of memory");
	if (r && (fflush(out) != 0 || ferror(out)))
		return result_fail(res, EXIT_IO, "cannot write to standard "
		    "output");
	return r ? 0 : -1;
}

/* The status that outranks: a refusal, then "later", then what we lack. */
static int
worse(int a, const struct result *res)
{
	int b = result_exit(res);

	if (b == EXIT_OK || a == EXIT_REFUSED)
		return a;
	if (a == EXIT_OK || res->outcome == OUT_PERM)
		return b;
	return a == EXIT_TEMP ? a : b;
}

int
deliver_report(const struct delivery *d, const struct message *m)
{
	size_t n = m->env.nrcpts, i;
	bool *done = calloc(n ? n : 1, sizeof *done);
	struct rcpt **rcpts = calloc(n ? n : 1, sizeof *rcpts);
	struct buf to = { 0 };
	int status = EXIT_OK;

	for (i = 0; i < n; i++) {
		status = worse(status, &m->env.rcpts[i].res);
		if (rcpts)
			rcpts[i] = &m->env.rcpts[i];
	}
	for (i = 0; done && rcpts && i < n; i++) {
		if (rcpts[i]->res.outcome == OUT_DONE || done[i])
			continue;
		buf_reset(&to);
		join_group(rcpts, n, i, ", ", SIZE_MAX, done, &to);
		log_error(d->log, "%s: %s: %s%s%s%s", buf_str(&to),
		    result_status(&rcpts[i]->res),
		    rcpts[i]->route ? "route " : "",
		    rcpts[i]->route ? rcpts[i]->route : "",
		    rcpts[i]->route ? ": " : "", rcpts[i]->res.text);
	}
	if ((!done || !rcpts) && status != EXIT_OK)
		log_error(d->log, "out of memory");
	buf_free(&to);
	free(done);
	free(rcpts);
	return status;
}
