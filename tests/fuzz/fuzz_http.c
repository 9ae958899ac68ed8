/* HTTP replies: bounded, clean, and the same however they come in pieces. */
#include <string.h>

#include "lib/net/http.h"
#include "tests/fuzz/fuzz.h"

struct seen {
	struct http_reply reply;
	struct result err;
	int rc;
};

static int
body(void *ctx, struct stream *s)
{
	return stream_write(s, ctx, 5);
}

static void
exchange(struct stream *s, struct seen *seen, bool post)
{
	static char text[] = "hello";
	const struct http_field host = { "Host", "h.example" };
	const struct http_request q = { .method = post ? "POST" : "GET",
		.target = "/x", .fields = &host, .nfields = 1,
		.body_size = post ? 5 : 0, .body = post ? body : NULL,
		.ctx = text, .write_seconds = 9, .reply_seconds = 9 };

	memset(seen, 0, sizeof *seen);
	seen->rc = http_exchange(s, &q, &seen->reply);
	seen->err = s->err;
}

static void
check(const struct seen *seen)
{
	const struct http_reply *r = &seen->reply;
	const char *p = buf_str(&r->head), *end = p + r->head.len;

	if (seen->rc < 0) {
		CHECK(*seen->err.text && is_clean(seen->err.text));
		return;
	}
	CHECK(r->status >= 200 && r->status <= 599 && r->began);
	CHECK(r->body.len <= HTTP_BODY_MAX && r->head.len <= HTTP_HEAD_MAX);
	for (; p < end; p += strlen(p) + 1)
		CHECK(memchr(p, '\0', (size_t)(end - p)) != NULL);
	http_reply_field(r, "Content-Length");
	http_reply_field(r, "");
}

/*
 * Bytes behind a reply end the connection when they are there with it, as they
 * are for a and its peer. To b they may come later: then the connection may be
 * kept, for that alone.
 */
static void
check_same(const struct seen *a, const struct peer *all, const struct seen *b,
    const struct peer *bits)
{
	CHECK(a->rc == b->rc);
	CHECK(strcmp(a->err.text, b->err.text) == 0);
	if (a->rc < 0)
		return;
	CHECK(a->reply.status == b->reply.status);
	CHECK(a->reply.body.len == b->reply.body.len);
	CHECK(memcmp(buf_str(&a->reply.body), buf_str(&b->reply.body),
	    a->reply.body.len) == 0);
	CHECK(a->reply.head.len == b->reply.head.len);
	if (all->said.len > bits->said.len)
		CHECK(!a->reply.keep_alive);
	else
		CHECK(a->reply.keep_alive == b->reply.keep_alive);
}

/* Two requests on one connection, if it is kept. */
FUZZ(http)
{
	unsigned how = in_byte(in), i;
	struct peer p[2] = { { .in = *in, .silent = how & 1 },
		{ .in = *in, .silent = how & 1, .piece = 1 } };
	struct stream s[2] = { 0 };
	struct seen seen[2];
	bool more = true;

	for (i = 0; i < 2; i++)
		peer_open(&p[i], &s[i]);
	while (more) {
		for (i = 0; i < 2; i++) {
			exchange(&s[i], &seen[i], how & 2);
			check(&seen[i]);
		}
		check_same(&seen[0], &p[0], &seen[1], &p[1]);
		more = seen[0].rc == 0 && seen[0].reply.keep_alive;
		for (i = 0; i < 2; i++)
			http_reply_free(&seen[i].reply);
	}
	for (i = 0; i < 2; i++) {
		stream_close(&s[i]);
		peer_free(&p[i]);
	}
}
