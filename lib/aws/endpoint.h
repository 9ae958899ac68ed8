/*
 * Regions and endpoints (AWS: "Service-specific endpoints", "Dual-stack and FIPS
 * endpoints"; botocore's endpoint rule sets for sesv2 and sts).
 */
#ifndef SENDROUTE_ENDPOINT_H
#define SENDROUTE_ENDPOINT_H

#include "lib/aws/profile.h"

enum service { SERVICE_SES, SERVICE_STS };

/*
 * endpoint_region(a, p, res): `region` of the route, AWS_REGION,
 * AWS_DEFAULT_REGION, the profile's region. A heap string; or NULL with
 * res->exit 78.
 */
char *endpoint_region(const struct aws *a, const struct profile *p,
    struct result *res);

/*
 * endpoint_find(a, p, s, e, res): where s is found for a->region. 0, or -1 with
 * res->exit 78.
 */
int endpoint_find(const struct aws *a, const struct profile *p, enum service s,
    struct endpoint *e, struct result *res);

/* endpoint_parse(e, url): 0; or -1: it is no URL. */
int endpoint_parse(struct endpoint *e, const char *url);

#endif
