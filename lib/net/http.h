/*
 * An HTTP/1.1 client (RFC 9112): one request and one reply at a time over a
 * stream that may be kept for the next.
 */
#ifndef SENDROUTE_HTTP_H
#define SENDROUTE_HTTP_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/net/stream.h"

enum {
	HTTP_HEAD_MAX = 16384,		/* status line and fields, also trailers */
	HTTP_BODY_MAX = 65536,		/* decoded bytes of a reply's body */
	HTTP_INTERIM_MAX = 8		/* 1xx replies before the final one */
};

struct http_field { const char *name, *value; };

struct http_request {
	const char *method, *target;		/* target: path and query as sent */
	const struct http_field *fields;	/* Host among them; no
						 * Content-Length */
	size_t nfields;
	uint64_t body_size;			/* Content-Length; sent for POST and
						 * PUT also when 0 */
	/*
	 * Writes exactly body_size bytes with stream_write; returns what that
	 * returned if not 0. NULL when there is no body.
	 */
	int (*body)(void *ctx, struct stream *s);
	void *ctx;
	int64_t write_seconds;			/* for each block of the body */
	int64_t reply_seconds;			/* for the reply to begin and end */
};

struct http_reply {
	int status;		/* 200..599 */
	bool keep_alive;	/* the stream can carry another request */
	bool sent_whole;	/* the last byte of the request may have left */
	bool began;		/* at least one byte of a reply came */
	struct buf head;	/* fields as "name\0value\0"...; see http_field */
	struct buf body;	/* decoded; at most HTTP_BODY_MAX bytes */
};

/*
 * http_exchange(s, req, reply): send req, skip 1xx replies, read the final reply
 * with its whole body. A reply that comes while the body is still being sent
 * ends the sending; keep_alive is then false. Returns 0 with reply filled; or -1
 * with the reason in s->err and, of reply, sent_whole and began valid.
 * Strict: Content-Length and chunk sizes in 64 bits, doubled or contradictory
 * ones refused, a body cut short is a failure. Redirects are replies like any
 * other. The caller frees with http_reply_free, also after a failure.
 */
int http_exchange(struct stream *s, const struct http_request *req,
    struct http_reply *reply);

/*
 * http_reply_field(r, name): the value of the first field of that name (any
 * case), trimmed; NULL when there is none. Valid until r is freed.
 */
const char *http_reply_field(const struct http_reply *r, const char *name);

void http_reply_free(struct http_reply *r);

/*
 * http_url_parse(url, out): "http://host[:port][/path]" or https. host keeps no
 * brackets around an IPv6 address. No user, query or fragment. 0, or -1.
 */
struct http_url { bool tls; char host[256]; unsigned port; char path[256]; };
int http_url_parse(const char *url, struct http_url *out);

/*
 * http_host_field(u, out, size): what belongs in Host: name, and the port when it
 * is not the scheme's own; brackets around IPv6. 0, or -1 when it does not fit.
 */
int http_host_field(const struct http_url *u, char *out, size_t size);

#endif
