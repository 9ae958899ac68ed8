/* LMTP (RFC 2033): LHLO, and a reply for each recipient at the end. */
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

#define MESSAGE "Subject: x\r\n\r\nhi\r\n"

enum { RCPTS = 3, MESSAGES = 2 };

static char host[] = "relay", hostname[] = "h.example", from[] = "f@x.example";

/* One or two messages, each for the same recipients. */
struct delivery {
	struct route route;
	struct config config;
	struct log log;
	struct message m[MESSAGES];
	struct rcpt rcpts[MESSAGES][RCPTS];
	struct rcpt *lists[MESSAGES][RCPTS];
	size_t nrcpts, nmessages;
	struct script script;
	unsigned settled;		/* calls */
};

static void
count_settled(void *ctx, struct rcpt *const *rcpts, size_t n)
{
	struct delivery *d = ctx;
	size_t i;

	for (i = 0; i < n; i++)
		assert_true(rcpts[i]->res.text[0] != '\0');
	d->settled += (unsigned)n;
}

static struct delivery *
new_delivery(size_t nmessages, size_t nrcpts)
{
	static char addrs[RCPTS][20] = { "r0@y.example", "r1@y.example",
		"r2@y.example" };
	struct delivery *d = calloc(1, sizeof *d);
	size_t i, k;

	assert_non_null(d);
	d->route.type = ROUTE_LMTP;
	d->route.tls = TLS_OFF;
	d->route.name = d->route.host = host;
	d->config.hostname = hostname;
	d->log.target = LOG_TO_NONE;
	d->nrcpts = nrcpts;
	d->nmessages = nmessages;
	for (i = 0; i < nmessages; i++) {
		d->m[i].env.from = from;
		d->m[i].env.nrcpts = nrcpts;
		d->m[i].settled = count_settled;
		d->m[i].settled_ctx = d;
		d->m[i].spool.fd = memfd_create("message", 0);
		d->m[i].spool.size = sizeof MESSAGE - 1;
		assert_int_equal(write(d->m[i].spool.fd, MESSAGE,
		    sizeof MESSAGE - 1), sizeof MESSAGE - 1);
		for (k = 0; k < nrcpts; k++) {
			d->rcpts[i][k].addr = addrs[k];
			d->lists[i][k] = &d->rcpts[i][k];
		}
	}
	return d;
}

static void
free_delivery(struct delivery *d)
{
	size_t i;

	for (i = 0; i < d->nmessages; i++)
		close(d->m[i].spool.fd);
	free(d);
}

static void
run(struct delivery *d, const struct script_step *steps,
    void (*turn)(struct script *p, size_t n), size_t n)
{
	struct smtp *c = smtp_open(&d->route, &d->config, &d->log);
	struct parcel parcels[MESSAGES];
	struct stream s;
	size_t i;

	for (i = 0; i < d->nmessages; i++)
		parcels[i] = (struct parcel){ &d->m[i], d->lists[i], d->nrcpts };
	d->settled = 0;
	script_open(&d->script, &s, steps);
	if (turn)
		turn(&d->script, n);
	smtp_adopt(c, &s);
	smtp_deliver(c, parcels, d->nmessages);
	smtp_close(c);
	assert_int_equal(d->settled, d->nmessages * d->nrcpts);
}

static void
run_whole(struct delivery *d, const struct script_step *steps)
{
	run(d, steps, NULL, 0);
	script_check(&d->script);
	script_free(&d->script);
}

static void
ended(const struct delivery *d, size_t message, size_t rcpt,
    enum outcome outcome, int code)
{
	assert_int_equal(d->rcpts[message][rcpt].res.outcome, outcome);
	assert_int_equal(d->rcpts[message][rcpt].res.code, code);
}

#define HELLO(more) SAYS("220 relay LMTP\r\n"), HEARS("LHLO h.example\r\n"), \
	SAYS("250-relay\r\n" more "250 8BITMIME\r\n")
#define MAIL "MAIL FROM:<f@x.example>\r\n"
#define TO(n) "RCPT TO:<r" #n "@y.example>\r\n"
#define TEXT MESSAGE ".\r\n"
#define CHUNK "BDAT 18 LAST\r\n" MESSAGE
#define BYE HEARS("QUIT\r\n"), STOP

static void
a_reply_for_each(void **state)
{
	static const struct script_step steps[] = {
		HELLO(""), HEARS(MAIL), SAYS("250 ok\r\n"),
		HEARS(TO(0)), SAYS("250 ok\r\n"), HEARS(TO(1)), SAYS("250 ok\r\n"),
		HEARS(TO(2)), SAYS("250 ok\r\n"),
		HEARS("DATA\r\n"), SAYS("354 go\r\n"), HEARS(TEXT),
		SAYS("250 2.0.0 taken\r\n"), SAYS("452 4.2.2 full\r\n"),
		SAYS("550-5.7.1 not\r\n550 5.7.1 here\r\n"), BYE
	};
	struct delivery *d = new_delivery(1, 3);

	(void)state;
	run_whole(d, steps);
	ended(d, 0, 0, OUT_DONE, 250);
	ended(d, 0, 1, OUT_TEMP, 452);
	ended(d, 0, 2, OUT_PERM, 550);
	assert_true(d->rcpts[0][1].res.certainly_not_taken);
	assert_false(result_may_fail_over(&d->rcpts[0][2].res));
	assert_non_null(strstr(d->rcpts[0][2].res.text, "5.7.1 not 5.7.1 here"));
	free_delivery(d);
}

static void
none_for_who_was_refused(void **state)
{
	static const struct script_step steps[] = {
		HELLO("250-PIPELINING\r\n"),
		HEARS(MAIL TO(0) TO(1) TO(2) "DATA\r\n"),
		SAYS("250 ok\r\n550 5.1.1 who?\r\n250 ok\r\n451 later\r\n354 go\r\n"),
		HEARS(TEXT), SAYS("250 taken\r\n"), BYE
	};
	struct delivery *d = new_delivery(1, 3);

	(void)state;
	run_whole(d, steps);
	ended(d, 0, 0, OUT_PERM, 550);
	ended(d, 0, 1, OUT_DONE, 250);
	ended(d, 0, 2, OUT_TEMP, 451);
	free_delivery(d);
}

static void
a_chunk_has_as_many(void **state)
{
	static const struct script_step steps[] = {
		HELLO("250-PIPELINING\r\n250-CHUNKING\r\n"),
		HEARS(MAIL TO(0) TO(1) TO(2) CHUNK),
		SAYS("250 ok\r\n250 ok\r\n550 no\r\n250 ok\r\n554 5.6.0 spam\r\n"),
		SAYS("250 taken\r\n"), BYE
	};
	struct delivery *d = new_delivery(1, 3);

	(void)state;
	run_whole(d, steps);
	ended(d, 0, 0, OUT_PERM, 554);
	ended(d, 0, 1, OUT_PERM, 550);
	ended(d, 0, 2, OUT_DONE, 250);
	free_delivery(d);
}

/* Nobody is left, and so the last command has the one reply that refuses it. */
static void
nobody_is_left(void **state)
{
	static const struct script_step chunk[] = {
		HELLO("250-PIPELINING\r\n250-CHUNKING\r\n"),
		HEARS(MAIL TO(0) TO(1) CHUNK),
		SAYS("250 ok\r\n550 no\r\n450 no\r\n503 nobody\r\n"), BYE
	};
	static const struct script_step data[] = {
		HELLO("250-PIPELINING\r\n"), HEARS(MAIL TO(0) TO(1) "DATA\r\n"),
		SAYS("250 ok\r\n550 no\r\n450 no\r\n503 nobody\r\n"), BYE
	};
	/* A text for nobody would have no reply at all: good-bye. */
	static const struct script_step go_ahead[] = {
		HELLO("250-PIPELINING\r\n"), HEARS(MAIL TO(0) TO(1) "DATA\r\n"),
		SAYS("250 ok\r\n550 no\r\n450 no\r\n354 go\r\n"), STOP
	};
	struct delivery *d = new_delivery(1, 2);

	(void)state;
	run_whole(d, chunk);
	ended(d, 0, 0, OUT_PERM, 550);
	ended(d, 0, 1, OUT_TEMP, 450);
	run_whole(d, data);
	ended(d, 0, 0, OUT_PERM, 550);
	ended(d, 0, 1, OUT_TEMP, 450);
	run_whole(d, go_ahead);
	ended(d, 0, 0, OUT_PERM, 550);
	ended(d, 0, 1, OUT_TEMP, 450);
	free_delivery(d);
}

/* Between two of the replies: who was answered knows, the others cannot. */
static void
the_end_between_replies(void **state)
{
	static const struct script_step steps[] = {
		HELLO("250-PIPELINING\r\n"),
		HEARS(MAIL TO(0) TO(1) TO(2) "DATA\r\n"),
		SAYS("250 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n"),
		HEARS(TEXT), SAYS("250 taken\r\n550 no\r\n"), CLOSES, STOP
	};
	struct delivery *d = new_delivery(1, 3);

	(void)state;
	run_whole(d, steps);
	ended(d, 0, 0, OUT_DONE, 250);
	ended(d, 0, 1, OUT_PERM, 550);
	ended(d, 0, 2, OUT_TEMP, 0);
	assert_false(d->rcpts[0][2].res.certainly_not_taken);
	free_delivery(d);
}

/* Two messages in one flight: the replies are told apart by their number. */
static void
one_message_after_another(void **state)
{
	static const struct script_step steps[] = {
		HELLO("250-PIPELINING\r\n250-CHUNKING\r\n"),
		HEARS(MAIL TO(0) TO(1) CHUNK),
		SAYS("250 ok\r\n250 ok\r\n250 ok\r\n250 one\r\n450 two\r\n"),
		HEARS("RSET\r\n" MAIL TO(0) TO(1) CHUNK),
		SAYS("250 ok\r\n250 ok\r\n250 ok\r\n550 no\r\n550 three\r\n"
		    "250 four\r\n"), BYE
	};
	struct delivery *d = new_delivery(2, 2);

	(void)state;
	run_whole(d, steps);
	ended(d, 0, 0, OUT_DONE, 250);
	ended(d, 0, 1, OUT_TEMP, 450);
	ended(d, 1, 0, OUT_PERM, 550);
	ended(d, 1, 1, OUT_PERM, 550);
	free_delivery(d);
}

static void
too_many_recipients(void **state)
{
	static const struct script_step steps[] = {
		HELLO("250-PIPELINING\r\n"),
		HEARS(MAIL TO(0) TO(1) TO(2) "DATA\r\n"),
		SAYS("250 ok\r\n250 ok\r\n452 4.5.3 enough\r\n452 enough\r\n"
		    "354 go\r\n"),
		HEARS(TEXT), SAYS("250 taken\r\n"),
		HEARS(MAIL TO(1) TO(2) "DATA\r\n"),
		SAYS("250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n"),
		HEARS(TEXT), SAYS("250 taken\r\n"), SAYS("450 no\r\n"), BYE
	};
	struct delivery *d = new_delivery(1, 3);

	(void)state;
	run_whole(d, steps);
	ended(d, 0, 0, OUT_DONE, 250);
	ended(d, 0, 1, OUT_DONE, 250);
	ended(d, 0, 2, OUT_TEMP, 450);
	free_delivery(d);
}

/* A server that does not know LHLO is asked for nothing else. */
static void
an_smtp_server_is_none(void **state)
{
	static const struct script_step steps[] = {
		SAYS("220 relay ESMTP\r\n"), HEARS("LHLO h.example\r\n"),
		SAYS("500 unknown\r\n"), BYE
	};
	struct delivery *d = new_delivery(1, 1);

	(void)state;
	run_whole(d, steps);
	ended(d, 0, 0, OUT_TEMP, 500);
	assert_non_null(strstr(d->rcpts[0][0].res.text, "LHLO refused"));
	free_delivery(d);
}

/* --- the cut sweep --- */

/*
 * r0 is taken and r2 refused behind the message; r1 is refused before. The peer's
 * last words are "250 r0\r\n" and "550 r2\r\n"; DONE and PERM only behind them.
 */
static void
sweep(const struct script_step *steps, const char *end)
{
	struct delivery *d = new_delivery(1, 3);
	const struct result *r0 = &d->rcpts[0][0].res, *r2 = &d->rcpts[0][2].res;
	size_t total = script_says_bytes(steps), n;
	bool sent;

	for (n = 0; n < 3 * total; n++) {
		run(d, steps, script_cut_input, n);
		script_check(&d->script);
		sent = strstr(buf_str(&d->script.wrote), end) != NULL;
		if (n / 3 >= total - 8)
			ended(d, 0, 0, OUT_DONE, 250);
		else {
			assert_int_equal(r0->outcome, OUT_TEMP);
			assert_int_equal(r0->certainly_not_taken, !sent);
		}
		assert_int_equal(r2->outcome, OUT_TEMP);
		assert_int_equal(r2->certainly_not_taken, !sent);
		script_free(&d->script);
	}
	for (n = 1; n < 20; n++) {
		run(d, steps, script_in_pieces, n);
		script_check(&d->script);
		ended(d, 0, 0, OUT_DONE, 250);
		ended(d, 0, 1, OUT_TEMP, 450);
		ended(d, 0, 2, OUT_PERM, 550);
		script_free(&d->script);
	}
	for (n = 0; n < 160; n++) {
		run(d, steps, script_cut_output, n);
		if (strstr(buf_str(&d->script.wrote), end) == NULL)
			assert_int_equal(r0->outcome, OUT_TEMP);
		script_free(&d->script);
	}
	free_delivery(d);
}

/* 500 for one recipient, where a chunk was understood before. */
static void
a_chunk_refused_for_one(void **state)
{
	static const struct script_step steps[] = {
		HELLO("250-CHUNKING\r\n"), HEARS(MAIL), SAYS("250 ok\r\n"),
		HEARS(TO(0)), SAYS("250 ok\r\n"), HEARS(TO(1)),
		SAYS("250 ok\r\n"), HEARS(CHUNK), SAYS("250 a\r\n250 b\r\n"),
		HEARS(MAIL), SAYS("250 ok\r\n"), HEARS(TO(0)),
		SAYS("250 ok\r\n"), HEARS(TO(1)), SAYS("250 ok\r\n"),
		HEARS(CHUNK), SAYS("500 no\r\n250 d\r\n"), BYE
	};
	struct delivery *d = new_delivery(2, 2);

	(void)state;
	run_whole(d, steps);
	ended(d, 0, 0, OUT_DONE, 250);
	ended(d, 0, 1, OUT_DONE, 250);
	ended(d, 1, 0, OUT_PERM, 500);
	ended(d, 1, 1, OUT_DONE, 250);
	free_delivery(d);
}

static void
cut_sweep(void **state)
{
	static const struct script_step data[] = {
		HELLO(""), HEARS(MAIL), SAYS("250 ok\r\n"),
		HEARS(TO(0)), SAYS("250 ok\r\n"), HEARS(TO(1)), SAYS("450 no\r\n"),
		HEARS(TO(2)), SAYS("250 ok\r\n"),
		HEARS("DATA\r\n"), SAYS("354 go\r\n"), HEARS(TEXT),
		SAYS("250 r0\r\n"), SAYS("550 r2\r\n"), BYE
	};
	static const struct script_step chunk[] = {
		HELLO("250-PIPELINING\r\n250-CHUNKING\r\n"),
		HEARS(MAIL TO(0) TO(1) TO(2) CHUNK),
		SAYS("250 ok\r\n250 ok\r\n450 no\r\n250 ok\r\n250 r0\r\n"),
		SAYS("550 r2\r\n"), BYE
	};

	(void)state;
	sweep(data, "\r\n.\r\n");
	sweep(chunk, "\r\nhi\r\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_reply_for_each),
		cmocka_unit_test(none_for_who_was_refused),
		cmocka_unit_test(a_chunk_has_as_many),
		cmocka_unit_test(nobody_is_left),
		cmocka_unit_test(the_end_between_replies),
		cmocka_unit_test(one_message_after_another),
		cmocka_unit_test(too_many_recipients),
		cmocka_unit_test(an_smtp_server_is_none),
		cmocka_unit_test(a_chunk_refused_for_one),
		cmocka_unit_test(cut_sweep)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
