#include "lib/config/config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/config/check.h"
#include "lib/config/file.h"
#include "lib/config/parse.h"
#include "lib/config/values.h"
#include "lib/net/resolve.h"

enum { CONFIG_MAX = 1 << 20 };

const struct route *
config_route(const struct config *c, const char *name)
{
	size_t i;

	for (i = 0; i < c->nroutes; i++)
		if (c->routes[i].name && strcmp(c->routes[i].name, name) == 0)
			return &c->routes[i];
	return NULL;
}

/* --- Defaults ------------------------------------------------------------- */

static char *
copy(const char *s)
{
	return mem_dup(s, strlen(s));
}

/* The full name that the resolver, /etc/hosts first, gives a bare one; or NULL. */
static char *
full_name(const char *bare)
{
	struct ip_address found[RESOLVE_MAX];
	char full[RESOLVE_NAME];

	if (resolve(&resolve_system, bare, found, full) < 0 ||
	    strchr(full, '.') == NULL || !value_is_domain(full))
		return NULL;
	return copy(full);
}

static char *
host_name(void)
{
	char name[256] = "";
	char *full = NULL;

	if (gethostname(name, sizeof name - 1) < 0 || !value_is_domain(name))
		return copy("localhost");
	if (strchr(name, '.') == NULL)
		full = full_name(name);
	return full ? full : copy(name);
}

static unsigned
default_port(const struct route *r)
{
	if (r->type == ROUTE_LMTP)
		return 24;
	switch (r->tls) {
	case TLS_IMPLICIT:
		return 465;
	case TLS_OFF:
		return 25;
	case TLS_STARTTLS:
		break;
	}
	return 587;
}

static int
fill_defaults(struct config *c, struct result *res)
{
	struct route *r;

	if (c->hostname == NULL)
		c->hostname = host_name();
	if (c->hostname && c->domain == NULL)
		c->domain = copy(c->hostname);
	if (c->domain == NULL)
		return result_fail(res, EXIT_OS, "out of memory");
	for (r = c->routes; r < c->routes + c->nroutes; r++) {
		if (r->connections == 0)
			r->connections = 1;
		if (r->port == 0)
			r->port = default_port(r);
		if (r->ca_file == NULL && c->ca_file) {
			r->ca_file = copy(c->ca_file);
			if (r->ca_file == NULL)
				return result_fail(res, EXIT_OS,
				    "out of memory");
		}
	}
	return 0;
}

/* --- Loading -------------------------------------------------------------- */

/* Does the configuration itself hold what others must not see or change? */
static bool
holds_secret(const struct config *c)
{
	const struct route *r;

	for (r = c->routes; r < c->routes + c->nroutes; r++)
		if ((r->password.value && !r->password.file) ||
		    r->password.command ||
		    (r->secret_access_key.value && !r->secret_access_key.file) ||
		    r->session_token || (r->proxy && strchr(r->proxy, '@')))
			return true;
	return false;
}

bool
config_is_exposed(const struct config *c)
{
	return (c->mode & S_IROTH) && holds_secret(c);
}

static int
check_mode(const struct config *c, struct result *res)
{
	if ((c->mode & (S_IWGRP | S_IWOTH)) && holds_secret(c))
		return result_fail(res, EXIT_CONFIGURATION, "%.300s holds a "
		    "secret and can be written by others; expected chmod go-w",
		    c->file);
	return 0;
}

static int
parse(struct config *c, const char *name, unsigned mode, const char *text,
    size_t n, struct result *res)
{
	*c = (struct config){ .mode = mode, .queue_lifetime = 5 * 86400,
	    .queue_warn = 4 * 3600 };
	c->file = copy(name);
	if (c->file == NULL)
		return result_fail(res, EXIT_OS, "out of memory");
	if (parse_text(c, text, n, res) < 0 || check_mode(c, res) < 0 ||
	    check_routes(c, res) < 0 || fill_defaults(c, res) < 0) {
		config_free(c);
		return -1;
	}
	return 0;
}

int
config_parse(struct config *c, const char *name, const char *text,
    struct result *res)
{
	return parse(c, name, 0, text, strlen(text), res);
}

static int
load_open(struct config *c, int fd, const char *file, const struct stat *st,
    struct result *res)
{
	size_t size = (size_t)st->st_size;
	ssize_t n;
	char *text;
	int rc;

	if (st->st_size > CONFIG_MAX)
		return result_fail(res, EXIT_CONFIGURATION, "%.300s has %lld "
		    "bytes; expected a configuration of 1 MiB at most", file,
		    (long long)st->st_size);
	text = malloc(size + 1);
	if (text == NULL)
		return result_fail(res, EXIT_OS, "out of memory");
	n = file_read(fd, text, size);
	if (n < 0)
		rc = result_fail(res, EXIT_CONFIGURATION,
		    "%.300s cannot be read: %s", file, strerror(errno));
	else
		rc = parse(c, file, st->st_mode & 0777, text, (size_t)n, res);
	mem_wipe(text, size);
	free(text);
	return rc;
}

int
config_load(struct config *c, const char *file, struct result *res)
{
	struct stat st;
	int fd, rc;

	*c = (struct config){ 0 };
	fd = file_open("", file, &st, res);
	if (fd < 0 && errno == ENOENT)
		return result_fail(res, EXIT_CONFIGURATION, "no configuration: "
		    "%.300s does not exist; write one (see sendroute.conf(5)) "
		    "or name another with -C", file);
	if (fd < 0)
		return -1;
	rc = load_open(c, fd, file, &st, res);
	close(fd);
	return rc;
}

/* The route's client certificate and the key to it. */
static void
open_identity(struct route *r, struct log *log)
{
	const char *key_file = r->client_key ? r->client_key : r->client_cert;
	const char *wrong;
	char *certs, *key = NULL;
	size_t n, nkey;
	bool in_key;

	certs = secret_read("client-cert", r->client_cert, IDENTITY_PEM, &n,
	    NULL, &r->identity_err);
	if (certs)
		key = secret_read("client-key", key_file, IDENTITY_PEM, &nkey,
		    log, &r->identity_err);
	if (key) {
		wrong = identity_parse(&r->identity, certs, key, &in_key);
		if (wrong) {
			result_set(&r->identity_err, OUT_TEMP, CAUSE_OPERATOR,
			    "client-%s %.300s %s", in_key ? "key" : "cert",
			    in_key ? key_file : r->client_cert, wrong);
			r->identity_err.exit = secret_exit(wrong);
		}
		mem_wipe(key, nkey);
	}
	free(key);
	free(certs);
}

/* The key that signs what goes out by this route. */
static void
open_dkim(struct route *r, struct log *log)
{
	const char *wrong;
	char *pem;
	size_t n;

	pem = secret_read("dkim-key", r->dkim_key, IDENTITY_PEM, &n, log,
	    &r->dkim_err);
	if (pem == NULL)
		return;
	wrong = private_key_parse(&r->dkim, pem);
	if (wrong == NULL && (r->dkim.curve != 0 ||
	    private_key_bits(&r->dkim) < DKIM_BITS_MIN)) {
		wrong = "is no RSA key of 2048 to 4096 bits";
		private_key_free(&r->dkim);
	}
	if (wrong) {
		result_set(&r->dkim_err, OUT_TEMP, CAUSE_OPERATOR,
		    "dkim-key %.300s %s", r->dkim_key, wrong);
		r->dkim_err.exit = secret_exit(wrong);
	}
	mem_wipe(pem, n);
	free(pem);
}

void
config_open_secrets(struct config *c, struct log *log)
{
	struct buf what = { 0 };
	struct route *r;

	if (config_is_exposed(c))
		log_write(log, "%s holds a secret and can be read by everyone "
		    "on this machine; chmod o-r is advised", c->file);
	for (r = c->routes; r < c->routes + c->nroutes; r++) {
		buf_reset(&what);
		buf_addf(&what, "password-file");
		secret_open(&r->password, buf_str(&what), log);
		buf_reset(&what);
		buf_addf(&what, "secret-access-key-file");
		secret_open(&r->secret_access_key, buf_str(&what), log);
		if (r->client_cert)
			open_identity(r, log);
		if (r->dkim_key)
			open_dkim(r, log);
	}
	buf_free(&what);
}

/* --- The end -------------------------------------------------------------- */

static void
route_free(struct route *r)
{
	size_t i;

	for (i = 0; i < r->nsources; i++)
		free(r->sources[i].text);
	for (i = 0; i < r->ntags; i++) {
		free(r->tags[i].name);
		free(r->tags[i].value);
	}
	free(r->sources);
	free(r->tags);
	free(r->pins);
	secret_free(&r->password);
	secret_free(&r->secret_access_key);
	str_wipe_free(r->session_token);
	str_wipe_free(r->proxy);
	free(r->access_key_id);
	free(r->name);
	free(r->fallback);
	free(r->host);
	identity_free(&r->identity);
	free(r->dkim_domain);
	free(r->dkim_selector);
	free(r->dkim_key);
	private_key_free(&r->dkim);
	free(r->client_cert);
	free(r->client_key);
	free(r->source_address);
	free(r->user);
	free(r->ca_file);
	free(r->region);
	free(r->endpoint);
	free(r->profile);
	free(r->role_arn);
	free(r->configuration_set);
	free(r->from_arn);
	free(r->path);
}

void
config_free(struct config *c)
{
	size_t i;

	for (i = 0; i < c->nroutes; i++)
		route_free(&c->routes[i]);
	free(c->routes);
	free(c->file);
	free(c->hostname);
	free(c->domain);
	free(c->from);
	free(c->override_from);
	free(c->aliases);
	free(c->queue);
	free(c->bounce_to);
	free(c->ca_file);
	free(c->log_file);
	*c = (struct config){ 0 };
}

struct tls_params
config_tls(const struct config *c, const struct route *r, const char *host)
{
	return (struct tls_params){ .host = host, .ca_file = r->ca_file,
		.pins = (const unsigned char (*)[SHA256_SIZE])r->pins,
		.npins = r->npins, .seconds = c->timeout,
		.identity = r->identity.ncerts > 0 ? &r->identity : NULL };
}
