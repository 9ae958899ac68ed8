/* `rate`: how many messages leave in any stretch of time, on a clock of ours. */
#include "lib/store/rate.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/queuedir.h"

enum { SECOND = 1000000 };

#define NOW (INT64_C(1764000000) * SECOND)
#define YEAR (INT64_C(365) * 86400 * SECOND)

static const unsigned rates[] = { 1, 3, 10, 14, 1000, 1023, 77777, 100000 };
enum { RATES = sizeof rates / sizeof *rates };

/* --- the clock: sleeping is what moves it --- */

static int64_t clock_now, slept;

int
clock_gettime(clockid_t id, struct timespec *t)
{
	(void)id;
	t->tv_sec = (time_t)(clock_now / SECOND);
	t->tv_nsec = (long)(clock_now % SECOND) * 1000;
	return 0;
}

int
nanosleep(const struct timespec *t, struct timespec *left)
{
	int64_t us = (int64_t)t->tv_sec * SECOND + t->tv_nsec / 1000;

	assert_null(left);
	assert_in_range(t->tv_nsec, 0, 999999999);
	slept += us;
	clock_now += us;
	return 0;
}

/* --- the law: at most rate * t + rate in any window of t seconds --- */

struct law {
	unsigned rate;
	int64_t n, least;	/* messages so far; see obey */
};

/*
 * In [a, b]: b.n - a.n + 1 <= rate * (b.at - a.at) + rate, for every a before b:
 * kept is the least of a.n - rate * a.at.
 */
static void
obey(struct law *l, int64_t at)
{
	int64_t s = l->n * SECOND - (int64_t)l->rate * (at - NOW);

	if (l->n++ == 0 || s < l->least)
		l->least = s;
	if (s - l->least > (int64_t)(l->rate - 1) * SECOND)
		fail_msg("rate %u: message %lld at %lld us is too early",
		    l->rate, (long long)l->n, (long long)(at - NOW));
}

static uint32_t
next_random(uint32_t *seed)
{
	return *seed = *seed * 1664525 + 1013904223;
}

/* One process that sends as fast as it may, for long enough to see a drift. */
static void
test_steady_stream_keeps_the_rate(void **state)
{
	struct law law;
	int64_t due, now, pace;
	size_t i, k;

	(void)state;
	for (i = 0; i < RATES; i++) {
		law = (struct law){ .rate = rates[i] };
		due = 0;
		now = NOW;
		for (k = 0; k < 300000; k++) {
			now += rate_slot(&due, now, rates[i]);
			obey(&law, now);
		}
		/* Nor is it slower, by more than one in a thousand. */
		pace = (now - NOW) / (300000 - (int64_t)rates[i]);
		assert_in_range(pace, SECOND / rates[i],
		    SECOND / rates[i] + SECOND / rates[i] / 1000 + 1);
	}
}

/* Messages that come when they like, with pauses. */
static void
test_bursts_and_pauses_keep_the_rate(void **state)
{
	struct law law;
	int64_t due, now;
	uint32_t seed = 1;
	size_t i, k;

	(void)state;
	for (i = 0; i < RATES; i++) {
		law = (struct law){ .rate = rates[i] };
		due = 0;
		now = NOW;
		for (k = 0; k < 100000; k++) {
			if (next_random(&seed) >> 20 == 0)
				now += next_random(&seed) >> 10;
			else if (next_random(&seed) >> 30 == 0)
				now += SECOND / rates[i];
			now += rate_slot(&due, now, rates[i]);
			obey(&law, now);
		}
	}
}

/* Eight processes; each asks again when its own message has left. */
static void
test_processes_share_the_rate(void **state)
{
	int64_t due, ready[8], wait;
	struct law law;
	size_t i, k, who, j;

	(void)state;
	for (i = 0; i < RATES; i++) {
		law = (struct law){ .rate = rates[i] };
		due = 0;
		for (j = 0; j < 8; j++)
			ready[j] = NOW;
		for (k = 0; k < 100000; k++) {
			for (who = 0, j = 1; j < 8; j++)
				who = ready[j] < ready[who] ? j : who;
			wait = rate_slot(&due, ready[who], rates[i]);
			ready[who] += wait;
			obey(&law, ready[who]);
		}
	}
}

/* What the slot gives at once, and when the next one comes. */
static void
test_burst_is_one_second(void **state)
{
	int64_t due, wait;
	size_t i, k;

	(void)state;
	for (i = 0; i < RATES; i++) {
		due = 0;
		for (k = 0; (wait = rate_slot(&due, NOW, rates[i])) == 0; k++)
			continue;
		/* Where a second is no multiple of the pace, it may be less. */
		assert_in_range(k, rates[i] - rates[i] / 10 - 1, rates[i]);
		assert_in_range(wait, 1, SECOND / rates[i] + 1);
		if (SECOND % rates[i] == 0)
			assert_int_equal(k, rates[i]);
	}
}

static void
test_pause_gives_the_burst_back(void **state)
{
	int64_t due = 0;
	int i, round;

	(void)state;
	for (round = 0; round < 3; round++) {
		for (i = 0; i < 10; i++)
			assert_int_equal(rate_slot(&due, NOW + round * SECOND,
			    10), 0);
		assert_int_equal(rate_slot(&due, NOW + round * SECOND, 10),
		    SECOND / 10);
		due -= SECOND / 10;
	}
	/* A day off is worth no more than a second. */
	for (i = 0; i < 10; i++)
		assert_int_equal(rate_slot(&due, NOW + 86400 * INT64_C(1000000),
		    10), 0);
	assert_int_equal(rate_slot(&due, NOW + 86400 * INT64_C(1000000), 10),
	    SECOND / 10);
}

static void
test_clock_that_goes_back_starts_afresh(void **state)
{
	static const int64_t back[] = { 2 * INT64_C(3600) * SECOND, YEAR,
		40 * YEAR, NOW };
	struct law law;
	int64_t due, now;
	size_t i, k;

	(void)state;
	for (i = 0; i < sizeof back / sizeof *back; i++) {
		due = 0;
		now = NOW;
		for (k = 0; k < 50; k++)
			now += rate_slot(&due, now, 10);
		now -= back[i];
		assert_int_equal(rate_slot(&due, now, 10), 0);
		law = (struct law){ .rate = 10 };
		for (k = 0; k < 100; k++) {
			now += rate_slot(&due, now, 10);
			obey(&law, now);
		}
	}
}

/* What a damaged file may say. */
static void
test_any_time_in_the_file_is_survived(void **state)
{
	static const int64_t times[] = { 0, 1, INT64_MAX, INT64_MAX - SECOND,
		NOW - 1, NOW + 1, NOW + INT64_C(3600) * SECOND + 1 };
	int64_t due;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof times / sizeof *times; i++) {
		due = times[i];
		assert_int_equal(rate_slot(&due, NOW, 2), 0);
		assert_in_range(due, NOW, NOW + SECOND);
	}
}

/* --- kept in the queue's folder --- */

static struct queuedir dir;

static int
setup(void **state)
{
	(void)state;
	clock_now = NOW;
	slept = 0;
	queuedir_open(&dir);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	queuedir_close(&dir);
	return 0;
}

static int64_t
sleep_of(unsigned times, const char *route, unsigned rate)
{
	int64_t before = slept;

	while (times-- > 0)
		rate_wait(&dir.q, route, rate, 1000);
	return slept - before;
}

static void
test_file_keeps_what_was_taken(void **state)
{
	struct queue other;
	struct result res;

	(void)state;
	assert_int_equal(sleep_of(10, "r", 10), 0);
	/* Another process, of later. */
	assert_int_equal(queue_open(&other, dir.path, geteuid(), getegid(),
	    &res), 0);
	rate_wait(&other, "r", 10, 1000);
	assert_int_equal(slept, SECOND / 10);
	queue_close(&other);
	assert_int_equal(sleep_of(20, "r", 10), 2 * SECOND);
}

static void
test_each_route_has_its_own_file(void **state)
{
	char path[400];
	struct stat st;

	(void)state;
	assert_int_equal(sleep_of(1, "a", 1), 0);
	assert_int_equal(sleep_of(1, "b", 1), 0);
	assert_int_equal(sleep_of(1, "a", 1), SECOND);
	assert_int_equal(stat(queuedir_path(&dir, "rate.a", path), &st), 0);
	assert_int_equal(st.st_size, 20);
	assert_int_equal(st.st_mode & 07007, 0);
	assert_int_equal(stat(queuedir_path(&dir, "rate.b", path), &st), 0);
}

static void
test_longest_route_name_has_a_file(void **state)
{
	char name[65], file[80];

	(void)state;
	memset(name, 'n', 64);
	name[64] = '\0';
	assert_int_equal(sleep_of(2, name, 1), SECOND);
	snprintf(file, sizeof file, "rate.%s", name);
	assert_true(queuedir_grep(&dir, file, "0") > 0);
}

static void
test_damaged_file_is_a_fresh_start(void **state)
{
	static const char *const texts[] = { "", "x", "12", "99999999999999999999",
		"-1                  ", "00000000000000000000000000000000000",
		"\xff\xfe", "09223372036854775807" };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof texts / sizeof *texts; i++) {
		queuedir_write(&dir, "rate.r", texts[i], strlen(texts[i]));
		assert_int_equal(sleep_of(1, "r", 1), 0);
		assert_int_equal(sleep_of(1, "r", 1), SECOND);
	}
}

static void
test_without_a_folder_each_process_keeps_the_pace(void **state)
{
	char path[400];

	(void)state;
	assert_int_equal(rmdir(queuedir_path(&dir, "tmp", path)), 0);
	assert_int_equal(rmdir(queuedir_path(&dir, "queue", path)), 0);
	assert_int_equal(rmdir(queuedir_path(&dir, "failed", path)), 0);
	assert_int_equal(rmdir(dir.path), 0);
	assert_int_equal(sleep_of(1, "r", 4), SECOND / 4);
	assert_int_equal(sleep_of(8, "r", 4), 2 * SECOND);
	/* The slowest of all: one whole second. */
	assert_int_equal(sleep_of(2, "r", 1), 2 * SECOND);
}

/* What is no file cannot keep a time. */
static void
test_what_is_no_file_is_left_alone(void **state)
{
	char path[400], target[400];

	(void)state;
	assert_int_equal(mkdir(queuedir_path(&dir, "rate.d", path), 0700), 0);
	assert_int_equal(mkfifo(queuedir_path(&dir, "rate.f", path), 0600), 0);
	queuedir_write(&dir, "victim", "x", 1);
	assert_int_equal(symlink(queuedir_path(&dir, "victim", target),
	    queuedir_path(&dir, "rate.l", path)), 0);
	assert_int_equal(sleep_of(3, "d", 10), 3 * SECOND / 10);
	assert_int_equal(sleep_of(3, "f", 10), 3 * SECOND / 10);
	assert_int_equal(sleep_of(3, "l", 10), 3 * SECOND / 10);
	assert_int_equal(queuedir_grep(&dir, "victim", "x"), 1);
	assert_int_equal(queuedir_grep(&dir, "victim", "0"), 0);
}

static void
test_descriptors_are_given_back(void **state)
{
	int before = dup(0), after;

	(void)state;
	assert_true(before >= 0);
	close(before);
	sleep_of(5, "r", 1);
	after = dup(0);
	close(after);
	assert_int_equal(after, before);
}

#define IN_FOLDER(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_steady_stream_keeps_the_rate),
		cmocka_unit_test(test_bursts_and_pauses_keep_the_rate),
		cmocka_unit_test(test_processes_share_the_rate),
		cmocka_unit_test(test_burst_is_one_second),
		cmocka_unit_test(test_pause_gives_the_burst_back),
		cmocka_unit_test(test_clock_that_goes_back_starts_afresh),
		cmocka_unit_test(test_any_time_in_the_file_is_survived),
		IN_FOLDER(test_file_keeps_what_was_taken),
		IN_FOLDER(test_each_route_has_its_own_file),
		IN_FOLDER(test_longest_route_name_has_a_file),
		IN_FOLDER(test_damaged_file_is_a_fresh_start),
		IN_FOLDER(test_without_a_folder_each_process_keeps_the_pace),
		IN_FOLDER(test_what_is_no_file_is_left_alone),
		IN_FOLDER(test_descriptors_are_given_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
