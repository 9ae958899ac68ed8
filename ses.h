/*
 * Delivery through the Amazon SES API v2 (AWS: "SendEmail", raw content), signed
 * with Signature Version 4 over our own HTTP/1.1 client.
 */
#ifndef SENDROUTE_SES_H
#define SENDROUTE_SES_H

#include "lib/aws/credentials.h"
#include "lib/base/log.h"
#include "lib/config/config.h"
#include "lib/mail/message.h"
#include "lib/net/http.h"
#include "lib/net/stream.h"

enum {
	SES_RCPTS_MAX = 50,			/* To+Cc+Bcc of one call */
	SES_MESSAGE_MAX = 29 * 1024 * 1024 + 65536	/* bytes: 40 MB after base64,
						 * with room for the rest */
};

/* A connection to the endpoint of one route, good for one call after another. */
struct ses;

/*
 * ses_open(r, c, env, log): nothing is connected yet; all must outlive it. env
 * looks up the environment, NULL with set-id privilege. NULL: no memory.
 * ses_close(s): NULL is fine.
 */
struct ses *ses_open(const struct route *r, const struct config *c,
    env_lookup env, struct log *log);
void ses_close(struct ses *s);

/*
 * ses_hurry(s): there is another way, a fallback or a queue: a message that SES
 * puts off is tried again for 3 s, not for 20.
 */
void ses_hurry(struct ses *s);

/* ses_adopt(s, stream): as smtp_adopt; for the tests. */
void ses_adopt(struct ses *s, struct stream *stream);

/*
 * ses_deliver(s, m, rcpts, n): hand m to SES for the n recipients, 50 a call; a
 * BadRequest is bisected. Fills every rcpts[i]->res, and calls message_settled()
 * for those of each call.
 */
void ses_deliver(struct ses *s, const struct message *m,
    struct rcpt *const *rcpts, size_t n);

/*
 * ses_down(s): why the last attempt failed for whatever message: no connection, no
 * credentials, sending paused, the day's quota used up. NULL: it did not.
 */
const struct result *ses_down(const struct ses *s);

/* ses_via(s): the proxy that the last connection took, or "". */
const char *ses_via(const struct ses *s);

/*
 * ses_credentials(s, host, res): those that requests will be signed with, and the
 * endpoint's Host; both belong to s. NULL: res is filled.
 */
const struct credentials *ses_credentials(struct ses *s, const char **host,
    struct result *res);

/*
 * ses_call(s, method, target, body, reply, res): ask SES for something else; body:
 * JSON, or NULL. One call a second. 0 with a 2xx reply that the caller frees; or -1
 * with res, res->code being the status if there is one.
 */
int ses_call(struct ses *s, const char *method, const char *target,
    const char *body, struct http_reply *reply, struct result *res);

#endif
