/* Reports about mail that was not delivered: what is in them, byte for byte. */
#define _GNU_SOURCE	/* memfd_create */
#include "lib/store/bounce.h"

#include <errno.h>
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

#include "lib/base/buf.h"

enum { RANDOM = 32, BLOCK = 8192, WHOLE_MAX = 65536 };

/* A message to three, a report about it, and its text. */
struct world {
	struct message m;
	struct rcpt rcpts[3];
	struct rcpt *list[3];
	struct bounce b;
	struct spool out;
	struct result res;
	struct buf text;	/* random digits shown as RANDOM */
};

static char bob[] = "bob@example.net", carol[] = "\"ca rol\"@example.net",
    dave[] = "dave@example.net", eve[] = "\xC3\xA9ve@example.net";

static void
put_original(struct world *w, const char *text, size_t n)
{
	int fd = memfd_create("original", MFD_CLOEXEC);

	assert_true(fd >= 0);
	/* A queue file has a header of its own in front. */
	assert_int_equal(write(fd, "QUEUE\n", 6), 6);
	assert_int_equal(write(fd, text, n), n);
	if (w->m.spool.fd >= 0)
		close(w->m.spool.fd);
	w->m.spool = (struct spool){ .fd = fd, .start = 6, .size = (off_t)n };
}

static void
reply(struct rcpt *r, enum outcome outcome, int code, const char *enhanced,
    const char *text)
{
	memset(&r->res, 0, sizeof r->res);
	r->res.outcome = outcome;
	r->res.code = code;
	strcpy(r->res.enhanced, enhanced);
	snprintf(r->res.text, sizeof r->res.text, "%s", text);
}

static int
setup(void **state)
{
	static char *const addrs[] = { bob, carol, dave };
	static char from[] = "alice@example.com";
	struct world *w = calloc(1, sizeof *w);
	size_t i;

	assert_non_null(w);
	for (i = 0; i < 3; i++) {
		w->rcpts[i].addr = addrs[i];
		w->list[i] = &w->rcpts[i];
		reply(w->list[i], OUT_PERM, 550, "5.1.1", "relay.example"
		    "[192.0.2.1]:587: RCPT refused: 550 5.1.1 no such user");
	}
	w->m.env.from = from;
	w->m.env.rcpts = w->rcpts;
	w->m.env.nrcpts = 3;
	w->m.born = 1764000000;
	strcpy(w->m.id, "1kiva80abcd012345678");
	w->m.spool.fd = -1;
	w->out.fd = -1;
	put_original(w, "Subject: x\r\n\r\nhello\r\n", 21);
	w->b = (struct bounce){ .m = &w->m, .rcpts = w->list, .n = 1,
		.to = from, .hostname = "here.example", .now = 1764003600,
		.until = 1764432000 };
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	struct world *w = *state;

	close(w->m.spool.fd);
	spool_close(&w->out);
	buf_free(&w->text);
	free(w);
	return 0;
}

static void
slurp(struct world *w)
{
	char block[4096];
	off_t at = 0;
	ssize_t n;

	buf_reset(&w->text);
	while ((n = spool_read(&w->out, block, sizeof block, at)) > 0) {
		buf_add(&w->text, block, (size_t)n);
		at += n;
	}
	assert_int_equal(n, 0);
}

/* The digits that differ from report to report become a word, everywhere. */
static void
name_random(struct world *w)
{
	static const char mark[] = "boundary=\"=_";
	char digits[RANDOM + 1], *p = strstr(w->text.p, mark);
	struct buf b = { 0 };
	char *from = w->text.p;

	assert_non_null(p);
	memcpy(digits, p + sizeof mark - 1, RANDOM);
	digits[RANDOM] = '\0';
	assert_int_equal(strspn(digits, "0123456789abcdef"), RANDOM);
	while ((p = strstr(from, digits)) != NULL) {
		buf_add(&b, from, (size_t)(p - from));
		buf_adds(&b, "RANDOM");
		from = p + RANDOM;
	}
	buf_add(&b, from, w->text.len - (size_t)(from - w->text.p));
	buf_free(&w->text);
	w->text = b;
}

/* What holds for every report; only original ones may exceed 998 bytes. */
static void
check_lines(const struct world *w, bool may_be_long)
{
	const char *p = w->text.p, *end = p + w->text.len, *cr;
	bool high = false;

	for (; p < end; p = cr + 2) {
		cr = memchr(p, '\r', (size_t)(end - p));
		assert_non_null(cr);
		assert_true(cr[1] == '\n');
		assert_null(memchr(p, '\n', (size_t)(cr - p)));
		assert_null(memchr(p, '\0', (size_t)(cr - p)));
		assert_true(may_be_long || cr - p <= 998);
		high |= !mem_is_ascii(p, (size_t)(cr - p));
	}
	assert_int_equal(w->out.has_8bit, high);
}

static void
write_report_of(struct world *w, bool may_be_long)
{
	spool_close(&w->out);
	assert_int_equal(spool_open(&w->out, NULL, &w->res), 0);
	assert_int_equal(bounce_write(&w->b, &w->out, &w->res), 0);
	assert_int_equal(spool_finish(&w->out, &w->res), 0);
	slurp(w);
	name_random(w);
	check_lines(w, may_be_long);
}

static void
write_report(struct world *w)
{
	write_report_of(w, false);
}

static void
assert_has(const struct world *w, const char *text)
{
	if (strstr(w->text.p, text) == NULL)
		fail_msg("without \"%s\":\n%s", text, w->text.p);
}

static void
assert_has_not(const struct world *w, const char *text)
{
	if (strstr(w->text.p, text) != NULL)
		fail_msg("with \"%s\":\n%s", text, w->text.p);
}

/* n bytes in lines of so many, CRLF included. */
static void
put_lines(struct buf *b, size_t line, size_t n)
{
	size_t i;

	for (i = 1; i <= n - 2; i++)
		buf_addc(b, i % line == 0 ? '\n' : i % line == line - 1 ?
		    '\r' : 'y');
	buf_adds(b, "\r\n");
}

static char *
copy_of(const char *s)
{
	return s ? mem_dup(s, strlen(s)) : NULL;
}

#define LAST "\r\n--=_RANDOM--\r\n"

/* Part three and the end of the report. */
static void
assert_original(const struct world *w, const char *head, const char *text,
    size_t n)
{
	struct buf want = { 0 };

	buf_addf(&want, "\r\n--=_RANDOM\r\n%s\r\n\r\n", head);
	buf_add(&want, text, n);
	buf_adds(&want, LAST);
	assert_true(w->text.len > want.len);
	assert_memory_equal(w->text.p + w->text.len - want.len, want.p,
	    want.len);
	buf_free(&want);
}

static void
test_failure_is_reported_byte_for_byte(void **state)
{
	static char envid[] = "QQ+2B314159", orcpt[] = "rfc822;Bob+40Example.NET";
	struct world *w = *state;

	w->m.env.dsn_envid = envid;
	w->rcpts[0].dsn_orcpt = orcpt;
	w->b.n = 2;
	reply(&w->rcpts[1], OUT_TEMP, 0, "", "cannot connect to relay.example"
	    "[192.0.2.1]:587: Connection refused");
	write_report(w);
	assert_string_equal(w->text.p,
	    "From: Mail Delivery System <MAILER-DAEMON@here.example>\r\n"
	    "To: alice@example.com\r\n"
	    "Subject: Undelivered mail (delivery failed)\r\n"
	    "Date: Mon, 24 Nov 2025 17:00:00 +0000\r\n"
	    "Message-ID: <RANDOM@here.example>\r\n"
	    "Auto-Submitted: auto-replied\r\n"
	    "MIME-Version: 1.0\r\n"
	    "Content-Type: multipart/report; report-type=delivery-status;\r\n"
	    " boundary=\"=_RANDOM\"\r\n"
	    "\r\n"
	    "--=_RANDOM\r\n"
	    "Content-Type: text/plain; charset=utf-8\r\n"
	    "\r\n"
	    "This is the mail system of here.example.\r\n"
	    "\r\n"
	    "The message below could not be delivered to:\r\n"
	    "\r\n"
	    "<bob@example.net>\r\n"
	    "    relay.example[192.0.2.1]:587: RCPT refused: 550 5.1.1 no such "
	    "user\r\n"
	    "\r\n"
	    "<\"ca rol\"@example.net>\r\n"
	    "    the time is up; last try: cannot connect to "
	    "relay.example[192.0.2.1]:587:\r\n"
	    "    Connection refused\r\n"
	    "\r\n"
	    "Check the addresses, or show this report to your postmaster.\r\n"
	    "The id of the message is 1kiva80abcd012345678.\r\n"
	    "\r\n"
	    "--=_RANDOM\r\n"
	    "Content-Type: message/delivery-status\r\n"
	    "\r\n"
	    "Reporting-MTA: dns; here.example\r\n"
	    "Original-Envelope-Id: QQ+314159\r\n"
	    "Arrival-Date: Mon, 24 Nov 2025 16:00:00 +0000\r\n"
	    "\r\n"
	    "Original-Recipient: rfc822;Bob@Example.NET\r\n"
	    "Final-Recipient: rfc822;bob@example.net\r\n"
	    "Action: failed\r\n"
	    "Status: 5.1.1\r\n"
	    "Remote-MTA: dns; relay.example\r\n"
	    "Diagnostic-Code: smtp; 550 5.1.1 no such user\r\n"
	    "Last-Attempt-Date: Mon, 24 Nov 2025 17:00:00 +0000\r\n"
	    "\r\n"
	    "Final-Recipient: rfc822;\"ca rol\"@example.net\r\n"
	    "Action: failed\r\n"
	    "Status: 4.4.7\r\n"
	    "Diagnostic-Code: X-Sendroute; cannot connect to "
	    "relay.example[192.0.2.1]:587:\r\n"
	    " Connection refused\r\n"
	    "Last-Attempt-Date: Mon, 24 Nov 2025 17:00:00 +0000\r\n"
	    "\r\n"
	    "--=_RANDOM\r\n"
	    "Content-Type: message/rfc822\r\n"
	    "\r\n"
	    "Subject: x\r\n"
	    "\r\n"
	    "hello\r\n"
	    LAST);
	assert_false(w->out.has_8bit);
	assert_false(w->out.has_8bit_header);
	assert_false(w->out.has_long);
	assert_false(w->out.has_dot_line);
}

static void
test_delay_is_reported_with_headers_only(void **state)
{
	static char full[] = "FULL";
	struct world *w = *state;

	w->b.delayed = true;
	w->m.env.dsn_ret = full;
	reply(&w->rcpts[0], OUT_TEMP, 451, "4.3.0",
	    "relay.example[192.0.2.1]:587: 451 4.3.0 later");
	write_report(w);
	assert_has(w, "Subject: Delayed mail (still being tried)\r\n");
	assert_has(w, "\r\n\r\nThe message below is still being tried for:\r\n\r\n"
	    "<bob@example.net>\r\n"
	    "    relay.example[192.0.2.1]:587: 451 4.3.0 later\r\n\r\n"
	    "You need do nothing. It is tried until: "
	    "Sat, 29 Nov 2025 16:00:00 +0000\r\n"
	    "The id of the message is 1kiva80abcd012345678.\r\n\r\n--");
	assert_has(w, "\r\nAction: delayed\r\nStatus: 4.3.0\r\n"
	    "Remote-MTA: dns; relay.example\r\n"
	    "Diagnostic-Code: smtp; 451 4.3.0 later\r\n"
	    "Last-Attempt-Date: Mon, 24 Nov 2025 17:00:00 +0000\r\n"
	    "Will-Retry-Until: Sat, 29 Nov 2025 16:00:00 +0000\r\n\r\n--");
	assert_original(w, "Content-Type: text/rfc822-headers",
	    "Subject: x\r\n", 12);
}

static void
test_nobody_else_is_named(void **state)
{
	struct world *w = *state;

	w->b.n = 1;
	w->b.rcpts = &w->list[1];
	w->b.to = "postmaster@example.org";
	write_report(w);
	assert_has(w, "\r\nTo: postmaster@example.org\r\n");
	assert_has(w, "\"ca rol\"@example.net");
	assert_has_not(w, "bob");
	assert_has_not(w, "dave");
	assert_has_not(w, "alice");
}

static void
test_random_differs_from_report_to_report(void **state)
{
	struct world *w = *state;
	struct buf first = { 0 };

	write_report(w);
	slurp(w);
	buf_add(&first, w->text.p, w->text.len);
	write_report(w);
	slurp(w);
	assert_int_equal(first.len, w->text.len);
	assert_string_not_equal(first.p, w->text.p);
	buf_free(&first);
}

static void
test_status_follows_from_what_was_said(void **state)
{
	static const struct {
		enum outcome outcome;
		int code;
		const char *enhanced, *text, *failed, *delayed;
	} t[] = {
		{ OUT_PERM, 550, "5.1.1", "h[1]:25: 550 5.1.1 x", "5.1.1", "4.0.0" },
		{ OUT_PERM, 550, "", "h[1]:25: 550 x", "5.0.0", "4.0.0" },
		{ OUT_PERM, 550, "4.1.1", "h[1]:25: 550 x", "5.0.0", "4.1.1" },
		{ OUT_PERM, 550, "2.1.1", "h[1]:25: 550 x", "5.0.0", "4.0.0" },
		{ OUT_TEMP, 451, "4.3.2", "h[1]:25: 451 4.3.2", "4.4.7", "4.3.2" },
		{ OUT_TEMP, 451, "", "h[1]:25: 451 x", "4.4.7", "4.0.0" },
		{ OUT_TEMP, 451, "5.3.2", "h[1]:25: 451 5.3.2", "4.4.7", "4.0.0" },
		/* Expired, then written down as refused. */
		{ OUT_PERM, 451, "4.3.2", "h[1]:25: 451 4.3.2", "4.4.7", "4.3.2" },
		/* The outcome was not kept: code and status tell it. */
		{ OUT_TEMP, 550, "", "h[1]:25: 550 x", "5.0.0", "4.0.0" },
		{ OUT_TEMP, 0, "5.6.7", "h[1]:25: not ASCII", "5.6.7", "4.0.0" },
		{ OUT_TEMP, 0, "", "cannot resolve h", "4.4.7", "4.0.0" },
		{ OUT_TEMP, 0, "", "", "4.4.7", "4.0.0" },
		{ OUT_PERM, 0, "5.3.4", "h[1]:25: too large", "5.3.4", "4.0.0" },
		{ OUT_PERM, 0, "", "", "5.0.0", "4.0.0" },
		/* HTTP's codes say nothing of the kind. */
		{ OUT_PERM, 400, "", "SES: 400 BadRequest", "5.0.0", "4.0.0" },
		{ OUT_TEMP, 503, "", "SES: 503 later", "4.4.7", "4.0.0" },
	};
	struct world *w = *state;
	char want[40];
	size_t i;

	for (i = 0; i < sizeof t / sizeof *t; i++) {
		reply(&w->rcpts[0], t[i].outcome, t[i].code, t[i].enhanced,
		    t[i].text);
		for (w->b.delayed = false;; w->b.delayed = true) {
			write_report(w);
			snprintf(want, sizeof want, "\r\nStatus: %s\r\n",
			    w->b.delayed ? t[i].delayed : t[i].failed);
			assert_has(w, want);
			if (w->b.delayed)
				break;
		}
	}
}

static void
test_remote_and_diagnostic_follow_from_the_text(void **state)
{
	static const struct {
		int code;
		const char *text, *want;
	} t[] = {
		{ 550, "a.b-c_d[2001:db8::1]:25: MAIL refused: 550 no",
		    "Remote-MTA: dns; a.b-c_d\r\nDiagnostic-Code: smtp; 550 no" },
		{ 550, "h[192.0.2.1]:25: 550 ",
		    "Remote-MTA: dns; h\r\nDiagnostic-Code: smtp; 550" },
		{ 550, "h[192.0.2.1]:25: 550",
		    "Remote-MTA: dns; h\r\nDiagnostic-Code: smtp; 550" },
		{ 554, "/run/lmtp: 554 5.0.0 a: 554 b",
		    "Diagnostic-Code: smtp; 554 5.0.0 a: 554 b" },
		{ 550, "no", "Diagnostic-Code: smtp; 550 no" },
		{ 250, "h[192.0.2.1]:25: 250 yes?", "Remote-MTA: dns; h\r\n"
		    "Diagnostic-Code: X-Sendroute; h[192.0.2.1]:25: 250 yes?" },
		{ 0, "h[192.0.2.1]:25: too large: 550 bytes",
		    "Remote-MTA: dns; h\r\n"
		    "Diagnostic-Code: X-Sendroute; h[192.0.2.1]:25: too large: 550 "
		    "bytes" },
		{ 400, "SES: 400 BadRequestException: 400",
		    "Diagnostic-Code: X-SES; 400 BadRequestException: 400" },
		{ 0, "SES: x", "Diagnostic-Code: X-SES; x" },
		{ 0, "SES", "Diagnostic-Code: X-Sendroute; SES" },
		{ 0, "[192.0.2.1]:25: x",
		    "Diagnostic-Code: X-Sendroute; [192.0.2.1]:25: x" },
		{ 0, "a b[192.0.2.1]:25: x",
		    "Diagnostic-Code: X-Sendroute; a b[192.0.2.1]:25: x" },
		{ 0, "a(b[192.0.2.1]:25: x",
		    "Diagnostic-Code: X-Sendroute; a(b[192.0.2.1]:25: x" },
		{ 0, "h[192.0.2.1 ]:25: x",
		    "Diagnostic-Code: X-Sendroute; h[192.0.2.1 ]:25: x" },
		{ 0, "h[192.0.2.1", "Diagnostic-Code: X-Sendroute; h[192.0.2.1" },
		{ 0, "h[", "Diagnostic-Code: X-Sendroute; h[" },
		{ 0, "h[]", "Diagnostic-Code: X-Sendroute; h[]" },
		{ 0, "h", "Diagnostic-Code: X-Sendroute; h" },
		{ 421, "", "Diagnostic-Code: smtp; 421" },
	};
	struct world *w = *state;
	char want[300];
	size_t i;

	w->b.delayed = true;
	for (i = 0; i < sizeof t / sizeof *t; i++) {
		reply(&w->rcpts[0], OUT_TEMP, t[i].code, "", t[i].text);
		write_report(w);
		snprintf(want, sizeof want, "\r\nStatus: 4.0.0\r\n%s\r\n"
		    "Last-Attempt-Date: ", t[i].want);
		assert_has(w, want);
	}
	reply(&w->rcpts[0], OUT_TEMP, 0, "", "");
	write_report(w);
	assert_has(w, "\r\nStatus: 4.0.0\r\nLast-Attempt-Date: ");
	assert_has(w, "<bob@example.net>\r\n    no reason is known\r\n");
}

static void
test_long_lines_are_folded_at_blanks(void **state)
{
	struct world *w = *state;
	struct buf said = { 0 };
	char text[480];
	int i;

	buf_adds(&said, "r.example[192.0.2.1]:25: 550 ");
	for (i = 0; i < 12; i++)
		buf_adds(&said, "0123456789 12345678 ");
	reply(&w->rcpts[0], OUT_PERM, 550, "", said.p);
	write_report(w);
	assert_has(w, "\r\n    r.example[192.0.2.1]:25: 550 0123456789 12345678 "
	    "0123456789 12345678\r\n    0123456789 12345678 0123456789 12345678 "
	    "0123456789 12345678 0123456789\r\n    12345678 ");
	assert_has(w, "\r\nDiagnostic-Code: smtp; 550 0123456789 12345678 "
	    "0123456789 12345678 0123456789\r\n 12345678 0123456789 12345678 "
	    "0123456789 12345678 0123456789 12345678\r\n 0123456789 ");
	assert_has_not(w, " \r\n");
	/* 78 is not too long, 79 is. */
	memset(text, 'x', 47);
	strcpy(text + 47, " y");
	text[10] = ' ';
	reply(&w->rcpts[0], OUT_PERM, 0, "", text + 1);
	write_report(w);
	assert_has(w, "; xxxxxxxxx xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx y\r\n");
	reply(&w->rcpts[0], OUT_PERM, 0, "", text);
	write_report(w);
	assert_has(w, "; xxxxxxxxxx xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n y\r\n");
	/* What has no blanks stays in one piece; blanks alone make no line. */
	memset(text, 'x', sizeof text - 1);
	memset(text + 200, ' ', 120);
	text[479] = '\0';
	reply(&w->rcpts[0], OUT_PERM, 0, "", text);
	write_report(w);
	text[200] = '\0';
	buf_reset(&said);
	buf_addf(&said, "\r\nDiagnostic-Code: X-Sendroute;\r\n %s\r\n%120s%s\r\n",
	    text, "", text + 320);
	assert_has(w, said.p);
	buf_free(&said);
}

/* Whatever a peer or a caller says, it begins no line and no field. */
static void
test_controls_cannot_get_in(void **state)
{
	static char envid[] = "a+0D+0AX-Evil: 1+00b+7F", orcpt[] = "rfc822;+0Ax+zz+4+";
	struct world *w = *state;

	w->m.env.dsn_envid = envid;
	w->rcpts[0].dsn_orcpt = orcpt;
	reply(&w->rcpts[0], OUT_PERM, 550, "",
	    "h[1]:25: 550 a\r\n.\r\n\tb\x7F" "c\xC2\x85" "d");
	write_report(w);
	assert_has(w, "\r\nOriginal-Envelope-Id: a??X-Evil: 1?b?\r\n");
	assert_has(w, "\r\nOriginal-Recipient: rfc822;?x+zz+4+\r\n");
	assert_has(w, "\r\nDiagnostic-Code: smtp; 550 a??.???b?c?d\r\n");
	assert_has(w, "\r\n    h[1]:25: 550 a??.???b?c?d\r\n");
	assert_false(w->out.has_dot_line);
}

/* What we say to an ASCII address is ASCII: every relay takes that. */
static void
test_utf8_reason_for_an_ascii_sender(void **state)
{
	struct world *w = *state;

	reply(&w->rcpts[0], OUT_PERM, 550, "",
	    "h[1]:25: 550 inconnu \xC3\xA9t\xC3\xA9 \xE9\xE2\x82");
	write_report(w);
	assert_has(w, "    h[1]:25: 550 inconnu ?t? ???\r\n");
	assert_has(w, "Diagnostic-Code: smtp; 550 inconnu ?t? ???\r\n");
	assert_has_not(w, "8bit");
	assert_false(w->out.has_8bit);
}

static void
test_utf8_recipient_for_an_ascii_sender(void **state)
{
	static char orcpt[] = "utf-8;\\x{E9}ve@example.net";
	static char odd[] = "\"a b+c=d\\\\\xE4\xB8\xAD\xF0\x9F\x98\x80\xE9\"@x.net";
	struct world *w = *state;

	w->rcpts[0].addr = eve;
	w->rcpts[0].dsn_orcpt = orcpt;
	w->rcpts[1].addr = odd;
	w->b.n = 3;
	write_report(w);
	assert_has(w, "\r\n<\\x{E9}ve@example.net>\r\n");
	assert_has(w, "\r\n<dave@example.net>\r\n");
	assert_has(w, "Content-Type: message/delivery-status\r\n\r\n");
	assert_has(w, "\r\nOriginal-Recipient: utf-8;\\x{E9}ve@example.net\r\n"
	    "Final-Recipient: utf-8;\\x{E9}ve@example.net\r\n");
	assert_has(w, "\r\nFinal-Recipient:\r\n utf-8;\"a\\x{20}b\\x{2B}c\\x{3D}d"
	    "\\x{5C}\\x{5C}\\x{4E2D}\\x{1F600}\\x{FFFD}\"@x.net\r\n");
	assert_has(w, "\r\nFinal-Recipient: rfc822;dave@example.net\r\n");
	assert_has_not(w, "8bit");
	assert_false(w->out.has_8bit);
	assert_original(w, "Content-Type: message/rfc822",
	    "Subject: x\r\n\r\nhello\r\n", 21);
}

static void
test_utf8_sender_makes_the_report_global(void **state)
{
	struct world *w = *state;

	w->b.to = eve;
	w->b.n = 2;
	w->rcpts[0].addr = eve;
	reply(&w->rcpts[1], OUT_PERM, 550, "",
	    "h[1]:25: 550 \xC3\xA9t\xC3\xA9 \xE9\xE2\x82");
	write_report(w);
	assert_has(w, "\r\nTo: \xC3\xA9ve@example.net\r\n");
	assert_has(w, "\"\r\nContent-Transfer-Encoding: 8bit\r\n\r\n--=_RANDOM\r\n"
	    "Content-Type: text/plain; charset=utf-8\r\n"
	    "Content-Transfer-Encoding: 8bit\r\n\r\n");
	assert_has(w, "\r\n<\xC3\xA9ve@example.net>\r\n");
	assert_has(w, "Content-Type: message/global-delivery-status\r\n"
	    "Content-Transfer-Encoding: 8bit\r\n\r\n");
	assert_has(w, "\r\nFinal-Recipient: utf-8;\xC3\xA9ve@example.net\r\n");
	assert_has(w, "\r\nFinal-Recipient: rfc822;\"ca rol\"@example.net\r\n");
	assert_has(w, "smtp; 550 \xC3\xA9t\xC3\xA9 ???\r\n");
	assert_original(w, "Content-Type: message/global",
	    "Subject: x\r\n\r\nhello\r\n", 21);
	assert_true(w->out.has_8bit_header);
	w->b.delayed = true;
	write_report(w);
	assert_original(w, "Content-Type: message/global-headers",
	    "Subject: x\r\n", 12);
}

/* An 8-bit original does not make the rest of the report so. */
static void
test_8bit_original_is_labelled(void **state)
{
	static const char body[] = "Subject: x\r\n\r\n\xC3\xA9\r\n",
	    head[] = "Subject: \xE9\r\n\r\nx\r\n";
	struct world *w = *state;

	put_original(w, body, sizeof body - 1);
	w->m.spool.has_8bit = true;
	write_report(w);
	assert_has(w, "\"\r\nContent-Transfer-Encoding: 8bit\r\n\r\n--=_RANDOM\r\n"
	    "Content-Type: text/plain; charset=utf-8\r\n\r\n");
	assert_original(w, "Content-Type: message/rfc822\r\n"
	    "Content-Transfer-Encoding: 8bit", body, sizeof body - 1);
	w->b.delayed = true;
	write_report(w);
	assert_has_not(w, "8bit");
	assert_original(w, "Content-Type: text/rfc822-headers",
	    "Subject: x\r\n", 12);

	put_original(w, head, sizeof head - 1);
	w->m.spool.has_8bit = w->m.spool.has_8bit_header = true;
	write_report(w);
	assert_original(w, "Content-Type: text/rfc822-headers\r\n"
	    "Content-Transfer-Encoding: 8bit", "Subject: \xE9\r\n", 12);
	assert_false(w->out.has_8bit_header);
}

static void
test_flags_of_the_original_are_kept(void **state)
{
	struct world *w = *state;
	char text[1500];

	memset(text, 'x', sizeof text);
	memcpy(text, "A: b\r\n\r\n.\r\n", 11);
	memcpy(text + sizeof text - 2, "\r\n", 2);
	put_original(w, text, sizeof text);
	w->m.spool.has_long = w->m.spool.has_dot_line = true;
	write_report_of(w, true);
	assert_true(w->out.has_long);
	assert_true(w->out.has_dot_line);
	assert_original(w, "Content-Type: message/rfc822", text, sizeof text);
}

static void
test_ret_and_size_decide_what_is_returned(void **state)
{
	static const struct {
		const char *ret;
		size_t size;
		bool delayed, whole;
	} t[] = {
		{ NULL, WHOLE_MAX, false, true },
		{ NULL, WHOLE_MAX + 1, false, false },
		{ NULL, 100, false, true },
		{ NULL, 100, true, false },
		{ "FULL", WHOLE_MAX + 1, false, true },
		{ "full", 5 * WHOLE_MAX, false, true },
		{ "FULL", 100, true, false },
		{ "HDRS", 100, false, false },
		{ "hdrs", WHOLE_MAX + 1, false, false },
	};
	struct world *w = *state;
	struct buf text = { 0 };
	size_t i;

	for (i = 0; i < sizeof t / sizeof *t; i++) {
		buf_reset(&text);
		put_lines(&text, 61, t[i].size);
		memcpy(text.p, "Subject: x\r\n\r\n", 14);
		put_original(w, text.p, text.len);
		w->m.env.dsn_ret = copy_of(t[i].ret);
		w->b.delayed = t[i].delayed;
		write_report(w);
		if (t[i].whole)
			assert_original(w, "Content-Type: message/rfc822",
			    text.p, text.len);
		else
			assert_original(w, "Content-Type: text/rfc822-headers",
			    "Subject: x\r\n", 12);
		free(w->m.env.dsn_ret);
	}
	buf_free(&text);
}

/* The end of the header on both sides of every block edge that there may be. */
static void
test_header_ends_at_any_place(void **state)
{
	struct world *w = *state;
	struct buf text = { 0 };
	size_t n;

	w->b.delayed = true;
	for (n = BLOCK - 6; n < BLOCK + 6; n++) {
		buf_reset(&text);
		put_lines(&text, 1000, n);
		buf_adds(&text, "\r\nbody\r\n\r\nbody\r\n");
		put_original(w, text.p, text.len);
		write_report(w);
		assert_original(w, "Content-Type: text/rfc822-headers", text.p, n);
	}
	buf_free(&text);
}

static void
test_odd_originals(void **state)
{
	struct world *w = *state;

	put_original(w, "", 0);
	write_report(w);
	assert_original(w, "Content-Type: message/rfc822", "", 0);
	w->b.delayed = true;
	write_report(w);
	assert_original(w, "Content-Type: text/rfc822-headers", "", 0);
	put_original(w, "\r\nbody\r\n", 8);
	write_report(w);
	assert_original(w, "Content-Type: text/rfc822-headers", "", 0);
	put_original(w, "Subject: x\r\n", 12);
	write_report(w);
	assert_original(w, "Content-Type: text/rfc822-headers",
	    "Subject: x\r\n", 12);
	w->b.delayed = false;
	write_report(w);
	assert_original(w, "Content-Type: message/rfc822", "Subject: x\r\n", 12);
}

/* What lies behind the message in its file is not the message's. */
static void
test_original_is_not_read_past_its_size(void **state)
{
	struct world *w = *state;

	put_original(w, "Subject: x\r\n\r\nhello\r\nSECRET\r\n", 29);
	w->m.spool.size = 21;
	write_report(w);
	assert_original(w, "Content-Type: message/rfc822",
	    "Subject: x\r\n\r\nhello\r\n", 21);
}

static void
assert_fails(struct world *w, int exit, const char *text)
{
	memset(&w->res, 0, sizeof w->res);
	assert_int_equal(bounce_write(&w->b, &w->out, &w->res), -1);
	assert_int_equal(w->res.exit, exit);
	assert_string_equal(w->res.text, text);
}

static void
test_short_original_fails(void **state)
{
	struct world *w = *state;
	char why[80];
	int i;

	snprintf(why, sizeof why, "cannot read the message: %s", strerror(EIO));
	assert_int_equal(spool_open(&w->out, NULL, &w->res), 0);
	for (i = 0; i < 2; i++) {
		w->b.delayed = i == 1;	/* the header alone would be there */
		w->m.spool.size = 22;
		assert_fails(w, EXIT_IO, why);
		w->m.spool.size = 5000000;
		assert_fails(w, EXIT_IO, why);
		/* Nothing was written before. */
		assert_int_equal(w->out.size, 0);
	}
	assert_int_equal(ftruncate(w->m.spool.fd, 0), 0);
	w->m.spool.size = 21;
	assert_fails(w, EXIT_IO, why);
}

static void
test_unreadable_original_fails(void **state)
{
	struct world *w = *state;

	assert_int_equal(spool_open(&w->out, NULL, &w->res), 0);
	close(w->m.spool.fd);
	w->m.spool.fd = -1;
	assert_fails(w, EXIT_IO, "cannot read the message: Bad file descriptor");
	w->b.delayed = true;
	assert_fails(w, EXIT_IO, "cannot read the message: Bad file descriptor");
}

/* Its first byte and its last can be read, but not all between. */
static void
test_hole_in_the_original_fails(void **state)
{
	struct world *w = *state;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char why[80], *p = mmap(NULL, 3 * page, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (getenv("RUNNER") != NULL)
		skip();		/* emulated memory has no such holes */
	snprintf(why, sizeof why, "cannot read the message: %s", strerror(EIO));
	assert_true(p != MAP_FAILED);
	memset(p, 'x', 3 * page);
	assert_int_equal(munmap(p + page, page), 0);
	close(w->m.spool.fd);
	w->m.spool = (struct spool){ .fd = open("/proc/self/mem", O_RDONLY),
		.start = (off_t)(intptr_t)p, .size = (off_t)(3 * page) };
	assert_true(w->m.spool.fd >= 0);
	assert_int_equal(spool_open(&w->out, NULL, &w->res), 0);
	assert_fails(w, EXIT_IO, why);
	w->b.delayed = true;
	assert_fails(w, EXIT_IO, why);
	munmap(p, page);
	munmap(p + 2 * page, page);
}

/* The report's buffer is written out while the original is still coming. */
static void
test_report_that_cannot_be_written_fails(void **state)
{
	static char full[] = "FULL";
	struct world *w = *state;
	char *text = malloc(3 * WHOLE_MAX);

	assert_non_null(text);
	memset(text, 'x', 3 * WHOLE_MAX);
	put_original(w, text, 3 * WHOLE_MAX);
	free(text);
	w->m.env.dsn_ret = full;
	assert_int_equal(spool_open(&w->out, NULL, &w->res), 0);
	close(w->out.fd);
	w->out.fd = -1;
	assert_fails(w, EXIT_IO,
	    "cannot store the message in a temporary file: Bad file descriptor");
}

static void
test_longest_of_everything(void **state)
{
	static char addr[321], wide[321], envid[101], orcpt[501];
	struct world *w = *state;
	char host[256], text[480];
	size_t i;

	memset(addr, 'a', 320);
	memcpy(addr + 60, "@", 1);
	memset(host, 'h', 255);
	host[255] = '\0';
	memset(envid, 'e', 100);
	memset(orcpt, 'o', 500);
	orcpt[6] = ';';
	memset(text, 't', 479);
	text[479] = '\0';
	w->m.env.dsn_envid = envid;
	w->rcpts[0].addr = addr;
	w->rcpts[0].dsn_orcpt = orcpt;
	w->b.hostname = host;
	w->b.to = addr;
	reply(&w->rcpts[0], OUT_TEMP, 451, "", text);
	write_report(w);
	assert_has(w, addr);
	w->rcpts[1].addr = wide;
	w->b.n = 2;
	for (i = 0; i < 318; i += 2)
		memcpy(wide + i, "\xC3\xA9", 2);
	memcpy(wide + i, "@x", 2);
	w->b.to = bob;
	write_report(w);
	assert_has(w, "\\x{E9}@x>\r\n");
	assert_has(w, "\\x{E9}@x\r\nAction");
	assert_has(w, orcpt);
	assert_has(w, envid);
	assert_has(w, host);
	assert_has(w, text);
}

static void
test_notify_decides_who_is_told(void **state)
{
	static const struct {
		const char *notify;
		bool failure, delay;
	} t[] = {
		{ NULL, true, true },
		{ "", true, true },
		{ "NEVER", false, false },
		{ "never", false, false },
		{ "FAILURE", true, false },
		{ "failure", true, false },
		{ "DELAY", false, true },
		{ "Delay", false, true },
		{ "SUCCESS", false, false },
		{ "SUCCESS,FAILURE", true, false },
		{ "success,delay,Failure", true, true },
		{ "DELAY,SUCCESS", false, true },
		{ "FAILURES", false, false },
		{ "FAIL", false, false },
		{ "XDELAY", false, false },
	};
	struct rcpt r = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof t / sizeof *t; i++) {
		r.dsn_notify = copy_of(t[i].notify);
		assert_int_equal(bounce_wanted(&r, false), t[i].failure);
		assert_int_equal(bounce_wanted(&r, true), t[i].delay);
		free(r.dsn_notify);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_failure_is_reported_byte_for_byte),
		TEST(test_delay_is_reported_with_headers_only),
		TEST(test_nobody_else_is_named),
		TEST(test_random_differs_from_report_to_report),
		TEST(test_status_follows_from_what_was_said),
		TEST(test_remote_and_diagnostic_follow_from_the_text),
		TEST(test_long_lines_are_folded_at_blanks),
		TEST(test_controls_cannot_get_in),
		TEST(test_utf8_reason_for_an_ascii_sender),
		TEST(test_utf8_recipient_for_an_ascii_sender),
		TEST(test_utf8_sender_makes_the_report_global),
		TEST(test_8bit_original_is_labelled),
		TEST(test_flags_of_the_original_are_kept),
		TEST(test_ret_and_size_decide_what_is_returned),
		TEST(test_header_ends_at_any_place),
		TEST(test_odd_originals),
		TEST(test_original_is_not_read_past_its_size),
		TEST(test_short_original_fails),
		TEST(test_unreadable_original_fails),
		TEST(test_hole_in_the_original_fails),
		TEST(test_report_that_cannot_be_written_fails),
		TEST(test_longest_of_everything),
		TEST(test_notify_decides_who_is_told),
	};

	setenv("TZ", "UTC0", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
