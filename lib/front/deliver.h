/*
 * Delivery: choose the route, hand the recipients to its transport, fail over,
 * log. The same for every front end.
 */
#ifndef SENDROUTE_DELIVER_H
#define SENDROUTE_DELIVER_H

#include <stdio.h>

#include "lib/aws/credentials.h"
#include "lib/base/log.h"
#include "lib/config/config.h"
#include "lib/mail/message.h"

struct delivery {
	const struct config *config;
	struct log *log;
	env_lookup env;		/* NULL with set-id privilege */
};

/*
 * deliver(d, m): try every recipient of m once, along the chain of fallbacks.
 * Fills each rcpts[].res and writes one log line a route and recipient group.
 */
void deliver(const struct delivery *d, struct message *m);

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
