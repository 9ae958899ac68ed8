/*
 * On whose behalf AWS is asked: a route, and what the environment and the AWS
 * files say about regions and endpoints. (AWS SDKs and Tools Reference Guide.)
 */
#ifndef SENDROUTE_AWS_H
#define SENDROUTE_AWS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/log.h"
#include "lib/base/result.h"
#include "lib/config/config.h"
#include "lib/net/http.h"

/*
 * Looks up environment variables. NULL where it is asked for: none counts, as with
 * set-id privilege; then no user file counts either.
 */
typedef const char *(*env_lookup)(const char *name);

struct aws {
	const struct route *route;
	const struct config *config;
	env_lookup env;
	struct log *log;		/* or NULL */
	char *region, *ca_file;		/* aws_locate fills them; ca_file or NULL */
	int64_t clock_offset;		/* seconds that our clock is behind */
};

/* Where requests go. */
struct endpoint {
	struct http_url url;
	char host[300];			/* what belongs in the Host field */
};

/*
 * aws_locate(a, e, res): the region, the CA bundle and the endpoint of SES for
 * this route: `endpoint`, AWS_ENDPOINT_URL_SESV2 and _URL, the profile's, or the
 * region's own (FIPS, dual stack). 0; or -1 with res->exit 78.
 */
int aws_locate(struct aws *a, struct endpoint *e, struct result *res);

/*
 * aws_proxy(a, url): the proxy by which url is to be asked: `proxy` of the route,
 * else https_proxy or HTTPS_PROXY unless no_proxy or NO_PROXY excepts it. NULL or
 * "": none, as for this machine itself and without TLS.
 */
const char *aws_proxy(const struct aws *a, const struct http_url *url);

/* aws_now(a): seconds since 1970, as AWS sees them. */
int64_t aws_now(const struct aws *a);

/*
 * aws_fix_clock(a, reply): learn from its Date how wrong our clock is. true: by
 * enough to make another try worth while.
 */
bool aws_fix_clock(struct aws *a, const struct http_reply *reply);

/* aws_free(a): what was filled. */
void aws_free(struct aws *a);

#endif
