/*
 * Delivery by another qmail-remote: a route of type qmail.
 */
#ifndef SENDROUTE_HANDOVER_H
#define SENDROUTE_HANDOVER_H

#include "lib/base/log.h"
#include "lib/config/config.h"
#include "lib/mail/message.h"

/* In the environment of what runs by a handover. */
#define HANDOVER_MARK "SENDROUTE_HANDED_OVER"

/*
 * handover_deliver(r, argv, m, rcpts, n, log): r's program takes the place of
 * this process, with argv and the message on standard input, which must be the
 * file that m->spool looks at: that program has the last word. Comes back, with
 * each rcpts[i]->res filled, when argv is NULL, when these are not all of m's
 * recipients, and when the program cannot be run.
 */
void handover_deliver(const struct route *r, char **argv,
    const struct message *m, struct rcpt *const *rcpts, size_t n,
    struct log *log);

#endif
