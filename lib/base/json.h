/*
 * JSON being written (RFC 8259): pieces added to a buffer, the braces and
 * brackets by the caller.
 */
#ifndef SENDROUTE_JSON_H
#define SENDROUTE_JSON_H

#include "lib/base/buf.h"

/*
 * json_key(b, key): what the next value needs in front: a comma, unless an
 * object or a list has just begun, and the key, unless it is NULL (in a list).
 */
void json_key(struct buf *b, const char *key);

/* json_text(b, key, s): a string; s is UTF-8. json_number(b, key, n): a number. */
void json_text(struct buf *b, const char *key, const char *s);
void json_number(struct buf *b, const char *key, int64_t n);

#endif
