/*
 * The role of a container: ECS, EKS Pod Identity, Greengrass ("Container credential
 * provider").
 */
#include <stdio.h>
#include <string.h>

#include "lib/aws/sources.h"
#include "lib/net/dial.h"

enum { STEP_SECONDS = 2, TRIES = 3 };

/* Plain HTTP is for these, and for this machine. */
static bool
is_trusted(const char *host)
{
	return dial_is_loopback(host) || strcmp(host, "169.254.170.2") == 0 ||
	    strcmp(host, "169.254.170.23") == 0 ||
	    str_iequal(host, "fd00:ec2::23");
}

/* *target: path and query. */
static enum found
locate(struct finder *f, struct buf *url, struct endpoint *e,
    const char **target)
{
	env_lookup env = f->a->env;
	const char *relative, *full, *text;
	char *query;

	relative = aws_variable(env, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
	full = aws_variable(env, "AWS_CONTAINER_CREDENTIALS_FULL_URI");
	if (relative == NULL && full == NULL)
		return absent(f, "container: no AWS_CONTAINER_CREDENTIALS_*");
	if (relative != NULL)
		buf_adds(url, "http://169.254.170.2");
	buf_adds(url, relative != NULL ? relative : full);
	recipe(f, buf_str(url));
	text = strstr(buf_str(url), "://");
	text = text != NULL ? strchr(text + 3, '/') : NULL;
	*target = text != NULL ? text : "/";
	query = strchr(buf_str(url), '?');
	if (query != NULL)
		*query = '\0';
	if (endpoint_parse(e, buf_str(url)) < 0 ||
	    (!e->url.tls && !is_trusted(e->url.host)))
		return failed(f, "container: %.200s is no https:// URL",
		    buf_str(url));
	if (query != NULL)
		*query = '?';
	return FOUND;
}

static enum found
get_token(struct finder *f, struct buf *token)
{
	env_lookup env = f->a->env;
	const char *path, *text;

	path = aws_variable(env, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
	text = aws_variable(env, "AWS_CONTAINER_AUTHORIZATION_TOKEN");
	if (path != NULL) {
		if (take_file(f, "container token", path, false, token) != FOUND)
			return FAILED;
	} else if (text != NULL)
		buf_adds(token, text);
	if (strpbrk(buf_str(token), "\r\n"))
		return failed(f, "container token: a line end in it");
	return FOUND;
}

static enum found
ask(struct finder *f, const struct endpoint *e, const char *target,
    const struct buf *token)
{
	struct http_field field = { "Accept", "application/json" };
	struct http_reply reply;
	struct result res;
	enum found ret;

	if (token->len > 0) {
		field.name = "Authorization";
		field.value = token->p;
	}
	if (fetch_short(f->a, e, false, target, field, STEP_SECONDS, TRIES,
	    &reply, &res) < 0)
		ret = failed(f, "container: %s", res.text);
	else if (reply.status != 200)
		ret = failed(f, "container at %s answered %d: %.200s", e->host,
		    reply.status, buf_str(&reply.body));
	else
		ret = take_json(f, buf_str(&reply.body), reply.body.len,
		    "Token");
	fetch_done(&reply);
	return ret;
}

enum found
from_container(struct finder *f)
{
	struct buf url = { 0 }, token = { 0 };
	struct endpoint e;
	const char *target = "";
	enum found ret = locate(f, &url, &e, &target);

	if (ret == FOUND) {
		f->remote = true;
		set_source(f, "container at %s", e.host, "");
		if (!f->dry)
			ret = get_token(f, &token);
		if (!f->dry && ret == FOUND)
			ret = ask(f, &e, target, &token);
	}
	buf_free(&url);
	buf_wipe(&token);
	return ret;
}
