/*
 * Text that goes where only 7 bits, or short lines, may: quoted-printable and
 * base64 bodies (RFC 2045 section 6), encoded words (RFC 2047) and parameters
 * (RFC 2231) in header fields. All of it goes through a small buffer into a
 * spool.
 */
#ifndef SENDROUTE_ENCODE_H
#define SENDROUTE_ENCODE_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/result.h"
#include "lib/mail/spool.h"

enum {
	ENCODE_BUFFER = 4096,
	ENCODE_LINE = 76,		/* most characters of an encoded line */
	ENCODE_BASE64 = 57		/* bytes that such a line holds */
};

/* Set `to` and `res`, the rest zero. */
struct encoder {
	struct spool *to;
	struct result *res;
	bool failed;		/* res says why; all that follows is ignored */
	bool has_8bit;		/* a byte above 127 was written */
	size_t column;		/* bytes since the last line end */
	unsigned unit;		/* quoted-printable: bytes due of a =XX */
	size_t len;
	char buf[ENCODE_BUFFER];
};

/* encode_raw(e, data, n): the bytes as they are. encode_flush(e): to the spool. */
void encode_raw(struct encoder *e, const void *data, size_t n);
void encode_string(struct encoder *e, const char *s);
void encode_flush(struct encoder *e);

/*
 * encode_fold(e, data, n, most, end): lines are broken with the string `end`
 * before they exceed `most` bytes, never inside a UTF-8 sequence.
 */
void encode_fold(struct encoder *e, const char *data, size_t n, size_t most,
    const char *end);

/*
 * encode_qp(e, data, n, again): quoted-printable; CRLF stays a line end, and no
 * line begins with '.' or "From ". again: the text is quoted-printable already
 * and only made to obey the rules; what it decodes to does not change.
 */
void encode_qp(struct encoder *e, const char *data, size_t n, bool again);

/* encode_base64(e, data, n): n is a multiple of ENCODE_BASE64 but for the end. */
void encode_base64(struct encoder *e, const char *data, size_t n);

/* encode_escapes(c): does quoted-printable write the byte as =XX? */
bool encode_escapes(unsigned char c);

/* What the value of a header field consists of. */
enum encode_syntax {
	ENCODE_TEXT,		/* words between blanks */
	ENCODE_ADDRESSES,	/* phrases and comments; <...> and a@b stay */
	ENCODE_PARAMETERS	/* ; name=value */
};

/*
 * encode_field(e, field, colon, n, syntax): a header field of n bytes, CRLF
 * included, whose value begins at `colon`. Words that are 8-bit become encoded
 * words, parameters that are become name*=utf-8''%..; charset utf-8, or
 * unknown-8bit for what is none (such parameters stay). The rest is kept byte
 * for byte, but for new folds. The field is spoilt.
 */
void encode_field(struct encoder *e, char *field, size_t colon, size_t n,
    enum encode_syntax syntax);

#endif
