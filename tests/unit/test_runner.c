/* The queue run: which messages, in which order, over how many connections. */
#include "lib/front/runner.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/conf.h"
#include "tests/unit/queuedir.h"

enum { HOUR = 3600, RESCAN = 6 * 60 };

/* A queue, routes, and a log that shows what was tried in which order. */
struct world {
	struct queuedir d;
	struct config config;
	struct delivery delivery;
	struct log log;
	struct result res;
	struct run_options options;
	struct buf order;
	char states[40];
	int taken;		/* the socket of a port where nobody listens */
	unsigned port;
};

static struct world *here;	/* for the hooks */
static volatile sig_atomic_t stop;

/* --- hooks: what happens in the middle of a run --- */

static unsigned *connects;		/* by all processes */
static void (*at_connect)(void);
static void (*at_scan)(void);		/* the run asks for the time of day */
static void (*at_walk)(void);		/* and for the other clock: work begins */
static time_t jump;			/* that clock goes so far with each look */
static time_t jumped;

int
connect(int fd, const struct sockaddr *sa, socklen_t len)
{
	if (sa->sa_family == AF_INET) {
		__atomic_add_fetch(connects, 1, __ATOMIC_SEQ_CST);
		if (at_connect)
			at_connect();
	}
	return (int)syscall(SYS_connect, fd, sa, len);
}

/* Each hook is called once; it may set itself again. */
static void
call(void (**hook)(void))
{
	void (*f)(void) = *hook;

	*hook = NULL;
	if (f)
		f();
}

/* Where time_t has outgrown the processor's own width. */
#ifdef SYS_clock_gettime64
#define SYS_clock_gettime SYS_clock_gettime64
#endif

time_t
time(time_t *out)
{
	struct timespec t;

	syscall(SYS_clock_gettime, CLOCK_REALTIME, &t);
	if (out)
		*out = t.tv_sec;
	call(&at_scan);
	return t.tv_sec;
}

int
clock_gettime(clockid_t id, struct timespec *t)
{
	int rc = (int)syscall(SYS_clock_gettime, id, t);

	if (id == CLOCK_MONOTONIC) {
		t->tv_sec += jumped += jump;
		call(&at_walk);
	}
	return rc;
}

/* --- the world --- */

/* Bound, so that nobody else can listen there. */
static void
close_port(struct world *w)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof sin;

	w->taken = socket(AF_INET, SOCK_STREAM, 0);
	assert_true(w->taken >= 0);
	assert_int_equal(bind(w->taken, (struct sockaddr *)&sin, len), 0);
	assert_int_equal(getsockname(w->taken, (struct sockaddr *)&sin, &len),
	    0);
	w->port = ntohs(sin.sin_port);
}

static int
setup(void **state)
{
	struct world *w = calloc(1, sizeof *w);
	char path[400];

	assert_non_null(w);
	queuedir_open(&w->d);
	close_port(w);
	log_open(&w->log, LOG_TO_FILE, queuedir_path(&w->d, "log", path));
	connects = mmap(NULL, sizeof *connects, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(connects != MAP_FAILED);
	stop = 0;
	jump = jumped = 0;
	at_connect = at_scan = at_walk = NULL;
	here = *state = w;
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
	buf_free(&w->order);
	munmap(connects, sizeof *connects);
	close(w->taken);
	free(w);
	return 0;
}

/* A route into box/ and one to where nobody listens, by the sender. */
static void
routes(struct world *w, const char *box, const char *relay)
{
	struct buf b = { 0 };

	if (box)
		buf_addf(&b, "route box\ntype maildir\npath %s/box\n%s\n",
		    w->d.path, box);
	if (relay)
		buf_addf(&b, "route relay\ntype smtp\nhost 127.0.0.1\nport %u\n"
		    "tls off\n%s\n", w->port, relay);
	conf_accepted(&w->config, buf_str(&b));
	buf_free(&b);
	assert_int_equal(deliver_open(&w->delivery, &w->config, &w->log, NULL),
	    0);
	w->delivery.queue = &w->d.q;
}

static void
run(struct world *w)
{
	if (run_once(&w->delivery, &w->options, &stop, &w->res) != 0)
		fail_msg("%s", w->res.text);
}

/* Ids that sort as their last letters do. */
static const char *
id_of(char letter)
{
	static char ids[256][24];
	char *id = ids[(unsigned char)letter];

	snprintf(id, 24, "1kiva80abcd01234567%c", letter);
	return id;
}

static void
add(struct world *w, char letter, unsigned tries, int64_t next)
{
	char id[24];

	queuedir_add(&w->d, &(struct queued){ .id = id_of(letter),
		.tries = tries, .next = next }, id);
}

/* n messages that were never tried. */
static void
add_many(struct world *w, int n, const char *from)
{
	char id[24];

	while (n-- > 0)
		queuedir_add(&w->d, &(struct queued){ .from = from }, id);
}

/* The letters of what the log says was tried, in that order. */
static const char *
tried(struct world *w)
{
	struct buf log = { 0 };
	const char *p;

	queuedir_slurp(&w->d, "log", &log);
	buf_reset(&w->order);
	for (p = buf_str(&log); (p = strstr(p, " id=1kiva80abcd01234567"));
	    p += 24)
		buf_addc(&w->order, p[23]);
	buf_free(&log);
	return buf_str(&w->order);
}

static int
in_box(const struct world *w)
{
	int n = queuedir_count(&w->d, "box/new", NULL);

	return n < 0 ? 0 : n;
}

static int
in_queue(const struct world *w)
{
	return queuedir_count(&w->d, "queue", NULL);
}

/* --- options --- */

static void
test_options_that_are_understood(void **state)
{
	static const struct {
		const char *text;
		bool all;
		const char *id, *rcpt, *sender;
		int64_t interval;
	} t[] = {
		{ .text = "" },
		{ .text = "f", .all = true },
		{ .text = "Iabc", .id = "abc" }, { .text = "II", .id = "I" },
		{ .text = "Rbob@x", .rcpt = "bob@x" },
		{ .text = "R R", .rcpt = " R" },
		{ .text = "Salice", .sender = "alice" },
		{ .text = "15m", .interval = 900 }, { .text = "1s", .interval = 1 },
		{ .text = "30s", .interval = 30 },
		{ .text = "2h", .interval = 7200 },
		{ .text = "1d", .interval = 86400 },
		{ .text = "1w", .interval = 604800 },
		{ .text = "90", .interval = 5400 },
		{ .text = "1h30m", .interval = 5400 },
		{ .text = "1h30", .interval = 5400 },
		{ .text = "1m1m1s", .interval = 121 },
		{ .text = "007m", .interval = 420 },
		{ .text = "9999999w", .interval = INT64_C(6047999395200) },
	};
	struct run_options o;
	struct result res;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof t / sizeof *t; i++) {
		memset(&o, 0xff, sizeof o);
		if (run_options_parse(t[i].text, &o, &res) != 0)
			fail_msg("-q%s: %s", t[i].text, res.text);
		assert_int_equal(o.all, t[i].all);
		assert_int_equal(o.interval, t[i].interval);
		assert_true((o.id && t[i].id) ? !strcmp(o.id, t[i].id) :
		    o.id == t[i].id);
		assert_true((o.rcpt && t[i].rcpt) ?
		    !strcmp(o.rcpt, t[i].rcpt) : o.rcpt == t[i].rcpt);
		assert_true((o.sender && t[i].sender) ?
		    !strcmp(o.sender, t[i].sender) : o.sender == t[i].sender);
	}
}

static void
test_options_that_are_refused(void **state)
{
	static const char *const t[] = { "I", "R", "S", "ff", "f15m", "x", "?",
		" ", "i1", "m", "15x", "15M", "-15m", "+15m", "15 m", "15m ",
		" 15m", "0", "0m", "00000", "1h0m", "1.5h", "m15", "12345678m",
		"99999999999999999999", "15mm", "1h30mf", "\xc3\xa9", "1\n" };
	struct run_options o;
	struct result res;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof t / sizeof *t; i++) {
		if (run_options_parse(t[i], &o, &res) == 0)
			fail_msg("accepted: -q%s", t[i]);
		assert_int_equal(res.exit, EXIT_USAGE);
		assert_string_equal(res.text, "-q: expected -q, -qf, -qIid, "
		    "-qRrecipient, -qSsender or a time such as -q15m (try "
		    "--help)");
	}
}

/* --- which, and in which order --- */

/* Letters of fresh messages, and of others with when they are due. */
static void
check_order(struct world *w, const char *fresh, const char *old,
    const int64_t *due, const char *want)
{
	size_t i;

	routes(w, "sender *", NULL);
	/* Put there in another order than they sort. */
	for (i = strlen(old); i-- > 0; )
		add(w, old[i], 1, due[i]);
	for (i = strlen(fresh); i-- > 0; )
		add(w, fresh[i], 0, 0);
	run(w);
	assert_string_equal(tried(w), want);
	assert_int_equal(in_box(w), strlen(want));
	assert_int_equal(in_queue(w), 0);
	assert_true(w->delivery.in_run);
}

static void
test_fresh_and_old_take_turns(void **state)
{
	static const int64_t due[] = { 3000, 1000, 2000 };

	check_order(*state, "abc", "def", due, "aebfcd");
}

static void
test_more_old_than_fresh(void **state)
{
	static const int64_t due[] = { 3000, 1000, 2000, 500 };

	check_order(*state, "m", "abcd", due, "mdbca");
}

static void
test_more_fresh_than_old(void **state)
{
	static const int64_t due[] = { 1 };

	check_order(*state, "abcde", "v", due, "avbcde");
}

static void
test_old_ones_due_at_once_go_by_age(void **state)
{
	static const int64_t due[] = { 1000, 1000, 1000, 999 };

	check_order(*state, "", "bacd", due, "dabc");
}

static void
test_only_what_is_due_is_tried(void **state)
{
	struct world *w = *state;
	int64_t now = time(NULL);

	routes(w, "sender *", NULL);
	add(w, 'a', 1, now - 1);
	add(w, 'b', 1, now + HOUR);
	add(w, 'c', 1, now + 4 * HOUR);
	/* The clock was in the future when that was written. */
	add(w, 'd', 1, now + 10 * 365 * 24 * HOUR);
	add(w, 'e', 0, now + HOUR);
	run(w);
	assert_string_equal(tried(w), "ad");
	assert_int_equal(in_queue(w), 3);
}

static void
test_all_means_due_or_not(void **state)
{
	struct world *w = *state;
	int64_t now = time(NULL);

	routes(w, "sender *", NULL);
	add(w, 'a', 1, now - 1);
	add(w, 'b', 1, now + HOUR);
	add(w, 'c', 0, now + 2 * HOUR);
	w->options.all = true;
	run(w);
	assert_string_equal(tried(w), "cab");
}

/* Alice to bob and carol, eve to dave, nobody to bob; none of them due. */
static void
add_three(struct world *w)
{
	int64_t next = time(NULL) + HOUR;
	char id[24];

	routes(w, "sender *", NULL);
	queuedir_add(&w->d, &(struct queued){ .id = id_of('a'), .next = next,
		.rcpts = "-bob@example.net +carol@example.net" }, id);
	queuedir_add(&w->d, &(struct queued){ .id = id_of('e'), .next = next,
		.from = "eve@example.org", .rcpts = "-dave@example.net" }, id);
	queuedir_add(&w->d, &(struct queued){ .id = id_of('n'), .next = next,
		.from = "", .rcpts = "-bob@example.net" }, id);
}

static void
test_selection(void **state)
{
	static const struct { const char *option, *want; } t[] = {
		{ "I1kiva80abcd01234567e", "e" }, { "I7e", "e" },
		{ "Ikiva", "aen" },
		{ "Rbob@example.net", "an" }, { "Rdave", "e" },
		{ "Rexample", "aen" }, { "RBob", "" },
		/* She has it already. */
		{ "Rcarol", "" },
		{ "Salice", "a" }, { "Seve@", "e" }, { "Sexample.org", "e" },
		{ "S@", "ae" }, { "S<>", "n" },
		{ "f", "aen" },
	};
	size_t i;

	for (i = 0; i < sizeof t / sizeof *t; i++) {
		struct world *w = *state;

		add_three(w);
		assert_int_equal(run_options_parse(t[i].option, &w->options,
		    &w->res), 0);
		run(w);
		if (strcmp(tried(w), t[i].want) != 0)
			fail_msg("-q%s: %s", t[i].option, tried(w));
		teardown(state);
		setup(state);
	}
}

static void
test_files_of_other_names_are_left_alone(void **state)
{
	struct world *w = *state;

	routes(w, "sender *", NULL);
	queuedir_write(&w->d, "queue/README", "x", 1);
	queuedir_write(&w->d, "queue/1kiva80abcd01234567", "x", 1);
	queuedir_write(&w->d, "queue/1kiva80abcd01234567W", "x", 1);
	add(w, 'a', 0, 0);
	w->options.all = true;
	run(w);
	assert_string_equal(tried(w), "a");
	assert_int_equal(in_queue(w), 3);
	assert_int_equal(queuedir_grep(&w->d, "log", "sendroute["), 1);
}

static void
test_damaged_file_is_named_and_left(void **state)
{
	struct world *w = *state;

	routes(w, "sender *", NULL);
	add(w, 'a', 0, 0);
	queuedir_write(&w->d, "queue/1kiva80abcd01234567b", "x\n\n", 3);
	queuedir_write(&w->d, "queue/1kiva80abcd01234567c", "", 0);
	add(w, 'd', 1, 1);
	run(w);
	assert_string_equal(tried(w), "bcad");
	assert_int_equal(queuedir_grep(&w->d, "log",
	    ": id=1kiva80abcd01234567b status=deferred reason=\"the queue file "
	    "cannot be used: it is damaged\"\n"), 1);
	assert_int_equal(queuedir_grep(&w->d, "log",
	    ": id=1kiva80abcd01234567c status=deferred reason=\"the queue file "
	    "cannot be used: its header has no end\"\n"), 1);
	assert_int_equal(in_box(w), 2);
	assert_int_equal(in_queue(w), 2);
}

static void
test_message_that_is_in_other_hands_is_skipped(void **state)
{
	struct world *w = *state;
	struct ticket t;
	struct message m;

	routes(w, "sender *", NULL);
	add(w, 'a', 0, 0);
	add(w, 'b', 0, 0);
	assert_int_equal(queue_take(&w->d.q, id_of('a'), &t, &m, &w->res), 1);
	run(w);
	assert_string_equal(tried(w), "b");
	message_free(&m);
	run(w);
	assert_string_equal(tried(w), "ba");
}

/* --- between the scan and the lock --- */

static void
others_are_faster(void)
{
	struct message m = { .spool.fd = -1 };
	struct ticket t;
	struct result res;
	char id[24];

	/* a: sent; b: tried, and put off; c: tried for a local fault. */
	assert_int_equal(queue_delete(&here->d.q, id_of('a'), &res), 0);
	assert_int_equal(queue_take(&here->d.q, id_of('b'), &t, &m, &res), 1);
	t.f.tries = 1;
	t.f.next = 1000;
	queue_defer(&t);
	message_free(&m);
	assert_int_equal(queue_take(&here->d.q, id_of('c'), &t, &m, &res), 1);
	t.f.next = 1000;
	queue_defer(&t);
	message_free(&m);
	queuedir_add(&here->d, &(struct queued){ .id = id_of('e') }, id);
}

static void
test_message_changed_since_the_scan_is_skipped(void **state)
{
	struct world *w = *state;
	char letter;

	routes(w, "sender *", NULL);
	for (letter = 'a'; letter <= 'd'; letter++)
		add(w, letter, 0, 2000);
	at_walk = others_are_faster;
	run(w);
	assert_string_equal(tried(w), "d");
	run(w);
	assert_string_equal(tried(w), "dcbe");
	assert_int_equal(in_queue(w), 0);
}

static void
add_late(void)
{
	add(here, 'v', 0, 0);
}

static void
add_late_at_the_next_scan(void)
{
	at_scan = add_late;
}

/* Each batch takes longer than the run looks away. */
static void
test_long_run_looks_for_new_mail(void **state)
{
	struct world *w = *state;

	routes(w, "sender *", NULL);
	add_many(w, 60, NULL);
	jump = RESCAN;
	at_walk = add_late_at_the_next_scan;
	run(w);
	assert_int_equal(in_queue(w), 0);
	assert_int_equal(in_box(w), 61);
	assert_string_equal(tried(w) + strlen(tried(w)) - 1, "v");
}

/* --- the end of a run --- */

static void
test_stop_before_the_run(void **state)
{
	struct world *w = *state;

	routes(w, "sender *", NULL);
	add_many(w, 3, NULL);
	stop = 1;
	run(w);
	assert_int_equal(in_queue(w), 3);
	assert_int_equal(in_box(w), 0);
}

static void
stop_now(void)
{
	stop = 1;
}

static int
count_tries(struct world *w, unsigned tries)
{
	char path[400], command[500], text[20] = "";
	FILE *f;

	snprintf(command, sizeof command, "grep -ral '^tries %010u$' %s | "
	    "wc -l", tries, queuedir_path(&w->d, "queue", path));
	f = popen(command, "r");
	assert_non_null(f);
	assert_non_null(fgets(text, sizeof text, f));
	pclose(f);
	return atoi(text);
}

/* What is in hand is brought to its end; the first batch is a small one. */
static void
test_stop_in_the_middle_of_a_run(void **state)
{
	struct world *w = *state;

	routes(w, NULL, "sender *");
	add_many(w, 40, NULL);
	at_connect = stop_now;
	run(w);
	assert_int_equal(in_queue(w), 40);
	assert_int_equal(count_tries(w, 1), 8);
	assert_int_equal(count_tries(w, 0), 32);
}

static void
test_folder_that_cannot_be_read(void **state)
{
	struct world *w = *state;
	int kept = w->d.q.folder[QUEUE_READY];

	routes(w, "sender *", NULL);
	w->d.q.folder[QUEUE_READY] = -1;
	assert_int_equal(run_once(&w->delivery, &w->options, &stop, &w->res),
	    -1);
	w->d.q.folder[QUEUE_READY] = kept;
	assert_int_equal(w->res.exit, EXIT_IO);
	assert_non_null(strstr(w->res.text, "cannot read the queue /tmp/"));
}

static void
test_run_sweeps(void **state)
{
	struct timeval old[2] = { { 1000, 0 }, { 1000, 0 } };
	struct world *w = *state;
	char path[400];

	routes(w, "sender *", NULL);
	add(w, 'a', 0, 0);
	queuedir_write(&w->d, "tmp/old", "x", 1);
	assert_int_equal(utimes(queuedir_path(&w->d, "tmp/old", path), old), 0);
	run(w);
	assert_int_equal(queuedir_count(&w->d, "tmp", NULL), 0);
}

static void
test_descriptors_are_given_back(void **state)
{
	struct world *w = *state;
	int before, after;

	routes(w, "sender eve@example.com", "sender alice@example.com");
	add_many(w, 40, NULL);
	add_many(w, 40, "eve@example.com");
	before = dup(0);
	assert_true(before >= 0);
	close(before);
	run(w);
	after = dup(0);
	close(after);
	assert_int_equal(after, before);
}

/* --- routes --- */

static void
test_route_that_is_down_is_connected_to_once(void **state)
{
	struct world *w = *state;
	struct queuefile f;
	int64_t now = time(NULL);
	char name[300];

	routes(w, NULL, "sender *");
	add_many(w, 100, NULL);
	run(w);
	assert_int_equal(*connects, 1);
	assert_int_equal(count_tries(w, 1), 100);
	assert_int_equal(queuedir_count(&w->d, "queue", name), 100);
	f = queuedir_fields(&w->d, name);
	assert_in_range(f.next, now + 270, now + 330 + 60);
	assert_int_equal(queuedir_grep(&w->d, "log", "status=deferred"), 100);
	assert_int_equal(queuedir_grep(&w->d, "log", "Connection refused"), 100);
}

static void
test_each_run_probes_again(void **state)
{
	struct world *w = *state;

	routes(w, NULL, "sender *");
	add_many(w, 3, NULL);
	run(w);
	deliver_close(&w->delivery);
	assert_int_equal(deliver_open(&w->delivery, &w->config, &w->log, NULL),
	    0);
	w->delivery.queue = &w->d.q;
	w->options.all = true;
	run(w);
	assert_int_equal(*connects, 2);
	assert_int_equal(count_tries(w, 2), 3);
}

static void
test_fallback_takes_what_a_route_that_is_down_cannot(void **state)
{
	struct world *w = *state;

	routes(w, "", "sender *\nfallback box");
	add_many(w, 40, NULL);
	run(w);
	assert_int_equal(*connects, 1);
	assert_int_equal(in_box(w), 40);
	assert_int_equal(in_queue(w), 0);
}

static void
test_sender_without_a_route_waits(void **state)
{
	struct world *w = *state;
	struct queuefile f;

	routes(w, "sender eve@example.org", NULL);
	add(w, 'a', 0, 1000);
	run(w);
	assert_string_equal(tried(w), "a");
	assert_int_equal(queuedir_grep(&w->d, "log", "no route for sender "
	    "alice@example.com"), 1);
	/* Ours to mend: it is no try, and the next run takes it at once. */
	f = queuedir_fields(&w->d, id_of('a'));
	assert_int_equal(f.tries, 0);
	assert_true(f.next <= time(NULL));
}

/* --- several processes --- */

static void
check_workers(struct world *w, int relayed, int boxed)
{
	add_many(w, relayed, "alice@example.com");
	add_many(w, boxed, "eve@example.org");
	run(w);
	assert_int_equal(in_box(w), boxed);
	assert_int_equal(in_queue(w), relayed);
	assert_int_equal(count_tries(w, 1), relayed);
	/* Each was tried by one of them, once. */
	assert_int_equal(queuedir_grep(&w->d, "log", "route=relay"), relayed);
	assert_int_equal(queuedir_grep(&w->d, "log", "route=box"), boxed);
}

static void
test_two_workers_share_the_work(void **state)
{
	struct world *w = *state;

	routes(w, "sender @example.org", "sender *\nconnections 2");
	check_workers(w, 60, 60);
	assert_in_range(*connects, 1, 2);
}

static void
test_more_connections_than_messages(void **state)
{
	struct world *w = *state;

	routes(w, "sender @example.org", "sender *\nconnections 100");
	check_workers(w, 2, 1);
	assert_in_range(*connects, 1, 2);
}

/* All of it is for a route that only the first process may use. */
static void
test_what_others_have_to_leave_is_done(void **state)
{
	struct world *w = *state;

	routes(w, "sender @example.org", "sender *\nconnections 3");
	check_workers(w, 0, 50);
	assert_int_equal(*connects, 0);
}

static void
test_workers_do_not_try_again_what_others_put_off(void **state)
{
	struct world *w = *state;

	routes(w, "sender @example.org", "sender *\nconnections 2");
	w->options.all = true;
	check_workers(w, 30, 30);
}

/* What the relay cannot have goes where only the first process may send. */
static void
test_fallback_that_others_have_to_leave(void **state)
{
	struct world *w = *state;

	routes(w, "", "sender *\nfallback box\nconnections 2");
	add_many(w, 40, NULL);
	run(w);
	assert_int_equal(in_box(w), 40);
	assert_int_equal(in_queue(w), 0);
	assert_in_range(*connects, 1, 2);
}

static void
test_stop_reaches_all_workers(void **state)
{
	struct world *w = *state;

	routes(w, NULL, "sender *\nconnections 2");
	add_many(w, 60, NULL);
	at_connect = stop_now;	/* in each process */
	run(w);
	assert_int_equal(in_queue(w), 60);
	assert_in_range(count_tries(w, 1), 8, 16);
}

static void
test_empty_queue_is_a_run(void **state)
{
	check_order(*state, "", "", NULL, "");
}

static void
test_selection_of_nothing(void **state)
{
	static const char *const options[] = { "", "Ikiwa", "I7E" };
	struct world *w;
	size_t i;

	for (i = 0; i < sizeof options / sizeof *options; i++) {
		w = *state;
		add_three(w);
		assert_int_equal(run_options_parse(options[i], &w->options,
		    &w->res), 0);
		run(w);
		assert_string_equal(tried(w), "");
		assert_int_equal(in_queue(w), 3);
		teardown(state);
		setup(state);
	}
}

/* All that was selected gets its try, however long the run takes. */
static void
test_selection_that_takes_long_is_tried_to_its_end(void **state)
{
	struct world *w = *state;

	routes(w, "sender *", NULL);
	add_many(w, 60, NULL);
	w->options.all = true;
	jump = RESCAN;
	run(w);
	assert_int_equal(in_box(w), 60);
	assert_int_equal(in_queue(w), 0);
}

/* A crash came before the bounce, or before the file was removed. */
static void
test_nobody_to_send_to_needs_no_connection(void **state)
{
	struct world *w = *state;
	char id[24];

	routes(w, NULL, "sender *");
	queuedir_add(&w->d, &(struct queued){ .notify = "NEVER",
		.rcpts = "!bob@example.net +carol@example.net" }, id);
	queuedir_add(&w->d, &(struct queued){ .rcpts = "xbob@example.net" }, id);
	run(w);
	assert_int_equal(in_queue(w), 0);
	assert_int_equal(*connects, 0);
}

static void
test_stop_during_the_scan(void **state)
{
	struct world *w = *state;

	routes(w, "sender *", NULL);
	add_many(w, 3, NULL);
	at_scan = stop_now;
	run(w);
	assert_int_equal(in_box(w), 0);
	assert_int_equal(in_queue(w), 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_options_that_are_understood),
		cmocka_unit_test(test_options_that_are_refused),
		TEST(test_fresh_and_old_take_turns),
		TEST(test_more_old_than_fresh),
		TEST(test_more_fresh_than_old),
		TEST(test_old_ones_due_at_once_go_by_age),
		TEST(test_only_what_is_due_is_tried),
		TEST(test_all_means_due_or_not),
		TEST(test_selection),
		TEST(test_files_of_other_names_are_left_alone),
		TEST(test_damaged_file_is_named_and_left),
		TEST(test_message_that_is_in_other_hands_is_skipped),
		TEST(test_message_changed_since_the_scan_is_skipped),
		TEST(test_long_run_looks_for_new_mail),
		TEST(test_stop_before_the_run),
		TEST(test_stop_in_the_middle_of_a_run),
		TEST(test_folder_that_cannot_be_read),
		TEST(test_run_sweeps),
		TEST(test_descriptors_are_given_back),
		TEST(test_route_that_is_down_is_connected_to_once),
		TEST(test_each_run_probes_again),
		TEST(test_fallback_takes_what_a_route_that_is_down_cannot),
		TEST(test_sender_without_a_route_waits),
		TEST(test_two_workers_share_the_work),
		TEST(test_more_connections_than_messages),
		TEST(test_what_others_have_to_leave_is_done),
		TEST(test_workers_do_not_try_again_what_others_put_off),
		TEST(test_fallback_that_others_have_to_leave),
		TEST(test_stop_reaches_all_workers),
		TEST(test_empty_queue_is_a_run),
		TEST(test_selection_of_nothing),
		TEST(test_selection_that_takes_long_is_tried_to_its_end),
		TEST(test_nobody_to_send_to_needs_no_connection),
		TEST(test_stop_during_the_scan),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
