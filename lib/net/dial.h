/*
 * Connecting: every address that the resolver gives, IPv6 and IPv4, each with
 * its own time-out (RFC 5321 section 5.1). The two families take turns, and one
 * that is slow to connect does not keep the next from trying (RFC 8305).
 */
#ifndef SENDROUTE_DIAL_H
#define SENDROUTE_DIAL_H

#include "lib/base/log.h"
#include "lib/net/stream.h"

/*
 * dial(s, host, port, source, seconds, log, res): opens s over a connection to
 * host, a name, an address, "[IPv6]" or "unix:/path" (port unused), from the
 * address source unless that is NULL. Each address of host gets `seconds`, 30 at
 * most. s->peer is set. Returns 0; or -1 with res
 * filled (OUT_TEMP, certainly not taken; a name that does not exist too).
 */
int dial(struct stream *s, const char *host, unsigned port, const char *source,
    int64_t seconds, struct log *log, struct result *res);

/* dial_is_loopback(host): localhost, 127.0.0.0/8, ::1 or a Unix socket. */
bool dial_is_loopback(const char *host);

/* dial_is_address(host): an IPv4 or IPv6 literal, brackets allowed. */
bool dial_is_address(const char *host);

#endif
