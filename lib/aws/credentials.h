/*
 * AWS credentials, found as the AWS CLI and SDKs find them: the route's own keys,
 * the environment, profiles (also those that assume a role), web identity, a
 * command, the container's or the machine's own role. (AWS SDKs and Tools Reference
 * Guide, "Standardized credential providers".)
 */
#ifndef SENDROUTE_CREDENTIALS_H
#define SENDROUTE_CREDENTIALS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/aws/aws.h"

struct credentials {
	char *access_key_id;
	char *secret_access_key;
	char *session_token;	/* or NULL */
	int64_t expires;	/* seconds since 1970; 0: never, as far as known */
	bool exposed;		/* everyone on this machine can read their file */
	char source[128];	/* where they came from, for -v and --check */
};

/*
 * credentials_find(a, fresh, c, res): walk the chain that a->route asks for and
 * assume its role-arn. aws_locate(a) came before. Temporary credentials that had to
 * be asked for are kept in the queue's folder as credentials.ROUTE, and found there
 * unless `fresh`. Returns 0; or -1 with res filled (OUT_TEMP, CAUSE_OPERATOR): what
 * each source answered.
 */
int credentials_find(struct aws *a, bool fresh, struct credentials *c,
    struct result *res);

/*
 * credentials_renew_at(c, now): when to look for new ones: 5 minutes before c ends,
 * but a minute from now at the earliest. INT64_MAX: never.
 */
int64_t credentials_renew_at(const struct credentials *c, int64_t now);

/* credentials_free(c): wiped and freed; an empty c is fine. */
void credentials_free(struct credentials *c);

#endif
