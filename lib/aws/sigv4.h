/*
 * AWS Signature Version 4 (AWS: "Create a signed AWS API request").
 */
#ifndef SENDROUTE_SIGV4_H
#define SENDROUTE_SIGV4_H

#include <stddef.h>
#include <time.h>

#include "bearssl-glue.h"
#include "lib/aws/credentials.h"
#include "lib/base/buf.h"
#include "lib/net/http.h"

struct sigv4_request {
	const char *method;
	const char *path;		/* as on the wire, encoded once */
	const char *query;		/* as on the wire, without '?', or "" */
	const struct http_field *fields;	/* all of them are signed: host,
						 * content-type, x-amz-date, ... */
	size_t nfields;
	unsigned char payload[SHA256_SIZE];	/* hash of the body */
	const char *region, *service;
	time_t when;			/* the same as x-amz-date's */
};

/*
 * sigv4_canonical(r, out): the canonical request: path normalised and encoded
 * again, query sorted by name then value, names in lower case and sorted, values
 * trimmed with inner runs of blanks collapsed, fields of one name joined by ','.
 * 0, or -1 when memory ran out.
 */
int sigv4_canonical(const struct sigv4_request *r, struct buf *out);

/* sigv4_string_to_sign(r, canonical, out): 0, or -1. */
int sigv4_string_to_sign(const struct sigv4_request *r,
    const struct buf *canonical, struct buf *out);

/*
 * sigv4_authorization(r, c, out): the value of the Authorization field. The
 * session token, if any, must already be among r->fields. Derived keys are
 * wiped. 0, or -1.
 */
int sigv4_authorization(const struct sigv4_request *r,
    const struct credentials *c, struct buf *out);

/*
 * sigv4_add_encoded(out, s): s with all but RFC 3986's unreserved characters
 * percent-encoded, as in queries and forms.
 */
void sigv4_add_encoded(struct buf *out, const char *s);

#endif
