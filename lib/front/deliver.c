#include "lib/front/deliver.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/front/routing.h"
#include "lib/store/maildir.h"
#include "ses.h"
#include "smtp.h"

enum { SYSLOG_RCPTS = 600 };	/* bytes of to= in a line for syslog */

/* Recipients on their way, and where they are sent next. */
struct group {
	const struct route *route;
	struct buf why;			/* this route */
	struct rcpt **rcpts;
	size_t n;
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
    const struct group *g, const struct result *res, const char *to,
    int64_t ms)
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
	log_pair(&line, "status", result_status(res));
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
			    buf_str(&to), ms);
	}
	buf_free(&to);
	free(done);
}

/* --- sending --- */

static void
send_group(const struct delivery *d, const struct message *m,
    const struct group *g)
{
	struct smtp *smtp;
	struct ses *ses;
	size_t i;

	for (i = 0; i < g->n; i++)
		g->rcpts[i]->route = g->route->name;
	switch (g->route->type) {
	case ROUTE_SMTP:
		smtp = smtp_open(g->route, d->config, d->log);
		if (smtp)
			smtp_deliver(smtp, &(struct parcel){ m, g->rcpts, g->n },
			    1);
		else
			no_memory(g);
		smtp_close(smtp);
		return;
	case ROUTE_SES:
		ses = ses_open(g->route, d->config, d->env, d->log);
		if (ses)
			ses_deliver(ses, m, g->rcpts, g->n);
		else
			no_memory(g);
		ses_close(ses);
		return;
	case ROUTE_MAILDIR:
		maildir_deliver(g->route, m, g->rcpts, g->n);
		return;
	}
}

/*
 * Where those go next that the route certainly did not take: the group is cut
 * down to them. NULL: nowhere.
 */
static const struct route *
fall_back(const struct delivery *d, const struct message *m, struct group *g)
{
	const struct route *next = g->route->fallback_route;
	struct buf why = { 0 };
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
		rc = routing_allows(next, m, &why, &res);
		if (rc == 1)
			break;
		log_trace(d->log, "* fallback %s not used: %s", next->name,
		    rc < 0 ? res.text : buf_str(&why));
		log_write(d->log, "id=%s route=%s reason=\"fallback not used: "
		    "%s\"", m->id, next->name,
		    rc < 0 ? res.text : buf_str(&why));
		next = next->fallback_route;
	}
	buf_free(&why);
	if (next) {
		log_trace(d->log, "* route %s failed (%s); falling back to %s",
		    g->route->name, g->rcpts[0]->res.text, next->name);
		buf_reset(&g->why);
		buf_addf(&g->why, "fallback of %s", g->route->name);
	}
	return next;
}

void
deliver(const struct delivery *d, struct message *m)
{
	struct group g = { .n = m->env.nrcpts };
	struct result res = { 0 };
	int64_t begin;
	size_t i;

	g.rcpts = malloc((g.n + 1) * sizeof *g.rcpts);
	if (g.rcpts == NULL) {
		result_set(&res, OUT_TEMP, CAUSE_LOCAL, "out of memory");
		for (i = 0; i < m->env.nrcpts; i++)
			m->env.rcpts[i].res = res;
		return;
	}
	for (i = 0; i < g.n; i++)
		g.rcpts[i] = &m->env.rcpts[i];
	g.route = routing_choose(d->config, m, &g.why, &res);
	if (g.route)
		log_trace(d->log, "* route %s: %s", g.route->name,
		    buf_str(&g.why));
	else {
		set_all(&g, &res);
		log_results(d, m, &g, 0);
	}
	while (g.route) {
		begin = clock_ms();
		send_group(d, m, &g);
		log_results(d, m, &g, clock_ms() - begin);
		g.route = fall_back(d, m, &g);
	}
	buf_free(&g.why);
	free(g.rcpts);
}

int
deliver_dry_run(const struct delivery *d, const struct message *m, FILE *out,
    struct result *res)
{
	const struct route *r;
	struct buf why = { 0 }, to = { 0 }, line = { 0 };
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
	buf_free(&why);
	buf_free(&to);
	buf_free(&line);
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
	buf_free(&to);
	free(done);
	free(rcpts);
	return status;
}
