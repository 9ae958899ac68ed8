/*
 * Internationalised domain names: U-labels to A-labels (RFC 5891; Punycode, RFC
 * 3492).
 */
#ifndef SENDROUTE_IDN_H
#define SENDROUTE_IDN_H

#include <stdbool.h>
#include <stddef.h>

/*
 * idn_to_ascii(domain, n, out, size): the domain with every label that is not
 * ASCII as "xn--...", letters of the common scripts (Latin-1, Latin Extended-A,
 * Greek, Cyrillic) in lower case, ideographic full stops as dots; ASCII labels
 * stay as they are. Returns the length; -1 when it is no valid UTF-8, holds
 * combining marks or invisible characters (they would make another name), a
 * label becomes longer than 63 bytes, or it does not fit. No NUL in size is spared:
 * out holds size - 1 bytes at most.
 */
int idn_to_ascii(const char *domain, size_t n, char *out, size_t size);

/*
 * utf8_next(p, end, cp): decode one character strictly (RFC 3629: no overlong
 * forms, no surrogates). Returns its length, or 0 when there is none.
 */
size_t utf8_next(const char *p, const char *end, unsigned *cp);

/* utf8_valid(s, n), is_ascii(s): of whole texts. */
bool utf8_valid(const char *s, size_t n);
bool is_ascii(const char *s);

#endif
