/*
 * AWS credentials, found as the AWS CLI and SDKs find them: from the route's own
 * keys, the environment, or the shared credentials and config files. (AWS SDKs and
 * Tools Reference Guide, "Standardized credential providers".)
 */
#ifndef SENDROUTE_CREDENTIALS_H
#define SENDROUTE_CREDENTIALS_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/result.h"
#include "lib/config/config.h"

struct credentials {
	char *access_key_id;
	char *secret_access_key;
	char *session_token;	/* or NULL */
	char source[128];	/* where they came from, for -v and --check */
};

/*
 * credentials_find(r, env, c, res): walk the chain that route r asks for.
 * `env` looks up environment variables (NULL: none counts, as with set-id
 * privilege; then no user file counts either). Returns 0; or -1 with res filled
 * (OUT_TEMP, CAUSE_OPERATOR): what each source answered.
 */
typedef const char *(*env_lookup)(const char *name);
int credentials_find(const struct route *r, env_lookup env,
    struct credentials *c, struct result *res);

/*
 * credentials_region(r, env, res): `region` of the route, AWS_REGION,
 * AWS_DEFAULT_REGION, the profile's region. A heap string; or NULL with
 * res->exit 78.
 */
char *credentials_region(const struct route *r, env_lookup env,
    struct result *res);

/* credentials_free(c): wiped and freed; an empty c is fine. */
void credentials_free(struct credentials *c);

#endif
