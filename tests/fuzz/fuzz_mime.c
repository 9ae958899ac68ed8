/*
 * Messages re-encoded for a peer that takes less. No line is too long, no 8-bit
 * header is left; a body in one part decodes to what it was.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/mail/lines.h"
#include "lib/mail/mime.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/decode.h"

static void
store(struct spool *sp, const struct buf *text)
{
	const char *p = buf_str(text), *blank = strstr(p, "\r\n\r\n");
	struct result res;

	CHECK(spool_open(sp, NULL, &res) == 0);
	CHECK(spool_add(sp, p, text->len, &res) == 0);
	CHECK(spool_finish(sp, &res) == 0);
	sp->has_8bit = !mem_is_ascii(p, text->len);
	sp->has_8bit_header = !mem_is_ascii(p, (size_t)(blank - p));
	sp->has_long = longest_line(p, text->len) > LINE_MAX_BYTES;
}

static void
read_spool(const struct spool *sp, struct buf *out)
{
	char block[997];
	ssize_t n;

	while ((n = spool_read(sp, block, sizeof block, (off_t)out->len)) > 0)
		buf_add(out, block, (size_t)n);
	CHECK(n == 0 && out->len == (size_t)sp->size);
}

/* The value of the last field that begins so, in lower case; heap. */
static char *
value(const char *head, const char *name)
{
	char *v = mem_dup("", 0);
	const char *end;

	for (; *head && *head != '\r'; head = end + 1) {
		end = strchr(head, '\n');
		if (str_istarts(head, name)) {
			free(v);
			v = mem_dup(head + strlen(name),
			    (size_t)(end - head) - strlen(name));
			str_lower(v);
		}
	}
	return v;
}

static const char *
body_of(const struct buf *text)
{
	return strstr(text->p, "\r\n\r\n") + 4;
}

/* Was it 7bit, 8bit or nothing, one part, and is it qp or base64 now? */
static void
check_body(const struct buf *was, const struct buf *is)
{
	char *old = value(was->p, "Content-Transfer-Encoding:"),
	    *new = value(is->p, "Content-Transfer-Encoding:");
	const char *a = body_of(was), *b = body_of(is);
	size_t n = was->len - (size_t)(a - was->p),
	    m = is->len - (size_t)(b - is->p);
	struct buf back = { 0 };

	if (*old == '\0' && strstr(new, "quoted-printable"))
		decode_qp(b, m, &back);
	else if (*old == '\0' && strstr(new, "base64"))
		decode_base64(b, m, &back);
	else if (*old == '\0' && strcmp(new, old) == 0)
		goto done;		/* parts: perhaps folded */
	else if (*old == '\0')
		buf_add(&back, b, m);
	else
		goto done;
	CHECK(back.len == n && memcmp(buf_str(&back), a, n) == 0);
done:
	buf_free(&back);
	free(old);
	free(new);
}

static bool
is_signed(const char *head)
{
	char *type = value(head, "Content-Type:"),
	    *dkim = value(head, "DKIM-Signature");
	bool is = *dkim || strstr(type, "signed") || strstr(type, "pkcs7");

	free(type);
	free(dkim);
	return is;
}

static void
adapt(const struct spool *in, const struct buf *was,
    const struct mime_peer *peer)
{
	struct spool out;
	struct result res;
	struct buf is = { 0 };
	int rc = mime_adapt(in, peer, NULL, &out, &res);

	CHECK(rc == 0 || rc == 1);
	if (rc == 0) {
		CHECK(!in->has_long || is_signed(was->p));
		return;
	}
	read_spool(&out, &is);
	CHECK(strstr(is.p, "\r\n\r\n") != NULL);
	CHECK(longest_line(is.p, is.len) <= LINE_MAX_BYTES);
	CHECK(peer->utf8 || mem_is_ascii(is.p, (size_t)(body_of(&is) - is.p)) ||
	    !in->has_8bit_header || out.has_8bit_header);
	CHECK(out.has_8bit || mem_is_ascii(is.p, is.len));
	CHECK(memchr(is.p, '\0', is.len) == NULL);
	check_body(was, &is);
	spool_close(&out);
	buf_free(&is);
}

/* A message as it comes out of intake: with a header and an empty line. */
static bool
is_message(const char *p)
{
	size_t n;

	if (*p == '\r')
		return false;
	for (; *p && *p != '\r'; p = strchr(p, '\n') + 1) {
		n = strcspn(p, ": \t\r\n");
		if (p[n] != ':' || n == 0 || n > 900)
			return false;
	}
	return *p == '\r';
}

FUZZ(mime)
{
	static const struct mime_peer peers[] = { { false, false },
		{ true, false }, { true, true }, { false, true } };
	struct buf text = { 0 };
	struct spool sp;
	size_t i;

	naive_lines(&text, in->p, in->n);
	if (is_message(buf_str(&text)) && strstr(buf_str(&text), "\r\n\r\n")) {
		store(&sp, &text);
		for (i = 0; i < sizeof peers / sizeof peers[0]; i++)
			adapt(&sp, &text, &peers[i]);
		spool_close(&sp);
	}
	buf_free(&text);
}
