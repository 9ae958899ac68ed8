#include "lib/aws/credentials.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/aws/ini.h"
#include "lib/base/buf.h"

#define NO_PRIVILEGE "not looked at with set-id privilege"

enum { REGION_MAX = 63 };	/* it becomes a label of a host name */

/* What a profile may hold, as far as it is looked at. */
enum item {
	ITEM_ID, ITEM_SECRET, ITEM_TOKEN, ITEM_REGION, ITEM_ROLE, ITEM_WEB,
	ITEM_SSO, ITEM_SSO_OLD, ITEM_PROCESS, NITEMS
};

static const char *const item_names[NITEMS] = {
	[ITEM_ID] = "aws_access_key_id",
	[ITEM_SECRET] = "aws_secret_access_key",
	[ITEM_TOKEN] = "aws_session_token",
	[ITEM_REGION] = "region",
	[ITEM_ROLE] = "role_arn",
	[ITEM_WEB] = "web_identity_token_file",
	[ITEM_SSO] = "sso_session",
	[ITEM_SSO_OLD] = "sso_start_url",
	[ITEM_PROCESS] = "credential_process"
};

/* The profile as one of the two files has it. */
struct file {
	struct buf path;
	bool homeless;		/* path begins with a "~" that is unknown */
	int state;		/* an ini_state; or -1: why tells */
	struct ini_item items[NITEMS];
	struct result why;
};

struct finder {
	const struct route *route;
	env_lookup env;
	struct credentials *c;
	struct result *res;
	const char *profile;
	bool loaded;
	struct file shared, config;
	struct buf answers;	/* of the sources that had nothing */
};

enum found { FOUND, ABSENT, FAILED };

/* Empty counts as unset, as the CLI has it. */
static const char *
variable(env_lookup env, const char *name)
{
	const char *value = env != NULL ? env(name) : NULL;

	return value != NULL && *value != '\0' ? value : NULL;
}

/* --- the profile's files --------------------------------------------------- */

static const char *
profile_name(const struct route *r, env_lookup env)
{
	const char *name = r->profile;

	if (name == NULL)
		name = variable(env, "AWS_PROFILE");
	if (name == NULL)
		name = variable(env, "AWS_DEFAULT_PROFILE");
	return name != NULL ? name : "default";
}

/* The path that `name` gives, else `usual`; "~" is HOME and nobody else's. */
static void
set_path(struct file *file, env_lookup env, const char *name, const char *usual)
{
	const char *path = variable(env, name), *home = variable(env, "HOME");

	if (path == NULL)
		path = usual;
	if (path[0] == '~' && (path[1] == '/' || path[1] == '\0')) {
		file->homeless = home == NULL;
		if (home != NULL)
			buf_adds(&file->path, home);
		path += home != NULL;
	}
	buf_adds(&file->path, path);
}

static void
read_section(struct file *file, const char *section)
{
	int i;

	for (i = 0; i < NITEMS; i++)
		file->items[i].key = item_names[i];
	file->state = INI_NO_FILE;
	if (file->path.failed)
		file->state = result_fail(&file->why, EXIT_OS, "out of memory");
	else if (!file->homeless)
		file->state = ini_read(buf_str(&file->path), section,
		    file->items, NITEMS, &file->why);
}

/* The config file calls its sections otherwise; "default" may go by itself. */
static void
read_config_section(struct file *file, const char *profile)
{
	struct buf section = { 0 };

	buf_addf(&section, "profile %s", profile);
	if (section.failed)
		file->state = result_fail(&file->why, EXIT_OS, "out of memory");
	else
		read_section(file, buf_str(&section));
	buf_free(&section);
	if (file->state == INI_NO_SECTION && strcmp(profile, "default") == 0)
		read_section(file, profile);
}

static void
load(struct finder *f)
{
	if (f->loaded)
		return;
	f->loaded = true;
	f->profile = profile_name(f->route, f->env);
	if (f->env == NULL)
		return;
	set_path(&f->shared, f->env, "AWS_SHARED_CREDENTIALS_FILE",
	    "~/.aws/credentials");
	set_path(&f->config, f->env, "AWS_CONFIG_FILE", "~/.aws/config");
	read_section(&f->shared, f->profile);
	read_config_section(&f->config, f->profile);
}

static void
file_free(struct file *file)
{
	int i;

	for (i = 0; i < NITEMS; i++)
		buf_wipe(&file->items[i].value);
	buf_free(&file->path);
}

static void
finder_free(struct finder *f)
{
	file_free(&f->shared);
	file_free(&f->config);
	buf_free(&f->answers);
}

static bool
has(const struct file *file, enum item i)
{
	return file->items[i].found && file->items[i].value.len > 0;
}

/* Which file has the item: the credentials file wins. NULL: neither. */
static const struct file *
who_has(const struct finder *f, enum item i)
{
	if (has(&f->shared, i))
		return &f->shared;
	return has(&f->config, i) ? &f->config : NULL;
}

/* --- what is told ---------------------------------------------------------- */

/* A source had nothing, and why. */
static enum found __attribute__((format(printf, 2, 3)))
absent(struct finder *f, const char *fmt, ...)
{
	char text[sizeof f->res->text];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (f->answers.len > 0)
		buf_adds(&f->answers, "; ");
	buf_adds(&f->answers, text);
	return ABSENT;
}

static enum found __attribute__((format(printf, 2, 3)))
failed(struct finder *f, const char *fmt, ...)
{
	char text[sizeof f->res->text];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	result_set(f->res, OUT_TEMP, CAUSE_OPERATOR,
	    "AWS credentials: %s", text);
	return FAILED;
}

static enum found
absent_in(struct finder *f, const struct file *file, const char *prefix)
{
	const char *path = buf_str(&file->path);

	if (f->env == NULL)
		return absent(f, "user files: " NO_PRIVILEGE);
	if (file->state < 0)
		return absent(f, "%s", file->why.text);
	if (file->homeless)
		return absent(f, "%s: HOME is not set", path);
	if (file->state == INI_NO_FILE)
		return absent(f, "%s: no such file", path);
	if (file->state == INI_NO_SECTION)
		return absent(f, "%s: no [%s%s]", path, prefix, f->profile);
	return absent(f, "%s: no keys in [%s%s]", path, prefix, f->profile);
}

/* --- keys ------------------------------------------------------------------ */

struct key {
	const char *name;	/* for texts, which never show the value */
	const char *p;		/* NULL: not given */
	size_t n;
};

static struct key
key_string(const char *name, const char *value)
{
	return (struct key){ name, value, value != NULL ? strlen(value) : 0 };
}

/* file NULL: not given. */
static struct key
key_item(const struct file *file, enum item i)
{
	const struct buf *value = file != NULL ? &file->items[i].value : NULL;

	return value != NULL ?
	    (struct key){ item_names[i], value->p, value->len } :
	    (struct key){ item_names[i], NULL, 0 };
}

/*
 * Keys go into header fields, where a blank or a control character would at
 * best spoil the signature.
 */
static enum found
copy_key(struct finder *f, const struct key *key, char **out)
{
	size_t i;

	if (key->n == 0)
		return failed(f, "%s of %s is empty", key->name, f->c->source);
	for (i = 0; i < key->n; i++)
		if (key->p[i] <= ' ' || key->p[i] > '~')
			return failed(f, "%s of %s holds a blank, a control "
			    "character or one that is not ASCII", key->name,
			    f->c->source);
	*out = mem_dup(key->p, key->n);
	return *out != NULL ? FOUND : failed(f, "out of memory");
}

/* f->c->source is set already. */
static enum found
take_keys(struct finder *f, struct key id, struct key secret, struct key token)
{
	struct credentials *c = f->c;

	if (copy_key(f, &id, &c->access_key_id) != FOUND ||
	    copy_key(f, &secret, &c->secret_access_key) != FOUND)
		return FAILED;
	return token.p != NULL ? copy_key(f, &token, &c->session_token) : FOUND;
}

static bool
is_given(const struct secret *s)
{
	return s->value != NULL || s->file != NULL || s->command != NULL ||
	    s->err.text[0] != '\0';
}

static enum found
from_route(struct finder *f)
{
	const struct route *r = f->route;
	char *secret;
	enum found ret;

	if (r->access_key_id == NULL && !is_given(&r->secret_access_key))
		return r->credentials == CRED_STATIC ?
		    absent(f, "access-key-id is not given") : ABSENT;
	if (r->access_key_id == NULL)
		return failed(f, "secret-access-key without access-key-id");
	if (!is_given(&r->secret_access_key))
		return failed(f, "access-key-id without secret-access-key");
	secret = secret_get(&r->secret_access_key, "secret-access-key", f->res);
	if (secret == NULL)
		return FAILED;
	snprintf(f->c->source, sizeof f->c->source, "the configuration");
	ret = take_keys(f, key_string("access-key-id", r->access_key_id),
	    key_string("secret-access-key", secret),
	    key_string("session-token", r->session_token));
	str_wipe_free(secret);
	return ret;
}

static enum found
from_environment(struct finder *f)
{
	const char *id = variable(f->env, "AWS_ACCESS_KEY_ID");
	const char *secret = variable(f->env, "AWS_SECRET_ACCESS_KEY");
	const char *token = variable(f->env, "AWS_SESSION_TOKEN");

	if (f->env == NULL)
		return absent(f, "environment: " NO_PRIVILEGE);
	if (f->route->profile != NULL)
		return absent(f, "environment: skipped, the route has a profile");
	if (id == NULL && secret == NULL)
		return absent(f, "environment: no AWS_ACCESS_KEY_ID");
	if (id == NULL || secret == NULL)
		return failed(f, "%s is set, but %s is not",
		    id ? "AWS_ACCESS_KEY_ID" : "AWS_SECRET_ACCESS_KEY",
		    id ? "AWS_SECRET_ACCESS_KEY" : "AWS_ACCESS_KEY_ID");
	snprintf(f->c->source, sizeof f->c->source, "the environment");
	return take_keys(f, key_string("AWS_ACCESS_KEY_ID", id),
	    key_string("AWS_SECRET_ACCESS_KEY", secret),
	    key_string("AWS_SESSION_TOKEN", token));
}

/* A token goes with the keys that it stands beside, not with other ones. */
static enum found
from_profile(struct finder *f)
{
	const struct file *id = who_has(f, ITEM_ID);
	const struct file *secret = who_has(f, ITEM_SECRET), *token;

	if (id == NULL || secret == NULL)
		return failed(f, "profile %s in %s has %s, but no %s",
		    f->profile, buf_str(id ? &id->path : &secret->path),
		    item_names[id ? ITEM_ID : ITEM_SECRET],
		    item_names[id ? ITEM_SECRET : ITEM_ID]);
	snprintf(f->c->source, sizeof f->c->source, "profile %s in %s",
	    f->profile, buf_str(&id->path));
	token = id != secret ? who_has(f, ITEM_TOKEN) :
	    has(id, ITEM_TOKEN) ? id : NULL;
	return take_keys(f, key_item(id, ITEM_ID),
	    key_item(secret, ITEM_SECRET), key_item(token, ITEM_TOKEN));
}

static enum found
from_shared_file(struct finder *f)
{
	load(f);
	if (!has(&f->shared, ITEM_ID) && !has(&f->shared, ITEM_SECRET))
		return absent_in(f, &f->shared, "");
	return from_profile(f);
}

static enum found
from_config_file(struct finder *f)
{
	bool plain;

	load(f);
	if (has(&f->config, ITEM_ID) || has(&f->config, ITEM_SECRET))
		return from_profile(f);
	if (f->env == NULL)
		return ABSENT;	/* said for both files */
	plain = strcmp(f->profile, "default") == 0;
	return absent_in(f, &f->config, plain ? "" : "profile ");
}

/*
 * A role comes before the keys beside it, which at best may assume it: to sign
 * with those would be to act as somebody else.
 */
static enum found
from_role(struct finder *f)
{
	enum item i = ITEM_WEB;

	load(f);
	if (who_has(f, i) == NULL)
		i = ITEM_ROLE;
	if (who_has(f, i) == NULL)
		return ABSENT;
	return failed(f, "profile %s has %s: this source is not built yet",
	    f->profile, item_names[i]);
}

static enum found
from_sso(struct finder *f)
{
	load(f);
	if (who_has(f, ITEM_SSO) == NULL && who_has(f, ITEM_SSO_OLD) == NULL)
		return ABSENT;
	return absent(f, "profile %s has sso_*: this source is not built yet",
	    f->profile);
}

static enum found
from_process(struct finder *f)
{
	load(f);
	if (who_has(f, ITEM_PROCESS) == NULL)
		return ABSENT;
	return absent(f, "profile %s has credential_process: this source is "
	    "not built yet", f->profile);
}

static enum found
from_machine(struct finder *f)
{
	return absent(f, "web identity, container, EC2 role: not built yet");
}

/* --- the chain ------------------------------------------------------------- */

/* In the documented order. The route's own keys win in every mode. */
static const struct source {
	unsigned modes;
	enum found (*ask)(struct finder *f);
} sources[] = {
	{ 1 << CRED_AUTO | 1 << CRED_ENV | 1 << CRED_FILE | 1 << CRED_STATIC,
	    from_route },
	{ 1 << CRED_AUTO | 1 << CRED_ENV, from_environment },
	{ 1 << CRED_AUTO | 1 << CRED_FILE, from_role },
	{ 1 << CRED_AUTO | 1 << CRED_FILE, from_sso },
	{ 1 << CRED_AUTO | 1 << CRED_FILE, from_shared_file },
	{ 1 << CRED_AUTO | 1 << CRED_FILE, from_process },
	{ 1 << CRED_AUTO | 1 << CRED_FILE, from_config_file },
	{ 1 << CRED_AUTO, from_machine }
};

static enum found
ask_all(struct finder *f)
{
	enum found ret = ABSENT;
	size_t i;

	for (i = 0; i < sizeof sources / sizeof sources[0]; i++) {
		if ((sources[i].modes & 1u << f->route->credentials) == 0)
			continue;
		ret = sources[i].ask(f);
		if (ret != ABSENT)
			break;
	}
	return ret;
}

/* The exit status of a file that could not be read, or 0. */
static int
file_exit(const struct finder *f)
{
	return f->shared.state < 0 ? f->shared.why.exit :
	    f->config.state < 0 ? f->config.why.exit : 0;
}

int
credentials_find(const struct route *r, env_lookup env, struct credentials *c,
    struct result *res)
{
	struct finder f = { .route = r, .env = env, .c = c, .res = res };
	enum found ret;

	*c = (struct credentials){ 0 };
	ret = ask_all(&f);
	if (ret == ABSENT) {
		result_set(res, OUT_TEMP, CAUSE_OPERATOR,
		    "no AWS credentials: %s", buf_str(&f.answers));
		res->exit = file_exit(&f);
	}
	finder_free(&f);
	if (ret != FOUND)
		credentials_free(c);
	return ret == FOUND ? 0 : -1;
}

void
credentials_free(struct credentials *c)
{
	str_wipe_free(c->access_key_id);
	str_wipe_free(c->secret_access_key);
	str_wipe_free(c->session_token);
	*c = (struct credentials){ 0 };
}

/* --- region ---------------------------------------------------------------- */

/* A copy of a region that can stand in a host name and a scope. */
static char *
region_copy(const struct finder *f, const char *region, const char *from)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz"
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-";
	size_t n = strlen(region);
	char *copy = NULL;

	if (n > REGION_MAX || strspn(region, allowed) != n) {
		result_set(f->res, OUT_TEMP, CAUSE_OPERATOR,
		    "\"%.80s\" in %s is not the name of a region", region, from);
		f->res->exit = EXIT_CONFIGURATION;
		return NULL;
	}
	copy = mem_dup(region, n);
	if (copy == NULL)
		result_fail(f->res, EXIT_OS, "out of memory");
	return copy;
}

static char *
region_absent(const struct finder *f)
{
	const struct file *file = f->shared.state < 0 ? &f->shared : &f->config;

	result_set(f->res, OUT_TEMP, CAUSE_OPERATOR,
	    "no region: expected `region`, AWS_REGION or a region in "
	    "profile %s%s%s", f->profile,
	    file->state < 0 ? "; " : "", file->state < 0 ? file->why.text : "");
	f->res->exit = EXIT_CONFIGURATION;
	return NULL;
}

static char *
region_in_profile(struct finder *f)
{
	const struct file *file;

	load(f);
	file = who_has(f, ITEM_REGION);
	if (file == NULL)
		return region_absent(f);
	return region_copy(f, buf_str(&file->items[ITEM_REGION].value),
	    buf_str(&file->path));
}

char *
credentials_region(const struct route *r, env_lookup env, struct result *res)
{
	static const char *const names[] = { "AWS_REGION", "AWS_DEFAULT_REGION" };
	struct finder f = { .route = r, .env = env, .res = res };
	const char *region;
	char *copy;
	size_t i;

	if (r->region != NULL)
		return region_copy(&f, r->region, "the configuration");
	for (i = 0; i < sizeof names / sizeof names[0]; i++)
		if ((region = variable(env, names[i])) != NULL)
			return region_copy(&f, region, names[i]);
	copy = region_in_profile(&f);
	finder_free(&f);
	return copy;
}
