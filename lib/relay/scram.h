/*
 * The client's side of SCRAM-SHA-256 (RFC 5802, RFC 7677), without channel
 * binding.
 */
#ifndef SENDROUTE_SCRAM_H
#define SENDROUTE_SCRAM_H

#include "bearssl-glue.h"
#include "lib/base/buf.h"

enum {
	/*
	 * RFC 7677 asks for 4096 at least; passwords in servers' files are hashed
	 * with up to some 600000. More is a way to keep us busy.
	 */
	SCRAM_ITERATIONS = 1000000,
	SCRAM_NONCE = 24		/* characters */
};

struct scram {
	char nonce[SCRAM_NONCE + 1];	/* of ours; printable, without a comma */
	struct buf exchange;		/* what both sides sign */
	unsigned char expected[SHA256_SIZE];	/* the server's signature */
};

/* scram_init(s): 0; or -1, no random bytes. scram_free(s): all of it wiped. */
int scram_init(struct scram *s);
void scram_free(struct scram *s);

/*
 * scram_name(out, user): as a saslname: "=" and "," as "=3D" and "=2C".
 *
 * Neither name nor password is prepared (SASLprep, RFC 4013): to printable ASCII
 * that does nothing, and most other text is stored as it is typed.
 */
void scram_name(struct buf *out, const char *user);

/* scram_first(s, user, out): the client's first message. */
void scram_first(struct scram *s, const char *user, struct buf *out);

/*
 * scram_final(s, first, password, out): the client's second message, in answer
 * to the server's first. NULL, or what is wrong with that.
 */
const char *scram_final(struct scram *s, const char *first,
    const char *password, struct buf *out);

/*
 * scram_verify(s, last): does the server's last message prove that it knows the
 * password? NULL, or what is wrong.
 */
const char *scram_verify(const struct scram *s, const char *last);

#endif
