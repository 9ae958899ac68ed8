/*
 * One small HTTP request to a service that hands out credentials, on a
 * connection of its own.
 */
#ifndef SENDROUTE_FETCH_H
#define SENDROUTE_FETCH_H

#include "lib/aws/aws.h"

struct fetch {
	const char *method, *target;
	const struct http_field *fields;	/* Host among them */
	size_t nfields;
	const struct buf *body;			/* or NULL */
	bool by_proxy;				/* the route's: see aws_proxy.
						 * Never to IMDS, a container */
	unsigned seconds;			/* for each step; 1 at least */
	unsigned tries;				/* while there is no reply, or one
						 * of 5xx or 429; 1 s between */
};

/*
 * fetch(a, e, q, reply, res): 0 with whatever reply came last; or -1 with res and,
 * of reply, sent_whole. The caller ends with fetch_done(reply), which wipes it, in
 * either case.
 */
int fetch(const struct aws *a, const struct endpoint *e, const struct fetch *q,
    struct http_reply *reply, struct result *res);
void fetch_done(struct http_reply *reply);

/*
 * fetch_short(a, e, put, target, field, seconds, tries, reply, res): the same for a
 * GET or PUT with Host and one more field, and without a body.
 */
int fetch_short(const struct aws *a, const struct endpoint *e, bool put,
    const char *target, struct http_field field, unsigned seconds,
    unsigned tries, struct http_reply *reply, struct result *res);

#endif
