#include "lib/aws/endpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/net/dial.h"
#include "lib/net/proxy.h"

enum {
	REGION_MAX = 63,	/* it becomes a label of a host name */
	URL_MAX = 400,
	SKEW_SECONDS = 240	/* the clock is wrong from here on */
};

/* By the regions' first letters. */
static const struct { const char *regions, *suffix, *dual_stack; }
partitions[] = {
	{ "cn-", "amazonaws.com.cn", "api.amazonwebservices.com.cn" },
	{ "eusc-", "amazonaws.eu", "api.amazonwebservices.eu" },
	{ "", "amazonaws.com", "api.aws" }
};

/* The words for each service, in the order of enum service. */
static const struct { const char *host, *variable, *key; } services[] = {
	{ "email", "AWS_ENDPOINT_URL_SESV2", "sesv2.endpoint_url" },
	{ "sts", "AWS_ENDPOINT_URL_STS", "sts.endpoint_url" }
};

#define REFUSE(res, ...) operators(res, \
    result_fail(res, EXIT_CONFIGURATION, __VA_ARGS__))

static int
operators(struct result *res, int rc)
{
	res->cause = CAUSE_OPERATOR;
	return rc;
}

/* --- region ---------------------------------------------------------------- */

/* A copy of a region that can stand in a host name and a scope. */
static char *
region_copy(const char *region, const char *from, struct result *res)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz"
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-";
	size_t n = strlen(region);
	char *copy = NULL;

	if (n > REGION_MAX || strspn(region, allowed) != n) {
		REFUSE(res, "\"%.80s\" in %s is not the name of a region",
		    region, from);
		return NULL;
	}
	copy = mem_dup(region, n);
	if (copy == NULL)
		result_fail(res, EXIT_OS, "out of memory");
	return copy;
}

static char *
region_absent(const struct profile *p, struct result *res)
{
	const struct profile_file *file = p->shared.state < 0 ? &p->shared :
	    &p->config;

	REFUSE(res, "no region: expected `region`, AWS_REGION or a region in "
	    "profile %s%s%s", p->name, file->state < 0 ? "; " : "",
	    file->state < 0 ? file->why.text : "");
	return NULL;
}

char *
endpoint_region(const struct aws *a, const struct profile *p,
    struct result *res)
{
	static const char *const vars[] = { "AWS_REGION", "AWS_DEFAULT_REGION" };
	const struct profile_file *file;
	const char *region;
	size_t i;

	if (a->route->region != NULL)
		return region_copy(a->route->region, "the configuration", res);
	for (i = 0; i < sizeof vars / sizeof vars[0]; i++)
		if ((region = aws_variable(a->env, vars[i])) != NULL)
			return region_copy(region, vars[i], res);
	file = profile_file(p, ITEM_REGION);
	if (file == NULL)
		return region_absent(p, res);
	return region_copy(profile_value(p, ITEM_REGION), buf_str(&file->path),
	    res);
}

/* --- endpoints ------------------------------------------------------------- */

int
endpoint_parse(struct endpoint *e, const char *url)
{
	if (http_url_parse(url, &e->url) < 0)
		return -1;
	return http_host_field(&e->url, e->host, sizeof e->host);
}

/* The region's own. */
static void
own_url(const struct aws *a, enum service s, bool fips, bool dual,
    char url[URL_MAX])
{
	const char *r = a->region;
	size_t i = 0;

	while (strncmp(r, partitions[i].regions,
	    strlen(partitions[i].regions)) != 0)
		i++;
	/* What GovCloud calls sts is FIPS's already. */
	if (s == SERVICE_STS && !dual && strncmp(r, "us-gov-", 7) == 0)
		fips = false;
	snprintf(url, URL_MAX, "https://%s%s.%s.%s", services[s].host,
	    fips ? "-fips" : "", r,
	    dual ? partitions[i].dual_stack : partitions[i].suffix);
}

/* What `services` of the profile leads to. -1: its file cannot be read. */
static int
from_section(const struct profile *p, enum service s, struct buf *out,
    struct result *res)
{
	const char *name = profile_value(p, ITEM_SERVICES);
	struct buf section = { 0 };
	int rc = 0;

	if (name != NULL) {
		buf_addf(&section, "services %s", name);
		rc = ini_get(buf_str(&p->config.path), buf_str(&section),
		    services[s].key, out, res);
		buf_free(&section);
	}
	return rc < 0 ? -1 : 0;
}

/* The URL that somebody has set, by the SDKs' precedence; NULL: nobody has. */
static const char *
given_url(const struct aws *a, const struct profile *p, enum service s,
    const struct buf *section)
{
	const char *url = s == SERVICE_SES ? a->route->endpoint : NULL;

	if (url != NULL || aws_is_true(aws_setting(a,
	    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", p, ITEM_IGNORE)))
		return url;
	url = aws_variable(a->env, services[s].variable);
	if (url == NULL)
		url = aws_variable(a->env, "AWS_ENDPOINT_URL");
	if (url == NULL && section->len > 0)
		url = buf_str(section);
	return url != NULL ? url : profile_value(p, ITEM_ENDPOINT);
}

static int
judge(struct endpoint *e, const char *url, struct result *res)
{
	if (endpoint_parse(e, url) < 0 ||
	    (!e->url.tls && !dial_is_loopback(e->url.host)))
		return REFUSE(res, "endpoint %.300s cannot be used; expected "
		    "https://HOST, or http:// to this machine", url);
	if (strstr(e->url.host, ".endpoints.email."))
		return REFUSE(res, "endpoint %.300s needs Signature Version 4a, "
		    "which is not built", url);
	return 0;
}

int
endpoint_find(const struct aws *a, const struct profile *p, enum service s,
    struct endpoint *e, struct result *res)
{
	bool fips = aws_is_true(aws_setting(a, "AWS_USE_FIPS_ENDPOINT", p,
	    ITEM_FIPS));
	bool dual = aws_is_true(aws_setting(a, "AWS_USE_DUALSTACK_ENDPOINT", p,
	    ITEM_DUAL));
	struct buf section = { 0 };
	const char *given;
	char url[URL_MAX];
	int rc = from_section(p, s, &section, res);

	given = given_url(a, p, s, &section);
	if (rc == 0 && given != NULL && (fips || dual))
		rc = REFUSE(res, "endpoint %.300s goes with neither FIPS nor "
		    "dual-stack", given);
	else if (rc == 0) {
		if (given == NULL)
			own_url(a, s, fips, dual, url);
		rc = judge(e, given != NULL ? given : url, res);
	}
	buf_free(&section);
	return rc;
}

/* --- a route's ------------------------------------------------------------- */

static int
locate(struct aws *a, const struct profile *p, struct endpoint *e,
    struct result *res)
{
	const char *bundle = a->route->ca_file;

	if (a->region == NULL)
		a->region = endpoint_region(a, p, res);
	if (a->region == NULL)
		return -1;
	if (bundle == NULL)
		bundle = aws_setting(a, "AWS_CA_BUNDLE", p, ITEM_CA);
	if (bundle != NULL && a->ca_file == NULL) {
		a->ca_file = mem_dup(bundle, strlen(bundle));
		if (a->ca_file == NULL)
			return result_fail(res, EXIT_OS, "out of memory");
	}
	return endpoint_find(a, p, SERVICE_SES, e, res);
}

int
aws_locate(struct aws *a, struct endpoint *e, struct result *res)
{
	struct profile p = { 0 };
	int rc;

	profile_read(&p, a);
	rc = locate(a, &p, e, res);
	profile_free(&p);
	return rc;
}

/* The variable in small or in capital letters, as the SDKs have it. */
static const char *
either(const struct aws *a, const char *small, const char *capital)
{
	const char *value = aws_variable(a->env, small);

	return value != NULL ? value : aws_variable(a->env, capital);
}

const char *
aws_proxy(const struct aws *a, const struct http_url *url)
{
	const char *list;

	/* Without TLS it is on this machine, which is not the proxy's. */
	if (!url->tls)
		return NULL;
	if (a->route->proxy != NULL)
		return a->route->proxy;
	list = either(a, "no_proxy", "NO_PROXY");
	if (dial_is_loopback(url->host) || (list != NULL &&
	    proxy_is_excepted(list, url->host, url->port)))
		return NULL;
	return either(a, "https_proxy", "HTTPS_PROXY");
}

int64_t
aws_now(const struct aws *a)
{
	return (int64_t)clock_wall() + a->clock_offset;
}

bool
aws_fix_clock(struct aws *a, const struct http_reply *reply)
{
	const char *date = http_reply_field(reply, "Date");
	int64_t offset;
	time_t theirs;

	if (date == NULL || clock_parse_http(date, &theirs) < 0)
		return false;
	offset = (int64_t)theirs - aws_now(a);
	if (offset > -SKEW_SECONDS && offset < SKEW_SECONDS)
		return false;
	a->clock_offset += offset;
	log_write(a->log, "route=%s reason=\"this machine's clock is wrong by "
	    "%lld s; corrected for AWS\"", a->route->name,
	    (long long)a->clock_offset);
	return true;
}

void
aws_free(struct aws *a)
{
	free(a->region);
	free(a->ca_file);
	a->region = a->ca_file = NULL;
}
