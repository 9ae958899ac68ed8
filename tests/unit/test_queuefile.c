/* The file of a queued message, byte for byte, whole and damaged. */
#define _GNU_SOURCE	/* memfd_create */
#include "lib/store/queuefile.h"

#include <fcntl.h>
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

#define BODY "Subject: x\r\n\r\nhello\r\n"

/* 200 bytes of text in a `last` line, padded. */
#define PAD10 "          "
#define PAD50 PAD10 PAD10 PAD10 PAD10 PAD10
#define PAD150 PAD50 PAD50 PAD50
#define PAD200 PAD150 PAD50

/* What test_header_of_a_full_example expects; also what gets damaged. */
static const char full[] =
	"sendroute queue 1\n"
	"born 00000000001764000000\n"
	"next 00000000001764000300\n"
	"tries 0000000002\n"
	"size 00000000000000000021\n"
	"flags 8h.lupwt----\n"
	"uid 0000001000\n"
	"from alice@example.com\n"
	"ret FULL\n"
	"envid QQ314159\n"
	"identity alice@example.com\n"
	"identity \"ca rol\"@example.com\n"
	"last 450 4.2.1       RCPT refused: 450 4.2.1 the mailbox is busy"
	    PAD150 "       \n"
	"rcpt - bob@example.net\n"
	"notify SUCCESS,DELAY\n"
	"orcpt rfc822;bob@example.net\n"
	"last 000 -           " PAD200 "\n"
	"rcpt + \"da ve\"@example.net\n"
	"last 550 5.123.123   " PAD200 "\n"
	"rcpt ! \xC3\xA9ve@example.net\n"
	"orcpt utf-8;x\n"
	"last 554 -           no" PAD150 PAD10 PAD10 PAD10 PAD10 "        \n"
	"rcpt x frank@example.net\n"
	"notify NEVER\n"
	"\n";

enum { HEAD = sizeof full - 1, MAGIC = 18 };

struct want_rcpt {
	const char *addr, *notify, *orcpt;
	enum rcpt_state state;
	int code;
	const char *enhanced, *text;
};

static const struct want_rcpt four[] = {
	{ "bob@example.net", "SUCCESS,DELAY", "rfc822;bob@example.net",
	    RCPT_WAITING, 450, "4.2.1",
	    "RCPT refused: 450 4.2.1 the mailbox is busy" },
	{ "\"da ve\"@example.net", NULL, NULL, RCPT_TAKEN, 0, "", "" },
	{ "\xC3\xA9ve@example.net", NULL, "utf-8;x", RCPT_REFUSED, 550,
	    "5.123.123", "" },
	{ "frank@example.net", "NEVER", NULL, RCPT_CLOSED, 554, "", "no" },
};

/* --- a message, its header, and a file --- */

static char *
copy(const char *s)
{
	return s ? mem_dup(s, strlen(s)) : NULL;
}

static void
set_rcpts(struct message *m, const struct want_rcpt *want, size_t n)
{
	struct rcpt *r;

	m->env.rcpts = calloc(n, sizeof *m->env.rcpts);
	assert_non_null(m->env.rcpts);
	m->env.nrcpts = n;
	for (r = m->env.rcpts; n > 0; n--, r++, want++) {
		r->addr = copy(want->addr);
		r->dsn_notify = copy(want->notify);
		r->dsn_orcpt = copy(want->orcpt);
		r->state = want->state;
		r->res.code = want->code;
		strcpy(r->res.enhanced, want->enhanced);
		snprintf(r->res.text, sizeof r->res.text, "%s", want->text);
	}
}

static void
add_identity(struct message *m, const char *addr)
{
	assert_int_equal(addr_list_add(&m->identities, addr, strlen(addr)), 0);
}

static const struct queuefile full_f = { .born = 1764000000,
	.next = 1764000300, .tries = 2, .uid = 1000, .warned = true };

static void
full_message(struct message *m)
{
	*m = (struct message){ .spool = { .fd = -1, .size = sizeof BODY - 1,
		.has_8bit = true, .has_8bit_header = true,
		.has_dot_line = true, .has_long = true }, .pristine = true };
	m->env.utf8 = m->env.requiretls = true;
	m->env.from = copy("alice@example.com");
	m->env.dsn_ret = copy("FULL");
	m->env.dsn_envid = copy("QQ314159");
	add_identity(m, "alice@example.com");
	add_identity(m, "\"ca rol\"@example.com");
	set_rcpts(m, four, 4);
}

static void
plain_message(struct message *m, const char *from)
{
	static const struct want_rcpt one = { "bob@example.net", NULL, NULL,
		RCPT_WAITING, 0, "", "" };

	*m = (struct message){ .spool.fd = -1 };
	m->env.from = copy(from);
	set_rcpts(m, &one, 1);
}

static int
file_of(const void *text, size_t n)
{
	int fd = memfd_create("queue", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, text, n, 0), n);
	return fd;
}

static void
slurp(int fd, struct buf *b)
{
	char block[4096];
	ssize_t n;

	buf_reset(b);
	while ((n = pread(fd, block, sizeof block, (off_t)b->len)) > 0)
		buf_add(b, block, (size_t)n);
	assert_int_equal(n, 0);
}

/* A file as the queue makes it: the header, the message, then the size. */
static int
file_of_message(const struct queuefile *f, struct message *m,
    const char *body)
{
	struct buf b = { 0 };
	int fd;

	queuefile_head(f, m, &b);
	assert_false(b.failed);
	m->spool.start = (off_t)b.len;
	m->spool.size = (off_t)strlen(body);
	buf_adds(&b, body);
	fd = file_of(b.p, b.len);
	assert_int_equal(queuefile_put_size(fd, f, m), 0);
	buf_free(&b);
	return fd;
}

/* --- the header --- */

static void
test_header_of_a_full_example(void **state)
{
	struct message m;
	struct buf b = { 0 };
	int fd;

	(void)state;
	full_message(&m);
	fd = file_of_message(&full_f, &m, BODY);
	slurp(fd, &b);
	assert_int_equal(b.len, HEAD + sizeof BODY - 1);
	assert_memory_equal(b.p, full, HEAD);
	assert_string_equal(b.p + HEAD, BODY);
	buf_free(&b);
	close(fd);
	message_free(&m);
}

static void
test_header_of_the_least_message(void **state)
{
	struct queuefile f = { .born = 1, .next = 2 };
	struct message m;
	struct buf b = { 0 };

	(void)state;
	plain_message(&m, "");
	queuefile_head(&f, &m, &b);
	assert_string_equal(buf_str(&b), "sendroute queue 1\n"
	    "born 00000000000000000001\nnext 00000000000000000002\n"
	    "tries 0000000000\nsize 00000000000000000000\n"
	    "flags ------------\nuid 0000000000\nfrom \n"
	    "last 000 -           " PAD200 "\nrcpt - bob@example.net\n\n");
	buf_free(&b);
	message_free(&m);
}

static void
test_marks_are_where_the_states_are(void **state)
{
	struct message m;
	struct buf b = { 0 };
	size_t i;

	(void)state;
	full_message(&m);
	queuefile_head(&full_f, &m, &b);
	for (i = 0; i < 4; i++) {
		assert_int_equal(b.p[m.env.rcpts[i].mark], "-+!x"[i]);
		assert_memory_equal(b.p + m.env.rcpts[i].mark - 6, "\nrcpt ", 6);
	}
	buf_free(&b);
	message_free(&m);
}

static void
test_each_flag_has_its_place(void **state)
{
	static const char letters[] = "8h.lupwt";
	char want[13];
	struct message m;
	struct queuefile f = { 0 };
	struct buf b = { 0 };
	int i;

	(void)state;
	for (i = 0; i < 8; i++) {
		plain_message(&m, "");
		m.spool.has_8bit = i == 0;
		m.spool.has_8bit_header = i == 1;
		m.spool.has_dot_line = i == 2;
		m.spool.has_long = i == 3;
		m.env.utf8 = i == 4;
		m.pristine = i == 5;
		f.warned = i == 6;
		m.env.requiretls = i == 7;
		buf_reset(&b);
		queuefile_head(&f, &m, &b);
		memcpy(want, "------------", 13);
		want[i] = letters[i];
		assert_memory_equal(b.p + 119, want, 12);
		message_free(&m);
	}
	buf_free(&b);
}

/* --- in place --- */

/* The full example in a file, what it was, and what it has become. */
struct place {
	struct message m;
	struct queuefile f;
	int fd;
	struct buf before, after;
};

static void
place_open(struct place *p)
{
	*p = (struct place){ .f = full_f };
	full_message(&p->m);
	p->fd = file_of_message(&p->f, &p->m, BODY);
	slurp(p->fd, &p->before);
}

static void
place_close(struct place *p)
{
	message_free(&p->m);
	close(p->fd);
	buf_free(&p->before);
	buf_free(&p->after);
}

/* `n` bytes at `at` are now `text`; then they count as unchanged. */
static void
changed(struct place *p, off_t at, const char *text)
{
	size_t n = strlen(text);

	slurp(p->fd, &p->after);
	assert_memory_equal(p->after.p + at, text, n);
	memcpy(p->before.p + at, text, n);
}

static void
nothing_else_changed(struct place *p)
{
	slurp(p->fd, &p->after);
	assert_int_equal(p->after.len, p->before.len);
	assert_memory_equal(p->after.p, p->before.p, p->before.len);
}

static void
test_put_size_changes_size_and_flags(void **state)
{
	struct place p;

	(void)state;
	place_open(&p);
	p.m.spool.size = 1234567890123;
	p.m.spool.has_8bit = p.m.spool.has_dot_line = false;
	p.f.born = p.f.next = 5;
	p.f.tries = 9;
	p.f.uid = 77;
	assert_int_equal(queuefile_put_size(p.fd, &p.f, &p.m), 0);
	changed(&p, 92, "00000001234567890123\nflags -h-lupwt----\n");
	nothing_else_changed(&p);
	place_close(&p);
}

static void
test_put_schedule_changes_times_tries_and_flags(void **state)
{
	struct place p;

	(void)state;
	place_open(&p);
	p.f = (struct queuefile){ .born = 5, .next = INT64_MAX,
		.tries = UINT32_MAX, .uid = 77 };
	p.m.spool.size = 3;
	assert_int_equal(queuefile_put_schedule(p.fd, &p.f, &p.m), 0);
	changed(&p, 23, "00000000000000000005\n"
	    "next 09223372036854775807\ntries 4294967295\n");
	changed(&p, 119, "8h.lup-t----\n");
	nothing_else_changed(&p);
	place_close(&p);
}

static void
test_put_last_changes_the_line_above(void **state)
{
	struct place p;
	struct rcpt *r;
	size_t i;

	(void)state;
	for (i = 0; i < 4; i++) {
		place_open(&p);
		r = &p.m.env.rcpts[i];
		r->res.code = 421;
		strcpy(r->res.enhanced, "4.3.2");
		strcpy(r->res.text, "later");
		r->state = RCPT_TAKEN;
		assert_int_equal(queuefile_put_last(p.fd, r), 0);
		changed(&p, r->mark - 5 - 1 - 216 - 5, "last 421 4.3.2       "
		    "later" PAD150 PAD10 PAD10 PAD10 PAD10 "     \nrcpt ");
		nothing_else_changed(&p);
		place_close(&p);
	}
}

static void
test_put_state_changes_one_byte(void **state)
{
	static const char letters[] = "-+!x";
	char want[2] = "";
	struct place p;
	size_t i;
	int s;

	(void)state;
	place_open(&p);
	for (i = 0; i < 4; i++)
		for (s = 0; s < 4; s++) {
			p.m.env.rcpts[i].state = (enum rcpt_state)s;
			assert_int_equal(queuefile_put_state(p.fd,
			    &p.m.env.rcpts[i]), 0);
			want[0] = letters[s];
			changed(&p, p.m.env.rcpts[i].mark, want);
			nothing_else_changed(&p);
		}
	place_close(&p);
}

static void
test_put_fails_on_what_cannot_be_written(void **state)
{
	struct message m;

	(void)state;
	full_message(&m);
	assert_int_equal(queuefile_put_size(-1, &full_f, &m), -1);
	assert_int_equal(queuefile_put_schedule(-1, &full_f, &m), -1);
	assert_int_equal(queuefile_put_last(-1, m.env.rcpts), -1);
	assert_int_equal(queuefile_put_state(-1, m.env.rcpts), -1);
	message_free(&m);
}

/* --- what is kept of a text --- */

#define X49 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define X196 X49 X49 X49 X49

static const struct {
	const char *text;
	const char *kept;	/* NULL: all of it */
} texts[] = {
	{ "", NULL }, { "x", NULL },
	{ X196 "xxx", NULL }, { X196 "xxxx", NULL },
	{ X196 "xxxxy", X196 "xxxx" }, { X196 X196, X196 "xxxx" },
	/* Characters of two, three, four bytes that end at 200 or do not. */
	{ X196 "xx\xC3\xA9", NULL }, { X196 "xx\xC3\xA9y", X196 "xx\xC3\xA9" },
	{ X196 "xxx\xC3\xA9", X196 "xxx" },
	{ X196 "x\xE2\x82\xAC", NULL }, { X196 "xx\xE2\x82\xAC", X196 "xx" },
	{ X196 "xxx\xE2\x82\xAC", X196 "xxx" },
	{ X196 "\xF0\x9F\x93\xA7", NULL },
	{ X196 "\xF0\x9F\x93\xA7\xF0\x9F\x93\xA7", X196 "\xF0\x9F\x93\xA7" },
	{ X196 "x\xF0\x9F\x93\xA7", X196 "x" },
	{ X196 "xx\xF0\x9F\x93\xA7", X196 "xx" },
	{ X196 "xxx\xF0\x9F\x93\xA7", X196 "xxx" },
};

static void
test_texts_are_clipped_between_characters(void **state)
{
	const char *kept;
	struct place p;
	struct message m;
	struct queuefile f;
	struct result res;
	struct rcpt *r;
	size_t i;

	(void)state;
	place_open(&p);
	r = &p.m.env.rcpts[1];
	for (i = 0; i < sizeof texts / sizeof *texts; i++) {
		kept = texts[i].kept ? texts[i].kept : texts[i].text;
		snprintf(r->res.text, sizeof r->res.text, "%s", texts[i].text);
		assert_int_equal(queuefile_put_last(p.fd, r), 0);
		m = (struct message){ .spool.fd = -1 };
		assert_int_equal(queuefile_read(p.fd, &f, &m, &res), 0);
		assert_string_equal(m.env.rcpts[1].res.text, kept);
		assert_string_equal(m.env.rcpts[0].res.text, four[0].text);
		assert_string_equal(m.env.rcpts[2].addr, four[2].addr);
		m.spool.fd = -1;
		message_free(&m);
	}
	place_close(&p);
}

/* --- read back --- */

static void
same_text(const char *a, const char *b)
{
	assert_int_equal(a == NULL, b == NULL);
	if (a)
		assert_string_equal(a, b);
}

static void
same_rcpt(const struct rcpt *a, const struct rcpt *b)
{
	same_text(a->addr, b->addr);
	same_text(a->dsn_notify, b->dsn_notify);
	same_text(a->dsn_orcpt, b->dsn_orcpt);
	assert_int_equal(a->state, b->state);
	assert_int_equal(a->mark, b->mark);
	assert_int_equal(a->res.code, b->res.code);
	assert_string_equal(a->res.enhanced, b->res.enhanced);
	assert_string_equal(a->res.text, b->res.text);
	assert_null(b->route);
}

static void
same_message(const struct message *a, const struct message *b)
{
	size_t i;

	same_text(a->env.from, b->env.from);
	same_text(a->env.dsn_ret, b->env.dsn_ret);
	same_text(a->env.dsn_envid, b->env.dsn_envid);
	assert_int_equal(a->env.utf8, b->env.utf8);
	assert_int_equal(a->env.requiretls, b->env.requiretls);
	assert_int_equal(a->pristine, b->pristine);
	assert_int_equal(a->spool.start, b->spool.start);
	assert_int_equal(a->spool.size, b->spool.size);
	assert_int_equal(a->spool.has_8bit, b->spool.has_8bit);
	assert_int_equal(a->spool.has_8bit_header, b->spool.has_8bit_header);
	assert_int_equal(a->spool.has_dot_line, b->spool.has_dot_line);
	assert_int_equal(a->spool.has_long, b->spool.has_long);
	assert_int_equal(a->identities.n, b->identities.n);
	for (i = 0; i < a->identities.n; i++)
		same_text(a->identities.v[i], b->identities.v[i]);
	assert_int_equal(a->env.nrcpts, b->env.nrcpts);
	for (i = 0; i < a->env.nrcpts; i++)
		same_rcpt(&a->env.rcpts[i], &b->env.rcpts[i]);
}

/* Write, read, compare; m is freed. Returns the bytes of the header. */
static off_t
round_trip(const struct queuefile *f, struct message *m, const char *body)
{
	int fd = file_of_message(f, m, body);
	struct message back = { .spool.fd = -1 };
	struct queuefile g;
	struct result res;
	off_t head, bytes;
	char fixed[QUEUEFILE_FIXED];

	if (queuefile_read(fd, &g, &back, &res) < 0)
		fail_msg("%s", res.text);
	same_message(m, &back);
	assert_int_equal(back.spool.fd, fd);
	assert_int_equal(back.born, f->born);
	assert_true(g.born == f->born && g.next == f->next &&
	    g.tries == f->tries && g.uid == f->uid && g.warned == f->warned);
	assert_int_equal(pread(fd, fixed, sizeof fixed, 0), sizeof fixed);
	memset(&g, 0xff, sizeof g);
	assert_int_equal(queuefile_fixed(fixed, sizeof fixed, &g, &bytes), 0);
	assert_int_equal(bytes, m->spool.size);
	assert_true(g.born == f->born && g.next == f->next &&
	    g.tries == f->tries && g.uid == f->uid && g.warned == f->warned);
	head = back.spool.start;
	message_free(&back);
	message_free(m);
	return head;
}

static void
test_full_example_is_read_back(void **state)
{
	struct message m;

	(void)state;
	full_message(&m);
	assert_int_equal(round_trip(&full_f, &m, BODY), HEAD);
}

static void
test_outcome_follows_from_the_state(void **state)
{
	struct place p;
	struct message m = { .spool.fd = -1 };
	struct queuefile f;
	struct result res;

	(void)state;
	place_open(&p);
	assert_int_equal(queuefile_read(p.fd, &f, &m, &res), 0);
	/* A bounce that was cut short is still one about a refusal. */
	assert_int_equal(m.env.rcpts[0].res.outcome, OUT_TEMP);
	assert_int_equal(m.env.rcpts[2].res.outcome, OUT_PERM);
	assert_int_equal(m.env.rcpts[3].res.outcome, OUT_PERM);
	m.spool.fd = -1;
	message_free(&m);
	place_close(&p);
}

static void
test_least_message_is_read_back(void **state)
{
	static const struct queuefile zero;
	struct message m;

	(void)state;
	plain_message(&m, "");
	round_trip(&zero, &m, "");
}

static void
test_utf8_and_long_addresses_are_read_back(void **state)
{
	static char addr[330];
	static const struct queuefile f = { .born = 1, .next = 1, .uid = 9 };
	struct want_rcpt v[] = {
		{ "\xE7\x94\xA8\xE6\x88\xB7@xn--fsqu00a.example", NULL,
		    "utf-8;\\x{7528}", RCPT_WAITING, 0, "", "" },
		{ addr, NULL, NULL, RCPT_WAITING, 0, "", "" },
		{ "\" \\\" rcpt - \"@example.net", NULL, NULL, RCPT_TAKEN, 0, "", "" },
	};
	struct message m = { .spool.fd = -1 };

	(void)state;
	memset(addr, 'a', 64);
	addr[64] = '@';
	memset(addr + 65, 'b', 255);
	m.env.from = copy("\xC3\xA9l\xC3\xA8ve@example.com");
	m.env.utf8 = true;
	m.env.dsn_envid = copy("");
	add_identity(&m, "\xC3\xA9l\xC3\xA8ve@example.com");
	set_rcpts(&m, v, 3);
	round_trip(&f, &m, BODY);
}

/* n recipients; the header ends wherever it may, at block edges too. */
static off_t
trip_with_rcpts(size_t n, size_t pad)
{
	static const struct queuefile f = { .born = 1764000000,
		.next = 1764000000 };
	struct message m = { .spool.fd = -1 };
	char long_id[5000];
	size_t i;

	memset(long_id, 'i', sizeof long_id);
	long_id[pad] = '\0';
	m.env.from = copy("alice@example.com");
	m.env.dsn_envid = copy(long_id);
	m.env.rcpts = calloc(n, sizeof *m.env.rcpts);
	assert_non_null(m.env.rcpts);
	m.env.nrcpts = n;
	for (i = 0; i < n; i++) {
		char addr[40];

		snprintf(addr, sizeof addr, "rcpt%zu@example.net", i);
		m.env.rcpts[i].addr = copy(addr);
		m.env.rcpts[i].state = (enum rcpt_state)(i % 4);
		m.env.rcpts[i].res.code = (int)i;
		if (i % 3 == 0)
			m.env.rcpts[i].dsn_notify = copy("NEVER");
	}
	return round_trip(&f, &m, BODY "\r\n\n\n");
}

static void
test_five_hundred_recipients_are_read_back(void **state)
{
	(void)state;
	assert_true(trip_with_rcpts(500, 1) > 100000);
}

static void
test_headers_around_4096_and_16384_bytes_are_read_back(void **state)
{
	static const off_t edges[] = { 4096, 16384 };
	off_t least = trip_with_rcpts(1, 0), head;
	size_t n, i, pad;
	int k;

	(void)state;
	for (i = 0; i < 2; i++) {
		n = i == 0 ? 1 : 50;
		head = i == 0 ? least : trip_with_rcpts(n, 0);
		pad = (size_t)(edges[i] - head);
		for (k = -3; k <= 3; k++)
			assert_int_equal(trip_with_rcpts(n, (size_t)((int)pad +
			    k)), edges[i] + k);
	}
}

static void
test_only_size_bytes_are_the_message(void **state)
{
	static const char more[] = "and what a fault has put behind it";
	struct place p;
	struct message m = { .spool.fd = -1 };
	struct queuefile f;
	struct result res;
	char block[100];

	(void)state;
	place_open(&p);
	assert_int_equal(pwrite(p.fd, more, sizeof more,
	    HEAD + sizeof BODY - 1), sizeof more);
	assert_int_equal(queuefile_read(p.fd, &f, &m, &res), 0);
	assert_int_equal(m.spool.size, sizeof BODY - 1);
	assert_int_equal(spool_read(&m.spool, block, sizeof block, 0),
	    sizeof BODY - 1);
	assert_memory_equal(block, BODY, sizeof BODY - 1);
	assert_int_equal(spool_read(&m.spool, block, sizeof block,
	    sizeof BODY - 1), 0);
	m.spool.fd = -1;
	message_free(&m);
	place_close(&p);
}

/* --- damage --- */

#define CANNOT "the queue file cannot be used: "
#define DAMAGED CANNOT "it is damaged"
#define OTHER CANNOT "another version of sendroute wrote it"
#define NO_END CANNOT "its header has no end"
#define SHORT CANNOT "it is shorter than its size says"

/* NULL: taken; else why it was not. */
static const char *
refusal(int fd, struct result *res)
{
	struct message m = { .spool.fd = -1 };
	struct queuefile f;
	int rc = queuefile_read(fd, &f, &m, res);

	if (rc == 0) {
		m.spool.fd = -1;
		message_free(&m);
		return NULL;
	}
	assert_int_equal(rc, -1);
	assert_int_equal(m.spool.fd, -1);
	assert_int_equal(res->exit, EXIT_IO);
	assert_int_equal(res->cause, CAUSE_LOCAL);
	message_free(&m);
	return res->text;
}

static void
refused(const void *text, size_t n, const char *why, const char *what)
{
	struct result res;
	int fd = file_of(text, n);
	const char *got = refusal(fd, &res);

	int line = (int)strcspn(what, "\n");

	if (got == NULL)
		fail_msg("taken: %.*s", line, what);
	else if (why && strcmp(got, why) != 0)
		fail_msg("%.*s: \"%s\", not \"%s\"", line, what, got, why);
	close(fd);
}

/* The full example with some bytes replaced by a string. */
static void
spliced(struct buf *b, size_t at, size_t n, const char *with)
{
	buf_reset(b);
	buf_add(b, full, at);
	buf_adds(b, with);
	buf_add(b, full + at + n, HEAD - at - n);
	buf_adds(b, BODY);
}

static bool
starts(const char *line, const char *key)
{
	return strncmp(line, key, strlen(key)) == 0;
}

/* What need not be there, and may be there twice. */
static bool
is_optional(const char *line)
{
	return starts(line, "ret ") || starts(line, "envid ") ||
	    starts(line, "identity ") || starts(line, "notify ") ||
	    starts(line, "orcpt ");
}

static void
test_line_that_is_missing_is_damage(void **state)
{
	struct buf b = { 0 };
	const char *line, *end;

	(void)state;
	for (line = full; *line != '\n'; line = end + 1) {
		end = strchr(line, '\n');
		if (is_optional(line))
			continue;
		spliced(&b, (size_t)(line - full), (size_t)(end + 1 - line), "");
		refused(b.p, b.len, DAMAGED, line);
	}
	buf_free(&b);
}

static void
test_line_that_is_there_twice_is_damage(void **state)
{
	struct buf b = { 0 };
	const char *line, *end;
	char twice[300];

	(void)state;
	for (line = full; *line != '\n'; line = end + 1) {
		end = strchr(line, '\n');
		if (starts(line, "identity "))
			continue;
		snprintf(twice, sizeof twice, "%.*s", (int)(end + 1 - line),
		    line);
		spliced(&b, (size_t)(line - full), 0, twice);
		refused(b.p, b.len, DAMAGED, line);
	}
	buf_free(&b);
}

/* Each line's key with a letter wrong, missing, or too much. */
static void
test_key_that_is_garbled_is_damage(void **state)
{
	struct buf b = { 0 };
	const char *line, *end;
	size_t at;

	(void)state;
	for (line = full + MAGIC; *line != '\n'; line = end + 1) {
		end = strchr(line, '\n');
		for (at = (size_t)(line - full); full[at] != ' '; at++) {
			spliced(&b, at, 1, "?");
			refused(b.p, b.len, DAMAGED, line);
			spliced(&b, at, 1, "");
			refused(b.p, b.len, DAMAGED, line);
			spliced(&b, at, 0, "r");
			refused(b.p, b.len, DAMAGED, line);
		}
		spliced(&b, at, 1, "");
		refused(b.p, b.len, DAMAGED, line);
	}
	buf_free(&b);
}

/* What is of fixed width is all checked. */
static void
test_fixed_field_that_is_garbled_is_damage(void **state)
{
	static const char wrong[][2] = { " ", "?", "-", "+", "x" };
	struct buf b = { 0 };
	size_t at, i;

	(void)state;
	for (at = MAGIC; at < QUEUEFILE_FIXED; at++) {
		for (i = 0; i < sizeof wrong / sizeof *wrong; i++) {
			if (full[at] == wrong[i][0] ||
			    (at >= 119 && at < 131 && *wrong[i] == '-'))
				continue;
			spliced(&b, at, 1, wrong[i]);
			refused(b.p, b.len, DAMAGED, full + at);
		}
		spliced(&b, at, 1, "");
		refused(b.p, b.len, DAMAGED, full + at);
		spliced(&b, at, 0, "0");
		refused(b.p, b.len, DAMAGED, full + at);
	}
	buf_free(&b);
}

/* The first piece becomes the second. */
static void
test_rest_that_is_garbled_is_damage(void **state)
{
	static const struct { const char *from, *to; } t[] = {
		{ "from alice@example.com\n", "from\n" },
		{ "from alice@example.com\n", "\nfrom alice@example.com\n" },
		{ "last 450 4.2.1 ", "last 45 4.2.1 " },
		{ "last 450 4.2.1 ", "last x50 4.2.1 " },
		{ "last 450 4.2.1 ", "last 4500 4.2.1 " },
		{ "last 450 4.2.1 ", "last 450  4.2.1 " },
		{ "last 450 4.2.1 ", "last 450 " },
		{ "last 450 4.2.1 ", "last " },
		{ " the mailbox is busy", " the mailbox is bus" },
		{ " the mailbox is busy", " the mailbox is busyy" },
		{ "rcpt - bob@example.net\n", "rcpt\n" },
		{ "rcpt - bob@example.net\n", "rcpt \n" },
		{ "rcpt - bob@example.net\n", "rcpt -\n" },
		{ "rcpt - bob@example.net\n", "rcpt - \n" },
		{ "rcpt - bob@example.net\n", "rcpt  bob@example.net\n" },
		{ "rcpt - bob@example.net\n", "rcpt -bob@example.net\n" },
		{ "rcpt - bob@example.net\n", "rcpt bob@example.net\n" },
		{ "rcpt - bob@example.net\n", "rcpt ? bob@example.net\n" },
		{ "rcpt - bob@example.net\n", "rcpt X bob@example.net\n" },
		/* A line where nothing of the kind belongs. */
		{ "from alice@example.com\n",
		    "notify NEVER\nfrom alice@example.com\n" },
		{ "from alice@example.com\n",
		    "orcpt rfc822;x\nfrom alice@example.com\n" },
		{ "rcpt - bob@example.net\n",
		    "identity x@example.net\nrcpt - bob@example.net\n" },
		{ "rcpt - bob@example.net\n", "ret\nrcpt - bob@example.net\n" },
		{ "rcpt x frank@example.net\n",
		    "notify NEVER\nrcpt x frank@example.net\n" },
		{ "notify SUCCESS,DELAY\n", "future thing\n" },
	};
	struct buf b = { 0 };
	const char *at;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof t / sizeof *t; i++) {
		at = strstr(full, t[i].from);
		assert_non_null(at);
		spliced(&b, (size_t)(at - full), strlen(t[i].from), t[i].to);
		refused(b.p, b.len, DAMAGED, t[i].to);
	}
	buf_free(&b);
}

static void
test_no_recipients_is_damage(void **state)
{
	struct buf b = { 0 };
	size_t at = (size_t)(strstr(full, "last ") - full);

	(void)state;
	spliced(&b, at, HEAD - 1 - at, "");
	refused(b.p, b.len, DAMAGED, "no recipients");
	buf_free(&b);
}

static void
test_other_magic_is_refused(void **state)
{
	static const struct { const char *magic, *why; } t[] = {
		{ "sendroute queue 2\n", OTHER },
		{ "sendroute queue 10\n", OTHER },
		{ "sendroute queue 1\r\n", OTHER },
		{ "sendroute queue \n", OTHER },
		{ "sendroute queue\n", DAMAGED },
		{ "Sendroute queue 1\n", DAMAGED },
		{ "\nsendroute queue 1\n", DAMAGED },
		{ "\n\n", DAMAGED }
	};
	struct buf b = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof t / sizeof *t; i++) {
		spliced(&b, 0, MAGIC, t[i].magic);
		refused(b.p, b.len, t[i].why, t[i].magic);
	}
	buf_free(&b);
}

static void
test_control_byte_anywhere_in_the_header_is_refused(void **state)
{
	static const char controls[] = { '\0', '\1', '\t', '\r', '\x1b',
		'\x1f' };
	struct buf b = { 0 };
	size_t at, i;

	(void)state;
	spliced(&b, 0, 0, "");
	for (at = 0; at < HEAD; at++)
		for (i = 0; i < sizeof controls; i++) {
			b.p[at] = controls[i];
			refused(b.p, b.len, NULL, full + at);
			b.p[at] = full[at];
		}
	buf_free(&b);
}

/* A power cut leaves zeros where a block was not written. */
static void
test_zeros_from_any_byte_on_are_refused(void **state)
{
	struct buf b = { 0 };
	size_t at;

	(void)state;
	spliced(&b, 0, 0, "");
	for (at = HEAD; at-- > 0; ) {
		b.p[at] = '\0';
		refused(b.p, b.len, NO_END, full + at);
	}
	buf_free(&b);
}

static void
test_header_cut_at_any_byte_is_refused(void **state)
{
	struct buf exact = { 0 };
	size_t n;

	(void)state;
	for (n = 0; n < HEAD; n++) {
		/* No room behind it: a read too far is seen. */
		buf_free(&exact);
		buf_add(&exact, full, n);
		refused(buf_str(&exact), n, NO_END, full + n);
	}
	buf_free(&exact);
}

static void
test_message_cut_at_any_byte_is_refused(void **state)
{
	struct buf b = { 0 };
	struct result res;
	size_t n;
	int fd;

	(void)state;
	spliced(&b, 0, 0, "");
	for (n = HEAD; n < b.len; n++)
		refused(b.p, n, SHORT, full + HEAD);
	fd = file_of(b.p, b.len);
	assert_null(refusal(fd, &res));
	close(fd);
	buf_free(&b);
}

/* The header is read in steps; each of them may be where a file ends. */
static void
test_long_header_cut_around_the_steps_is_refused(void **state)
{
	struct message m;
	struct buf b = { 0 };
	char *id = malloc(20001);
	size_t n, i;
	static const size_t edges[] = { 4096, 16384, 20000 };

	(void)state;
	assert_non_null(id);
	memset(id, 'i', 20000);
	id[20000] = '\0';
	full_message(&m);
	free(m.env.dsn_envid);
	m.env.dsn_envid = id;
	queuefile_head(&full_f, &m, &b);
	for (i = 0; i < 3; i++)
		for (n = edges[i] - 2; n <= edges[i] + 2; n++)
			refused(b.p, n, NO_END, "long header");
	buf_free(&b);
	message_free(&m);
}

static void
test_fixed_fields_cut_at_any_byte_are_refused(void **state)
{
	struct queuefile f;
	off_t size;
	size_t n;
	char *exact;

	(void)state;
	for (n = 0; n <= QUEUEFILE_FIXED; n++) {
		exact = malloc(n ? n : 1);
		assert_non_null(exact);
		memcpy(exact, full, n);
		assert_int_equal(queuefile_fixed(exact, n, &f, &size),
		    n < QUEUEFILE_FIXED ? -1 : 0);
		free(exact);
	}
}

/* Numbers that a field has room for, but nothing else. */
static void
test_huge_numbers_are_refused_or_kept(void **state)
{
	static const struct { size_t at; const char *digits, *why; } t[] = {
		{ 92, "00000000000000000022", SHORT },
		{ 92, "00000000004294967317", SHORT },	/* 2^32 + 21 */
		{ 92, "09223372036854775807", SHORT },	/* the last off_t */
		{ 92, "09223372036854775000", SHORT },
		{ 92, "09223372036854775808", DAMAGED },
		{ 92, "18446744073709551615", DAMAGED },
		{ 92, "18446744073709551637", DAMAGED },	/* 2^64 + 21 */
		{ 92, "99999999999999999999", DAMAGED },
		{ 23, "09223372036854775807", NULL },
		{ 23, "09223372036854775808", DAMAGED },
		{ 23, "99999999999999999999", DAMAGED },
		{ 49, "09223372036854775807", NULL },
		{ 49, "09223372036854775808", DAMAGED },
		{ 49, "99999999999999999999", DAMAGED },
		{ 76, "4294967295", NULL },
		{ 76, "4294967296", DAMAGED },
		{ 76, "9999999999", DAMAGED },
		{ 136, "4294967295", NULL },
	};
	struct buf b = { 0 };
	struct result res;
	const char *why;
	size_t i;
	int fd;

	(void)state;
	for (i = 0; i < sizeof t / sizeof *t; i++) {
		spliced(&b, t[i].at, strlen(t[i].digits), t[i].digits);
		fd = file_of(b.p, b.len);
		why = refusal(fd, &res);
		close(fd);
		if ((why == NULL) != (t[i].why == NULL) ||
		    (why && strcmp(why, t[i].why) != 0))
			fail_msg("%s at %zu: %s", t[i].digits, t[i].at,
			    why ? why : "taken");
	}
	buf_free(&b);
}

static void
test_what_cannot_be_read_is_refused(void **state)
{
	struct result res;
	int fd = open("/tmp", O_RDONLY | O_DIRECTORY);

	(void)state;
	assert_true(fd >= 0);
	assert_string_equal(refusal(fd, &res), CANNOT "Is a directory");
	close(fd);
	assert_string_equal(refusal(-1, &res), CANNOT "Bad file descriptor");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_header_of_a_full_example),
		cmocka_unit_test(test_header_of_the_least_message),
		cmocka_unit_test(test_marks_are_where_the_states_are),
		cmocka_unit_test(test_each_flag_has_its_place),
		cmocka_unit_test(test_put_size_changes_size_and_flags),
		cmocka_unit_test(
		    test_put_schedule_changes_times_tries_and_flags),
		cmocka_unit_test(test_put_last_changes_the_line_above),
		cmocka_unit_test(test_put_state_changes_one_byte),
		cmocka_unit_test(test_put_fails_on_what_cannot_be_written),
		cmocka_unit_test(test_texts_are_clipped_between_characters),
		cmocka_unit_test(test_full_example_is_read_back),
		cmocka_unit_test(test_outcome_follows_from_the_state),
		cmocka_unit_test(test_least_message_is_read_back),
		cmocka_unit_test(test_utf8_and_long_addresses_are_read_back),
		cmocka_unit_test(test_five_hundred_recipients_are_read_back),
		cmocka_unit_test(
		    test_headers_around_4096_and_16384_bytes_are_read_back),
		cmocka_unit_test(test_only_size_bytes_are_the_message),
		cmocka_unit_test(test_line_that_is_missing_is_damage),
		cmocka_unit_test(test_line_that_is_there_twice_is_damage),
		cmocka_unit_test(test_key_that_is_garbled_is_damage),
		cmocka_unit_test(test_fixed_field_that_is_garbled_is_damage),
		cmocka_unit_test(test_rest_that_is_garbled_is_damage),
		cmocka_unit_test(test_no_recipients_is_damage),
		cmocka_unit_test(test_other_magic_is_refused),
		cmocka_unit_test(
		    test_control_byte_anywhere_in_the_header_is_refused),
		cmocka_unit_test(test_zeros_from_any_byte_on_are_refused),
		cmocka_unit_test(test_header_cut_at_any_byte_is_refused),
		cmocka_unit_test(test_message_cut_at_any_byte_is_refused),
		cmocka_unit_test(
		    test_long_header_cut_around_the_steps_is_refused),
		cmocka_unit_test(test_fixed_fields_cut_at_any_byte_are_refused),
		cmocka_unit_test(test_huge_numbers_are_refused_or_kept),
		cmocka_unit_test(test_what_cannot_be_read_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
