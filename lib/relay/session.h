/*
 * A session with an SMTP relay (RFC 5321): connecting, EHLO, STARTTLS (RFC 3207)
 * and AUTH, and what the server offered. What is then sent is transaction.h's.
 */
#ifndef SENDROUTE_SESSION_H
#define SENDROUTE_SESSION_H

#include "lib/base/log.h"
#include "lib/config/config.h"
#include "lib/net/reply.h"
#include "lib/net/stream.h"

enum {
	/* RFC 5321 section 4.5.3.2, in seconds. */
	GREETING_SECONDS = 300, MAIL_SECONDS = 300, RCPT_SECONDS = 300,
	DATA_SECONDS = 120, BLOCK_SECONDS = 180, DOT_SECONDS = 600,
	QUIT_SECONDS = 5, REASON_SECONDS = 2, BYE_SECONDS = 30,

	COMMAND_MAX = 510,		/* without CRLF */

	/*
	 * RSETs behind messages that came to nothing, on one connection: Exim bears
	 * ten (smtp_accept_max_nonmail), Postfix as many errors before it slows
	 * down, twenty before it hangs up.
	 */
	RESETS_MAX = 8
};

/* What the last EHLO offered. */
struct offer {
	bool starttls, pipelining, chunking, eightbit, size, auth, dsn, utf8,
	    requiretls;
	uint64_t size_limit;		/* 0: none given */
	unsigned mechs;			/* see auth.h */
	char mech_names[120];
};

/* What session_open() has done, for --check: STEP_HELLO is the last EHLO. */
enum step { STEP_CONNECTED, STEP_TLS, STEP_HELLO };

struct session {
	const struct route *route;
	const struct config *config;
	struct log *log;
	bool connected, ready;		/* s is open; MAIL may follow */
	bool closing;			/* the peer says that it ends it */
	bool used;			/* kept from an earlier message */
	bool unfinished;		/* a transaction: RSET before MAIL */
	bool chunks_proven;		/* a BDAT was understood */
	bool no_chunks;			/* none ever will be; outlives s */
	bool down;			/* no use to try again: see res */
	int resets;			/* behind messages that came to nothing */
	int credit;			/* so many more may be risked at a time */
	int turn;			/* ms: the shortest wait for a reply */
	uint64_t written;		/* bytes, those in s.out included */
	struct tls_leaf *leaf;		/* see tls_params; or NULL */
	void (*reached)(struct session *c, enum step step);	/* or NULL */
	void *reached_ctx;
	struct stream s;
	struct offer offer;
	struct tls_session tls;		/* outlives s */
	struct result res;		/* why it is not ready */
};

/*
 * session_open(c): everything up to the first MAIL; an open stream (`connected`)
 * is used as it is. 0; or -1, closed, with c->res filled and c->down set.
 * session_close(c): QUIT, which is not waited for, unless the stream has failed.
 */
int session_open(struct session *c);
void session_close(struct session *c);

/*
 * session_step(c, seconds): the next step ends then at the latest. session_text(c,
 * data, n): buffered. session_send(c, text): a command; session_send_as: shown is
 * what the trace may tell of it. session_reply(c, r): the next reply. All 0, or
 * -1 with the reason kept in the stream.
 */
void session_step(struct session *c, int64_t seconds);
int session_text(struct session *c, const void *data, size_t n);
int session_send(struct session *c, const char *command);
int session_send_as(struct session *c, const char *command, const char *shown);
int session_reply(struct session *c, struct reply *r);

/*
 * session_command(c, text, r, doing): one command and its reply. 0, or -1 after
 * session_failed(). session_failed(c, doing): the stream's failure becomes the
 * session's. session_refused(c, cause, doing, r): a reply does. Both -1.
 */
int session_command(struct session *c, const char *text, struct reply *r,
    const char *doing);
int session_failed(struct session *c, const char *doing);
int session_refused(struct session *c, enum cause cause, const char *doing,
    const struct reply *r);

#endif
