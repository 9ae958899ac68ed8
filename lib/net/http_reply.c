#include "lib/net/http_reply.h"

#include <string.h>

enum { CHUNK_DIGITS = 16 };	/* what a 64-bit size can have */

struct reader {
	struct stream *s;
	struct http_reply *r;
	bool torn, http10;
	size_t spent;		/* bytes of a head, or around a body's chunks */
	char line[HTTP_HEAD_MAX];
};

static int
broken(struct reader *x, const char *why)
{
	return stream_fail(x->s, CAUSE_ROUTE, "not a proper HTTP reply: %s",
	    why);
}

bool
http_has_control(const char *p)
{
	for (; *p; p++)
		if (((unsigned char)*p < 0x20 && *p != '\t') || *p == 0x7f)
			return true;
	return false;
}

/* --- the reply's fields --- */

/* The value of the next field of that name behind `after`; NULL: from the first. */
static const char *
next_field(const struct http_reply *r, const char *after, const char *name)
{
	const char *p = r->head.p, *end = p ? p + r->head.len : p;
	const char *value;

	if (after)
		p = after + strlen(after) + 1;
	for (; p < end; p = value + strlen(value) + 1) {
		value = p + strlen(p) + 1;
		if (str_iequal(p, name))
			return value;
	}
	return NULL;
}

const char *
http_reply_field(const struct http_reply *r, const char *name)
{
	return next_field(r, NULL, name);
}

/* Is word among the options of Connection (RFC 9110 section 7.6.1)? */
static bool
connection_says(const struct http_reply *r, const char *word)
{
	const char *p = NULL, *q;
	size_t n, len = strlen(word);

	while ((p = next_field(r, p, "Connection")) != NULL)
		for (q = p; *q; q += n) {
			q += strspn(q, ", \t");
			n = strcspn(q, ", \t");
			if (n == len && mem_iequal(q, word, n))
				return true;
		}
	return false;
}

void
http_reply_free(struct http_reply *r)
{
	/* Credentials come as replies, too. */
	buf_wipe(&r->head);
	buf_wipe(&r->body);
}

/* --- the head of a reply --- */

/* A line into x->line behind the `at` bytes that it holds already. */
static ssize_t
next_line(struct reader *x, size_t at)
{
	ssize_t n = stream_line(x->s, x->line + at, sizeof x->line - at);

	if (n < 0)
		return -1;
	if (http_has_control(x->line))
		return broken(x, "it holds control characters");
	return n + (ssize_t)at;
}

/* Count n bytes towards HTTP_HEAD_MAX. */
static int
spend(struct reader *x, size_t n)
{
	if (n > HTTP_HEAD_MAX - x->spent)
		return broken(x, "its head is too long");
	x->spent += n;
	return 0;
}

/* RFC 9112 section 4; a reason phrase may be missing with its space. */
static int
parse_status(struct reader *x)
{
	const char *line = x->line;
	int i, status = 0;

	if (strncmp(line, "HTTP/1.", 7) != 0 ||
	    (line[7] != '0' && line[7] != '1') || line[8] != ' ')
		return -1;
	x->http10 = line[7] == '0';
	for (i = 9; i < 12; i++) {
		if (line[i] < '0' || line[i] > '9')
			return -1;
		status = status * 10 + (line[i] - '0');
	}
	if (status < 100 || status > 599 || (line[12] && line[12] != ' '))
		return -1;
	x->r->status = status;
	return 0;
}

static int
read_status(struct reader *x)
{
	/* The first byte alone, for it shows that a reply has begun. */
	ssize_t n = stream_read(x->s, x->line, 1);

	if (n == 0)
		return stream_fail(x->s, CAUSE_ROUTE,
		    "the peer closed the connection without a reply");
	if (n < 0)
		return -1;
	x->r->began = true;
	n = next_line(x, 1);
	if (n < 0)
		return -1;
	if (parse_status(x) < 0)
		return stream_fail(x->s, CAUSE_ROUTE,
		    "not an HTTP/1.1 reply: \"%.80s\"", x->line);
	return spend(x, (size_t)n + 2);
}

/*
 * Keep the field in x->line. A folded line, white space before the colon and
 * whatever else does not begin with "token:" is refused (RFC 9112 section 5).
 */
static int
keep_field(struct reader *x)
{
	static const char token[] = "!#$%&'*+-.^_`|~0123456789"
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	struct buf *head = &x->r->head;
	size_t n = strspn(x->line, token), len;
	const char *value = x->line + n + 1;

	if (n == 0 || x->line[n] != ':')
		return stream_fail(x->s, CAUSE_ROUTE, "not a proper HTTP reply: "
		    "a header field \"%.80s\"", x->line);
	value += strspn(value, " \t");
	len = strlen(value);
	while (len > 0 && strchr(" \t", value[len - 1]))
		len--;
	buf_add(head, x->line, n);
	buf_addc(head, '\0');
	buf_add(head, value, len);
	buf_addc(head, '\0');
	if (head->failed)
		return stream_fail(x->s, CAUSE_LOCAL, "out of memory");
	return 0;
}

static int
read_head(struct reader *x)
{
	ssize_t n;

	x->spent = 0;
	buf_reset(&x->r->head);
	if (read_status(x) < 0)
		return -1;
	for (;;) {
		n = next_line(x, 0);
		if (n < 0 || spend(x, (size_t)n + 2) < 0)
			return -1;
		if (n == 0)
			return 0;
		if (keep_field(x) < 0)
			return -1;
	}
}

static int
read_final_head(struct reader *x)
{
	int i;

	for (i = 0; i <= HTTP_INTERIM_MAX; i++) {
		if (read_head(x) < 0)
			return -1;
		if (x->r->status == 101)
			return broken(x, "it changes the protocol");
		if (x->r->status >= 200)
			return 0;
	}
	return broken(x, "interim replies without end");
}

/* --- the body --- */

/* Up to n bytes into x->line, and at least one. */
static ssize_t
read_some(struct reader *x, uint64_t n)
{
	ssize_t got = stream_read(x->s, x->line,
	    n < sizeof x->line ? (size_t)n : sizeof x->line);

	if (got == 0)
		return stream_fail(x->s, CAUSE_ROUTE,
		    "the peer closed the connection within a reply");
	return got;
}

/* Add n bytes to the body. */
static int
read_counted(struct reader *x, uint64_t n)
{
	struct buf *body = &x->r->body;
	ssize_t got;

	if (n > HTTP_BODY_MAX - body->len)
		return broken(x, "its body is too long");
	while (n > 0) {
		got = read_some(x, n);
		if (got < 0)
			return -1;
		buf_add(body, x->line, (size_t)got);
		n -= (uint64_t)got;
	}
	return 0;
}

/*
 * The size in a chunk's first line (RFC 9112 section 7.1), *rest what follows
 * its digits: nothing, or extensions behind optional blanks.
 */
static int
parse_chunk(const char *line, uint64_t *size, const char **rest)
{
	static const char digits[] = "0123456789abcdef0123456789ABCDEF";
	const char *d;
	int i;

	*size = 0;
	for (i = 0; line[i] && (d = strchr(digits, line[i])) != NULL; i++) {
		if (i == CHUNK_DIGITS)
			return -1;
		*size = *size << 4 | (uint64_t)((d - digits) % 16);
	}
	*rest = line + i;
	line += i + (int)strspn(line + i, " \t");
	return i > 0 && (*line == '\0' || *line == ';') ? 0 : -1;
}

/*
 * The line end behind a chunk: CRLF and nothing else, so that a size that is one
 * too large cannot pass.
 */
static int
end_chunk(struct reader *x)
{
	static const char crlf[] = "\r\n";
	int i;

	for (i = 0; i < 2; i++) {
		if (read_some(x, 1) < 0)
			return -1;
		if (x->line[0] != crlf[i])
			return broken(x, "a chunk is not as long as it says");
	}
	return 0;
}

/* Trailers are read, counted and forgotten. */
static int
skip_trailers(struct reader *x)
{
	ssize_t n;

	do {
		n = next_line(x, 0);
		if (n < 0 || spend(x, (size_t)n + 2) < 0)
			return -1;
	} while (n > 0);
	return 0;
}

static int
read_chunks(struct reader *x)
{
	uint64_t size;
	const char *rest;

	x->spent = 0;
	for (;;) {
		if (next_line(x, 0) < 0)
			return -1;
		if (parse_chunk(x->line, &size, &rest) < 0)
			return broken(x, "the size of a chunk");
		if (spend(x, strlen(rest)) < 0)
			return -1;
		if (size == 0)
			return skip_trailers(x);
		if (read_counted(x, size) < 0 || end_chunk(x) < 0)
			return -1;
	}
}

/* A body that the end of the connection ends. */
static int
read_to_end(struct reader *x)
{
	struct buf *body = &x->r->body;
	ssize_t n;

	/* After a reset an end of input proves nothing. */
	if (x->torn)
		return broken(x, "its end cannot be told");
	while ((n = stream_read(x->s, x->line, sizeof x->line)) > 0) {
		if ((size_t)n > HTTP_BODY_MAX - body->len)
			return broken(x, "its body is too long");
		buf_add(body, x->line, (size_t)n);
	}
	return n < 0 ? -1 : 0;
}

/* RFC 9112 section 6.3, and no mercy for what contradicts itself. */
static int
read_body(struct reader *x)
{
	const char *length = http_reply_field(x->r, "Content-Length");
	const char *coding = http_reply_field(x->r, "Transfer-Encoding");
	uint64_t size;

	if ((length && coding) ||
	    (length && next_field(x->r, length, "Content-Length")) ||
	    (coding && next_field(x->r, coding, "Transfer-Encoding")))
		return broken(x, "it gives its length twice");
	if (x->r->status == 204 || x->r->status == 304)
		return 0;
	if (coding) {
		if (x->http10 || !str_iequal(coding, "chunked"))
			return broken(x, "an unknown transfer coding");
		return read_chunks(x);
	}
	if (length == NULL)
		return read_to_end(x);
	if (number_parse(length, 0, UINT64_MAX, &size) < 0)
		return broken(x, "its length is no number");
	return read_counted(x, size);
}

static int
read_all(struct reader *x)
{
	struct http_reply *r = x->r;

	if (read_final_head(x) < 0)
		return -1;
	r->keep_alive = !connection_says(r, "close") &&
	    (!x->http10 || connection_says(r, "keep-alive"));
	if (read_body(x) < 0)
		return -1;
	if (r->body.failed)
		return stream_fail(x->s, CAUSE_LOCAL, "out of memory");
	/* Whatever follows unasked would be taken for the next reply. */
	if (x->torn || stream_buffered(x->s) > 0 || x->s->eof)
		r->keep_alive = false;
	return 0;
}

int
http_reply_read(struct stream *s, struct http_reply *r, bool torn)
{
	struct reader x;
	int rc;

	x.s = s;
	x.r = r;
	x.torn = torn;
	rc = read_all(&x);
	mem_wipe(x.line, sizeof x.line);
	return rc;
}

int
http_head_read(struct stream *s, struct http_reply *r)
{
	struct reader x;

	x.s = s;
	x.r = r;
	return read_final_head(&x);
}
