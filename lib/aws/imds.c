/*
 * The role of an EC2 instance, from its metadata service, version 2 alone ("IMDS
 * credential provider"; EC2 User Guide, "Use IMDSv2").
 */
#include <stdio.h>
#include <string.h>

#include "lib/aws/sources.h"

enum { STEP_SECONDS = 1, TRIES = 2, TOKEN_MAX = 1024, ROLE_MAX = 256 };

#define ROLES "/latest/meta-data/iam/security-credentials/"

struct imds {
	struct finder *f;
	struct endpoint e;
	char token[TOKEN_MAX];
};

/* --- where ----------------------------------------------------------------- */

static enum found
locate(struct finder *f, struct endpoint *e)
{
	const struct aws *a = f->a;
	const char *url = aws_setting(a, "AWS_EC2_METADATA_SERVICE_ENDPOINT",
	    f->top, ITEM_IMDS);
	const char *mode = aws_setting(a,
	    "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", f->top, ITEM_IMDS_MODE);
	size_t n;

	if (aws_is_true(aws_variable(a->env, "AWS_EC2_METADATA_DISABLED")))
		return absent(f, "EC2: disabled");
	if (url == NULL)
		url = mode != NULL && str_iequal(mode, "IPv6") ?
		    "http://[fd00:ec2::254]" : "http://169.254.169.254";
	if (endpoint_parse(e, url) < 0)
		return failed(f, "EC2: %.200s is no URL", url);
	n = strlen(e->url.path);
	if (n > 0 && e->url.path[n - 1] == '/')
		e->url.path[n - 1] = '\0';
	recipe(f, url);
	return FOUND;
}

/* --- one question ---------------------------------------------------------- */

/* A reply of 200 that holds something; else ABSENT, with the reason told. */
static enum found
ask(struct imds *m, const char *what, const char *role,
    struct http_reply *reply)
{
	bool put = m->token[0] == '\0';
	char target[sizeof m->e.url.path + sizeof ROLES + ROLE_MAX];
	struct http_field field = { "X-aws-ec2-metadata-token", m->token };
	struct result res;

	if (put) {
		field.name = "X-aws-ec2-metadata-token-ttl-seconds";
		field.value = "21600";
	}
	snprintf(target, sizeof target, "%s%s%s", m->e.url.path, what, role);
	if (fetch_short(m->f->a, &m->e, put, target, field, STEP_SECONDS,
	    put ? 1 : TRIES, reply, &res) < 0)
		return absent(m->f, "EC2: %s%s", res.text, reply->sent_whole ?
		    " (hop limit?)" : "");
	if (reply->status == 200 && reply->body.len > 0)
		return FOUND;
	return absent(m->f, "EC2: %s answered %d%s", m->e.host, reply->status,
	    reply->status != 404 && reply->status != 405 ? "" :
	    put ? ": no IMDSv2" : ": no role");
}

/* The first line of a reply. */
static enum found
take_line(struct imds *m, const struct http_reply *reply, char *out,
    size_t size)
{
	const char *text = buf_str(&reply->body);
	size_t n = strcspn(text, "\r\n"), i;

	for (i = 0; i < n && text[i] > ' ' && text[i] <= '~'; i++)
		;
	if (n == 0 || i < n || n >= size)
		return absent(m->f, "EC2: %s answered rubbish", m->e.host);
	memcpy(out, text, n);
	out[n] = '\0';
	return FOUND;
}

static enum found
ask_line(struct imds *m, const char *what, char *out, size_t size)
{
	struct http_reply reply;
	enum found ret = ask(m, what, "", &reply);

	if (ret == FOUND)
		ret = take_line(m, &reply, out, size);
	fetch_done(&reply);
	return ret;
}

/* --- all three ------------------------------------------------------------- */

static enum found
ask_credentials(struct imds *m, const char *role)
{
	struct finder *f = m->f;
	struct http_reply reply;
	enum found ret = ask(m, ROLES, role, &reply);

	set_source(f, "EC2 role %s", role, "");
	if (ret == FOUND)
		ret = take_json(f, buf_str(&reply.body), reply.body.len,
		    "Token");
	fetch_done(&reply);
	return ret;
}

enum found
from_imds(struct finder *f)
{
	struct imds m = { .f = f };
	char role[ROLE_MAX];
	enum found ret = locate(f, &m.e);

	if (ret != FOUND)
		return ret;
	f->remote = true;
	if (f->dry)
		return FOUND;
	ret = ask_line(&m, "/latest/api/token", m.token, sizeof m.token);
	if (ret == FOUND)
		ret = ask_line(&m, ROLES, role, sizeof role);
	if (ret == FOUND)
		ret = ask_credentials(&m, role);
	mem_wipe(m.token, sizeof m.token);
	return ret;
}
