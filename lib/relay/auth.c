#include "lib/relay/auth.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/base64.h"
#include "lib/base/buf.h"
#include "lib/relay/sasl.h"

/* One attempt to log in. */
struct dialogue {
	struct session *c;
	struct sasl sasl;
	struct buf challenge, answer;
	struct reply r;			/* the last */
	const char *wrong;		/* what the server has done, or NULL */
};

void
auth_note(struct offer *o, const char *list)
{
	size_t n;

	snprintf(o->mech_names, sizeof o->mech_names, "%s", list);
	while (*list) {
		list += strspn(list, " =");
		n = strcspn(list, " =");
		o->mechs |= sasl_known(list, n);
		list += n;
	}
}

static bool
has_token(unsigned mech)
{
	return mech & (SASL_OAUTHBEARER | SASL_XOAUTH2);
}

/* --- one dialogue --- */

/* Send base64 of the answer behind prefix, wiping every copy. */
static int
send_answer(struct dialogue *d, const char *prefix)
{
	size_t len = strlen(prefix), n = d->answer.len;
	char *line = d->answer.failed ? NULL : malloc(len + BASE64_SIZE(n) + 1);
	char shown[32];
	int rc;

	if (line == NULL)
		return stream_fail(&d->c->s, CAUSE_LOCAL, "out of memory");
	memcpy(line, prefix, len);
	line[len + base64_encode(line + len, buf_str(&d->answer), n)] = '\0';
	snprintf(shown, sizeof shown, "%s***", prefix);
	rc = session_send_as(d->c, line, shown);
	str_wipe_free(line);
	buf_wipe(&d->answer);
	return rc;
}

/*
 * With the client's first words, when it has them and the line stays within its
 * limit; else they wait in d->answer. An empty first word is "=".
 */
static int
send_auth(struct dialogue *d)
{
	char line[32];

	snprintf(line, sizeof line, "AUTH %s ", sasl_name(d->sasl.mech));
	if (d->sasl.mech == SASL_EXTERNAL)
		return session_send(d->c, "AUTH EXTERNAL =");
	if (sasl_begins(&d->sasl)) {
		sasl_next(&d->sasl, "", 0, &d->answer);
		if (strlen(line) + BASE64_SIZE(d->answer.len) <= COMMAND_MAX)
			return send_answer(d, line);
	}
	line[strlen(line) - 1] = '\0';
	return session_send(d->c, line);
}

static void
keep_text(void *ctx, const char *text)
{
	buf_adds(ctx, text);
}

/* The next reply; a challenge in it is decoded. */
static int
hear(struct dialogue *d)
{
	struct buf *b = &d->challenge;
	ssize_t n;

	buf_reset(b);
	if (reply_read(&d->c->s, d->c->log, &d->r, keep_text, b) < 0)
		return -1;
	if (b->failed)
		return stream_fail(&d->c->s, CAUSE_LOCAL, "out of memory");
	if (d->r.code != 334)
		return 0;
	n = base64_decode(b->p, b->len, b->p, b->len);
	if (n < 0)
		d->wrong = "the server's challenge is not in base64";
	else {
		b->len = (size_t)n;
		b->p[n] = '\0';
	}
	return 0;
}

/* To the last reply, or until something is wrong. -1: the stream has failed. */
static int
converse(struct dialogue *d)
{
	if (send_auth(d) < 0 || hear(d) < 0)
		return -1;
	while (d->r.code == 334 && !d->wrong) {
		if (d->answer.len == 0)
			d->wrong = sasl_next(&d->sasl, buf_str(&d->challenge),
			    d->challenge.len, &d->answer);
		if (!d->wrong && (send_answer(d, "") < 0 || hear(d) < 0))
			return -1;
	}
	if (d->r.code == 235 && !d->sasl.proven)
		d->wrong = "the server does not prove that it knows the "
		    "password: an impostor?";
	return 0;
}

/* --- what came of it --- */

/* 0; or -1 with c->res filled. */
static int
judge(struct dialogue *d)
{
	struct session *c = d->c;
	char doing[80];

	snprintf(doing, sizeof doing, "AUTH %s", sasl_name(d->sasl.mech));
	if (d->wrong) {
		/* A dialogue is given up properly. */
		if (d->r.code == 334 &&
		    session_command(c, "*", &d->r, doing) < 0)
			return -1;
		result_set(&c->res, OUT_TEMP, CAUSE_OPERATOR, "%s: %s: %s",
		    c->s.peer, doing, d->wrong);
		return -1;
	}
	if (d->r.code == 235)
		return 0;
	if (d->r.code / 100 == 4) {
		strcat(doing, " deferred");
		return session_refused(c, CAUSE_ROUTE, doing, &d->r);
	}
	strcat(doing, d->sasl.mech == SASL_EXTERNAL ?
	    " refused (check `client-cert`)" : has_token(d->sasl.mech) ?
	    " refused (check `user` and the token)" :
	    " refused (check `user` and the password)");
	return session_refused(c, CAUSE_OPERATOR, doing, &d->r);
}

/*
 * Log in by one mechanism. 0; 1 when the server does not know it, or -1, both
 * with c->res filled.
 */
static int
attempt(struct session *c, unsigned mech, const char *password)
{
	struct dialogue d = { .c = c, .sasl = { .mech = mech,
	    .user = c->route->user, .secret = password,
	    .host = c->route->host, .port = c->route->port } };
	int rc;

	session_step(c, MAIL_SECONDS);
	if (sasl_init(&d.sasl) < 0)
		rc = stream_fail(&c->s, CAUSE_LOCAL,
		    "the system gives no random bytes");
	else
		rc = converse(&d);
	rc = rc < 0 ? session_failed(c, "AUTH") : judge(&d);
	if (rc < 0 && d.r.code == 504 && !d.wrong)
		rc = 1;
	sasl_free(&d.sasl);
	buf_wipe(&d.answer);
	buf_wipe(&d.challenge);
	return rc;
}

/* --- the choice --- */

/* Are all characters printable ASCII from `least` on? */
static bool
is_printable(const char *s, char least)
{
	for (; *s; s++)
		if (*s < least || *s > '~')
			return false;
	return true;
}

/* What the route allows, of what the server offers. */
static unsigned
in_common(const struct session *c, const char *password)
{
	static const unsigned char asked[] = {
		[AUTH_AUTO] = SASL_SCRAM_SHA_256 | SASL_PLAIN | SASL_LOGIN,
		[AUTH_PLAIN] = SASL_PLAIN, [AUTH_LOGIN] = SASL_LOGIN,
		[AUTH_CRAM_MD5] = SASL_CRAM_MD5,
		[AUTH_SCRAM_SHA_256] = SASL_SCRAM_SHA_256,
		[AUTH_OAUTHBEARER] = SASL_OAUTHBEARER,
		[AUTH_XOAUTH2] = SASL_XOAUTH2
	};
	const unsigned scram = SASL_SCRAM_SHA_256;
	unsigned both = c->offer.mechs & asked[c->route->auth];

	if (password == NULL)
		return c->offer.mechs & SASL_EXTERNAL;
	if (c->route->auth != AUTH_AUTO)
		return both;
	/* The weakest, and never the reason to go without TLS. */
	if (both == 0 && c->route->tls != TLS_OFF)
		both = c->offer.mechs & SASL_CRAM_MD5;
	/* PLAIN leaves it to the server to prepare what is not ASCII. */
	if ((both & ~scram) && !(is_printable(c->route->user, ' ') &&
	    is_printable(password, ' ')))
		both &= ~scram;
	return both;
}

int
auth_log_in(struct session *c, const char *password)
{
	unsigned mechs = in_common(c, password), best;
	int rc = 1;

	result_set(&c->res, OUT_TEMP, CAUSE_OPERATOR, "%s: no AUTH mechanism in "
	    "common (the server offers: %s)", c->s.peer,
	    c->offer.auth ? c->offer.mech_names : "none");
	/* RFC 6750 section 2.1: nothing in a token ends it. */
	if (has_token(mechs) && !is_printable(password, '!')) {
		result_set(&c->res, OUT_TEMP, CAUSE_OPERATOR, "the token of route "
		    "%s holds a character that no token has", c->route->name);
		mechs = 0;
	}
	while (rc > 0 && mechs != 0) {
		best = mechs & (0 - mechs);
		mechs &= ~best;
		rc = attempt(c, best, password);
	}
	return rc == 0 ? 0 : -1;
}
