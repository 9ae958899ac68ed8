#include "lib/config/check.h"

#include <string.h>

#include "lib/base/buf.h"
#include "lib/config/parse.h"
#include "lib/net/dial.h"
#include "lib/net/http.h"

/* --- A route by itself ---------------------------------------------------- */

#define FAIL_AT(line, ...) parse_fail(c, line, res, __VA_ARGS__)
#define FAIL(r, ...) FAIL_AT((r)->line, __VA_ARGS__)

static bool
has_password(const struct route *r)
{
	return r->password.value || r->password.file || r->password.command;
}

static bool
has_proxy(const struct route *r)
{
	return r->proxy && *r->proxy;
}

static bool
needs_certificate_name(const char *host)
{
	return strncmp(host, "unix:", 5) != 0 && !dial_is_address(host);
}

static int
check_login(const struct config *c, const struct route *r, struct result *res)
{
	bool secret = has_password(r);

	if (!!r->password.value + !!r->password.file + !!r->password.command > 1)
		return FAIL(r, "route %s has more than one password; expected "
		    "one of password, password-file and password-command",
		    r->name);
	if (r->user && !secret)
		return FAIL(r, "route %s has a user but no password; expected "
		    "password-file, password-command or password", r->name);
	if (secret && !r->user)
		return FAIL(r, "route %s has a password but no user; expected "
		    "user", r->name);
	if (r->auth == AUTH_OFF && r->user)
		return FAIL(r, "route %s has auth off and a user; expected one "
		    "of them", r->name);
	if (r->auth != AUTH_AUTO && r->auth != AUTH_OFF && !r->user)
		return FAIL(r, "route %s has auth but no user; expected user "
		    "and a password", r->name);
	return 0;
}

static int
check_smtp_tls(const struct config *c, const struct route *r,
    struct result *res)
{
	if (r->tls == TLS_OFF && (r->ca_file || r->npins > 0))
		return FAIL(r, "route %s has tls off and %s; expected one of "
		    "them", r->name, r->ca_file ? "a ca-file" : "a tls-pin");
	if (r->client_key && !r->client_cert)
		return FAIL(r, "route %s has a client-key alone; expected "
		    "client-cert beside it", r->name);
	if (r->tls == TLS_OFF && r->client_cert)
		return FAIL(r, "route %s has tls off and a client-cert; "
		    "expected one of them", r->name);
	/* Behind a proxy localhost is another machine. */
	if (r->tls == TLS_OFF && r->user &&
	    (has_proxy(r) || !dial_is_loopback(r->host)))
		return FAIL(r, "route %s would send its password without TLS; "
		    "expected tls starttls or implicit, or a host on this "
		    "machine", r->name);
	if (r->tls != TLS_OFF && r->npins == 0 &&
	    !needs_certificate_name(r->host))
		return FAIL(r, "route %s has host %.80s, which no certificate "
		    "can name; expected a host name%s or a tls-pin", r->name,
		    r->host, r->host[0] == 'u' ? ", tls off" : "");
	return 0;
}

static int
check_smtp(const struct config *c, const struct route *r, struct result *res)
{
	if (r->host == NULL)
		return FAIL(r, "route %s has no host; expected the relay's",
		    r->name);
	if (strncmp(r->host, "unix:", 5) == 0 && r->port != 0)
		return FAIL(r, "route %s has a port and a Unix socket; "
		    "expected one of them", r->name);
	if (strncmp(r->host, "unix:", 5) == 0 &&
	    (r->source_address || has_proxy(r)))
		return FAIL(r, "route %s has a %s and a Unix socket; expected "
		    "one of them", r->name, r->source_address ?
		    "source-address" : "proxy");
	if (check_login(c, r, res) < 0)
		return -1;
	return check_smtp_tls(c, r, res);
}

static int
check_keys(const struct config *c, const struct route *r, struct result *res)
{
	const struct secret *key = &r->secret_access_key;
	bool secret = key->value || key->file;

	if (key->value && key->file)
		return FAIL(r, "route %s has secret-access-key and "
		    "secret-access-key-file; expected one of them", r->name);
	if (r->access_key_id && !secret)
		return FAIL(r, "route %s has an access-key-id alone; expected "
		    "secret-access-key-file beside it", r->name);
	if (secret && !r->access_key_id)
		return FAIL(r, "route %s has a secret access key alone; "
		    "expected access-key-id beside it", r->name);
	if (r->session_token && !r->access_key_id)
		return FAIL(r, "route %s has a session-token alone; expected "
		    "access-key-id and secret-access-key-file beside it",
		    r->name);
	if (r->credentials == CRED_STATIC && !r->access_key_id)
		return FAIL(r, "route %s has credentials static but no keys; "
		    "expected access-key-id and secret-access-key-file",
		    r->name);
	return 0;
}

static int
check_ses(const struct config *c, const struct route *r, struct result *res)
{
	struct http_url url;

	if (check_keys(c, r, res) < 0)
		return -1;
	if (r->nsources == 0)
		return FAIL(r, "route %s has no senders; expected senders or "
		    "sender, for SES takes mail of verified senders only",
		    r->name);
	if (r->endpoint == NULL || http_url_parse(r->endpoint, &url) < 0)
		return 0;
	if (!url.tls && (r->ca_file || r->npins > 0))
		return FAIL(r, "route %s has an endpoint without TLS and %s; "
		    "expected one of them", r->name,
		    r->ca_file ? "a ca-file" : "a tls-pin");
	if (url.tls && r->npins == 0 && !needs_certificate_name(url.host))
		return FAIL(r, "route %s has an endpoint that no certificate "
		    "can name; expected a host name or a tls-pin", r->name);
	return 0;
}

static int
check_dkim(const struct config *c, const struct route *r, struct result *res)
{
	int n = !!r->dkim_domain + !!r->dkim_selector + !!r->dkim_key;

	if (n != 0 && n != 3)
		return FAIL(r, "route %s has not all of dkim-domain, "
		    "dkim-selector and dkim-key; expected all or none", r->name);
	if (n != 0 && r->type == ROUTE_QMAIL)
		return FAIL(r, "route %s has a dkim-key, but type qmail hands "
		    "messages over as they are; expected none", r->name);
	return 0;
}

static int
check_route(const struct config *c, const struct route *r, struct result *res)
{
	if (check_dkim(c, r, res) < 0)
		return -1;
	switch (r->type) {
	case ROUTE_SES:
		return check_ses(c, r, res);
	case ROUTE_SMTP:
	case ROUTE_LMTP:
		return check_smtp(c, r, res);
	case ROUTE_MAILDIR:
	case ROUTE_QMAIL:
		break;
	}
	if (r->path == NULL)
		return FAIL(r, "route %s has no %s", r->name,
		    r->type == ROUTE_QMAIL ? "pass-to; expected the other "
		    "qmail-remote" : "path; expected the Maildir's");
	return 0;
}

/* --- Routes together ------------------------------------------------------ */

static int
resolve_fallbacks(struct config *c, struct result *res)
{
	struct route *r;

	for (r = c->routes; r < c->routes + c->nroutes; r++) {
		if (r->fallback == NULL)
			continue;
		r->fallback_route = config_route(c, r->fallback);
		if (r->fallback_route == NULL)
			return FAIL_AT(r->fallback_line, "route %s has fallback %s, which is no "
			    "route; expected the name of one", r->name,
			    r->fallback);
		if (r->fallback_route == r)
			return FAIL_AT(r->fallback_line, "route %s is its own fallback; expected "
			    "another route", r->name);
	}
	return 0;
}

/* Is r on a loop, so that its fallbacks lead back to it? */
static bool
leads_back(const struct config *c, const struct route *r)
{
	const struct route *next = r->fallback_route;
	size_t i;

	for (i = 0; next && next != r && i < c->nroutes; i++)
		next = next->fallback_route;
	return next == r;
}

static int
check_loops(const struct config *c, struct result *res)
{
	const struct route *r, *next;
	struct buf chain = { 0 };

	for (r = c->routes; r < c->routes + c->nroutes; r++)
		if (leads_back(c, r))
			break;
	if (r == c->routes + c->nroutes)
		return 0;
	buf_adds(&chain, r->name);
	for (next = r->fallback_route; next != r; next = next->fallback_route)
		buf_addf(&chain, " -> %s", next->name);
	FAIL_AT(r->fallback_line, "the fallbacks run in a circle: %.200s -> %s; expected an end",
	    buf_str(&chain), r->name);
	buf_free(&chain);
	return -1;
}

static bool
is_fallback(const struct config *c, const struct route *r)
{
	size_t i;

	for (i = 0; i < c->nroutes; i++)
		if (c->routes[i].fallback_route == r)
			return true;
	return false;
}

int
check_routes(struct config *c, struct result *res)
{
	const struct route *r;

	for (r = c->routes; r < c->routes + c->nroutes; r++)
		if (check_route(c, r, res) < 0)
			return -1;
	if (resolve_fallbacks(c, res) < 0 || check_loops(c, res) < 0)
		return -1;
	for (r = c->routes; r < c->routes + c->nroutes; r++)
		if (r->nsources == 0 && !is_fallback(c, r))
			return FAIL(r, "route %s has no senders and is no "
			    "route's fallback; expected senders or sender",
			    r->name);
	return 0;
}
