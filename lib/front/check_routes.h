/*
 * --check: each route as far as it goes without sending.
 */
#ifndef SENDROUTE_CHECK_ROUTES_H
#define SENDROUTE_CHECK_ROUTES_H

#include "lib/aws/credentials.h"
#include "lib/config/config.h"

/*
 * What was found so far: the worst exit status. check_say(k, subject, step, res): a
 * line on standard output; res NULL: ok. check_note: with a text; ok false: a
 * warning.
 */
struct check {
	const struct config *config;
	env_lookup env;
	struct log *log;
	int status;
	bool asked;			/* an SES account already */
};

void check_say(struct check *k, const char *subject, const char *step,
    const struct result *failure);
void check_note(const char *subject, const char *step, bool ok,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* check_all_routes(k): secrets, sender lists and routes. */
void check_all_routes(struct check *k);

#endif
