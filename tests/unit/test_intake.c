/* What of a message reaches the spool, byte for byte, and what is known of it. */
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

#include "lib/mail/added.h"
#include "lib/mail/intake.h"

/* A message that has been read, and its text. */
struct taken {
	struct intake in;
	struct message m;
	struct result res;
	struct buf text;
	int rc;
};

static int
file_of(const void *data, size_t n)
{
	int fd = memfd_create("input", 0);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, n), n);
	lseek(fd, 0, SEEK_SET);
	return fd;
}

static void
take_n(struct taken *t, const void *data, size_t n)
{
	char block[4096];
	ssize_t k;
	int fd = file_of(data, n);

	t->in.header.domain = "d.example";
	t->in.header.hostname = "h.example";
	t->in.header.from = "me@d.example";
	t->in.header.now = 1000000000;
	t->m.spool.fd = -1;
	t->rc = intake_read(&t->in, fd, &t->m, &t->res);
	close(fd);
	if (t->rc < 0)
		return;
	while ((k = spool_read(&t->m.spool, block, sizeof block,
	    (off_t)t->text.len)) > 0)
		buf_add(&t->text, block, (size_t)k);
	assert_int_equal(k, 0);
	assert_int_equal(t->text.len, t->m.spool.size);
}

static void
take(struct taken *t, const char *text)
{
	take_n(t, text, strlen(text));
}

static void
drop(struct taken *t)
{
	message_free(&t->m);
	addr_list_free(&t->in.rcpts);
	buf_free(&t->text);
	memset(t, 0, sizeof *t);
}

/* A header that lacks nothing: nothing is added to it. */
#define WHOLE "From: a@x.example\r\nTo: b@x.example\r\n" \
	"Date: Mon, 1 Jan 2001 00:00:00 +0000\r\nMessage-ID: <1@x.example>\r\n"

/* Input (behind WHOLE) and what becomes of it. */
static const struct { const char *in, *out; } passages[] = {
	{ "\n", "\r\n" },
	{ "", "\r\n" },
	{ "\nbody\n", "\r\nbody\r\n" },
	{ "\nbody", "\r\nbody\r\n" },
	{ "\r\nbody\r\n.\r\n..x\r\n", "\r\nbody\r\n.\r\n..x\r\n" },
	{ "Subject: s\n\tfolded\n\n", "Subject: s\r\n\tfolded\r\n\r\n" },
	{ "Bcc: c@x.example,\n d@x.example\nX: 1\n\nb\n", "X: 1\r\n\r\nb\r\n" },
	{ "bCC : c@x.example\n\nb\n", "\r\nb\r\n" },
	{ "Resent-Bcc: c@x.example\n\nBcc: in the body\n",
	    "\r\nBcc: in the body\r\n" },
	{ "Return-Path: <x@y>\nContent-Length: 5\n\nb\n", "\r\nb\r\n" },
	{ "Content-Lengthy: 5\n\n", "Content-Lengthy: 5\r\n\r\n" },
	/* A line that is none ends the header; it belongs to the body. */
	{ "no header line\nmore\n", "\r\nno header line\r\nmore\r\n" },
	{ ": no name\n", "\r\n: no name\r\n" },
	{ "X 1: y\n", "\r\nX 1: y\r\n" },
	{ "X:\n\n", "X:\r\n\r\n" },
	{ "X : old blanks\n\n", "X : old blanks\r\n\r\n" },
	{ "X: 1\n \n\nb\n", "X: 1\r\n \r\n\r\nb\r\n" },
	{ "Cc: root, Joe <joe>, x@y.example\n\n",
	    "Cc: root@d.example, Joe <joe@d.example>, x@y.example\r\n\r\n" },
	{ "Reply-To: root (x)\n\n", "Reply-To: root@d.example (x)\r\n\r\n" },
	{ "Cc: cannot be: read: <\n\n", "Cc: cannot be: read: <\r\n\r\n" }
};

static void
passages_through(void **state)
{
	struct taken t = { 0 };
	char in[1024], out[1024];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof passages / sizeof passages[0]; i++) {
		snprintf(in, sizeof in, WHOLE "%s", passages[i].in);
		snprintf(out, sizeof out, WHOLE "%s", passages[i].out);
		t.in.dot = DOT_IS_DATA;
		take(&t, in);
		assert_int_equal(t.rc, 0);
		assert_string_equal(buf_str(&t.text), out);
		drop(&t);
	}
}

static void
drops_an_mbox_line(void **state)
{
	struct taken t = { 0 };

	(void)state;
	take(&t, "From joe@x Mon Jan  1 00:00:00 2001\n" WHOLE "\nb\n");
	assert_string_equal(buf_str(&t.text), WHOLE "\r\nb\r\n");
	drop(&t);
	take(&t, ">From joe@x Mon Jan  1 00:00:00 2001\n" WHOLE "\nb\n");
	assert_string_equal(buf_str(&t.text), WHOLE "\r\nb\r\n");
	drop(&t);
	/* Only the first line is one. */
	take(&t, WHOLE "From joe\n");
	assert_string_equal(buf_str(&t.text), WHOLE "\r\nFrom joe\r\n");
	drop(&t);
	take(&t, "From : a@x.example\n\n");
	assert_memory_equal(buf_str(&t.text), "From : a@x.example\r\n", 20);
	drop(&t);
}

static void
adds_what_is_missing(void **state)
{
	struct taken t = { 0 };
	const char *p;

	(void)state;
	setenv("TZ", "UTC", 1);
	take(&t, "");
	p = strstr(buf_str(&t.text), "Message-ID: <3b9aca00.");
	assert_non_null(p);
	assert_ptr_equal(strchr(p, '@'), p + 22 + 16);
	assert_memory_equal(strchr(p, '@'), "@h.example>\r\n"
	    "From: me@d.example\r\nTo: undisclosed-recipients:;\r\n\r\n", 64);
	assert_memory_equal(buf_str(&t.text),
	    "Date: Sun, 9 Sep 2001 01:46:40 +0000\r\n", 38);
	assert_int_equal(t.m.identities.n, 1);
	assert_string_equal(t.m.identities.v[0], "me@d.example");
	drop(&t);
	/* An empty From is as good as none. */
	take(&t, "From: \nSubject: x\n\n");
	assert_null(strstr(buf_str(&t.text), "From: \r\n"));
	assert_non_null(strstr(buf_str(&t.text), "\r\nFrom: me@d.example\r\n"));
	drop(&t);
	take(&t, "Bcc: x@y.example\n\n");
	assert_non_null(strstr(buf_str(&t.text),
	    "\r\nTo: undisclosed-recipients:;\r\n\r\n"));
	drop(&t);
	take(&t, "no header at all\n");
	assert_non_null(strstr(buf_str(&t.text),
	    "\r\n\r\nno header at all\r\n"));
	drop(&t);
}

static void
names_of_an_added_from(void **state)
{
	static const struct { const char *name, *field; } rows[] = {
		{ "", "From: a@b\r\n" },
		{ "Cron Daemon", "From: Cron Daemon <a@b>\r\n" },
		{ "J. \"Q\" \\", "From: \"J. \\\"Q\\\" \\\\\" <a@b>\r\n" },
		{ "a\r\nBcc: x", "From: \"a  Bcc: x\" <a@b>\r\n" },
		{ "J\xc3\xb6rg", "From: =?utf-8?B?SsO2cmc=?= <a@b>\r\n" },
		{ "\xc3\xb6\r\nX", "From: =?utf-8?B?w7YgIFg=?= <a@b>\r\n" }
	};
	struct buf out = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		added_from(&out, "a@b", rows[i].name);
		assert_string_equal(buf_str(&out), rows[i].field);
		buf_reset(&out);
	}
	buf_free(&out);
}

/* What -t finds, joined by blanks. */
static const struct { const char *header, *rcpts; } recipients[] = {
	{ "To: a@x.example\nCc: b@x.example, root\nBcc: c@x.example\n",
	    "a@x.example b@x.example root@d.example c@x.example" },
	{ "To: a@x.example,\n\tb@x.example\n", "a@x.example b@x.example" },
	{ "To: g: a@x.example, b@x.example;, c@x.example\n",
	    "a@x.example b@x.example c@x.example" },
	{ "To: undisclosed-recipients:;\nBcc: c@x.example\n", "c@x.example" },
	{ "To: old@x.example\nResent-To: a@x.example\nResent-Bcc: b@x.example\n",
	    "a@x.example b@x.example" },
	{ "Resent-To: a@x.example\nResent-Date: 1\nResent-Cc: b@x.example\n"
	    "Resent-To: older@x.example\nTo: old@x.example\n",
	    "a@x.example b@x.example" },
	{ "Resent-To: a@x.example\nReceived: x\nResent-Cc: older@x.example\n",
	    "a@x.example" },
	{ "Received: x\nResent-From: m@x.example\nResent-To: a@x.example\n",
	    "a@x.example" },
	/* What is not used need not be readable. */
	{ "Resent-To: a@x.example\nTo: foo bar baz\n", "a@x.example" },
	{ "To: foo bar baz\nResent-To: a@x.example\n", "a@x.example" },
	{ "Subject: x\n", "" }
};

static void
recipients_of_the_header(void **state)
{
	struct taken t = { 0 };
	struct buf got = { 0 };
	size_t i, k;

	(void)state;
	for (i = 0; i < sizeof recipients / sizeof recipients[0]; i++) {
		t.in.header.take_rcpts = true;
		take(&t, recipients[i].header);
		assert_int_equal(t.rc, 0);
		buf_reset(&got);
		for (k = 0; k < t.in.rcpts.n; k++)
			buf_addf(&got, "%s%s", k ? " " : "", t.in.rcpts.v[k]);
		assert_string_equal(buf_str(&got), recipients[i].rcpts);
		assert_null(strstr(buf_str(&t.text), "Bcc"));
		drop(&t);
	}
	buf_free(&got);
}

static void
identities_are_from_and_sender(void **state)
{
	struct taken t = { 0 };

	(void)state;
	take(&t, "From: A <a@x.example>, root\nSender: s@x.example\n"
	    "Reply-To: no@x.example\nResent-From: no@x.example\n\n");
	assert_int_equal(t.m.identities.n, 3);
	assert_string_equal(t.m.identities.v[0], "a@x.example");
	assert_string_equal(t.m.identities.v[1], "root@d.example");
	assert_string_equal(t.m.identities.v[2], "s@x.example");
	drop(&t);
}

static const struct { const char *in, *from, *reply_to; } overrides[] = {
	{ "From: a@x.example\n", "From: o@y.example\r\n",
	    "Reply-To: a@x.example\r\n" },
	{ "From: \"J, D\" <a@x.example> (c)\n",
	    "From: \"J, D\" <o@y.example> (c)\r\n",
	    "Reply-To: \"J, D\" <a@x.example> (c)\r\n" },
	{ "From: root\n", "From: o@y.example\r\n",
	    "Reply-To: root@d.example\r\n" },
	{ "Reply-To: r@x.example\nFrom: a@x.example\n", "From: o@y.example\r\n",
	    "Reply-To: r@x.example\r\n" },
	{ "From: a@x.example, b@x.example\n", "From: o@y.example\r\n",
	    "Reply-To: a@x.example, b@x.example\r\n" },
	{ "", "From: o@y.example\r\n", NULL }
};

/* A name alone matches no sender list; anything doubtful is refused (see bad). */
static void
a_from_without_an_address(void **state)
{
	struct taken t = { 0 };

	(void)state;
	take(&t, "From: John Doe\n\n");
	assert_int_equal(t.rc, 0);
	assert_int_equal(t.m.identities.n, 1);
	assert_string_equal(t.m.identities.v[0], "");
	assert_non_null(strstr(buf_str(&t.text), "From: John Doe\r\n"));
	drop(&t);
}

static void
overrides_the_from_address(void **state)
{
	struct taken t = { 0 };
	const char *text, *p;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof overrides / sizeof overrides[0]; i++) {
		t.in.header.override_from = "o@y.example";
		take(&t, overrides[i].in);
		text = buf_str(&t.text);
		assert_non_null(strstr(text, overrides[i].from));
		p = strstr(text, "Reply-To:");
		if (overrides[i].reply_to)
			assert_ptr_equal(strstr(text, overrides[i].reply_to), p);
		else
			assert_null(p);
		assert_true(p == NULL || strstr(p + 1, "Reply-To:") == NULL);
		assert_int_equal(t.m.identities.n, 1);
		assert_string_equal(t.m.identities.v[0], "o@y.example");
		drop(&t);
	}
}

/* qmail's message is left as it is. */
static void
pristine_changes_nothing(void **state)
{
	static const char *const same[] = {
		"Bcc: x@y.example\r\nFrom: <<\r\n\r\nb\r\n",
		"From joe\r\nX: 1\r\n\r\n",
		"no header\r\n", "X: 1\r\nno header\r\n", "X: 1\r\n", "",
		"Return-Path: <>\r\nTo: root\r\n\r\n"
	};
	struct taken t = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof same / sizeof same[0]; i++) {
		t.in.header.pristine = true;
		take(&t, same[i]);
		assert_int_equal(t.rc, 0);
		assert_string_equal(buf_str(&t.text), same[i]);
		drop(&t);
	}
}

static const struct { const char *in; int exit; const char *text; } bad[] = {
	{ "From: a@@b\n\n", EXIT_DATA, "bad address" },
	{ "From: \"a<b\"@x.example\n\n", EXIT_DATA, "bad address" },
	{ "To: a@x.example, <b@x\n\n", EXIT_DATA, "bad address" },
	{ "To: a\x01@x.example\n\n", EXIT_DATA, "bad address" },
	{ "To: \xe9@x.example\n\n", EXIT_DATA, "not UTF-8" }
};

static void
bad_addresses_are_refused(void **state)
{
	struct taken t = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		t.in.header.take_rcpts = true;
		take(&t, bad[i].in);
		assert_int_equal(t.rc, -1);
		assert_int_equal(t.res.exit, bad[i].exit);
		assert_non_null(strstr(t.res.text, bad[i].text));
		drop(&t);
	}
}

static void
header_size_is_limited(void **state)
{
	struct taken t = { 0 };
	struct buf in = { 0 };

	(void)state;
	buf_adds(&in, WHOLE);
	while (in.len < HEADER_MAX - 100)
		buf_adds(&in, "X-Filler: some header text, ninety or so bytes\r\n");
	buf_adds(&in, "\r\nbody\r\n");
	take_n(&t, in.p, in.len);
	assert_int_equal(t.rc, 0);
	assert_int_equal(t.text.len, in.len);
	assert_memory_equal(t.text.p, in.p, in.len);
	drop(&t);
	in.len -= 8;
	while (in.len < HEADER_MAX + 100)
		buf_adds(&in, "X-Filler: some header text, ninety or so bytes\r\n");
	take_n(&t, in.p, in.len);
	assert_int_equal(t.rc, -1);
	assert_int_equal(t.res.exit, EXIT_DATA);
	assert_string_equal(t.res.text, "the header is larger than 256 KiB");
	drop(&t);
	buf_free(&in);
}

static void
an_endless_mbox_line_is_refused(void **state)
{
	struct taken t = { 0 };
	struct buf in = { 0 };

	(void)state;
	buf_adds(&in, "From ");
	while (in.len < HEADER_MAX + 1000)
		buf_adds(&in, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
	take_n(&t, in.p, in.len);
	assert_int_equal(t.rc, -1);
	assert_int_equal(t.res.exit, EXIT_DATA);
	drop(&t);
	buf_free(&in);
}

/* A body of any length without a line end is no header. */
static void
rubbish_is_a_body(void **state)
{
	struct taken t = { 0 };
	struct buf in = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < 600000; i++)
		buf_addc(&in, 'a');
	take_n(&t, in.p, in.len);
	assert_int_equal(t.rc, 0);
	assert_memory_equal(t.text.p + t.text.len - in.len - 2, in.p, in.len);
	assert_true(t.m.spool.has_long);
	drop(&t);
	buf_free(&in);
}

static void
long_header_lines_are_folded_unless_signed(void **state)
{
	struct taken t = { 0 };
	struct buf in = { 0 };
	size_t i, k;

	(void)state;
	for (k = 0; k < 3; k++) {
		buf_reset(&in);
		/* The field that says so comes last. */
		buf_adds(&in, "Cc: root\r\n" + (k > 0 ? 0 : 10));
		buf_adds(&in, WHOLE "X-Long: ");
		for (i = 0; i < 300; i++)
			buf_adds(&in, "word ");
		buf_adds(&in, k == 1 ? "\r\nDKIM-Signature: v=1" : k == 2 ?
		    "\r\nContent-Type:\r\n Multipart/Signed; x" : "");
		buf_adds(&in, "\r\n\r\n");
		for (i = 0; i < 1200; i++)
			buf_addc(&in, 'b');
		buf_adds(&in, "\r\n");
		take_n(&t, in.p, in.len);
		assert_int_equal(t.rc, 0);
		if (k > 0)
			assert_string_equal(t.text.p, in.p);
		else {
			/* Header: at a blank; the body waits for its peer. */
			assert_int_equal(t.text.len, in.len + 2);
			assert_non_null(strstr(t.text.p, " word\r\n word "));
			assert_true(t.m.spool.has_long);
		}
		drop(&t);
	}
	buf_free(&in);
}

static void
a_long_header_word_is_broken(void **state)
{
	struct taken t = { 0 };
	struct buf in = { 0 };
	const char *p, *lf;
	size_t i;

	(void)state;
	buf_adds(&in, WHOLE "X-Long: ");
	for (i = 0; i < 5000; i++)
		buf_addc(&in, 'w');
	buf_adds(&in, "\r\n\r\n");
	take_n(&t, in.p, in.len);
	for (p = t.text.p; p < t.text.p + t.text.len; p = lf + 1) {
		lf = strchr(p, '\n');
		assert_non_null(lf);
		assert_true(lf - p - 1 <= LINE_MAX_BYTES);
	}
	/* Only line ends and one blank each were put in. */
	for (i = 0, p = t.text.p; *p; p++)
		i += *p == 'w';
	assert_int_equal(i, 5000);
	drop(&t);
	buf_free(&in);
}

static void
the_message_may_be_too_large(void **state)
{
	struct taken t = { 0 };

	(void)state;
	t.in.max_size = 1024;
	take(&t, WHOLE "\nsmall\n");
	assert_int_equal(t.rc, 0);
	drop(&t);
	t.in.max_size = 100;
	take(&t, WHOLE "\nsmall\n");
	assert_int_equal(t.rc, -1);
	assert_int_equal(t.res.exit, EXIT_DATA);
	drop(&t);
}

static void
unreadable_input_is_an_error(void **state)
{
	struct intake in = { 0 };
	struct message m = { .spool.fd = -1 };
	struct result res;

	(void)state;
	in.header.domain = in.header.hostname = in.header.from = "x";
	assert_int_equal(intake_read(&in, -1, &m, &res), -1);
	assert_int_equal(res.exit, EXIT_IO);
	message_free(&m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(passages_through),
		cmocka_unit_test(drops_an_mbox_line),
		cmocka_unit_test(adds_what_is_missing),
		cmocka_unit_test(names_of_an_added_from),
		cmocka_unit_test(recipients_of_the_header),
		cmocka_unit_test(identities_are_from_and_sender),
		cmocka_unit_test(a_from_without_an_address),
		cmocka_unit_test(overrides_the_from_address),
		cmocka_unit_test(pristine_changes_nothing),
		cmocka_unit_test(bad_addresses_are_refused),
		cmocka_unit_test(header_size_is_limited),
		cmocka_unit_test(an_endless_mbox_line_is_refused),
		cmocka_unit_test(rubbish_is_a_body),
		cmocka_unit_test(long_header_lines_are_folded_unless_signed),
		cmocka_unit_test(a_long_header_word_is_broken),
		cmocka_unit_test(the_message_may_be_too_large),
		cmocka_unit_test(unreadable_input_is_an_error)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
