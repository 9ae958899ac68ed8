/* The SMTP client against scripted relays: what it says, and what it concludes. */
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

#include "smtp.h"
#include "tests/unit/script.h"

enum { RCPTS_MAX = 300 };

/* One delivery: fill in what differs, then run(). */
struct delivery {
	struct route route;
	struct config config;
	struct log log;
	struct message m;
	struct rcpt rcpts[RCPTS_MAX];
	struct rcpt *list[RCPTS_MAX];
	struct script script;
	char text[64];
};

#define MESSAGE "Subject: x\r\n\r\nhi\r\n"

static void
set_message(struct delivery *d, const void *text, size_t n)
{
	d->m.spool.fd = memfd_create("message", 0);
	d->m.spool.size = (off_t)n;
	assert_int_equal(write(d->m.spool.fd, text, n), n);
	d->m.spool.has_dot_line = true;
}

static struct delivery *
new_delivery(size_t nrcpts)
{
	struct delivery *d = calloc(1, sizeof *d);
	size_t i;

	assert_non_null(d);
	d->route.tls = TLS_OFF;
	d->route.name = d->route.host = strdup("relay");
	d->config.hostname = strdup("h.example");
	d->log.target = LOG_TO_NONE;
	d->m.env.from = strdup("f@x.example");
	d->m.env.nrcpts = nrcpts;
	for (i = 0; i < nrcpts; i++) {
		d->list[i] = &d->rcpts[i];
		snprintf(d->text, sizeof d->text, "r%zu@y.example", i);
		d->rcpts[i].addr = strdup(d->text);
	}
	set_message(d, MESSAGE, sizeof MESSAGE - 1);
	return d;
}

static void
free_delivery(struct delivery *d)
{
	size_t i;

	close(d->m.spool.fd);
	free(d->route.host);
	free(d->config.hostname);
	free(d->m.env.from);
	for (i = 0; i < d->m.env.nrcpts; i++)
		free(d->rcpts[i].addr);
	free(d);
}

/* Deliver by the script, whose knobs `turn` may set. */
static void
run(struct delivery *d, const struct script_step *steps,
    void (*turn)(struct script *p, size_t n), size_t n)
{
	struct smtp *c = smtp_open(&d->route, &d->config, &d->log);
	struct stream s;
	size_t i;

	for (i = 0; i < d->m.env.nrcpts; i++)
		memset(&d->rcpts[i].res, 0, sizeof d->rcpts[i].res);
	script_open(&d->script, &s, steps);
	if (turn)
		turn(&d->script, n);
	smtp_adopt(c, &s);
	smtp_deliver(c, &(struct parcel){ &d->m, d->list, d->m.env.nrcpts }, 1);
	smtp_close(c);
}

static void
run_whole(struct delivery *d, const struct script_step *steps)
{
	run(d, steps, NULL, 0);
	script_check(&d->script);
	script_free(&d->script);
}

#define GREETING SAYS("220 relay ESMTP\r\n"), HEARS("EHLO h.example\r\n")
#define PLAIN_HELLO GREETING, SAYS("250 relay\r\n")
#define PIPE_HELLO GREETING, SAYS("250-relay\r\n250-PIPELINING\r\n" \
	"250-8BITMIME\r\n250 SIZE 1000\r\n")
#define MAIL HEARS("MAIL FROM:<f@x.example>\r\n"), SAYS("250 ok\r\n")
#define TEXT MESSAGE ".\r\n"
#define BYE HEARS("QUIT\r\n"), STOP

static void
one_recipient_step_by_step(void **state)
{
	static const struct script_step steps[] = {
		PLAIN_HELLO, MAIL,
		HEARS("RCPT TO:<r0@y.example>\r\n"), SAYS("250 2.1.5 ok\r\n"),
		HEARS("DATA\r\n"), SAYS("354 go\r\n"),
		HEARS(TEXT), SAYS("250 2.0.0 taken as 77\r\n"), BYE
	};
	struct delivery *d = new_delivery(1);

	(void)state;
	run_whole(d, steps);
	assert_int_equal(d->rcpts[0].res.outcome, OUT_DONE);
	assert_int_equal(d->rcpts[0].res.code, 250);
	assert_string_equal(d->rcpts[0].res.enhanced, "2.0.0");
	assert_non_null(strstr(d->rcpts[0].res.text, "250 2.0.0 taken as 77"));
	free_delivery(d);
}

/* It has said yes to all of it, and nothing of it ever left. */
static void
answers_that_come_too_early_are_no_answers(void **state)
{
	static const struct script_step steps[] = {
		GREETING, SAYS("250 relay\r\n250 ok\r\n250 ok\r\n354 go\r\n"
		    "250 taken\r\n"), RESETS, STOP
	};
	struct delivery *d = new_delivery(1);

	(void)state;
	run(d, steps, NULL, 0);
	assert_int_equal(d->rcpts[0].res.outcome, OUT_TEMP);
	assert_true(d->rcpts[0].res.certainly_not_taken);
	script_free(&d->script);
	free_delivery(d);
}

static void
pipelining_takes_one_flight(void **state)
{
	static const struct script_step steps[] = {
		PIPE_HELLO,
		HEARS("MAIL FROM:<f@x.example> SIZE=18\r\n"
		    "RCPT TO:<r0@y.example>\r\nRCPT TO:<r1@y.example>\r\nDATA\r\n"),
		SAYS("250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n"),
		HEARS(TEXT), SAYS("250 taken\r\n"), BYE
	};
	struct delivery *d = new_delivery(2);

	(void)state;
	run_whole(d, steps);
	assert_int_equal(d->rcpts[0].res.outcome, OUT_DONE);
	assert_int_equal(d->rcpts[1].res.outcome, OUT_DONE);
	free_delivery(d);
}

static void
eight_bit_is_declared(void **state)
{
	static const struct script_step steps[] = {
		PIPE_HELLO,
		HEARS("MAIL FROM:<f@x.example> SIZE=18 BODY=8BITMIME\r\n"
		    "RCPT TO:<r0@y.example>\r\nDATA\r\n"),
		SAYS("250 ok\r\n250 ok\r\n354 go\r\n"),
		HEARS(TEXT), SAYS("250 taken\r\n"), BYE
	};
	struct delivery *d = new_delivery(1);

	(void)state;
	d->m.spool.has_8bit = true;
	run_whole(d, steps);
	assert_int_equal(d->rcpts[0].res.outcome, OUT_DONE);
	free_delivery(d);
}

/* {2xx,4xx,5xx}^3 for RCPT, by {2xx,4xx,5xx} for the final dot. */
static void
matrix(bool pipelining)
{
	static const char *const replies[] = { "250 2.1.5 ok\r\n",
		"450 4.2.1 later\r\n", "550 5.1.1 no\r\n" };
	static const char *const finals[] = { "250 2.0.0 taken\r\n",
		"451 4.3.0 later\r\n", "554 5.6.0 spam\r\n" };
	static const enum outcome outcomes[] = { OUT_DONE, OUT_TEMP, OUT_PERM };
	struct delivery *d = new_delivery(3);
	struct script_step st[20];
	char commands[3][40], all[400], said[200];
	int combo, k, digit[3], accepted, n, final, any;

	for (combo = 0; combo < 81; combo++) {
		for (k = 0, n = combo, accepted = 0; k < 3; k++, n /= 3) {
			digit[k] = n % 3;
			accepted += digit[k] == 0;
			snprintf(commands[k], sizeof commands[k],
			    "RCPT TO:<r%d@y.example>\r\n", k);
		}
		final = n;
		any = accepted > 0;
		n = 0;
		st[n++] = (struct script_step)SAYS("220 relay\r\n");
		st[n++] = (struct script_step)HEARS("EHLO h.example\r\n");
		if (pipelining) {
			st[n++] = (struct script_step)SAYS(
			    "250-relay\r\n250 PIPELINING\r\n");
			snprintf(all, sizeof all, "MAIL FROM:<f@x.example>\r\n"
			    "%s%s%sDATA\r\n", commands[0], commands[1],
			    commands[2]);
			st[n++] = (struct script_step)HEARS_N(all, strlen(all));
			snprintf(said, sizeof said, "250 ok\r\n%s%s%s%s",
			    replies[digit[0]], replies[digit[1]],
			    replies[digit[2]], any ? "354 go\r\n" :
			    "503 no recipients\r\n");
			st[n++] = (struct script_step)SAYS_N(said, strlen(said));
		} else {
			st[n++] = (struct script_step)SAYS("250 relay\r\n");
			st[n++] = (struct script_step)HEARS(
			    "MAIL FROM:<f@x.example>\r\n");
			st[n++] = (struct script_step)SAYS("250 ok\r\n");
			for (k = 0; k < 3; k++) {
				st[n++] = (struct script_step)HEARS_N(
				    commands[k], strlen(commands[k]));
				st[n++] = (struct script_step)SAYS_N(
				    replies[digit[k]],
				    strlen(replies[digit[k]]));
			}
			if (any) {
				st[n++] = (struct script_step)HEARS("DATA\r\n");
				st[n++] = (struct script_step)SAYS("354 go\r\n");
			}
		}
		if (any) {
			st[n++] = (struct script_step)HEARS(TEXT);
			st[n++] = (struct script_step)SAYS_N(finals[final],
			    strlen(finals[final]));
		}
		st[n++] = (struct script_step)HEARS("QUIT\r\n");
		st[n++] = (struct script_step)STOP;
		run_whole(d, st);
		for (k = 0; k < 3; k++) {
			assert_int_equal(d->rcpts[k].res.outcome,
			    outcomes[digit[k] ? digit[k] : final]);
			assert_int_equal(d->rcpts[k].res.code, digit[k] == 0 ?
			    (final == 0 ? 250 : final == 1 ? 451 : 554) :
			    digit[k] == 1 ? 450 : 550);
		}
	}
	free_delivery(d);
}

static void
rcpt_matrix_step_by_step(void **state)
{
	(void)state;
	matrix(false);
}

static void
rcpt_matrix_pipelined(void **state)
{
	(void)state;
	matrix(true);
}

static void
data_accepted_for_nobody_gets_a_lone_dot(void **state)
{
	static const struct script_step steps[] = {
		PIPE_HELLO,
		HEARS("MAIL FROM:<f@x.example> SIZE=18\r\n"
		    "RCPT TO:<r0@y.example>\r\nDATA\r\n"),
		SAYS("250 ok\r\n550 5.1.1 no\r\n354 go\r\n"),
		HEARS(".\r\n"), SAYS("250 an empty message\r\n"), BYE
	};
	struct delivery *d = new_delivery(1);

	(void)state;
	run_whole(d, steps);
	assert_int_equal(d->rcpts[0].res.outcome, OUT_PERM);
	assert_int_equal(d->rcpts[0].res.code, 550);
	free_delivery(d);
}

static void
mail_refused_may_fail_over(void **state)
{
	static const struct script_step steps[] = {
		PIPE_HELLO,
		HEARS("MAIL FROM:<f@x.example> SIZE=18\r\n"
		    "RCPT TO:<r0@y.example>\r\nDATA\r\n"),
		SAYS("550 5.7.1 not you\r\n503 no MAIL\r\n503 no MAIL\r\n"),
		BYE
	};
	struct delivery *d = new_delivery(1);

	(void)state;
	run_whole(d, steps);
	assert_int_equal(d->rcpts[0].res.outcome, OUT_PERM);
	assert_int_equal(d->rcpts[0].res.code, 550);
	assert_true(result_may_fail_over(&d->rcpts[0].res));
	free_delivery(d);
}

static void
too_many_recipients_take_two_transactions(void **state)
{
	static const struct script_step steps[] = {
		PLAIN_HELLO, MAIL,
		HEARS("RCPT TO:<r0@y.example>\r\n"), SAYS("250 ok\r\n"),
		HEARS("RCPT TO:<r1@y.example>\r\n"), SAYS("452 4.5.3 enough\r\n"),
		HEARS("RCPT TO:<r2@y.example>\r\n"), SAYS("552 5.5.3 enough\r\n"),
		HEARS("DATA\r\n"), SAYS("354 go\r\n"), HEARS(TEXT),
		SAYS("250 taken\r\n"), MAIL,
		HEARS("RCPT TO:<r1@y.example>\r\n"), SAYS("250 ok\r\n"),
		HEARS("RCPT TO:<r2@y.example>\r\n"), SAYS("451 4.5.3 enough\r\n"),
		HEARS("DATA\r\n"), SAYS("354 go\r\n"), HEARS(TEXT),
		SAYS("250 taken\r\n"), MAIL,
		HEARS("RCPT TO:<r2@y.example>\r\n"), SAYS("452 4.5.3 enough\r\n"),
		BYE
	};
	struct delivery *d = new_delivery(3);

	(void)state;
	run_whole(d, steps);
	assert_int_equal(d->rcpts[0].res.outcome, OUT_DONE);
	assert_int_equal(d->rcpts[1].res.outcome, OUT_DONE);
	assert_int_equal(d->rcpts[2].res.outcome, OUT_TEMP);
	assert_int_equal(d->rcpts[2].res.code, 452);
	free_delivery(d);
}

static void
over_the_offered_size_is_refused_unsent(void **state)
{
	static const struct script_step steps[] = { PIPE_HELLO, BYE };
	struct delivery *d = new_delivery(1);

	(void)state;
	d->m.spool.size = 1001;
	run_whole(d, steps);
	assert_int_equal(d->rcpts[0].res.outcome, OUT_PERM);
	assert_false(result_may_fail_over(&d->rcpts[0].res));
	assert_non_null(strstr(d->rcpts[0].res.text, "1001 bytes"));
	assert_non_null(strstr(d->rcpts[0].res.text, "takes 1000"));
	free_delivery(d);
}

/* Before and behind the dots: nothing, CRLF, text; and at the block's edge. */
static void
dots_are_stuffed(void **state)
{
	static const struct { const char *in, *out; } rows[] = {
		{ ".\r\n", "..\r\n" },
		{ "..\r\n", "...\r\n" },
		{ "a\r\n.\r\n", "a\r\n..\r\n" },
		{ "a\r\n.b\r\n.c\r\n", "a\r\n..b\r\n..c\r\n" },
		{ "a.\r\n.a\r\n", "a.\r\n..a\r\n" },
		{ "\r\n.\r\n\r\n", "\r\n..\r\n\r\n" }
	};
	struct delivery *d = new_delivery(1);
	size_t i, pad;
	char *in, *out;

	(void)state;
	in = malloc(40000);
	out = malloc(40000);
	for (i = 0; i < sizeof rows / sizeof rows[0]; i++)
		for (pad = 16370; pad < 16400; pad++) {
			struct script_step steps[] = {
				PLAIN_HELLO, MAIL,
				HEARS("RCPT TO:<r0@y.example>\r\n"),
				SAYS("250 ok\r\n"),
				HEARS("DATA\r\n"), SAYS("354 go\r\n"),
				HEARS(""), SAYS("250 taken\r\n"), BYE
			};

			memset(in, 'p', pad);
			memcpy(in + pad - 2, "\r\n", 2);
			strcpy(in + pad, rows[i].in);
			memcpy(out, in, pad);
			strcpy(out + pad, rows[i].out);
			strcat(out, ".\r\n");
			steps[9].text = out;
			steps[9].n = strlen(out);
			close(d->m.spool.fd);
			set_message(d, in, strlen(in));
			run_whole(d, steps);
			assert_int_equal(d->rcpts[0].res.outcome, OUT_DONE);
		}
	free(in);
	free(out);
	free_delivery(d);
}

#define AUTH_HELLO(mechs) GREETING, SAYS("250-relay\r\n250 AUTH " mechs "\r\n")
#define REST MAIL, HEARS("RCPT TO:<r0@y.example>\r\n"), SAYS("250 ok\r\n"), \
	HEARS("DATA\r\n"), SAYS("354 go\r\n"), HEARS(TEXT), \
	SAYS("250 taken\r\n"), BYE

static void
set_login(struct delivery *d, char *user, char *password)
{
	d->route.user = user;
	d->route.password.value = password;
}

static void
auth_plain_in_one_turn(void **state)
{
	static const struct script_step steps[] = {
		AUTH_HELLO("LOGIN PLAIN"),
		/* base64 of NUL user NUL pa ss */
		HEARS("AUTH PLAIN AHVzZXIAcGEgc3M=\r\n"), SAYS("235 2.7.0 ok\r\n"),
		REST
	};
	struct delivery *d = new_delivery(1);
	char user[] = "user", password[] = "pa ss";

	(void)state;
	set_login(d, user, password);
	run_whole(d, steps);
	assert_int_equal(d->rcpts[0].res.outcome, OUT_DONE);
	free_delivery(d);
}

static void
auth_login_when_only_that_is_offered(void **state)
{
	static const struct script_step steps[] = {
		AUTH_HELLO("NTLM LOGIN"),
		HEARS("AUTH LOGIN\r\n"), SAYS("334 VXNlcm5hbWU6\r\n"),
		HEARS("dXNlcg==\r\n"), SAYS("334 UGFzc3dvcmQ6\r\n"),
		HEARS("cGEgc3M=\r\n"), SAYS("235 ok\r\n"), REST
	};
	struct delivery *d = new_delivery(1);
	char user[] = "user", password[] = "pa ss";

	(void)state;
	set_login(d, user, password);
	run_whole(d, steps);
	assert_int_equal(d->rcpts[0].res.outcome, OUT_DONE);
	free_delivery(d);
}

static void
a_long_auth_plain_waits_for_334(void **state)
{
	static char password[501], expected[1000];
	static struct script_step steps[] = {
		AUTH_HELLO("PLAIN"),
		HEARS("AUTH PLAIN\r\n"), SAYS("334 \r\n"),
		HEARS(""), SAYS("235 ok\r\n"), REST
	};
	struct delivery *d = new_delivery(1);
	char user[] = "user";
	size_t i;

	(void)state;
	/* NUL "user" NUL is 6 bytes; then 'iii' is aWlp. */
	memset(password, 'i', 500);
	strcpy(expected, "AHVzZXIA");
	for (i = 0; i < 166; i++)
		strcat(expected, "aWlp");
	strcat(expected, "aWk=\r\n");
	steps[5].text = expected;
	steps[5].n = strlen(expected);
	set_login(d, user, password);
	run_whole(d, steps);
	assert_int_equal(d->rcpts[0].res.outcome, OUT_DONE);
	free_delivery(d);
}

static void
auth_failures_are_the_operators(void **state)
{
	static const struct script_step refused[] = {
		AUTH_HELLO("PLAIN"), HEARS("AUTH PLAIN AHVzZXIAcGEgc3M=\r\n"),
		SAYS("535 5.7.8 wrong\r\n"), BYE
	};
	static const struct script_step later[] = {
		AUTH_HELLO("PLAIN"), HEARS("AUTH PLAIN AHVzZXIAcGEgc3M=\r\n"),
		SAYS("454 4.7.0 busy\r\n"), BYE
	};
	static const struct script_step challenged[] = {
		AUTH_HELLO("PLAIN"), HEARS("AUTH PLAIN AHVzZXIAcGEgc3M=\r\n"),
		SAYS("334 \r\n"), HEARS("*\r\n"), SAYS("501 cancelled\r\n"), BYE
	};
	static const struct script_step none[] = { PLAIN_HELLO, BYE };
	static const struct script_step *const all[] = { refused, later,
		challenged, none };
	struct delivery *d = new_delivery(1);
	char user[] = "user", password[] = "pa ss";
	size_t i;

	(void)state;
	set_login(d, user, password);
	for (i = 0; i < 4; i++) {
		run_whole(d, all[i]);
		assert_int_equal(d->rcpts[0].res.outcome, OUT_TEMP);
		assert_true(result_may_fail_over(&d->rcpts[0].res));
		assert_int_equal(d->rcpts[0].res.cause, i == 1 ? CAUSE_ROUTE :
		    CAUSE_OPERATOR);
		assert_null(strstr(d->rcpts[0].res.text, "AHVz"));
	}
	free_delivery(d);
}

static void
helo_for_old_servers(void **state)
{
	static const struct script_step steps[] = {
		GREETING, SAYS("502 unknown\r\n"), HEARS("HELO h.example\r\n"),
		SAYS("250 relay\r\n"), REST
	};
	struct delivery *d = new_delivery(1);

	(void)state;
	run_whole(d, steps);
	assert_int_equal(d->rcpts[0].res.outcome, OUT_DONE);
	free_delivery(d);
}

/* Replies that are none: nothing is concluded from them. */
static void
bad_replies_are_temporary(void **state)
{
	static const char *const replies[] = { "25 ok\r\n", "2x0 ok\r\n",
		"999 ok\r\n", "199 ok\r\n", "2500 ok\r\n", "250_ok\r\n", "\r\n",
		"250-a\r\n251 b\r\n", "600 no\r\n", "hello\r\n", "-250 ok\r\n" };
	struct delivery *d = new_delivery(1);
	size_t i;

	(void)state;
	for (i = 0; i < sizeof replies / sizeof replies[0]; i++) {
		struct script_step steps[] = {
			PLAIN_HELLO, MAIL,
			HEARS("RCPT TO:<r0@y.example>\r\n"),
			SAYS_N(replies[i], strlen(replies[i])), STOP
		};

		run_whole(d, steps);
		assert_int_equal(d->rcpts[0].res.outcome, OUT_TEMP);
		assert_true(d->rcpts[0].res.certainly_not_taken);
	}
	free_delivery(d);
}

static void
replies_may_be_bare_or_long(void **state)
{
	static const struct script_step steps[] = {
		SAYS("220-relay\r\n220-welcome\r\n220\r\n"),
		HEARS("EHLO h.example\r\n"), SAYS("250\n"), MAIL,
		HEARS("RCPT TO:<r0@y.example>\r\n"), SAYS("252 maybe\r\n"),
		HEARS("DATA\r\n"), SAYS("354\r\n"), HEARS(TEXT),
		SAYS("250-2.0.0 taken\r\n250 2.0.0 as 1\x01\r\n"), BYE
	};
	struct delivery *d = new_delivery(1);

	(void)state;
	run_whole(d, steps);
	assert_int_equal(d->rcpts[0].res.outcome, OUT_DONE);
	assert_non_null(strstr(d->rcpts[0].res.text,
	    "250 2.0.0 taken 2.0.0 as 1?"));
	free_delivery(d);
}

static void
a_421_ends_the_session(void **state)
{
	static const struct script_step steps[] = {
		PLAIN_HELLO, MAIL,
		HEARS("RCPT TO:<r0@y.example>\r\n"), SAYS("250 ok\r\n"),
		HEARS("RCPT TO:<r1@y.example>\r\n"), SAYS("421 4.3.2 bye\r\n"),
		BYE
	};
	struct delivery *d = new_delivery(3);
	size_t i;

	(void)state;
	run_whole(d, steps);
	for (i = 0; i < 3; i++) {
		assert_int_equal(d->rcpts[i].res.outcome, OUT_TEMP);
		assert_true(result_may_fail_over(&d->rcpts[i].res));
	}
	free_delivery(d);
}

/* The peer's own word counts, also when it then goes away. */
static void
what_was_said_before_the_end_is_kept(void **state)
{
	static const struct script_step refused[] = {
		PIPE_HELLO, HEARS_UNTIL("DATA\r\n"),
		SAYS("550 5.7.1 blocked\r\n"), CLOSES, STOP
	};
	static const struct script_step busy[] = {
		PIPE_HELLO, HEARS_UNTIL("DATA\r\n"),
		SAYS("421 4.3.2 too busy\r\n"), CLOSES, STOP
	};
	struct delivery *d = new_delivery(1);

	(void)state;
	run_whole(d, refused);
	assert_int_equal(d->rcpts[0].res.outcome, OUT_PERM);
	assert_non_null(strstr(d->rcpts[0].res.text, "550 5.7.1 blocked"));
	run_whole(d, busy);
	assert_int_equal(d->rcpts[0].res.outcome, OUT_TEMP);
	assert_true(result_may_fail_over(&d->rcpts[0].res));
	assert_non_null(strstr(d->rcpts[0].res.text, "421 4.3.2 too busy"));
	free_delivery(d);
}

/* The last write fails, but the reason is there to be read. */
static void
a_refusal_during_the_last_write_is_believed(void **state)
{
	static const struct script_step steps[] = {
		PLAIN_HELLO, MAIL,
		HEARS("RCPT TO:<r0@y.example>\r\n"), SAYS("250 ok\r\n"),
		HEARS("DATA\r\n"), SAYS("354 go\r\n552 5.3.4 too large\r\n"),
		RESETS, STOP
	};
	struct delivery *d = new_delivery(1);

	(void)state;
	run_whole(d, steps);
	assert_int_equal(d->rcpts[0].res.outcome, OUT_PERM);
	assert_int_equal(d->rcpts[0].res.code, 552);
	free_delivery(d);
}

static void
data_refused_for_the_operators_sake(void **state)
{
	static const struct script_step steps[] = {
		PLAIN_HELLO, MAIL,
		HEARS("RCPT TO:<r0@y.example>\r\n"), SAYS("250 ok\r\n"),
		HEARS("DATA\r\n"),
		SAYS("554 Access denied: User `arn:x' is not authorized\r\n"), BYE
	};
	struct delivery *d = new_delivery(1);

	(void)state;
	run_whole(d, steps);
	assert_int_equal(d->rcpts[0].res.outcome, OUT_TEMP);
	assert_int_equal(d->rcpts[0].res.cause, CAUSE_OPERATOR);
	free_delivery(d);
}

/* What others say of a recipient sounds alike. */
static void
a_recipient_denied_is_refused(void **state)
{
	static const struct script_step steps[] = {
		PLAIN_HELLO, MAIL, HEARS("RCPT TO:<r0@y.example>\r\n"),
		SAYS("550 5.4.1 Recipient address rejected: Access denied.\r\n"),
		BYE
	};
	struct delivery *d = new_delivery(1);

	(void)state;
	run_whole(d, steps);
	assert_int_equal(d->rcpts[0].res.outcome, OUT_PERM);
	assert_false(result_may_fail_over(&d->rcpts[0].res));
	free_delivery(d);
}

static void
utf8_only_where_it_is_offered(void **state)
{
	static const struct script_step offered[] = {
		GREETING, SAYS("250-relay\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n"),
		HEARS("MAIL FROM:<f@x.example> SMTPUTF8\r\n"), SAYS("250 ok\r\n"),
		HEARS("RCPT TO:<r0@y.example>\r\n"), SAYS("250 ok\r\n"),
		HEARS("RCPT TO:<\xc3\xa9@y.example>\r\n"), SAYS("250 ok\r\n"),
		HEARS("DATA\r\n"), SAYS("354 go\r\n"), HEARS(TEXT),
		SAYS("250 taken\r\n"), BYE
	};
	static const struct script_step not_offered[] = { PLAIN_HELLO, MAIL,
		HEARS("RCPT TO:<r0@y.example>\r\n"), SAYS("250 ok\r\n"),
		HEARS("DATA\r\n"), SAYS("354 go\r\n"), HEARS(TEXT),
		SAYS("250 taken\r\n"), BYE
	};
	struct delivery *d = new_delivery(2);

	(void)state;
	free(d->rcpts[1].addr);
	d->rcpts[1].addr = strdup("\xc3\xa9@y.example");
	run_whole(d, offered);
	assert_int_equal(d->rcpts[1].res.outcome, OUT_DONE);
	run_whole(d, not_offered);
	assert_int_equal(d->rcpts[0].res.outcome, OUT_DONE);
	assert_int_equal(d->rcpts[1].res.outcome, OUT_PERM);
	assert_false(result_may_fail_over(&d->rcpts[1].res));
	assert_string_equal(d->rcpts[1].res.enhanced, "5.6.7");
	free_delivery(d);
}

/* Offered, but not within TLS: a promise that could not be kept. */
static void
requiretls_is_refused_without_tls(void **state)
{
	static const struct script_step steps[] = {
		GREETING, SAYS("250-relay\r\n250 REQUIRETLS\r\n"), BYE
	};
	struct delivery *d = new_delivery(1);

	(void)state;
	d->m.env.requiretls = true;
	run_whole(d, steps);
	assert_int_equal(d->rcpts[0].res.outcome, OUT_PERM);
	assert_string_equal(d->rcpts[0].res.enhanced, "5.7.30");
	assert_true(result_may_fail_over(&d->rcpts[0].res));
	free_delivery(d);
}

static void
dsn_parameters_are_passed_on(void **state)
{
	static const struct script_step offered[] = {
		GREETING, SAYS("250-relay\r\n250 DSN\r\n"),
		HEARS("MAIL FROM:<f@x.example> RET=HDRS ENVID=id\r\n"),
		SAYS("250 ok\r\n"),
		HEARS("RCPT TO:<r0@y.example> NOTIFY=NEVER "
		    "ORCPT=rfc822;o@y.example\r\n"), SAYS("250 ok\r\n"),
		HEARS("DATA\r\n"), SAYS("354 go\r\n"), HEARS(TEXT),
		SAYS("250 taken\r\n"), BYE
	};
	static const struct script_step not_offered[] = { PLAIN_HELLO, REST };
	struct delivery *d = new_delivery(1);

	(void)state;
	d->m.env.dsn_ret = strdup("HDRS");
	d->m.env.dsn_envid = strdup("id");
	d->rcpts[0].dsn_notify = strdup("NEVER");
	d->rcpts[0].dsn_orcpt = strdup("rfc822;o@y.example");
	run_whole(d, offered);
	assert_int_equal(d->rcpts[0].res.outcome, OUT_DONE);
	run_whole(d, not_offered);
	assert_int_equal(d->rcpts[0].res.outcome, OUT_DONE);
	free(d->m.env.dsn_ret);
	free(d->m.env.dsn_envid);
	free(d->rcpts[0].dsn_notify);
	free(d->rcpts[0].dsn_orcpt);
	free_delivery(d);
}

static void
ses_words_an_operators_error_as_554(void **state)
{
	static const struct script_step steps[] = {
		PLAIN_HELLO, MAIL,
		HEARS("RCPT TO:<r0@y.example>\r\n"), SAYS("250 ok\r\n"),
		HEARS("DATA\r\n"), SAYS("354 go\r\n"), HEARS(TEXT),
		SAYS("554 Message rejected: Email address is not verified.\r\n"),
		BYE
	};
	struct delivery *d = new_delivery(1);

	(void)state;
	run_whole(d, steps);
	assert_int_equal(d->rcpts[0].res.outcome, OUT_TEMP);
	assert_int_equal(d->rcpts[0].res.cause, CAUSE_OPERATOR);
	assert_true(result_may_fail_over(&d->rcpts[0].res));
	free_delivery(d);
}

/* More commands than are sent ahead; each recipient has its own result. */
static void
three_hundred_recipients(void **state)
{
	struct delivery *d = new_delivery(RCPTS_MAX);
	struct buf all = { 0 }, said = { 0 };
	struct script_step steps[] = {
		PIPE_HELLO, HEARS_UNTIL("DATA\r\n"), SAYS(""), HEARS(TEXT),
		SAYS("250 taken\r\n"), BYE
	};
	size_t i;

	(void)state;
	buf_adds(&all, "MAIL FROM:<f@x.example> SIZE=18\r\n");
	buf_adds(&said, "250 ok\r\n");
	for (i = 0; i < RCPTS_MAX; i++) {
		buf_addf(&all, "RCPT TO:<r%zu@y.example>\r\n", i);
		buf_adds(&said, i % 7 == 3 ? "550 5.1.1 no\r\n" : "250 ok\r\n");
	}
	/* All replies are there early: the order of commands alone matters. */
	buf_adds(&said, "354 go\r\n");
	steps[3] = (struct script_step)SAYS_N(said.p, said.len);
	steps[4] = (struct script_step)HEARS_UNTIL("DATA\r\n");
	run_whole(d, (const struct script_step[]){ steps[0], steps[1], steps[2],
	    steps[3], steps[4], HEARS(TEXT), SAYS("250 taken\r\n"), BYE });
	for (i = 0; i < RCPTS_MAX; i++)
		assert_int_equal(d->rcpts[i].res.outcome,
		    i % 7 == 3 ? OUT_PERM : OUT_DONE);
	buf_free(&all);
	buf_free(&said);
	free_delivery(d);
}

/* --- the cut sweep --- */

static const struct script_step sweep_plain[] = {
	AUTH_HELLO("PLAIN"), HEARS("AUTH PLAIN AHVzZXIAcGEgc3M=\r\n"),
	SAYS("235 ok\r\n"), MAIL,
	HEARS("RCPT TO:<r0@y.example>\r\n"), SAYS("250 ok\r\n"),
	HEARS("RCPT TO:<r1@y.example>\r\n"), SAYS("550 5.1.1 no\r\n"),
	HEARS("DATA\r\n"), SAYS("354 go\r\n"), HEARS(TEXT),
	SAYS("250-2.0.0 taken\r\n250 2.0.0 as 77\r\n"), BYE
};

static const struct script_step sweep_pipe[] = {
	GREETING, SAYS("250-relay\r\n250-AUTH PLAIN\r\n250 PIPELINING\r\n"),
	HEARS("AUTH PLAIN AHVzZXIAcGEgc3M=\r\n"), SAYS("235 ok\r\n"),
	HEARS("MAIL FROM:<f@x.example>\r\nRCPT TO:<r0@y.example>\r\n"
	    "RCPT TO:<r1@y.example>\r\nDATA\r\n"),
	SAYS("250 ok\r\n250 ok\r\n550 5.1.1 no\r\n354 go\r\n"), HEARS(TEXT),
	SAYS("250-2.0.0 taken\r\n250 2.0.0 as 77\r\n"), BYE
};

/*
 * Truncated at every byte as end, time-out and reset: DONE only after the whole
 * final 2xx, PERM only after the whole 550, ambiguous only behind the final dot.
 */
static void
sweep(const struct script_step *steps, size_t final_reply, size_t refusal)
{
	struct delivery *d = new_delivery(2);
	char user[] = "user", password[] = "pa ss";
	size_t total = script_says_bytes(steps), n;
	const struct result *a = &d->rcpts[0].res, *b = &d->rcpts[1].res;
	const char *dot;

	set_login(d, user, password);
	for (n = 0; n < 3 * total; n++) {
		run(d, steps, script_cut_input, n);
		script_check(&d->script);
		dot = strstr(buf_str(&d->script.wrote), "\r\n.\r\n");
		assert_int_equal(a->outcome, OUT_TEMP);
		assert_int_equal(a->certainly_not_taken, dot == NULL);
		assert_int_equal(b->outcome, n / 3 >= refusal ? OUT_PERM :
		    OUT_TEMP);
		assert_true(b->certainly_not_taken);
		assert_true(a->text[0] != '\0' && b->text[0] != '\0');
		assert_true(dot == NULL || n / 3 >= total - final_reply);
		script_free(&d->script);
	}
	for (n = 1; n < 20; n++) {
		run(d, steps, script_in_pieces, n);
		script_check(&d->script);
		assert_int_equal(a->outcome, OUT_DONE);
		assert_int_equal(b->outcome, OUT_PERM);
		script_free(&d->script);
	}
	free_delivery(d);
}

/* Where the peer's words end that let it be known that r1 is refused. */
static size_t
bytes_until(const struct script_step *steps, const char *text)
{
	size_t n = 0;
	const char *at;

	for (; steps->kind != SCRIPT_STOP; steps++) {
		if (steps->kind != SCRIPT_SAYS)
			continue;
		at = strstr(steps->text, text);
		if (at)
			return n + (size_t)(at - steps->text) + strlen(text);
		n += steps->n;
	}
	return n;
}

static void
cut_sweep_step_by_step(void **state)
{
	(void)state;
	sweep(sweep_plain, strlen("250-2.0.0 taken\r\n250 2.0.0 as 77\r\n"),
	    bytes_until(sweep_plain, "550 5.1.1 no\r\n"));
}

static void
cut_sweep_pipelined(void **state)
{
	(void)state;
	sweep(sweep_pipe, strlen("250-2.0.0 taken\r\n250 2.0.0 as 77\r\n"),
	    bytes_until(sweep_pipe, "550 5.1.1 no\r\n"));
}

static void
output_cut_at_every_byte(void **state)
{
	struct delivery *d = new_delivery(2);
	char user[] = "user", password[] = "pa ss";
	size_t n;

	(void)state;
	set_login(d, user, password);
	for (n = 0; n < 220; n++) {
		run(d, sweep_plain, script_cut_output, n);
		assert_int_not_equal(d->rcpts[0].res.outcome, OUT_PERM);
		if (strstr(buf_str(&d->script.wrote), "\r\n.\r\n") == NULL)
			assert_int_equal(d->rcpts[0].res.outcome, OUT_TEMP);
		script_free(&d->script);
	}
	free_delivery(d);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_recipient_step_by_step),
		cmocka_unit_test(answers_that_come_too_early_are_no_answers),
		cmocka_unit_test(pipelining_takes_one_flight),
		cmocka_unit_test(eight_bit_is_declared),
		cmocka_unit_test(rcpt_matrix_step_by_step),
		cmocka_unit_test(rcpt_matrix_pipelined),
		cmocka_unit_test(data_accepted_for_nobody_gets_a_lone_dot),
		cmocka_unit_test(mail_refused_may_fail_over),
		cmocka_unit_test(too_many_recipients_take_two_transactions),
		cmocka_unit_test(over_the_offered_size_is_refused_unsent),
		cmocka_unit_test(dots_are_stuffed),
		cmocka_unit_test(auth_plain_in_one_turn),
		cmocka_unit_test(auth_login_when_only_that_is_offered),
		cmocka_unit_test(a_long_auth_plain_waits_for_334),
		cmocka_unit_test(auth_failures_are_the_operators),
		cmocka_unit_test(helo_for_old_servers),
		cmocka_unit_test(bad_replies_are_temporary),
		cmocka_unit_test(replies_may_be_bare_or_long),
		cmocka_unit_test(a_421_ends_the_session),
		cmocka_unit_test(ses_words_an_operators_error_as_554),
		cmocka_unit_test(what_was_said_before_the_end_is_kept),
		cmocka_unit_test(a_refusal_during_the_last_write_is_believed),
		cmocka_unit_test(data_refused_for_the_operators_sake),
		cmocka_unit_test(a_recipient_denied_is_refused),
		cmocka_unit_test(utf8_only_where_it_is_offered),
		cmocka_unit_test(requiretls_is_refused_without_tls),
		cmocka_unit_test(dsn_parameters_are_passed_on),
		cmocka_unit_test(three_hundred_recipients),
		cmocka_unit_test(cut_sweep_step_by_step),
		cmocka_unit_test(cut_sweep_pipelined),
		cmocka_unit_test(output_cut_at_every_byte)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
