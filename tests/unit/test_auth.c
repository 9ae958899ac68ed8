/* AUTH dialogues against scripted relays, kind and hostile ones. */
#define _GNU_SOURCE	/* memfd_create */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/base64.h"
#include "smtp.h"
#include "tests/unit/script.h"

#define MESSAGE "Subject: x\r\n\r\nhi\r\n"

static char user[600] = "user", password[4097] = "pa ss";
static char host[] = "relay", hostname[] = "h.example", from[] = "f@x.example",
	rcpt_addr[] = "r@y.example";

/* One delivery of one message. */
struct delivery {
	struct route route;
	struct config config;
	struct log log;
	struct message m;
	struct rcpt rcpt;
	struct script script;
};

static struct delivery *
new_delivery(enum route_auth auth)
{
	struct delivery *d = calloc(1, sizeof *d);

	assert_non_null(d);
	d->route.tls = TLS_OFF;
	d->route.name = d->route.host = host;
	d->route.port = 25;
	d->route.auth = auth;
	d->route.user = user;
	d->route.password.value = password;
	d->config.hostname = hostname;
	d->log.target = LOG_TO_NONE;
	d->m.env.from = from;
	d->m.env.nrcpts = 1;
	d->rcpt.addr = rcpt_addr;
	d->m.spool.fd = memfd_create("message", 0);
	d->m.spool.size = sizeof MESSAGE - 1;
	assert_int_equal(write(d->m.spool.fd, MESSAGE, sizeof MESSAGE - 1),
	    sizeof MESSAGE - 1);
	return d;
}

static void
free_delivery(struct delivery *d)
{
	close(d->m.spool.fd);
	free(d);
}

static void
run(struct delivery *d, const struct script_step *steps,
    void (*turn)(struct script *p, size_t n), size_t n)
{
	struct smtp *c = smtp_open(&d->route, &d->config, &d->log);
	struct rcpt *list[] = { &d->rcpt };
	struct stream s;

	memset(&d->rcpt.res, 0, sizeof d->rcpt.res);
	script_open(&d->script, &s, steps);
	d->script.ctx = d;
	if (turn)
		turn(&d->script, n);
	smtp_adopt(c, &s);
	smtp_deliver(c, &(struct parcel){ &d->m, list, 1 }, 1);
	smtp_close(c);
}

static void
run_whole(struct delivery *d, const struct script_step *steps)
{
	run(d, steps, NULL, 0);
	script_check(&d->script);
	script_free(&d->script);
}

#define HELLO(mechs) SAYS("220 relay ESMTP\r\n"), HEARS("EHLO h.example\r\n"), \
	SAYS("250-relay\r\n250 AUTH " mechs "\r\n")
#define REST HEARS("MAIL FROM:<f@x.example>\r\n"), SAYS("250 ok\r\n"), \
	HEARS("RCPT TO:<r@y.example>\r\n"), SAYS("250 ok\r\n"), \
	HEARS("DATA\r\n"), SAYS("354 go\r\n"), HEARS(MESSAGE ".\r\n"), \
	SAYS("250 taken\r\n"), HEARS("QUIT\r\n"), STOP
#define BYE HEARS("QUIT\r\n"), STOP
#define CANCELLED HEARS("*\r\n"), SAYS("501 cancelled\r\n"), BYE

/* base64 of NUL "user" NUL "pa ss" */
#define PLAIN_LINE "AUTH PLAIN AHVzZXIAcGEgc3M=\r\n"

static void
accepted(enum route_auth auth, const struct script_step *steps)
{
	struct delivery *d = new_delivery(auth);

	run_whole(d, steps);
	if (d->rcpt.res.outcome != OUT_DONE)
		fail_msg("%s", d->rcpt.res.text);
	free_delivery(d);
}

/* A refusal is never the end of a message, and another route may be tried. */
static void
refused(enum route_auth auth, const struct script_step *steps,
    enum cause cause, const char *text)
{
	struct delivery *d = new_delivery(auth);

	run_whole(d, steps);
	assert_int_equal(d->rcpt.res.outcome, OUT_TEMP);
	assert_int_equal(d->rcpt.res.cause, cause);
	assert_true(result_may_fail_over(&d->rcpt.res));
	if (strstr(d->rcpt.res.text, text) == NULL)
		fail_msg("\"%s\" is not in: %s", text, d->rcpt.res.text);
	assert_null(strstr(d->rcpt.res.text, password));
	assert_null(strstr(d->rcpt.res.text, "cGEgc3M"));
	free_delivery(d);
}

/* --- a server that knows SCRAM --- */

#define SERVER_NONCE "srvr"
#define ITERATIONS "64"

static void
says_challenge(struct script *p, const char *text)
{
	char line[600];
	size_t n = strlen(text);

	memcpy(line, "334 ", 4);
	n = 4 + base64_encode(line + 4, text, n);
	memcpy(line + n, "\r\n", 2);
	buf_add(&p->said, line, n + 2);
}

/* What stands in base64 in the last line that was heard. */
static void
last_line(const struct script *p, char *out, size_t size)
{
	const char *end = p->wrote.p + p->heard - 2, *at = end;
	ssize_t n;

	while (at > p->wrote.p && at[-1] != ' ' && at[-1] != '\n')
		at--;
	n = base64_decode(out, size - 1, at, (size_t)(end - at));
	assert_true(n >= 0);
	out[n] = '\0';
}

static char bare[200], server_first[300], signed_by_both[800];

static void
scram_first_reply(struct script *p)
{
	char first[200];

	last_line(p, first, sizeof first);
	assert_memory_equal(first, "n,,n=user,r=", 12);
	assert_int_equal(strlen(first), 12 + 24);
	strcpy(bare, first + 3);
	snprintf(server_first, sizeof server_first, "r=%s" SERVER_NONCE
	    ",s=c2FsdA==,i=" ITERATIONS, first + 12);
	says_challenge(p, server_first);
}

/* What RFC 5802 section 3 makes of the exchange; is the client's proof right? */
static void
server_final(struct script *p, char out[100], size_t size)
{
	unsigned char salted[32], key[32], stored[32], mine[32], proof[40];
	char final[300], *at;
	size_t i;

	last_line(p, final, sizeof final);
	at = strstr(final, ",p=");
	assert_non_null(at);
	*at = '\0';
	assert_int_equal(base64_decode(proof, sizeof proof, at + 3,
	    strlen(at + 3)), 32);
	assert_memory_equal(final, "c=biws,r=", 9);
	snprintf(signed_by_both, sizeof signed_by_both, "%s,%s,%s", bare,
	    server_first, final);
	pbkdf2_sha256(salted, password, strlen(password), "salt", 4, 64);
	hmac_sha256(key, salted, 32, "Client Key", 10);
	sha256(stored, key, 32);
	hmac_sha256(mine, stored, 32, signed_by_both, strlen(signed_by_both));
	for (i = 0; i < 32; i++)
		assert_int_equal(proof[i] ^ mine[i], key[i]);
	hmac_sha256(key, salted, 32, "Server Key", 10);
	hmac_sha256(mine, key, 32, signed_by_both, strlen(signed_by_both));
	assert_true(size >= 2 + BASE64_SIZE(32) + 1);
	memcpy(out, "v=", 2);
	out[2 + base64_encode(out + 2, mine, 32)] = '\0';
}

static void
scram_right_signature(struct script *p)
{
	char final[100];

	server_final(p, final, sizeof final);
	says_challenge(p, final);
}

static void
scram_wrong_signature(struct script *p)
{
	char final[100];

	server_final(p, final, sizeof final);
	final[10] = final[10] == 'A' ? 'B' : 'A';
	says_challenge(p, final);
}

#define SCRAM_FIRST HEARS("AUTH SCRAM-SHA-256 "), HEARS_UNTIL("\r\n"), \
	CALLS(scram_first_reply)
#define SCRAM(final) SCRAM_FIRST, HEARS_UNTIL("\r\n"), CALLS(final)
#define SCRAM_GOOD SCRAM(scram_right_signature), HEARS("\r\n")

static void
scram_is_preferred(void **state)
{
	static const struct script_step steps[] = {
		HELLO("CRAM-MD5 LOGIN PLAIN XOAUTH2 SCRAM-SHA-1 SCRAM-SHA-256 "
		    "OAUTHBEARER EXTERNAL"), SCRAM_GOOD, SAYS("235 ok\r\n"), REST
	};

	(void)state;
	accepted(AUTH_AUTO, steps);
	accepted(AUTH_SCRAM_SHA_256, steps);
}

static void
scram_wrong_signature_is_a_failure(void **state)
{
	static const struct script_step steps[] = {
		HELLO("PLAIN SCRAM-SHA-256"), SCRAM(scram_wrong_signature),
		CANCELLED
	};

	(void)state;
	refused(AUTH_AUTO, steps, CAUSE_OPERATOR, "does not prove");
}

/* 235 too early: whoever that is has not shown that it knows the password. */
static void
scram_without_a_signature_is_a_failure(void **state)
{
	static const struct script_step at_once[] = {
		HELLO("PLAIN SCRAM-SHA-256"), HEARS("AUTH SCRAM-SHA-256 "),
		HEARS_UNTIL("\r\n"), SAYS("235 welcome\r\n"), BYE
	};
	static const struct script_step behind_the_proof[] = {
		HELLO("PLAIN SCRAM-SHA-256"), SCRAM_FIRST, HEARS_UNTIL("\r\n"),
		SAYS("235 welcome\r\n"), BYE
	};
	static const struct script_step behind_an_error[] = {
		HELLO("PLAIN SCRAM-SHA-256"), SCRAM_FIRST, HEARS_UNTIL("\r\n"),
		SAYS("334 ZT1pbnZhbGlkLXByb29m\r\n"), HEARS("\r\n"),
		SAYS("235 welcome\r\n"), BYE
	};

	(void)state;
	refused(AUTH_AUTO, at_once, CAUSE_OPERATOR, "does not prove");
	refused(AUTH_AUTO, behind_the_proof, CAUSE_OPERATOR, "does not prove");
	refused(AUTH_AUTO, behind_an_error, CAUSE_OPERATOR, "does not prove");
}

static void
scram_refused(void **state)
{
	static const struct script_step behind_the_proof[] = {
		HELLO("PLAIN SCRAM-SHA-256"), SCRAM_FIRST, HEARS_UNTIL("\r\n"),
		SAYS("535 5.7.8 no\r\n"), BYE
	};
	static const struct script_step with_an_error[] = {
		HELLO("PLAIN SCRAM-SHA-256"), SCRAM_FIRST, HEARS_UNTIL("\r\n"),
		SAYS("334 ZT1pbnZhbGlkLXByb29m\r\n"), HEARS("\r\n"),
		SAYS("535 5.7.8 no\r\n"), BYE
	};
	static const struct script_step in_spite_of_the_proof[] = {
		HELLO("PLAIN SCRAM-SHA-256"), SCRAM_GOOD,
		SAYS("535 5.7.8 no\r\n"), BYE
	};
	static const struct script_step one_challenge_more[] = {
		HELLO("PLAIN SCRAM-SHA-256"), SCRAM_GOOD, SAYS("334 \r\n"),
		CANCELLED
	};

	(void)state;
	refused(AUTH_AUTO, behind_the_proof, CAUSE_OPERATOR, "SCRAM-SHA-256 "
	    "refused (check `user` and the password): 535 5.7.8 no");
	refused(AUTH_AUTO, with_an_error, CAUSE_OPERATOR, "535 5.7.8 no");
	refused(AUTH_AUTO, in_spite_of_the_proof, CAUSE_OPERATOR, "535 5.7.8");
	refused(AUTH_AUTO, one_challenge_more, CAUSE_OPERATOR,
	    "asks for more than it should");
}

static void
many_iterations(struct script *p)
{
	char first[200], text[300];

	last_line(p, first, sizeof first);
	snprintf(text, sizeof text, "r=%sx,s=c2FsdA==,i=2000000000", first + 12);
	says_challenge(p, text);
}

static void
another_nonce(struct script *p)
{
	says_challenge(p, "r=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA,s=c2FsdA==,i=4096");
}

static void
scram_hostile_challenges(void **state)
{
#define FIRST(reply) HELLO("SCRAM-SHA-256"), HEARS("AUTH SCRAM-SHA-256 "), \
	HEARS_UNTIL("\r\n"), reply, CANCELLED
	static const struct script_step iterations[] = {
		FIRST(CALLS(many_iterations)) };
	static const struct script_step nonce[] = {
		FIRST(CALLS(another_nonce)) };
	static const struct script_step no_base64[] = {
		FIRST(SAYS("334 r=,s=,i=4096\r\n")) };
	static const struct script_step cut_base64[] = {
		FIRST(SAYS("334 cj1hY\r\n")) };
	static const struct script_step empty[] = { FIRST(SAYS("334\r\n")) };
	static const struct script_step zeros[] = {
		FIRST(SAYS("334 AAAAAAAAAAAAAAAAAAAA\r\n")) };
	static const struct script_step lines[] = {
		FIRST(SAYS("334-cj1h\r\n334 b3I9\r\n")) };

	(void)state;
	refused(AUTH_AUTO, iterations, CAUSE_OPERATOR, "too many iterations");
	refused(AUTH_AUTO, nonce, CAUSE_OPERATOR, "does not begin with ours");
	refused(AUTH_AUTO, no_base64, CAUSE_OPERATOR, "not in base64");
	refused(AUTH_AUTO, cut_base64, CAUSE_OPERATOR, "not in base64");
	refused(AUTH_AUTO, empty, CAUSE_OPERATOR, "makes no sense");
	refused(AUTH_AUTO, zeros, CAUSE_OPERATOR, "makes no sense");
	refused(AUTH_AUTO, lines, CAUSE_OPERATOR, "makes no sense");
}

/* What has to be prepared, and cannot be here, is better sent as it is. */
static void
scram_is_not_chosen_for_other_than_ascii(void **state)
{
	static const struct script_step both[] = {
		HELLO("PLAIN SCRAM-SHA-256"),
		/* base64 of NUL "user" NUL "p\xc3\xa9" */
		HEARS("AUTH PLAIN AHVzZXIAcMOp\r\n"), SAYS("235 ok\r\n"), REST
	};
	static const struct script_step alone[] = {
		HELLO("SCRAM-SHA-256"), SCRAM_GOOD, SAYS("235 ok\r\n"), REST
	};

	(void)state;
	strcpy(password, "p\xc3\xa9");
	accepted(AUTH_AUTO, both);
	accepted(AUTH_AUTO, alone);
	accepted(AUTH_SCRAM_SHA_256, alone);
	strcpy(password, "pa ss");
}

/* --- the choice --- */

static void
the_best_that_both_know(void **state)
{
	static const struct script_step plain[] = {
		HELLO("CRAM-MD5 XOAUTH2 LOGIN plain"), HEARS(PLAIN_LINE),
		SAYS("235 ok\r\n"), REST
	};
	static const struct script_step login[] = {
		HELLO("CRAM-MD5 NTLM LOGIN"), HEARS("AUTH LOGIN\r\n"),
		SAYS("334 VXNlcm5hbWU6\r\n"), HEARS("dXNlcg==\r\n"),
		SAYS("334 UGFzc3dvcmQ6\r\n"), HEARS("cGEgc3M=\r\n"),
		SAYS("235 ok\r\n"), REST
	};
	/* Without TLS the weakest is no choice, and tokens are no passwords. */
	static const struct script_step none[] = {
		HELLO("CRAM-MD5 XOAUTH2 OAUTHBEARER EXTERNAL GSSAPI"), BYE
	};

	(void)state;
	accepted(AUTH_AUTO, plain);
	accepted(AUTH_AUTO, login);
	accepted(AUTH_LOGIN, login);
	refused(AUTH_AUTO, none, CAUSE_OPERATOR, "no AUTH mechanism in common "
	    "(the server offers: CRAM-MD5 XOAUTH2 OAUTHBEARER EXTERNAL GSSAPI)");
	refused(AUTH_SCRAM_SHA_256, none, CAUSE_OPERATOR, "in common");
	refused(AUTH_PLAIN, none, CAUSE_OPERATOR, "in common");
}

/* A refused password is not then shown in a weaker way. */
static void
a_refusal_is_final(void **state)
{
	static const struct script_step steps[] = {
		HELLO("SCRAM-SHA-256 PLAIN LOGIN"), HEARS("AUTH SCRAM-SHA-256 "),
		HEARS_UNTIL("\r\n"), SAYS("535 5.7.8 no\r\n"), BYE
	};
	static const struct script_step too_weak[] = {
		HELLO("PLAIN LOGIN"), HEARS(PLAIN_LINE),
		SAYS("534 5.7.9 too weak\r\n"), BYE
	};
	static const struct script_step later[] = {
		HELLO("PLAIN LOGIN"), HEARS(PLAIN_LINE),
		SAYS("454 4.7.0 busy\r\n"), BYE
	};

	(void)state;
	refused(AUTH_AUTO, steps, CAUSE_OPERATOR, "535 5.7.8 no");
	refused(AUTH_AUTO, too_weak, CAUSE_OPERATOR, "534 5.7.9");
	refused(AUTH_AUTO, later, CAUSE_ROUTE, "PLAIN deferred: 454 4.7.0 busy");
}

/* But a mechanism that is offered and then unknown is passed over. */
static void
an_unknown_mechanism_is_passed_over(void **state)
{
	static const struct script_step next[] = {
		HELLO("SCRAM-SHA-256 PLAIN"), HEARS("AUTH SCRAM-SHA-256 "),
		HEARS_UNTIL("\r\n"), SAYS("504 5.5.4 unknown\r\n"),
		HEARS(PLAIN_LINE), SAYS("235 ok\r\n"), REST
	};
	static const struct script_step all[] = {
		HELLO("SCRAM-SHA-256 LOGIN"), HEARS("AUTH SCRAM-SHA-256 "),
		HEARS_UNTIL("\r\n"), SAYS("504 5.5.4 unknown\r\n"),
		HEARS("AUTH LOGIN\r\n"), SAYS("504 5.5.4 unknown too\r\n"), BYE
	};
	static const struct script_step asked_for[] = {
		HELLO("PLAIN LOGIN"), HEARS(PLAIN_LINE),
		SAYS("504 5.5.4 unknown\r\n"), BYE
	};

	(void)state;
	accepted(AUTH_AUTO, next);
	refused(AUTH_AUTO, all, CAUSE_OPERATOR, "unknown too");
	refused(AUTH_PLAIN, asked_for, CAUSE_OPERATOR, "504 5.5.4 unknown");
}

/* --- the others --- */

static void
cram_md5_when_asked_for(void **state)
{
	static const struct script_step steps[] = {
		HELLO("PLAIN CRAM-MD5"), HEARS("AUTH CRAM-MD5\r\n"),
		/* <1@relay> */
		SAYS("334 PDFAcmVsYXk+\r\n"),
		/* printf %s '<1@relay>' | openssl dgst -md5 -hmac 'pa ss' */
		HEARS("dXNlciAwMGI0ZTA1ZDM3ZjZkY2UyYzY3NjAyZWU1NzJjZTA4NQ==\r\n"),
		SAYS("235 ok\r\n"), REST
	};
	static const struct script_step rubbish[] = {
		HELLO("PLAIN CRAM-MD5"), HEARS("AUTH CRAM-MD5\r\n"),
		SAYS("334 <1@relay>\r\n"), CANCELLED
	};
	static const struct script_step twice[] = {
		HELLO("PLAIN CRAM-MD5"), HEARS("AUTH CRAM-MD5\r\n"),
		SAYS("334 PDFAcmVsYXk+\r\n"), HEARS_UNTIL("\r\n"),
		SAYS("334 PDFAcmVsYXk+\r\n"), CANCELLED
	};

	(void)state;
	accepted(AUTH_CRAM_MD5, steps);
	refused(AUTH_CRAM_MD5, rubbish, CAUSE_OPERATOR, "not in base64");
	refused(AUTH_CRAM_MD5, twice, CAUSE_OPERATOR, "more than it should");
}

static void
tokens(void **state)
{
	static const struct script_step bearer[] = {
		HELLO("PLAIN OAUTHBEARER"),
		/* n,a=user,^Ahost=relay^Aport=25^Aauth=Bearer to.ken^A^A */
		HEARS("AUTH OAUTHBEARER bixhPXVzZXIsAWhvc3Q9cmVsYXkBcG9ydD0yNQF"
		    "hdXRoPUJlYXJlciB0by5rZW4BAQ==\r\n"),
		SAYS("235 ok\r\n"), REST
	};
	static const struct script_step bearer_refused[] = {
		HELLO("PLAIN OAUTHBEARER"), HEARS_UNTIL("\r\n"),
		SAYS("334 eyJzdGF0dXMiOiI0MDEifQ==\r\n"), HEARS("AQ==\r\n"),
		SAYS("535 5.7.8 expired\r\n"), BYE
	};
	static const struct script_step xoauth2[] = {
		HELLO("PLAIN XOAUTH2"),
		/* user=user^Aauth=Bearer to.ken^A^A */
		HEARS("AUTH XOAUTH2 dXNlcj11c2VyAWF1dGg9QmVhcmVyIHRvLmtlbgEB\r\n"),
		SAYS("235 ok\r\n"), REST
	};
	static const struct script_step xoauth2_refused[] = {
		HELLO("PLAIN XOAUTH2"), HEARS_UNTIL("\r\n"),
		SAYS("334 eyJzdGF0dXMiOiI0MDEifQ==\r\n"), HEARS("\r\n"),
		SAYS("535 5.7.8 expired\r\n"), BYE
	};
	static const struct script_step again[] = {
		HELLO("PLAIN XOAUTH2"), HEARS_UNTIL("\r\n"),
		SAYS("334 eyJzdGF0dXMiOiI0MDEifQ==\r\n"), HEARS("\r\n"),
		SAYS("334 eyJzdGF0dXMiOiI0MDEifQ==\r\n"), CANCELLED
	};
	static const struct script_step unsent[] = {
		HELLO("PLAIN XOAUTH2 OAUTHBEARER"), BYE
	};

	(void)state;
	strcpy(password, "to.ken");
	accepted(AUTH_OAUTHBEARER, bearer);
	refused(AUTH_OAUTHBEARER, bearer_refused, CAUSE_OPERATOR, "OAUTHBEARER "
	    "refused (check `user` and the token): 535 5.7.8 expired");
	accepted(AUTH_XOAUTH2, xoauth2);
	refused(AUTH_XOAUTH2, xoauth2_refused, CAUSE_OPERATOR, "XOAUTH2 "
	    "refused (check `user` and the token): 535 5.7.8 expired");
	refused(AUTH_XOAUTH2, again, CAUSE_OPERATOR, "more than it should");
	strcpy(password, "to ken");
	refused(AUTH_XOAUTH2, unsent, CAUSE_OPERATOR, "no token has");
	strcpy(password, "to\001ken");
	refused(AUTH_OAUTHBEARER, unsent, CAUSE_OPERATOR, "no token has");
	strcpy(password, "pa ss");
}

/* As long as tokens of Microsoft are: too long for one line with AUTH. */
static void
a_long_token_waits_for_334(void **state)
{
	static char token[3001], plain[3100], line[4200];
	static struct script_step steps[] = {
		HELLO("XOAUTH2"), HEARS("AUTH XOAUTH2\r\n"), SAYS("334 \r\n"),
		HEARS(""), SAYS("235 ok\r\n"), REST
	};
	size_t n;

	(void)state;
	memset(token, 't', 3000);
	strcpy(password, token);
	n = (size_t)snprintf(plain, sizeof plain,
	    "user=user\001auth=Bearer %s\001\001", token);
	n = base64_encode(line, plain, n);
	strcpy(line + n, "\r\n");
	steps[5].text = line;
	steps[5].n = n + 2;
	accepted(AUTH_XOAUTH2, steps);
	strcpy(password, "pa ss");
}

/* Lines of 512 bytes with CRLF, and one more, in base64's steps of four. */
static void
first_words_up_to_the_limit(void **state)
{
	char expected[800], text[600];
	size_t n, k;

	(void)state;
	for (n = 360; n < 390; n++) {
		struct script_step steps[] = {
			HELLO("PLAIN"), HEARS(""), SAYS("334 \r\n"),
			HEARS(""), SAYS("235 ok\r\n"), REST
		};

		memset(password, 'p', n);
		password[n] = '\0';
		memcpy(text, "\0user\0", 6);
		memcpy(text + 6, password, n);
		strcpy(expected, "AUTH PLAIN ");
		k = 11 + base64_encode(expected + 11, text, n + 6);
		strcpy(expected + k, "\r\n");
		if (k + 2 <= 512) {
			steps[3].text = expected;
			steps[3].n = k + 2;
			steps[4] = (struct script_step)SAYS("");
			steps[5] = (struct script_step)SAYS("");
		} else {
			steps[3] = (struct script_step)HEARS("AUTH PLAIN\r\n");
			steps[5].text = expected + 11;
			steps[5].n = k + 2 - 11;
		}
		accepted(AUTH_AUTO, steps);
	}
	strcpy(password, "pa ss");
}

static void
a_first_challenge_may_be_anything(void **state)
{
	static const struct script_step refused_at_once[] = {
		HELLO("LOGIN"), HEARS("AUTH LOGIN\r\n"), SAYS("535 no\r\n"), BYE
	};
	static const struct script_step user_unknown[] = {
		HELLO("LOGIN"), HEARS("AUTH LOGIN\r\n"), SAYS("334 \r\n"),
		HEARS("dXNlcg==\r\n"), SAYS("535 no\r\n"), BYE
	};
	static const struct script_step any_prompts[] = {
		HELLO("LOGIN"), HEARS("AUTH LOGIN\r\n"), SAYS("334\r\n"),
		HEARS("dXNlcg==\r\n"), SAYS("334 eHh4\r\n"),
		HEARS("cGEgc3M=\r\n"), SAYS("235 ok\r\n"), REST
	};
	static const struct script_step one_more[] = {
		HELLO("LOGIN"), HEARS("AUTH LOGIN\r\n"), SAYS("334 \r\n"),
		HEARS("dXNlcg==\r\n"), SAYS("334 \r\n"), HEARS("cGEgc3M=\r\n"),
		SAYS("334 \r\n"), CANCELLED
	};
	static const struct script_step success_too_soon[] = {
		HELLO("LOGIN"), HEARS("AUTH LOGIN\r\n"), SAYS("235 ok\r\n"), REST
	};

	(void)state;
	refused(AUTH_AUTO, refused_at_once, CAUSE_OPERATOR, "535 no");
	refused(AUTH_AUTO, user_unknown, CAUSE_OPERATOR, "535 no");
	accepted(AUTH_AUTO, any_prompts);
	refused(AUTH_AUTO, one_more, CAUSE_OPERATOR, "more than it should");
	/* LOGIN proves nothing of the server, so its word is enough. */
	accepted(AUTH_AUTO, success_too_soon);
}

/* A server that never ends a dialogue, or answers "*" in other ways. */
static void
cancelling(void **state)
{
	static const struct script_step closes[] = {
		HELLO("PLAIN"), HEARS(PLAIN_LINE), SAYS("334 \r\n"),
		HEARS("*\r\n"), CLOSES, STOP
	};
	static const struct script_step more[] = {
		HELLO("PLAIN"), HEARS(PLAIN_LINE), SAYS("334 \r\n"),
		HEARS("*\r\n"), SAYS("334 \r\n"), BYE
	};
	static const struct script_step welcome[] = {
		HELLO("PLAIN"), HEARS(PLAIN_LINE), SAYS("334 \r\n"),
		HEARS("*\r\n"), SAYS("235 ok\r\n"), BYE
	};

	(void)state;
	refused(AUTH_AUTO, closes, CAUSE_ROUTE, "AUTH PLAIN");
	refused(AUTH_AUTO, more, CAUSE_OPERATOR, "more than it should");
	refused(AUTH_AUTO, welcome, CAUSE_OPERATOR, "more than it should");
}

/* --- what is shown --- */

static void
the_trace_shows_no_secret(void **state)
{
	static const struct script_step scram[] = {
		HELLO("SCRAM-SHA-256"), SCRAM_GOOD, SAYS("235 ok\r\n"), REST
	};
	static const struct script_step login[] = {
		HELLO("LOGIN"), HEARS("AUTH LOGIN\r\n"), SAYS("334 \r\n"),
		HEARS_UNTIL("\r\n"), SAYS("334 \r\n"), HEARS_UNTIL("\r\n"),
		SAYS("235 ok\r\n"), REST
	};
	static const struct script_step token[] = {
		HELLO("XOAUTH2"), HEARS_UNTIL("\r\n"), SAYS("235 ok\r\n"), REST
	};
	static const struct { const struct script_step *steps; int auth; }
	all[] = { { scram, AUTH_AUTO }, { login, AUTH_AUTO },
		{ token, AUTH_XOAUTH2 } };
	char path[] = "/tmp/test_auth.XXXXXX", shown[4096];
	int fd = mkstemp(path), saved = dup(STDERR_FILENO);
	size_t i;
	ssize_t n;

	(void)state;
	strcpy(password, "sesame");
	for (i = 0; i < sizeof all / sizeof all[0]; i++) {
		struct delivery *d = new_delivery((enum route_auth)all[i].auth);

		d->log.trace = true;
		assert_int_equal(ftruncate(fd, 0), 0);
		lseek(fd, 0, SEEK_SET);
		dup2(fd, STDERR_FILENO);
		run(d, all[i].steps, NULL, 0);
		dup2(saved, STDERR_FILENO);
		script_check(&d->script);
		script_free(&d->script);
		n = pread(fd, shown, sizeof shown - 1, 0);
		assert_true(n > 0);
		shown[n] = '\0';
		assert_non_null(strstr(shown, "***"));
		assert_non_null(strstr(shown, "> AUTH "));
		assert_null(strstr(shown, "sesame"));
		assert_null(strstr(shown, "c2VzYW1l"));	/* its base64 */
		assert_null(strstr(shown, "p="));
		free_delivery(d);
	}
	strcpy(password, "pa ss");
	close(fd);
	close(saved);
	unlink(path);
}

/* --- the cut sweep --- */

/* A route without a user, but with a certificate: by EXTERNAL. */
static struct delivery *
new_external(void)
{
	static char file[] = "/c.pem";
	struct delivery *d = new_delivery(AUTH_AUTO);

	d->route.user = d->route.password.value = NULL;
	d->route.client_cert = file;
	return d;
}

/* A dialogue that ends in a refusal, cut likewise: nothing but that may come. */
static void
sweep_refusal(struct delivery *d, const struct script_step *steps)
{
	const struct result *res = &d->rcpt.res;
	size_t said, wrote, n;

	run(d, steps, NULL, 0);
	script_check(&d->script);
	said = d->script.said.len;
	wrote = d->script.wrote.len;
	script_free(&d->script);
	for (n = 0; n < 3 * said + wrote + 20; n++) {
		if (n < 3 * said)
			run(d, steps, script_cut_input, n);
		else if (n < 3 * said + wrote)
			run(d, steps, script_cut_output, n - 3 * said);
		else
			run(d, steps, script_in_pieces, n - 3 * said - wrote);
		if (n < 3 * said || n >= 3 * said + wrote)
			script_check(&d->script);
		assert_int_equal(res->outcome, OUT_TEMP);
		assert_true(res->text[0] != '\0');
		assert_true(result_may_fail_over(res));
		assert_null(strstr(buf_str(&d->script.wrote), "MAIL"));
		script_free(&d->script);
	}
	free_delivery(d);
}

/* The dialogue cut at every byte that the server says, or that we do. */
static void
sweep_one(struct delivery *d, const struct script_step *steps)
{
	const struct result *res = &d->rcpt.res;
	size_t said, wrote, n;

	run(d, steps, NULL, 0);
	script_check(&d->script);
	assert_int_equal(res->outcome, OUT_DONE);
	said = d->script.said.len;
	wrote = d->script.wrote.len;
	script_free(&d->script);
	for (n = 0; n < 3 * said; n++) {
		run(d, steps, script_cut_input, n);
		script_check(&d->script);
		assert_int_equal(res->outcome, OUT_TEMP);
		assert_true(res->text[0] != '\0');
		assert_int_equal(res->certainly_not_taken,
		    strstr(buf_str(&d->script.wrote), "\r\n.\r\n") == NULL);
		script_free(&d->script);
	}
	for (n = 0; n < wrote; n++) {
		run(d, steps, script_cut_output, n);
		assert_int_not_equal(res->outcome, OUT_PERM);
		if (strstr(buf_str(&d->script.wrote), "\r\n.\r\n") == NULL)
			assert_int_equal(res->outcome, OUT_TEMP);
		script_free(&d->script);
	}
	for (n = 1; n < 20; n++) {
		run(d, steps, script_in_pieces, n);
		script_check(&d->script);
		assert_int_equal(res->outcome, OUT_DONE);
		script_free(&d->script);
	}
	free_delivery(d);
}

static void
sweep(enum route_auth auth, const struct script_step *steps)
{
	sweep_one(new_delivery(auth), steps);
}

static void
cut_sweep(void **state)
{
	static const struct script_step scram[] = {
		HELLO("SCRAM-SHA-256"), SCRAM_GOOD, SAYS("235 ok\r\n"), REST
	};
	static const struct script_step cram[] = {
		HELLO("CRAM-MD5"), HEARS("AUTH CRAM-MD5\r\n"),
		SAYS("334 PDFAcmVsYXk+\r\n"), HEARS_UNTIL("\r\n"),
		SAYS("235 ok\r\n"), REST
	};
	static const struct script_step login[] = {
		HELLO("LOGIN"), HEARS("AUTH LOGIN\r\n"), SAYS("334 VXNlcg==\r\n"),
		HEARS_UNTIL("\r\n"), SAYS("334 UGFzcw==\r\n"),
		HEARS_UNTIL("\r\n"), SAYS("235 ok\r\n"), REST
	};
	static const struct script_step bearer[] = {
		HELLO("OAUTHBEARER"), HEARS_UNTIL("\r\n"), SAYS("235 ok\r\n"), REST
	};
	static const struct script_step xoauth2[] = {
		HELLO("XOAUTH2"), HEARS_UNTIL("\r\n"), SAYS("235 ok\r\n"), REST
	};
	static const struct script_step passed_over[] = {
		HELLO("SCRAM-SHA-256 PLAIN"), HEARS_UNTIL("\r\n"),
		SAYS("504 unknown\r\n"), HEARS(PLAIN_LINE), SAYS("235 ok\r\n"),
		REST
	};

	static const struct script_step external[] = {
		HELLO("PLAIN EXTERNAL"), HEARS("AUTH EXTERNAL =\r\n"),
		SAYS("235 ok\r\n"), REST
	};
	static const struct script_step later[] = {
		HELLO("PLAIN"), HEARS("AUTH PLAIN\r\n"), SAYS("334 \r\n"),
		HEARS_UNTIL("\r\n"), SAYS("235 ok\r\n"), REST
	};

	(void)state;
	sweep(AUTH_AUTO, scram);
	sweep_one(new_external(), external);
	memset(password, 'p', 390);
	sweep(AUTH_PLAIN, later);
	strcpy(password, "pa ss");
	sweep(AUTH_CRAM_MD5, cram);
	sweep(AUTH_AUTO, login);
	sweep(AUTH_AUTO, passed_over);
	strcpy(password, "to.ken");
	sweep(AUTH_OAUTHBEARER, bearer);
	sweep(AUTH_XOAUTH2, xoauth2);
	strcpy(password, "pa ss");
}

static void
cut_sweep_of_refusals(void **state)
{
#define NO SAYS("535 5.7.8 no\r\n"), BYE
	static const struct script_step scram[] = {
		HELLO("SCRAM-SHA-256"), SCRAM_FIRST, HEARS_UNTIL("\r\n"),
		SAYS("334 ZT1pbnZhbGlkLXByb29m\r\n"), HEARS("\r\n"), NO
	};
	static const struct script_step impostor[] = {
		HELLO("SCRAM-SHA-256"), SCRAM(scram_wrong_signature), CANCELLED
	};
	static const struct script_step plain[] = {
		HELLO("PLAIN"), HEARS(PLAIN_LINE), NO
	};
	static const struct script_step login[] = {
		HELLO("LOGIN"), HEARS("AUTH LOGIN\r\n"), SAYS("334 VXNlcg==\r\n"),
		HEARS_UNTIL("\r\n"), SAYS("334 UGFzcw==\r\n"),
		HEARS_UNTIL("\r\n"), NO
	};
	static const struct script_step cram[] = {
		HELLO("CRAM-MD5"), HEARS("AUTH CRAM-MD5\r\n"),
		SAYS("334 PDFAcmVsYXk+\r\n"), HEARS_UNTIL("\r\n"), NO
	};
	static const struct script_step external[] = {
		HELLO("EXTERNAL"), HEARS("AUTH EXTERNAL =\r\n"), NO
	};
	static const struct script_step token[] = {
		HELLO("OAUTHBEARER XOAUTH2"), HEARS_UNTIL("\r\n"),
		SAYS("334 eyJzdGF0dXMiOiI0MDEifQ==\r\n"), HEARS_UNTIL("\r\n"), NO
	};
	static const struct script_step none[] = { HELLO("GSSAPI NTLM"), BYE };

	(void)state;
	sweep_refusal(new_delivery(AUTH_AUTO), scram);
	sweep_refusal(new_delivery(AUTH_AUTO), impostor);
	sweep_refusal(new_delivery(AUTH_PLAIN), plain);
	sweep_refusal(new_delivery(AUTH_LOGIN), login);
	sweep_refusal(new_delivery(AUTH_CRAM_MD5), cram);
	sweep_refusal(new_external(), external);
	sweep_refusal(new_delivery(AUTH_AUTO), none);
	strcpy(password, "to.ken");
	sweep_refusal(new_delivery(AUTH_OAUTHBEARER), token);
	sweep_refusal(new_delivery(AUTH_XOAUTH2), token);
	strcpy(password, "pa ss");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scram_is_preferred),
		cmocka_unit_test(scram_wrong_signature_is_a_failure),
		cmocka_unit_test(scram_without_a_signature_is_a_failure),
		cmocka_unit_test(scram_refused),
		cmocka_unit_test(scram_hostile_challenges),
		cmocka_unit_test(scram_is_not_chosen_for_other_than_ascii),
		cmocka_unit_test(the_best_that_both_know),
		cmocka_unit_test(a_refusal_is_final),
		cmocka_unit_test(an_unknown_mechanism_is_passed_over),
		cmocka_unit_test(cram_md5_when_asked_for),
		cmocka_unit_test(tokens),
		cmocka_unit_test(a_long_token_waits_for_334),
		cmocka_unit_test(first_words_up_to_the_limit),
		cmocka_unit_test(a_first_challenge_may_be_anything),
		cmocka_unit_test(cancelling),
		cmocka_unit_test(the_trace_shows_no_secret),
		cmocka_unit_test(cut_sweep),
		cmocka_unit_test(cut_sweep_of_refusals)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
