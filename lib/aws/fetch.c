#include "lib/aws/fetch.h"

#include <string.h>

#include "lib/base/clock.h"
#include "lib/net/proxy.h"

static int
write_body(void *ctx, struct stream *s)
{
	const struct buf *body = ctx;

	return stream_write(s, body->p, body->len);
}

static int
exchange(const struct aws *a, const struct endpoint *e, const struct fetch *q,
    struct stream *s, struct http_reply *reply)
{
	struct tls_params p = { .host = e->url.host, .ca_file = a->ca_file,
		.seconds = a->config->timeout };
	struct http_request req = { .method = q->method, .target = q->target,
		.fields = q->fields, .nfields = q->nfields,
		.write_seconds = q->seconds, .reply_seconds = q->seconds };
	struct buf body;

	if (q->body != NULL) {
		body = *q->body;
		req.body_size = body.len;
		req.body = write_body;
		req.ctx = &body;
	}
	if (e->url.tls && tls_start(s, &p, a->log) < 0)
		return -1;
	return http_exchange(s, &req, reply);
}

static int
once(const struct aws *a, const struct endpoint *e, const struct fetch *q,
    struct http_reply *reply, struct result *res)
{
	struct stream s;
	int rc;

	log_trace(a->log, "> %s %s://%s%s", q->method,
	    e->url.tls ? "https" : "http", e->host, q->target);
	if (proxy_dial(&s, q->by_proxy ? aws_proxy(a, &e->url) : NULL,
	    e->url.host, e->url.port, NULL, q->seconds, a->log, res) < 0)
		return -1;
	rc = exchange(a, e, q, &s, reply);
	if (rc < 0)
		*res = s.err;
	log_trace(a->log, "< %d", reply->status);
	mem_wipe(s.in, STREAM_IN);
	mem_wipe(s.out, STREAM_OUT);
	stream_close(&s);
	return rc;
}

int
fetch(const struct aws *a, const struct endpoint *e, const struct fetch *q,
    struct http_reply *reply, struct result *res)
{
	struct fetch capped = *q;
	int64_t most = a->config->timeout;
	unsigned i;
	int rc;

	if (most > 0 && most < (int64_t)q->seconds)
		capped.seconds = (unsigned)most;
	for (i = 1;; i++) {
		memset(reply, 0, sizeof *reply);
		rc = once(a, e, &capped, reply, res);
		if (i >= q->tries || (rc == 0 && reply->status < 500 &&
		    reply->status != 429))
			return rc;
		fetch_done(reply);
		clock_sleep(1000);
	}
}

void
fetch_done(struct http_reply *reply)
{
	buf_wipe(&reply->body);
	http_reply_free(reply);
}

int
fetch_short(const struct aws *a, const struct endpoint *e, bool put,
    const char *target, struct http_field field, unsigned seconds,
    unsigned tries, struct http_reply *reply, struct result *res)
{
	struct http_field fields[2] = { { "Host", e->host }, field };
	struct fetch q = { .method = put ? "PUT" : "GET", .target = target,
		.fields = fields, .nfields = 2, .seconds = seconds,
		.tries = tries };

	return fetch(a, e, &q, reply, res);
}
