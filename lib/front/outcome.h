/*
 * What becomes of a queued message after a try: it is done, waits for the next
 * one, or cannot be delivered and its sender is told (sendroute(8), QUEUE).
 */
#ifndef SENDROUTE_OUTCOME_H
#define SENDROUTE_OUTCOME_H

#include "lib/front/deliver.h"
#include "lib/store/queue.h"

/*
 * outcome_apply(d, t): judge the results in t->m and write the consequences to
 * the queue. The caller frees t->m. Who is told of a failure gets a message of
 * his own in the queue, tried at once. true: that one was left to another process
 * or run.
 */
bool outcome_apply(const struct delivery *d, struct ticket *t);

#endif
