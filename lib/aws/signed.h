/*
 * The fields of a signed request to SES or STS.
 */
#ifndef SENDROUTE_SIGNED_H
#define SENDROUTE_SIGNED_H

#include "lib/aws/endpoint.h"
#include "lib/aws/sigv4.h"
#include "lib/base/clock.h"

struct signed_fields {
	struct http_field fields[6];	/* the last is free */
	size_t n;
	struct buf authorization;
	char date[CLOCK_AMZ_SIZE];
};

/*
 * signed_request(a, e, s, c, method, target, type, payload, out): Host,
 * Content-Type (unless type is NULL), X-Amz-Date, X-Amz-Security-Token and, over
 * these, Authorization for a request with a body that hashes to payload; without
 * keys in c, not the last. target: path and query. out must stay where it is. 0;
 * or -1: no memory. The caller ends with signed_free(out).
 */
int signed_request(const struct aws *a, const struct endpoint *e,
    enum service s, const struct credentials *c, const char *method,
    const char *target, const char *type,
    const unsigned char payload[SHA256_SIZE], struct signed_fields *out);
void signed_free(struct signed_fields *f);

#endif
