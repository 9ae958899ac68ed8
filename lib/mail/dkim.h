/*
 * DKIM (RFC 6376): what is hashed of a message, and our own signature.
 */
#ifndef SENDROUTE_DKIM_H
#define SENDROUTE_DKIM_H

#include <stdbool.h>
#include <stdint.h>

#include "bearssl-glue.h"
#include "lib/base/buf.h"
#include "lib/config/config.h"
#include "lib/mail/message.h"

/* A body on its way into its hash (sections 3.4.3, 3.4.4), in pieces. */
struct dkim_body {
	bool relaxed;
	uint64_t limit;		/* l=: bytes that count; UINT64_MAX: all */
	uint64_t size;		/* canonical bytes so far */
	uint64_t ends;		/* empty lines and a line's end held back */
	bool blank;		/* blanks held back */
	size_t n;
	char out[512];
	struct sha256 hash;
};

void dkim_body_init(struct dkim_body *b, bool relaxed, uint64_t limit);
void dkim_body_add(struct dkim_body *b, const char *p, size_t n);
void dkim_body_final(struct dkim_body *b, unsigned char out[SHA256_SIZE]);

/*
 * dkim_field(to, p, n, relaxed): add a field, with its last CRLF, as it is hashed
 * (sections 3.4.1, 3.4.2), with that CRLF too.
 */
void dkim_field(struct buf *to, const char *p, size_t n, bool relaxed);

/* dkim_name(p, n): how long the name of the field at p is, 0: it has none. */
size_t dkim_name(const char *p, size_t n);

/*
 * dkim_next(head, n, at): the length of the field at `at` with its folding; 0 at
 * the end.
 */
size_t dkim_next(const char *head, size_t n, size_t at);

/*
 * dkim_head(head, p, n, done): take what belongs to the header of the n bytes at
 * p; done: all of it is there, and the blank line is passed. Returns how many
 * were taken. What is too large, or memory, makes head->failed.
 */
size_t dkim_head(struct buf *head, const char *p, size_t n, bool *done);

/*
 * dkim_message(m, r, adapted, res): the message as route r sends it: m itself when
 * r signs nothing, else *adapted with a DKIM-Signature before the message. m may
 * be adapted already (mime_message); the caller closes it with mime_done(). NULL
 * when m is NULL, or with res filled (OUT_TEMP): nothing goes out unsigned.
 */
const struct message *dkim_message(const struct message *m,
    const struct route *r, struct message *adapted, struct result *res);

#endif
