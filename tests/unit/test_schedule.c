/* When a message is tried again, whatever the clock does. */
#include "lib/store/schedule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { MINUTE = 60, HOUR = 3600, DAY = 86400 };

#define NOW INT64_C(1764000000)
#define YEAR (INT64_C(365) * DAY)

static const struct {
	unsigned tries;
	int64_t delay;		/* in the middle of the jitter */
} delays[] = {
	{ 0, 5 * MINUTE }, { 1, 5 * MINUTE }, { 2, 10 * MINUTE },
	{ 3, 20 * MINUTE }, { 4, 40 * MINUTE }, { 5, 80 * MINUTE },
	{ 6, 160 * MINUTE }, { 7, 4 * HOUR }, { 8, 4 * HOUR },
	{ 1000, 4 * HOUR }, { UINT32_MAX, 4 * HOUR }
};

static void
test_delay_doubles_to_four_hours(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof delays / sizeof *delays; i++)
		assert_int_equal(schedule_delay(delays[i].tries,
		    (uint32_t)delays[i].delay / 10), delays[i].delay);
}

static void
test_jitter_reaches_both_bounds_and_nothing_beyond(void **state)
{
	int64_t middle, least, most, d;
	uint32_t random;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof delays / sizeof *delays; i++) {
		middle = delays[i].delay;
		least = INT64_MAX;
		most = 0;
		for (random = 0; random < 6000; random++) {
			d = schedule_delay(delays[i].tries, random);
			least = d < least ? d : least;
			most = d > most ? d : most;
		}
		assert_int_equal(least, middle - middle / 10);
		assert_int_equal(most, middle + middle / 10);
		d = schedule_delay(delays[i].tries, UINT32_MAX);
		assert_in_range(d, least, most);
	}
}

static void
test_due_by_the_clock(void **state)
{
	static const struct { int64_t next; bool due; } t[] = {
		{ 0, true }, { NOW - YEAR, true }, { NOW - 1, true },
		{ NOW, true }, { NOW + 1, false }, { NOW + 4 * HOUR, false },
		/* As far as jitter puts it, and beyond. */
		{ NOW + 4 * HOUR + 24 * MINUTE, false },
		{ NOW + 4 * HOUR + 24 * MINUTE + 1, true },
		{ NOW + 30 * YEAR, true }, { INT64_MAX, true }
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof t / sizeof *t; i++)
		if (schedule_due(&(struct queuefile){ .next = t[i].next },
		    NOW) != t[i].due)
			fail_msg("next - now = %lld", (long long)t[i].next - NOW);
}

/* Whatever was scheduled at a time is due in time by the same clock. */
static void
test_what_was_scheduled_is_not_due_before(void **state)
{
	struct queuefile f;
	uint32_t random;
	unsigned tries;

	(void)state;
	for (tries = 0; tries < 20; tries++)
		for (random = 0; random < 3000; random += 7) {
			f.next = NOW + schedule_delay(tries, random);
			assert_false(schedule_due(&f, NOW));
			assert_true(schedule_due(&f, f.next));
		}
}

struct mend {
	int64_t born, next, lifetime, want;
};

static void
check_mend(const struct mend *t, size_t n)
{
	struct queuefile f;

	for (; n > 0; n--, t++) {
		f = (struct queuefile){ .born = t->born, .next = t->next,
			.tries = 3, .uid = 7 };
		schedule_mend(&f, NOW, t->lifetime);
		if (f.born != t->want)
			fail_msg("born %lld next %lld: %lld, not %lld",
			    (long long)(t->born - NOW),
			    (long long)(t->next - NOW),
			    (long long)(f.born - NOW),
			    (long long)(t->want - NOW));
		assert_true(f.next == t->next && f.tries == 3 && f.uid == 7);
	}
}
#define CHECK_MEND(t) check_mend(t, sizeof (t) / sizeof *(t))

static void
test_age_counts_while_the_queue_is_run(void **state)
{
	static const struct mend t[] = {
		{ NOW, NOW, 5 * DAY, NOW },
		{ NOW - DAY, NOW - HOUR, 5 * DAY, NOW - DAY },
		{ NOW - 6 * DAY, NOW + HOUR, 5 * DAY, NOW - 6 * DAY },
		/* A week off, or just a month, is no absence. */
		{ NOW - 8 * DAY, NOW - 7 * DAY, 5 * DAY, NOW - 8 * DAY },
		{ NOW - 31 * DAY, NOW - 30 * DAY, 5 * DAY, NOW - 31 * DAY },
	};

	(void)state;
	CHECK_MEND(t);
}

static void
test_born_in_the_future_is_born_now(void **state)
{
	static const struct mend t[] = {
		{ NOW + 1, NOW + 1, 5 * DAY, NOW },
		{ NOW + 20 * YEAR, NOW + 20 * YEAR + HOUR, 5 * DAY, NOW },
		{ NOW + 20 * YEAR, NOW - HOUR, 5 * DAY, NOW },
	};

	(void)state;
	CHECK_MEND(t);
}

static void
test_long_absence_does_not_count(void **state)
{
	static const struct mend t[] = {
		/* Two days old when it should have been tried again. */
		{ NOW - 33 * DAY, NOW - 31 * DAY, 5 * DAY, NOW - 2 * DAY },
		{ NOW - 10 * YEAR, NOW - 10 * YEAR + HOUR, 5 * DAY, NOW - HOUR },
		{ 0, 0, 5 * DAY, NOW },
		/* Born after it was due: the clock has been back and forth. */
		{ NOW - DAY, NOW - 40 * DAY, 5 * DAY, NOW },
	};

	(void)state;
	CHECK_MEND(t);
}

static void
test_absence_within_the_lifetime_counts(void **state)
{
	static const struct mend t[] = {
		{ NOW - 60 * DAY, NOW - 59 * DAY, 60 * DAY, NOW - 60 * DAY },
		{ NOW - 61 * DAY, NOW - 60 * DAY, 60 * DAY, NOW - 61 * DAY },
		{ NOW - 62 * DAY, NOW - 61 * DAY, 60 * DAY, NOW - DAY },
	};

	(void)state;
	CHECK_MEND(t);
}

/* What a damaged file may say. */
static void
test_huge_numbers_are_no_overflow(void **state)
{
	static const struct mend t[] = {
		{ INT64_MAX, 0, 5 * DAY, NOW },
		{ INT64_MAX, INT64_MAX, 5 * DAY, NOW },
		{ 0, INT64_MAX, 5 * DAY, 0 },
	};

	(void)state;
	CHECK_MEND(t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_delay_doubles_to_four_hours),
		cmocka_unit_test(
		    test_jitter_reaches_both_bounds_and_nothing_beyond),
		cmocka_unit_test(test_due_by_the_clock),
		cmocka_unit_test(test_what_was_scheduled_is_not_due_before),
		cmocka_unit_test(test_age_counts_while_the_queue_is_run),
		cmocka_unit_test(test_born_in_the_future_is_born_now),
		cmocka_unit_test(test_long_absence_does_not_count),
		cmocka_unit_test(test_absence_within_the_lifetime_counts),
		cmocka_unit_test(test_huge_numbers_are_no_overflow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
