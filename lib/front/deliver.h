/*
 * Delivery: choose the route, hand the recipients to its transport, fail over,
 * log. The same for every front end.
 */
#ifndef SENDROUTE_DELIVER_H
#define SENDROUTE_DELIVER_H

#include <signal.h>
#include <stdio.h>

#include "lib/aws/credentials.h"
#include "lib/base/log.h"
#include "lib/config/config.h"
#include "lib/mail/message.h"

struct delivery {
	const struct config *config;
	struct log *log;
	env_lookup env;		/* NULL with set-id privilege */
	struct queue *queue;	/* where `rate` is kept; or NULL */
	bool in_run;		/* a route that is down is not tried again */
	int patience;		/* seconds to wait for a slot of `rate` */
	const volatile sig_atomic_t *stop;	/* what is not begun is left; NULL */
	unsigned worker;	/* which process of a run: a route's `connections`
				 * take part */
	bool whole;		/* a call of qmail-remote: another can do it all */
	struct link *links;	/* a route's connection, beside config->routes */
};

/*
 * deliver_open(d, c, log, env): nothing is connected yet; all must outlive d. 0,
 * or -1 (no memory). deliver_close(d): connections end; fine when not open.
 */
int deliver_open(struct delivery *d, const struct config *c, struct log *log,
    env_lookup env);
void deliver_close(struct delivery *d);

/*
 * deliver_disconnect(d): connections end; what is known to be down stays so.
 */
void deliver_disconnect(struct delivery *d);

/*
 * deliver_all(d, m, n): try every waiting recipient of these messages once, along
 * the chain of fallbacks; messages for one route go over one connection, which
 * stays open. Fills each rcpts[].res and writes one log line a route and
 * recipient group. m->left is set when recipients were left to another process or
 * run: the route has no connection for this worker, no slot within d->patience,
 * or *d->stop is set. deliver(d, m): one message.
 */
void deliver_all(const struct delivery *d, struct message *const *m, size_t n);
void deliver(const struct delivery *d, struct message *m);

/* deliver_log_queued(d, m): the log line of a message that is in the queue now. */
void deliver_log_queued(const struct delivery *d, const struct message *m);

/*
 * deliver_dry_run(d, m, out, res): print route, reason and envelope, send
 * nothing. 0, or -1 with res filled.
 */
int deliver_dry_run(const struct delivery *d, const struct message *m,
    FILE *out, struct result *res);

/*
 * deliver_report(d, m): one line to stderr a cause, naming the recipients that
 * failed. Returns the exit status for the whole: 69 before 75 before 0.
 */
int deliver_report(const struct delivery *d, const struct message *m);

#endif
