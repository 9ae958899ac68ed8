/* Where SES and STS are: by region, by the environment, by the AWS files. */
#include "lib/aws/endpoint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { VARIABLES_MAX = 16 };

static struct { const char *name, *value; } variables[VARIABLES_MAX];
static size_t nvariables;
static char config_file[] = "/tmp/endpoint.XXXXXX";

static const char *
fake_env(const char *name)
{
	size_t i = nvariables;

	while (i-- > 0)
		if (strcmp(variables[i].name, name) == 0)
			return variables[i].value;
	return NULL;
}

static void
set(const char *name, const char *value)
{
	assert_true(nvariables < VARIABLES_MAX);
	variables[nvariables].name = name;
	variables[nvariables++].value = value;
}

static void
put_config(const char *text)
{
	FILE *f = fopen(config_file, "w");

	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static int
setup(void **state)
{
	(void)state;
	nvariables = 0;
	set("AWS_CONFIG_FILE", config_file);
	put_config("");
	return 0;
}

static int
find(char *region, char *endpoint, env_lookup env, enum service s,
    struct endpoint *e, struct result *res)
{
	struct route r = { .endpoint = endpoint };
	struct aws a = { .route = &r, .env = env, .region = region };
	struct profile p = { 0 };
	int rc;

	profile_read(&p, &a);
	rc = endpoint_find(&a, &p, s, e, res);
	profile_free(&p);
	return rc;
}

static char ireland[] = "eu-west-1";

static void
is_at(enum service s, const char *host, bool tls)
{
	struct endpoint e;
	struct result res = { 0 };

	if (find(ireland, NULL, fake_env, s, &e, &res) != 0)
		fail_msg("%s", res.text);
	assert_string_equal(e.host, host);
	assert_int_equal(e.url.tls, tls);
}

static void
refused(char *endpoint, const char *text)
{
	struct endpoint e;
	struct result res = { 0 };

	assert_int_equal(find(ireland, endpoint, fake_env, SERVICE_SES, &e,
	    &res), -1);
	assert_string_equal(res.text, text);
	assert_int_equal(res.exit, EXIT_CONFIGURATION);
	assert_int_equal(res.cause, CAUSE_OPERATOR);
}

/* Of eusc apart, as the rule sets in botocore 1.43 have it. */
static const struct region_case {
	const char *region, *fips, *dual;	/* "true" or NULL */
	const char *ses, *sts;
} region_cases[] = {
	{ "eu-west-1", NULL, NULL, "email.eu-west-1.amazonaws.com",
	    "sts.eu-west-1.amazonaws.com" },
	{ "us-east-1", "true", NULL, "email-fips.us-east-1.amazonaws.com",
	    "sts-fips.us-east-1.amazonaws.com" },
	{ "us-east-1", NULL, "true", "email.us-east-1.api.aws",
	    "sts.us-east-1.api.aws" },
	{ "us-east-1", "true", "true", "email-fips.us-east-1.api.aws",
	    "sts-fips.us-east-1.api.aws" },
	{ "us-gov-west-1", NULL, NULL, "email.us-gov-west-1.amazonaws.com",
	    "sts.us-gov-west-1.amazonaws.com" },
	{ "us-gov-west-1", "true", NULL,
	    "email-fips.us-gov-west-1.amazonaws.com",
	    "sts.us-gov-west-1.amazonaws.com" },
	{ "us-gov-west-1", "true", "true", "email-fips.us-gov-west-1.api.aws",
	    "sts-fips.us-gov-west-1.api.aws" },
	{ "cn-north-1", NULL, NULL, "email.cn-north-1.amazonaws.com.cn",
	    "sts.cn-north-1.amazonaws.com.cn" },
	{ "cn-north-1", NULL, "TRUE",
	    "email.cn-north-1.api.amazonwebservices.com.cn",
	    "sts.cn-north-1.api.amazonwebservices.com.cn" },
	{ "eusc-de-east-1", NULL, NULL, "email.eusc-de-east-1.amazonaws.eu",
	    "sts.eusc-de-east-1.amazonaws.eu" },
	{ "eusc-de-east-1", "false", "true",
	    "email.eusc-de-east-1.api.amazonwebservices.eu",
	    "sts.eusc-de-east-1.api.amazonwebservices.eu" }
};

static void
regions_have_their_own(void **state)
{
	const struct region_case *c;
	struct endpoint e;
	struct result res;
	char region[64];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof region_cases / sizeof region_cases[0]; i++) {
		c = &region_cases[i];
		nvariables = 0;
		set("AWS_USE_FIPS_ENDPOINT", c->fips);
		set("AWS_USE_DUALSTACK_ENDPOINT", c->dual);
		snprintf(region, sizeof region, "%s", c->region);
		assert_int_equal(find(region, NULL, fake_env, SERVICE_SES, &e,
		    &res), 0);
		assert_string_equal(e.host, c->ses);
		assert_int_equal(find(region, NULL, fake_env, SERVICE_STS, &e,
		    &res), 0);
		assert_string_equal(e.host, c->sts);
		assert_true(e.url.tls);
		assert_int_equal(e.url.port, 443);
	}
}

static void
the_profile_may_ask_for_fips(void **state)
{
	(void)state;
	put_config("[default]\nuse_fips_endpoint = true\n"
	    "use_dualstack_endpoint = true\n");
	is_at(SERVICE_SES, "email-fips.eu-west-1.api.aws", true);
	set("AWS_USE_FIPS_ENDPOINT", "false");
	is_at(SERVICE_SES, "email.eu-west-1.api.aws", true);
}

static void
urls_are_looked_for_in_order(void **state)
{
	(void)state;
	put_config("[default]\nendpoint_url = https://a.test\nservices = mine\n"
	    "[services mine]\nsesv2 =\n  endpoint_url = https://b.test\n"
	    "s3 =\n  endpoint_url = https://s3.test\n"
	    "sts =\n  x = y\n  endpoint_url = https://sts.test:8443/x\n");
	is_at(SERVICE_SES, "b.test", true);
	is_at(SERVICE_STS, "sts.test:8443", true);
	set("AWS_ENDPOINT_URL", "https://c.test");
	is_at(SERVICE_SES, "c.test", true);
	is_at(SERVICE_STS, "c.test", true);
	set("AWS_ENDPOINT_URL_SESV2", "http://localhost:1");
	set("AWS_ENDPOINT_URL_STS", "http://[::1]:2");
	is_at(SERVICE_SES, "localhost:1", false);
	is_at(SERVICE_STS, "[::1]:2", false);
	set("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true");
	is_at(SERVICE_SES, "email.eu-west-1.amazonaws.com", true);
	is_at(SERVICE_STS, "sts.eu-west-1.amazonaws.com", true);
}

static void
the_profile_has_one_for_all(void **state)
{
	(void)state;
	put_config("[default]\nendpoint_url = https://a.test\n"
	    "services = none\n");
	is_at(SERVICE_SES, "a.test", true);
	is_at(SERVICE_STS, "a.test", true);
	put_config("[default]\nendpoint_url = https://a.test\n"
	    "ignore_configured_endpoint_urls = true\n");
	is_at(SERVICE_SES, "email.eu-west-1.amazonaws.com", true);
}

static void
the_route_s_wins_for_ses_alone(void **state)
{
	static char own[] = "https://own.test";
	struct endpoint e;
	struct result res;

	(void)state;
	set("AWS_ENDPOINT_URL", "https://c.test");
	set("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true");
	assert_int_equal(find(ireland, own, fake_env, SERVICE_SES, &e, &res),
	    0);
	assert_string_equal(e.host, "own.test");
	assert_int_equal(find(ireland, own, fake_env, SERVICE_STS, &e, &res),
	    0);
	assert_string_equal(e.host, "sts.eu-west-1.amazonaws.com");
}

static void
with_set_id_privilege_nothing_of_it_counts(void **state)
{
	struct endpoint e;
	struct result res;

	(void)state;
	put_config("[default]\nendpoint_url = https://a.test\n"
	    "use_fips_endpoint = true\n");
	set("AWS_ENDPOINT_URL", "https://c.test");
	set("AWS_USE_FIPS_ENDPOINT", "true");
	assert_int_equal(find(ireland, NULL, NULL, SERVICE_SES, &e, &res), 0);
	assert_string_equal(e.host, "email.eu-west-1.amazonaws.com");
}

#define UNUSABLE " cannot be used; expected https://HOST, or http:// to this " \
    "machine"

static void
what_cannot_be_an_endpoint_is_refused(void **state)
{
	static char multi[] = "https://abc.endpoints.email.global.api.aws";
	static char own[] = "https://own.test";

	(void)state;
	set("AWS_ENDPOINT_URL", "http://c.test");
	refused(NULL, "endpoint http://c.test" UNUSABLE);
	set("AWS_ENDPOINT_URL", "c.test");
	refused(NULL, "endpoint c.test" UNUSABLE);
	set("AWS_ENDPOINT_URL", "https://c.test/?x");
	refused(NULL, "endpoint https://c.test/?x" UNUSABLE);
	refused(multi, "endpoint https://abc.endpoints.email.global.api.aws "
	    "needs Signature Version 4a, which is not built");
	set("AWS_USE_FIPS_ENDPOINT", "true");
	refused(own, "endpoint https://own.test goes with neither FIPS nor "
	    "dual-stack");
	set("AWS_USE_FIPS_ENDPOINT", NULL);
	set("AWS_USE_DUALSTACK_ENDPOINT", "true");
	refused(own, "endpoint https://own.test goes with neither FIPS nor "
	    "dual-stack");
}

static void
located(struct route *r, env_lookup env, const char *region,
    const char *ca_file)
{
	struct aws a = { .route = r, .env = env };
	struct endpoint e;
	struct result res;

	assert_int_equal(aws_locate(&a, &e, &res), 0);
	assert_string_equal(a.region, region);
	if (ca_file != NULL)
		assert_string_equal(a.ca_file, ca_file);
	else
		assert_null(a.ca_file);
	aws_free(&a);
	assert_null(a.region);
}

static void
roots_are_looked_for_in_order(void **state)
{
	static char region[] = "eu-west-1", own[] = "/own";
	struct route r = { .region = region };

	(void)state;
	located(&r, fake_env, "eu-west-1", NULL);
	put_config("[default]\nca_bundle = /profile\n");
	located(&r, fake_env, "eu-west-1", "/profile");
	set("AWS_CA_BUNDLE", "/environment");
	located(&r, fake_env, "eu-west-1", "/environment");
	r.ca_file = own;
	located(&r, fake_env, "eu-west-1", "/own");
	r.ca_file = NULL;
	located(&r, NULL, "eu-west-1", NULL);
}

/* Which proxy the URL is asked by; "": none. */
static void
by_proxy(struct route *r, env_lookup env, const char *url, const char *proxy)
{
	struct aws a = { .route = r, .env = env };
	struct endpoint e;
	const char *found;

	assert_int_equal(endpoint_parse(&e, url), 0);
	found = aws_proxy(&a, &e.url);
	assert_string_equal(found ? found : "", proxy);
}

static void
proxies_are_looked_for_in_order(void **state)
{
	static char own[] = "http://own", none[] = "";
	struct route r = { 0 };

	(void)state;
	by_proxy(&r, fake_env, "https://a.example.com", "");
	set("HTTP_PROXY", "http://wrong");
	set("ALL_PROXY", "http://wrong");
	set("HTTPS_PROXY", "http://large");
	by_proxy(&r, fake_env, "https://a.example.com", "http://large");
	set("https_proxy", "http://small");
	by_proxy(&r, fake_env, "https://a.example.com", "http://small");
	by_proxy(&r, fake_env, "https://localhost:4566", "");
	by_proxy(&r, fake_env, "https://127.1.2.3", "");
	by_proxy(&r, fake_env, "http://a.example.com", "");
	set("NO_PROXY", "example.com:8443");
	by_proxy(&r, fake_env, "https://a.example.com", "http://small");
	by_proxy(&r, fake_env, "https://a.example.com:8443", "");
	set("no_proxy", "*");
	by_proxy(&r, fake_env, "https://b.example.net", "");
	/* The environment's exceptions are the environment's alone. */
	r.proxy = own;
	by_proxy(&r, fake_env, "https://a.example.com", "http://own");
	by_proxy(&r, fake_env, "https://localhost", "http://own");
	by_proxy(&r, fake_env, "http://localhost", "");
	r.proxy = none;
	set("no_proxy", "");
	by_proxy(&r, fake_env, "https://a.example.net", "");
	/* With set-id privilege. */
	by_proxy(&r, NULL, "https://a.example.net", "");
	r.proxy = NULL;
	by_proxy(&r, NULL, "https://a.example.net", "");
	r.proxy = own;
	by_proxy(&r, NULL, "https://a.example.net", "http://own");
}

#define TEST(f) cmocka_unit_test_setup(f, setup)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(regions_have_their_own),
		TEST(the_profile_may_ask_for_fips),
		TEST(urls_are_looked_for_in_order),
		TEST(the_profile_has_one_for_all),
		TEST(the_route_s_wins_for_ses_alone),
		TEST(with_set_id_privilege_nothing_of_it_counts),
		TEST(what_cannot_be_an_endpoint_is_refused),
		TEST(roots_are_looked_for_in_order),
		TEST(proxies_are_looked_for_in_order)
	};
	int fd = mkstemp(config_file), failed;

	if (fd < 0)
		return 1;
	close(fd);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(config_file);
	return failed;
}
