/*
 * The report about mail that was not delivered, or not yet: RFC 3464, and RFC
 * 6533 where an address is not ASCII. What we say in it is ASCII, such
 * recipients as \x{E9}, unless the address that is told is not ASCII: only then
 * is it sure to go where SMTPUTF8 is offered.
 */
#ifndef SENDROUTE_BOUNCE_H
#define SENDROUTE_BOUNCE_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "lib/base/result.h"
#include "lib/mail/message.h"

struct bounce {
	const struct message *m;	/* the original: env, spool, born, id */
	struct rcpt *const *rcpts;	/* who did not get it; res says why */
	size_t n;
	bool delayed;			/* a delay notice, not a failure */
	const char *to;			/* whom to tell: canonical address */
	const char *hostname;		/* ours */
	time_t now;
	time_t until;			/* delayed: when it will be given up */
};

/*
 * bounce_write(b, out, res): append the whole report, header and all, to the
 * open spool `out` and set its has_... flags; the caller finishes it. The
 * original is returned whole when RET asks for it, or when RET is not given and
 * it is small; else, and with every delay notice, its header alone. No
 * recipient but those in b->rcpts is named, except by the original itself.
 *
 * A recipient whose last reply was a 4xx, or who has none and is not OUT_PERM,
 * is reported as one for whom the time has run out, unless `delayed`.
 *
 * 0; or -1: 74 when the original cannot be read to its end or out cannot be
 * written, 71 without random numbers. What out then holds is of no use.
 */
int bounce_write(const struct bounce *b, struct spool *out,
    struct result *res);

/*
 * bounce_wanted(r, delayed): does the recipient's NOTIFY ask for this report
 * (RFC 3461 section 4.1)? Without NOTIFY it does.
 */
bool bounce_wanted(const struct rcpt *r, bool delayed);

#endif
