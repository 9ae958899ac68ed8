/*
 * When a queued message is tried again, and when it is too old.
 * All times are seconds since 1970; clocks may jump.
 */
#ifndef SENDROUTE_SCHEDULE_H
#define SENDROUTE_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/store/queuefile.h"

enum {
	SCHEDULE_FIRST = 5 * 60,	/* seconds to the second try */
	SCHEDULE_MOST = 4 * 3600,	/* the longest wait, but for jitter */
	SCHEDULE_AWAY = 30 * 86400	/* longer than this nobody ran the queue,
					 * or the clock was changed */
};

/* schedule_delay(tries, random): the wait after that many tries, +-10 %. */
int64_t schedule_delay(unsigned tries, uint32_t random);

/*
 * schedule_due(f, now): is it time? Also when the next try lies further ahead than
 * any schedule puts it: the clock has gone back.
 */
bool schedule_due(const struct queuefile *f, int64_t now);

/*
 * schedule_mend(f, now, lifetime): f->born such that now - f->born is the age:
 * neither in the future, nor counting a time in which nobody ran the queue for
 * longer than SCHEDULE_AWAY and lifetime.
 */
void schedule_mend(struct queuefile *f, int64_t now, int64_t lifetime);

#endif
