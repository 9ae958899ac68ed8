/*
 * Configurations: what is taken keeps the promises that all the rest relies on;
 * what is refused says so with file and line, without telling a secret.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/config/config.h"
#include "lib/net/resolve.h"
#include "tests/fuzz/fuzz.h"

static void
check_route(const struct config *c, const struct route *r)
{
	const struct route *f = r;
	size_t n = 0;

	CHECK(r->name && *r->name && config_route(c, r->name) == r);
	for (; f; f = f->fallback_route)
		CHECK(n++ < c->nroutes);
	CHECK((r->fallback == NULL) == (r->fallback_route == NULL));
	CHECK(r->connections >= 1);
	CHECK(!r->dkim_domain == !r->dkim_key);
	CHECK(!r->dkim_domain == !r->dkim_selector);
	if (r->type == ROUTE_SMTP || r->type == ROUTE_LMTP) {
		CHECK(r->host && *r->host && r->port > 0 && r->port < 65536);
		CHECK(r->client_cert || !r->client_key);
		/* A password goes in clear to this machine alone. */
		CHECK(r->tls != TLS_OFF || r->user == NULL ||
		    *r->host == '/' || str_istarts(r->host, "unix:") ||
		    str_iequal(r->host, "localhost") ||
		    strncmp(r->host, "127.", 4) == 0 ||
		    strcmp(r->host, "::1") == 0 ||
		    strcmp(r->host, "[::1]") == 0);
	}
	CHECK(r->type != ROUTE_MAILDIR || (r->path && *r->path == '/'));
	CHECK(r->type != ROUTE_QMAIL || (r->path && *r->path == '/'));
}

static void
check(const struct config *c)
{
	size_t i;

	CHECK(c->hostname && *c->hostname && c->domain && *c->domain);
	CHECK(!c->queue || *c->queue == '/');
	CHECK(!c->aliases || *c->aliases == '/');
	CHECK(!c->from || strchr(c->from, '@'));
	for (i = 0; i < c->nroutes; i++)
		check_route(c, &c->routes[i]);
}

FUZZ(config)
{
	static const struct config empty;
	char *text = in_text(in), *secret = strstr(text, "password ");
	struct buf all = { 0 };
	struct config c;
	struct result res = { 0 };

	buf_addf(&all, "hostname h.example.org\n%s", text);
	memset(&c, 0xff, sizeof c);
	if (config_parse(&c, "f", buf_str(&all), &res) == 0) {
		check(&c);
		config_free(&c);
		CHECK(memcmp(&c, &empty, sizeof c) == 0);
	} else {
		CHECK(memcmp(&c, &empty, sizeof c) == 0);
		CHECK(res.exit == EXIT_CONFIGURATION);
		CHECK(strncmp(res.text, "f:", 2) == 0 && is_clean(res.text));
		/* A marked secret shows in no text. */
		if (secret && str_istarts(secret, "password SeCrEt"))
			CHECK(strstr(res.text, "SeCrEt") == NULL ||
			    secret != strstr(text, "SeCrEt") - 9);
	}
	buf_free(&all);
	free(text);
}
