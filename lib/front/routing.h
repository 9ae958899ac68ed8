/*
 * The routing rule (sendroute.conf(5)): which route takes a message, by its
 * sender identities.
 */
#ifndef SENDROUTE_ROUTING_H
#define SENDROUTE_ROUTING_H

#include "lib/base/buf.h"
#include "lib/base/result.h"
#include "lib/config/config.h"
#include "lib/mail/message.h"

/*
 * routing_choose(c, m, why, res): the first route whose rule holds; `why` (a
 * growing text) says by which pattern, and why earlier ones did not take it.
 * NULL with res filled: exit 78 when there is no route, 77 or 78 when a list
 * cannot be read.
 */
const struct route *routing_choose(const struct config *c,
    const struct message *m, struct buf *why, struct result *res);

/*
 * routing_allows(r, m, why, res): does the rule of r itself hold for m? 1, 0
 * (why says what did not match), or -1 with res filled.
 */
int routing_allows(const struct route *r, const struct message *m,
    struct buf *why, struct result *res);

#endif
