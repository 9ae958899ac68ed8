#include "lib/front/check_routes.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/config/senders.h"
#include "lib/front/verified.h"
#include "lib/mail/verify.h"
#include "lib/net/dial.h"
#include "lib/net/resolve.h"
#include "lib/relay/session.h"
#include "ses.h"

enum {
	CLOCK_OFF = 60,			/* seconds that are worth a warning */
	EXPIRY_DAYS = 14		/* of a certificate, likewise */
};

/* --- lines --- */

static void
print(const char *subject, const char *step, const char *what,
    const char *text)
{
	char line[1200];

	snprintf(line, sizeof line, "%s: %s: %s%s%s", subject, step, what,
	    *text ? " " : "", text);
	text_clean(line);
	puts(line);
}

void
check_say(struct check *k, const char *subject, const char *step,
    const struct result *failure)
{
	int status = EXIT_TEMP;

	print(subject, step, failure ? "failed" : "ok",
	    failure ? failure->text : "");
	if (failure == NULL)
		return;
	if (failure->exit == EXIT_NOPERM || failure->exit == EXIT_CONFIGURATION)
		status = failure->exit;
	if (status > k->status)
		k->status = status;
}

void
check_note(const char *subject, const char *step, bool ok,
    const char *fmt, ...)
{
	char line[900];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	print(subject, step, ok ? "ok" : "warning", line);
}

/* A route being checked. */
struct checked {
	struct check *k;
	const struct route *r;
	struct session *session;
	struct tls_leaf leaf;
	struct verified_list verified;
	unsigned next;			/* enum step that is awaited */
	char name[80];			/* "route NAME" */
};

#define NOTE(c, step, ok, ...) check_note((c)->name, step, ok, __VA_ARGS__)

static void
fail(struct checked *c, const char *step, const struct result *res)
{
	check_say(c->k, c->name, step, res);
}

/* A proxy's failure begins so. */
static const char *
failed_at(const struct result *res, const char *step)
{
	return strncmp(res->text, "proxy ", 6) == 0 ? "proxy" : step;
}

static void
show_proxy(struct checked *c, const char *via)
{
	if (*via)
		NOTE(c, "proxy", true, "%s", via);
}

/* --- secrets and lists --- */

static void
check_secret(struct checked *c, const char *step, const char *file,
    const struct result *err)
{
	struct stat st;

	if (file == NULL)
		return;
	if (err->text[0] != '\0')
		fail(c, step, err);
	else if (stat(file, &st) == 0 && (st.st_mode & S_IROTH))
		NOTE(c, step, false, "%s can be read by everyone on this "
		    "machine; chmod o-r is advised", file);
	else
		NOTE(c, step, true, "%s", file);
}

static void
check_secrets(struct checked *c)
{
	const struct route *r = c->r;

	check_secret(c, "password-file", r->password.file, &r->password.err);
	check_secret(c, "secret-access-key-file", r->secret_access_key.file,
	    &r->secret_access_key.err);
	check_secret(c, "client-key", r->client_key ? r->client_key :
	    r->client_cert, &r->identity_err);
	check_secret(c, "dkim-key", r->dkim_key, &r->dkim_err);
}

/* What receivers of signed mail will find. */
static void
check_dkim(struct checked *c)
{
	const struct route *r = c->r;
	struct result res = { 0 };
	const char *why;
	bool certain;

	if (r->dkim.n.n == 0)
		return;
	why = verify_published(r->dkim_domain, r->dkim_selector, &r->dkim,
	    &certain);
	snprintf(res.text, sizeof res.text, "%s._domainkey.%s%s%s",
	    r->dkim_selector, r->dkim_domain, why ? ": " : "", why ? why : "");
	if (why && certain)
		fail(c, "dkim", &res);
	else
		NOTE(c, "dkim", !why, "%s", res.text);
}

/* Does SES take what the pattern stands for, because `name` is verified? */
static bool
covers(const char *name, const struct pattern *p)
{
	const char *at = strchr(name, '@'), *domain = at ? at + 1 : name;
	const char *tail = p->domain;
	size_t n = strlen(domain), tail_size = p->ndomain, k;
	bool literal = !p->wild_domain && !p->subdomains;

	if (p->everyone)
		return false;
	if (at) {
		k = (size_t)(at - name);
		return literal && tail_size == n && mem_iequal(tail, domain, n)
		    && p->nlocal >= k && memcmp(p->local, name, k) == 0 &&
		    (p->nlocal == k || p->local[k] == '+');
	}
	/* What stands behind the last wildcard. */
	for (k = 0; p->wild_domain && k < p->ndomain; k++)
		if (p->domain[k] == '*') {
			tail = p->domain + k + 1;
			tail_size = p->ndomain - k - 1;
		}
	return tail_size >= n && mem_iequal(tail + tail_size - n, domain, n) &&
	    (tail_size == n ? !p->wild_domain : tail[tail_size - n - 1] == '.');
}

static void
compare(void *ctx, const struct pattern *p, const char *text, size_t n)
{
	struct checked *c = ctx;
	struct verified *v;
	char probe[400];
	bool covered = false;
	size_t i;

	for (i = 0; i < c->verified.n; i++) {
		v = &c->verified.v[i];
		snprintf(probe, sizeof probe, "%s%s",
		    strchr(v->name, '@') ? "" : "x@", v->name);
		if (covers(v->name, p))
			covered = v->listed = true;
		else if (senders_pattern_match(text, n, probe))
			v->listed = true;
	}
	if (!covered)
		NOTE(c, "senders", false, "%.*s is listed, but not verified",
		    n > 300 ? 300 : (int)n, text);
}

static void
ignore(void *ctx, const struct pattern *p, const char *text, size_t n)
{
	(void)ctx, (void)p, (void)text, (void)n;
}

static void
check_senders(struct checked *c)
{
	struct result res;

	if (c->r->nsources == 0)
		return;
	if (senders_each(c->r, ignore, NULL, &res) < 0)
		fail(c, "senders", &res);
	else
		fail(c, "senders", NULL);
}

/* --- SES --- */

static void
check_account(struct checked *c, struct ses *s)
{
	struct account a;
	struct result res;
	long long off;
	int rc = account_get(s, &a, &res);

	show_proxy(c, ses_via(s));
	if (rc < 0) {
		fail(c, failed_at(&res, "account"), &res);
		return;
	}
	off = a.date ? (long long)(a.date - time(NULL)) : 0;
	NOTE(c, "clock", off < CLOCK_OFF && off > -CLOCK_OFF, "%lld s %s",
	    off < 0 ? -off : off, off < 0 ? "ahead" : "behind");
	res = (struct result){ 0 };
	if (!a.sending)
		snprintf(res.text, sizeof res.text, "sending is disabled (%s)",
		    a.enforcement);
	else if (a.most >= 0 && a.sent >= a.most)
		snprintf(res.text, sizeof res.text, "the quota is used up: %lld "
		    "sent in 24 h", a.sent);
	if (res.text[0] != '\0')
		fail(c, "account", &res);
	else if (a.most < 0)
		NOTE(c, "account", true, "%lld sent in 24 h, no limit; %lld a "
		    "second", a.sent, a.rate);
	else
		NOTE(c, "account", true, "%lld of %lld sent in 24 h, %lld left; "
		    "%lld a second", a.sent, a.most, a.most - a.sent, a.rate);
	if (a.enforcement[0] != '\0')
		NOTE(c, "enforcement", strcmp(a.enforcement, "HEALTHY") == 0,
		    "%s", a.enforcement);
	if (!a.production)
		NOTE(c, "account", false, "in the sandbox: recipients must be "
		    "verified too");
}

static void
check_identities(struct checked *c, struct ses *s)
{
	struct verified_list *l = &c->verified;
	struct result res;
	size_t i;

	if (verified_get(s, l, &res) < 0) {
		fail(c, "identities", &res);
	} else {
		NOTE(c, "identities", l->n > 0, "%zu verified", l->n);
		if (senders_each(c->r, compare, c, &res) < 0)
			fail(c, "senders", &res);
		for (i = 0; i < l->n; i++)
			if (!l->v[i].listed)
				NOTE(c, "senders", true, "(hint) %s is "
				    "verified, but not listed", l->v[i].name);
	}
	verified_free(l);
}

static void
check_ses(struct checked *c)
{
	struct ses *s = ses_open(c->r, c->k->config, c->k->env, c->k->log);
	const struct credentials *found;
	const char *host;
	char until[CLOCK_TEXT_SIZE] = "never";
	struct result res = { .text = "out of memory" };

	found = s ? ses_credentials(s, &host, &res) : NULL;
	if (found == NULL) {
		fail(c, "credentials", &res);
	} else {
		if (found->expires > 0)
			clock_text(until, (time_t)found->expires);
		NOTE(c, "credentials", true, "%s from %s, end: %s; for %s",
		    found->access_key_id, found->source, until, host);
		if (found->exposed)
			NOTE(c, "credentials", false, "their file can be read "
			    "by everyone on this machine; chmod o-r is advised");
		if (c->k->asked)
			sleep(1);
		c->k->asked = true;
		check_account(c, s);
		if (!ses_down(s))
			check_identities(c, s);
	}
	ses_close(s);
}

/* --- SMTP and LMTP --- */

/* All that the name has; whether one can be reached is the next step. */
static void
show_addresses(struct checked *c)
{
	struct ip_address found[RESOLVE_MAX];
	struct buf text = { 0 };
	char one[RESOLVE_TEXT];
	int i, n;

	/* What a proxy finds only the proxy knows. */
	if (strncmp(c->r->host, "unix:", 5) == 0 ||
	    dial_is_address(c->r->host) || (c->r->proxy && *c->r->proxy))
		return;
	n = resolve(&resolve_system, c->r->host, found, NULL);
	for (i = 0; i < n; i++) {
		resolve_text(&found[i], one);
		buf_addf(&text, "%s%s", i > 0 ? " " : "", one);
	}
	if (n > 0)
		NOTE(c, "addresses", true, "%s", buf_str(&text));
	buf_free(&text);
}

static void
show_leaf(struct checked *c, bool verified)
{
	const struct tls_leaf *leaf = &c->leaf;
	char pin[2 * SHA256_SIZE + 1];
	long long days;
	size_t i;

	if (!leaf->seen)
		return;
	days = (long long)((leaf->not_after - clock_wall()) / 86400);
	for (i = 0; i < SHA256_SIZE; i++)
		snprintf(pin + 2 * i, 3, "%02x", leaf->pin[i]);
	NOTE(c, "certificate", verified && days >= EXPIRY_DAYS,
	    "for %s, by \"%s\", ends in %lld days, tls-pin sha256:%s",
	    leaf->name_list, leaf->issuer, days, pin);
}

static void
show_offer(struct checked *c, const struct offer *o)
{
	const struct { bool offered; const char *name; } all[] = {
		{ o->starttls, " STARTTLS" }, { o->pipelining, " PIPELINING" },
		{ o->chunking, " CHUNKING" }, { o->eightbit, " 8BITMIME" },
		{ o->utf8, " SMTPUTF8" }, { o->dsn, " DSN" },
		{ o->requiretls, " REQUIRETLS" }
	};
	struct buf text = { 0 };
	size_t i;

	for (i = 0; i < sizeof all / sizeof all[0]; i++)
		if (all[i].offered)
			buf_adds(&text, all[i].name);
	if (o->size)
		buf_addf(&text, " SIZE=%llu",
		    (unsigned long long)o->size_limit);
	if (o->auth)
		buf_addf(&text, " AUTH %s", o->mech_names);
	NOTE(c, "extensions", !text.failed, "%s", text.failed ? "out of memory" :
	    text.len ? text.p + 1 : "none");
	buf_free(&text);
}

static void
reached(struct session *s, enum step step)
{
	struct checked *c = s->reached_ctx;
	char what[96];

	switch (step) {
	case STEP_CONNECTED:
		show_proxy(c, s->s.via);
		NOTE(c, "connect", true, "%s", s->s.peer);
		break;
	case STEP_TLS:
		tls_describe(&s->s, what, sizeof what);
		NOTE(c, "tls", true, "%s", what);
		show_leaf(c, true);
		break;
	case STEP_HELLO:
		show_offer(c, &s->offer);
		break;
	}
	c->next = step + 1;
}

static void
check_smtp(struct checked *c)
{
	static const char *const steps[] = { "connect", "session", "session",
		"auth" };
	const struct route *r = c->r;
	struct session s = { .route = r, .config = c->k->config,
		.log = c->k->log, .s.fd = -1, .leaf = &c->leaf,
		.reached = reached, .reached_ctx = c };

	show_addresses(c);
	if (session_open(&s) < 0) {
		if (c->next == STEP_TLS)
			show_leaf(c, false);
		fail(c, failed_at(&s.res, steps[c->next]), &s.res);
	} else if (r->user)
		NOTE(c, "auth", true, "%s", r->user);
	session_close(&s);
	mem_wipe(&s.tls, sizeof s.tls);
}

/* --- all --- */

/* A Maildir, or another qmail-remote. */
static void
check_path(struct checked *c, int mode)
{
	struct result res = { .exit = EXIT_CONFIGURATION };

	if (access(c->r->path, mode) == 0)
		NOTE(c, "path", true, "%s", c->r->path);
	else if (errno == ENOENT && c->r->type == ROUTE_MAILDIR)
		NOTE(c, "path", false, "%s is not there yet", c->r->path);
	else {
		snprintf(res.text, sizeof res.text, "%s: %s", c->r->path,
		    strerror(errno));
		fail(c, "path", &res);
	}
}

void
check_all_routes(struct check *k)
{
	const struct config *config = k->config;
	const struct route *r;

	for (r = config->routes; r < config->routes + config->nroutes; r++) {
		struct checked c = { .k = k, .r = r };

		snprintf(c.name, sizeof c.name, "route %.70s", r->name);
		check_secrets(&c);
		check_senders(&c);
		check_dkim(&c);
		switch (r->type) {
		case ROUTE_SES:
			check_ses(&c);
			break;
		case ROUTE_SMTP:
		case ROUTE_LMTP:
			check_smtp(&c);
			break;
		case ROUTE_MAILDIR:
			check_path(&c, W_OK | X_OK);
			break;
		case ROUTE_QMAIL:
			check_path(&c, X_OK);
			break;
		}
		fflush(stdout);
	}
}
