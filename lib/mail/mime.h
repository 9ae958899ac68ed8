/*
 * The message as a peer can take it: long lines and 8-bit text
 * encoded, MIME header fields added. Nothing that it says is lost.
 */
#ifndef SENDROUTE_MIME_H
#define SENDROUTE_MIME_H

#include <stdbool.h>

#include "lib/base/result.h"
#include "lib/mail/message.h"
#include "lib/mail/spool.h"

struct mime_peer {
	bool eightbit;		/* takes 8-bit bodies: 8BITMIME, SES */
	bool utf8;		/* takes 8-bit header text: SMTPUTF8 */
};

/*
 * mime_adapt(in, peer, tmpdir, out, res): 0: `in` can go as it is, out is
 * untouched. 1: out is a new spool, made in tmpdir (see spool_open), that holds
 * the message for this peer; the caller closes it. -1 with exit 71, 73 or 74.
 *
 * in->has_8bit and in->has_long say whether a look is needed at all. Signed mail
 * always goes as it is. A body in one part is encoded, or a body that is encoded
 * already is broken into shorter lines; multipart and message types, and
 * encodings that are unknown, are folded where a line is too long, and their
 * 8-bit text is left even for a peer without 8BITMIME, because their parts are not
 * looked into.
 */
int mime_adapt(const struct spool *in, const struct mime_peer *peer,
    const char *tmpdir, struct spool *out, struct result *res);

/*
 * mime_message(m, peer, adapted, res): the message to send: m itself, or
 * *adapted, a copy of m whose spool the caller closes with mime_done(adapted),
 * in both cases. NULL with res filled (OUT_TEMP).
 */
const struct message *mime_message(const struct message *m,
    const struct mime_peer *peer, struct message *adapted,
    struct result *res);
void mime_done(struct message *adapted);

#endif
