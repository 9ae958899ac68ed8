/*
 * Time: monotonic milliseconds for deadlines, and the date formats of mail,
 * HTTP and Signature Version 4.
 */
#ifndef SENDROUTE_CLOCK_H
#define SENDROUTE_CLOCK_H

#include <stdint.h>
#include <time.h>

/* clock_ms(): monotonic milliseconds; only differences mean anything. */
int64_t clock_ms(void);

/* clock_sleep(ms): 0; or -1: a signal ended it before its time. */
int clock_sleep(int64_t ms);

/*
 * clock_wall(): seconds since 1970. Never earlier than the time the program was
 * built, so that a machine without a clock can still judge certificates.
 */
time_t clock_wall(void);

/* RFC 5322 section 3.3 date-time in local time, e.g. "Tue, 24 Nov 2026 ...". */
#define CLOCK_RFC5322_SIZE 40
void clock_rfc5322(char out[CLOCK_RFC5322_SIZE], time_t t);

/* "YYYYMMDDTHHMMSSZ" (SigV4's x-amz-date). */
#define CLOCK_AMZ_SIZE 17
void clock_amz(char out[CLOCK_AMZ_SIZE], time_t t);

/* "YYYY-MM-DD HH:MM:SS UTC" for error texts. */
#define CLOCK_TEXT_SIZE 24
void clock_text(char out[CLOCK_TEXT_SIZE], time_t t);

/* "YYYY-MM-DDTHH:MM:SSZ" (RFC 3339) for log files. */
void clock_log(char out[CLOCK_TEXT_SIZE], time_t t);

/* "Mmm dd HH:MM:SS", local time, as syslog wants it (RFC 3164 section 4.1.2). */
void clock_syslog(char out[CLOCK_TEXT_SIZE], time_t t);

/*
 * clock_parse_http(s, out): IMF-fixdate of RFC 9110 section 5.6.7, such as
 * "Sun, 06 Nov 1994 08:49:37 GMT". 0, or -1 with *out untouched.
 */
int clock_parse_http(const char *s, time_t *out);

/*
 * clock_parse_iso(s, out): RFC 3339's date-time with "Z" or an offset, such as
 * "2026-11-24T15:37:56Z"; fractions of a second are dropped. 0, or -1.
 */
int clock_parse_iso(const char *s, time_t *out);

/*
 * clock_from_civil(y, mo, d, h, mi, s): seconds since 1970 of a UTC date
 * (proleptic Gregorian); month and day count from 1. -1 when out of range.
 */
int64_t clock_from_civil(int y, int mo, int d, int h, int mi, int s);

/*
 * clock_civil(t, out): the way back; sets tm_year to tm_sec and tm_wday. (gmtime_r
 * would bring the C library's time zones along.)
 */
void clock_civil(int64_t t, struct tm *out);

#endif
