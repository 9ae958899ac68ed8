/*
 * Decoders that know nothing of the encoders: written from the RFCs for the
 * tests alone, strict about what a peer may rely on.
 */
#ifndef SENDROUTE_TEST_DECODE_H
#define SENDROUTE_TEST_DECODE_H

#include "lib/base/buf.h"

/*
 * decode_qp, decode_base64: the body in `text`, of CRLF lines of 76 characters at
 * most and 7 bits, decoded into out. They assert what RFC 2045 demands.
 */
void decode_qp(const char *text, size_t n, struct buf *out);
void decode_base64(const char *text, size_t n, struct buf *out);

/*
 * decode_words(value, n, out): unfold the value of a header field and decode its
 * encoded words; they must have 75 characters at most, stand alone and hold whole
 * characters.
 */
void decode_words(const char *value, size_t n, struct buf *out);

/* longest_line(text, n): in bytes, without its CRLF. */
size_t longest_line(const char *text, size_t n);

#endif
