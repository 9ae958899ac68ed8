/* What becomes of a message after a try: what is left in the queue, who is told. */
#include "lib/front/outcome.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/conf.h"
#include "tests/unit/queuedir.h"

enum { HOUR = 3600, DAY = 86400 };

/* A queue, routes for reports, and a log. */
struct world {
	struct queuedir d;
	struct config config;
	struct delivery delivery;
	struct log log;
	struct result res;
	int taken;		/* the socket of a port where nobody listens */
	char id[24];
	char states[40];
};

static int
setup(void **state)
{
	struct world *w = calloc(1, sizeof *w);
	char path[400];

	assert_non_null(w);
	queuedir_open(&w->d);
	log_open(&w->log, LOG_TO_FILE, queuedir_path(&w->d, "log", path));
	w->taken = -1;
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	struct world *w = *state;

	deliver_close(&w->delivery);
	config_free(&w->config);
	log_close(&w->log);
	queuedir_close(&w->d);
	if (w->taken >= 0)
		close(w->taken);
	free(w);
	return 0;
}

static void
use(struct world *w, const char *conf)
{
	conf_accepted(&w->config, conf);
	assert_int_equal(deliver_open(&w->delivery, &w->config, &w->log, NULL),
	    0);
	w->delivery.queue = &w->d.q;
}

/* Reports go into box/, when the route takes mail without a sender. */
static void
use_box(struct world *w, const char *global, const char *senders)
{
	char conf[400];

	snprintf(conf, sizeof conf, "%sroute box\ntype maildir\npath %s/box\n"
	    "%s\n", global, w->d.path, senders);
	use(w, conf);
}

/* Reports stay in the queue: nobody listens. */
static void
use_closed_port(struct world *w)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof sin;
	char conf[200];

	w->taken = socket(AF_INET, SOCK_STREAM, 0);
	assert_true(w->taken >= 0);
	assert_int_equal(bind(w->taken, (struct sockaddr *)&sin, len), 0);
	assert_int_equal(getsockname(w->taken, (struct sockaddr *)&sin, &len),
	    0);
	snprintf(conf, sizeof conf, "route r\ntype smtp\nhost 127.0.0.1\n"
	    "port %u\ntls off\nsender *\n", ntohs(sin.sin_port));
	use(w, conf);
}

/* --- results, a letter each --- */

static const struct {
	char letter;
	enum outcome outcome;
	enum cause cause;
	bool maybe_taken;
} kinds[] = {
	{ 'd', OUT_DONE, CAUSE_ROUTE, true },
	{ 'p', OUT_PERM, CAUSE_RCPT, false },
	{ 'c', OUT_PERM, CAUSE_CONTENT, false },
	{ 'P', OUT_PERM, CAUSE_ROUTE, false },
	{ 'O', OUT_PERM, CAUSE_OPERATOR, false },
	{ 'L', OUT_PERM, CAUSE_LOCAL, false },
	{ 't', OUT_TEMP, CAUSE_ROUTE, false },
	{ 'r', OUT_TEMP, CAUSE_RCPT, false },
	{ 'm', OUT_TEMP, CAUSE_CONTENT, false },
	{ 'a', OUT_TEMP, CAUSE_ROUTE, true },
	{ 'o', OUT_TEMP, CAUSE_OPERATOR, false },
	{ 'l', OUT_TEMP, CAUSE_LOCAL, false },
	/* '-': no code path touched it; nor whom nobody waits for. */
};

static void
set_result(struct rcpt *r, char letter)
{
	size_t i;

	if (letter == '-')
		return;
	for (i = 0; kinds[i].letter != letter; i++)
		continue;
	result_set(&r->res, kinds[i].outcome, kinds[i].cause, "said of %s",
	    r->addr);
	r->res.certainly_not_taken = !kinds[i].maybe_taken;
}

/* A try of the message: a letter for each recipient. */
static void
try(struct world *w, const char *letters)
{
	struct message m;
	struct ticket t;
	size_t i;

	if (queue_take(&w->d.q, w->id, &t, &m, &w->res) != 1)
		fail_msg("not taken: %s", w->res.text);
	assert_int_equal(m.env.nrcpts, strlen(letters));
	for (i = 0; i < m.env.nrcpts; i++)
		set_result(&m.env.rcpts[i], letters[i]);
	outcome_apply(&w->delivery, &t);
	message_free(&m);
}

static void
put(struct world *w, const struct queued *what)
{
	queuedir_add(&w->d, what, w->id);
}

/* --- what is left --- */

static const char *
left(struct world *w)
{
	return queuedir_states(&w->d, QUEUE_READY, w->id, w->states);
}

static const char *
failed(struct world *w)
{
	return queuedir_states(&w->d, QUEUE_FAILED, w->id, w->states);
}

static int
reports(const struct world *w)
{
	int n = queuedir_count(&w->d, "box/new", NULL);

	return n < 0 ? 0 : n;
}

static int
files(const struct world *w, const char *folder)
{
	return queuedir_count(&w->d, folder, NULL);
}

/* How often it is in the one report that there is. */
static int
report_says(const struct world *w, const char *part)
{
	char name[300], file[320];

	assert_int_equal(queuedir_count(&w->d, "box/new", name), 1);
	snprintf(file, sizeof file, "box/new/%s", name);
	return queuedir_grep(&w->d, file, part);
}

/* When it is tried again, and how often it was. */
enum when { AT_ONCE, LATER };

static void
assert_due(struct world *w, enum when when, unsigned tries)
{
	struct queuefile f = queuedir_fields(&w->d, w->id);
	int64_t now = time(NULL), middle = 300;
	unsigned i;

	assert_int_equal(f.tries, tries);
	if (when == AT_ONCE) {
		assert_in_range(f.next, now - 60, now);
		return;
	}
	for (i = 1; i < tries; i++)
		middle *= 2;
	assert_in_range(f.next, now + middle - middle / 10 - 60,
	    now + middle + middle / 10);
}

/* A row: one try of one message, and all that it leaves. */
struct row {
	const char *from, *rcpts, *letters;
	int64_t age;
	const char *notify;
	const char *left, *failed;	/* states; "": not there */
	int reports;
	enum when when;			/* of what is left */
	unsigned tries;			/* before it: 1 */
};

static void
check_rows(void **state, const char *global, const char *senders,
    const struct row *t, size_t n)
{
	struct world *w;
	int64_t now;
	size_t i;

	for (i = 0; i < n; i++, t++) {
		w = *state;
		now = time(NULL);
		use_box(w, global, senders);
		put(w, &(struct queued){ .from = t->from, .rcpts = t->rcpts,
			.notify = t->notify, .born = now - t->age,
			.next = now - 60, .tries = 1 });
		try(w, t->letters);
		if (strcmp(left(w), t->left ? t->left : "") != 0)
			fail_msg("row %zu: left %s", i, left(w));
		if (strcmp(failed(w), t->failed ? t->failed : "") != 0)
			fail_msg("row %zu: failed %s", i, failed(w));
		if (reports(w) != t->reports)
			fail_msg("row %zu: %d reports", i, reports(w));
		if (t->left)
			assert_due(w, t->when, t->tries);
		/* Nothing else: reports were delivered. */
		assert_int_equal(files(w, "queue"), t->left != NULL);
		assert_int_equal(files(w, "failed"), t->failed != NULL);
		assert_int_equal(files(w, "tmp"), 0);
		teardown(state);
		setup(state);
	}
}
#define CHECK_ROWS(global, senders, t) \
	check_rows(state, global, senders, t, sizeof (t) / sizeof *(t))

#define BOB "-bob@example.net"
#define CAROL " -carol@example.net"

static void
test_young_message(void **state)
{
	static const struct row t[] = {
		{ .letters = "d" },
		{ .letters = "p", .reports = 1 },
		{ .letters = "c", .reports = 1 },
		/* The last fallback has refused it. */
		{ .letters = "P", .reports = 1 },
		{ .letters = "O", .left = "-", .when = LATER, .tries = 2 },
		{ .letters = "L", .left = "-", .when = AT_ONCE, .tries = 1 },
		{ .letters = "t", .left = "-", .when = LATER, .tries = 2 },
		{ .letters = "r", .left = "-", .when = LATER, .tries = 2 },
		{ .letters = "m", .left = "-", .when = LATER, .tries = 2 },
		{ .letters = "a", .left = "-", .when = LATER, .tries = 2 },
		{ .letters = "o", .left = "-", .when = LATER, .tries = 2 },
		{ .letters = "l", .left = "-", .when = AT_ONCE, .tries = 1 },
		{ .letters = "-", .left = "-", .when = LATER, .tries = 2 },
	};

	CHECK_ROWS("queue-warn 0\n", "sender *", t);
}

static void
test_message_that_is_too_old(void **state)
{
	static const struct row t[] = {
		{ .letters = "d", .age = 6 * DAY },
		{ .letters = "p", .age = 6 * DAY, .reports = 1 },
		{ .letters = "t", .age = 6 * DAY, .reports = 1 },
		{ .letters = "r", .age = 6 * DAY, .reports = 1 },
		{ .letters = "m", .age = 6 * DAY, .reports = 1 },
		{ .letters = "a", .age = 6 * DAY, .reports = 1 },
		{ .letters = "-", .age = 6 * DAY, .reports = 1 },
		/* The operator's, and ours: never. */
		{ .letters = "o", .age = 60 * DAY, .left = "-", .when = LATER,
		    .tries = 2 },
		{ .letters = "O", .age = 60 * DAY, .left = "-", .when = LATER,
		    .tries = 2 },
		{ .letters = "l", .age = 60 * DAY, .left = "-",
		    .when = AT_ONCE, .tries = 1 },
		{ .letters = "L", .age = 60 * DAY, .left = "-",
		    .when = AT_ONCE, .tries = 1 },
	};

	CHECK_ROWS("queue-warn 0\n", "sender *", t);
}

static void
test_lifetime_is_what_is_configured(void **state)
{
	static const struct row t[] = {
		{ .letters = "t", .age = 2 * HOUR - 30, .left = "-",
		    .when = LATER, .tries = 2 },
		{ .letters = "t", .age = 2 * HOUR, .reports = 1 },
	};

	CHECK_ROWS("queue-lifetime 2h\nqueue-warn 0\n", "sender *", t);
}

static void
test_notify_decides_over_reports(void **state)
{
	static const struct row t[] = {
		{ .letters = "p", .notify = "NEVER" },
		{ .letters = "p", .notify = "SUCCESS" },
		{ .letters = "p", .notify = "DELAY" },
		{ .letters = "p", .notify = "FAILURE", .reports = 1 },
		{ .letters = "p", .notify = "SUCCESS,FAILURE", .reports = 1 },
		{ .letters = "t", .notify = "NEVER", .age = 6 * DAY },
		{ .letters = "t", .notify = "FAILURE", .age = 6 * DAY,
		    .reports = 1 },
		{ .letters = "o", .notify = "NEVER", .age = 6 * DAY,
		    .left = "-", .when = LATER, .tries = 2 },
	};

	CHECK_ROWS("queue-warn 0\n", "sender *", t);
}

static void
test_null_sender_is_told_nothing(void **state)
{
	static const struct row t[] = {
		{ .from = "", .letters = "d" },
		{ .from = "", .letters = "t", .left = "-", .when = LATER,
		    .tries = 2 },
		{ .from = "", .letters = "p", .failed = "!" },
		{ .from = "", .letters = "c", .failed = "!" },
		{ .from = "", .letters = "t", .age = 6 * DAY, .failed = "!" },
		{ .from = "", .letters = "o", .age = 6 * DAY, .left = "-",
		    .when = LATER, .tries = 2 },
		{ .from = "", .letters = "l", .age = 6 * DAY, .left = "-",
		    .when = AT_ONCE, .tries = 1 },
		{ .from = "", .letters = "dp", .rcpts = BOB CAROL,
		    .failed = "+!" },
		/* Until the last one has its result. */
		{ .from = "", .letters = "pt", .rcpts = BOB CAROL,
		    .left = "!-", .when = LATER, .tries = 2 },
		{ .from = "", .letters = "-d", .rcpts = "!bob@x.example" CAROL,
		    .failed = "!+" },
		/* Who wants no report loses nothing. */
		{ .from = "", .letters = "p", .notify = "NEVER" },
	};

	CHECK_ROWS("queue-warn 0\n", "sender *", t);
}

static void
test_no_route_for_reports(void **state)
{
	static const struct row t[] = {
		{ .letters = "d" },
		{ .letters = "p", .failed = "!" },
		{ .letters = "t", .age = 6 * DAY, .failed = "!" },
		{ .letters = "p", .notify = "NEVER" },
		{ .letters = "pt", .rcpts = BOB CAROL, .left = "!-",
		    .when = LATER, .tries = 2 },
		{ .letters = "pl", .rcpts = BOB CAROL, .left = "!-",
		    .when = AT_ONCE, .tries = 1 },
	};

	CHECK_ROWS("queue-warn 0\n", "sender alice@example.com", t);
}

static void
test_each_recipient_has_a_result(void **state)
{
	static const struct row t[] = {
		{ .rcpts = BOB CAROL, .letters = "dd" },
		{ .rcpts = BOB CAROL, .letters = "dp", .reports = 1 },
		{ .rcpts = BOB CAROL, .letters = "pp", .reports = 1 },
		{ .rcpts = BOB CAROL, .letters = "dt", .left = "+-",
		    .when = LATER, .tries = 2 },
		{ .rcpts = BOB CAROL, .letters = "pt", .left = "x-",
		    .when = LATER, .tries = 2, .reports = 1 },
		{ .rcpts = BOB CAROL, .letters = "pl", .left = "x-",
		    .when = AT_ONCE, .tries = 1, .reports = 1 },
		{ .rcpts = BOB CAROL, .letters = "tl", .left = "--",
		    .when = AT_ONCE, .tries = 1 },
		{ .rcpts = BOB CAROL, .letters = "to", .age = 6 * DAY,
		    .left = "x-", .when = LATER, .tries = 2, .reports = 1 },
		{ .rcpts = BOB CAROL, .letters = "tp", .age = 6 * DAY,
		    .reports = 1 },
	};

	CHECK_ROWS("queue-warn 0\n", "sender *", t);
}

/* What a crash has left half done. */
static void
test_states_from_before_are_brought_to_an_end(void **state)
{
	static const struct row t[] = {
		{ .rcpts = "!bob@example.net", .letters = "-", .reports = 1 },
		{ .rcpts = "xbob@example.net", .letters = "-" },
		{ .rcpts = "+bob@example.net", .letters = "-" },
		{ .rcpts = "xbob@example.net" CAROL, .letters = "-d" },
		{ .rcpts = "xbob@example.net" CAROL, .letters = "-p",
		    .reports = 1 },
		{ .rcpts = "!bob@example.net" CAROL, .letters = "-t",
		    .left = "x-", .when = LATER, .tries = 2, .reports = 1 },
		{ .rcpts = "+bob@example.net" CAROL, .letters = "-t",
		    .left = "+-", .when = LATER, .tries = 2 },
		{ .from = "", .rcpts = "!bob@example.net", .letters = "-",
		    .failed = "!" },
	};

	CHECK_ROWS("queue-warn 0\n", "sender *", t);
}

static void
test_bounce_to_is_told_instead(void **state)
{
	struct world *w = *state;

	use_box(w, "bounce-to post@example.com\n", "sender *");
	put(w, &(struct queued){ 0 });
	try(w, "p");
	assert_string_equal(left(w), "");
	assert_int_equal(report_says(w, "Delivered-To: post@example.com\n"), 1);
	assert_int_equal(report_says(w, "\nTo: post@example.com\n"), 1);
}

static void
test_bounce_to_is_not_told_of_the_null_senders_mail(void **state)
{
	static const struct row t[] = {
		{ .from = "", .letters = "p", .failed = "!" },
		{ .letters = "p", .reports = 1 },
		{ .letters = "p", .notify = "NEVER" },
	};

	CHECK_ROWS("bounce-to post@example.com\n", "sender *", t);
}

/* --- the report --- */

static void
test_report_is_about_who_was_refused(void **state)
{
	struct world *w = *state;

	use_box(w, "", "sender *");
	put(w, &(struct queued){ .rcpts = "-bob@example.net "
		"-carol@example.net -dave@example.net +eve@example.net" });
	try(w, "dpt-");
	assert_string_equal(left(w), "+x-+");
	assert_int_equal(report_says(w, "Return-Path: <>\n"), 1);
	assert_int_equal(report_says(w, "Delivered-To: alice@example.com\n"), 1);
	assert_int_equal(report_says(w, "multipart/report"), 1);
	assert_int_equal(report_says(w, "Action: failed\n"), 1);
	assert_int_equal(report_says(w,
	    "Final-Recipient: rfc822;carol@example.net\n"), 1);
	assert_int_equal(report_says(w, "said of carol@example.net"), 2);
	assert_int_equal(report_says(w, "bob@"), 0);
	assert_int_equal(report_says(w, "dave@"), 0);
	assert_int_equal(report_says(w, "eve@"), 0);
	assert_int_equal(report_says(w, "Subject: x\n"), 1);
}

static void
test_each_refusal_is_reported_once(void **state)
{
	struct world *w = *state;

	use_box(w, "", "sender *");
	put(w, &(struct queued){ .rcpts = BOB CAROL });
	try(w, "pt");
	assert_int_equal(reports(w), 1);
	try(w, "-t");
	assert_int_equal(reports(w), 1);
	assert_string_equal(left(w), "x-");
	assert_due(w, LATER, 2);
	try(w, "-p");
	assert_int_equal(reports(w), 2);
	assert_int_equal(files(w, "queue"), 0);
}

/* The other file in queue/. */
static void
find_report(struct world *w)
{
	char name[300];

	assert_string_equal(left(w), "");
	assert_int_equal(queuedir_count(&w->d, "queue", name), 1);
	snprintf(w->id, sizeof w->id, "%.23s", name);
	assert_true(message_id_valid(w->id));
}

static void
test_report_that_cannot_be_sent_yet_is_queued(void **state)
{
	struct world *w = *state;
	struct message m;
	struct ticket t;

	use_closed_port(w);
	put(w, &(struct queued){ 0 });
	try(w, "p");
	find_report(w);
	assert_due(w, LATER, 1);
	assert_int_equal(queue_take(&w->d.q, w->id, &t, &m, &w->res), 1);
	assert_string_equal(m.env.from, "");
	assert_int_equal(m.env.nrcpts, 1);
	assert_string_equal(m.env.rcpts[0].addr, "alice@example.com");
	assert_int_equal(m.env.rcpts[0].state, RCPT_WAITING);
	assert_true(m.spool.size > 100);
	message_free(&m);
}

static void
test_report_that_is_refused_fails(void **state)
{
	struct world *w = *state;

	use_closed_port(w);
	put(w, &(struct queued){ 0 });
	try(w, "p");
	find_report(w);
	try(w, "p");
	assert_int_equal(files(w, "queue"), 0);
	assert_string_equal(failed(w), "!");
	assert_int_equal(queuedir_grep(&w->d, "log", "from=<> status=failed "
	    "reason=\"kept in failed/: nobody can be told\""), 1);
}

/* --- what goes wrong on our side --- */

static void
test_report_that_cannot_be_stored_is_made_again(void **state)
{
	struct world *w = *state;
	int kept = w->d.q.folder[QUEUE_TMP];

	use_box(w, "queue-warn 0\n", "sender *");
	put(w, &(struct queued){ .rcpts = BOB CAROL });
	w->d.q.folder[QUEUE_TMP] = -1;
	try(w, "pd");
	assert_string_equal(left(w), "!+");
	assert_due(w, AT_ONCE, 0);
	try(w, "--");
	assert_string_equal(left(w), "!+");
	assert_due(w, AT_ONCE, 0);
	assert_int_equal(reports(w), 0);
	assert_int_equal(queuedir_grep(&w->d, "log", "cannot be used"), 2);
	w->d.q.folder[QUEUE_TMP] = kept;
	try(w, "--");
	assert_int_equal(files(w, "queue"), 0);
	assert_int_equal(reports(w), 1);
	assert_int_equal(report_says(w, "said of bob@example.net"), 2);
}

static void
test_lifetime_does_not_end_what_cannot_be_reported(void **state)
{
	struct world *w = *state;
	int kept = w->d.q.folder[QUEUE_TMP];
	int64_t now = time(NULL);

	use_box(w, "", "sender *");
	put(w, &(struct queued){ .born = now - 60 * DAY, .next = now - 60 });
	w->d.q.folder[QUEUE_TMP] = -1;
	try(w, "t");
	assert_string_equal(left(w), "!");
	assert_int_equal(files(w, "failed"), 0);
	w->d.q.folder[QUEUE_TMP] = kept;
}

static void
test_message_that_cannot_move_to_failed_stays(void **state)
{
	struct world *w = *state;
	int kept = w->d.q.folder[QUEUE_FAILED];

	use_box(w, "", "sender *");
	put(w, &(struct queued){ .from = "", .tries = 4 });
	w->d.q.folder[QUEUE_FAILED] = -1;
	try(w, "p");
	w->d.q.folder[QUEUE_FAILED] = kept;
	assert_string_equal(left(w), "!");
	assert_due(w, AT_ONCE, 4);
	try(w, "-");
	assert_string_equal(failed(w), "!");
}

/* Removed by the transport's own report: there is nothing to judge. */
static void
test_message_that_is_gone_is_left_alone(void **state)
{
	struct world *w = *state;
	struct message m;
	struct ticket t;
	struct rcpt *r;

	use_box(w, "", "sender *");
	put(w, &(struct queued){ 0 });
	assert_int_equal(queue_take(&w->d.q, w->id, &t, &m, &w->res), 1);
	r = m.env.rcpts;
	set_result(r, 'd');
	message_settled(&m, &r, 1);
	assert_int_equal(files(w, "queue"), 0);
	outcome_apply(&w->delivery, &t);
	message_free(&m);
	assert_int_equal(files(w, "queue"), 0);
	assert_int_equal(files(w, "failed"), 0);
}

/* --- the clock --- */

static void
test_time_in_which_nobody_ran_the_queue_is_no_age(void **state)
{
	struct world *w = *state;
	int64_t now = time(NULL);
	struct queuefile f;

	use_box(w, "queue-warn 0\n", "sender *");
	put(w, &(struct queued){ .born = now - 100 * DAY,
		.next = now - 99 * DAY });
	try(w, "t");
	assert_string_equal(left(w), "-");
	f = queuedir_fields(&w->d, w->id);
	assert_in_range(f.born, now - DAY, now - DAY + 60);
}

static void
test_message_from_the_future_is_young(void **state)
{
	struct world *w = *state;
	int64_t now = time(NULL);
	struct queuefile f;

	use_box(w, "", "sender *");
	put(w, &(struct queued){ .born = now + 365 * DAY,
		.next = now + 365 * DAY });
	try(w, "t");
	assert_string_equal(left(w), "-");
	f = queuedir_fields(&w->d, w->id);
	assert_in_range(f.born, now, now + 60);
	assert_due(w, LATER, 1);
}

/* --- delay notices --- */

static void
test_delay_notice_is_sent_once(void **state)
{
	struct world *w = *state;
	int64_t now = time(NULL);

	use_box(w, "", "sender *");
	put(w, &(struct queued){ .born = now - 5 * HOUR, .next = now - 60,
		.tries = 5, .rcpts = "+bob@example.net" CAROL
		" xdave@example.net" });
	try(w, "-t-");
	assert_string_equal(left(w), "+-x");
	assert_true(queuedir_fields(&w->d, w->id).warned);
	assert_due(w, LATER, 6);
	assert_int_equal(report_says(w, "Action: delayed\n"), 1);
	assert_int_equal(report_says(w,
	    "Final-Recipient: rfc822;carol@example.net\n"), 1);
	assert_int_equal(report_says(w, "bob@"), 0);
	assert_int_equal(report_says(w, "dave@"), 0);
	try(w, "-t-");
	assert_int_equal(reports(w), 1);
	assert_true(queuedir_fields(&w->d, w->id).warned);
}

/* A young one is not warned of, and 0 means never. */
static void
test_delay_notice_when_it_is_due(void **state)
{
	static const struct {
		const char *global, *notify, *from, *letters;
		int64_t age;
		bool warned;
		int reports;
	} t[] = {
		{ "", NULL, NULL, "t", 4 * HOUR - 60, false, 0 },
		{ "", NULL, NULL, "t", 4 * HOUR, true, 1 },
		{ "queue-warn 1h\n", NULL, NULL, "t", HOUR, true, 1 },
		{ "queue-warn 0\n", NULL, NULL, "t", 4 * DAY, false, 0 },
		{ "", NULL, NULL, "o", 60 * DAY, true, 1 },
		{ "", NULL, NULL, "l", 60 * DAY, true, 1 },
		{ "", "DELAY", NULL, "t", 5 * HOUR, true, 1 },
		{ "", "FAILURE,DELAY", NULL, "t", 5 * HOUR, true, 1 },
		{ "", "FAILURE", NULL, "t", 5 * HOUR, true, 0 },
		{ "", "SUCCESS", NULL, "t", 5 * HOUR, true, 0 },
		{ "", "NEVER", NULL, "t", 5 * HOUR, true, 0 },
		{ "", NULL, "", "t", 5 * HOUR, true, 0 },
		/* It is over: there is no delay to tell of. */
		{ "", NULL, NULL, "d", 5 * HOUR, false, 0 },
		{ "", "DELAY", NULL, "p", 5 * HOUR, false, 0 },
		{ "", "DELAY", NULL, "t", 6 * DAY, false, 0 },
	};
	struct world *w;
	int64_t now;
	size_t i;

	for (i = 0; i < sizeof t / sizeof *t; i++) {
		w = *state;
		now = time(NULL);
		use_box(w, t[i].global, "sender *");
		put(w, &(struct queued){ .from = t[i].from,
			.notify = t[i].notify, .born = now - t[i].age,
			.next = now - 60 });
		try(w, t[i].letters);
		if (reports(w) != t[i].reports)
			fail_msg("row %zu: %d reports", i, reports(w));
		if (*left(w) && queuedir_fields(&w->d, w->id).warned !=
		    t[i].warned)
			fail_msg("row %zu: warned", i);
		teardown(state);
		setup(state);
	}
}

static void
test_delay_notice_without_a_route_keeps_the_message(void **state)
{
	struct world *w = *state;
	int64_t now = time(NULL);

	use_box(w, "", "sender alice@example.com");
	put(w, &(struct queued){ .born = now - 5 * HOUR, .next = now - 60 });
	try(w, "t");
	assert_string_equal(left(w), "-");
	assert_due(w, LATER, 1);
	assert_true(queuedir_fields(&w->d, w->id).warned);
	assert_int_equal(files(w, "queue"), 1);
	assert_int_equal(files(w, "failed"), 0);
}

/* --- the log --- */

static void
test_what_was_given_up_is_logged(void **state)
{
	struct world *w = *state;
	int64_t now = time(NULL);
	char want[200];

	use_box(w, "", "sender *");
	put(w, &(struct queued){ .born = now - 6 * DAY, .next = now - 60 });
	try(w, "t");
	snprintf(want, sizeof want, ": id=%s from=alice@example.com "
	    "status=failed reason=\"given up after `queue-lifetime`\"\n", w->id);
	assert_int_equal(queuedir_grep(&w->d, "log", want), 1);
	assert_int_equal(queuedir_grep(&w->d, "log", "from=<> status=queued "
	    "reason=\"failure report\"\n"), 1);
	assert_int_equal(queuedir_grep(&w->d, "log", "from=<> "
	    "to=alice@example.com route=box"), 1);
}

static void
test_descriptors_are_given_back(void **state)
{
	struct world *w = *state;
	int kept = w->d.q.folder[QUEUE_TMP];
	int before, after;

	use_box(w, "", "sender *");
	before = dup(0);
	assert_true(before >= 0);
	close(before);
	put(w, &(struct queued){ 0 });
	try(w, "p");
	put(w, &(struct queued){ .from = "" });
	try(w, "p");
	put(w, &(struct queued){ 0 });
	w->d.q.folder[QUEUE_TMP] = -1;
	try(w, "p");
	w->d.q.folder[QUEUE_TMP] = kept;
	after = dup(0);
	close(after);
	assert_int_equal(after, before);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_young_message),
		TEST(test_message_that_is_too_old),
		TEST(test_lifetime_is_what_is_configured),
		TEST(test_notify_decides_over_reports),
		TEST(test_null_sender_is_told_nothing),
		TEST(test_no_route_for_reports),
		TEST(test_each_recipient_has_a_result),
		TEST(test_states_from_before_are_brought_to_an_end),
		TEST(test_bounce_to_is_told_instead),
		TEST(test_bounce_to_is_not_told_of_the_null_senders_mail),
		TEST(test_report_is_about_who_was_refused),
		TEST(test_each_refusal_is_reported_once),
		TEST(test_report_that_cannot_be_sent_yet_is_queued),
		TEST(test_report_that_is_refused_fails),
		TEST(test_report_that_cannot_be_stored_is_made_again),
		TEST(test_lifetime_does_not_end_what_cannot_be_reported),
		TEST(test_message_that_cannot_move_to_failed_stays),
		TEST(test_message_that_is_gone_is_left_alone),
		TEST(test_time_in_which_nobody_ran_the_queue_is_no_age),
		TEST(test_message_from_the_future_is_young),
		TEST(test_delay_notice_is_sent_once),
		TEST(test_delay_notice_when_it_is_due),
		TEST(test_delay_notice_without_a_route_keeps_the_message),
		TEST(test_what_was_given_up_is_logged),
		TEST(test_descriptors_are_given_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
