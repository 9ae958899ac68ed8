#include "lib/front/routing.h"

#include <stdlib.h>
#include <string.h>

#include "lib/config/senders.h"

static const char *
shown(const char *addr)
{
	return *addr ? addr : "<>";
}

/* Every identity must be on the list, because SES refuses any other. */
static int
ses_allows(const struct route *r, const struct message *m, struct buf *why,
    struct result *res)
{
	size_t n = 1 + m->identities.n, i;
	struct sender_query *q;
	int rc;

	/* qmail's double bounces have this one. */
	if (m->env.from[0] == '\0' || strcmp(m->env.from, "#@[]") == 0) {
		buf_adds(why, "SES takes no null sender");
		return 0;
	}
	q = calloc(n, sizeof *q);
	if (q == NULL)
		return result_fail(res, EXIT_OS, "out of memory");
	q[0].addr = m->env.from;
	for (i = 1; i < n; i++)
		q[i].addr = m->identities.v[i - 1];
	rc = senders_match(r, q, n, false, res);
	for (i = 0; rc == 0 && i < n && q[i].matched; i++)
		continue;
	if (rc == 0 && i < n)
		buf_addf(why, "%s is not in its senders", shown(q[i].addr));
	else if (rc == 0)
		buf_addf(why, "%s matches %s%s", q[0].addr, q[0].by,
		    n > 1 ? ", the header's senders too" : "");
	free(q);
	return rc < 0 ? -1 : i == n;
}

int
routing_allows(const struct route *r, const struct message *m,
    struct buf *why, struct result *res)
{
	struct sender_query q = { .addr = m->env.from };

	if (r->type == ROUTE_SES)
		return ses_allows(r, m, why, res);
	if (senders_match(r, &q, 1, true, res) < 0)
		return -1;
	if (q.matched)
		buf_addf(why, "%s matches %s", shown(q.addr), q.by);
	else
		buf_addf(why, "%s is not in its senders", shown(q.addr));
	return q.matched;
}

static const struct route *
no_route(const struct config *c, const struct message *m,
    const struct buf *passed, struct result *res)
{
	if (c->nroutes == 0)
		result_fail(res, EXIT_CONFIGURATION, "%s: no route: add a section "
		    "`route NAME` (see sendroute.conf(5))", c->file);
	else
		result_fail(res, EXIT_CONFIGURATION, "%s: no route for sender %s: "
		    "list it under a route, or add a route with `senders *` (%s)",
		    c->file, shown(m->env.from), buf_str(passed));
	return NULL;
}

const struct route *
routing_choose(const struct config *c, const struct message *m,
    struct buf *why, struct result *res)
{
	const struct route *r;
	struct buf passed = { 0 }, one = { 0 };
	int rc = 0;

	for (r = c->routes; r < c->routes + c->nroutes; r++) {
		if (r->nsources == 0)
			continue;	/* only a fallback of others */
		buf_reset(&one);
		rc = routing_allows(r, m, &one, res);
		if (rc != 0)
			break;
		buf_addf(&passed, "%snot %s: %s", passed.len ? "; " : "",
		    r->name, buf_str(&one));
	}
	if (rc > 0) {
		buf_adds(why, buf_str(&one));
		if (passed.len > 0)
			buf_addf(why, "; %s", buf_str(&passed));
		why->failed |= one.failed | passed.failed;
	} else {
		r = rc < 0 ? NULL : no_route(c, m, &passed, res);
	}
	buf_free(&one);
	buf_free(&passed);
	return r;
}
