/*
 * One message for some recipients on its way through a session: its commands
 *
 *	[RSET] MAIL RCPT... BDAT		RFC 3030, messages up to CHUNK_MAX
 *	[RSET] MAIL RCPT... DATA text		any
 *
 * and what the replies to them mean. By LMTP (RFC 2033) the last of these has a
 * reply for each recipient that was accepted; it counts when all of them are here. When which of them is sent is for the caller
 * to say (smtp.c).
 */
#ifndef SENDROUTE_TRANSACTION_H
#define SENDROUTE_TRANSACTION_H

#include "lib/mail/message.h"
#include "lib/relay/session.h"

enum { CHUNK_MAX = 65536 };	/* also the block that a text is read in */

struct transaction {
	struct transaction *next;	/* for the caller's lists */
	const struct message *m;	/* as the caller knows it */
	const struct message *wire;	/* as this peer takes it */
	struct rcpt **rcpts;		/* n, with empty results */
	size_t n;
	bool *accepted, *again;		/* per recipient; again: too many */
	bool *told;			/* settled already, by LMTP's own reply */
	size_t naccepted, ntold;
	size_t first;			/* command: 0, or 1 when RSET is left out */
	size_t sent, got;		/* commands and replies, from 0 */
	bool chunk;			/* BDAT instead of DATA */
	bool launched;			/* what is sent now is all of it */
	bool mail_refused, go;		/* go: 354 came */
	bool judged;			/* res is the peer's own word */
	bool put_off;			/* good-bye came before it began */
	bool unchunked;			/* BDAT is not known after all */
	uint64_t end;			/* of the message: see session.written */
	struct message adapted;		/* what wire points to, perhaps */
	struct result res;		/* for whom nothing more exact is known */
};

/*
 * transaction_new(m, rcpts, n): their results are emptied. NULL: no memory.
 * transaction_free(t): NULL is fine.
 */
struct transaction *transaction_new(const struct message *m,
    struct rcpt *const *rcpts, size_t n);
void transaction_free(struct transaction *t);

/*
 * transaction_prepare(t, c, block): the message as c's peer takes it, and whom it
 * can be sent to; the others have their result and are settled. A message that
 * goes as a chunk is now in block, of CHUNK_MAX bytes. false: nobody is left.
 */
bool transaction_prepare(struct transaction *t, struct session *c, char *block);

/* transaction_commands(t): how many there are, RSET counted, text not. */
size_t transaction_commands(const struct transaction *t);

/* transaction_pointless(t, c): the replies so far say to stop before the next. */
bool transaction_pointless(const struct transaction *t,
    const struct session *c);

/*
 * transaction_send(t, c, block): the next command; block as filled above. The
 * command behind the last is the text, up to and with its final dot: block is
 * used to read it, and what cannot be read is t's result. 0, or -1 when the
 * stream has failed, by our own hand in the last case.
 */
int transaction_send(struct transaction *t, struct session *c, char *block);

/*
 * transaction_expects(t, c, r): can r be the next reply at all? 354 is for DATA
 * alone and nothing else of its class for anything; a 2xx never is for DATA, nor
 * for a text that has not left as a whole. When one comes the two sides do not
 * speak of the same command any more, and the next message could become part of
 * this one.
 */
bool transaction_expects(const struct transaction *t, const struct session *c,
    const struct reply *r);

/*
 * transaction_reply(t, c, r): the next reply, to the oldest command without one.
 * t->got grows unless that command has more of them.
 */
void transaction_reply(struct transaction *t, struct session *c,
    const struct reply *r);

/* transaction_wait(t, c): the time-out for that reply begins. */
void transaction_wait(const struct transaction *t, struct session *c);

/*
 * transaction_whole(t, c): did all of the message leave, so that the peer may
 * have taken it?
 */
bool transaction_whole(const struct transaction *t, const struct session *c);

/*
 * transaction_settle(t, c, res): give res to those without a result of their own
 * and tell m->settled of everyone who has one. t is left ready to be prepared
 * again for the others: whose address was one too many, and, when res is NULL,
 * all without a result. Returns how many they are.
 */
size_t transaction_settle(struct transaction *t, const struct session *c,
    const struct result *res);

#endif
