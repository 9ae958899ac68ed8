/* Profiles that assume a role, and web identity. */
#include <stdlib.h>
#include <string.h>

#include "lib/aws/sources.h"

/* --- source_profile, credential_source ------------------------------------- */

static bool
has_keys(const struct profile *p)
{
	return profile_value(p, ITEM_ID) || profile_value(p, ITEM_SECRET);
}

/*
 * Would that lead in a circle? A profile may name itself when it has keys: they
 * are what it means then.
 */
static bool
is_circle(const struct profile *p, const char *name)
{
	const struct profile *q;

	for (q = p; q != NULL; q = q->asker)
		if (strcmp(q->name, name) == 0)
			return q != p || !has_keys(p);
	return false;
}

static enum found
ask_profile(struct finder *f, const char *name)
{
	struct profile *p = f->p, *source;
	enum found ret;

	if (is_circle(p, name))
		return failed(f, "profile %s has source_profile %s: a circle",
		    p->name, name);
	source = calloc(1, sizeof *source);
	if (source == NULL)
		return failed(f, "out of memory");
	source->asker = p;
	profile_read_named(source, name, f->a->env);
	buf_reset(&f->answers);
	f->p = source;
	ret = from_source_profile(f);
	f->p = p;
	if (ret == ABSENT)
		ret = failed(f, "profile %s has source_profile %s: %s",
		    p->name, name, buf_str(&f->answers));
	profile_free(source);
	free(source);
	return ret;
}

static enum found
ask_source(struct finder *f, const char *name)
{
	enum found ret = ABSENT;

	buf_reset(&f->answers);
	if (strcmp(name, "Environment") == 0)
		ret = from_keys_in_environment(f);
	else if (strcmp(name, "Ec2InstanceMetadata") == 0)
		ret = from_imds(f);
	else if (strcmp(name, "EcsContainer") == 0)
		ret = from_container(f);
	return ret != ABSENT ? ret : failed(f, "profile %s has "
	    "credential_source %s: %s", f->p->name, name,
	    buf_str(&f->answers));
}

/* --- the profile's role ---------------------------------------------------- */

/*
 * A role comes before the keys beside it, which at best may assume it: to sign
 * with those would be to act as somebody else. As a source_profile it is the
 * other way round.
 */
enum found
from_role(struct finder *f)
{
	const struct profile *p = f->p;
	const char *source = profile_value(p, ITEM_SOURCE);
	const char *from = profile_value(p, ITEM_FROM);
	struct role r = { .arn = profile_value(p, ITEM_ROLE),
		.session = profile_value(p, ITEM_SESSION),
		.external = profile_value(p, ITEM_EXTERNAL),
		.duration = profile_value(p, ITEM_DURATION) };
	enum found ret;

	if (r.arn == NULL || profile_value(p, ITEM_WEB) ||
	    (p->asker != NULL && has_keys(p)))
		return ABSENT;
	if ((source == NULL) == (from == NULL))
		return failed(f, "profile %s has role_arn and not one of "
		    "source_profile and credential_source", p->name);
	if (profile_value(p, ITEM_MFA))
		return failed(f, "profile %s has mfa_serial, which is "
		    "not supported", p->name);
	ret = source ? ask_profile(f, source) : ask_source(f, from);
	return ret == FOUND ? sts_assume(f, &r) : ret;
}

/* --- web identity ---------------------------------------------------------- */

/* The variable, where the environment counts, else what the profile has. */
static const char *
setting(const struct finder *f, const char *name, enum item i)
{
	const struct route *r = f->a->route;
	const char *value = NULL;

	if (f->p == f->top && r->profile == NULL && r->credentials != CRED_FILE)
		value = aws_variable(f->a->env, name);
	if (value == NULL && r->credentials != CRED_ENV)
		value = profile_value(f->p, i);
	return value;
}

enum found
from_web_identity(struct finder *f)
{
	struct role r = {
		.token_file = setting(f, "AWS_WEB_IDENTITY_TOKEN_FILE",
		    ITEM_WEB),
		.arn = setting(f, "AWS_ROLE_ARN", ITEM_ROLE),
		.session = setting(f, "AWS_ROLE_SESSION_NAME", ITEM_SESSION)
	};

	if (r.token_file == NULL)
		return f->p != f->top || f->a->route->credentials == CRED_FILE ?
		    ABSENT :
		    absent(f, "web identity: no AWS_WEB_IDENTITY_TOKEN_FILE");
	if (r.arn == NULL)
		return failed(f, "web identity: no role_arn");
	return sts_assume(f, &r);
}
