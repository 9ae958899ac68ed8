/* The ground floor, lib/base: buf, base64, clock, result, log. */
#include "lib/base/buf.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/base64.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/result.h"

#define COUNT(t) (sizeof(t) / sizeof *(t))

/* --- buf --- */

static void
test_room_alone_is_an_empty_string(void **state)
{
	struct buf b = { 0 };

	(void)state;
	buf_reserve(&b, 100);
	assert_string_equal(buf_str(&b), "");
	buf_free(&b);
}

static void
test_buffer_grows_and_stays_a_string(void **state)
{
	struct buf b = { 0 };
	size_t i;

	(void)state;
	assert_string_equal(buf_str(&b), "");
	for (i = 0; i < 1000; i++) {
		buf_addc(&b, (char)('a' + i % 26));
		assert_int_equal(b.len, i + 1);
		assert_int_equal(b.p[b.len], '\0');
		assert_true(b.cap > b.len);
	}
	for (i = 0; i < 1000; i++)
		assert_int_equal(b.p[i], 'a' + i % 26);
	assert_false(b.failed);
	buf_free(&b);
	assert_null(b.p);
	assert_int_equal(b.len, 0);
}

static void
test_every_way_to_add(void **state)
{
	struct buf b = { 0 };
	char x[200];

	(void)state;
	memset(x, 'x', sizeof x - 1);
	x[sizeof x - 1] = '\0';
	buf_add(&b, NULL, 0);
	assert_string_equal(buf_str(&b), "");
	buf_add(&b, "a\0b", 3);
	assert_int_equal(b.len, 3);
	assert_memory_equal(b.p, "a\0b", 4);
	buf_reset(&b);
	assert_string_equal(buf_str(&b), "");
	buf_adds(&b, "x=");
	buf_addf(&b, "%d,%s", 42, "y");
	buf_addf(&b, "%s", "");
	buf_addc(&b, ';');
	assert_string_equal(buf_str(&b), "x=42,y;");
	buf_addf(&b, "<%s>", x);
	assert_int_equal(b.len, 7 + 201);
	assert_memory_equal(b.p + 7, "<xxx", 4);
	assert_string_equal(b.p + 7 + 197, "xxx>");
	buf_wipe(&b);
	assert_null(b.p);
}

/* An addition that fits exactly, and one byte more, around each power of 2. */
static void
test_buffer_edges(void **state)
{
	static const char fill[300] = "";
	struct buf b = { 0 };
	size_t n;

	(void)state;
	for (n = 0; n < sizeof fill; n++) {
		buf_add(&b, fill, n);
		buf_adds(&b, "!");
		assert_int_equal(b.len, n + 1);
		assert_string_equal(b.p + n, "!");
		buf_free(&b);
	}
}

static void
test_size_beyond_memory_fails_for_good(void **state)
{
	struct buf b = { 0 };

	(void)state;
	buf_adds(&b, "kept");
	buf_add(&b, "", SIZE_MAX / 2);
	assert_true(b.failed);
	buf_adds(&b, "ignored");
	assert_string_equal(buf_str(&b), "kept");
	buf_reset(&b);
	assert_false(b.failed);
	buf_adds(&b, "again");
	assert_string_equal(buf_str(&b), "again");
	buf_free(&b);
}

static void
test_wiping(void **state)
{
	char s[8] = "secret!";
	char *copy;

	(void)state;
	mem_wipe(s, 4);
	assert_memory_equal(s, "\0\0\0\0et!", 8);
	copy = mem_dup("a\0b", 3);
	assert_non_null(copy);
	assert_memory_equal(copy, "a\0b", 4);
	str_wipe_free(copy);
	str_wipe_free(NULL);
	copy = mem_dup(NULL, 0);
	assert_string_equal(copy, "");
	free(copy);
}

static void
test_numbers(void **state)
{
	static const struct {
		const char *s;
		uint64_t min, max;
		int rc;
		uint64_t v;
	} cases[] = {
		{ "0", 0, 9, 0, 0 },
		{ "9", 0, 9, 0, 9 },
		{ "007", 0, 9, 0, 7 },
		{ "10", 0, 9, -1, 0 },
		{ "0", 1, 9, -1, 0 },
		{ "1", 1, 9, 0, 1 },
		{ "5", 5, 5, 0, 5 },
		{ "4", 5, 5, -1, 0 },
		{ "6", 5, 5, -1, 0 },
		{ "65535", 1, 65535, 0, 65535 },
		{ "65536", 1, 65535, -1, 0 },
		{ "18446744073709551615", 0, UINT64_MAX, 0, UINT64_MAX },
		{ "18446744073709551616", 0, UINT64_MAX, -1, 0 },
		{ "18446744073709551620", 0, UINT64_MAX, -1, 0 },
		{ "99999999999999999999", 0, UINT64_MAX, -1, 0 },
		{ "184467440737095516150", 0, UINT64_MAX, -1, 0 },
		{ "00000000000000000000000000001", 0, 9, 0, 1 },
		{ "", 0, 9, -1, 0 },
		{ "+1", 0, 9, -1, 0 },
		{ "-1", 0, UINT64_MAX, -1, 0 },
		{ " 1", 0, 9, -1, 0 },
		{ "1 ", 0, 9, -1, 0 },
		{ "1\n", 0, 9, -1, 0 },
		{ "0x1", 0, 9, -1, 0 },
		{ "1e1", 0, 99, -1, 0 },
		{ "1.0", 0, 99, -1, 0 },
		{ ":", 0, 99, -1, 0 },
		{ "/", 0, 99, -1, 0 },
	};
	uint64_t v;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		v = 4711;
		assert_int_equal(number_parse(cases[i].s, cases[i].min,
		    cases[i].max, &v), cases[i].rc);
		assert_int_equal(v, cases[i].rc == 0 ? cases[i].v : 4711);
	}
}

static void
test_text_is_cleaned_but_for_8_bit(void **state)
{
	char s[] = "a\tb\r\n\x01\x1f \x7f~\x80\xff\x9b";
	char utf8[] = "\x9b[2J \xc2\x9b[2J \xc3\x9b \xe2\x82\xac \xc2\xa0";
	char lower[] = "AZ@[`az\xc4";

	(void)state;
	text_clean(s);
	assert_string_equal(s, "a?b???? ?~?\xff\x9b");
	/* What a terminal obeys goes, letters that hold such a byte stay. */
	text_clean(utf8);
	assert_string_equal(utf8, "?[2J ??[2J \xc3\x9b \xe2\x82\xac \xc2\xa0");
	str_lower(lower);
	assert_string_equal(lower, "az@[`az\xc4");
}

static void
test_comparisons_without_case(void **state)
{
	(void)state;
	assert_true(str_iequal("", ""));
	assert_true(str_iequal("AbZ", "aBz"));
	assert_false(str_iequal("ab", "abc"));
	assert_false(str_iequal("abc", "ab"));
	assert_false(str_iequal("@", "`"));
	assert_false(str_iequal("[", "{"));
	assert_false(str_iequal("\xc4", "\xe4"));
	assert_true(mem_iequal("aX!", "Ax?", 2));
	assert_false(mem_iequal("aX!", "Ax?", 3));
	assert_true(mem_iequal("a", "b", 0));
	assert_true(str_istarts("Content-Type", "content-"));
	assert_true(str_istarts("x", ""));
	assert_false(str_istarts("conten", "content"));
	assert_false(str_istarts("", "x"));
}

/* --- base64 --- */

static void
check_base64(const void *bytes, size_t n, const char *text)
{
	char out[512];
	size_t len = base64_encode(out, bytes, n);

	assert_int_equal(len, strlen(text));
	assert_int_equal(len, BASE64_SIZE(n));
	assert_memory_equal(out, text, len);
	assert_int_equal(base64_decode(out, n, text, len), n);
	assert_memory_equal(out, bytes, n);
}

static void
test_base64_vectors_of_rfc_4648(void **state)
{
	static const unsigned char high[] = { 0x14, 0xfb, 0x9c, 0x03, 0xd9,
		0x7e };

	(void)state;
	check_base64("", 0, "");
	check_base64("f", 1, "Zg==");
	check_base64("fo", 2, "Zm8=");
	check_base64("foo", 3, "Zm9v");
	check_base64("foob", 4, "Zm9vYg==");
	check_base64("fooba", 5, "Zm9vYmE=");
	check_base64("foobar", 6, "Zm9vYmFy");
	check_base64(high, 6, "FPucA9l+");
	check_base64(high, 5, "FPucA9k=");
	check_base64(high, 4, "FPucAw==");
	check_base64("\xff\xff\xff", 3, "////");
	check_base64("\xfb\xef\xbe", 3, "++++");
	check_base64("\0\0\0", 3, "AAAA");
}

static void
fill_bytes(unsigned char *p, size_t n)
{
	uint32_t x = 1;
	size_t i;

	for (i = 0; i < n; i++) {
		x = x * 1664525u + 1013904223u;
		p[i] = (unsigned char)(x >> 24);
	}
}

static void
test_base64_every_length_there_and_back(void **state)
{
	unsigned char in[300], back[300];
	char text[BASE64_SIZE(300)];
	size_t n, len;

	(void)state;
	fill_bytes(in, sizeof in);
	for (n = 0; n <= sizeof in; n++) {
		len = base64_encode(text, in, n);
		assert_int_equal(len, BASE64_SIZE(n));
		memset(back, 0xaa, sizeof back);
		assert_int_equal(base64_decode(back, n, text, len), n);
		assert_memory_equal(back, in, n);
	}
}

static void
test_base64_blocks_of_three_can_follow_one_another(void **state)
{
	unsigned char in[300];
	char whole[BASE64_SIZE(300)], parts[BASE64_SIZE(300)];
	size_t block, at, len;

	(void)state;
	fill_bytes(in, sizeof in);
	base64_encode(whole, in, sizeof in);
	for (block = 3; block < sizeof in; block += 3) {
		for (at = len = 0; at < sizeof in; at += block)
			len += base64_encode(parts + len, in + at,
			    sizeof in - at < block ? sizeof in - at : block);
		assert_int_equal(len, sizeof whole);
		assert_memory_equal(parts, whole, sizeof whole);
	}
}

static ssize_t
decoded(const char *text, size_t size)
{
	char out[64] = "";
	ssize_t n;

	assert_true(size < sizeof out);
	n = base64_decode(out, size, text, strlen(text));
	assert_int_equal(out[size], '\0');
	return n;
}

static void
test_base64_decoder_takes_blanks_and_lacking_padding(void **state)
{
	(void)state;
	assert_int_equal(decoded("Zm9v\r\nYmFy\n", 6), 6);
	assert_int_equal(decoded(" Z m\t9\vv\f", 3), 3);
	assert_int_equal(decoded("Zg", 1), 1);
	assert_int_equal(decoded("Zm8", 2), 2);
	assert_int_equal(decoded("Zg=\n=\n", 1), 1);
	assert_int_equal(decoded("  ", 0), 0);
}

static void
test_base64_decoder_refuses_rubbish(void **state)
{
	static const char *const bad[] = { "Z", "Zm9vZ", "Zg=", "Zm8==",
		"Zm9v=", "Zm9v==", "Zm9v====", "=", "==", "====", "Zg==Zg==",
		"Zg=A", "Zh==", "Zm9=", "Zm9v-_", "Zm9v!", "Zm9v,", "Zm9v\x80",
		"Zm9v\x7f", "Zg===", "Z===" };
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(bad); i++)
		assert_int_equal(decoded(bad[i], 32), -1);
	assert_int_equal(base64_decode(NULL, 0, "A\0AA", 4), -1);
}

static void
test_base64_decoder_keeps_to_the_size(void **state)
{
	(void)state;
	assert_int_equal(decoded("Zm9v", 3), 3);
	assert_int_equal(decoded("Zm9v", 2), -1);
	assert_int_equal(decoded("Zm9v", 0), -1);
	assert_int_equal(decoded("Zm8=", 1), -1);
}

static void
test_hexadecimal(void **state)
{
	char text[9];
	unsigned char bytes[4] = { 0 };

	(void)state;
	hex_encode(text, "\x00\x9a\xbc\xff", 4);
	assert_string_equal(text, "009abcff");
	hex_encode(text, "", 0);
	assert_string_equal(text, "");
	assert_int_equal(hex_decode(bytes, 4, "009aBCff"), 0);
	assert_memory_equal(bytes, "\x00\x9a\xbc\xff", 4);
	assert_int_equal(hex_decode(bytes, 4, "009abcf"), -1);
	assert_int_equal(hex_decode(bytes, 4, "009abcfff"), -1);
	assert_int_equal(hex_decode(bytes, 4, "009abcf/"), -1);
	assert_int_equal(hex_decode(bytes, 4, "009abcf:"), -1);
	assert_int_equal(hex_decode(bytes, 4, "009abcfg"), -1);
	assert_int_equal(hex_decode(bytes, 4, "009abcf@"), -1);
	assert_int_equal(hex_decode(bytes, 4, "0x9abcff"), -1);
	assert_int_equal(hex_decode(bytes, 0, ""), 0);
}

/* --- clock --- */

/* Every 17 hours and 23 seconds for 600 years: all days, all leap rules. */
static void
test_civil_dates_agree_with_gmtime(void **state)
{
	time_t t, end = (time_t)600 * 366 * 86400;
	struct tm tm;

	(void)state;
	for (t = -end; t < end; t += 17 * 3600 + 23) {
		gmtime_r(&t, &tm);
		assert_int_equal(clock_from_civil(tm.tm_year + 1900,
		    tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
		    tm.tm_sec), t);
	}
}

static void
test_civil_dates_at_the_edges(void **state)
{
	(void)state;
	assert_int_equal(clock_from_civil(1970, 1, 1, 0, 0, 0), 0);
	assert_int_equal(clock_from_civil(1, 1, 1, 0, 0, 0), -62135596800);
	assert_int_equal(clock_from_civil(9999, 12, 31, 23, 59, 59),
	    253402300799);
	assert_int_equal(clock_from_civil(2000, 2, 29, 12, 0, 0), 951825600);
	assert_int_equal(clock_from_civil(2038, 1, 19, 3, 14, 8), 2147483648);
	/* A leap second is the next minute's first. */
	assert_int_equal(clock_from_civil(2016, 12, 31, 23, 59, 60),
	    1483228800);
	assert_int_equal(clock_from_civil(0, 1, 1, 0, 0, 0), -1);
	assert_int_equal(clock_from_civil(10000, 1, 1, 0, 0, 0), -1);
	assert_int_equal(clock_from_civil(2000, 0, 1, 0, 0, 0), -1);
	assert_int_equal(clock_from_civil(2000, 13, 1, 0, 0, 0), -1);
	assert_int_equal(clock_from_civil(2000, 1, 0, 0, 0, 0), -1);
	assert_int_equal(clock_from_civil(2000, 1, 32, 0, 0, 0), -1);
	assert_int_equal(clock_from_civil(2000, 1, 1, 24, 0, 0), -1);
	assert_int_equal(clock_from_civil(2000, 1, 1, -1, 0, 0), -1);
	assert_int_equal(clock_from_civil(2000, 1, 1, 0, 60, 0), -1);
	assert_int_equal(clock_from_civil(2000, 1, 1, 0, 0, 61), -1);
}

static void
test_http_dates(void **state)
{
	static const char *const bad[] = { "", "Sun, 06 Nov 1994 08:49:37",
		"Sun, 06 Nov 1994 08:49:37 UTC",
		"Sun, 06 Nov 1994 08:49:37 GMT ",
		"Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994",
		"Sun, 06 nov 1994 08:49:37 GMT",
		"Sun, 06 Foo 1994 08:49:37 GMT",
		"Sun, 00 Nov 1994 08:49:37 GMT",
		"Sun, 32 Nov 1994 08:49:37 GMT",
		"Sun, 06 Nov 1994 24:49:37 GMT",
		"Sun, 06 Nov 1994 08:60:37 GMT",
		"Sun, 06 Nov 1994 08:49:61 GMT",
		"Sun, 06 Nov -994 08:49:37 GMT",
		"Sun, +6 Nov 1994 08:49:37 GMT",
		"Sun, 06 Nov 0000 08:49:37 GMT",
		"Sun, 06 Nov 1994 08-49-37 GMT" };
	time_t t = 0;
	size_t i;

	(void)state;
	assert_int_equal(clock_parse_http("Sun, 06 Nov 1994 08:49:37 GMT", &t),
	    0);
	assert_int_equal(t, 784111777);
	assert_int_equal(clock_parse_http("Thu, 01 Jan 1970 00:00:00 GMT", &t),
	    0);
	assert_int_equal(t, 0);
	assert_int_equal(clock_parse_http("Thu, 29 Feb 2024 23:59:60 GMT", &t),
	    0);
	assert_int_equal(t, 1709251200);
	for (i = 0; i < COUNT(bad); i++) {
		t = 4711;
		assert_int_equal(clock_parse_http(bad[i], &t), -1);
		assert_int_equal(t, 4711);
	}
}

static void
check_rfc5322(const char *zone, time_t t, const char *want)
{
	char out[CLOCK_RFC5322_SIZE];

	setenv("TZ", zone, 1);
	tzset();
	clock_rfc5322(out, t);
	assert_string_equal(out, want);
}

static void
test_dates_of_mail_in_any_zone(void **state)
{
	(void)state;
	check_rfc5322("UTC0", 0, "Thu, 1 Jan 1970 00:00:00 +0000");
	check_rfc5322("UTC0", 1795484096, "Tue, 24 Nov 2026 01:34:56 +0000");
	check_rfc5322("IST-5:30", 1795484096,
	    "Tue, 24 Nov 2026 07:04:56 +0530");
	check_rfc5322("NST3:30", 1795484096,
	    "Mon, 23 Nov 2026 22:04:56 -0330");
	check_rfc5322("LINT-14", 1798711200,
	    "Fri, 1 Jan 2027 00:00:00 +1400");
	check_rfc5322("CET-1CEST,M3.5.0,M10.5.0/3", 1782864000,
	    "Wed, 1 Jul 2026 02:00:00 +0200");
	check_rfc5322("UTC0", 0, "Thu, 1 Jan 1970 00:00:00 +0000");
}

static void
test_dates_of_signatures_and_texts(void **state)
{
	char amz[CLOCK_AMZ_SIZE], text[CLOCK_TEXT_SIZE];

	(void)state;
	clock_amz(amz, 1440938160);
	assert_string_equal(amz, "20150830T123600Z");
	clock_text(text, 1440938160);
	assert_string_equal(text, "2015-08-30 12:36:00 UTC");
}

static void
test_time_goes_on(void **state)
{
	int64_t begun = clock_ms();
	struct timespec nap = { .tv_nsec = 30000000 };
	time_t now = time(NULL);

	(void)state;
	nanosleep(&nap, NULL);
	assert_true(clock_ms() - begun >= 29);
	assert_true(clock_ms() - begun < 60000);
	assert_true(clock_wall() >= now);
}

/* --- result --- */

static void
test_result_is_filled_afresh(void **state)
{
	struct result r;

	(void)state;
	memset(&r, 0xff, sizeof r);
	result_set(&r, OUT_PERM, CAUSE_RCPT, "%s said %d", "mx", 550);
	assert_int_equal(r.outcome, OUT_PERM);
	assert_int_equal(r.cause, CAUSE_RCPT);
	assert_true(r.certainly_not_taken);
	assert_int_equal(r.code, 0);
	assert_int_equal(r.exit, 0);
	assert_string_equal(r.enhanced, "");
	assert_string_equal(r.text, "mx said 550");
	result_set(&r, OUT_DONE, CAUSE_ROUTE, "ok");
	assert_false(r.certainly_not_taken);
}

static void
test_result_text_is_clipped_and_one_line(void **state)
{
	struct result r;
	char big[2000];

	(void)state;
	memset(big, 'x', sizeof big - 1);
	big[sizeof big - 1] = '\0';
	result_set(&r, OUT_TEMP, CAUSE_ROUTE, "a\r\nb\x1b%s", big);
	assert_int_equal(strlen(r.text), sizeof r.text - 1);
	assert_memory_equal(r.text, "a??b?xxx", 8);
	/* A text may be built from the one that it takes the place of. */
	result_set(&r, OUT_TEMP, CAUSE_ROUTE, "first");
	result_set(&r, OUT_TEMP, CAUSE_ROUTE, "second, after %s", r.text);
	assert_string_equal(r.text, "second, after first");
}

static void
test_ambiguous_and_local_failures(void **state)
{
	struct result r;

	(void)state;
	result_ambiguous(&r, "lost after %s", "DATA");
	assert_int_equal(r.outcome, OUT_TEMP);
	assert_int_equal(r.cause, CAUSE_ROUTE);
	assert_false(r.certainly_not_taken);
	assert_string_equal(r.text, "lost after DATA");
	assert_int_equal(result_fail(&r, EXIT_IO, "disk %d", 1), -1);
	assert_int_equal(r.outcome, OUT_TEMP);
	assert_int_equal(r.cause, CAUSE_LOCAL);
	assert_true(r.certainly_not_taken);
	assert_int_equal(r.exit, EXIT_IO);
	assert_string_equal(r.text, "disk 1");
}

static void
test_enhanced_status_codes(void **state)
{
	static const struct { const char *in, *want; } cases[] = {
		{ "5.1.1 no such user", "5.1.1" },
		{ "2.0.0", "2.0.0" },
		{ "4.7.123 x", "4.7.123" },
		{ "5.123.456 x", "5.123.456" },
		{ "5.1234.1 x", "" },
		{ "5.1.1234 x", "" },
		{ "3.1.1 x", "" },
		{ "1.1.1 x", "" },
		{ "5.1.1.1 x", "" },
		{ "5.1.1-x", "" },
		{ "5.1.1x", "" },
		{ "5.1. x", "" },
		{ "5..1 x", "" },
		{ "5.1", "" },
		{ "5.", "" },
		{ "5", "" },
		{ "", "" },
		{ " 5.1.1 x", "" },
		{ "55.1.1 x", "" },
		{ "User unknown", "" },
	};
	struct result r;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		strcpy(r.enhanced, "4.4.4");
		result_set_enhanced(&r, cases[i].in);
		assert_string_equal(r.enhanced, cases[i].want);
	}
}

static void
test_exit_status_of_a_result(void **state)
{
	struct result r = { 0 };

	(void)state;
	assert_int_equal(result_exit(&r), 75);
	assert_string_equal(result_status(&r), "deferred");
	result_set(&r, OUT_PERM, CAUSE_RCPT, "x");
	assert_int_equal(result_exit(&r), 69);
	assert_string_equal(result_status(&r), "failed");
	r.exit = EXIT_DATA;
	assert_int_equal(result_exit(&r), 65);
	result_set(&r, OUT_DONE, CAUSE_ROUTE, "x");
	r.exit = EXIT_DATA;
	assert_int_equal(result_exit(&r), 0);
	assert_string_equal(result_status(&r), "sent");
	result_fail(&r, EXIT_CONFIGURATION, "x");
	assert_int_equal(result_exit(&r), 78);
}

static void
test_when_another_route_may_be_tried(void **state)
{
	/* By cause: route, recipient, content, operator, local. */
	static const bool temp[] = { true, true, true, true, true };
	static const bool perm[] = { true, false, false, false, false };
	struct result r = { 0 };
	int cause;

	(void)state;
	for (cause = CAUSE_ROUTE; cause <= CAUSE_LOCAL; cause++) {
		result_set(&r, OUT_TEMP, (enum cause)cause, "x");
		assert_int_equal(result_may_fail_over(&r), temp[cause]);
		r.certainly_not_taken = false;
		assert_false(result_may_fail_over(&r));
		result_set(&r, OUT_PERM, (enum cause)cause, "x");
		assert_int_equal(result_may_fail_over(&r), perm[cause]);
		r.certainly_not_taken = false;
		assert_false(result_may_fail_over(&r));
		result_set(&r, OUT_DONE, (enum cause)cause, "x");
		assert_false(result_may_fail_over(&r));
		r.certainly_not_taken = true;
		assert_false(result_may_fail_over(&r));
	}
}

/* --- log --- */

static void
check_pair(const char *value, const char *want)
{
	struct buf b = { 0 };

	log_pair(&b, "k", value);
	assert_string_equal(buf_str(&b), want);
	buf_free(&b);
}

static void
test_pairs_are_quoted_where_they_have_to_be(void **state)
{
	struct buf b = { 0 };

	(void)state;
	check_pair("v", "k=v");
	check_pair("", "k=\"\"");
	check_pair("a b", "k=\"a b\"");
	check_pair("a=b", "k=\"a=b\"");
	check_pair("a\"b", "k=\"a\\\"b\"");
	check_pair("a \\b", "k=\"a \\\\b\"");
	check_pair("a\\b", "k=a\\b");
	check_pair("a\nb", "k=a?b");
	check_pair("a\tb", "k=\"a?b\"");
	check_pair("\x7f\xc3\xb6", "k=?\xc3\xb6");
	log_pair(&b, "from", "a@b");
	log_pair(&b, "to", "c@d");
	log_pair(&b, "reason", "it is so");
	assert_string_equal(buf_str(&b), "from=a@b to=c@d reason=\"it is so\"");
	buf_free(&b);
}

/* A folder of our own; the caller removes what is in it. */
static void
scratch(char out[40])
{
	strcpy(out, "/tmp/test_buf.XXXXXX");
	assert_non_null(mkdtemp(out));
}

static void
slurp(const char *path, struct buf *b)
{
	char block[4096];
	ssize_t n;
	int fd = open(path, O_RDONLY);

	assert_true(fd >= 0);
	buf_reset(b);
	while ((n = read(fd, block, sizeof block)) > 0)
		buf_add(b, block, (size_t)n);
	close(fd);
}

/* "2026-11-24T01:02:03Z sendroute[PID]: " and `text`; returns what follows. */
static const char *
skip_log_line(const char *s, const char *text)
{
	static const char shape[] = "dddd-dd-ddTdd:dd:ddZ";
	char want[100];
	size_t i;

	for (i = 0; shape[i]; i++, s++) {
		if (shape[i] == 'd')
			assert_in_range(*s, '0', '9');
		else
			assert_int_equal(*s, shape[i]);
	}
	snprintf(want, sizeof want, " sendroute[%ld]: %s\n", (long)getpid(),
	    text);
	assert_int_equal(strncmp(s, want, strlen(want)), 0);
	return s + strlen(want);
}

static void
test_log_file_gets_whole_lines_at_its_end(void **state)
{
	struct log l = { 0 };
	struct buf b = { 0 };
	char dir[40], path[60];
	struct stat st;
	mode_t old = umask(0);
	int i;

	(void)state;
	scratch(dir);
	snprintf(path, sizeof path, "%s/log", dir);
	for (i = 0; i < 2; i++) {
		log_open(&l, LOG_TO_FILE, path);
		assert_true(l.fd >= 0);
		log_write(&l, "run=%d text=%s", i, "a\r\nb\x1b");
		log_close(&l);
		assert_int_equal(l.fd, -1);
		log_write(&l, "after the end");
	}
	umask(old);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	slurp(path, &b);
	assert_string_equal(skip_log_line(skip_log_line(b.p,
	    "run=0 text=a??b?"), "run=1 text=a??b?"), "");
	buf_free(&b);
	unlink(path);
	rmdir(dir);
}

static void
test_long_log_line_is_kept_whole_in_a_file(void **state)
{
	struct log l = { 0 };
	struct buf b = { 0 };
	char dir[40], path[60], big[5000];

	(void)state;
	scratch(dir);
	snprintf(path, sizeof path, "%s/log", dir);
	memset(big, 'x', sizeof big - 1);
	big[sizeof big - 1] = '\0';
	log_open(&l, LOG_TO_FILE, path);
	log_write(&l, "%s!", big);
	log_close(&l);
	slurp(path, &b);
	assert_true(b.len > sizeof big + 30);
	assert_string_equal(b.p + b.len - 5, "xxx!\n");
	buf_free(&b);
	unlink(path);
	rmdir(dir);
}

static void
test_log_that_cannot_be_opened_is_silent(void **state)
{
	struct log l = { .trace = true };
	char dir[40], path[60];

	(void)state;
	scratch(dir);
	snprintf(path, sizeof path, "%s/no/log", dir);
	log_open(&l, LOG_TO_FILE, path);
	assert_int_equal(l.fd, -1);
	assert_true(l.trace);
	log_write(&l, "x");
	log_close(&l);
	/* A FIFO that nobody reads must not stop us. */
	snprintf(path, sizeof path, "%s/fifo", dir);
	assert_int_equal(mkfifo(path, 0600), 0);
	log_open(&l, LOG_TO_FILE, path);
	log_write(&l, "x");
	log_close(&l);
	log_open(&l, LOG_TO_NONE, NULL);
	log_write(&l, "x");
	log_close(&l);
	unlink(path);
	rmdir(dir);
}

/* What `say` writes to stderr. */
static void
capture(void (*say)(struct log *), struct log *l, struct buf *b)
{
	char dir[40], path[60];
	int saved = dup(STDERR_FILENO), fd;

	scratch(dir);
	snprintf(path, sizeof path, "%s/err", dir);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	assert_true(saved >= 0 && fd >= 0);
	fflush(stderr);
	dup2(fd, STDERR_FILENO);
	close(fd);
	say(l);
	dup2(saved, STDERR_FILENO);
	close(saved);
	slurp(path, b);
	unlink(path);
	rmdir(dir);
}

static void
say_both(struct log *l)
{
	log_error(l, "it %s\n", "failed");
	log_trace(l, "> %s\r\n", "EHLO x");
	log_trace(NULL, "nothing");
}

static void
test_stderr_gets_errors_and_with_v_the_trace(void **state)
{
	struct log l = { .target = LOG_TO_NONE, .fd = -1 };
	struct buf b = { 0 };

	(void)state;
	capture(say_both, &l, &b);
	assert_string_equal(buf_str(&b), "sendroute: it failed?\n");
	l.trace = true;
	capture(say_both, &l, &b);
	assert_string_equal(buf_str(&b),
	    "sendroute: it failed?\n> EHLO x??\n");
	l.quiet = true;
	capture(say_both, &l, &b);
	assert_string_equal(buf_str(&b), "");
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_room_alone_is_an_empty_string),
		cmocka_unit_test(test_buffer_grows_and_stays_a_string),
		cmocka_unit_test(test_every_way_to_add),
		cmocka_unit_test(test_buffer_edges),
		cmocka_unit_test(test_size_beyond_memory_fails_for_good),
		cmocka_unit_test(test_wiping),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_text_is_cleaned_but_for_8_bit),
		cmocka_unit_test(test_comparisons_without_case),
		cmocka_unit_test(test_base64_vectors_of_rfc_4648),
		cmocka_unit_test(test_base64_every_length_there_and_back),
		cmocka_unit_test(
		    test_base64_blocks_of_three_can_follow_one_another),
		cmocka_unit_test(
		    test_base64_decoder_takes_blanks_and_lacking_padding),
		cmocka_unit_test(test_base64_decoder_refuses_rubbish),
		cmocka_unit_test(test_base64_decoder_keeps_to_the_size),
		cmocka_unit_test(test_hexadecimal),
		cmocka_unit_test(test_civil_dates_agree_with_gmtime),
		cmocka_unit_test(test_civil_dates_at_the_edges),
		cmocka_unit_test(test_http_dates),
		cmocka_unit_test(test_dates_of_mail_in_any_zone),
		cmocka_unit_test(test_dates_of_signatures_and_texts),
		cmocka_unit_test(test_time_goes_on),
		cmocka_unit_test(test_result_is_filled_afresh),
		cmocka_unit_test(test_result_text_is_clipped_and_one_line),
		cmocka_unit_test(test_ambiguous_and_local_failures),
		cmocka_unit_test(test_enhanced_status_codes),
		cmocka_unit_test(test_exit_status_of_a_result),
		cmocka_unit_test(test_when_another_route_may_be_tried),
		cmocka_unit_test(test_pairs_are_quoted_where_they_have_to_be),
		cmocka_unit_test(test_log_file_gets_whole_lines_at_its_end),
		cmocka_unit_test(test_long_log_line_is_kept_whole_in_a_file),
		cmocka_unit_test(test_log_that_cannot_be_opened_is_silent),
		cmocka_unit_test(test_stderr_gets_errors_and_with_v_the_trace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
