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

/* What our parent is told: this, the route's name, NUL. */
#define HANDOVER_LETTER '>'

/*
 * handover_deliver(r, whole, m, rcpts, n, log): tell our parent, by standard output,
 * that r's program is to take our place with the message on standard input, which
 * must be the file that m->spool looks at; and exit. Comes back, with each
 * rcpts[i]->res filled, when this is no `whole` call of qmail-remote or these are not
 * all of m's recipients, and when the program is not there to be run.
 */
void handover_deliver(const struct route *r, bool whole, const struct message *m,
    struct rcpt *const *rcpts, size_t n, struct log *log);

/*
 * handover_run(r, argv, res): r's program takes the place of this process, with argv:
 * it has the last word. Comes back, with res filled, when it cannot be run.
 */
void handover_run(const struct route *r, char **argv, struct result *res);

#endif
