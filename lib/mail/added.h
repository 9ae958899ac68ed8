/*
 * The header fields that we add when the caller gave none. Each appends a whole
 * field with its CRLF.
 */
#ifndef SENDROUTE_ADDED_H
#define SENDROUTE_ADDED_H

#include <time.h>

#include "lib/base/buf.h"

void added_date(struct buf *out, time_t now);

/* "<time.random@hostname>", unique by 64 random bits. */
void added_message_id(struct buf *out, time_t now, const char *hostname);

/*
 * From with an optional display name: quoted where RFC 5322 wants it, an
 * encoded word (RFC 2047) when it is not ASCII, control bytes as blanks.
 */
void added_from(struct buf *out, const char *addr, const char *full_name);

#endif
