/*
 * The encodings by themselves, in pieces of any size: decoded it is the same;
 * base64 and hexadecimal both ways.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/base/base64.h"
#include "lib/mail/encode.h"
#include "lib/mail/idn.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/decode.h"

enum { RAW, QP, BASE64, FOLD };

static void
write_piece(struct encoder *e, int kind, const char *p, size_t n)
{
	switch (kind) {
	case RAW:
		encode_raw(e, p, n);
		break;
	case QP:
		encode_qp(e, p, n, false);
		break;
	case BASE64:
		encode_base64(e, p, n);
		break;
	case FOLD:
		encode_fold(e, p, n, 40, "\r\n ");
		break;
	}
}

static void
encode(const struct buf *text, int kind, size_t piece, struct buf *out)
{
	struct result res = { 0 };
	struct spool sp;
	struct encoder *e = calloc(1, sizeof *e);
	char block[900];
	size_t at, n;
	ssize_t got;

	CHECK(spool_open(&sp, NULL, &res) == 0);
	e->to = &sp;
	e->res = &res;
	for (at = 0; at < text->len; at += n) {
		n = text->len - at < piece ? text->len - at : piece;
		write_piece(e, kind, text->p + at, n);
	}
	encode_flush(e);
	CHECK(!e->failed && spool_finish(&sp, &res) == 0);
	while ((got = spool_read(&sp, block, sizeof block,
	    (off_t)out->len)) > 0)
		buf_add(out, block, (size_t)got);
	CHECK(e->has_8bit == !mem_is_ascii(buf_str(out), out->len));
	spool_close(&sp);
	free(e);
}

static void
unfold(const struct buf *in, struct buf *out)
{
	size_t i, column = 0;

	for (i = 0; i < in->len; i++)
		if (i + 2 < in->len && memcmp(in->p + i, "\r\n ", 3) == 0)
			i += 2;
		else
			buf_addc(out, in->p[i]);
	for (i = 0; i < in->len; i++) {
		column = in->p[i] == '\n' ? 0 : column + 1;
		CHECK(column <= 40 + 1);
	}
}

static void
round_trip(const struct buf *text, int kind, size_t piece)
{
	struct buf out = { 0 }, back = { 0 };

	encode(text, kind, piece, &out);
	if (kind == QP)
		decode_qp(buf_str(&out), out.len, &back);
	else if (kind == BASE64)
		decode_base64(buf_str(&out), out.len, &back);
	else if (kind == FOLD)
		unfold(&out, &back);
	else
		buf_add(&back, out.p, out.len);
	if (kind != FOLD || strstr(buf_str(text), "\r\n ") == NULL)
		CHECK(back.len == text->len && memcmp(buf_str(&back),
		    buf_str(text), back.len) == 0);
	buf_free(&out);
	buf_free(&back);
}

/* "X: text" as a header field for a peer that takes ASCII alone. */
static void
field(const struct input *in, enum encode_syntax syntax)
{
	struct result res = { 0 };
	struct spool sp;
	struct encoder *e = calloc(1, sizeof *e);
	struct buf text = { 0 }, out = { 0 };
	char block[900];
	ssize_t n;
	size_t i;

	buf_adds(&text, "X: ");
	for (i = 0; i < in->n; i++)
		if (in->p[i] == '\n')
			buf_adds(&text, "\r\n ");
		else if (in->p[i] != '\r' && in->p[i] != '\0')
			buf_addc(&text, (char)in->p[i]);
	buf_adds(&text, "\r\n");
	CHECK(spool_open(&sp, NULL, &res) == 0);
	e->to = &sp;
	e->res = &res;
	encode_field(e, text.p, 2, text.len, syntax);
	encode_flush(e);
	CHECK(!e->failed && spool_finish(&sp, &res) == 0);
	while ((n = spool_read(&sp, block, sizeof block, (off_t)out.len)) > 0)
		buf_add(&out, block, (size_t)n);
	CHECK(out.len > 4 && longest_line(out.p, out.len) <= 998);
	for (i = 0; i + 2 < out.len; i++)
		CHECK(out.p[i] != '\n' || out.p[i + 1] == ' ' ||
		    out.p[i + 1] == '\t');
	if (syntax == ENCODE_TEXT)
		CHECK(mem_is_ascii(out.p, out.len));
	spool_close(&sp);
	buf_free(&text);
	buf_free(&out);
	free(e);
}

static void
base64_both_ways(const struct input *in)
{
	size_t size = BASE64_SIZE(in->n), n;
	char *text = malloc(size + 1), *hex = malloc(2 * in->n + 1);
	unsigned char *back = malloc(in->n + 1), *prefix = malloc(in->n + 3);
	ssize_t got;

	CHECK(base64_encode(text, in->p, in->n) == size);
	CHECK(base64_decode(back, in->n, text, size) == (ssize_t)in->n);
	CHECK(in->n == 0 || memcmp(back, in->p, in->n) == 0);
	CHECK(in->n == 0 || base64_decode(back, in->n - 1, text, size) == -1);
	hex_encode(hex, in->p, in->n);
	CHECK(hex_decode(back, in->n, hex) == 0);
	CHECK(in->n == 0 || memcmp(back, in->p, in->n) == 0);
	/* As text that perhaps is base64. */
	got = base64_decode(back, in->n, (const char *)in->p, in->n);
	n = base64_prefix(prefix, in->n, (const char *)in->p, in->n);
	CHECK(n <= in->n);
	if (got > 0 && memchr(in->p, '=', in->n) == NULL)
		CHECK(n == (size_t)got && memcmp(back, prefix, n) == 0);
	free(text);
	free(hex);
	free(back);
	free(prefix);
}

FUZZ(encode)
{
	unsigned how = in_byte(in);
	size_t piece = how / 8 * 3 + 1;
	struct buf text = { 0 };

	base64_both_ways(in);
	field(in, (enum encode_syntax)(how % 3));
	naive_lines(&text, in->p, in->n);
	round_trip(&text, RAW, piece);
	round_trip(&text, QP, piece);
	round_trip(&text, BASE64, piece * ENCODE_BASE64);
	if (mem_is_ascii(buf_str(&text), text.len))
		round_trip(&text, FOLD, piece);
	buf_free(&text);
}
