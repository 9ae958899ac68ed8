/* Local time and dates against the C library's, and files of our own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/clock.h"
#include "lib/base/zone.h"

static void
dates(void **state)
{
	static const int64_t at[] = { 0, -1, 1, 86399, 86400, -86400, -86401,
		951782399, 951782400, 951868800, 4107542400, -62135596800,
		253402300799, 1782000000 };
	struct tm ours, theirs;
	time_t t;
	int64_t i;
	size_t k;

	(void)state;
	for (i = 0; i < 20000 + 14; i++) {
		k = (size_t)(i < 14 ? i : 0);
		t = i < 14 ? (time_t)at[k] : (time_t)(-3000000000 +
		    i * 86400 * 5 + i);
		clock_civil(t, &ours);
		gmtime_r(&t, &theirs);
		assert_int_equal(ours.tm_year, theirs.tm_year);
		assert_int_equal(ours.tm_mon, theirs.tm_mon);
		assert_int_equal(ours.tm_mday, theirs.tm_mday);
		assert_int_equal(ours.tm_hour, theirs.tm_hour);
		assert_int_equal(ours.tm_min, theirs.tm_min);
		assert_int_equal(ours.tm_sec, theirs.tm_sec);
		assert_int_equal(ours.tm_wday, theirs.tm_wday);
	}
}

/* Every 14 hours over some years, every 12 days over the others. */
static void
same_offsets(const char *tz, time_t from)
{
	time_t t;
	struct tm tm;
	int64_t ours;

	if (tz)
		setenv("TZ", tz, 1);
	else
		unsetenv("TZ");
	tzset();
	for (t = from; t < 4100000000; t += 50411 +
	    (t < 1700000000 || t > 1900000000) * 1000000) {
		localtime_r(&t, &tm);
		ours = zone_offset(t);
		if (ours != tm.tm_gmtoff)
			fail_msg("TZ=%s at %lld: %lld, not %ld", tz ? tz : "",
			    (long long)t, (long long)ours, tm.tm_gmtoff);
	}
}

static void
rules(void **state)
{
	static const char *const zones[] = { "UTC0", "UTC", "", "GMT0", "EST5",
		"CET-1CEST,M3.5.0,M10.5.0/3", "EST5EDT,M3.2.0,M11.1.0",
		"AEST-10AEDT,M10.1.0,M4.1.0/3",
		"<+0330>-3:30", "<-03>3<-02>,M3.5.0/-2,M10.5.0/-1",
		"NZST-12NZDT,M9.5.0,M4.1.0/3", "IST-2IDT,M3.4.4/26,M10.5.0",
		"ABC3DEF,J60/0,J300", "ABC3DEF,59/0,300/1",
		"ABC3DEF2:30,J365/1,J1/12:30:30", "XYZ-05:30:30",
		"<-01>1<+00>,M3.5.0/0,M10.5.0/1" };
	int64_t out;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof zones / sizeof zones[0]; i++)
		same_offsets(zones[i], 2000);	/* glibc's have no past */
	assert_int_equal(zone_rule_offset("EST5EDT", 1782000000, &out), 0);
	assert_int_equal(out, -4 * 3600);
}

static void
installed_files(void **state)
{
	static const char *const zones[] = { "Europe/Berlin", "America/New_York",
		"Asia/Kolkata", "Australia/Lord_Howe", "America/Sao_Paulo",
		"Africa/Casablanca", "Asia/Tehran", "Pacific/Apia",
		"Europe/Dublin", "America/St_Johns", "Antarctica/Troll",
		"Asia/Gaza", ":Europe/Lisbon",
		":/usr/share/zoneinfo/Asia/Kathmandu",
		"/usr/share/zoneinfo/Europe/Moscow", "No/Such_Zone" };
	size_t i;

	(void)state;
	same_offsets(NULL, -2000000000);
	if (access("/usr/share/zoneinfo/Europe/Berlin", R_OK) < 0)
		skip();
	for (i = 0; i < sizeof zones / sizeof zones[0]; i++)
		same_offsets(zones[i], -2000000000);
}

static void
no_rules(void **state)
{
	static const char *const bad[] = { "", "U", "UT0", "UTC", "UTC+", "1",
		"<UTC0", "UTC0x", "UTC168", "UTC1:60", "UTC1:00:61", "UTC1:",
		"ABC1DE", "ABC1DEF,", "ABC1DEF,M1.1.1", "ABC1DEF,M1.1.1,",
		"ABC1DEF,M0.1.1,M2.1.1", "ABC1DEF,M13.1.1,M2.1.1",
		"ABC1DEF,M1.6.1,M2.1.1", "ABC1DEF,M1.0.1,M2.1.1",
		"ABC1DEF,M1.1.7,M2.1.1", "ABC1DEF,M1.1,M2.1.1",
		"ABC1DEF,J0,J2", "ABC1DEF,J366,J2", "ABC1DEF,366,2",
		"ABC1DEF,J1/,J2", "ABC1DEF,J1,J2 ", "ABC1DEF,J1,J2,J3",
		"ABC99999999999999999999" };
	int64_t out = 7;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++)
		if (zone_rule_offset(bad[i], 1782000000, &out) == 0)
			fail_msg("\"%s\" is taken for a rule", bad[i]);
	assert_int_equal(out, 7);
}

static const unsigned char v1[] = "TZif\0" "123456789012345"
    "\0\0\0\0\0\0\0\0\0\0\0\0" "\0\0\0\2" "\0\0\0\3" "\0\0\0\4"
    "\0\0\0\144" "\0\0\0\310" "\2\1"
    "\0\0\0\1\0\0" "\377\377\377\376\0\0" "\0\0\0\3\0\0" "ABC";

static const unsigned char v2[] = "TZif2" "123456789012345"
    "\0\0\0\0\0\0\0\0\0\0\0\0" "\0\0\0\0" "\0\0\0\1" "\0\0\0\1"
    "\0\0\0\0\0\0" "\0"
    "TZif2" "123456789012345"
    "\0\0\0\0\0\0\0\0\0\0\0\0" "\0\0\0\1" "\0\0\0\2" "\0\0\0\1"
    "\377\377\377\377\377\377\377\377" "\1"
    "\0\0\0\5\0\0" "\0\0\0\6\0\0" "\0" "\nABC-1\n";

static int64_t
by_file(const unsigned char *file, size_t n, int64_t t)
{
	unsigned char *copy = malloc(n > 0 ? n : 1);	/* its end is watched */
	int64_t out = -99;

	memcpy(copy, file, n);
	if (zone_file_offset(copy, n, t, &out) < 0)
		assert_int_equal(out, -99);
	free(copy);
	return out;
}

static void
own_files(void **state)
{
	unsigned char file[sizeof v2];
	size_t i;
	int bit;

	(void)state;
	assert_int_equal(by_file(v1, sizeof v1, 99), 1);
	assert_int_equal(by_file(v1, sizeof v1, 100), 3);
	assert_int_equal(by_file(v1, sizeof v1, 199), 3);
	assert_int_equal(by_file(v1, sizeof v1, 200), -2);
	assert_int_equal(by_file(v2, sizeof v2 - 1, -2), 5);
	assert_int_equal(by_file(v2, sizeof v2 - 1, -1), 3600);
	assert_int_equal(by_file(v2, sizeof v2 - 1, 0), 3600);
	/* Cut anywhere: no crash; without its rule the last type holds. */
	for (i = 0; i < sizeof v1 - 1; i++)
		assert_int_equal(by_file(v1, i, 99), -99);
	for (i = 0; i < sizeof v2 - 1; i++)
		assert_int_equal(by_file(v2, i, 0),
		    i < sizeof v2 - 8 ? -99 : 6);
	/* Any bit turned: no crash. */
	for (i = 0; i < (sizeof v2 - 1) * 8; i++) {
		memcpy(file, v2, sizeof v2);
		bit = 1 << i % 8;
		file[i / 8] = (unsigned char)(file[i / 8] ^ bit);
		by_file(file, sizeof v2 - 1, 0);
		by_file(file, sizeof v2 - 1, -2);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dates),
		cmocka_unit_test(rules),
		cmocka_unit_test(installed_files),
		cmocka_unit_test(no_rules),
		cmocka_unit_test(own_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
