/*
 * Time zones. Rules: the C library, where it takes the same, says the same. Files:
 * any bytes, any time. The first 8 bytes are the time.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/base/zone.h"
#include "tests/fuzz/fuzz.h"

enum { WEEK = 7 * 24 * 3600 };

/* Only what the C library is known to take as POSIX has it. */
static bool
is_usual(const char *rule)
{
	size_t n = strcspn(rule, "+-0123456789");

	return n >= 3 && n < 6 && *rule != '<' && *rule != ':' &&
	    strspn(rule, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") >= 3;
}

static void
check_rule(const char *rule, int64_t t)
{
	int64_t offset = 0, again;
	time_t when = (time_t)t;
	struct tm tm;

	if (zone_rule_offset(rule, t, &offset) < 0)
		return;
	CHECK(zone_rule_offset(rule, t, &again) == 0 && again == offset);
	CHECK(offset >= -WEEK - 3600 && offset <= WEEK + 3600);
	/* Without dates, and without summer. */
	if (!is_usual(rule) || strpbrk(rule + 3, ",<ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz") || offset < -24 * 3600 ||
	    offset > 24 * 3600)
		return;
	setenv("TZ", rule, 1);
	tzset();
	if (localtime_r(&when, &tm))
		CHECK(tm.tm_gmtoff == offset);
}

FUZZ(zone)
{
	uint64_t v = 0;
	int64_t t, offset = 0;
	unsigned char *file;
	char *rule;
	int i;

	for (i = 0; i < 8; i++)
		v = v << 8 | in_byte(in);
	/* What a clock may say: up to the year 9999. */
	t = (int64_t)(v % 253402300800);
	file = in_copy(in);
	if (zone_file_offset(file, in->n, t, &offset) == 0)
		CHECK(offset >= INT32_MIN && offset <= INT32_MAX);
	rule = in_text(in);
	check_rule(rule, t);
	free(file);
	free(rule);
}
