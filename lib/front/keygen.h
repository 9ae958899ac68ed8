/*
 * --dkim-keygen: a key for DKIM, and what has to be done with it.
 */
#ifndef SENDROUTE_KEYGEN_H
#define SENDROUTE_KEYGEN_H

#include <stdio.h>

#include "lib/base/result.h"

/*
 * keygen_run(dir, domain, out, res): a new RSA key in dir/SELECTOR.pem (mode 0600,
 * PKCS #1), where the selector is made of today's date; a file that is there is
 * left alone. The DNS record and the lines of sendroute.conf go to out; domain
 * NULL: an example's. 0, or -1 with exit 64, 71, 73 or 74.
 */
int keygen_run(const char *dir, const char *domain, FILE *out,
    struct result *res);

#endif
