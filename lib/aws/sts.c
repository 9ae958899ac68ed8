/*
 * AssumeRole and AssumeRoleWithWebIdentity (AWS Security Token Service API
 * Reference, version 2011-06-15).
 */
#include <stdio.h>
#include <string.h>

#include "lib/aws/signed.h"
#include "lib/aws/sources.h"
#include "lib/aws/verdict.h"
#include "lib/aws/xml.h"

enum { STEP_SECONDS = 10, TRIES = 3 };

enum reply_item { R_ID, R_SECRET, R_TOKEN, R_END, R_CODE, R_MESSAGE, NREPLY };

/* --- the request ----------------------------------------------------------- */

static void
add(struct buf *body, const char *name, const char *value)
{
	if (value == NULL)
		return;
	buf_addf(body, "&%s=", name);
	sigv4_add_encoded(body, value);
}

/* It may hold a token: made in one piece. */
static enum found
make_body(struct finder *f, const struct role *r, struct buf *body)
{
	struct buf token = { 0 };
	enum found ret = FOUND;

	if (r->token_file)
		ret = take_file(f, "web identity token", r->token_file, true,
		    &token);
	buf_reserve(body, 3 * (token.len + strlen(r->arn)) + 4096);
	buf_addf(body, "Action=AssumeRole%s&Version=2011-06-15",
	    r->token_file ? "WithWebIdentity" : "");
	add(body, "RoleArn", r->arn);
	add(body, "RoleSessionName", r->session ? r->session : "sendroute");
	add(body, "ExternalId", r->external);
	add(body, "DurationSeconds", r->duration);
	if (r->token_file)
		add(body, "WebIdentityToken", buf_str(&token));
	buf_wipe(&token);
	return ret == FOUND && body->failed ? failed(f, "out of memory") : ret;
}

/* Signed with f->c, or when that is empty not at all. */
static int
send(struct finder *f, const struct endpoint *e, const struct buf *body,
    struct http_reply *reply, struct result *res)
{
	const char *path = *e->url.path ? e->url.path : "/";
	unsigned char payload[SHA256_SIZE];
	struct signed_fields sign;
	struct fetch q = { .method = "POST", .target = path,
		.fields = sign.fields, .body = body, .by_proxy = true,
		.seconds = STEP_SECONDS, .tries = TRIES };
	int rc;

	sha256(payload, body->p, body->len);
	rc = signed_request(f->a, e, SERVICE_STS, f->c, "POST", path,
	    "application/x-www-form-urlencoded; charset=utf-8", payload, &sign);
	q.nfields = sign.n;
	if (rc < 0)
		result_fail(res, EXIT_OS, "out of memory");
	else
		rc = fetch(f->a, e, &q, reply, res);
	signed_free(&sign);
	return rc;
}

/* --- the reply ------------------------------------------------------------- */

/* f->c is what was signed with, and becomes what was given. */
static enum found
take_reply(struct finder *f, const struct http_reply *reply,
    const struct ini_item items[NREPLY], const struct role *r)
{
	if (reply->status != 200)
		return failed(f, "STS as %s: %d %s: %s", r->arn, reply->status,
		    buf_str(&items[R_CODE].value),
		    buf_str(&items[R_MESSAGE].value));
	credentials_free(f->c);
	set_source(f, "STS as %s", r->arn, "");
	if (take_keys(f, answer_names, buf_str(&items[R_ID].value),
	    buf_str(&items[R_SECRET].value), buf_str(&items[R_TOKEN].value)) !=
	    FOUND)
		return FAILED;
	return take_end(f, buf_str(&items[R_END].value));
}

/* What fetch() cannot know of: STS says 400 to what comes too often, too. */
static bool
mended(struct finder *f, const struct http_reply *reply, const char *code)
{
	struct result unused;
	enum remedy remedy = verdict(reply->status, code, "", true, &unused);

	if (reply->status == 400 && remedy == REMEDY_LATER)
		return clock_sleep(1000) == 0;
	return remedy == REMEDY_CLOCK && aws_fix_clock(f->a, reply);
}

/* ABSENT: once more. */
static enum found
attempt(struct finder *f, const struct endpoint *e, const struct buf *body,
    const struct role *r, bool last)
{
	struct ini_item items[NREPLY] = { 0 };
	struct http_reply reply = { 0 };
	struct result res;
	enum found ret;
	const char *name = answer_names;
	int i;

	for (i = 0; i < NREPLY; i++, name += strlen(name) + 1)
		items[i].key = name;
	if (send(f, e, body, &reply, &res) < 0)
		ret = failed(f, "STS: %s", res.text);
	else if ((xml_read(buf_str(&reply.body), items, NREPLY) < 0 ||
	    strlen(buf_str(&reply.body)) != reply.body.len) &&
	    reply.status == 200)
		ret = failed(f, "STS at %s gave rubbish", e->host);
	else if (!last && reply.status != 200 &&
	    mended(f, &reply, buf_str(&items[R_CODE].value)))
		ret = ABSENT;
	else
		ret = take_reply(f, &reply, items, r);
	for (i = 0; i < NREPLY; i++)
		buf_wipe(&items[i].value);
	fetch_done(&reply);
	return ret;
}

enum found
sts_assume(struct finder *f, const struct role *r)
{
	struct buf body = { 0 };
	struct endpoint e;
	struct result res;
	enum found ret;
	int i;

	if (endpoint_find(f->a, f->top, SERVICE_STS, &e, &res) < 0)
		return failed(f, "STS: %s", res.text);
	recipe(f, e.host);
	recipe(f, r->token_file);
	recipe(f, r->arn);
	recipe(f, r->session);
	recipe(f, r->external);
	recipe(f, r->duration);
	f->remote = true;
	if (f->dry)
		return FOUND;
	if (r->token_file)
		credentials_free(f->c);
	ret = make_body(f, r, &body);
	for (i = 1; ret == (i == 1 ? FOUND : ABSENT); i++)
		ret = attempt(f, &e, &body, r, i == TRIES);
	buf_wipe(&body);
	return ret;
}
