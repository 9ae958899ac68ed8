/* The SMTP server of -bs: its parsers, and whole sessions over a socket. */
#define _GNU_SOURCE	/* memmem */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/front/smtpd.h"
#include "lib/front/smtpd_parse.h"

#define COUNT(table) (sizeof (table) / sizeof *(table))
#define LIT(s) { s, sizeof s - 1 }

struct bytes {
	const char *p;
	size_t n;
};

/* --- the end of DATA --- */

/* ends: how many bytes of `in` are used up by then; 0: it does not end. */
static const struct { struct bytes in, out; size_t ends; } endings[] = {
	{ LIT(".\r\n"), LIT(""), 3 },
	{ LIT("\r\n.\r\n"), LIT("\r\n"), 5 },
	{ LIT("a\r\n.\r\nQUIT\r\n"), LIT("a\r\n"), 6 },
	{ LIT("a\r\n.\r\n.\r\n"), LIT("a\r\n"), 6 },
	/* dot-stuffing */
	{ LIT("..\r\n..a\r\n...\r\n.\r\n"), LIT(".\r\n.a\r\n..\r\n"), 17 },
	{ LIT(".a\r\n.\r\n"), LIT("a\r\n"), 7 },
	{ LIT("a.\r\n.b.\r\n.\r\n"), LIT("a.\r\nb.\r\n"), 12 },
	/* what some other server takes for the end */
	{ LIT("a\n.\n"), LIT("a\n.\n"), 0 },
	{ LIT("a\n.\r\nMAIL\r\n"), LIT("a\n.\r\nMAIL\r\n"), 0 },
	{ LIT("a\r\n.\nMAIL\r\n"), LIT("a\r\n\nMAIL\r\n"), 0 },
	{ LIT("a\r\n.\rMAIL\r\n"), LIT("a\r\n\rMAIL\r\n"), 0 },
	{ LIT("a\r.\r\nMAIL\r\n"), LIT("a\r.\r\nMAIL\r\n"), 0 },
	{ LIT("a\r.\rMAIL\r\n"), LIT("a\r.\rMAIL\r\n"), 0 },
	{ LIT("a\r\r\n.\r\n"), LIT("a\r\r\n"), 7 },
	{ LIT("a\n\r.\r\n"), LIT("a\n\r.\r\n"), 0 },
	{ LIT("a\r\n.\r\r\nMAIL\r\n"), LIT("a\r\n\r\r\nMAIL\r\n"), 0 },
	{ LIT("a\r\n.\r\r\n.\r\n"), LIT("a\r\n\r\r\n"), 10 },
	{ LIT("a\r\n\0.\r\nMAIL\r\n"), LIT("a\r\n\0.\r\nMAIL\r\n"), 0 },
	{ LIT("a\r\n.\0\r\nMAIL\r\n"), LIT("a\r\n\0\r\nMAIL\r\n"), 0 },
	{ LIT("a\r\0\n.\r\n"), LIT("a\r\0\n.\r\n"), 0 },
	{ LIT("a\r\n \r\n. \r\n"), LIT("a\r\n \r\n \r\n"), 0 },
	{ LIT("a\r\n..\r\n"), LIT("a\r\n.\r\n"), 0 },
	{ LIT("a\r\n.\r"), LIT("a\r\n"), 0 },
	{ LIT("a\r\n."), LIT("a\r\n"), 0 },
	{ LIT("a\r\n.\x85.\r\n"), LIT("a\r\n\x85.\r\n"), 0 },
	{ LIT("a\x0b\n.\x0c\r\n"), LIT("a\x0b\n.\x0c\r\n"), 0 },
	{ LIT("\n.\r\n\r\n.\r\n"), LIT("\n.\r\n\r\n"), 9 },
	{ LIT("\r.\r\n"), LIT("\r.\r\n"), 0 }
};

/* Feed n bytes in pieces: all of them into `out`, `room` at a time. */
static size_t
unstuff(enum smtpd_data *state, const char *in, size_t n, struct buf *out,
    size_t room)
{
	char block[64], *copy;
	size_t taken, used = 0, got;

	do {
		copy = malloc(n - used + 1);	/* the sanitizer watches it */
		memcpy(copy, in + used, n - used);
		got = smtpd_unstuff(state, copy, n - used, &taken, block, room);
		free(copy);
		assert_true(got <= room);
		buf_add(out, block, got);
		used += taken;
	} while ((taken > 0 || got > 0) && used < n && *state != DATA_END);
	return used;
}

static void
check_ending(size_t i, size_t split, size_t room)
{
	enum smtpd_data state = DATA_LINE;
	struct buf out = { 0 };
	const char *in = endings[i].in.p;
	size_t n = endings[i].in.n, used;

	used = unstuff(&state, in, split, &out, room);
	if (used == split && state != DATA_END)
		used += unstuff(&state, in + split, n - split, &out, room);
	if (endings[i].ends) {
		assert_int_equal(state, DATA_END);
		assert_int_equal(used, endings[i].ends);
	} else {
		assert_int_not_equal(state, DATA_END);
		assert_int_equal(used, n);
	}
	assert_int_equal(out.len, endings[i].out.n);
	assert_memory_equal(buf_str(&out), endings[i].out.p, out.len);
	buf_free(&out);
}

static void
data_ends_at_crlf_dot_crlf_alone(void **state)
{
	size_t i, split;

	(void)state;
	for (i = 0; i < COUNT(endings); i++)
		for (split = 0; split <= endings[i].in.n; split++) {
			check_ending(i, split, 64);
			check_ending(i, split, 3);
			check_ending(i, split, 1);
		}
}

/* Every text of up to eight bytes that matter, against the plain definition. */
static void
no_sequence_of_cr_lf_dot_nul_ends_it_otherwise(void **state)
{
	static const char letters[] = { '\r', '\n', '.', '\0', 'a' };
	char in[8];
	const char *at;
	enum smtpd_data st;
	struct buf out = { 0 };
	size_t code, k, v, n = sizeof in, ends, used, cases = 0;

	(void)state;
	for (code = 0; code < 390625; code++) {
		for (k = 0, v = code; k < sizeof in; k++, v /= 5)
			in[k] = letters[v % 5];
		at = memmem(in, n, "\r\n.\r\n", 5);
		ends = memcmp(in, ".\r\n", 3) == 0 ? 3 :
		    at ? (size_t)(at + 5 - in) : 0;
		st = DATA_LINE;
		buf_reset(&out);
		used = unstuff(&st, in, n, &out, 64);
		assert_int_equal(st == DATA_END, ends > 0);
		assert_int_equal(used, ends ? ends : n);
		cases += ends > 0;
	}
	/*
	 * .CRLF and five more bytes, CRLF.CRLF at four places and three more;
	 * 27 of them have it twice.
	 */
	assert_int_equal(cases, 3125 + 4 * 125 - 27);
	buf_free(&out);
}

/* --- paths and parameters --- */

/* rest NULL: refused. */
static const struct { const char *in, *path, *rest; } paths[] = {
	{ "<a@b.example>", "a@b.example", "" },
	{ "<a@b.example> SIZE=1", "a@b.example", " SIZE=1" },
	{ " <a@b>", "a@b", "" },
	{ "<>", "", "" },
	{ "<postmaster>", "postmaster", "" },
	{ "<\"a b\"@c>", "\"a b\"@c", "" },
	{ "<\"a>b\"@c>", "\"a>b\"@c", "" },
	{ "<\"a\\\"> b\"@c> X", "\"a\\\"> b\"@c", " X" },
	{ "<@r.example:a@b>", "a@b", "" },
	{ "<@r.example,@s.example:a@b>", "a@b", "" },
	{ "<a@[IPv6:::1]>", "a@[IPv6:::1]", "" },
	{ "<j\xc3\xb6@b>", "j\xc3\xb6@b", "" },
	{ "a@b", NULL, NULL },
	{ "", NULL, NULL },
	{ "<", NULL, NULL },
	{ "<a@b", NULL, NULL },
	{ "<a@b>x", NULL, NULL },
	{ "<a@b>\tX", NULL, NULL },
	{ "Name <a@b>", NULL, NULL },
	{ "<<a@b>>", NULL, NULL },
	{ "< a@b>", NULL, NULL },
	{ "<a@b >", NULL, NULL },
	{ "<a@b(c)>", NULL, NULL },
	{ "<a@b,c@d>", NULL, NULL },
	{ "<g:a@b;>", NULL, NULL },
	{ "<a\\>@b>", NULL, NULL },
	{ "<\"a@b>", NULL, NULL },
	{ "<\"a\\", NULL, NULL },
	{ "<@r.example>", NULL, NULL },
	{ "<@r.example:>", NULL, NULL },
	{ "<@\":a@b>", NULL, NULL },
	{ "<\t>", NULL, NULL }
};

static void
a_path_is_what_rfc_5321_says(void **state)
{
	char *text, *path, *rest;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(paths); i++) {
		text = mem_dup(paths[i].in, strlen(paths[i].in));
		rest = smtpd_path(text, &path);
		if (paths[i].rest == NULL && rest != NULL)
			fail_msg("taken: %s", paths[i].in);
		if (paths[i].rest != NULL) {
			assert_non_null(rest);
			assert_string_equal(path, paths[i].path);
			assert_string_equal(rest, paths[i].rest);
		}
		free(text);
	}
}

static const struct { const char *in; bool rcpt; int code; const char *bad; }
    parameters[] = {
	{ "", false, 0, NULL },
	{ "  ", true, 0, NULL },
	{ " SIZE=0 BODY=8BITMIME SMTPUTF8 RET=FULL ENVID=a+2Bb", false, 0, NULL },
	{ " size=18446744073709551615 body=7bit ret=hdrs", false, 0, NULL },
	{ " NOTIFY=NEVER ORCPT=rfc822;a@b", true, 0, NULL },
	{ " notify=Success,DELAY,failure", true, 0, NULL },
	{ " SIZE=18446744073709551616", false, 501, "SIZE" },
	{ " SIZE=-1", false, 501, "SIZE" },
	{ " SIZE=", false, 501, "SIZE" },
	{ " SIZE", false, 501, "SIZE" },
	{ " SIZE=1 SIZE=1", false, 501, "SIZE" },
	{ " BODY=BINARYMIME", false, 501, "BODY" },
	{ " BODY=", false, 501, "BODY" },
	{ " SMTPUTF8=yes", false, 501, "SMTPUTF8" },
	{ " RET=ALL", false, 501, "RET" },
	{ " RET=FULL HDRS", false, 555, "HDRS" },
	{ " ENVID=", false, 501, "ENVID" },
	{ " ENVID=a+2", false, 501, "ENVID" },
	{ " ENVID=a+2b", false, 501, "ENVID" },
	{ " ENVID=a+", false, 501, "ENVID" },
	{ " ENVID=a=b", false, 501, "ENVID" },
	{ " ENVID=\xc3\xb6", false, 501, "ENVID" },
	{ " ENVID=\x01", false, 501, "ENVID" },
	{ " ENVID=1234567890123456789012345678901234567890123456789012345678901"
	    "234567890123456789012345678901234567890", false, 0, NULL },
	{ " ENVID=1234567890123456789012345678901234567890123456789012345678901"
	    "2345678901234567890123456789012345678901", false, 501, "ENVID" },
	{ " NOTIFY=NEVER,SUCCESS", true, 501, "NOTIFY" },
	{ " NOTIFY=SUCCESS,", true, 501, "NOTIFY" },
	{ " NOTIFY=,SUCCESS", true, 501, "NOTIFY" },
	{ " NOTIFY=", true, 501, "NOTIFY" },
	{ " NOTIFY=SUCCESSES", true, 501, "NOTIFY" },
	{ " ORCPT=a@b", true, 501, "ORCPT" },
	{ " ORCPT=rfc822;", true, 501, "ORCPT" },
	{ " ORCPT=;a@b", true, 501, "ORCPT" },
	{ " ORCPT=rf(c;a@b", true, 501, "ORCPT" },
	{ " ORCPT=rfc822;a+ZZ@b", true, 501, "ORCPT" },
	{ " NOTIFY=NEVER", false, 555, "NOTIFY" },
	{ " SIZE=1", true, 555, "SIZE" },
	{ " AUTH=<>", false, 555, "AUTH" },
	{ " X=1", true, 555, "X" },
	{ " =", false, 555, "" }
};

static void
parameters_are_known_or_refused(void **state)
{
	struct smtpd_params p;
	const char *bad;
	char *text;
	size_t i;
	int code;

	(void)state;
	for (i = 0; i < COUNT(parameters); i++) {
		text = mem_dup(parameters[i].in, strlen(parameters[i].in));
		bad = NULL;
		code = smtpd_params(text, parameters[i].rcpt, &p, &bad);
		if (code != parameters[i].code)
			fail_msg("%d for %s", code, parameters[i].in);
		if (code != 0)
			assert_string_equal(bad, parameters[i].bad);
		free(text);
	}
}

static void
parameters_are_handed_on(void **state)
{
	char mail[] = " SIZE=123 SMTPUTF8 RET=hdrs ENVID=x+20y";
	char rcpt[] = " ORCPT=rfc822;a@b NOTIFY=DELAY,FAILURE";
	struct smtpd_params p;
	const char *bad;

	(void)state;
	assert_int_equal(smtpd_params(mail, false, &p, &bad), 0);
	assert_int_equal(p.size, 123);
	assert_true(p.utf8);
	assert_string_equal(p.ret, "hdrs");
	assert_string_equal(p.envid, "x+20y");
	assert_null(p.notify);
	assert_int_equal(smtpd_params(rcpt, true, &p, &bad), 0);
	assert_string_equal(p.orcpt, "rfc822;a@b");
	assert_string_equal(p.notify, "DELAY,FAILURE");
	assert_false(p.utf8);
	assert_null(p.ret);
}

/* --- sessions --- */

struct fate {
	enum outcome outcome;
	enum cause cause;
	const char *enhanced, *text;
};

/* A session: how it is set up, and what came of it. */
struct talk {
	struct delivery delivery;	/* first: how deliver_stub finds us */
	struct smtpd d;
	struct config config;
	struct log log;
	struct aliases aliases;
	const struct fate *fates;	/* of the recipients; NULL: all sent */
	size_t chunk;			/* bytes a read gets; 0: as many as fit */
	bool hold;			/* the client does not close its side */

	int status, messages;
	char *out;
	size_t out_size;
	struct buf got;			/* of the messages: envelopes and texts */
};

static void
note_dsn(struct buf *b, const char *key, const char *value)
{
	if (value)
		buf_addf(b, " %s=%s", key, value);
}

static void
deliver_stub(const struct delivery *d, struct message *m)
{
	struct talk *t = (struct talk *)(uintptr_t)d;
	const struct fate *f = t->fates;
	char block[4096];
	struct rcpt *r;
	size_t i;
	off_t at;
	ssize_t n;

	t->messages++;
	buf_addf(&t->got, "from <%s>%s", m->env.from, m->env.utf8 ? " utf8" : "");
	note_dsn(&t->got, "RET", m->env.dsn_ret);
	note_dsn(&t->got, "ENVID", m->env.dsn_envid);
	buf_addc(&t->got, '\n');
	for (i = 0; i < m->env.nrcpts; i++) {
		r = &m->env.rcpts[i];
		if (i < 20)
			buf_addf(&t->got, "to <%s>", r->addr);
		note_dsn(&t->got, "NOTIFY", r->dsn_notify);
		note_dsn(&t->got, "ORCPT", r->dsn_orcpt);
		buf_adds(&t->got, i < 20 ? "\n" : "");
		if (f == NULL || f->outcome == OUT_DONE)
			result_set(&r->res, OUT_DONE, CAUSE_ROUTE, "250 ok");
		else {
			result_set(&r->res, f->outcome, f->cause, "%s", f->text);
			result_set_enhanced(&r->res, f->enhanced);
		}
		f += f != NULL;
	}
	for (at = 0; (n = spool_read(&m->spool, block, sizeof block, at)) > 0;
	    at += n)
		buf_add(&t->got, block, (size_t)n);
	assert_int_equal(n, 0);
}

static void
begin(struct talk *t)
{
	memset(t, 0, sizeof *t);
	t->log = (struct log){ .target = LOG_TO_NONE, .fd = -1 };
	t->config.hostname = t->config.domain = (char *)(uintptr_t)"h.example";
	t->delivery.config = &t->config;
	t->delivery.log = &t->log;
	t->d.delivery = &t->delivery;
	aliases_init(&t->aliases, &t->config);
	t->d.aliases = &t->aliases;
	t->d.deliver = deliver_stub;
	t->d.sender = "me@h.example";
	t->d.in = -1;
	t->d.patience = 10000;
}

static void
say_n(struct talk *t, const char *in, size_t n)
{
	size_t chunk = t->chunk ? t->chunk : 8192, k;
	int size = 4 << 20, side[2];
	bool own = t->d.in < 0;

	if (own) {
		/* Each read gets one packet, never more. */
		assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, side), 0);
		setsockopt(side[1], SOL_SOCKET, SO_SNDBUFFORCE, &size,
		    sizeof size);
		for (; n > 0; in += k, n -= k) {
			k = n < chunk ? n : chunk;
			assert_int_equal(send(side[1], in, k, MSG_DONTWAIT), k);
		}
		if (!t->hold)
			close(side[1]);
		t->d.in = side[0];
	}
	if (t->d.out == NULL)
		t->d.out = open_memstream(&t->out, &t->out_size);
	assert_non_null(t->d.out);
	t->status = smtpd_run(&t->d);
	fclose(t->d.out);
	if (own)
		close(t->d.in);
	if (own && t->hold)
		close(side[1]);
	t->d.in = -1;
	t->d.out = NULL;
}

static void
say(struct talk *t, const char *in)
{
	say_n(t, in, strlen(in));
}

static void
end(struct talk *t)
{
	free(t->out);
	buf_free(&t->got);
}

#define GREETING "220 h.example ESMTP sendroute\r\n"
#define HELLO "250 h.example\r\n"
#define BYE "221 2.0.0 bye\r\n"
#define BEFORE "HELO x\r\nMAIL FROM:<a@x.example>\r\nRCPT TO:<b@y.example>\r\n"
#define TAKEN_BEFORE GREETING HELLO "250 2.1.0 ok\r\n250 2.1.5 ok\r\n"
#define GO_ON "354 go on; a line with a lone dot ends it\r\n"
#define ENVELOPE "from <a@x.example>\nto <b@y.example>\n"
#define WHOLE "From: a@x.example\r\nTo: b@x.example\r\n" \
	"Date: Mon, 1 Jan 2001 00:00:00 +0000\r\nMessage-ID: <1@x.example>\r\n\r\n"

/* What the server says to `in`, exit status 0 and no message. */
static void
answers(const char *in, const char *out)
{
	struct talk t;

	begin(&t);
	say(&t, in);
	assert_string_equal(t.out, out);
	assert_int_equal(t.status, 0);
	assert_int_equal(t.messages, 0);
	end(&t);
}

static const struct { const char *in, *out; } commands[] = {
	{ "QUIT\r\n", BYE },
	{ "quit\r\nNOOP\r\n", BYE },
	{ "", "" },
	{ "QUIT", "" },
	{ "QUIT now\r\n", "501 5.5.4 QUIT takes no argument\r\n" },
	{ "HELO x\r\n", HELLO },
	{ "HELO\r\n", "501 5.5.4 HELO takes an argument\r\n" },
	{ "EHLO\r\n", "501 5.5.4 EHLO takes an argument\r\n" },
	{ "EHLO \r\n", "501 5.5.4 EHLO takes an argument\r\n" },
	{ "EHLO [127.0.0.1]\r\n", "250-h.example\r\n250-SIZE\r\n250-PIPELINING\r\n"
	    "250-8BITMIME\r\n250-SMTPUTF8\r\n250-REQUIRETLS\r\n"
	    "250-ENHANCEDSTATUSCODES\r\n"
	    "250-DSN\r\n250 HELP\r\n" },
	{ "NOOP\r\nnoop x y\r\nRSET\r\n",
	    "250 2.0.0 ok\r\n250 2.0.0 ok\r\n250 2.0.0 ok\r\n" },
	{ "RSET x\r\n", "501 5.5.4 RSET takes no argument\r\n" },
	{ "VRFY root\r\n", "252 2.0.0 send it and see\r\n" },
	{ "VRFY\r\n", "501 5.5.4 VRFY takes an argument\r\n" },
	{ "HELP\r\nHELP MAIL\r\n", "214 2.0.0 EHLO HELO MAIL RCPT DATA RSET NOOP "
	    "VRFY HELP QUIT\r\n214 2.0.0 EHLO HELO MAIL RCPT DATA RSET NOOP "
	    "VRFY HELP QUIT\r\n" },
	{ "EXPN list\r\n", "502 5.5.1 not offered\r\n" },
	{ "AUTH PLAIN\r\nBDAT 1 LAST\r\nSTARTTLS\r\n",
	    "500 5.5.1 unknown command\r\n500 5.5.1 unknown command\r\n"
	    "500 5.5.1 unknown command\r\n" },
	{ "\r\n", "500 5.5.1 unknown command\r\n" },
	{ " NOOP\r\n", "500 5.5.1 unknown command\r\n" },
	{ "NOOPS\r\n", "500 5.5.1 unknown command\r\n" },
	{ "NOO\r\n", "500 5.5.1 unknown command\r\n" },
	{ "MAIL:<a@b>\r\n", "500 5.5.1 unknown command\r\n" },
	{ "GET / HTTP/1.1\r\n", "500 5.5.1 unknown command\r\n" },
	{ "NOOP \t  \r\n", "250 2.0.0 ok\r\n" },
	{ "RSET   \r\n", "250 2.0.0 ok\r\n" },
	/* bad sequences */
	{ "MAIL FROM:<a@b>\r\n", "503 5.5.1 EHLO comes first\r\n" },
	{ "RCPT TO:<a@b>\r\n", "503 5.5.1 MAIL comes first\r\n" },
	{ "DATA\r\n", "503 5.5.1 MAIL comes first\r\n" },
	{ "HELO x\r\nRCPT TO:<a@b>\r\n", HELLO "503 5.5.1 MAIL comes first\r\n" },
	{ "HELO x\r\nDATA\r\n", HELLO "503 5.5.1 MAIL comes first\r\n" },
	{ "HELO x\r\nMAIL FROM:<a@b>\r\nMAIL FROM:<c@d>\r\n", HELLO
	    "250 2.1.0 ok\r\n503 5.5.1 MAIL was given already\r\n" },
	{ "HELO x\r\nMAIL FROM:<a@b>\r\nDATA\r\n", HELLO
	    "250 2.1.0 ok\r\n503 5.5.1 RCPT comes first\r\n" },
	{ "HELO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<\r\nDATA\r\n", HELLO
	    "250 2.1.0 ok\r\n501 5.5.2 expected TO:<address>\r\n"
	    "503 5.5.1 RCPT comes first\r\n" },
	{ BEFORE "DATA now\r\n", TAKEN_BEFORE
	    "501 5.5.4 DATA takes no argument\r\n" },
	{ BEFORE "RSET\r\nDATA\r\n", TAKEN_BEFORE
	    "250 2.0.0 ok\r\n503 5.5.1 MAIL comes first\r\n" },
	{ BEFORE "HELO y\r\nDATA\r\n", TAKEN_BEFORE HELLO
	    "503 5.5.1 MAIL comes first\r\n" },
	/* syntax of the envelope */
	{ "HELO x\r\nMAIL\r\n", HELLO "501 5.5.4 MAIL takes an argument\r\n" },
	{ "HELO x\r\nMAIL <a@b>\r\n", HELLO
	    "501 5.5.2 expected FROM:<address>\r\n" },
	{ "HELO x\r\nMAIL FROM:a@b\r\n", HELLO
	    "501 5.5.2 expected FROM:<address>\r\n" },
	{ "HELO x\r\nMAIL TO:<a@b>\r\n", HELLO
	    "501 5.5.2 expected FROM:<address>\r\n" },
	{ "HELO x\r\nMAIL FROM:<a@@b>\r\n", HELLO
	    "501 5.1.3 bad address \"a@@b\": no domain behind the '@'\r\n" },
	{ "HELO x\r\nMAIL FROM:<a@b> X=1\r\n", HELLO
	    "555 5.5.4 parameter X\r\n" },
	{ "HELO x\r\nMAIL FROM:<a@b> X\x1b\xff\r\n", HELLO
	    "555 5.5.4 parameter X??\r\n" },
	{ "HELO x\r\nMAIL FROM:<a@b> RET=\x01\r\n", HELLO
	    "501 5.5.4 parameter RET\r\n" },
	{ "HELO x\r\nMAIL FROM:<>\r\nRCPT TO:<>\r\n", HELLO
	    "250 2.1.0 ok\r\n501 5.5.2 expected TO:<address>\r\n" },
	{ "HELO x\r\nmail from: <a@b>\r\nrcpt to: <c@d>\r\n", HELLO
	    "250 2.1.0 ok\r\n250 2.1.5 ok\r\n" },
	{ "HELO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<\"a\x01\"@b>\r\n", HELLO
	    "250 2.1.0 ok\r\n"
	    "501 5.1.3 bad address \"\"a?\"@b\": a control character inside\r\n" },
	/* clients that lost their way */
	{ "NOOP\n", "500 5.5.2 a line ends in CRLF and holds no other CR, LF or "
	    "NUL\r\n" }
};

static void
every_command_has_its_answer(void **state)
{
	struct buf out = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(commands); i++) {
		buf_reset(&out);
		if (strncmp(commands[i].out, GREETING, strlen(GREETING)) != 0)
			buf_adds(&out, GREETING);
		buf_adds(&out, commands[i].out);
		answers(commands[i].in, buf_str(&out));
	}
	buf_free(&out);
}

#define SPOILT "500 5.5.2 a line ends in CRLF and holds no other CR, LF or NUL\r\n"

static const struct { struct bytes in; const char *out; } spoilt[] = {
	{ LIT("NOOP\rRSET\r\n"), SPOILT },
	{ LIT("NOOP\r\r\n"), SPOILT },
	{ LIT("NO\0OP\r\n"), SPOILT },
	{ LIT("\0\r\n"), SPOILT },
	{ LIT("NOOP\n"), SPOILT },
	{ LIT("\n"), SPOILT },
	/* What was smuggled in behind LF alone is not obeyed either. */
	{ LIT("NOOP\nRSET\r\nNOOP\r\n"), SPOILT SPOILT "250 2.0.0 ok\r\n" },
	{ LIT("NOOP\n\n\r\nNOOP\r\n"), SPOILT SPOILT SPOILT "250 2.0.0 ok\r\n" },
	{ LIT("NOOP\r\n\rNOOP\r\nNOOP\r\n"),
	    "250 2.0.0 ok\r\n" SPOILT "250 2.0.0 ok\r\n" }
};

static void
spoilt_lines_are_not_obeyed(void **state)
{
	struct talk t;
	size_t i, greeting = strlen(GREETING);

	(void)state;
	for (i = 0; i < COUNT(spoilt); i++) {
		begin(&t);
		say_n(&t, spoilt[i].in.p, spoilt[i].in.n);
		assert_memory_equal(t.out, GREETING, greeting);
		assert_string_equal(t.out + greeting, spoilt[i].out);
		end(&t);
	}
}

static void
a_line_may_have_2048_bytes(void **state)
{
	struct buf in = { 0 };
	size_t i, n;

	(void)state;
	for (n = 2047; n <= 40000; n = n < 2050 ? n + 1 : n + 12345) {
		buf_reset(&in);
		buf_adds(&in, "NOOP ");
		for (i = 7; i < n; i++)
			buf_addc(&in, 'x');
		buf_adds(&in, "\r\nNOOP\r\n");
		answers(buf_str(&in), n <= 2048 ?
		    GREETING "250 2.0.0 ok\r\n250 2.0.0 ok\r\n" : GREETING
		    "500 5.5.2 the line is too long\r\n250 2.0.0 ok\r\n");
	}
	buf_free(&in);
}

static void
a_message_is_read_and_delivered(void **state)
{
	struct talk t;
	char *taken;

	(void)state;
	begin(&t);
	say(&t, BEFORE "RCPT TO:<root>\r\nDATA\r\n" WHOLE "Hello\r\n..\r\n.\r\n"
	    "QUIT\r\n");
	assert_int_equal(t.status, 0);
	assert_string_equal(buf_str(&t.got), ENVELOPE "to <root@h.example>\n"
	    WHOLE "Hello\r\n.\r\n");
	taken = strstr(t.out, "250 2.0.0 taken as ");
	assert_non_null(taken);
	assert_int_equal(strspn(taken + 19, "0123456789abcdefghijklmnopqrstuv"),
	    20);
	assert_string_equal(taken + 39, "\r\n" BYE);
	*taken = '\0';
	assert_string_equal(t.out, TAKEN_BEFORE "250 2.1.5 ok\r\n" GO_ON);
	end(&t);
}

static void
header_policy_is_that_of_sendmail(void **state)
{
	struct talk t;
	const char *text;

	(void)state;
	begin(&t);
	t.d.full_name = "Full Name";
	say(&t, BEFORE "DATA\r\nBcc: c@z.example\r\nSubject: s\r\n\r\nx\r\n.\r\n"
	    "MAIL FROM:<>\r\nRCPT TO:<d@y.example>\r\nDATA\r\n\r\ny\r\n.\r\n");
	text = buf_str(&t.got);
	assert_int_equal(t.messages, 2);
	assert_null(strstr(text, "Bcc"));
	assert_null(strstr(text, "c@z.example"));
	assert_non_null(strstr(text, "\r\nFrom: Full Name <a@x.example>\r\n"));
	assert_non_null(strstr(text, "\r\nMessage-ID: <"));
	assert_non_null(strstr(text, "Date: "));
	text = strstr(text, "from <>\nto <d@y.example>\n");
	assert_non_null(text);
	assert_non_null(strstr(text, "From: Full Name <me@h.example>\r\n"));
	end(&t);
}

static void
override_from_replaces_the_sender(void **state)
{
	struct talk t;

	(void)state;
	begin(&t);
	t.config.override_from = (char *)(uintptr_t)"o@z.example";
	say(&t, BEFORE "DATA\r\n" WHOLE ".\r\nMAIL FROM:<>\r\nRCPT TO:<b@c>\r\n"
	    "DATA\r\n" WHOLE ".\r\n");
	assert_int_equal(t.messages, 2);
	assert_non_null(strstr(buf_str(&t.got),
	    "from <o@z.example>\nto <b@y.example>\nFrom: o@z.example\r\n"));
	assert_non_null(strstr(buf_str(&t.got), "from <>\nto <b@c>\n"));
	end(&t);
}

static void
dsn_parameters_reach_the_message(void **state)
{
	struct talk t;

	(void)state;
	begin(&t);
	say(&t, "EHLO x\r\nMAIL FROM:<a@b> RET=HDRS SIZE=9 ENVID=Q+41\r\n"
	    "RCPT TO:<c@d> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;e@f\r\n"
	    "RCPT TO:<g@h>\r\n"
	    "RCPT TO:<c@D> NOTIFY=NEVER\r\n"
	    "RCPT TO:<i@j> ORCPT=x;y\r\n"
	    "RCPT TO:<k@l> NOTIFY=NEVER\r\n"
	    "DATA\r\n" WHOLE ".\r\n"
	    "MAIL FROM:<a@b> SMTPUTF8\r\nRCPT TO:<c@d>\r\nDATA\r\n" WHOLE
	    ".\r\n");
	assert_string_equal(buf_str(&t.got), "from <a@b> RET=HDRS ENVID=Q+41\n"
	    "to <c@d> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;e@f\n"
	    "to <g@h>\nto <i@j> ORCPT=x;y\nto <k@l> NOTIFY=NEVER\n" WHOLE
	    "from <a@b> utf8\nto <c@d>\n" WHOLE);
	end(&t);
}

/*
 * Whatever follows the 354, only CRLF.CRLF ends the message: the rest is one
 * message, and the commands in it are text.
 */
static void
smuggled_commands_are_text(void **state)
{
	static const struct bytes between[] = {
		LIT("\n.\n"), LIT("\n.\r\n"), LIT("\r\n.\n"), LIT("\r.\r"),
		LIT("\r.\r\n"), LIT("\r\n.\r"), LIT("\n\r.\r\n"),
		LIT("\r\n\0.\r\n"), LIT("\r\n.\0\r\n"), LIT("\r\n.\r\r\n"),
		LIT("\r\n. \r\n"), LIT("\n.\r"), LIT("\r\0\n.\r\n"),
		LIT("\r\r.\r\r"), LIT("\n\n.\n\n"), LIT("\r\n..\r\n")
	};
	struct buf in = { 0 };
	struct talk t;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(between); i++) {
		begin(&t);
		buf_reset(&in);
		buf_adds(&in, BEFORE "DATA\r\n" WHOLE "text");
		buf_add(&in, between[i].p, between[i].n);
		buf_adds(&in, "MAIL FROM:<evil@x>\r\nRCPT TO:<victim@x>\r\n"
		    "DATA\r\nevil\r\n.\r\n");
		t.chunk = 1;
		say_n(&t, in.p, in.len);
		assert_int_equal(t.messages, 1);
		assert_non_null(strstr(buf_str(&t.got), "\r\nMAIL FROM:<evil@x>"
		    "\r\nRCPT TO:<victim@x>\r\nDATA\r\nevil\r\n"));
		assert_null(strstr(buf_str(&t.got), "from <evil"));
		end(&t);
	}
	buf_free(&in);
}

/* What is read and answered does not depend on how the input comes. */
static void
any_split_of_the_input_will_do(void **state)
{
	static const char in[] = BEFORE "DATA\r\n" WHOLE
	    "a\r\n..b\r\n.c\r\nd\r.\re\n.\nf\r\n.\r\nNOOP\r\nBOGUS\rX\r\n"
	    "MAIL FROM:<a@x.example>\r\nRCPT TO:<b@y.example>\r\nDATA\r\n" WHOLE
	    ".\r\nQUIT\r\n";
	static const char got[] = ENVELOPE WHOLE
	    "a\r\n.b\r\nc\r\nd\r\n.\r\ne\r\n.\r\nf\r\n" ENVELOPE WHOLE;
	static const char out[] = "\r\n250 2.0.0 ok\r\n" SPOILT
	    "250 2.1.0 ok\r\n250 2.1.5 ok\r\n" GO_ON "250 2.0.0 taken as ";
	struct talk t;
	const char *answer;
	size_t chunk;

	(void)state;
	for (chunk = 1; chunk < sizeof in; chunk++) {
		begin(&t);
		t.chunk = chunk;
		say_n(&t, in, sizeof in - 1);
		assert_int_equal(t.status, 0);
		assert_int_equal(t.messages, 2);
		assert_string_equal(buf_str(&t.got), got);
		answer = strstr(t.out, "250 2.0.0 taken as ");
		assert_non_null(answer);
		assert_memory_equal(answer + 39, out, sizeof out - 1);
		end(&t);
	}
}

static const char *const unfinished[] = {
	BEFORE "DATA\r\n", BEFORE "DATA\r\n" WHOLE, BEFORE "DATA\r\n.",
	BEFORE "DATA\r\n.\r", BEFORE "DATA\r\n" WHOLE "x\r\n.\r",
	BEFORE "DATA\r\n" WHOLE "x\n.\n", BEFORE "DATA\r\n" WHOLE "x\r\n.\n",
	BEFORE "DATA\r\n" WHOLE "x\r\n."
};

static void
without_its_final_dot_nothing_is_sent(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(unfinished); i++)
		answers(unfinished[i], TAKEN_BEFORE GO_ON);
}

/* Fates of three recipients, and what is said to that. */
#define SENT { OUT_DONE, CAUSE_ROUTE, "", "" }
static const struct { struct fate fates[3]; const char *out; } results[] = {
	{ { SENT, { OUT_PERM, CAUSE_RCPT, "5.1.1", "no such user" }, SENT },
	    "554-5.1.1 b@x: failed: no such user\r\n"
	    "554-5.1.1 a@x: sent: do not send it again\r\n"
	    "554 5.1.1 c@x: sent: do not send it again\r\n" },
	{ { { OUT_TEMP, CAUSE_ROUTE, "", "no connection" },
	    { OUT_PERM, CAUSE_RCPT, "5.1.1", "no" },
	    { OUT_TEMP, CAUSE_ROUTE, "4.4.1", "no connection" } },
	    "451-4.4.1 a@x: deferred: no connection\r\n"
	    "451-4.4.1 b@x: failed: no\r\n"
	    "451 4.4.1 c@x: deferred: no connection\r\n" },
	{ { { OUT_TEMP, CAUSE_ROUTE, "", "later" }, SENT,
	    { OUT_PERM, CAUSE_RCPT, "5.1.1", "no" } },
	    "451-4.3.0 a@x: deferred: later\r\n451-4.3.0 c@x: failed: no\r\n"
	    "451 4.3.0 b@x: sent: do not send it again\r\n" },
	{ { { OUT_PERM, CAUSE_RCPT, "", "no" }, { OUT_PERM, CAUSE_CONTENT, "", "x" },
	    { OUT_PERM, CAUSE_CONTENT, "4.0.0", "y" } },
	    "554-5.0.0 a@x: failed: no\r\n554-5.0.0 b@x: failed: x\r\n"
	    "554 5.0.0 c@x: failed: y\r\n" },
	{ { SENT, SENT, { OUT_PERM, CAUSE_OPERATOR, "5.7.8", "bad password" } },
	    "451-4.3.0 c@x: failed: bad password\r\n"
	    "451-4.3.0 a@x: sent: do not send it again\r\n"
	    "451 4.3.0 b@x: sent: do not send it again\r\n" },
	{ { { OUT_TEMP, CAUSE_LOCAL, "", "a\r\n250 ok\tx\x7f" }, SENT, SENT },
	    "451-4.3.0 a@x: deferred: a??250 ok?x?\r\n"
	    "451-4.3.0 b@x: sent: do not send it again\r\n"
	    "451 4.3.0 c@x: sent: do not send it again\r\n" },
	{ { SENT, { OUT_PERM, CAUSE_RCPT, "5.1.1", "k\xc3\xb6nnte" }, SENT },
	    "554-5.1.1 b@x: failed: k??nnte\r\n"
	    "554-5.1.1 a@x: sent: do not send it again\r\n"
	    "554 5.1.1 c@x: sent: do not send it again\r\n" }
};

static void
the_answer_tells_who_got_it(void **state)
{
	struct talk t;
	const char *out;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(results); i++) {
		begin(&t);
		t.fates = results[i].fates;
		say(&t, "HELO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<a@x>\r\n"
		    "RCPT TO:<b@x>\r\nRCPT TO:<c@x>\r\nDATA\r\n" WHOLE ".\r\n");
		assert_int_equal(t.messages, 1);
		out = strstr(t.out, GO_ON);
		assert_non_null(out);
		assert_string_equal(out + strlen(GO_ON), results[i].out);
		end(&t);
	}
}

static void
a_reply_line_has_510_bytes(void **state)
{
	struct fate f = { OUT_TEMP, CAUSE_ROUTE, "4.4.2", "" };
	char text[480], addr[330];
	struct buf in = { 0 };
	struct talk t;
	const char *out;

	(void)state;
	memset(text, 't', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	snprintf(addr, sizeof addr, "%063d@%060d.%060d.%060d", 1, 2, 3, 4);
	f.text = text;
	begin(&t);
	t.fates = &f;
	buf_addf(&in, "HELO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<%s>\r\nDATA\r\n"
	    WHOLE ".\r\n", addr);
	say(&t, buf_str(&in));
	out = strstr(t.out, "451 4.4.2 00");
	assert_non_null(out);
	assert_int_equal(strcspn(out, "\r"), 510);
	assert_string_equal(out + 510, "\r\n");
	end(&t);
	buf_free(&in);
}

static void
a_thousand_recipients_are_taken(void **state)
{
	struct buf in = { 0 };
	struct talk t;
	const char *p;
	int i, ok = 0, many = 0;

	(void)state;
	buf_adds(&in, "HELO x\r\nMAIL FROM:<a@b>\r\n");
	for (i = 0; i < 1003; i++)
		buf_addf(&in, "RCPT TO:<r%d@x.example>\r\n", i);
	buf_adds(&in, "DATA\r\n" WHOLE ".\r\n");
	begin(&t);
	say_n(&t, in.p, in.len);
	for (p = t.out; (p = strstr(p, "250 2.1.5 ok\r\n")); p++)
		ok++;
	for (p = t.out; (p = strstr(p, "452 4.5.3 too many recipients\r\n")); p++)
		many++;
	assert_int_equal(ok, 1000);
	assert_int_equal(many, 3);
	assert_int_equal(t.messages, 1);
	assert_non_null(strstr(t.out, "250 2.0.0 taken as "));
	end(&t);
	buf_free(&in);
}

static void
a_message_may_be_too_large(void **state)
{
	struct buf in = { 0 };
	struct talk t;
	const char *out;
	int i;

	(void)state;
	begin(&t);
	t.config.max_size = 4096;
	buf_adds(&in, "EHLO x\r\nMAIL FROM:<a@x.example> SIZE=4097\r\n"
	    "MAIL FROM:<a@x.example> SIZE=4096\r\nRCPT TO:<b@y.example>\r\n"
	    "DATA\r\n" WHOLE);
	for (i = 0; i < 5000; i++)
		buf_adds(&in, "0123456789\r\n");
	buf_adds(&in, ".\r\nMAIL FROM:<a@x.example>\r\nRCPT TO:<b@y.example>\r\n"
	    "DATA\r\n" WHOLE ".\r\n");
	say_n(&t, in.p, in.len);
	assert_int_equal(t.messages, 1);
	assert_string_equal(buf_str(&t.got), ENVELOPE WHOLE);
	assert_non_null(strstr(t.out, "250-SIZE 4096\r\n"));
	out = strstr(t.out, "250 HELP\r\n");
	assert_non_null(out);
	out += 10;
	assert_memory_equal(out, "552 5.3.4 the message is larger than 4096 "
	    "bytes\r\n250 2.1.0 ok\r\n250 2.1.5 ok\r\n" GO_ON
	    "552 5.3.4 b@y.example: failed: the message is larger than "
	    "`max-size` (4096 bytes)\r\n250 2.1.0 ok\r\n",
	    49 + 28 + strlen(GO_ON) + 83 + 14);
	assert_non_null(strstr(out, "250 2.0.0 taken as "));
	end(&t);
	buf_free(&in);
}

static void
an_unusable_message_is_refused(void **state)
{
	struct talk t;

	(void)state;
	begin(&t);
	say(&t, BEFORE "DATA\r\nFrom: a@@b\r\n\r\nx\r\n..\r\nx\r\n.\r\nNOOP\r\n");
	assert_int_equal(t.messages, 0);
	assert_int_equal(t.status, 0);
	assert_string_equal(t.out, TAKEN_BEFORE GO_ON "554 5.6.0 b@y.example: "
	    "failed: bad address \"a@@b\": no domain behind the '@'\r\n"
	    "250 2.0.0 ok\r\n");
	end(&t);
}

/* There is no other way to tell who did not get it. */
static void
a_refusal_names_every_recipient(void **state)
{
	struct talk t;

	(void)state;
	begin(&t);
	say(&t, BEFORE "RCPT TO:<c>\r\nRCPT TO:<d@z>\r\nDATA\r\n"
	    "From: a@@b\r\n\r\nx\r\n.\r\nNOOP\r\n");
	assert_int_equal(t.messages, 0);
	assert_string_equal(t.out, TAKEN_BEFORE "250 2.1.5 ok\r\n"
	    "250 2.1.5 ok\r\n" GO_ON
	    "554-5.6.0 b@y.example: failed: bad address \"a@@b\": no domain "
	    "behind the '@'\r\n"
	    "554-5.6.0 c@h.example: failed: bad address \"a@@b\": no domain "
	    "behind the '@'\r\n"
	    "554 5.6.0 d@z: failed: bad address \"a@@b\": no domain "
	    "behind the '@'\r\n250 2.0.0 ok\r\n");
	end(&t);
}

/* --- aliases --- */

/* A session with an alias file. */
static void
begin_with_aliases(struct talk *t, char path[32], const char *text)
{
	int fd;

	strcpy(path, "/tmp/smtpd-aliases.XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	begin(t);
	t->config.aliases = path;
	aliases_init(&t->aliases, &t->config);
}

static void
an_alias_that_fails_is_refused_alone(void **state)
{
	struct buf want = { 0 };
	char path[32];
	struct talk t;

	(void)state;
	begin_with_aliases(&t, path, "root: |cat\nloop: pool\npool: loop\n"
	    "gone: :include:/none/at/all\nok: c@z.example\n");
	say(&t, BEFORE "RCPT TO:<root>\r\nRCPT TO:<ok>\r\n"
	    "RCPT TO:<loop@h.example>\r\nRCPT TO:<gone>\r\n"
	    "RCPT TO:<root@z.example>\r\nDATA\r\n" WHOLE ".\r\n"
	    "MAIL FROM:<a@b>\r\nRCPT TO:<root>\r\nDATA\r\n");
	buf_addf(&want, TAKEN_BEFORE "451 4.3.5 root@h.example: %s:1: '|cat' is "
	    "a command or a file, to which no mail goes; expected an address, a "
	    "name or :include:/path\r\n250 2.1.5 ok\r\n"
	    "451 4.3.5 loop@h.example: %s:3: 'loop -> pool -> loop' is a loop\r\n"
	    "451 4.3.5 gone@h.example: %s:4: /none/at/all cannot be read: No "
	    "such file or directory\r\n250 2.1.5 ok\r\n" GO_ON, path, path,
	    path);
	assert_memory_equal(t.out, want.p, want.len);
	assert_non_null(strstr(t.out, "\r\n250 2.1.0 ok\r\n451 4.3.5 root@"));
	assert_non_null(strstr(t.out, "\r\n503 5.5.1 RCPT comes first\r\n"));
	assert_string_equal(buf_str(&t.got), "from <a@x.example>\n"
	    "to <b@y.example>\nto <c@z.example>\nto <root@z.example>\n" WHOLE);
	unlink(path);
	buf_free(&want);
	end(&t);
}

/* What has no domain but '@' in quotes is bare, too. */
static void
bare_names_are_told_from_addresses(void **state)
{
	char path[32];
	struct talk t;

	(void)state;
	begin_with_aliases(&t, path, "\"mail admin\": m@x\ndefault: d@x\n");
	say(&t, "HELO x\r\nMAIL FROM:<a@x.example>\r\n"
	    "RCPT TO:<\"mail admin\">\r\nRCPT TO:<\"b c\"@h.example>\r\n"
	    "DATA\r\n" WHOLE ".\r\nMAIL FROM:<a@x.example>\r\n"
	    "RCPT TO:<\"b@c\">\r\nDATA\r\n" WHOLE ".\r\n");
	assert_string_equal(buf_str(&t.got), "from <a@x.example>\nto <m@x>\n"
	    "to <d@x>\n" WHOLE "from <a@x.example>\nto <d@x>\n" WHOLE);
	unlink(path);
	end(&t);
}

/* Those for which there is no room can come with the next message. */
static void
targets_of_aliases_are_counted(void **state)
{
	struct buf file = { 0 };
	char path[32], name;
	struct talk t;
	static const char want[] = TAKEN_BEFORE "250 2.1.5 ok\r\n"
	    "452 4.5.3 too many recipients\r\n250 2.1.5 ok\r\n" GO_ON;
	int i;

	(void)state;
	for (name = 'a'; name <= 'b'; name++) {
		buf_addf(&file, "%c: ", name);
		for (i = 0; i < 600; i++)
			buf_addf(&file, "%c@x, ", name);
		buf_addc(&file, '\n');
	}
	buf_adds(&file, "c: c@x\n");
	begin_with_aliases(&t, path, buf_str(&file));
	buf_free(&file);
	say(&t, BEFORE "RCPT TO:<a>\r\nRCPT TO:<b>\r\nRCPT TO:<c>\r\nDATA\r\n"
	    WHOLE ".\r\nMAIL FROM:<a@x.example>\r\nRCPT TO:<b>\r\nDATA\r\n"
	    WHOLE ".\r\n");
	assert_memory_equal(t.out, want, sizeof want - 1);
	assert_string_equal(buf_str(&t.got), "from <a@x.example>\n"
	    "to <b@y.example>\nto <a@x>\nto <c@x>\n" WHOLE
	    "from <a@x.example>\nto <b@x>\n" WHOLE);
	unlink(path);
	end(&t);
}

static void
a_full_disk_is_temporary(void **state)
{
	struct rlimit old, none;
	struct talk t;
	const char *out;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	none = old;
	none.rlim_cur = 0;
	signal(SIGXFSZ, SIG_IGN);
	begin(&t);
	setrlimit(RLIMIT_FSIZE, &none);
	say(&t, BEFORE "DATA\r\n" WHOLE "x\r\n.\r\nNOOP\r\n");
	setrlimit(RLIMIT_FSIZE, &old);
	assert_int_equal(t.messages, 0);
	assert_int_equal(t.status, 0);
	out = strstr(t.out, GO_ON "451 4.3.0 b@y.example: deferred: "
	    "cannot store the message in a temporary file: ");
	assert_non_null(out);
	out = strstr(out, "\r\n250 2.0.0 ok\r\n");
	assert_non_null(out);
	assert_string_equal(out, "\r\n250 2.0.0 ok\r\n");
	end(&t);
}

static void
addresses_in_utf8_need_smtputf8(void **state)
{
	struct talk t;

	(void)state;
	begin(&t);
	say(&t, "HELO x\r\nMAIL FROM:<j\xc3\xb6@x.example>\r\n"
	    "MAIL FROM:<a@x.example>\r\nRCPT TO:<j\xc3\xb6@x.example>\r\n"
	    "RSET\r\nMAIL FROM:<j\xc3\xb6@x.example> SMTPUTF8\r\n"
	    "RCPT TO:<k\xc3\xb6@x.example>\r\nRCPT TO:<\xff@x.example>\r\n"
	    "DATA\r\n" WHOLE ".\r\n");
	assert_non_null(strstr(t.out, HELLO
	    "553 5.6.7 this address needs SMTPUTF8\r\n250 2.1.0 ok\r\n"
	    "553 5.6.7 this address needs SMTPUTF8\r\n250 2.0.0 ok\r\n"
	    "250 2.1.0 ok\r\n250 2.1.5 ok\r\n501 5.1.3 bad address "));
	assert_string_equal(buf_str(&t.got), "from <j\xc3\xb6@x.example> utf8\n"
	    "to <k\xc3\xb6@x.example>\n" WHOLE);
	end(&t);
}

static void
a_silent_client_is_left(void **state)
{
	static const char *const in[] = { "NOOP\r\nNO", BEFORE "DATA\r\n" WHOLE };
	struct talk t;
	int64_t start;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(in); i++) {
		begin(&t);
		t.d.patience = 60;
		t.hold = true;
		start = clock_ms();
		say(&t, in[i]);
		assert_true(clock_ms() - start >= 59);
		assert_int_equal(t.status, EXIT_TEMP);
		assert_int_equal(t.messages, 0);
		assert_non_null(strstr(t.out,
		    "\r\n421 4.4.2 h.example: no input for too long\r\n"));
		end(&t);
	}
}

static void
broken_output_ends_it(void **state)
{
	struct talk t;

	(void)state;
	begin(&t);
	t.d.out = fopen("/dev/full", "w");
	say(&t, BEFORE);
	assert_int_equal(t.status, EXIT_IO);
	begin(&t);
	t.d.out = fopen("/dev/full", "w");
	t.chunk = sizeof BEFORE "DATA\r\n" - 1;
	say(&t, BEFORE "DATA\r\n" WHOLE ".\r\n");
	assert_int_equal(t.status, EXIT_IO);
	assert_int_equal(t.messages, 0);
	end(&t);
}

static void
broken_input_ends_it(void **state)
{
	struct talk t;

	(void)state;
	begin(&t);
	t.d.in = open("/dev/null", O_WRONLY);
	assert_true(t.d.in >= 0);
	say(&t, "");
	assert_int_equal(t.status, EXIT_IO);
	assert_string_equal(t.out, GREETING);
	end(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(data_ends_at_crlf_dot_crlf_alone),
		cmocka_unit_test(no_sequence_of_cr_lf_dot_nul_ends_it_otherwise),
		cmocka_unit_test(a_path_is_what_rfc_5321_says),
		cmocka_unit_test(parameters_are_known_or_refused),
		cmocka_unit_test(parameters_are_handed_on),
		cmocka_unit_test(every_command_has_its_answer),
		cmocka_unit_test(spoilt_lines_are_not_obeyed),
		cmocka_unit_test(a_line_may_have_2048_bytes),
		cmocka_unit_test(a_message_is_read_and_delivered),
		cmocka_unit_test(header_policy_is_that_of_sendmail),
		cmocka_unit_test(override_from_replaces_the_sender),
		cmocka_unit_test(dsn_parameters_reach_the_message),
		cmocka_unit_test(smuggled_commands_are_text),
		cmocka_unit_test(any_split_of_the_input_will_do),
		cmocka_unit_test(without_its_final_dot_nothing_is_sent),
		cmocka_unit_test(the_answer_tells_who_got_it),
		cmocka_unit_test(a_reply_line_has_510_bytes),
		cmocka_unit_test(a_thousand_recipients_are_taken),
		cmocka_unit_test(a_message_may_be_too_large),
		cmocka_unit_test(an_unusable_message_is_refused),
		cmocka_unit_test(a_refusal_names_every_recipient),
		cmocka_unit_test(an_alias_that_fails_is_refused_alone),
		cmocka_unit_test(bare_names_are_told_from_addresses),
		cmocka_unit_test(targets_of_aliases_are_counted),
		cmocka_unit_test(a_full_disk_is_temporary),
		cmocka_unit_test(addresses_in_utf8_need_smtputf8),
		cmocka_unit_test(a_silent_client_is_left),
		cmocka_unit_test(broken_output_ends_it),
		cmocka_unit_test(broken_input_ends_it)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
