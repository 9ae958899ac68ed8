/*
 * qmail-remote: one message from qmail's queue for recipients at one host (the
 * contract: sendroute-qmail-remote(8)).
 */
#ifndef SENDROUTE_QMAIL_H
#define SENDROUTE_QMAIL_H

#include "lib/front/deliver.h"

enum { QMAIL_UNTOLD = 111 };	/* qmail tries again after this status */

struct qmail {
	/* Called first: makes the delivery ready. 0, or -1 with the reason. */
	int (*open)(void *ctx, struct result *res);
	/* Or, when a route's program is to do it: that route. */
	const struct route *(*find)(void *ctx, const char *route,
	    struct result *res);
	void *ctx;
	struct delivery *delivery;
	struct message *message;	/* empty */
	const char *tmpdir;		/* or NULL */
	struct spool copy;		/* of a message that is no file */
};

/*
 * qmail_remote(q, argc, argv): argv is NAME host sender recipient..., the message
 * is read from standard input. All is done in a child process, which has ten times
 * `timeout`, 20 minutes at most; whatever happens to it, complete reports are
 * written to standard output and nothing else anywhere. Returns the exit status:
 * 0, or QMAIL_UNTOLD when they could not be written.
 */
int qmail_remote(struct qmail *q, int argc, char **argv);

#endif
