/*
 * The body of a SendEmail request with raw content (Amazon SES API v2 Reference,
 * "SendEmail"): a beginning, the message in base64, and a suffix.
 */
#ifndef SENDROUTE_EMAIL_H
#define SENDROUTE_EMAIL_H

#include "lib/config/config.h"
#include "lib/mail/message.h"

/*
 * email_suffix(b, r, m, rcpts, n): what follows the base64, added to b: the n
 * recipients, the envelope's sender, what the route has to say. b->failed: no
 * memory.
 */
void email_suffix(struct buf *b, const struct route *r,
    const struct message *m, struct rcpt *const *rcpts, size_t n);

/*
 * email_write(spool, suffix, sink, ctx): the one generator of the body, so that
 * what is measured and what is sent cannot differ. 0; what sink returned if not
 * 0; or -2 when the spool cannot be read, or there is no memory.
 */
int email_write(const struct spool *spool, const char *suffix,
    int (*sink)(void *ctx, const void *data, size_t n), void *ctx);

#endif
