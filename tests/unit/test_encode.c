/* Encodings of bodies and header fields, proven by decoders of their own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "decode.h"
#include "lib/mail/encode.h"

/* An encoder with its spool, and what came out of it. */
struct work {
	struct encoder e;
	struct spool spool;
	struct result res;
	struct buf out;
};

static void
start(struct work *w)
{
	memset(w, 0, sizeof *w);
	assert_int_equal(spool_open(&w->spool, NULL, &w->res), 0);
	w->e.to = &w->spool;
	w->e.res = &w->res;
}

static void
finish(struct work *w)
{
	char block[4096];
	ssize_t n;

	encode_flush(&w->e);
	assert_false(w->e.failed);
	assert_int_equal(spool_finish(&w->spool, &w->res), 0);
	while ((n = spool_read(&w->spool, block, sizeof block,
	    (off_t)w->out.len)) > 0)
		buf_add(&w->out, block, (size_t)n);
	assert_int_equal(n, 0);
	spool_close(&w->spool);
}

/* Deterministic noise. */
static unsigned
noise(unsigned *seed)
{
	*seed = *seed * 1103515245u + 12345u;
	return *seed >> 16 & 0x7FFF;
}

/* --- quoted-printable --- */

#define X10 "xxxxxxxxxx"
#define X75 X10 X10 X10 X10 X10 X10 X10 "xxxxx"

static const struct { const char *in, *out; } qp[] = {
	{ "", "" },
	{ "\r\n", "\r\n" },
	{ "plain text\r\n", "plain text\r\n" },
	{ "1 + 1 = 2\r\n", "1 + 1 =3D 2\r\n" },
	{ "Gr\xC3\xBC\xC3\x9F" "e\r\n", "Gr=C3=BC=C3=9Fe\r\n" },
	{ "\xFF\x80\x7F\x01\r\n", "=FF=80=7F=01\r\n" },
	{ "a \r\nb\t\r\n c\td\r\n", "a=20\r\nb=09\r\n c\td\r\n" },
	{ "  \r\n", " =20\r\n" },
	{ "-- \r\n", "--=20\r\n" },
	{ ".\r\n..\r\na.\r\n", "=2E\r\n=2E.\r\na.\r\n" },
	{ "From me\r\nfrom F\r\nFor\r\n a From b\r\n",
	    "=46rom me\r\nfrom F\r\nFor\r\n a From b\r\n" },
	/* 76 characters are a line, 77 are not. */
	{ X75 "\r\n", X75 "\r\n" },
	{ X75 "x\r\n", X75 "x\r\n" },
	{ X75 "xx\r\n", X75 "=\r\nxx\r\n" },
	{ X75 "x.\r\n", X75 "=\r\nx.\r\n" },
	{ X75 ".x\r\n", X75 "=\r\n=2Ex\r\n" },
	{ X75 "From \r\n", X75 "=\r\n=46rom=20\r\n" },
	{ X75 " \r\n", X75 "=\r\n=20\r\n" },
	{ X75 "=\r\n", X75 "=\r\n=3D\r\n" },
	{ X10 X10 X10 X10 X10 X10 X10 "xxx=\r\n",
	    X10 X10 X10 X10 X10 X10 X10 "xxx=3D\r\n" }
};

static void
quoted_printable_byte_for_byte(void **state)
{
	struct work w;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof qp / sizeof qp[0]; i++) {
		start(&w);
		encode_qp(&w.e, qp[i].in, strlen(qp[i].in), false);
		finish(&w);
		assert_string_equal(buf_str(&w.out), qp[i].out);
		assert_false(w.e.has_8bit);
		buf_free(&w.out);
	}
}

/* Encode in two pieces and decode. */
static void
check_qp(const char *text, size_t n, size_t cut)
{
	struct work w;
	struct buf back = { 0 };

	start(&w);
	encode_qp(&w.e, text, cut, false);
	encode_qp(&w.e, text + cut, n - cut, false);
	finish(&w);
	decode_qp(buf_str(&w.out), w.out.len, &back);
	assert_int_equal(back.len, n);
	assert_memory_equal(buf_str(&back), text, n);
	buf_free(&back);
	buf_free(&w.out);
}

static void
every_byte_in_every_split(void **state)
{
	char text[512];
	size_t n = 0, cut;
	unsigned c;

	(void)state;
	for (c = 1; c < 256; c++)
		if (c != '\r' && c != '\n')
			text[n++] = (char)c;
	memcpy(text + n, " \r\n.\r\nFrom x \r\n\t\r\n\r\n", 20);
	n += 20;
	for (cut = 0; cut <= n; cut++)
		check_qp(text, n, cut);
}

static void
every_length_of_line(void **state)
{
	static char text[100100];
	static const size_t lengths[] = { 997, 998, 999, 1000, 1001, 100000 };
	size_t n, i;

	(void)state;
	for (i = 0; i < sizeof text; i++)
		text[i] = "a =.F\xC3\xA9\t"[i % 8];
	for (n = 0; n < 320; n++) {
		memcpy(text + n, "\r\n", 2);
		check_qp(text, n + 2, n / 2);
		text[n] = "a =.F\xC3\xA9\t"[n % 8];
		text[n + 1] = "a =.F\xC3\xA9\t"[(n + 1) % 8];
	}
	for (i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
		n = lengths[i];
		memcpy(text + n, "\r\n", 2);
		check_qp(text, n + 2, n / 3);
		text[n] = text[n + 1] = 'x';
	}
}

/* What is quoted-printable already, with lines that are too long. */
static const struct { const char *in, *out; } again[] = {
	{ "=C3=A9 = soft \xC3\xA9=\r\nx=20\r\n",
	    "=C3=A9 = soft =C3=A9=\r\nx=20\r\n" },
	{ X75 "x\r\n", X75 "x\r\n" },
	{ X75 "=\r\nx\r\n", X75 "=\r\nx\r\n" },
	{ X75 "xxx=3Dx\r\n", X75 "=\r\nxxx=3Dx\r\n" },
	/* No break inside =XX. */
	{ X10 X10 X10 X10 X10 X10 X10 "xxx=3Dyy\r\n",
	    X10 X10 X10 X10 X10 X10 X10 "xxx=\r\n=3Dyy\r\n" },
	{ X75 "=3Dyy\r\n", X75 "=\r\n=3Dyy\r\n" },
	{ X10 X10 X10 X10 X10 X10 X10 "xx=C3=A9yy\r\n",
	    X10 X10 X10 X10 X10 X10 X10 "xx=C3=\r\n=A9yy\r\n" },
	/* Blanks at the end mean nothing, and go on doing so. */
	{ "a \r\n", "a \r\n" }
};

static void
quoted_printable_again(void **state)
{
	struct work w;
	size_t i, cut, n;

	(void)state;
	for (i = 0; i < sizeof again / sizeof again[0]; i++) {
		n = strlen(again[i].in);
		for (cut = 0; cut <= n; cut += n) {
			start(&w);
			encode_qp(&w.e, again[i].in, cut, true);
			encode_qp(&w.e, again[i].in + cut, n - cut, true);
			finish(&w);
			assert_string_equal(buf_str(&w.out), again[i].out);
			buf_free(&w.out);
		}
	}
}

/* Encoded, its soft breaks taken out, encoded again in pieces: the same text. */
static void
again_keeps_what_it_decodes_to(void **state)
{
	struct work w;
	struct buf one = { 0 }, back = { 0 }, text = { 0 };
	unsigned seed = 7;
	const char *p, *soft;
	size_t i, cut;

	(void)state;
	for (i = 0; i < 3000; i++)
		buf_addc(&text, (char)(noise(&seed) % 5 ?
		    'a' + (int)(noise(&seed) % 26) : 128 + (int)(i % 128)));
	buf_adds(&text, "\r\n");
	start(&w);
	encode_qp(&w.e, text.p, text.len, false);
	finish(&w);
	for (p = w.out.p; (soft = strstr(p, "=\r\n")) != NULL; p = soft + 3)
		buf_add(&one, p, (size_t)(soft - p));
	buf_adds(&one, p);
	buf_free(&w.out);
	assert_true(longest_line(one.p, one.len) > 3000);
	for (cut = 0; cut < 200; cut++) {
		start(&w);
		encode_qp(&w.e, one.p, cut, true);
		encode_qp(&w.e, one.p + cut, one.len - cut, true);
		finish(&w);
		buf_reset(&back);
		decode_qp(w.out.p, w.out.len, &back);
		assert_int_equal(back.len, text.len);
		assert_memory_equal(back.p, text.p, text.len);
		buf_free(&w.out);
	}
	buf_free(&one);
	buf_free(&back);
	buf_free(&text);
}

/* --- base64 and folding --- */

static void
base64_of_every_length(void **state)
{
	char text[400];
	struct work w;
	struct buf back = { 0 };
	size_t n;

	(void)state;
	for (n = 0; n < sizeof text; n++)
		text[n] = (char)(n * 37);
	for (n = 0; n <= sizeof text; n++) {
		start(&w);
		encode_base64(&w.e, text, n);
		finish(&w);
		buf_reset(&back);
		decode_base64(buf_str(&w.out), w.out.len, &back);
		assert_int_equal(back.len, n);
		assert_memory_equal(buf_str(&back), text, n);
		buf_free(&w.out);
	}
	buf_free(&back);
}

static void
base64_line_by_line(void **state)
{
	struct work w;

	(void)state;
	start(&w);
	encode_base64(&w.e, X10 X10 X10 X10 X10 "1234567" "89", 59);
	finish(&w);
	assert_string_equal(w.out.p,
	    "eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHgx"
	    "MjM0NTY3\r\nODk=\r\n");
	buf_free(&w.out);
}

/* Fold, check each line, and undo it. */
static void
check_fold(const char *text, size_t n, size_t cut)
{
	struct work w;
	struct buf back = { 0 };
	const char *p, *fold;

	start(&w);
	encode_fold(&w.e, text, cut, 998, "\r\n ");
	encode_fold(&w.e, text + cut, n - cut, 998, "\r\n ");
	finish(&w);
	assert_in_range(longest_line(w.out.p, w.out.len), 0, 998);
	for (p = w.out.p; (fold = strstr(p, "\r\n ")) != NULL; p = fold + 3) {
		assert_int_not_equal(fold[3] & 0xC0, 0x80);
		buf_add(&back, p, (size_t)(fold - p));
	}
	buf_adds(&back, p);
	assert_int_equal(back.len, n);
	assert_memory_equal(back.p, text, n);
	buf_free(&back);
	buf_free(&w.out);
}

static void
folds_never_inside_a_character(void **state)
{
	static const char *const chars[] = { "x", "\xC3\xA9", "\xE2\x82\xAC",
		"\xF0\x9F\x98\x80" };
	struct buf text = { 0 };
	size_t i, shift;

	(void)state;
	for (i = 0; i < 4; i++)
		for (shift = 0; shift < 5; shift++) {
			buf_reset(&text);
			buf_add(&text, "abcdef", shift);
			while (text.len < 3300)
				buf_adds(&text, chars[i]);
			buf_adds(&text, "\r\n");
			check_fold(text.p, text.len, 0);
			check_fold(text.p, text.len, 997);
		}
	buf_free(&text);
}

static void
folds_over_998_and_only_then(void **state)
{
	static const size_t lengths[] = { 997, 998, 999, 1000, 1001, 1995, 1996,
		100000 };
	static char text[100002];
	struct work w;
	size_t i, n;

	(void)state;
	for (i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
		n = lengths[i];
		memset(text, 'x', n);
		memcpy(text + n, "\r\n", 2);
		check_fold(text, n + 2, n);
		start(&w);
		encode_fold(&w.e, text, n + 2, 998, "\r\n ");
		finish(&w);
		/* 998, then 997 behind each blank. */
		assert_int_equal(w.out.len, n + 2 +
		    (n <= 998 ? 0 : (n - 998 + 996) / 997 * 3));
		buf_free(&w.out);
	}
}

/* --- header fields --- */

#define E5 "\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9"
#define E40 E5 E5 E5 E5 E5 E5 E5 E5
#define B36 "w6nDqcOpw6nDqcOpw6nDqcOpw6nDqcOpw6nD"

static const struct row {
	enum encode_syntax syntax;
	const char *in, *out;
} fields[] = {
	{ ENCODE_TEXT, "Subject: plain\r\n", "Subject: plain\r\n" },
	{ ENCODE_TEXT, "Subject: Gr\xC3\xBC\xC3\x9F" "e\r\n",
	    "Subject: =?utf-8?B?R3LDvMOfZQ==?=\r\n" },
	{ ENCODE_TEXT, "Subject:Gr\xC3\xBC\xC3\x9F" "e\r\n",
	    "Subject: =?utf-8?B?R3LDvMOfZQ==?=\r\n" },
	/* Only the words that need it, and the blanks between two of them. */
	{ ENCODE_TEXT, "Subject: to J\xC3\xB6rg  M\xC3\xBCller from me \r\n",
	    "Subject: to =?utf-8?B?SsO2cmcgIE3DvGxsZXI=?= from me \r\n" },
	{ ENCODE_TEXT, "Subject: \xC3\xA9\r\n \xC3\xA8 a\r\n",
	    "Subject: =?utf-8?B?w6kgw6g=?= a\r\n" },
	{ ENCODE_TEXT, "Subject: a=b?c_d\xC3\xA9"
	    "aaaaaaaaaaaaaaaaaaaaaaaa\r\n",
	    "Subject: =?utf-8?Q?a=3Db=3Fc=5Fd=C3=A9"
	    "aaaaaaaaaaaaaaaaaaaaaaaa?=\r\n" },
	{ ENCODE_TEXT, "Subject: Sch\xC3\xB6ne-Dinge\r\n",
	    "Subject: =?utf-8?Q?Sch=C3=B6ne-Dinge?=\r\n" },
	/* Latin-1 is not guessed. */
	{ ENCODE_TEXT, "Subject: caf\xE9 cr\xE8me\r\n",
	    "Subject: =?unknown-8bit?Q?caf=E9_cr=E8me?=\r\n" },
	/* Beside what is encoded already the blank must be encoded, too. */
	{ ENCODE_TEXT, "Subject: =?utf-8?Q?a?= caf\xC3\xA9\r\n",
	    "Subject: =?utf-8?Q?a?= =?utf-8?B?IGNhZsOp?=\r\n" },
	{ ENCODE_TEXT, "Subject: caf\xC3\xA9 =?utf-8?Q?a?= b\r\n",
	    "Subject: =?utf-8?B?Y2Fmw6kg?= =?utf-8?Q?a?= b\r\n" },
	{ ENCODE_TEXT, "Subject: =?utf-8?Q?a?= b caf\xC3\xA9\r\n",
	    "Subject: =?utf-8?Q?a?= b =?utf-8?B?Y2Fmw6k=?=\r\n" },
	/* Base64 where it is shorter, in several words, whole characters each. */
	{ ENCODE_TEXT, "Subject: " E40 "\r\n",
	    "Subject: =?utf-8?B?" B36 "qcOpw6nDqcOpw6k=?=\r\n"
	    " =?utf-8?B?" B36 "qcOpw6nDqcOpw6nDqcOp?=\r\n" },
	/* Near the end of the line a new one is begun, at a blank. */
	{ ENCODE_TEXT, "Subject: 45678901234567890123456789012345678901234567 "
	    "\xC3\xA9" "a\r\n",
	    "Subject: 45678901234567890123456789012345678901234567\r\n "
	    "=?utf-8?B?w6lh?=\r\n" },
	{ ENCODE_TEXT, "X-A-Very-Long-Name-Of-A-Header-Field-Indeed-Sir: "
	    "\xC3\xA9" "a\r\n",
	    "X-A-Very-Long-Name-Of-A-Header-Field-Indeed-Sir:\r\n "
	    "=?utf-8?B?w6lh?=\r\n" },
	/* No second line end where there is one already. */
	{ ENCODE_TEXT, "Subject: a\r\n                            \xC3\xA9"
	    "a\r\n",
	    "Subject: a\r\n                            =?utf-8?B?w6lh?=\r\n" },

	/* Addresses stay, names do not. */
	{ ENCODE_ADDRESSES, "To: J\xC3\xB6rg <j\xC3\xB6@d.example>\r\n",
	    "To: =?utf-8?B?SsO2cmc=?= <j\xC3\xB6@d.example>\r\n" },
	{ ENCODE_ADDRESSES, "To: \"M\xC3\xBCller, J\xC3\xB6rg\" "
	    "<\"a b\"@d.example>, b@d.example\r\n",
	    "To: =?utf-8?B?TcO8bGxlciwgSsO2cmc=?= "
	    "<\"a b\"@d.example>, b@d.example\r\n" },
	/* A fold is not escaped. */
	{ ENCODE_ADDRESSES, "To: caf\xC3\xA9\\\r\n <a@b.example>\r\n",
	    "To: =?utf-8?B?Y2Fmw6lc?=\r\n <a@b.example>\r\n" },
	{ ENCODE_ADDRESSES, "To: \"a\\\"b\\\\c caf\xC3\xA9\" <a@b.example>\r\n",
	    "To: =?utf-8?B?YSJiXGMgY2Fmw6k=?= <a@b.example>\r\n" },
	{ ENCODE_ADDRESSES, "To: Caf\xC3\xA9<a@b.example>,Caf\xC3\xA9 "
	    "<c@b.example>\r\n",
	    "To: =?utf-8?B?Q2Fmw6k=?= <a@b.example>, =?utf-8?B?Q2Fmw6k=?= "
	    "<c@b.example>\r\n" },
	{ ENCODE_ADDRESSES, "Cc: Gro\xC3\xBC" "e: a@b.example, "
	    "\"c\" <c@b.example>;\r\n",
	    "Cc: =?utf-8?B?R3Jvw7xl?= : a@b.example, \"c\" <c@b.example>;\r\n" },
	{ ENCODE_ADDRESSES, "From: a@b.example (Caf\xC3\xA9 \"x\" (y \\) "
	    "caf\xC3\xA9))\r\n",
	    "From: a@b.example (=?utf-8?B?Q2Fmw6k=?= \"x\" (y \\)\r\n "
	    "=?utf-8?B?Y2Fmw6k=?=))\r\n" },
	/* Quotes are text in a comment, and marks outside of it. */
	{ ENCODE_ADDRESSES, "From: \"Caf\xC3\xA9\"(\"caf\xC3\xA9\") <a@b.c>\r\n",
	    "From: =?utf-8?B?Q2Fmw6k=?= (=?utf-8?B?ImNhZsOpIg==?=) "
	    "<a@b.c>\r\n" },
	/* Addresses without <>, quoted too. */
	{ ENCODE_ADDRESSES, "To: caf\xC3\xA9@b.example, \"caf\xC3\xA9\"@b.c\r\n",
	    "To: caf\xC3\xA9@b.example, \"caf\xC3\xA9\"@b.c\r\n" },
	/* A quote that does not end is left alone. */
	{ ENCODE_ADDRESSES, "To: \"Caf\xC3\xA9 <a@b.example>\r\n",
	    "To: \"Caf\xC3\xA9 <a@b.example>\r\n" },
	{ ENCODE_ADDRESSES, "To: Caf\xC3\xA9 <a@b.example\r\n",
	    "To: =?utf-8?B?Q2Fmw6k=?= <a@b.example\r\n" },
	{ ENCODE_ADDRESSES, "To: a b, c (caf\xC3\xA9\r\n",
	    "To: a b, c (=?utf-8?B?Y2Fmw6k=?=\r\n" },

	/* Parameters. */
	{ ENCODE_PARAMETERS, "Content-Disposition: attachment;\r\n"
	    " filename=\"Gr\xC3\xBC\xC3\x9F" "e 1.txt\"; size=1\r\n",
	    "Content-Disposition: attachment;\r\n"
	    " filename*=utf-8''Gr%C3%BC%C3%9Fe%201.txt; size=1\r\n" },
	{ ENCODE_PARAMETERS, "Content-Type: text/plain; name=Gr\xC3\xBC; a=b\r\n",
	    "Content-Type: text/plain;\r\n name*=utf-8''Gr%C3%BC; a=b\r\n" },
	{ ENCODE_PARAMETERS, "Content-Type: text/plain;name=\"a;\\\"\xC3\xBC\"\r\n",
	    "Content-Type: text/plain;\r\n name*=utf-8''a%3B%22%C3%BC\r\n" },
	/* Not simple: left alone. */
	{ ENCODE_PARAMETERS, "Content-Type: text/plain; name=\"caf\xE9\"\r\n",
	    "Content-Type: text/plain; name=\"caf\xE9\"\r\n" },
	{ ENCODE_PARAMETERS, "Content-Type: a/b; name*0=\"a\"; x*=\xC3\xBC\r\n",
	    "Content-Type: a/b; name*0=\"a\"; x*=\xC3\xBC\r\n" },
	{ ENCODE_PARAMETERS, "Content-Type: \xC3\xBC/b; \"\xC3\xBC=\"; =\xC3\xBC;"
	    " name = \"\xC3\xBC\"\r\n",
	    "Content-Type: \xC3\xBC/b; \"\xC3\xBC=\"; =\xC3\xBC;"
	    " name = \"\xC3\xBC\"\r\n" }
};

static void
encode(struct work *w, const char *field, size_t n, enum encode_syntax syntax)
{
	char *copy = malloc(n);		/* exactly: an overrun is seen */

	assert_non_null(copy);
	memcpy(copy, field, n);
	start(w);
	encode_field(&w->e, copy, (size_t)(strchr(field, ':') - field) + 1, n,
	    syntax);
	finish(w);
	free(copy);
}

static void
header_fields_byte_for_byte(void **state)
{
	struct work w;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof fields / sizeof fields[0]; i++) {
		encode(&w, fields[i].in, strlen(fields[i].in),
		    fields[i].syntax);
		assert_string_equal(buf_str(&w.out), fields[i].out);
		buf_free(&w.out);
	}
}

/* No line of a header may be empty, or blank, or too long. */
static void
check_lines(const struct buf *text)
{
	const char *p = text->p, *cr;

	for (; *p; p = cr + 2) {
		cr = strstr(p, "\r\n");
		assert_non_null(cr);
		assert_true(cr > p);
		assert_true(cr - p <= 998);
		assert_true(p == text->p || *p == ' ' || *p == '\t');
		assert_true(strspn(p, " \t") < (size_t)(cr - p));
	}
}

static void
check_text(const struct buf *value)
{
	struct buf field = { 0 }, back = { 0 };
	struct work w;

	buf_addf(&field, "Subject: %s\r\n", buf_str(value));
	encode(&w, field.p, field.len, ENCODE_TEXT);
	assert_false(w.e.has_8bit);
	check_lines(&w.out);
	decode_words(w.out.p + 9, w.out.len - 9, &back);
	assert_string_equal(buf_str(&back), buf_str(value));
	buf_free(&field);
	buf_free(&back);
	buf_free(&w.out);
}

/* Words of all sorts and lengths, one blank between any two. */
static void
any_subject_decodes_to_what_it_was(void **state)
{
	static const char *const pieces[] = { "a", "\xC3\xA9", "\xE2\x82\xAC",
		"\xF0\x9F\x98\x80", "=", "?", "_", "word", ".", "\"", "\\", "(" };
	unsigned seed = 1, round, words, n;
	struct buf value = { 0 };

	(void)state;
	for (round = 0; round < 3000; round++) {
		buf_reset(&value);
		for (words = 1 + noise(&seed) % 12; words > 0; words--) {
			for (n = 1 + noise(&seed) % (round % 50 + 1); n > 0; n--)
				buf_adds(&value, pieces[noise(&seed) %
				    (round % 2 ? 12 : 4)]);
			if (words > 1)
				buf_adds(&value, " ");
		}
		check_text(&value);
	}
	buf_free(&value);
}

static void
every_8_bit_byte_in_a_subject(void **state)
{
	struct buf value = { 0 };
	unsigned c;

	(void)state;
	for (c = 128; c < 256; c++)
		buf_addc(&value, (char)c);
	check_text(&value);
	buf_reset(&value);
	for (c = 128; c < 256; c++)
		buf_addf(&value, "%s%c", c > 128 ? " x " : "", (int)c);
	check_text(&value);
	buf_free(&value);
}

static void
pad_to(struct buf *text, char with, size_t n)
{
	while (text->len < n)
		buf_addc(text, with);
}

/* Whatever stands beside an encoded word is folded away from it. */
static void
no_line_grows_over_998(void **state)
{
	struct buf value = { 0 };
	struct work w;
	size_t n;

	(void)state;
	for (n = 900; n < 975; n++) {
		buf_reset(&value);
		buf_adds(&value, "a");
		pad_to(&value, ' ', n);
		buf_adds(&value, "\xC3\xA9");
		check_text(&value);
		buf_reset(&value);
		buf_adds(&value, "Content-Type: a/b; c=\xC3\xA9; d=");
		pad_to(&value, 'x', n);
		buf_adds(&value, "\r\n");
		encode(&w, value.p, value.len, ENCODE_PARAMETERS);
		check_lines(&w.out);
		assert_non_null(strstr(w.out.p, "c*=utf-8''%C3%A9"));
		buf_free(&w.out);
	}
	for (n = 900; n < 987; n++) {
		buf_reset(&value);
		buf_adds(&value, "\xC3\xA9 ");
		pad_to(&value, 'x', n);
		check_text(&value);
	}
	/* What cannot be encoded is folded all the same. */
	buf_reset(&value);
	buf_adds(&value, "Content-Type: a/b; c=");
	pad_to(&value, '\xE9', 2500);
	buf_adds(&value, "\r\n");
	encode(&w, value.p, value.len, ENCODE_PARAMETERS);
	assert_in_range(longest_line(w.out.p, w.out.len), 990, 998);
	buf_free(&w.out);
	buf_free(&value);
}

static void
any_bytes_as_addresses_are_harmless(void **state)
{
	static const char some[] = "a \xC3\xA9\"\\()<>@,;:=?.\t\xFF[";
	char text[72];
	unsigned seed = 3, round, i, n;
	struct work w;

	(void)state;
	for (round = 0; round < 20000; round++) {
		memcpy(text, "To: a ", 6);
		n = 6 + noise(&seed) % 60;
		for (i = 6; i < n; i++)
			text[i] = some[noise(&seed) % (sizeof some - 1)];
		memcpy(text + n, "\r\n", 3);
		encode(&w, text, n + 2, round % 2 ? ENCODE_ADDRESSES :
		    ENCODE_PARAMETERS);
		assert_memory_equal(w.out.p, "To: a", 5);
		assert_in_range(longest_line(w.out.p, w.out.len), 5, 998);
		assert_null(strstr(w.out.p, "\r\n\r\n"));
		buf_free(&w.out);
	}
}

static void
a_failure_is_kept(void **state)
{
	struct work w;

	(void)state;
	start(&w);
	w.spool.max_size = 10;
	encode_string(&w.e, "more than ten bytes");
	encode_flush(&w.e);
	assert_true(w.e.failed);
	assert_int_equal(w.res.exit, EXIT_DATA);
	w.spool.max_size = 0;
	encode_string(&w.e, "more");
	encode_flush(&w.e);
	assert_true(w.e.failed);
	assert_int_equal(w.spool.size, 0);
	spool_close(&w.spool);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quoted_printable_byte_for_byte),
		cmocka_unit_test(every_byte_in_every_split),
		cmocka_unit_test(every_length_of_line),
		cmocka_unit_test(quoted_printable_again),
		cmocka_unit_test(again_keeps_what_it_decodes_to),
		cmocka_unit_test(base64_of_every_length),
		cmocka_unit_test(base64_line_by_line),
		cmocka_unit_test(folds_never_inside_a_character),
		cmocka_unit_test(folds_over_998_and_only_then),
		cmocka_unit_test(header_fields_byte_for_byte),
		cmocka_unit_test(any_subject_decodes_to_what_it_was),
		cmocka_unit_test(every_8_bit_byte_in_a_subject),
		cmocka_unit_test(no_line_grows_over_998),
		cmocka_unit_test(any_bytes_as_addresses_are_harmless),
		cmocka_unit_test(a_failure_is_kept)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
