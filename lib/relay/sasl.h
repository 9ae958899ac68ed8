/*
 * What a client says in the dialogues of SASL (RFC 4422): EXTERNAL, SCRAM-SHA-256
 * (RFC 7677), OAUTHBEARER (RFC 7628), XOAUTH2 (Google's), PLAIN (RFC 4616), LOGIN
 * (draft-murchison-sasl-login) and CRAM-MD5 (RFC 2195). How it is carried is for
 * the protocol to say.
 */
#ifndef SENDROUTE_SASL_H
#define SENDROUTE_SASL_H

#include "lib/relay/scram.h"

/* Each a bit; of those that `auth auto` may choose from, the best first. */
enum {
	SASL_EXTERNAL = 1, SASL_SCRAM_SHA_256 = 2, SASL_OAUTHBEARER = 4,
	SASL_XOAUTH2 = 8, SASL_PLAIN = 16, SASL_LOGIN = 32, SASL_CRAM_MD5 = 64
};

struct sasl {
	unsigned mech;
	const char *user, *secret;	/* secret: the token for the OAuth two */
	const char *host;
	unsigned port;
	unsigned step;			/* of the client's messages, from 0 */
	bool proven;			/* nothing more is needed from the server */
	struct scram scram;
};

/* sasl_known(name, n): its bit, or 0. sasl_name(mech): as it stands on the wire. */
unsigned sasl_known(const char *name, size_t n);
const char *sasl_name(unsigned mech);

/*
 * sasl_init(x): with the fields up to `port` filled. 0; or -1, no random bytes.
 * sasl_free(x): wiped; user and secret stay the caller's.
 */
int sasl_init(struct sasl *x);
void sasl_free(struct sasl *x);

/* sasl_begins(x): is the first word the client's? */
bool sasl_begins(const struct sasl *x);

/*
 * sasl_next(x, in, n, out): the client's next message, in answer to n bytes with
 * a NUL behind them; for the first one of a client that begins they are not
 * looked at. out, to be wiped, may fail for lack of memory. NULL, or what is
 * wrong with the challenge: the dialogue is then to be cancelled.
 */
const char *sasl_next(struct sasl *x, const char *in, size_t n,
    struct buf *out);

#endif
