#include "lib/relay/auth.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/base64.h"
#include "lib/base/buf.h"

enum { MECH_PLAIN = 1, MECH_LOGIN = 2 };

static unsigned
mechanism(const char *name, size_t n)
{
	if (n == 5 && mem_iequal(name, "PLAIN", 5))
		return MECH_PLAIN;
	if (n == 5 && mem_iequal(name, "LOGIN", 5))
		return MECH_LOGIN;
	return 0;
}

void
auth_note(struct offer *o, const char *list)
{
	size_t n;

	snprintf(o->mech_names, sizeof o->mech_names, "%s", list);
	while (*list) {
		list += strspn(list, " =");
		n = strcspn(list, " =");
		o->mechs |= mechanism(list, n);
		list += n;
	}
}

/* Send base64 of data as a line of its own, wiping every copy. */
static int
send_secret(struct session *c, const char *prefix, const void *data, size_t n)
{
	char *line = malloc(strlen(prefix) + BASE64_SIZE(n) + 1);
	char shown[32];
	size_t len = strlen(prefix);
	int rc;

	if (line == NULL)
		return stream_fail(&c->s, CAUSE_LOCAL, "out of memory");
	memcpy(line, prefix, len);
	line[len + base64_encode(line + len, data, n)] = '\0';
	snprintf(shown, sizeof shown, "%s***", prefix);
	rc = session_send_as(c, line, shown);
	str_wipe_free(line);
	return rc;
}

/* RFC 4616: one message, sent along with AUTH when the line stays short. */
static int
auth_plain(struct session *c, const char *password, struct reply *r)
{
	struct buf b = { 0 };
	bool initial;
	int rc = -1;

	buf_addc(&b, '\0');
	buf_adds(&b, c->route->user);
	buf_addc(&b, '\0');
	buf_adds(&b, password);
	if (b.failed) {
		stream_fail(&c->s, CAUSE_LOCAL, "out of memory");
		goto wipe;
	}
	initial = sizeof "AUTH PLAIN " - 1 + BASE64_SIZE(b.len) <= COMMAND_MAX;
	if (!initial) {
		if (session_send(c, "AUTH PLAIN") < 0 || session_reply(c, r) < 0)
			goto wipe;
		if (r->code != 334) {
			rc = 0;
			goto wipe;
		}
	}
	if (send_secret(c, initial ? "AUTH PLAIN " : "", b.p, b.len) == 0)
		rc = session_reply(c, r);
wipe:
	buf_wipe(&b);
	return rc;
}

static int
auth_login(struct session *c, const char *password, struct reply *r)
{
	if (session_send(c, "AUTH LOGIN") < 0 || session_reply(c, r) < 0)
		return -1;
	if (r->code != 334)
		return 0;
	if (send_secret(c, "", c->route->user, strlen(c->route->user)) < 0 ||
	    session_reply(c, r) < 0)
		return -1;
	if (r->code != 334)
		return 0;
	if (send_secret(c, "", password, strlen(password)) < 0)
		return -1;
	return session_reply(c, r);
}

/* The strongest mechanism that both sides know; 0 after filling c->res. */
static unsigned
choose_mechanism(struct session *c)
{
	static const unsigned asked[] = {
		[AUTH_AUTO] = MECH_PLAIN | MECH_LOGIN, [AUTH_PLAIN] = MECH_PLAIN,
		[AUTH_LOGIN] = MECH_LOGIN, [AUTH_OFF] = 0
	};
	unsigned both = c->offer.mechs & asked[c->route->auth];

	if (both & MECH_PLAIN)
		return MECH_PLAIN;
	if (both & MECH_LOGIN)
		return MECH_LOGIN;
	result_set(&c->res, OUT_TEMP, CAUSE_OPERATOR, "%s: no AUTH mechanism in "
	    "common (the server offers: %s)", c->s.peer,
	    c->offer.auth ? c->offer.mech_names : "none");
	return 0;
}

int
auth_log_in(struct session *c, const char *password)
{
	unsigned mech = choose_mechanism(c);
	struct reply r;
	int rc;

	if (mech == 0)
		return -1;
	session_step(c, MAIL_SECONDS);
	rc = mech == MECH_PLAIN ? auth_plain(c, password, &r) :
	    auth_login(c, password, &r);
	if (rc < 0)
		return session_failed(c, "AUTH");
	if (r.code == 235)
		return 0;
	if (r.code == 334) {
		/* One challenge too many: give up properly (RFC 4954). */
		if (session_command(c, "*", &r, "AUTH") < 0)
			return -1;
	}
	if (r.code / 100 == 4)
		return session_refused(c, CAUSE_ROUTE, "AUTH deferred", &r);
	return session_refused(c, CAUSE_OPERATOR, "AUTH refused (check `user` "
	    "and the password)", &r);
}
