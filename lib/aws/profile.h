/*
 * A profile as the AWS CLI and SDKs have it: one section of the shared credentials
 * file and one of the config file, of which the former wins, item by item.
 */
#ifndef SENDROUTE_PROFILE_H
#define SENDROUTE_PROFILE_H

#include "lib/aws/aws.h"
#include "lib/aws/ini.h"

/* What a profile may hold, as far as it is looked at; profile.c has the names. */
enum item {
	ITEM_ID, ITEM_SECRET, ITEM_TOKEN, ITEM_REGION, ITEM_ROLE, ITEM_SOURCE,
	ITEM_FROM, ITEM_EXTERNAL, ITEM_SESSION, ITEM_DURATION, ITEM_MFA,
	ITEM_WEB, ITEM_SSO, ITEM_SSO_OLD, ITEM_ACCOUNT, ITEM_SSO_ROLE,
	ITEM_LOGIN, ITEM_PROCESS, ITEM_FIPS, ITEM_DUAL,
	ITEM_ENDPOINT, ITEM_SERVICES, ITEM_IGNORE, ITEM_CA, ITEM_IMDS,
	ITEM_IMDS_MODE, NITEMS
};

/* The profile as one of the two files has it. */
struct profile_file {
	struct buf path;
	bool homeless;		/* path begins with a "~" that is unknown */
	int state;		/* an ini_state; or -1: why tells */
	struct ini_item items[NITEMS];
	struct result why;
};

struct profile {
	const char *name;
	bool named;		/* somebody has asked for it by its name */
	const struct profile *asker;	/* the profile that has it for its source */
	struct profile_file shared, config;
};

/*
 * profile_read(p, a): the profile that the route, AWS_PROFILE or
 * AWS_DEFAULT_PROFILE names, else "default". profile_read_named(p, name, env): that
 * one; name must outlive p. p is zeroed but for asker. Nothing is read when env is
 * NULL. Failures are kept in the files. profile_free(p): wiped.
 */
void profile_read(struct profile *p, const struct aws *a);
void profile_read_named(struct profile *p, const char *name, env_lookup env);
void profile_free(struct profile *p);

/* profile_is_there(p): has one of the files its section? */
bool profile_is_there(const struct profile *p);

/* profile_has(file, i): is it there, and not empty? */
bool profile_has(const struct profile_file *file, enum item i);

/* profile_file(p, i): the file whose item counts; NULL: neither has it. */
const struct profile_file *profile_file(const struct profile *p, enum item i);

/* profile_value(p, i): NULL when it is not there or empty. */
const char *profile_value(const struct profile *p, enum item i);

/* aws_variable(env, name): NULL when it is unset or empty, as the CLI has it. */
const char *aws_variable(env_lookup env, const char *name);

/* aws_setting(a, name, p, i): the variable, else the profile's; or NULL. */
const char *aws_setting(const struct aws *a, const char *name,
    const struct profile *p, enum item i);

/* aws_is_true(text): "true" in any case; NULL is not. */
bool aws_is_true(const char *text);

#endif
