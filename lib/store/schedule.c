#include "lib/store/schedule.h"

int64_t
schedule_delay(unsigned tries, uint32_t random)
{
	int64_t delay = SCHEDULE_FIRST;

	while (tries-- > 1 && delay < SCHEDULE_MOST)
		delay *= 2;
	if (delay > SCHEDULE_MOST)
		delay = SCHEDULE_MOST;
	return delay - delay / 10 + (int64_t)(random % (delay / 5 + 1));
}

bool
schedule_due(const struct queuefile *f, int64_t now)
{
	return f->next <= now ||
	    f->next > now + SCHEDULE_MOST + SCHEDULE_MOST / 10;
}

void
schedule_mend(struct queuefile *f, int64_t now, int64_t lifetime)
{
	int64_t away = now - f->next;

	if (away > SCHEDULE_AWAY && away > lifetime)
		f->born = f->born < f->next ? f->born + away : now;
	if (f->born > now)
		f->born = now;
}
