/*
 * From the command line and standard input to a message that is stored: who sends
 * it, to whom, and where it is kept. What comes behind is submit.h.
 */
#ifndef SENDROUTE_ACCEPT_H
#define SENDROUTE_ACCEPT_H

#include "lib/front/program.h"

/* accept_login(): the caller's name, on the heap; NULL: no memory. */
char *accept_login(void);

/*
 * accept_sender(p, res): who sends when nobody is named: `from`, or p->login at
 * `domain`. On the heap; NULL, with res.
 */
char *accept_sender(const struct program *p, struct result *res);

/*
 * accept_open(p, res): where messages are stored and how they are sent; enters the
 * sandbox. A queue that cannot be used is no failure with an explicit -odi, which
 * sends without it, nor under -bs, which says so message by message. 0; or -1 with
 * the exit status of deliver_open() or queue_open().
 */
int accept_open(struct program *p, struct result *res);

/*
 * accept_message(p, res): arguments, sender and message, all that comes before
 * delivery, into p->message; -bv reads no message. 0; or -1 with exit 64 (no
 * recipients), 65, 71, 73, 74, 77 or 78, and nothing is left in the queue.
 */
int accept_message(struct program *p, struct result *res);

#endif
