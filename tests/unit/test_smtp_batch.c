/* Several messages on one connection to a scripted relay, and on the next one. */
#define _GNU_SOURCE	/* memfd_create */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/net/dial.h"
#include "smtp.h"
#include "tests/unit/script.h"

enum { MESSAGES = 64, RCPTS = 2, CONNECTIONS = 6 };

/* A relay, the scripts of its connections in turn, and messages for it. */
struct batch {
	struct route route;
	struct config config;
	struct log log;
	size_t n, nrcpts;		/* messages, recipients of each */
	struct message m[MESSAGES];
	struct rcpt rcpts[MESSAGES][RCPTS], *list[MESSAGES][RCPTS];
	struct parcel parcels[MESSAGES];
	const struct script_step *steps[CONNECTIONS];
	struct script script[CONNECTIONS];
	size_t connections;		/* begun */
	unsigned settled[MESSAGES];	/* recipients */
	char expect[MESSAGES][16];	/* in the text of what is settled */
	void (*turn)(struct script *p, size_t n);
	size_t turn_n;
	struct smtp *c;
};

static struct batch *here;		/* for what has no context */

/* The next connection is the next script's; none: nobody answers. */
int
dial(struct stream *s, const char *host, unsigned port, const char *source,
    int64_t seconds, struct log *log, struct result *res)
{
	struct batch *b = here;
	size_t i = b->connections;

	(void)host, (void)port, (void)source, (void)seconds, (void)log;
	if (i == CONNECTIONS || b->steps[i] == NULL) {
		result_set(res, OUT_TEMP, CAUSE_ROUTE, "nobody answers");
		return -1;
	}
	b->connections++;
	script_open(&b->script[i], s, b->steps[i]);
	if (b->turn && i == 0)
		b->turn(&b->script[i], b->turn_n);
	return 0;
}

bool
dial_is_loopback(const char *host)
{
	(void)host;
	return true;
}

bool
dial_is_address(const char *host)
{
	(void)host;
	return false;
}

/* Everyone is reported once, with a result. */
static void
note_settled(void *ctx, struct rcpt *const *rcpts, size_t n)
{
	struct batch *b = here;
	size_t i = (size_t)((struct message *)ctx - b->m), k;

	if (n == 0)
		return;		/* of a wait */
	b->settled[i] += (unsigned)n;
	for (k = 0; k < n; k++) {
		assert_true(rcpts[k]->res.text[0] != '\0');
		assert_true(rcpts[k] >= b->rcpts[i] &&
		    rcpts[k] < b->rcpts[i] + b->nrcpts);
	}
}

static void
set_text(struct message *m, const void *text, size_t n)
{
	if (m->spool.fd >= 0)
		close(m->spool.fd);
	m->spool.fd = memfd_create("message", 0);
	m->spool.size = (off_t)n;
	assert_int_equal(write(m->spool.fd, text, n), n);
}

/* Message i is "S: i\r\n\r\n.\r\n" from fi@x to ai@y (and bi@y). */
static struct batch *
new_batch(size_t n, size_t nrcpts)
{
	struct batch *b = calloc(1, sizeof *b);
	char text[64];
	size_t i, k;

	assert_non_null(b);
	b->route.tls = TLS_OFF;
	b->route.name = b->route.host = strdup("relay");
	b->config.hostname = strdup("h");
	b->log.target = LOG_TO_NONE;
	b->n = n;
	b->nrcpts = nrcpts;
	for (i = 0; i < n; i++) {
		snprintf(text, sizeof text, "S: %02zu\r\n\r\n.\r\n", i);
		b->m[i].spool.fd = -1;
		set_text(&b->m[i], text, strlen(text));
		b->m[i].spool.has_dot_line = true;
		b->m[i].settled = note_settled;
		b->m[i].settled_ctx = &b->m[i];
		snprintf(text, sizeof text, "f%02zu@x", i);
		b->m[i].env.from = strdup(text);
		for (k = 0; k < nrcpts; k++) {
			snprintf(text, sizeof text, "%c%02zu@y",
			    "ab"[k], i);
			b->rcpts[i][k].addr = strdup(text);
			b->list[i][k] = &b->rcpts[i][k];
		}
		b->parcels[i] = (struct parcel){ &b->m[i], b->list[i], nrcpts };
	}
	here = b;
	return b;
}

static void
open_batch(struct batch *b)
{
	b->c = smtp_open(&b->route, &b->config, &b->log);
	b->connections = 0;
	memset(b->settled, 0, sizeof b->settled);
}

/* Messages from..to-1 in one call; each of their recipients is settled once. */
static void
deliver(struct batch *b, size_t from, size_t to)
{
	size_t i;

	for (i = from; i < to; i++)
		b->settled[i] = 0;
	smtp_deliver(b->c, b->parcels + from, to - from);
	for (i = from; i < to; i++)
		assert_int_equal(b->settled[i], b->nrcpts);
}

/* Every connection that has a script was made, and went by it. */
static void
close_batch(struct batch *b, bool check)
{
	size_t i;

	smtp_close(b->c);
	for (i = 0; i < b->connections; i++) {
		if (check)
			script_check(&b->script[i]);
		script_free(&b->script[i]);
	}
	if (check && i < CONNECTIONS)
		assert_null(b->steps[i]);
}

static void
free_batch(struct batch *b)
{
	size_t i, k;

	for (i = 0; i < b->n; i++) {
		close(b->m[i].spool.fd);
		free(b->m[i].env.from);
		for (k = 0; k < b->nrcpts; k++)
			free(b->rcpts[i][k].addr);
	}
	free(b->route.host);
	free(b->config.hostname);
	free(b);
}

static void
run_whole(struct batch *b, const struct script_step *steps)
{
	b->steps[0] = steps;
	open_batch(b);
	deliver(b, 0, b->n);
	close_batch(b, true);
}

static void
is(const struct batch *b, size_t i, enum outcome outcome, const char *text)
{
	const struct result *res = &b->rcpts[i][0].res;

	if (res->outcome != outcome || strstr(res->text, text) == NULL)
		fail_msg("message %zu: outcome %d, \"%s\"; not %d, \"%s\"", i,
		    (int)res->outcome, res->text, (int)outcome, text);
	assert_int_equal(res->certainly_not_taken, outcome != OUT_DONE);
}

#define HELLO(more) SAYS("220 relay ESMTP\r\n"), HEARS("EHLO h\r\n"), \
	SAYS("250-relay\r\n" more "250 HELP\r\n")
#define BOTH HELLO("250-PIPELINING\r\n250-CHUNKING\r\n")
#define PIPE HELLO("250-PIPELINING\r\n")
#define FROM(i) "MAIL FROM:<f" i "@x>\r\n"
#define TO(i) "RCPT TO:<a" i "@y>\r\n"
#define ENVELOPE(i) FROM(i) TO(i)
#define TEXT(i) "S: " i "\r\n\r\n.\r\n"
#define CHUNK(i) ENVELOPE(i) "BDAT 12 LAST\r\n" TEXT(i)
#define DOTTED(i) "S: " i "\r\n\r\n..\r\n.\r\n"
#define OK2 "250 mail\r\n250 rcpt\r\n"
#define TAKEN(i) "250 taken as " i "\r\n"
#define FIRST HEARS(CHUNK("00")), SAYS(OK2 TAKEN("00"))
#define RSET "RSET\r\n"
#define BYE HEARS("QUIT\r\n"), STOP

/* --- what leaves --- */

static void
chunks_of_several_messages_in_one_flight(void **state)
{
	static const struct script_step steps[] = {
		BOTH, FIRST,
		HEARS(CHUNK("01") RSET CHUNK("02") RSET CHUNK("03")),
		SAYS(OK2 TAKEN("01") "250 reset\r\n" OK2 TAKEN("02")
		    "250 reset\r\n" OK2 TAKEN("03")),
		BYE
	};
	struct batch *b = new_batch(4, 1);
	size_t i;
	char text[20];

	(void)state;
	run_whole(b, steps);
	for (i = 0; i < 4; i++) {
		snprintf(text, sizeof text, "taken as %02zu", i);
		is(b, i, OUT_DONE, text);
	}
	/* EHLO, the first message, the others, QUIT */
	assert_int_equal(b->script[0].writes, 4);
	free_batch(b);
}

static void
one_small_message_takes_one_flight(void **state)
{
	static const struct script_step steps[] = { BOTH, FIRST, BYE };
	struct batch *b = new_batch(1, 1);

	(void)state;
	run_whole(b, steps);
	is(b, 0, OUT_DONE, "taken as 00");
	assert_int_equal(b->script[0].writes, 3);
	free_batch(b);
}

static void
chunks_without_pipelining_go_step_by_step(void **state)
{
	static const struct script_step steps[] = {
		HELLO("250-CHUNKING\r\n"),
		HEARS(FROM("00")), SAYS("250 ok\r\n"),
		HEARS(TO("00")), SAYS("250 ok\r\n"),
		HEARS("BDAT 12 LAST\r\n" TEXT("00")), SAYS(TAKEN("00")),
		HEARS(FROM("01")), SAYS("250 ok\r\n"),
		HEARS(TO("01")), SAYS("550 5.1.1 no\r\n"),
		HEARS(RSET), SAYS("250 ok\r\n"),
		HEARS(FROM("02")), SAYS("250 ok\r\n"),
		HEARS(TO("02")), SAYS("250 ok\r\n"),
		HEARS("BDAT 12 LAST\r\n" TEXT("02")), SAYS(TAKEN("02")),
		BYE
	};
	struct batch *b = new_batch(3, 1);

	(void)state;
	run_whole(b, steps);
	is(b, 0, OUT_DONE, "taken as 00");
	is(b, 1, OUT_PERM, "550 5.1.1 no");
	is(b, 2, OUT_DONE, "taken as 02");
	free_batch(b);
}

/* RFC 2920: what ends with the final dot may be followed by the next MAIL. */
static void
an_envelope_leaves_behind_the_final_dot(void **state)
{
	static const struct script_step steps[] = {
		PIPE, HEARS(ENVELOPE("00") "DATA\r\n"),
		SAYS(OK2 "354 go\r\n"),
		HEARS(DOTTED("00") ENVELOPE("01") "DATA\r\n"),
		SAYS(TAKEN("00") OK2 "354 go\r\n"),
		HEARS(DOTTED("01") ENVELOPE("02") "DATA\r\n"),
		SAYS("554 5.6.0 spam\r\n" OK2 "354 go\r\n"),
		HEARS(DOTTED("02")), SAYS(TAKEN("02")), BYE
	};
	struct batch *b = new_batch(3, 1);

	(void)state;
	run_whole(b, steps);
	is(b, 0, OUT_DONE, "taken as 00");
	is(b, 1, OUT_PERM, "554 5.6.0 spam");
	is(b, 2, OUT_DONE, "taken as 02");
	/* EHLO, envelope, three texts, QUIT */
	assert_int_equal(b->script[0].writes, 6);
	free_batch(b);
}

static void
data_refused_or_for_nobody_in_a_batch(void **state)
{
	static const struct script_step steps[] = {
		PIPE, HEARS(ENVELOPE("00") "DATA\r\n"),
		SAYS("250 ok\r\n550 no\r\n554 nobody\r\n"),
		HEARS(RSET ENVELOPE("01") "DATA\r\n"),
		SAYS("250 reset\r\n250 ok\r\n551 no\r\n354 go\r\n"),
		HEARS(".\r\n" ENVELOPE("02") "DATA\r\n"),
		SAYS("250 an empty one\r\n" OK2 "451 later\r\n"),
		HEARS(RSET ENVELOPE("03") "DATA\r\n"),
		SAYS("250 reset\r\n" OK2 "354 go\r\n"),
		HEARS(DOTTED("03")), SAYS(TAKEN("03")), BYE
	};
	struct batch *b = new_batch(4, 1);

	(void)state;
	run_whole(b, steps);
	is(b, 0, OUT_PERM, "550 no");
	is(b, 1, OUT_PERM, "551 no");
	is(b, 2, OUT_TEMP, "451 later");
	is(b, 3, OUT_DONE, "taken as 03");
	free_batch(b);
}

/* Else message 1 would leave under the name of message 0's sender. */
static void
everyone_refused_does_not_mix_senders(void **state)
{
	static const struct script_step steps[] = {
		BOTH, HEARS(CHUNK("00")),
		SAYS("250 ok\r\n550 5.1.1 no\r\n503 nobody\r\n"),
		HEARS(RSET CHUNK("01") RSET CHUNK("02")),
		SAYS("250 reset\r\n250 ok\r\n450 later\r\n554 nobody\r\n"
		    "250 reset\r\n" OK2 TAKEN("02")), BYE
	};
	struct batch *b = new_batch(3, 1);

	(void)state;
	run_whole(b, steps);
	is(b, 0, OUT_PERM, "550 5.1.1 no");
	is(b, 1, OUT_TEMP, "450 later");
	is(b, 2, OUT_DONE, "taken as 02");
	free_batch(b);
}

static void
a_large_message_between_small_ones(void **state)
{
	static struct script_step steps[] = {
		BOTH, FIRST, HEARS(CHUNK("01") RSET ENVELOPE("02") "DATA\r\n"),
		SAYS(OK2 TAKEN("01") "250 reset\r\n" OK2 "354 go\r\n"),
		HEARS_BYTES(65538), HEARS(".\r\n" CHUNK("03")),
		SAYS(TAKEN("02") OK2 TAKEN("03")), BYE
	};
	struct batch *b = new_batch(4, 1);
	char *text = calloc(1, 65538);
	size_t i;

	(void)state;
	memset(text, 'x', 65536);
	memcpy(text + 65536, "\r\n", 2);
	set_text(&b->m[2], text, 65538);
	b->m[2].spool.has_dot_line = false;
	run_whole(b, steps);
	for (i = 0; i < 4; i++)
		is(b, i, OUT_DONE, "taken as 0");
	free(text);
	free_batch(b);
}

static void
too_many_recipients_within_a_batch(void **state)
{
#define TWO(i) ENVELOPE(i) "RCPT TO:<b" i "@y>\r\nBDAT 12 LAST\r\n" TEXT(i)
	static const struct script_step steps[] = {
		BOTH, HEARS(TWO("00")), SAYS(OK2 "250 rcpt\r\n" TAKEN("00")),
		HEARS(TWO("01") RSET TWO("02")),
		SAYS(OK2 "452 4.5.3 enough\r\n" TAKEN("01") "250 reset\r\n"
		    OK2 "552 5.5.3 enough\r\n" "554 5.6.0 spam\r\n"),
		HEARS(RSET FROM("01") "RCPT TO:<b01@y>\r\nBDAT 12 LAST\r\n"
		    TEXT("01") RSET FROM("02") "RCPT TO:<b02@y>\r\n"
		    "BDAT 12 LAST\r\n" TEXT("02")),
		SAYS("250 reset\r\n" OK2 "250 taken, the rest\r\n"
		    "250 reset\r\n250 ok\r\n552 5.5.3 enough\r\n503 who?\r\n"),
		BYE
	};
	struct batch *b = new_batch(3, 2);

	(void)state;
	run_whole(b, steps);
	is(b, 0, OUT_DONE, "taken as 00");
	is(b, 1, OUT_DONE, "taken as 01");
	is(b, 2, OUT_PERM, "554 5.6.0 spam");
	assert_int_equal(b->rcpts[1][1].res.outcome, OUT_DONE);
	assert_non_null(strstr(b->rcpts[1][1].res.text, "the rest"));
	assert_int_equal(b->rcpts[2][1].res.outcome, OUT_TEMP);
	assert_int_equal(b->rcpts[2][1].res.code, 552);
	free_batch(b);
}

/* Nothing is said of a message that cannot be read; the others leave. */
static void
an_unreadable_message_is_not_begun(void **state)
{
	static const struct script_step steps[] = {
		BOTH, FIRST, HEARS(CHUNK("02")), SAYS(OK2 TAKEN("02")), BYE
	};
	struct batch *b = new_batch(3, 1);

	(void)state;
	b->m[1].spool.size++;
	run_whole(b, steps);
	is(b, 0, OUT_DONE, "taken as 00");
	is(b, 1, OUT_TEMP, "cannot be read");
	assert_int_equal(b->rcpts[1][0].res.cause, CAUSE_LOCAL);
	is(b, 2, OUT_DONE, "taken as 02");
	free_batch(b);
}

/* By DATA it has been begun: the connection is cut, the next one goes on. */
static void
an_unreadable_text_cuts_the_connection(void **state)
{
	static const struct script_step one[] = {
		PIPE, HEARS(ENVELOPE("00") "DATA\r\n"),
		SAYS(OK2 "354 go\r\n"), HEARS_ANY, STOP
	};
	static const struct script_step two[] = {
		PIPE, HEARS(ENVELOPE("01") "DATA\r\n"), SAYS(OK2 "354 go\r\n"),
		HEARS(DOTTED("01")), SAYS(TAKEN("01")), BYE
	};
	struct batch *b = new_batch(2, 1);

	(void)state;
	b->m[0].spool.size++;
	b->steps[1] = two;
	run_whole(b, one);
	is(b, 0, OUT_TEMP, "cannot be read");
	is(b, 1, OUT_DONE, "taken as 01");
	free_batch(b);
}

/* --- how many --- */

/* A near peer: four are in the air, and go on when two of them have landed. */
static void
few_messages_in_the_air_when_the_peer_is_near(void **state)
{
	static const struct script_step steps[] = {
		BOTH, FIRST,
		HEARS(CHUNK("01") RSET CHUNK("02") RSET CHUNK("03") RSET
		    CHUNK("04")),
		SAYS(OK2 TAKEN("01") "250 reset\r\n" OK2 TAKEN("02")),
		HEARS(RSET CHUNK("05") RSET CHUNK("06")),
		SAYS("250 reset\r\n" OK2 TAKEN("03") "250 reset\r\n" OK2
		    TAKEN("04") "250 reset\r\n" OK2 TAKEN("05")
		    "250 reset\r\n" OK2 TAKEN("06")), BYE
	};
	struct batch *b = new_batch(7, 1);
	size_t i;

	(void)state;
	run_whole(b, steps);
	for (i = 0; i < 7; i++)
		is(b, i, OUT_DONE, "taken as 0");
	free_batch(b);
}

static void
take_time(struct script *p)
{
	struct timespec ms = { .tv_nsec = 80000000 };

	(void)p;
	nanosleep(&ms, NULL);
}

/* The answers to messages from..to, each taken, behind the RSET of the last. */
static struct script_step
takes(struct buf *b, size_t from, size_t to)
{
	size_t i;

	for (i = from; i <= to; i++)
		buf_addf(b, "%s" OK2 "250 taken as %02zu\r\n", i > from ?
		    "250 reset\r\n" : "", i);
	return (struct script_step)SAYS_N(b->p, b->len);
}

/*
 * A peer 80 ms away may have thirty-two, but not before it has shown that it takes
 * what it gets.
 */
static void
many_messages_in_the_air_when_the_peer_is_far(void **state)
{
	struct buf said[4] = { { 0 }, { 0 }, { 0 }, { 0 } };
	struct script_step steps[] = {
		SAYS("220 relay\r\n"), HEARS("EHLO h\r\n"), CALLS(take_time),
		SAYS("250-relay\r\n250-PIPELINING\r\n250 CHUNKING\r\n"), FIRST,
		HEARS_UNTIL("S: 09\r\n\r\n.\r\n"), takes(&said[0], 1, 9),
		HEARS_UNTIL("S: 27\r\n\r\n.\r\n"), takes(&said[1], 10, 27),
		HEARS_UNTIL("S: 59\r\n\r\n.\r\n"), takes(&said[2], 28, 43),
		HEARS_UNTIL("S: 63\r\n\r\n.\r\n"), SAYS("250 reset\r\n"),
		takes(&said[3], 44, 63), BYE
	};
	struct batch *b = new_batch(64, 1);
	size_t i;

	(void)state;
	run_whole(b, steps);
	for (i = 0; i < 64; i++)
		is(b, i, OUT_DONE, "taken as");
	/* EHLO, 0, 1..9, 10..27, 28..59, 60..63, QUIT */
	assert_int_equal(b->script[0].writes, 7);
	for (i = 0; i < 4; i++)
		buf_free(&said[i]);
	free_batch(b);
}

/* RSETs are counted by peers: fewer are risked, then another connection is made. */
static void
a_peer_that_refuses_is_sent_little_at_a_time(void **state)
{
#define NO "250 mail\r\n550 no\r\n554 nobody\r\n"
	struct script_step one[] = {
		SAYS("220 relay\r\n"), HEARS("EHLO h\r\n"), CALLS(take_time),
		SAYS("250-relay\r\n250-PIPELINING\r\n250 CHUNKING\r\n"), FIRST,
		HEARS_UNTIL("S: 09\r\n\r\n.\r\n"), SAYS(NO "250 reset\r\n" NO
		    "250 reset\r\n" OK2 TAKEN("03") "250 reset\r\n" NO
		    "250 reset\r\n" NO "250 reset\r\n" NO "250 reset\r\n" NO
		    "250 reset\r\n" NO "250 reset\r\n" OK2 TAKEN("09")),
		/* seven have come to nothing: one and that one are left */
		HEARS(CHUNK("10") RSET CHUNK("11")),
		SAYS(OK2 TAKEN("10") "250 reset\r\n" NO), BYE
	};
	static const struct script_step two[] = { BOTH,
		HEARS(CHUNK("12")), SAYS(OK2 TAKEN("12")), BYE
	};
	struct batch *b = new_batch(13, 1);
	size_t i;

	(void)state;
	b->steps[1] = two;
	run_whole(b, one);
	for (i = 0; i < 13; i++)
		if (i == 0 || i == 3 || i == 9 || i == 10 || i == 12)
			is(b, i, OUT_DONE, "taken as");
		else
			is(b, i, OUT_PERM, "550 no");
	free_batch(b);
}

/* 256 KiB may be in the air: four messages of 60,000 bytes. */
static void
no_more_than_256_kib_in_the_air(void **state)
{
	struct script_step steps[] = {
		SAYS("220 relay\r\n"), HEARS("EHLO h\r\n"), CALLS(take_time),
		SAYS("250-relay\r\n250-PIPELINING\r\n250 CHUNKING\r\n"), FIRST,
		HEARS_UNTIL("f04@x>\r\n"), HEARS_UNTIL("LAST\r\n"),
		HEARS_BYTES(60000), SAYS(OK2 TAKEN("01") "250 reset\r\n" OK2
		    TAKEN("02")), HEARS_UNTIL("f06@x>\r\n"),
		HEARS_UNTIL("LAST\r\n"), HEARS_BYTES(60000),
		SAYS("250 reset\r\n" OK2 TAKEN("03") "250 reset\r\n" OK2
		    TAKEN("04") "250 reset\r\n" OK2 TAKEN("05")
		    "250 reset\r\n" OK2 TAKEN("06")), BYE
	};
	struct batch *b = new_batch(7, 1);
	char *text = malloc(60000);
	size_t i;

	(void)state;
	memset(text, 'x', 60000);
	for (i = 1; i < 7; i++)
		set_text(&b->m[i], text, 60000);
	run_whole(b, steps);
	for (i = 0; i < 7; i++)
		is(b, i, OUT_DONE, "taken as");
	free(text);
	free_batch(b);
}

/* --- who refuses what --- */

/*
 * Behind message 0, two messages with two recipients each: {2xx,4xx,5xx} for
 * every RCPT and for both chunks; nobody gets another's answer.
 */
static void
matrix_of_two_messages(void **state)
{
	static const char *const rcpt[] = { "250 ok", "450 4.2.1 later",
		"550 5.1.1 no" };
	static const char *const final[] = { "250 2.0.0 taken",
		"451 4.3.0 later", "554 5.6.0 spam" };
	static const int code[3][3] = { { 250, 451, 554 }, { 450, 450, 450 },
		{ 550, 550, 550 } };
	struct script_step steps[] = {
		BOTH, HEARS(TWO("00")), SAYS(OK2 "250 rcpt\r\n" TAKEN("00")),
		HEARS(TWO("01") RSET TWO("02")), SAYS(""), BYE
	};
	struct batch *b = new_batch(3, 2);
	const struct result *res;
	char said[600], tag[20];
	int combo, n, i, k, digit[6], len;

	(void)state;
	for (combo = 0; combo < 729; combo++) {
		for (i = 0, n = combo; i < 6; i++, n /= 3)
			digit[i] = n % 3;
		for (i = len = 0; i < 2; i++)
			len += snprintf(said + len, sizeof said - (size_t)len,
			    "%s250 ok\r\n%s <%da>\r\n%s <%db>\r\n%s <%d>\r\n",
			    i ? "250 reset\r\n" : "", rcpt[digit[3 * i]], i,
			    rcpt[digit[3 * i + 1]], i,
			    digit[3 * i] && digit[3 * i + 1] ?
			    "503 5.5.1 nobody" : final[digit[3 * i + 2]], i);
		steps[6] = (struct script_step)SAYS_N(said, (size_t)len);
		run_whole(b, steps);
		for (i = 0; i < 2; i++)
			for (k = 0; k < 2; k++) {
				res = &b->rcpts[i + 1][k].res;
				assert_int_equal(res->code,
				    code[digit[3 * i + k]][digit[3 * i + 2]]);
				assert_int_equal(res->outcome,
				    res->code < 300 ? OUT_DONE :
				    res->code < 500 ? OUT_TEMP : OUT_PERM);
				snprintf(tag, sizeof tag, digit[3 * i + k] ?
				    "<%d%c>" : "<%d>", i, "ab"[k]);
				assert_non_null(strstr(res->text, tag));
			}
	}
	free_batch(b);
}

/* --- CHUNKING that is none --- */

static void
bdat_unknown_means_data_on_a_new_connection(void **state)
{
	static const struct script_step two[] = {
		BOTH, HEARS(ENVELOPE("00") "DATA\r\n"), SAYS(OK2 "354 go\r\n"),
		HEARS(DOTTED("00") ENVELOPE("01") "DATA\r\n"),
		SAYS(TAKEN("00") OK2 "354 go\r\n"), HEARS(DOTTED("01")),
		SAYS(TAKEN("01")), BYE
	};
	static const char *const replies[] = {
		/* the last ones answer to the text, read as commands */
		OK2 "500 what?\r\n500 S?\r\n500 ?\r\n500 .?\r\n",
		OK2 "502 5.5.1 not implemented\r\n", OK2 "503 when?\r\n",
		"250 ok\r\n550 no\r\n500 what?\r\n"
	};
	struct batch *b = new_batch(2, 1);
	size_t i;

	(void)state;
	b->steps[1] = two;
	for (i = 0; i < 3; i++) {
		struct script_step one[] = { BOTH, HEARS(CHUNK("00")),
			SAYS_N(replies[i], strlen(replies[i])), STOP };

		run_whole(b, one);
		is(b, 0, OUT_DONE, "taken as 00");
		is(b, 1, OUT_DONE, "taken as 01");
	}
	free_batch(b);
}

/* A peer that has known BDAT before has read the chunk: nothing is out of step. */
static void
bdat_refused_later_means_data_for_that_message(void **state)
{
	static const struct script_step steps[] = {
		BOTH, FIRST, HEARS(CHUNK("01") RSET CHUNK("02")),
		SAYS(OK2 "501 5.5.4 odd\r\n" "250 reset\r\n" OK2 TAKEN("02")),
		HEARS(ENVELOPE("01") "DATA\r\n"), SAYS(OK2 "354 go\r\n"),
		HEARS(DOTTED("01")), SAYS(TAKEN("01")), BYE
	};
	struct batch *b = new_batch(3, 1);

	(void)state;
	run_whole(b, steps);
	is(b, 1, OUT_DONE, "taken as 01");
	is(b, 2, OUT_DONE, "taken as 02");
	free_batch(b);
}

/* --- connections that end --- */

/* At MAIL it says only that the session is at its end. */
static void
a_421_sends_the_rest_to_a_new_connection(void **state)
{
	static const struct script_step one[] = {
		BOTH, FIRST,
		HEARS(CHUNK("01") RSET CHUNK("02") RSET CHUNK("03")),
		SAYS(OK2 TAKEN("01") "250 reset\r\n421 4.3.2 enough\r\n"),
		CLOSES, STOP
	};
	static const struct script_step patient[] = {
		BOTH, FIRST,
		HEARS(CHUNK("01") RSET CHUNK("02") RSET CHUNK("03")),
		SAYS(OK2 TAKEN("01") "250 reset\r\n421 enough\r\n503 MAIL\r\n"
		    "503 MAIL\r\n250 reset\r\n421 enough\r\n421 bye\r\n"
		    "421 bye\r\n"), BYE
	};
	/* Without a 421. */
	static const struct script_step stubborn[] = {
		BOTH, FIRST,
		HEARS(CHUNK("01") RSET CHUNK("02") RSET CHUNK("03")),
		SAYS(OK2 TAKEN("01") "250 reset\r\n452 4.5.3 enough\r\n"
		    "503 MAIL\r\n503 MAIL\r\n250 reset\r\n452 4.5.3 enough\r\n"
		    "503 MAIL\r\n503 MAIL\r\n"), BYE
	};
	static const struct script_step two[] = {
		BOTH, HEARS(CHUNK("02")), SAYS(OK2 TAKEN("02")),
		HEARS(CHUNK("03")), SAYS("250 ok\r\n421 4.3.2 enough\r\n"),
		CLOSES, STOP
	};
	struct batch *b = new_batch(4, 1);

	(void)state;
	b->steps[1] = two;
	run_whole(b, one);
	is(b, 1, OUT_DONE, "taken as 01");
	is(b, 2, OUT_DONE, "taken as 02");
	is(b, 3, OUT_TEMP, "421 4.3.2 enough");
	run_whole(b, patient);
	is(b, 2, OUT_DONE, "taken as 02");
	run_whole(b, stubborn);
	is(b, 1, OUT_DONE, "taken as 01");
	is(b, 2, OUT_DONE, "taken as 02");
	is(b, 3, OUT_TEMP, "421 4.3.2 enough");
	free_batch(b);
}

/* Replies that still come after a 421 count. */
static void
a_421_for_one_of_several(void **state)
{
	static const struct script_step steps[] = {
		BOTH, FIRST, HEARS(CHUNK("01") RSET CHUNK("02")),
		SAYS("250 ok\r\n421 not him\r\n503 nobody\r\n250 reset\r\n" OK2
		    TAKEN("02")), BYE
	};
	struct batch *b = new_batch(3, 1);

	(void)state;
	run_whole(b, steps);
	is(b, 1, OUT_TEMP, "421 not him");
	is(b, 2, OUT_DONE, "taken as 02");
	free_batch(b);
}

/* Else a MAIL that is taken for a second one would share the first's recipients. */
static void
a_refused_rset_ends_the_session(void **state)
{
	static const struct script_step one[] = { HELLO(""),
		HEARS(FROM("00")), SAYS("250 ok\r\n"),
		HEARS(TO("00")), SAYS("250 ok\r\n"),
		HEARS("DATA\r\n"), SAYS("451 later\r\n"),
		HEARS(RSET), SAYS("502 what?\r\n"), BYE };
	static const struct script_step two[] = { HELLO(""),
		HEARS(FROM("01")), SAYS("250 ok\r\n"),
		HEARS(TO("01")), SAYS("250 ok\r\n"),
		HEARS("DATA\r\n"), SAYS("354 go\r\n"),
		HEARS(DOTTED("01")), SAYS(TAKEN("01")), BYE };
	struct batch *b = new_batch(2, 1);

	(void)state;
	b->steps[1] = two;
	run_whole(b, one);
	is(b, 0, OUT_TEMP, "451 later");
	is(b, 1, OUT_DONE, "taken as 01");
	free_batch(b);
}

/* Closes after each message, without a word. */
static void
a_server_that_closes_after_a_message(void **state)
{
	static const struct script_step one[] = { PIPE,
		HEARS(ENVELOPE("00") "DATA\r\n"), SAYS(OK2 "354 go\r\n"),
		HEARS(DOTTED("00") ENVELOPE("01") "DATA\r\n"), SAYS(TAKEN("00")),
		CLOSES, STOP };
	static const struct script_step two[] = { PIPE,
		HEARS(ENVELOPE("01") "DATA\r\n"), SAYS(OK2 "354 go\r\n"),
		HEARS(DOTTED("01") ENVELOPE("02") "DATA\r\n"), SAYS(TAKEN("01")),
		CLOSES, STOP };
	static const struct script_step three[] = { PIPE,
		HEARS(ENVELOPE("02") "DATA\r\n"), SAYS(OK2 "354 go\r\n"),
		HEARS(DOTTED("02")), SAYS(TAKEN("02")), BYE };
	struct batch *b = new_batch(3, 1);
	size_t i;

	(void)state;
	b->steps[1] = two;
	b->steps[2] = three;
	run_whole(b, one);
	for (i = 0; i < 3; i++)
		is(b, i, OUT_DONE, "taken as 0");
	free_batch(b);
}

static void
a_kept_connection_that_was_closed_is_reopened(void **state)
{
	static const struct script_step closed[] = { BOTH, FIRST, CLOSES, STOP };
	static const struct script_step told[] = { BOTH, FIRST,
		SAYS("421 idle\r\n"), CLOSES, STOP };
	static const struct script_step two[] = { BOTH,
		HEARS(CHUNK("01")), SAYS(OK2 TAKEN("01")), BYE };
	static const struct script_step *const first[] = { closed, told };
	struct batch *b = new_batch(2, 1);
	size_t i;

	(void)state;
	b->steps[1] = two;
	for (i = 0; i < 2; i++) {
		b->steps[0] = first[i];
		open_batch(b);
		deliver(b, 0, 1);
		deliver(b, 1, 2);
		is(b, 0, OUT_DONE, "taken as 00");
		is(b, 1, OUT_DONE, "taken as 01");
		/* QUIT is said to whoever may still hear it */
		b->script[0].wrong[0] = '\0';
		close_batch(b, false);
		assert_int_equal(b->connections, 2);
	}
	free_batch(b);
}

/* It looks alive, but ends before it has said anything: tried once more. */
static void
a_kept_connection_that_dies_is_reopened_once(void **state)
{
	static const struct script_step one[] = { PIPE,
		HEARS(ENVELOPE("00") "DATA\r\n"), SAYS(OK2 "354 go\r\n"),
		HEARS(DOTTED("00")), SAYS(TAKEN("00")),
		HEARS(ENVELOPE("01") "DATA\r\n"), CLOSES, STOP };
	static const struct script_step two[] = { PIPE,
		HEARS(ENVELOPE("01") "DATA\r\n"), CLOSES, STOP };
	struct batch *b = new_batch(2, 1);

	(void)state;
	b->steps[0] = one;
	b->steps[1] = two;
	open_batch(b);
	deliver(b, 0, 1);
	deliver(b, 1, 2);
	close_batch(b, true);
	is(b, 1, OUT_TEMP, "closed the connection");
	assert_int_equal(b->connections, 2);
	free_batch(b);
}

static void
no_answer_on_four_connections_is_enough(void **state)
{
	static const struct script_step steps[] = { PIPE,
		HEARS_UNTIL("DATA\r\n"), SAYS("421 too busy\r\n"), CLOSES,
		STOP };
	struct batch *b = new_batch(6, 1);
	size_t i;

	(void)state;
	for (i = 0; i < 4; i++)
		b->steps[i] = steps;
	open_batch(b);
	deliver(b, 0, 6);
	assert_non_null(strstr(smtp_down(b->c)->text, "421 too busy"));
	close_batch(b, true);
	for (i = 0; i < 6; i++)
		is(b, i, OUT_TEMP, "421 too busy");
	assert_int_equal(b->connections, 4);
	free_batch(b);
}

static void
no_session_for_anyone(void **state)
{
	static const struct script_step refused[] = { SAYS("554 go away\r\n"),
		BYE };
	struct batch *b = new_batch(3, 1);
	size_t i;

	(void)state;
	open_batch(b);
	assert_null(smtp_down(b->c));
	deliver(b, 0, 3);
	for (i = 0; i < 3; i++)
		is(b, i, OUT_TEMP, "nobody answers");
	assert_non_null(smtp_down(b->c));
	b->steps[0] = refused;
	deliver(b, 0, 3);
	for (i = 0; i < 3; i++)
		is(b, i, OUT_TEMP, "554 go away");
	assert_string_equal(smtp_down(b->c)->text, b->rcpts[0][0].res.text);
	close_batch(b, true);
	free_batch(b);
}

/* --- the cut sweep --- */

#define ONE_IN_TWO(i) "250 mail\r\n250 rcpt\r\n550 5.1.1 no b" i "\r\n"
#define SWEPT(i) "250-2.0.0 taken\r\n250 2.0.0 as " i "\r\n"

static const struct script_step sweep_chunks[] = {
	BOTH, HEARS(TWO("00")), SAYS(ONE_IN_TWO("00") SWEPT("00")),
	HEARS(TWO("01") RSET TWO("02") RSET TWO("03")),
	SAYS(ONE_IN_TWO("01") SWEPT("01") "250 reset\r\n" ONE_IN_TWO("02")
	    SWEPT("02") "250 reset\r\n" ONE_IN_TWO("03") SWEPT("03")), BYE
};

#define TWO_DATA(i) ENVELOPE(i) "RCPT TO:<b" i "@y>\r\nDATA\r\n"
#define GO(i) ONE_IN_TWO(i) "354 go\r\n"

static const struct script_step sweep_data[] = {
	PIPE, HEARS(TWO_DATA("00")), SAYS(GO("00")),
	HEARS(DOTTED("00") TWO_DATA("01")), SAYS(SWEPT("00") GO("01")),
	HEARS(DOTTED("01") TWO_DATA("02")), SAYS(SWEPT("01") GO("02")),
	HEARS(DOTTED("02") TWO_DATA("03")), SAYS(SWEPT("02") GO("03")),
	HEARS(DOTTED("03")), SAYS(SWEPT("03")), BYE
};

/* How much the peer has said when this has been said; `said` is all of it. */
static size_t
bytes_until(const char *said, const char *text)
{
	const char *at = strstr(said, text);

	assert_non_null(at);
	return (size_t)(at - said) + strlen(text);
}

/*
 * What must be known of message i when the peer's words end after n bytes and
 * `wrote` had left: DONE and PERM exactly when they were said to this message,
 * ambiguous exactly when all of the message had left.
 */
static void
judge_cut(const struct batch *b, size_t i, const char *said, size_t n,
    const char *wrote, const char *texts)
{
	const struct result *a = &b->rcpts[i][0].res, *r = &b->rcpts[i][1].res;
	char text[40];

	snprintf(text, sizeof text, "no b%02zu\r\n", i);
	assert_int_equal(r->outcome, n >= bytes_until(said, text) ? OUT_PERM :
	    OUT_TEMP);
	assert_true(r->outcome == OUT_TEMP || r->certainly_not_taken);
	snprintf(text, sizeof text, "as %02zu\r\n", i);
	assert_int_equal(a->outcome, n >= bytes_until(said, text) ? OUT_DONE :
	    OUT_TEMP);
	snprintf(text, sizeof text, texts, i);
	assert_int_equal(a->certainly_not_taken, strstr(wrote, text) == NULL);
	snprintf(text, sizeof text, "as %02zu", i);
	if (a->outcome == OUT_DONE)
		assert_non_null(strstr(a->text, text));
}

static void
sweep(const struct script_step *steps, const char *texts)
{
	struct batch *b = new_batch(4, 2);
	struct buf said = { 0 };
	size_t total, n, i;

	for (i = 0; steps[i].kind != SCRIPT_STOP; i++)
		if (steps[i].kind == SCRIPT_SAYS)
			buf_add(&said, steps[i].text, steps[i].n);
	total = said.len;
	b->steps[0] = steps;
	b->turn = script_cut_input;
	for (n = 0; n < 3 * total; n++) {
		b->turn_n = n;
		open_batch(b);
		deliver(b, 0, 4);
		script_check(&b->script[0]);
		for (i = 0; i < 4; i++)
			judge_cut(b, i, buf_str(&said), n / 3,
			    buf_str(&b->script[0].wrote), texts);
		close_batch(b, false);
	}
	b->turn = script_in_pieces;
	for (n = 1; n < 20; n++) {
		b->turn_n = n;
		open_batch(b);
		deliver(b, 0, 4);
		for (i = 0; i < 4; i++)
			judge_cut(b, i, buf_str(&said), total,
			    buf_str(&b->script[0].wrote), texts);
		close_batch(b, true);
	}
	buf_free(&said);
	free_batch(b);
}

static void
cut_sweep_of_chunks(void **state)
{
	(void)state;
	sweep(sweep_chunks, "S: %02zu\r\n\r\n.\r\n");
}

static void
cut_sweep_of_data(void **state)
{
	(void)state;
	sweep(sweep_data, "S: %02zu\r\n\r\n..\r\n.\r\n");
}

/*
 * Writing fails at every byte: what left as a whole and was not answered is
 * ambiguous; so may be what was in the write that failed, and nothing else.
 */
static void
sweep_output(const struct script_step *steps, const char *texts)
{
	struct batch *b = new_batch(4, 2);
	size_t n, i, all;
	char text[40];
	const struct result *a;
	const char *wrote;

	b->steps[0] = steps;
	open_batch(b);
	deliver(b, 0, 4);
	all = b->script[0].wrote.len;
	close_batch(b, true);
	b->turn = script_cut_output;
	for (n = 0; n < all; n++) {
		b->turn_n = n;
		open_batch(b);
		deliver(b, 0, 4);
		wrote = buf_str(&b->script[0].wrote);
		for (i = 0; i < 4; i++) {
			a = &b->rcpts[i][0].res;
			snprintf(text, sizeof text, texts, i);
			if (strstr(wrote, text))
				assert_false(a->certainly_not_taken);
			else
				assert_int_equal(a->outcome, OUT_TEMP);
			assert_int_not_equal(a->outcome, OUT_PERM);
		}
		close_batch(b, false);
	}
	free_batch(b);
}

static void
output_cut_at_every_byte(void **state)
{
	(void)state;
	sweep_output(sweep_chunks, "S: %02zu\r\n\r\n.\r\n");
	sweep_output(sweep_data, "S: %02zu\r\n\r\n..\r\n.\r\n");
}

/* Writing fails, but the answers to what came before are there to be read. */
static void
answers_are_heard_when_writing_fails(void **state)
{
	static const struct script_step steps[] = {
		BOTH, FIRST, HEARS_UNTIL("f02@x>\r\n"),
		SAYS(OK2 TAKEN("01") "250 reset\r\n250 mail\r\n"
		    "421 4.3.2 full\r\n"), RESETS, STOP
	};
	struct batch *b = new_batch(4, 1);
	char *text = malloc(60000);

	(void)state;
	memset(text, 'x', 60000);
	set_text(&b->m[2], text, 60000);
	b->steps[0] = steps;
	open_batch(b);
	deliver(b, 0, 4);
	is(b, 1, OUT_DONE, "taken as 01");
	is(b, 2, OUT_TEMP, "421 4.3.2 full");
	is(b, 3, OUT_TEMP, "nobody answers");
	close_batch(b, false);
	free(text);
	free_batch(b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chunks_of_several_messages_in_one_flight),
		cmocka_unit_test(one_small_message_takes_one_flight),
		cmocka_unit_test(chunks_without_pipelining_go_step_by_step),
		cmocka_unit_test(an_envelope_leaves_behind_the_final_dot),
		cmocka_unit_test(data_refused_or_for_nobody_in_a_batch),
		cmocka_unit_test(everyone_refused_does_not_mix_senders),
		cmocka_unit_test(a_large_message_between_small_ones),
		cmocka_unit_test(too_many_recipients_within_a_batch),
		cmocka_unit_test(an_unreadable_message_is_not_begun),
		cmocka_unit_test(an_unreadable_text_cuts_the_connection),
		cmocka_unit_test(few_messages_in_the_air_when_the_peer_is_near),
		cmocka_unit_test(many_messages_in_the_air_when_the_peer_is_far),
		cmocka_unit_test(a_peer_that_refuses_is_sent_little_at_a_time),
		cmocka_unit_test(no_more_than_256_kib_in_the_air),
		cmocka_unit_test(matrix_of_two_messages),
		cmocka_unit_test(bdat_unknown_means_data_on_a_new_connection),
		cmocka_unit_test(bdat_refused_later_means_data_for_that_message),
		cmocka_unit_test(a_421_sends_the_rest_to_a_new_connection),
		cmocka_unit_test(a_421_for_one_of_several),
		cmocka_unit_test(a_refused_rset_ends_the_session),
		cmocka_unit_test(a_server_that_closes_after_a_message),
		cmocka_unit_test(a_kept_connection_that_was_closed_is_reopened),
		cmocka_unit_test(a_kept_connection_that_dies_is_reopened_once),
		cmocka_unit_test(no_answer_on_four_connections_is_enough),
		cmocka_unit_test(no_session_for_anyone),
		cmocka_unit_test(cut_sweep_of_chunks),
		cmocka_unit_test(cut_sweep_of_data),
		cmocka_unit_test(output_cut_at_every_byte),
		cmocka_unit_test(answers_are_heard_when_writing_fails)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
