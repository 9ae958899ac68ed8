/* What mime_adapt makes of a message, for each kind of peer. */
#define _GNU_SOURCE	/* memfd_create */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "decode.h"
#include "lib/base/buf.h"
#include "lib/mail/mime.h"

static const struct mime_peer
    old = { false, false },	/* neither 8BITMIME nor SMTPUTF8 */
    usual = { true, false },	/* SES, nearly every relay */
    modern = { true, true };

/* A message, adapted. */
struct done {
	int rc;
	struct spool out;
	struct buf text;	/* all of it; head_len up to the blank line */
	size_t head_len;
	struct result res;
};

static bool
has_long_line(const char *text, size_t n)
{
	const char *p = text, *lf;

	while ((lf = memchr(p, '\n', n - (size_t)(p - text))) != NULL) {
		if (lf - p - 1 > 998)
			return true;
		p = lf + 1;
	}
	return false;
}

/* A spool as intake leaves it. */
static void
store(struct spool *sp, const char *text, size_t n)
{
	struct result res;
	size_t i;

	assert_int_equal(spool_open(sp, NULL, &res), 0);
	assert_int_equal(spool_add(sp, text, n, &res), 0);
	assert_int_equal(spool_finish(sp, &res), 0);
	sp->has_long = has_long_line(text, n);
	for (i = 0; i < n; i++)
		sp->has_8bit |= (text[i] & 0x80) != 0;
}

static void
read_back(struct done *d)
{
	char block[8192];
	const char *blank;
	ssize_t n;

	buf_reset(&d->text);
	while ((n = spool_read(&d->out, block, sizeof block,
	    (off_t)d->text.len)) > 0)
		buf_add(&d->text, block, (size_t)n);
	assert_int_equal(n, 0);
	assert_int_equal(d->text.len, d->out.size);
	blank = strstr(buf_str(&d->text), "\r\n\r\n");
	assert_non_null(blank);
	d->head_len = (size_t)(blank - d->text.p) + 2;
}

static void
adapt_n(struct done *d, const char *text, size_t n,
    const struct mime_peer *peer)
{
	struct spool in;
	size_t i;
	bool high = false, in_header = false;

	memset(d, 0, sizeof *d);
	store(&in, text, n);
	d->rc = mime_adapt(&in, peer, NULL, &d->out, &d->res);
	spool_close(&in);
	if (d->rc != 1)
		return;
	read_back(d);
	spool_close(&d->out);
	for (i = 0; i < d->text.len; i++) {
		high |= (d->text.p[i] & 0x80) != 0;
		if (i < d->head_len)
			in_header = high;
	}
	assert_int_equal(d->out.has_8bit, high);
	assert_int_equal(d->out.has_8bit_header, in_header);
	assert_false(d->out.has_long);
	assert_false(has_long_line(d->text.p, d->text.len));
}

static void
adapt(struct done *d, const char *text, const struct mime_peer *peer)
{
	adapt_n(d, text, strlen(text), peer);
}

static void
check_body(const struct done *d, const char *body, size_t n)
{
	const char *coded = d->text.p + d->head_len + 2;
	size_t len = d->text.len - d->head_len - 2;
	struct buf back = { 0 };

	assert_int_equal(d->rc, 1);
	if (strstr(d->text.p, "Content-Transfer-Encoding: base64\r\n"))
		decode_base64(coded, len, &back);
	else
		decode_qp(coded, len, &back);
	assert_int_equal(back.len, n);
	assert_memory_equal(buf_str(&back), body, n);
	buf_free(&back);
}

/* --- whole messages, byte for byte --- */

#define FROM "From: a@b.example\r\n"
#define PLAIN "Content-Type: text/plain; charset=iso-8859-15\r\n"
#define V "MIME-Version: 1.0\r\n"
#define CTE "Content-Transfer-Encoding: "
#define Y10 "yyyyyyyyyy"
#define Y100 Y10 Y10 Y10 Y10 Y10 Y10 Y10 Y10 Y10 Y10
#define Y900 Y100 Y100 Y100 Y100 Y100 Y100 Y100 Y100 Y100
#define Y998 Y100 Y100 Y100 Y100 Y100 Y100 Y100 Y100 Y100 Y10 Y10 Y10 Y10 Y10 \
	Y10 Y10 Y10 Y10 "yyyyyyyy"
#define Y75 Y10 Y10 Y10 Y10 Y10 Y10 Y10 "yyyyy"
#define Y76 Y75 "y"
/* A line of 1000, quoted-printable. */
#define SOFT Y75 "=\r\n"
#define Q1000 SOFT SOFT SOFT SOFT SOFT SOFT SOFT SOFT SOFT SOFT SOFT SOFT SOFT \
	Y10 Y10 "yyyyy\r\n"

static const struct {
	const struct mime_peer *peer;
	const char *in, *out;	/* out NULL: goes as it is */
} whole[] = {
	/* Nothing to do. */
	{ &old, FROM "\r\nplain\r\n", NULL },
	{ &old, FROM "\r\n", NULL },
	{ &old, FROM "\r\n" Y998 "\r\n", NULL },
	{ &usual, FROM PLAIN "\r\nb\xE9\r\n", NULL },
	{ &modern, "Subject: \xC3\xA9\r\n" PLAIN "\r\nb\xE9\r\n", NULL },
	{ &modern, "Subject: \xC3\xA9\r\n\r\nb\r\n", NULL },

	/* An 8-bit body with no MIME fields gets them. */
	{ &usual, FROM "\r\nb\xC3\xA9\r\n",
	    FROM V "Content-Type: text/plain; charset=utf-8\r\n" CTE "8bit\r\n"
	    "\r\nb\xC3\xA9\r\n" },
	{ &modern, FROM "\r\nb\xE9\r\n",
	    FROM V "Content-Type: text/plain; charset=unknown-8bit\r\n" CTE
	    "8bit\r\n\r\nb\xE9\r\n" },
	{ &usual, FROM "mime-version: 1.0\r\ncontent-transfer-encoding: 8BIT\r\n"
	    "\r\n\xC3\xA9\r\n",
	    FROM "mime-version: 1.0\r\nContent-Type: text/plain; charset=utf-8"
	    "\r\n" CTE "8bit\r\n\r\n\xC3\xA9\r\n" },
	/* 8-bit header text is no 8-bit body. */
	{ &usual, "Subject: \xC3\xA9" "a\r\n\r\nb\r\n",
	    "Subject: =?utf-8?B?w6lh?=\r\n\r\nb\r\n" },
	{ &usual, "Subject: \xC3\xA9" "a\r\n\r\n\xC3\xA9\r\n",
	    "Subject: =?utf-8?B?w6lh?=\r\n" V
	    "Content-Type: text/plain; charset=utf-8\r\n" CTE "8bit\r\n\r\n"
	    "\xC3\xA9\r\n" },
	/* A header alone, even without its blank line. */
	{ &usual, "Subject: \xC3\xA9" "a\r\n",
	    "Subject: =?utf-8?B?w6lh?=\r\n\r\n" },

	/* No 8BITMIME. */
	{ &old, FROM "\r\nhello caf\xC3\xA9\r\n",
	    FROM V "Content-Type: text/plain; charset=utf-8\r\n" CTE
	    "quoted-printable\r\n\r\nhello caf=C3=A9\r\n" },
	{ &old, FROM PLAIN V CTE "8bit\r\nX: y\r\n\r\nhello \xE9\r\n",
	    FROM PLAIN V "X: y\r\n" CTE "quoted-printable\r\n\r\nhello =E9\r\n" },
	{ &old, FROM "Content-Type: TEXT/html\r\nContent-Transfer-Encoding :\r\n"
	    " Binary\r\n\r\nhello \xE9\r\n",
	    FROM "Content-Type: TEXT/html; charset=unknown-8bit\r\n" V CTE "quoted-printable\r\n\r\n"
	    "hello =E9\r\n" },
	/* A charset for a field that is 8-bit itself, or long. */
	{ &usual, FROM "Content-Type: text/plain; name=\"\xC3\xA9\"\r\n\r\n"
	    "\xC3\xA9\r\n",
	    FROM "Content-Type: text/plain;\r\n name*=utf-8''%C3%A9; "
	    "charset=utf-8\r\n" V CTE "8bit\r\n\r\n\xC3\xA9\r\n" },
	{ &modern, "Content-Type: text/" Y900 "\r\n\r\n\xC3\xA9\r\n",
	    "Content-Type: text/" Y900 ";\r\n charset=utf-8\r\n" V CTE
	    "8bit\r\n\r\n\xC3\xA9\r\n" },
	{ &old, FROM "\r\n\xC3\xA9\xC3\xA9\r\n",
	    FROM V "Content-Type: text/plain; charset=utf-8\r\n" CTE
	    "base64\r\n\r\nw6nDqQ0K\r\n" },
	/* Encoded already, wrongly. */
	{ &old, FROM CTE "quoted-printable\r\n\r\n=C3=A9 \xC3\xA9=\r\n\r\n",
	    FROM CTE "quoted-printable\r\n\r\n=C3=A9 =C3=A9=\r\n\r\n" },
	{ &old, FROM CTE "base64\r\n\r\nw6k=\xC3\r\n", NULL },
	/* Parts are not looked into. */
	{ &old, FROM "Content-Type: multipart/mixed; boundary=x\r\n\r\n"
	    "--x\r\n\r\n\xC3\xA9\r\n--x--\r\n", NULL },
	{ &old, FROM "Content-Type: message/rfc822\r\n\r\nSubject: \xC3\xA9\r\n"
	    "\r\nx\r\n", NULL },

	/* Long lines. */
	{ &modern, FROM "\r\n" Y998 "yy\r\n",
	    FROM V "Content-Type: text/plain; charset=us-ascii\r\n" CTE
	    "quoted-printable\r\n\r\n" Q1000 },
	{ &usual, FROM PLAIN "\r\n" Y998 "yy\r\n",
	    FROM PLAIN V CTE "quoted-printable\r\n\r\n" Q1000 },
	{ &usual, FROM "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n"
	    "\r\n" Y998 "yy\r\n--x--\r\n",
	    FROM "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n"
	    "\r\n" Y998 "\r\n yy\r\n--x--\r\n" },
	{ &usual, FROM "Content-Type: Message/RFC822\r\n\r\nX: y\r\n\r\n" Y998
	    "y\r\n",
	    FROM "Content-Type: Message/RFC822\r\n\r\nX: y\r\n\r\n" Y998
	    "\r\n y\r\n" },
	{ &usual, FROM CTE "x-uuencode\r\n\r\n" Y998 "y\r\n",
	    FROM CTE "x-uuencode\r\n\r\n" Y998 "\r\n y\r\n" },
	{ &usual, FROM CTE "base64\r\n\r\n" Y998 "yy\r\nyyyy\r\n",
	    FROM CTE "base64\r\n\r\n" Y76 "\r\n" Y76 "\r\n" Y76 "\r\n" Y76 "\r\n"
	    Y76 "\r\n" Y76 "\r\n" Y76 "\r\n" Y76 "\r\n" Y76 "\r\n" Y76 "\r\n"
	    Y76 "\r\n" Y76 "\r\n" Y76 "\r\nyyyyyyyyyyyy\r\nyyyy\r\n" },
	{ &usual, FROM CTE "quoted-printable\r\n\r\na =3D\r\n" Y998 "yy\r\n",
	    FROM CTE "quoted-printable\r\n\r\na =3D\r\n" Q1000 },

	/* Signed: never touched. */
	{ &old, FROM "DKIM-Signature: v=1\r\nSubject: \xC3\xA9\r\n\r\n\xC3\xA9"
	    Y998 "\r\n", NULL },
	{ &old, "Content-Type: multipart/signed; boundary=x\r\n\r\n\xC3\xA9" Y998
	    "\r\n", NULL },
	{ &old, "content-type:\r\n\tApplication/PKCS7-MIME; x=y\r\n\r\n\xC3\xA9\r\n",
	    NULL },
	{ &old, "Content-Type: application/x-pkcs7-mime\r\n\r\n\xC3\xA9\r\n", NULL },

	/* Which fields, and how. */
	{ &usual, "X-Caf\xC3: \xC3\xA9" "a\r\nResent-To: \xC3\xA9" "a <\xC3\xA9@b>"
	    "\r\nReceived: from \xC3\xA9\r\nReferences: <\xC3\xA9@b>\r\n"
	    "Content-Disposition: inline; filename=\xC3\xA9\r\nSubject : \xC3\xA9"
	    "a\r\n\tb\r\nComment: \xC3\xA9\r\n\r\n",
	    "X-Caf\xC3: =?utf-8?B?w6lh?=\r\nResent-To: =?utf-8?B?w6lh?= "
	    "<\xC3\xA9@b>\r\nReceived: from \xC3\xA9\r\nReferences: <\xC3\xA9@b>"
	    "\r\nContent-Disposition: inline;\r\n filename*=utf-8''%C3%A9\r\n"
	    "Subject : =?utf-8?B?w6lh?=\r\n\tb\r\nComment: =?utf-8?B?w6k=?=\r\n\r\n" }
};

static void
whole_messages_byte_for_byte(void **state)
{
	struct done d;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof whole / sizeof whole[0]; i++) {
		adapt(&d, whole[i].in, whole[i].peer);
		if (whole[i].out == NULL)
			assert_int_equal(d.rc, 0);
		else {
			assert_int_equal(d.rc, 1);
			assert_string_equal(buf_str(&d.text), whole[i].out);
		}
		buf_free(&d.text);
	}
}

/* Without its flags a message is not even looked at. */
static void
a_plain_message_costs_nothing(void **state)
{
	struct spool in = { .fd = -1, .size = 1000 }, out;
	struct result res = { 0 };

	(void)state;
	assert_int_equal(mime_adapt(&in, &old, NULL, &out, &res), 0);
}

/* --- round trips --- */

static void
check_round_trip(const char *head, const char *body, size_t n,
    const struct mime_peer *peer)
{
	struct buf text = { 0 };
	struct done d;

	buf_addf(&text, "%s\r\n", head);
	buf_add(&text, body, n);
	adapt_n(&d, text.p, text.len, peer);
	check_body(&d, body, n);
	assert_false(d.out.has_8bit);
	assert_false(d.out.has_long);
	buf_free(&d.text);
	buf_free(&text);
}

static void
lines_of_every_critical_length(void **state)
{
	static const size_t lengths[] = { 999, 1000, 1001, 1995, 8208, 100000 };
	static const char *const texts[] = { "abcdefg ", "caf\xC3\xA9 . ",
		"\xE2\x82\xAC", "\xF0\x9F\x98\x80\xFF", "\xE4\xB8\xAD=" };
	struct buf body = { 0 };
	size_t i, k;

	(void)state;
	for (i = 0; i < sizeof lengths / sizeof lengths[0]; i++)
		for (k = 0; k < sizeof texts / sizeof texts[0]; k++) {
			buf_reset(&body);
			buf_adds(&body, "first\r\n\r\n.\r\n");
			while (body.len < lengths[i] + 12)
				buf_adds(&body, texts[k]);
			body.len = lengths[i] + 12;
			buf_adds(&body, "\r\nlast \r\n");
			check_round_trip(FROM, body.p, body.len, &modern);
			check_round_trip(FROM PLAIN, body.p, body.len, &usual);
		}
	buf_free(&body);
}

static void
lines_up_to_998_stay(void **state)
{
	struct buf text = { 0 };
	struct done d;
	size_t n;

	(void)state;
	for (n = 990; n <= 1002; n++) {
		buf_reset(&text);
		buf_adds(&text, FROM PLAIN "\r\n");
		while (text.len < n + strlen(FROM PLAIN "\r\n"))
			buf_addc(&text, 'x');
		buf_adds(&text, "\r\n\xE9\r\n");
		adapt_n(&d, text.p, text.len, &usual);
		assert_int_equal(d.rc, n > 998);
		buf_free(&d.text);
	}
	buf_free(&text);
}

static void
every_byte_value(void **state)
{
	char body[600];
	size_t n = 0;
	unsigned c, round;

	(void)state;
	for (round = 0; round < 2; round++) {
		for (c = 1; c < 256; c++)
			if (c != '\r' && c != '\n')
				body[n++] = (char)c;
		memcpy(body + n, "\r\n", 2);
		n += 2;
	}
	check_round_trip(FROM, body, n, &old);
	check_round_trip(FROM PLAIN CTE "8bit\r\n" V, body, n, &old);
	check_round_trip("Content-Type: application/octet-stream\r\n", body, n,
	    &old);
}

/* Bodies around the size of a block: characters are cut in two there. */
static void
utf8_across_the_blocks(void **state)
{
	struct buf text = { 0 };
	struct done d;
	size_t shift, size;

	(void)state;
	for (size = 8190; size < 8230; size++)
		for (shift = 0; shift < 2; shift++) {
			buf_reset(&text);
			buf_adds(&text, FROM "\r\n");
			while (text.len < size)
				buf_adds(&text, "0123456\r\n");
			text.len = size;
			buf_adds(&text, shift ? "\xF0\x9F\x98\x80\r\nx\r\n" :
			    "\xE2\x82\xAC");
			buf_adds(&text, "\r\n");
			adapt_n(&d, text.p, text.len, &usual);
			assert_int_equal(d.rc, 1);
			assert_non_null(strstr(d.text.p, "charset=utf-8\r\n"));
			assert_memory_equal(d.text.p + d.head_len,
			    text.p + strlen(FROM), text.len - strlen(FROM));
			buf_free(&d.text);
			/* Cut off for good, it is none. */
			text.len -= shift ? 8 : 3;
			buf_adds(&text, "\r\n");
			adapt_n(&d, text.p, text.len, &usual);
			assert_non_null(strstr(d.text.p,
			    "charset=unknown-8bit\r\n"));
			buf_free(&d.text);
		}
	buf_free(&text);
}

/* A header longer than a block, cut at every place near its end. */
static void
headers_across_the_blocks(void **state)
{
	struct buf text = { 0 };
	struct done d;
	size_t size;

	(void)state;
	for (size = 8150; size < 8215; size++) {
		buf_reset(&text);
		buf_adds(&text, "X-A: b\r\n\tc");
		while (text.len < size)
			buf_adds(&text, text.len % 70 ? "x" : "\r\n y");
		buf_adds(&text, "\r\nSubject: \xC3\xA9" "a\r\n b\r\n\r\n b\r\n");
		adapt_n(&d, text.p, text.len, &usual);
		assert_int_equal(d.rc, 1);
		assert_memory_equal(d.text.p, text.p, size);
		assert_string_equal(strstr(d.text.p, "\r\nSubject"),
		    "\r\nSubject: =?utf-8?B?w6lh?=\r\n b\r\n\r\n b\r\n");
		buf_free(&d.text);
	}
	buf_free(&text);
}

static void
the_shorter_encoding_is_taken(void **state)
{
	struct buf body = { 0 };
	struct done d;
	unsigned of;

	(void)state;
	/* One escaped byte of 3 ... 9: up to one in six it is qp. */
	for (of = 3; of < 10; of++) {
		buf_reset(&body);
		buf_adds(&body, FROM "\r\n");
		while (body.len < 1000)
			buf_addc(&body, body.len % of ? 'x' : '\xE9');
		buf_adds(&body, "\r\n");
		adapt(&d, body.p, &old);
		assert_int_equal(strstr(d.text.p, "quoted-printable") != NULL,
		    of > 5);
		buf_free(&d.text);
	}
	buf_free(&body);
}

static void
a_field_of_256_kib(void **state)
{
	static const char word[] = "caf\xC3\xA9 ";
	struct buf text = { 0 }, want = { 0 }, back = { 0 };
	struct done d;
	unsigned i;

	(void)state;
	buf_adds(&text, "Subject:");
	for (i = 0; text.len < 256 * 1024 - 100; i++) {
		buf_adds(&text, i % 50 ? " " : "\r\n\t");
		buf_adds(&text, i % 7 ? word : "plain");
		buf_adds(&want, i % 50 ? " " : "\t");
		buf_adds(&want, i % 7 ? word : "plain");
	}
	buf_adds(&text, "\r\n\r\n");
	adapt_n(&d, text.p, text.len, &old);
	assert_int_equal(d.rc, 1);
	assert_false(d.out.has_8bit);
	decode_words(d.text.p + 8, d.text.len - 8, &back);
	assert_string_equal(buf_str(&back), want.p);
	buf_free(&back);
	buf_free(&want);
	buf_free(&d.text);
	buf_free(&text);
}

static void
a_spool_that_is_too_short_is_an_io_error(void **state)
{
	static const char text[] = FROM "\r\n\xC3\xA9\r\n";
	struct spool in, out;
	struct result res = { 0 };
	char why[80];
	off_t cut;

	(void)state;
	snprintf(why, sizeof why, "the stored message cannot be read: %s",
	    strerror(EIO));
	store(&in, text, sizeof text - 1);
	for (cut = 1; cut < 100000; cut *= 10) {
		in.size = (off_t)sizeof text - 1 + cut;
		assert_int_equal(mime_adapt(&in, &old, NULL, &out, &res), -1);
		assert_int_equal(res.exit, EXIT_IO);
		assert_string_equal(res.text, why);
	}
	spool_close(&in);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_messages_byte_for_byte),
		cmocka_unit_test(a_plain_message_costs_nothing),
		cmocka_unit_test(lines_of_every_critical_length),
		cmocka_unit_test(lines_up_to_998_stay),
		cmocka_unit_test(every_byte_value),
		cmocka_unit_test(utf8_across_the_blocks),
		cmocka_unit_test(headers_across_the_blocks),
		cmocka_unit_test(the_shorter_encoding_is_taken),
		cmocka_unit_test(a_field_of_256_kib),
		cmocka_unit_test(a_spool_that_is_too_short_is_an_io_error)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
