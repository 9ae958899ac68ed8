/*
 * What became of a delivery, a recipient or a step.
 *
 * OUT_TEMP is zero: a recipient that no code path touched is tried again,
 * never lost and never bounced.
 */
#ifndef SENDROUTE_RESULT_H
#define SENDROUTE_RESULT_H

#include <stdbool.h>
#include <stddef.h>

/* sysexits(3), as callers get them: EXIT STATUS of sendroute(8). */
enum {
	EXIT_OK = 0,
	EXIT_USAGE = 64,
	EXIT_DATA = 65,
	EXIT_REFUSED = 69,
	EXIT_SOFTWARE = 70,
	EXIT_OS = 71,
	EXIT_CANTCREATE = 73,
	EXIT_IO = 74,
	EXIT_TEMP = 75,
	EXIT_NOPERM = 77,
	EXIT_CONFIGURATION = 78
};

enum outcome { OUT_TEMP, OUT_DONE, OUT_PERM };

/* Whose doing it is: decides over fail-over and, in a queue, over bounces. */
enum cause {
	CAUSE_ROUTE,		/* the way itself: network, relay, its limits */
	CAUSE_RCPT,		/* this recipient */
	CAUSE_CONTENT,		/* the message: its text or its size */
	CAUSE_OPERATOR,		/* set-up: credentials, verification, certificate */
	CAUSE_LOCAL		/* this machine: memory, disk, descriptors */
};

/* It is long: in a structure it stands last, so that the rest is near. */
struct result {
	enum outcome outcome;
	enum cause cause;
	bool certainly_not_taken;	/* false after an ambiguous end */
	int code;			/* SMTP reply or HTTP status; 0: none */
	int exit;			/* sysexits status; 0: follows from outcome */
	int after;			/* seconds that the peer asks us to wait */
	char enhanced[12];		/* RFC 3463 status such as "5.1.1", or "" */
	char text[480];			/* one line for a person */
};

/*
 * result_set(r, outcome, cause, fmt, ...): fill r. code, enhanced and exit are
 * cleared; certainly_not_taken becomes true unless outcome is OUT_DONE. The
 * text is clipped to its field and control bytes in it become '?'.
 */
void result_set(struct result *r, enum outcome outcome, enum cause cause,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/*
 * result_ambiguous(r, fmt, ...): as result_set with OUT_TEMP, but the peer may
 * have taken the message: never tried elsewhere.
 */
void result_ambiguous(struct result *r, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * result_fail(r, exit, fmt, ...): a failure on our side of the wire that ends
 * the program with the sysexits status `exit`. Returns -1.
 */
int result_fail(struct result *r, int exit, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * result_set_enhanced(r, text): keep the RFC 3463 status that text starts
 * with; anything else clears it.
 */
void result_set_enhanced(struct result *r, const char *text);

/* result_exit(r): the sysexits status of this one result. */
int result_exit(const struct result *r);

/*
 * result_may_fail_over(r): may another route be tried for this recipient
 * (sendroute.conf(5))? Never when it was taken or may have been, nor when the
 * recipient or the content was refused for good.
 */
bool result_may_fail_over(const struct result *r);

/* result_status(r): "sent", "deferred" or "failed", as the log words it. */
const char *result_status(const struct result *r);

#endif
