/*
 * A message on its way: the spool, the envelope, and what the header said.
 */
#ifndef SENDROUTE_MESSAGE_H
#define SENDROUTE_MESSAGE_H

#include <sys/types.h>
#include <time.h>

#include "lib/base/result.h"
#include "lib/mail/address.h"
#include "lib/mail/spool.h"

/*
 * DSN parameters (RFC 3461) are heap strings as they stand on the wire, or NULL:
 * "SUCCESS,FAILURE", "rfc822;xtext", "FULL", xtext.
 */
struct rcpt {
	char *addr;		/* canonical, see address.h; may be UTF-8 */
	char *dsn_notify, *dsn_orcpt;
	struct result res;	/* filled by the transport; zero: not tried */
	const char *route;	/* name of the last route tried, or NULL */
	off_t mark;		/* of its state byte in a queue file */
};

struct envelope {
	char *from;		/* canonical; "" is the null sender */
	struct rcpt *rcpts;
	size_t nrcpts;
	char *dsn_ret, *dsn_envid;
	bool utf8;		/* SMTPUTF8 was asked for (RFC 6531) */
};

struct message {
	char id[24];		/* for the log */
	time_t born;
	struct spool spool;
	struct envelope env;
	struct addr_list identities;	/* mailboxes of From, then Sender */
	bool pristine;		/* qmail's: goes out as it is */
	const char *tmpdir;	/* for what has to be encoded; or NULL */
};

/* message_id_make(id, t): a fresh id: time and random, [0-9a-z]. */
void message_id_make(char id[24], time_t t);

/*
 * message_take_rcpts(m, list): the recipients become the envelope's; duplicates
 * are dropped and list is emptied. 0, or -1 (no memory).
 */
int message_take_rcpts(struct message *m, struct addr_list *list);

void message_free(struct message *m);

#endif
