#include "lib/store/rate.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/buf.h"

enum { SECOND = 1000000, WIDTH = 20, LOCK_TRIES = 20 };

static const int64_t far_ahead = INT64_C(30) * SECOND;

int64_t
rate_slot(int64_t *due, int64_t now, unsigned rate)
{
	/* Rounded up: the rate is not exceeded, however long it goes on. */
	int64_t pace = (SECOND + rate - 1) / rate, wait;

	if (*due < now || *due > now + far_ahead)
		*due = now;
	wait = *due - now - SECOND;
	*due += pace;
	/* At a steady pace the first message of a burst waits for nothing. */
	wait += pace;
	return wait > 0 ? wait : 0;
}

static int64_t
read_due(int fd)
{
	char text[WIDTH + 1];
	uint64_t due = 0;
	ssize_t n = pread(fd, text, WIDTH, 0);

	text[n > 0 ? n : 0] = '\0';
	number_parse(text, 0, INT64_MAX, &due);
	return (int64_t)due;
}

/* Only for moments: a lock that stays is somebody's who means no good. */
static int
lock(int fd)
{
	static const struct timespec moment = { .tv_nsec = 10000000 };
	int i;

	for (i = 0; i < LOCK_TRIES; i++) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			return 0;
		nanosleep(&moment, NULL);
	}
	return -1;
}

static int
open_due(const struct queue *q, const char *route)
{
	char name[80];
	int fd;

	snprintf(name, sizeof name, "rate.%s", route);
	queue_raise(q);
	fd = openat(q->dir, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0) {
		fd = openat(q->dir, name, O_RDWR | O_CREAT | O_CLOEXEC |
		    O_NOFOLLOW, 0600);
		if (fd >= 0)
			queue_share(q, fd, false);
	}
	queue_lower(q);
	return fd;
}

/* Microseconds to wait, at most `most`: the slot is taken; or -1. */
static int64_t
take_slot(const struct queue *q, const char *route, int64_t now,
    unsigned rate, int64_t most)
{
	char text[WIDTH + 1];
	int64_t due, wait = SECOND / rate;
	int fd = open_due(q, route);

	if (fd < 0)
		return wait;
	if (lock(fd) == 0) {
		due = read_due(fd);
		wait = rate_slot(&due, now, rate);
		if (wait > most)
			wait = -1;
		snprintf(text, sizeof text, "%020" PRId64, due);
		if (wait >= 0 && pwrite(fd, text, WIDTH, 0) != WIDTH &&
		    wait == 0)
			wait = SECOND / rate;
	}
	close(fd);
	return wait;
}

int
rate_wait(const struct queue *q, const char *route, unsigned rate,
    int seconds)
{
	struct timespec t;
	int64_t wait;

	clock_gettime(CLOCK_REALTIME, &t);
	wait = take_slot(q, route, (int64_t)t.tv_sec * SECOND +
	    t.tv_nsec / 1000, rate, (int64_t)seconds * SECOND);
	t.tv_sec = (time_t)(wait / SECOND);
	t.tv_nsec = (long)(wait % SECOND) * 1000;
	if (wait > 0)
		nanosleep(&t, NULL);
	return wait < 0 ? -1 : 0;
}
