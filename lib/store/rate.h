/*
 * `rate`: so many messages a second over a route, by all processes together, with
 * a burst of one second. (The generic cell rate algorithm of ITU-T I.371: one time
 * is kept, at which the next message would be due at a steady pace.)
 */
#ifndef SENDROUTE_RATE_H
#define SENDROUTE_RATE_H

#include <stdint.h>

#include "lib/store/queue.h"

/*
 * rate_slot(due, now, rate): microseconds to wait for the next message; *due is
 * moved on. A *due that lies more than half a minute ahead is a clock that went
 * back: nobody waits for that long, see below.
 */
int64_t rate_slot(int64_t *due, int64_t now, unsigned rate);

/*
 * rate_wait(q, route, rate, seconds): wait for a slot, kept in the queue's folder
 * as rate.ROUTE. 0; or -1 at once when it would take longer than that many
 * seconds. Where the file cannot be used, each process keeps the pace alone.
 */
int rate_wait(const struct queue *q, const char *route, unsigned rate,
    int seconds);

#endif
