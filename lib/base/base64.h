/*
 * Base64 (RFC 4648 section 4) and hexadecimal. The encoder carries whole
 * messages to SES and the decoder scans CA bundles, so both are made for speed.
 */
#ifndef SENDROUTE_BASE64_H
#define SENDROUTE_BASE64_H

#include <stddef.h>
#include <sys/types.h>

/* Characters that n bytes become, padding included, without a NUL. */
#define BASE64_SIZE(n) (((n) + 2) / 3 * 4)

/*
 * base64_encode(out, in, n): writes BASE64_SIZE(n) characters and no NUL.
 * Returns their number. With n a multiple of 3 there is no padding, so that
 * blocks can follow one another.
 */
size_t base64_encode(char *out, const void *in, size_t n);

/*
 * base64_decode(out, size, in, n): white space is skipped, the end may be
 * padded or not. Returns the number of bytes, or -1 when a character is
 * foreign, bits are left over or out is too small.
 */
ssize_t base64_decode(void *out, size_t size, const char *in, size_t n);

/*
 * base64_prefix(out, size, in, n): the bytes that the text begins with, until
 * out is full, the text ends or a foreign character comes. Returns their number.
 */
size_t base64_prefix(void *out, size_t size, const char *in, size_t n);

/* hex_encode(out, in, n): 2n lower-case digits and a NUL. */
void hex_encode(char *out, const void *in, size_t n);

/* hex_decode(out, n, s): s is exactly 2n digits of any case; 0, or -1. */
int hex_decode(void *out, size_t n, const char *s);

#endif
