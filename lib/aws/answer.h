/*
 * What SES answers, read and judged (AWS: "Common errors"; restJson1 protocol:
 * "Operation error serialization").
 */
#ifndef SENDROUTE_ANSWER_H
#define SENDROUTE_ANSWER_H

#include "lib/aws/verdict.h"
#include "lib/net/http.h"

/*
 * answer_error(r, message, res): a reply that is no 2xx, to a request that held a
 * message or to a question. The error's code is in a field or the body, which
 * may be anything; see verdict().
 */
enum remedy answer_error(const struct http_reply *r, bool message,
    struct result *res);

/*
 * answer_success(r, peer, res): a 2xx to a message: taken if it has a MessageId
 * and the request was sent whole, else ambiguous.
 */
void answer_success(const struct http_reply *r, const char *peer,
    struct result *res);

/* answer_library(): name and version of the JSON library, for --version. */
const char *answer_library(void);

#endif
