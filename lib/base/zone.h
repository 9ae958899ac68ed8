/*
 * The local time zone. Our own reader, because the C library's costs 5 KiB in a
 * static program and we need nothing but the offset.
 */
#ifndef SENDROUTE_ZONE_H
#define SENDROUTE_ZONE_H

#include <stddef.h>
#include <stdint.h>

/*
 * zone_offset(t): seconds that local time is ahead of UTC at t (negative in the
 * west), by the environment's TZ: a rule such as "CET-1CEST,M3.5.0,M10.5.0/3", a
 * name below /usr/share/zoneinfo or a path, each perhaps behind a colon; without
 * TZ by /etc/localtime. What is missing or malformed is UTC. Where privilege was
 * gained by set-id, TZ may not name a path.
 */
int64_t zone_offset(int64_t t);

/*
 * zone_rule_offset(rule, t, out): the same by a POSIX TZ rule (POSIX.1-2017 section
 * 8.3, with the hours of -167 to 167 that RFC 8536 section 3.3.1 adds). 0, or -1
 * when it is none.
 */
int zone_rule_offset(const char *rule, int64_t t, int64_t *out);

/*
 * zone_file_offset(file, size, t, out): the same by the contents of a TZif file
 * (RFC 8536), any version. 0, or -1 when it is none.
 */
int zone_file_offset(const unsigned char *file, size_t size, int64_t t,
    int64_t *out);

#endif
