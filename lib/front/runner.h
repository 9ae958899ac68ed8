/*
 * The queue run: sendmail -q (sendroute(8), QUEUE).
 */
#ifndef SENDROUTE_RUNNER_H
#define SENDROUTE_RUNNER_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/front/deliver.h"
#include "lib/store/queue.h"

/* What stands behind -q, taken apart. */
struct run_options {
	bool all;			/* -qf: due or not */
	const char *id, *rcpt, *sender;	/* -qI -qR -qS: what they contain */
	int64_t interval;		/* -q15m: seconds; 0: one run */
};

/*
 * run_options_parse(text, o, res): what stands behind -q: "", f, I.., R.., S.., or
 * a time such as 15m, 1h30m, 90 (minutes). 0, or -1 with exit 64.
 */
int run_options_parse(const char *text, struct run_options *o,
    struct result *res);

/*
 * run_once(d, o, stop, res): one run over what o selects, with as many processes
 * as the routes' `connections` allow; ends early, between messages, when *stop is
 * set. d->queue is the queue. 0 whatever is still deferred; -1 with exit 74: the
 * queue cannot be read.
 */
int run_once(struct delivery *d, const struct run_options *o,
    const volatile sig_atomic_t *stop, struct result *res);

#endif
