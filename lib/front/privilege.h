/*
 * Set-id privilege, which lets every user put mail into the queue and do nothing
 * else.
 */
#ifndef SENDROUTE_PRIVILEGE_H
#define SENDROUTE_PRIVILEGE_H

#include <stdbool.h>
#include <sys/types.h>

#include "lib/base/result.h"

/*
 * privilege_is_lent(): were we started with rights that the caller has not? Root
 * has them all: his are put back, and it is false.
 */
bool privilege_is_lent(void);

/*
 * privilege_drop(res): for good, before a file is read that the caller names. 0, or
 * -1 with exit 71.
 */
int privilege_drop(struct result *res);

/*
 * privilege_lower(uid, gid, res): the caller's rights from here on; what we were
 * started with goes to *uid and *gid, for queue_raise(). 0, or -1 with exit 71.
 */
int privilege_lower(uid_t *uid, gid_t *gid, struct result *res);

#endif
