/*
 * When a request that SES could not serve now is made again ("Error retries and
 * exponential backoff in AWS"; RFC 9110 section 10.2.3).
 */
#ifndef SENDROUTE_BACKOFF_H
#define SENDROUTE_BACKOFF_H

#include "lib/net/http.h"

enum {
	BACKOFF_TRIES = 3,
	BACKOFF_MOST = 4 * 3600		/* seconds that anyone may ask for */
};

/*
 * backoff_asked(r, now): milliseconds that the reply asks us to wait for:
 * x-amz-retry-after (milliseconds) or Retry-After (seconds, or a date, counted
 * from the reply's own Date, else from now), the longer. 0: none.
 */
int64_t backoff_asked(const struct http_reply *r, int64_t now);

/*
 * backoff_wait(tries, asked, left, random): milliseconds to wait after so many
 * tries: a random part of 1 s, then of 2 s, but what was asked for at least.
 * -1: no more of them: they are used up, or it is longer than `left`.
 */
int64_t backoff_wait(unsigned tries, int64_t asked, int64_t left,
    uint32_t random);

#endif
