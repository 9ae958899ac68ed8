#include "lib/aws/credentials.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cJSON.h>

#include "lib/aws/sources.h"
#include "lib/base/clock.h"
#include "lib/config/file.h"

enum {
	MARGIN_SECONDS = 300,	/* before the end, for new credentials */
	PAUSE_SECONDS = 60,	/* between two looks for them */
	TOKEN_FILE_MAX = 16384
};

/* --- what is told ---------------------------------------------------------- */

enum found
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

enum found
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
absent_in(struct finder *f, const struct profile_file *file,
    const char *prefix)
{
	const char *path = buf_str(&file->path), *name = f->p->name;

	if (file->state < 0)
		return absent(f, "%s", file->why.text);
	if (file->homeless)
		return absent(f, "%s: HOME is not set", path);
	if (file->state == INI_NO_FILE)
		return absent(f, "%s: no such file", path);
	if (file->state == INI_NO_SECTION)
		return absent(f, "%s: no [%s%s]", path, prefix, name);
	return absent(f, "%s: no keys in [%s%s]", path, prefix, name);
}

static enum found
absent_in_shared(struct finder *f)
{
	return absent_in(f, &f->p->shared, "");
}

static enum found
absent_in_config(struct finder *f)
{
	return absent_in(f, &f->p->config,
	    strcmp(f->p->name, "default") == 0 ? "" : "profile ");
}

void
recipe(struct finder *f, const char *text)
{
	sha256_update(&f->recipe, text ? "+" : "-", 1);
	if (text)
		sha256_update(&f->recipe, text, strlen(text) + 1);
}

/* --- keys ------------------------------------------------------------------ */

/*
 * Keys go into header fields, where a blank or a control character would at
 * best spoil the signature.
 */
static enum found
copy_key(struct finder *f, const char **name, const char *value, char **out)
{
	const char *p = value != NULL ? value : "", *called = *name;

	*name += strlen(called) + 1;
	if (*p == '\0')
		return failed(f, "%s of %s is %s", called, f->c->source,
		    value != NULL ? "empty" : "missing");
	while (*p > ' ' && *p <= '~')
		p++;
	if (*p != '\0')
		return failed(f, "%s of %s holds a blank, a control character "
		    "or one that is not ASCII", called, f->c->source);
	*out = mem_dup(value, strlen(value));
	return *out != NULL ? FOUND : failed(f, "out of memory");
}

enum found
take_keys(struct finder *f, const char *names, const char *id,
    const char *secret, const char *token)
{
	struct credentials *c = f->c;

	if (copy_key(f, &names, id, &c->access_key_id) != FOUND ||
	    copy_key(f, &names, secret, &c->secret_access_key) != FOUND)
		return FAILED;
	recipe(f, id);
	recipe(f, secret);
	return token != NULL ?
	    copy_key(f, &names, token, &c->session_token) : FOUND;
}

void
set_source(struct finder *f, const char *fmt, const char *a, const char *b)
{
	snprintf(f->c->source, sizeof f->c->source, fmt, a, b);
	text_clean(f->c->source);
}

enum found
take_end(struct finder *f, const char *text)
{
	time_t end;

	if (text == NULL)
		return FOUND;
	if (clock_parse_iso(text, &end) < 0)
		return failed(f, "Expiration of %s is no date: %.40s",
		    f->c->source, text);
	f->c->expires = (int64_t)end;
	return FOUND;
}

/* The member's text, or NULL. It may be a secret: see wipe_json. */
static const char *
member(const cJSON *root, const char *name)
{
	return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(root,
	    name));
}

static void
wipe_json(cJSON *root)
{
	cJSON *item;

	cJSON_ArrayForEach(item, root)
		if (item->valuestring != NULL)
			mem_wipe(item->valuestring, strlen(item->valuestring));
	cJSON_Delete(root);
}

const char answer_names[] = "AccessKeyId\0SecretAccessKey\0SessionToken\0"
    "Expiration\0Code\0Message";

static enum found
take_members(struct finder *f, const cJSON *root, const char *token)
{
	const char *code = member(root, "Code"), *why = member(root, "Message");
	const char *session = member(root, token);

	if (root == NULL)
		return failed(f, "%s gave no JSON", f->c->source);
	if (code != NULL && strcmp(code, "Success") != 0)
		return failed(f, "%s: %s%s%s", f->c->source, code,
		    why ? ": " : "", why ? why : "");
	if (take_keys(f, answer_names, member(root, "AccessKeyId"),
	    member(root, "SecretAccessKey"),
	    session == NULL && *token != 'S' ? "" : session) != FOUND)
		return FAILED;
	return take_end(f, member(root, "Expiration"));
}

enum found
take_json(struct finder *f, const char *text, size_t n, const char *token)
{
	cJSON *root = cJSON_ParseWithLength(text, n), *version;
	enum found ret;

	version = cJSON_GetObjectItemCaseSensitive(root, "Version");
	/* Only what a command prints has a version, and a token at will. */
	if (*token == 'S' && root != NULL &&
	    (!cJSON_IsNumber(version) || version->valueint != 1))
		ret = failed(f, "%s: Version is not 1", f->c->source);
	else
		ret = take_members(f, root, token);
	wipe_json(root);
	return ret;
}

enum found
take_file(struct finder *f, const char *what, const char *path, bool trim,
    struct buf *out)
{
	struct result why;
	struct stat st;
	int fd = file_open(what, path, &st, &why);
	ssize_t n;

	if (fd < 0)
		return failed(f, "%s", why.text);
	buf_reserve(out, TOKEN_FILE_MAX + 1);
	n = out->failed ? -1 : file_read(fd, out->p, TOKEN_FILE_MAX + 1);
	close(fd);
	if (n <= 0 || n > TOKEN_FILE_MAX)
		return failed(f, "%s %s is empty or too long", what, path);
	out->len = (size_t)n;
	while (trim && out->len > 0 && out->p[out->len - 1] <= ' ')
		out->len--;
	out->p[out->len] = '\0';
	return FOUND;
}

/* --- sources on this machine ----------------------------------------------- */

static enum found
from_route(struct finder *f)
{
	const struct route *r = f->a->route;
	char *secret;
	enum found ret;

	/* The configuration has been seen to hold neither or both. */
	if (r->access_key_id == NULL)
		return ABSENT;
	secret = secret_get(&r->secret_access_key, "secret-access-key", f->res);
	if (secret == NULL)
		return FAILED;
	set_source(f, "the configuration", "", "");
	ret = take_keys(f, "access-key-id\0secret-access-key\0session-token",
	    r->access_key_id, secret, r->session_token);
	str_wipe_free(secret);
	return ret;
}

enum found
from_keys_in_environment(struct finder *f)
{
	env_lookup env = f->a->env;
	const char *id = aws_variable(env, "AWS_ACCESS_KEY_ID");
	const char *secret = aws_variable(env, "AWS_SECRET_ACCESS_KEY");

	if (id == NULL && secret == NULL)
		return absent(f, "environment: no AWS_ACCESS_KEY_ID");
	set_source(f, "the environment", "", "");
	return take_keys(f, "AWS_ACCESS_KEY_ID\0AWS_SECRET_ACCESS_KEY\0"
	    "AWS_SESSION_TOKEN", id, secret,
	    aws_variable(env, "AWS_SESSION_TOKEN"));
}

static enum found
from_environment(struct finder *f)
{
	if (f->a->route->profile != NULL)
		return absent(f, "environment: skipped, the route has a profile");
	return from_keys_in_environment(f);
}

/* As the other files with secrets, see secret_read(). */
static enum found
guarded(struct finder *f, const char *file)
{
	struct stat st;

	if (stat(file, &st) < 0)
		return FOUND;
	if (st.st_mode & (S_IWGRP | S_IWOTH))
		return failed(f, "%s can be written by others; expected "
		    "chmod go-w", file);
	f->c->exposed = st.st_mode & S_IROTH;
	if (f->a->log && f->c->exposed)
		log_write(f->a->log, "%s can be read by everyone on this "
		    "machine; chmod o-r is advised", file);
	return FOUND;
}

/* A token goes with the keys that it stands beside, not with other ones. */
static enum found
from_profile(struct finder *f)
{
	const struct profile *p = f->p;
	const struct profile_file *id = profile_file(p, ITEM_ID);
	const struct profile_file *secret = profile_file(p, ITEM_SECRET);
	const char *token = profile_value(p, ITEM_TOKEN);
	const char *path = buf_str(id ? &id->path : &secret->path);

	set_source(f, "profile %s in %s", p->name, path);
	if (guarded(f, path) == FAILED)
		return FAILED;
	if (id == secret && profile_file(p, ITEM_TOKEN) != id)
		token = profile_has(id, ITEM_TOKEN) ?
		    buf_str(&id->items[ITEM_TOKEN].value) : NULL;
	return take_keys(f, p->shared.items[ITEM_ID].key,
	    profile_value(p, ITEM_ID), profile_value(p, ITEM_SECRET), token);
}

static bool
has_key(const struct profile_file *file)
{
	return profile_has(file, ITEM_ID) || profile_has(file, ITEM_SECRET);
}

static enum found
from_shared_file(struct finder *f)
{
	return has_key(&f->p->shared) ? from_profile(f) : absent_in_shared(f);
}

static enum found
from_config_file(struct finder *f)
{
	return has_key(&f->p->config) ? from_profile(f) : absent_in_config(f);
}

/* To go on to other sources would be to act as somebody else. */
static enum found
from_missing(struct finder *f)
{
	if (!f->p->named || profile_is_there(f->p))
		return ABSENT;
	absent_in_shared(f);
	absent_in_config(f);
	return NOTHING;
}

/* Who stands behind a profile must not be ignored. */
static enum found
from_person(struct finder *f, enum item one, enum item other)
{
	if (profile_value(f->p, one) == NULL &&
	    profile_value(f->p, other) == NULL)
		return ABSENT;
	return failed(f, "profile %s has sso_* or login_session, which are not "
	    "supported; expected keys, role_arn or credential_process",
	    f->p->name);
}

/* By these the SDKs know single sign-on, which they prefer to keys. */
static enum found
from_sso(struct finder *f)
{
	return from_person(f, ITEM_ACCOUNT, ITEM_SSO_ROLE);
}

static enum found
from_login(struct finder *f)
{
	return from_person(f, ITEM_LOGIN, ITEM_LOGIN);
}

/* They would pass it over, for the machine's role. */
static enum found
from_sso_alone(struct finder *f)
{
	return from_person(f, ITEM_SSO, ITEM_SSO_OLD);
}

/* --- the chain ------------------------------------------------------------- */

/* Who asks: a mode of the route, or a profile for its source_profile. */
#define AUTO (1u << CRED_AUTO)
#define ENV (1u << CRED_ENV)
#define FILES (1u << CRED_FILE)
#define CONTAINER (1u << CRED_CONTAINER)
#define IMDS (1u << CRED_IMDS)
#define SOURCE (1u << 6)
#define UNTRUSTED (1u << 7)	/* not with set-id privilege */

/* In the documented order. The route's own keys win in every mode. */
static const struct source {
	unsigned modes;
	enum found (*ask)(struct finder *f);
} sources[] = {
	{ AUTO | ENV | FILES | CONTAINER | IMDS | 1u << CRED_STATIC,
	    from_route },
	{ AUTO | ENV | UNTRUSTED, from_environment },
	{ AUTO | FILES | UNTRUSTED, from_missing },
	{ AUTO | FILES | SOURCE | UNTRUSTED, from_role },
	{ AUTO | ENV | FILES | SOURCE | UNTRUSTED, from_web_identity },
	{ AUTO | FILES | SOURCE | UNTRUSTED, from_sso },
	{ AUTO | FILES | SOURCE | UNTRUSTED, from_shared_file },
	{ AUTO | FILES | SOURCE | UNTRUSTED, from_login },
	{ AUTO | FILES | SOURCE | UNTRUSTED, from_process },
	{ AUTO | FILES | SOURCE | UNTRUSTED, from_config_file },
	{ AUTO | FILES | SOURCE | UNTRUSTED, from_sso_alone },
	{ AUTO | CONTAINER | UNTRUSTED, from_container },
	{ AUTO | IMDS, from_imds }
};

static enum found
ask_all(struct finder *f, unsigned mode)
{
	enum found ret = ABSENT;
	bool passed_over = false;
	size_t i;

	for (i = 0; ret == ABSENT && i < sizeof sources / sizeof sources[0];
	    i++) {
		if ((sources[i].modes & mode) == 0)
			continue;
		if (f->a->env != NULL || !(sources[i].modes & UNTRUSTED)) {
			ret = sources[i].ask(f);
			continue;
		}
		if (!passed_over)
			absent(f, "environment and user files: not looked at "
			    "with set-id privilege");
		passed_over = true;
		if (f->a->route->profile != NULL)
			ret = NOTHING;
	}
	return ret;
}

enum found
from_source_profile(struct finder *f)
{
	return ask_all(f, SOURCE);
}

static enum found
walk(struct finder *f)
{
	struct role role = { .arn = f->a->route->role_arn };
	enum found ret;

	buf_reset(&f->answers);
	credentials_free(f->c);
	sha256_init(&f->recipe);
	ret = ask_all(f, 1u << f->a->route->credentials);
	return ret == FOUND && role.arn != NULL ? sts_assume(f, &role) : ret;
}

/* The exit status of a file that could not be read, or 0. */
static int
file_exit(const struct profile *p)
{
	return p->shared.state < 0 ? p->shared.why.exit :
	    p->config.state < 0 ? p->config.why.exit : 0;
}

static enum found
find(struct finder *f, bool fresh)
{
	unsigned char key[SHA256_SIZE];
	enum found ret;

	f->dry = true;
	ret = walk(f);
	if (ret != FOUND || (!f->remote && f->c->access_key_id != NULL))
		return ret;
	sha256_final(&f->recipe, key);
	f->dry = false;
	credentials_free(f->c);
	if (!fresh && f->remote && cache_load(f, key))
		return FOUND;
	ret = walk(f);
	if (ret == FOUND && f->remote)
		cache_save(f->a, key, f->c);
	return ret;
}

int
credentials_find(struct aws *a, bool fresh, struct credentials *c,
    struct result *res)
{
	struct profile top = { 0 };
	struct finder f = { .a = a, .c = c, .res = res, .top = &top,
		.p = &top };
	enum found ret;

	*c = (struct credentials){ 0 };
	profile_read(&top, a);
	ret = find(&f, fresh);
	if (ret == ABSENT || ret == NOTHING) {
		result_set(res, OUT_TEMP, CAUSE_OPERATOR,
		    "no AWS credentials: %s", buf_str(&f.answers));
		res->exit = file_exit(&top);
	}
	profile_free(&top);
	buf_free(&f.answers);
	if (ret != FOUND)
		credentials_free(c);
	return ret == FOUND ? 0 : -1;
}

int64_t
credentials_renew_at(const struct credentials *c, int64_t now)
{
	int64_t at = c->expires - MARGIN_SECONDS;

	if (c->expires == 0)
		return INT64_MAX;
	return at > now + PAUSE_SECONDS ? at : now + PAUSE_SECONDS;
}

void
credentials_free(struct credentials *c)
{
	str_wipe_free(c->access_key_id);
	str_wipe_free(c->secret_access_key);
	str_wipe_free(c->session_token);
	*c = (struct credentials){ 0 };
}
