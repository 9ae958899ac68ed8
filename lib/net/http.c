#include "lib/net/http.h"

#include <string.h>

#include "lib/net/http_reply.h"

/*
 * One request and its reply. While the request leaves, the stream's ops are
 * ours: so each block gets its own deadline, and we know which of them holds the
 * last byte whoever wrote it.
 */
struct exchange {
	struct stream *s;
	const struct http_request *req;
	struct http_reply *r;
	const struct stream_ops *ops;	/* the stream's own, meanwhile */
	void *ctx;
	uint64_t unsent;	/* bytes of the request not yet handed on */
	bool write_failed;
};

static void
hook(struct exchange *x, const struct stream_ops *ours)
{
	x->ops = x->s->ops;
	x->ctx = x->s->ctx;
	x->s->ops = ours;
	x->s->ctx = x;
}

static const struct stream_ops *
unhook(struct exchange *x)
{
	const struct stream_ops *ours = x->s->ops;

	x->s->ops = x->ops;
	x->s->ctx = x->ctx;
	return ours;
}

static ssize_t
upload_write(struct stream *s, const void *data, size_t n)
{
	struct exchange *x = s->ctx;
	const struct stream_ops *ours = unhook(x);
	ssize_t done;

	x->unsent -= n < x->unsent ? n : x->unsent;
	if (x->unsent == 0)
		x->r->sent_whole = true;
	stream_step(s, x->req->write_seconds);
	done = s->ops->write(s, data, n);
	x->write_failed = done < 0;
	hook(x, ours);
	return done;
}

static bool
upload_ready(struct stream *s)
{
	struct exchange *x = s->ctx;
	const struct stream_ops *ours = unhook(x);
	bool ready = s->ops->ready(s);

	hook(x, ours);
	return ready;
}

/* What would let a value from outside become a field of its own is refused. */
static bool
request_is_clean(const struct http_request *req)
{
	size_t i;

	if (http_has_control(req->target) || strpbrk(req->target, " \t"))
		return false;
	for (i = 0; i < req->nfields; i++)
		if (http_has_control(req->fields[i].value))
			return false;
	return true;
}

static void
build_head(struct buf *b, const struct http_request *req)
{
	size_t i, n = strlen(req->method) + strlen(req->target) + 64;

	/* It may hold a session token: no copies by growing. */
	for (i = 0; i < req->nfields; i++)
		n += strlen(req->fields[i].name) +
		    strlen(req->fields[i].value) + 4;
	buf_reserve(b, n);
	buf_addf(b, "%s %s HTTP/1.1\r\n", req->method, req->target);
	for (i = 0; i < req->nfields; i++)
		buf_addf(b, "%s: %s\r\n", req->fields[i].name,
		    req->fields[i].value);
	if (req->body_size > 0 || strcmp(req->method, "POST") == 0 ||
	    strcmp(req->method, "PUT") == 0)
		buf_addf(b, "Content-Length: %llu\r\n",
		    (unsigned long long)req->body_size);
	buf_adds(b, "\r\n");
}

/* 0: all of it has left; 1: input came before that; -1. */
static int
send_hooked(struct exchange *x, const struct buf *head)
{
	const struct http_request *req = x->req;
	int rc = stream_write(x->s, head->p, head->len);

	if (rc == 0 && req->body)
		rc = req->body(req->ctx, x->s);
	if (rc == 0)
		rc = stream_flush(x->s);
	if (rc < 0 && !x->s->failed)
		stream_fail(x->s, CAUSE_LOCAL, "the request cannot be read");
	return rc;
}

static int
send_request(struct exchange *x)
{
	/* A body only writes. */
	static const struct stream_ops ours = { .write = upload_write,
		.ready = upload_ready };
	struct buf head = { 0 };
	int rc;

	if (!request_is_clean(x->req))
		return stream_fail(x->s, CAUSE_OPERATOR,
		    "a control character in what an HTTP request should say");
	build_head(&head, x->req);
	/* What most replies need: not to hear of it would be to send again. */
	buf_reserve(&x->r->head, 1024);
	buf_reserve(&x->r->body, 512);
	if (head.failed || x->r->head.failed || x->r->body.failed) {
		buf_wipe(&head);
		return stream_fail(x->s, CAUSE_LOCAL, "out of memory");
	}
	x->unsent = head.len + x->req->body_size;
	x->s->yield = true;
	hook(x, &ours);
	rc = send_hooked(x, &head);
	unhook(x);
	x->s->yield = false;
	/* Of a request that was cut short no more may leave. */
	x->s->out_len = 0;
	buf_wipe(&head);
	return rc;
}

static int
read_reply(struct exchange *x)
{
	stream_step(x->s, x->req->reply_seconds);
	return http_reply_read(x->s, x->r, x->write_failed);
}

static int
exchange(struct exchange *x)
{
	struct stream *s = x->s;
	struct result why;
	int rc;

	if (s->failed)
		return -1;
	if (stream_has_input(s))
		return stream_fail(s, CAUSE_ROUTE,
		    "the peer closed the connection or spoke unasked");
	rc = send_request(x);
	if (rc == 0)
		return read_reply(x);
	if (rc > 0) {
		/* The peer still waits for the rest of this request. */
		rc = read_reply(x);
		x->r->keep_alive = false;
		return rc;
	}
	/* The peer may have said why before it stopped listening. */
	if (!x->write_failed || !stream_has_input(s))
		return -1;
	why = s->err;
	stream_revive(s, x->req->reply_seconds);
	rc = read_reply(x);
	if (rc < 0)
		s->err = why;
	return rc;
}

int
http_exchange(struct stream *s, const struct http_request *req,
    struct http_reply *r)
{
	struct exchange x = { .s = s, .req = req, .r = r };
	int rc;

	memset(r, 0, sizeof *r);
	rc = exchange(&x);
	if (rc < 0) {
		http_reply_free(r);
		r->status = 0;
		r->keep_alive = false;
	}
	return rc;
}
