/*
 * The DKIM-Signature fields of a message that has arrived (RFC 6376 section 6).
 */
#ifndef SENDROUTE_VERIFY_H
#define SENDROUTE_VERIFY_H

#include <stdio.h>

#include "bearssl-glue.h"
#include "lib/base/result.h"

enum { VERIFY_MAX = 16 };	/* signatures that are looked at */

/*
 * verify_run(fd, keys, out, res): read the message, check every signature against
 * the DNS, or against the file `keys` when that is not NULL, and print a line for
 * each. The exit status: 0 when at least one passes and none fails; 65 without
 * any; 69 when one fails; 75 when the only trouble is a key that could not be
 * asked for; or -1 with res filled.
 */
int verify_run(int fd, const char *keys, FILE *out, struct result *res);

/*
 * verify_published(domain, selector, key, certain): does the DNS have that key?
 * NULL: it does; or what is wrong. *certain false: all may be well nevertheless.
 */
const char *verify_published(const char *domain, const char *selector,
    const struct private_key *key, bool *certain);

#endif
