/*
 * Delivery through an SMTP or LMTP relay (RFC 5321, RFC 2033; STARTTLS RFC 3207,
 * AUTH RFC 4954, PIPELINING RFC 2920, CHUNKING RFC 3030, SIZE RFC 1870, 8BITMIME
 * RFC 6152, enhanced status codes RFC 2034).
 */
#ifndef SENDROUTE_SMTP_H
#define SENDROUTE_SMTP_H

#include "lib/base/log.h"
#include "lib/config/config.h"
#include "lib/mail/message.h"
#include "lib/net/stream.h"

/* A connection to the relay of one route, good for one message after another. */
struct smtp;

/*
 * smtp_open(r, c, log): nothing is connected yet. r, c and log must outlive it.
 * NULL: no memory. smtp_close(c): QUIT without waiting; NULL is fine.
 */
struct smtp *smtp_open(const struct route *r, const struct config *c,
    struct log *log);
void smtp_close(struct smtp *c);

/*
 * smtp_adopt(c, s): use an open stream, on which the greeting is still to come,
 * instead of connecting; s is moved. For the tests.
 */
void smtp_adopt(struct smtp *c, struct stream *s);

/*
 * smtp_deliver(c, parcels, n): hand the messages to the relay one after another
 * over the one connection, which is kept open afterwards; connects when that is
 * needed. Fills every parcels[i].rcpts[k]->res: there is no other report. Calls
 * message_settled() once for each recipient, as soon as the result is known and
 * before the next step that waits for the peer.
 */
void smtp_deliver(struct smtp *c, const struct parcel *parcels, size_t n);

/*
 * smtp_down(c): why the last attempt brought no session (connection, greeting,
 * EHLO, TLS, AUTH), or none that answered anything before it ended; or NULL.
 */
const struct result *smtp_down(const struct smtp *c);

#endif
