#include "lib/aws/backoff.h"

#include <string.h>

#include "lib/base/clock.h"

static int64_t
in_range(int64_t ms)
{
	const int64_t most = (int64_t)BACKOFF_MOST * 1000;

	return ms < 0 ? 0 : ms < most ? ms : most;
}

/* A number that is too large to be read counts as what is most. */
static int64_t
number_of(const char *text, int64_t unit)
{
	uint64_t n;

	if (text == NULL || *text < '0' || *text > '9')
		return 0;
	if (number_parse(text, 0, BACKOFF_MOST * 1000, &n) < 0)
		n = text[strspn(text, "0123456789")] ? 0 : BACKOFF_MOST * 1000;
	return in_range((int64_t)n * unit);
}

int64_t
backoff_asked(const struct http_reply *r, int64_t now)
{
	const char *after = http_reply_field(r, "Retry-After");
	const char *date = http_reply_field(r, "Date");
	int64_t amz = number_of(http_reply_field(r, "x-amz-retry-after"), 1);
	int64_t asked = number_of(after, 1000);
	time_t then, theirs;

	if (after && clock_parse_http(after, &then) == 0) {
		if (date && clock_parse_http(date, &theirs) == 0)
			now = (int64_t)theirs;
		asked = in_range(((int64_t)then - now) * 1000);
	}
	return asked > amz ? asked : amz;
}

int64_t
backoff_wait(unsigned tries, int64_t asked, int64_t left, uint32_t random)
{
	int64_t ms = random % (1000u << (tries - 1));

	if (ms < asked)
		ms = asked;
	return tries < BACKOFF_TRIES && ms <= left ? ms : -1;
}
