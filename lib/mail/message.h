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
enum rcpt_state {
	RCPT_WAITING,		/* to be sent, or to be sent again */
	RCPT_TAKEN,
	RCPT_REFUSED,		/* for good; the sender does not know yet */
	RCPT_CLOSED		/* refused and done with */
};

struct rcpt {
	char *addr;		/* canonical, see address.h; may be UTF-8 */
	char *dsn_notify, *dsn_orcpt;
	const char *route;	/* name of the last route tried, or NULL */
	enum rcpt_state state;	/* only who is waiting is sent to */
	off_t mark;		/* of its state byte in a queue file */
	struct result res;	/* filled by the transport; zero: not tried */
};

struct envelope {
	char *from;		/* canonical; "" is the null sender */
	struct rcpt *rcpts;
	size_t nrcpts;
	char *dsn_ret, *dsn_envid;
	bool utf8;		/* SMTPUTF8 was asked for (RFC 6531) */
	bool requiretls;	/* REQUIRETLS was (RFC 8689) */
};

struct message {
	char id[24];		/* for the log, and its name in the queue */
	time_t born;
	struct envelope env;
	struct addr_list identities;	/* mailboxes of From, then Sender */
	bool pristine;		/* qmail's: goes out as it is */
	bool left;		/* see deliver_all */
	const char *tmpdir;	/* for what has to be encoded; or NULL */
	/*
	 * Called by a transport as soon as the peer's answer for these recipients
	 * is in rcpts[i]->res: a queue keeps it. Without recipients: before the
	 * transport next waits for the peer, what was kept must be on the disk.
	 * Or NULL.
	 */
	void (*settled)(void *ctx, struct rcpt *const *rcpts, size_t n);
	void *settled_ctx;
	struct spool spool;
};

/* A message for some of its recipients, as a transport takes it. */
struct parcel {
	const struct message *m;
	struct rcpt *const *rcpts;
	size_t n;
};

/*
 * message_id_make(id): a fresh id of MESSAGE_ID_LENGTH digits [0-9a-v]: seconds,
 * microseconds, random. Ids sort by age.
 */
enum { MESSAGE_ID_LENGTH = 20 };
void message_id_make(char id[24]);

/* message_id_valid(id): could message_id_make have made it? */
bool message_id_valid(const char *id);

/*
 * message_take_rcpts(m, list): the recipients become the envelope's; duplicates
 * are dropped and list is emptied. 0, or -1 (no memory).
 */
int message_take_rcpts(struct message *m, struct addr_list *list);

/*
 * message_needs_tls(res): what becomes of a message with REQUIRETLS whose next
 * host, `who`, does not offer it.
 */
void message_needs_tls(struct result *res, const char *who);

/*
 * message_settled(m, rcpts, n): tell m->settled, when there is one. rcpts NULL, n
 * 0: of the wait.
 */
void message_settled(const struct message *m, struct rcpt *const *rcpts,
    size_t n);

void message_free(struct message *m);

#endif
