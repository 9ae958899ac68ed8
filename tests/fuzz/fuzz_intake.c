/*
 * A message from standard input. Whatever it is: CRLF alone, no NUL, no Bcc, the
 * fields that must be there; the same however it comes in pieces, and the same
 * when it goes through once more; the body untouched. In place (qmail) it is just
 * what the naive converter makes of it.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/mail/intake.h"
#include "tests/fuzz/fuzz.h"

enum { PRISTINE = 1, TAKE = 2, OVERRIDE = 4, NAMED = 8, DOT = 16, MANY = 32 };

struct source {
	struct input in;
	size_t piece;
};

struct taken {
	struct intake in;
	struct message m;
	struct result res;
	struct buf text;
	int rc;
};

static ssize_t
give(void *ctx, void *data, size_t n)
{
	struct source *s = ctx;

	if (n > s->in.n)
		n = s->in.n;
	if (n > s->piece)
		n = s->piece;
	if (n > 0)
		memcpy(data, s->in.p, n);
	s->in.p += n;
	s->in.n -= n;
	return (ssize_t)n;
}

static int
begin(void *ctx, struct intake *in, struct message *m, struct result *res)
{
	(void)in;
	return spool_over(&m->spool, *(int *)ctx, 0, res);
}

static void
read_spool(const struct spool *sp, struct buf *out)
{
	char block[1000];
	ssize_t n;

	while ((n = spool_read(sp, block, sizeof block, (off_t)out->len)) > 0)
		buf_add(out, block, (size_t)n);
	CHECK(n == 0);
}

static void
take(struct taken *t, struct source from, unsigned how, int *fd)
{
	memset(t, 0, sizeof *t);
	t->m.spool.fd = -1;
	t->in.header = (struct header_policy){ .pristine = how & PRISTINE,
		.take_rcpts = how & TAKE, .domain = "d.example",
		.hostname = "h.example", .from = "from@d.example",
		.full_name = how & NAMED ? "N\xc3\xa4me, \"X\"" : NULL,
		.override_from = how & OVERRIDE ? "over@d.example" : NULL,
		.now = 1700000000 };
	t->in.dot = how & DOT ? DOT_ENDS_WHEN_LAST : DOT_IS_DATA;
	if (fd) {
		t->in.begin = begin;
		t->in.begin_ctx = fd;
	}
	t->rc = intake_take(&t->in, give, &from, &t->m, &t->res);
	if (t->rc == 0)
		read_spool(&t->m.spool, &t->text);
}

static void
drop(struct taken *t)
{
	message_free(&t->m);
	addr_list_free(&t->in.rcpts);
	buf_free(&t->text);
}

/* --- what a message must be --- */

static void
check_lines(const struct taken *t)
{
	const char *p = buf_str(&t->text);
	size_t i, start = 0, n = t->text.len;
	bool dot = false, high = false, is_long = false;

	for (i = 0; i < n; i++) {
		CHECK(p[i] != '\0');
		CHECK(p[i] != '\r' || p[i + 1] == '\n');
		high |= (p[i] & 0x80) != 0;
		dot |= i == start && p[i] == '.';
		if (p[i] != '\n')
			continue;
		CHECK(i > 0 && p[i - 1] == '\r');
		is_long |= i - 1 - start > LINE_MAX_BYTES;
		start = i + 1;
	}
	CHECK(n == 0 || p[n - 1] == '\n');
	CHECK(t->m.spool.has_8bit || !high);
	CHECK(t->m.spool.has_dot_line || !dot);
	CHECK(t->m.spool.has_long || !is_long);
	CHECK((size_t)t->m.spool.size == n);
}

/* Is the field at p, of a header in text, called so? */
static bool
is_field(const char *p, const char *name)
{
	if (!str_istarts(p, name))
		return false;
	p += strlen(name);
	return *(p + strspn(p, " \t")) == ':';
}

static const char *
next_line(const char *p)
{
	return strchr(p, '\n') + 1;
}

static unsigned
count_fields(const char *p, const char *name)
{
	unsigned n = 0;

	for (; *p && *p != '\r'; p = next_line(p))
		n += is_field(p, name);
	return n;
}

static void
check_header(const struct taken *t)
{
	const char *p = buf_str(&t->text);

	CHECK(count_fields(p, "Bcc") == 0);
	CHECK(count_fields(p, "Resent-Bcc") == 0);
	CHECK(count_fields(p, "Return-Path") == 0);
	CHECK(count_fields(p, "Content-Length") == 0);
	CHECK(count_fields(p, "Date") > 0);
	CHECK(count_fields(p, "Message-ID") > 0);
	CHECK(count_fields(p, "From") > 0);
	CHECK(count_fields(p, "To") + count_fields(p, "Cc") +
	    count_fields(p, "Resent-To") + count_fields(p, "Resent-Cc") > 0);
	CHECK(strncmp(p, "From ", 5) != 0 || is_field(p, "From"));
	CHECK(strstr(p, "\r\n\r\n") != NULL);
}

static void
check_addresses(const struct addr_list *l, bool whole)
{
	struct result res;
	size_t i;
	char *again;

	for (i = 0; i < l->n; i++) {
		if (!whole && *l->v[i] == '\0')
			continue;
		CHECK(is_clean(l->v[i]));
		CHECK(strpbrk(l->v[i], "<>") == NULL);
		again = address_parse_one(l->v[i], "d.example", &res);
		CHECK(again != NULL && strcmp(again, l->v[i]) == 0);
		free(again);
	}
}

/* The Message-ID that was added is another one each time. */
static void
check_same(const struct taken *a, const struct taken *b)
{
	const char *p = buf_str(&a->text), *q = buf_str(&b->text);
	size_t n, end;

	CHECK(a->rc == b->rc && a->text.len == b->text.len);
	for (; *p; p += n, q += n) {
		n = (size_t)(next_line(p) - p);
		end = (size_t)(next_line(q) - q);
		CHECK(n == end);
		CHECK(memcmp(p, q, n) == 0 ||
		    (is_field(p, "Message-ID") && is_field(q, "Message-ID")));
	}
	CHECK(a->in.rcpts.n == b->in.rcpts.n);
	CHECK(a->m.identities.n == b->m.identities.n);
	CHECK(strcmp(a->res.text, b->res.text) == 0);
}

/* What is complete stays as it is. */
static void
check_stable(const struct taken *t, unsigned how)
{
	struct taken again;

	take(&again, (struct source){ { (const unsigned char *)t->text.p,
	    t->text.len }, 1000 }, how & ~(unsigned)(TAKE | DOT | OVERRIDE),
	    NULL);
	CHECK(again.rc == 0);
	CHECK(again.text.len == t->text.len);
	CHECK(memcmp(again.text.p, t->text.p, t->text.len) == 0);
	CHECK(again.m.identities.n == t->m.identities.n);
	drop(&again);
}

/* What stands behind the first empty line is the input's own end. */
static void
check_body(const struct taken *t, const struct input *in)
{
	const char *body = strstr(t->text.p, "\r\n\r\n");
	size_t n;
	struct buf naive = { 0 };

	CHECK(body != NULL);
	body += 4;
	n = t->text.len - (size_t)(body - t->text.p);
	naive_lines(&naive, in->p, in->n);
	CHECK(n <= naive.len);
	CHECK(n == 0 || memcmp(naive.p + naive.len - n, body, n) == 0);
	buf_free(&naive);
}

static void
in_place(const struct input *in, size_t piece)
{
	struct buf naive = { 0 };
	struct taken t;
	const char *text;
	size_t n;
	int fd = file_of(in->p, in->n);

	take(&t, (struct source){ *in, piece }, PRISTINE, &fd);
	if (t.rc == 0) {
		naive_lines(&naive, in->p, in->n);
		text = buf_str(&naive);
		n = naive.len;
		check_lines(&t);
		CHECK(t.text.len == n && memcmp(buf_str(&t.text), text, n) == 0);
		buf_free(&naive);
	}
	drop(&t);
	close(fd);
}

FUZZ(intake)
{
	unsigned how = in_byte(in), piece = in_byte(in);
	struct taken t, other;

	if (how & PRISTINE) {
		in_place(in, piece % 64 + 1);
		return;
	}
	take(&t, (struct source){ *in, 65536 }, how, NULL);
	take(&other, (struct source){ *in, piece % 64 + 1 }, how, NULL);
	check_same(&t, &other);
	if (t.rc == 0) {
		check_lines(&t);
		check_header(&t);
		check_addresses(&t.in.rcpts, true);
		check_addresses(&t.m.identities, false);
		check_stable(&t, how);
		if (!(how & DOT))
			check_body(&t, in);
	} else {
		CHECK(t.res.exit == EXIT_DATA);
		CHECK(is_clean(t.res.text) && *t.res.text);
	}
	drop(&other);
	drop(&t);
}
