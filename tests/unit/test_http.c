/* The HTTP/1.1 client over a scripted peer: lib/net/http*.c. */
#include "lib/net/http.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/clock.h"
#include "tests/unit/script.h"

#define COUNT(t) (sizeof(t) / sizeof *(t))

/* --- one exchange --- */

static const struct http_field host[] = { { "Host", "h.example" } };
static const struct http_request get = { .method = "GET", .target = "/x",
	.fields = host, .nfields = 1, .write_seconds = 60, .reply_seconds = 60 };

#define GET_HEAD "GET /x HTTP/1.1\r\nHost: h.example\r\n\r\n"

struct run {
	struct script p;
	struct stream s;
	struct http_reply r;
	int rc;
};

static void
finish(struct run *run)
{
	http_reply_free(&run->r);
	stream_close(&run->s);
	assert_true(run->p.closed);
	script_free(&run->p);
}

/* What holds after every exchange, whatever the peer said. */
static void
check_invariants(const struct run *run)
{
	const struct http_reply *r = &run->r;

	if (run->rc == 0) {
		assert_false(run->s.failed);
		assert_in_range(r->status, 200, 599);
		assert_true(r->body.len <= HTTP_BODY_MAX);
		assert_true(r->head.len <= HTTP_HEAD_MAX);
		assert_true(r->began);
		return;
	}
	assert_int_equal(run->rc, -1);
	assert_true(run->s.failed);
	assert_int_equal(run->s.err.outcome, OUT_TEMP);
	assert_true(strlen(run->s.err.text) > strlen("peer: "));
	assert_null(r->body.p);
	assert_null(r->head.p);
	assert_false(r->keep_alive);
}

static void
run_request(struct run *run, const struct http_request *req)
{
	run->rc = http_exchange(&run->s, req, &run->r);
	check_invariants(run);
}

/* GET over the script with what was turned in `knobs`. */
static void
run_get(struct run *run, const struct script_step *steps,
    const struct script *knobs)
{
	script_open(&run->p, &run->s, steps);
	run->p.piece = knobs->piece;
	run->p.cut_at = knobs->cut_at;
	run->p.cut_as = knobs->cut_as;
	run_request(run, &get);
	script_check(&run->p);
}

/* --- replies that are fine --- */

struct good {
	const char *name, *reply;
	size_t len;
	bool closes;		/* the peer closes behind it */
	bool to_end;		/* ... and only that ends the body */
	int status;
	bool keep;
	const char *body;
	size_t body_len;
};

#define REPLY(t) .reply = (t), .len = sizeof (t) - 1
#define BODY(t) .body = (t), .body_len = sizeof (t) - 1
#define INTERIM "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"

static const struct good goods[] = {
	{ "content length", REPLY("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
	    "hello"), .status = 200, .keep = true, BODY("hello") },
	{ "name in another case", REPLY("HTTP/1.1 200 OK\r\ncontent-LENGTH:5"
	    "\t \r\n\r\nhello"), .status = 200, .keep = true, BODY("hello") },
	{ "length with zeros in front", REPLY("HTTP/1.1 200 OK\r\n"
	    "Content-Length: 0000000000000000000000000005\r\n\r\nhello"),
	    .status = 200, .keep = true, BODY("hello") },
	{ "empty body", REPLY("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
	    .status = 200, .keep = true, BODY("") },
	{ "empty reason", REPLY("HTTP/1.1 200 \r\nContent-Length: 1\r\n\r\n1"),
	    .status = 200, .keep = true, BODY("1") },
	{ "no reason", REPLY("HTTP/1.1 429\r\nContent-Length: 1\r\n\r\n1"),
	    .status = 429, .keep = true, BODY("1") },
	{ "line feeds alone", REPLY("HTTP/1.1 200 OK\nContent-Length: 5\n\n"
	    "hello"), .status = 200, .keep = true, BODY("hello") },
	{ "connection close", REPLY("HTTP/1.1 200 OK\r\nConnection: close\r\n"
	    "Content-Length: 2\r\n\r\nok"), .closes = true, .status = 200,
	    BODY("ok") },
	{ "close in a list", REPLY("HTTP/1.1 200 OK\r\nConnection: x-close\r\n"
	    "Connection: upgrade ,CLOSE\r\nContent-Length: 2\r\n\r\nok"),
	    .status = 200, BODY("ok") },
	{ "close only as part of a word", REPLY("HTTP/1.1 200 OK\r\n"
	    "Connection: clo, closed, ,foreclose,\r\nContent-Length: 2\r\n\r\nok"),
	    .status = 200, .keep = true, BODY("ok") },
	{ "HTTP/1.0", REPLY("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"),
	    .status = 200, BODY("ok") },
	{ "HTTP/1.0 kept", REPLY("HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\n"
	    "Content-Length: 2\r\n\r\nok"), .status = 200, .keep = true,
	    BODY("ok") },
	{ "ended by the close", REPLY("HTTP/1.1 200 OK\r\nX: y\r\n\r\n"
	    "as long as it takes"), .closes = true, .to_end = true,
	    .status = 200, BODY("as long as it takes") },
	{ "ended by the close, empty", REPLY("HTTP/1.0 200 OK\r\n\r\n"),
	    .closes = true, .to_end = true, .status = 200, BODY("") },
	{ "no content", REPLY("HTTP/1.1 204 No Content\r\n\r\n"), .status = 204,
	    .keep = true, BODY("") },
	{ "not modified, with the length of what is not sent", REPLY("HTTP/1.1 "
	    "304 Not Modified\r\nContent-Length: 500\r\n\r\n"), .status = 304,
	    .keep = true, BODY("") },
	{ "redirect", REPLY("HTTP/1.1 302 Found\r\nLocation: http://other/\r\n"
	    "Content-Length: 0\r\n\r\n"), .status = 302, .keep = true,
	    BODY("") },
	{ "HTML", REPLY("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
	    "Content-Length: 14\r\n\r\n<html>\n</html>"), .status = 200,
	    .keep = true, BODY("<html>\n</html>") },
	{ "SES refuses", REPLY("HTTP/1.1 400 Bad Request\r\nDate: Tue, 24 Nov "
	    "2026 10:00:00 GMT\r\nx-amzn-ErrorType: MessageRejected:http://x/"
	    "\r\nContent-Length: 16\r\n\r\n{\"message\":null}"), .status = 400,
	    .keep = true, BODY("{\"message\":null}") },
	{ "any bytes in the body", REPLY("HTTP/1.1 200 OK\r\nContent-Length: 11"
	    "\r\n\r\n\0\r\n\r\n\377HTTP/"), .status = 200, .keep = true,
	    BODY("\0\r\n\r\n\377HTTP/") },
	{ "8-bit and empty field values", REPLY("HTTP/1.1 200 \303\204\r\nA:\r\n"
	    "B: \303\266\r\nContent-Length: 0\r\n\r\n"), .status = 200,
	    .keep = true, BODY("") },
	{ "chunks", REPLY("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	    "5\r\nhello\r\n7\r\n, world\r\n0\r\n\r\n"), .status = 200,
	    .keep = true, BODY("hello, world") },
	{ "no chunks", REPLY("HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n"
	    "\r\n0\r\n\r\n"), .status = 200, .keep = true, BODY("") },
	{ "chunks that hold line ends", REPLY("HTTP/1.1 200 OK\r\n"
	    "Transfer-Encoding: chunked\r\n\r\n5\r\n0\r\n\r\n\r\n1\r\n\n\r\n0"
	    "\r\n\r\n"), .status = 200, .keep = true, BODY("0\r\n\r\n\n") },
	{ "chunk extensions, trailers, digits of every kind", REPLY("HTTP/1.1 "
	    "200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n"
	    "000000000000000A;a=b;c=\"d e\"\r\n0123456789\r\n"
	    "a ; x\r\nabcdefghij\r\n1 \t\r\n!\r\n000;last\r\n"
	    "X: y\r\nContent-Length: 7\r\n\r\n"), .status = 200, .keep = true,
	    BODY("0123456789abcdefghij!") },
	{ "one interim reply", REPLY("HTTP/1.1 100 Continue\r\n\r\n"
	    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), .status = 200,
	    .keep = true, BODY("ok") },
	{ "as many interim replies as may be", REPLY(INTERIM INTERIM INTERIM
	    INTERIM INTERIM INTERIM INTERIM INTERIM "HTTP/1.1 200 OK\r\n"
	    "Content-Length: 2\r\n\r\nok"), .status = 200, .keep = true,
	    BODY("ok") },
	{ "lengths in an interim reply do not count", REPLY("HTTP/1.1 103 x\r\n"
	    "Content-Length: 9\r\nTransfer-Encoding: chunked\r\n"
	    "Connection: close\r\n\r\n"
	    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), .status = 200,
	    .keep = true, BODY("ok") }
};

static void
good_steps(struct script_step steps[4], const struct good *g)
{
	static const struct script_step hears = HEARS(GET_HEAD);
	static const struct script_step closes = CLOSES, stop = STOP;

	steps[0] = hears;
	steps[1] = (struct script_step)SAYS_N(g->reply, g->len);
	steps[2] = g->closes ? closes : stop;
	steps[3] = stop;
}

static void
test_good_replies_in_pieces_of_every_size(void **state)
{
	static const size_t pieces[] = { 0, 1, 2, 3, 7, 16 };
	struct script knobs = { .cut_at = SIZE_MAX };
	struct script_step steps[4];
	struct run run;
	size_t i, k;

	(void)state;
	for (i = 0; i < COUNT(goods) * COUNT(pieces); i++) {
		const struct good *g = &goods[i / COUNT(pieces)];

		k = i % COUNT(pieces);
		knobs.piece = pieces[k];
		good_steps(steps, g);
		run_get(&run, steps, &knobs);
		if (run.rc != 0 || run.r.status != g->status ||
		    run.r.body.len != g->body_len)
			fail_msg("%s in pieces of %zu: %s", g->name, pieces[k],
			    run.s.err.text);
		assert_memory_equal(buf_str(&run.r.body), g->body, g->body_len);
		if (run.r.keep_alive != g->keep)
			fail_msg("%s: keep_alive is not %d", g->name, g->keep);
		assert_true(run.r.sent_whole);
		assert_int_equal(run.s.flights, 1);
		finish(&run);
	}
}

/* What the cut sweep may take for complete, told without the client's help. */
static bool
is_complete(const struct good *g, size_t cut_at, enum script_cut as)
{
	return g->to_end && as == CUT_EOF && cut_at >= g->len - g->body_len;
}

static void
check_cut(const struct good *g, const struct script *knobs)
{
	static const char *const texts[] = { [CUT_EOF] = "closed",
		[CUT_TIMEOUT] = "timed out", [CUT_RESET] = "reset" };
	struct script_step steps[4];
	struct run run;

	good_steps(steps, g);
	run_get(&run, steps, knobs);
	if ((run.rc == 0) != is_complete(g, knobs->cut_at, knobs->cut_as))
		fail_msg("%s, cut at %zu as %d: returned %d", g->name,
		    knobs->cut_at, knobs->cut_as, run.rc);
	if (run.rc == 0) {
		assert_int_equal(run.r.body.len, knobs->cut_at -
		    (g->len - g->body_len));
		assert_memory_equal(buf_str(&run.r.body), g->body,
		    run.r.body.len);
		assert_false(run.r.keep_alive);
	} else {
		if (strstr(run.s.err.text, texts[knobs->cut_as]) == NULL)
			fail_msg("%s, cut at %zu as %d: %s", g->name,
			    knobs->cut_at, knobs->cut_as, run.s.err.text);
		assert_int_equal(run.r.status, 0);
	}
	assert_true(run.r.sent_whole);
	assert_int_equal(run.r.began, knobs->cut_at > 0);
	finish(&run);
}

static void
test_cut_sweep_only_whole_replies_count(void **state)
{
	static const enum script_cut kinds[] = { CUT_EOF, CUT_TIMEOUT, CUT_RESET };
	struct script knobs = { 0 };
	size_t i, k;

	(void)state;
	for (i = 0; i < COUNT(goods); i++)
		for (k = 0; k < COUNT(kinds) * 2; k++) {
			knobs.cut_as = kinds[k / 2];
			knobs.piece = k % 2;
			for (knobs.cut_at = 0; knobs.cut_at < goods[i].len;
			    knobs.cut_at++)
				check_cut(&goods[i], &knobs);
		}
}

static void
test_what_follows_a_reply_unasked_ends_keeping(void **state)
{
	static const struct script_step more[] = { HEARS(GET_HEAD), SAYS(
	    "HTTP/1.1 204 x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
	    STOP };
	const struct script knobs = { .cut_at = SIZE_MAX };
	struct run run;

	(void)state;
	run_get(&run, more, &knobs);
	assert_int_equal(run.rc, 0);
	assert_int_equal(run.r.status, 204);
	assert_false(run.r.keep_alive);
	finish(&run);
}

static void
test_fields_are_found_trimmed_in_any_case_first_first(void **state)
{
	static const struct script_step steps[] = { HEARS(GET_HEAD), SAYS(
	    "HTTP/1.1 200 OK\r\nx-amzn-requestid: \t a b \t\r\nEmpty:\r\n"
	    "X-Amzn-RequestId: second\r\na b: not-a-field\r\n\r\n"), STOP };
	static const struct script_step fine[] = { HEARS(GET_HEAD), SAYS(
	    "HTTP/1.1 204 OK\r\nx-amzn-requestid: \t a b \t\r\nEmpty:\r\n"
	    "X-Amzn-RequestId: second\r\nLast:x:y\r\n\r\n"), STOP };
	const struct script knobs = { .cut_at = SIZE_MAX };
	struct run run;

	(void)state;
	run_get(&run, steps, &knobs);
	assert_int_equal(run.rc, -1);
	finish(&run);
	run_get(&run, fine, &knobs);
	assert_int_equal(run.rc, 0);
	assert_string_equal(http_reply_field(&run.r, "X-AMZN-REQUESTID"), "a b");
	assert_string_equal(http_reply_field(&run.r, "empty"), "");
	assert_string_equal(http_reply_field(&run.r, "LAST"), "x:y");
	assert_null(http_reply_field(&run.r, "second"));
	assert_null(http_reply_field(&run.r, "a b"));
	assert_null(http_reply_field(&run.r, ""));
	http_reply_free(&run.r);
	assert_null(http_reply_field(&run.r, "empty"));
	finish(&run);
}

/* --- replies that are not --- */

#define CHUNKED "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
#define FIELD(t) "HTTP/1.1 200 OK\r\n" t "\r\n\r\n12345"

static const struct { const char *reply; size_t len; const char *why; }
    hostiles[] = {
	/* Status lines. */
	{ REPLY("220 relay.example ESMTP\r\n"), .why = "not an HTTP/1.1 reply: "
	    "\"220 relay.example ESMTP\"" },
	{ REPLY("\r\nHTTP/1.1 204 x\r\n\r\n"), .why = "control" },
	{ REPLY("\nHTTP/1.1 204 x\r\n\r\n"), .why = "control" },
	{ REPLY("\0HTTP/1.1 204 x\r\n\r\n"), .why = "not an HTTP" },
	{ REPLY(" HTTP/1.1 204 x\r\n\r\n"), .why = "not an HTTP" },
	{ REPLY("HTTP/2 200\r\n\r\n"), .why = "not an HTTP" },
	{ REPLY("HTTP/1.2 204 x\r\n\r\n"), .why = "not an HTTP" },
	{ REPLY("HTTP/0.9 204 x\r\n\r\n"), .why = "not an HTTP" },
	{ REPLY("HTTP/1.10 204 x\r\n\r\n"), .why = "not an HTTP" },
	{ REPLY("http/1.1 204 x\r\n\r\n"), .why = "not an HTTP" },
	{ REPLY("HTTP/1.1  204 x\r\n\r\n"), .why = "not an HTTP" },
	{ REPLY("HTTP/1.1\t204 x\r\n\r\n"), .why = "not an HTTP" },
	{ REPLY("HTTP/1.1 2\r\n\r\n"), .why = "not an HTTP" },
	{ REPLY("HTTP/1.1 20x OK\r\n\r\n"), .why = "not an HTTP" },
	{ REPLY("HTTP/1.1 -20 OK\r\n\r\n"), .why = "not an HTTP" },
	{ REPLY("HTTP/1.1 2040 OK\r\n\r\n"), .why = "not an HTTP" },
	{ REPLY("HTTP/1.1 204\tOK\r\n\r\n"), .why = "not an HTTP" },
	{ REPLY("HTTP/1.1 099 x\r\n\r\n"), .why = "not an HTTP" },
	{ REPLY("HTTP/1.1 600 x\r\n\r\n"), .why = "not an HTTP" },
	{ REPLY("HTTP/1.1 999 x\r\n\r\n"), .why = "not an HTTP" },
	{ REPLY("HTTP/1.1 2\0004 x\r\n\r\n"), .why = "not an HTTP" },
	{ REPLY("HTTP/1.1 204 a\rb\r\n\r\n"), .why = "control" },
	{ REPLY("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"),
	    .why = "changes the protocol" },
	{ REPLY(INTERIM INTERIM INTERIM INTERIM INTERIM INTERIM INTERIM INTERIM
	    INTERIM "HTTP/1.1 204 x\r\n\r\n"), .why = "interim replies" },
	/* Fields. */
	{ REPLY(FIELD("A: b\r\n folded: x")), .why = "field \" folded: x\"" },
	{ REPLY(FIELD("A: b\r\n\tfolded: x")), .why = "a header field" },
	{ REPLY(FIELD(" A: b")), .why = "a header field" },
	{ REPLY(FIELD("A : b")), .why = "a header field" },
	{ REPLY(FIELD("Content-Length : 5")), .why = "a header field" },
	{ REPLY(FIELD(": b")), .why = "a header field" },
	{ REPLY(FIELD("no colon")), .why = "a header field" },
	{ REPLY(FIELD("A\0: b")), .why = "a header field" },
	{ REPLY(FIELD("A\200: b")), .why = "a header field" },
	{ REPLY(FIELD("A(c): b")), .why = "a header field" },
	{ REPLY(FIELD("A: b\r\r\nB: c")), .why = "control" },
	{ REPLY(FIELD("A: b\rContent-Length: 5")), .why = "control" },
	{ REPLY(FIELD("A: b\x1b[2J")), .why = "control" },
	{ REPLY(FIELD("A: b\x7f")), .why = "control" },
	/* Lengths. */
	{ REPLY(FIELD("Content-Length: -5")), .why = "no number" },
	{ REPLY(FIELD("Content-Length: +5")), .why = "no number" },
	{ REPLY(FIELD("Content-Length: 0x5")), .why = "no number" },
	{ REPLY(FIELD("Content-Length: 5 5")), .why = "no number" },
	{ REPLY(FIELD("Content-Length: 5, 5")), .why = "no number" },
	{ REPLY(FIELD("Content-Length: 5.0")), .why = "no number" },
	{ REPLY(FIELD("Content-Length: 5\0")), .why = "no number" },
	{ REPLY(FIELD("Content-Length:")), .why = "no number" },
	{ REPLY(FIELD("Content-Length: 18446744073709551621")),
	    .why = "no number" },
	{ REPLY(FIELD("Content-Length: 18446744073709551615")),
	    .why = "too long" },
	{ REPLY(FIELD("Content-Length: 4294967301")), .why = "too long" },
	{ REPLY(FIELD("Content-Length: 65537")), .why = "too long" },
	{ REPLY(FIELD("Content-Length: 5\r\nContent-Length: 5")),
	    .why = "twice" },
	{ REPLY(FIELD("Content-Length: 5\r\ncontent-length: 3")),
	    .why = "twice" },
	{ REPLY(FIELD("Content-Length: 5\r\nTransfer-Encoding: chunked")),
	    .why = "twice" },
	{ REPLY(FIELD("Transfer-Encoding: chunked\r\nContent-Length: 5")),
	    .why = "twice" },
	{ REPLY(FIELD("Transfer-Encoding: chunked\r\nTransfer-Encoding: "
	    "chunked")), .why = "twice" },
	{ REPLY(FIELD("Transfer-Encoding: gzip, chunked")),
	    .why = "transfer coding" },
	{ REPLY(FIELD("Transfer-Encoding: identity")), .why = "transfer coding" },
	{ REPLY(FIELD("Transfer-Encoding: xchunked")), .why = "transfer coding" },
	{ REPLY(FIELD("Transfer-Encoding:")), .why = "transfer coding" },
	{ REPLY("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
	    .why = "transfer coding" },
	/* Chunks. */
	{ REPLY(CHUNKED "\r\n"), .why = "size of a chunk" },
	{ REPLY(CHUNKED "-1\r\nx"), .why = "size of a chunk" },
	{ REPLY(CHUNKED "+1\r\nx\r\n0\r\n\r\n"), .why = "size of a chunk" },
	{ REPLY(CHUNKED "0x1\r\nx\r\n0\r\n\r\n"), .why = "size of a chunk" },
	{ REPLY(CHUNKED " 1\r\nx\r\n0\r\n\r\n"), .why = "size of a chunk" },
	{ REPLY(CHUNKED "g\r\nx"), .why = "size of a chunk" },
	{ REPLY(CHUNKED ";x\r\nx"), .why = "size of a chunk" },
	{ REPLY(CHUNKED "1 1\r\nx"), .why = "size of a chunk" },
	{ REPLY(CHUNKED "1\0\r\nx"), .why = "size of a chunk" },
	{ REPLY(CHUNKED "00000000000000001\r\nx"), .why = "size of a chunk" },
	{ REPLY(CHUNKED "10000000000000001\r\nx"), .why = "size of a chunk" },
	{ REPLY(CHUNKED "ffffffffffffffff\r\nx"), .why = "too long" },
	{ REPLY(CHUNKED "100000001\r\nx"), .why = "too long" },
	{ REPLY(CHUNKED "10001\r\nx"), .why = "too long" },
	{ REPLY(CHUNKED "1\r\nx\r\nfffffffffffffffe\r\ny"), .why = "too long" },
	{ REPLY(CHUNKED "1\r\nx\r\nffffffffffffffff\r\ny"), .why = "too long" },
	{ REPLY(CHUNKED "1\r\nxy\r\n0\r\n\r\n"), .why = "not as long" },
	{ REPLY(CHUNKED "1\r\nx0\r\n\r\n"), .why = "not as long" },
	{ REPLY(CHUNKED "2\r\nx\r\n0\r\n\r\n"), .why = "not as long" },
	{ REPLY(CHUNKED "1\r\nx\n0\r\n\r\n"), .why = "not as long" },
	{ REPLY(CHUNKED "1;a\rb\r\nx\r\n0\r\n\r\n"), .why = "control" },
	{ REPLY(CHUNKED "0\r\nX: \x01\r\n\r\n"), .why = "control" },
	/* Cut short. */
	{ REPLY("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n1234"),
	    .why = "closed the connection" },
	{ REPLY(CHUNKED "5\r\n1234"), .why = "closed the connection" },
	{ REPLY(CHUNKED "5\r\n12345\r\n0\r\n"), .why = "closed the connection" },
	{ REPLY(""), .why = "without a reply" }
};

static void
expect_refusal(const char *reply, size_t len, const char *why, size_t piece)
{
	const struct script_step steps[] = { HEARS(GET_HEAD), SAYS_N(reply, len),
	    CLOSES, STOP };
	const struct script knobs = { .cut_at = SIZE_MAX, .piece = piece };
	struct run run;

	run_get(&run, steps, &knobs);
	if (run.rc != -1 || strstr(run.s.err.text, why) == NULL)
		fail_msg("\"%.200s\": %d, %s", reply, run.rc, run.s.err.text);
	assert_int_equal(run.s.err.cause, CAUSE_ROUTE);
	assert_true(run.r.sent_whole);
	assert_int_equal(run.r.began, len > 0);
	finish(&run);
}

static void
test_hostile_replies_are_refused_with_the_reason(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(hostiles); i++) {
		expect_refusal(hostiles[i].reply, hostiles[i].len,
		    hostiles[i].why, 0);
		expect_refusal(hostiles[i].reply, hostiles[i].len,
		    hostiles[i].why, 1);
	}
}

static void
add_many(struct buf *b, char c, size_t n)
{
	while (n-- > 0)
		buf_addc(b, c);
}

/* expect: NULL when b is a fine reply with `size` bytes of body. */
static void
check_big(struct buf *b, const char *expect, size_t size)
{
	const struct script_step steps[] = { HEARS(GET_HEAD),
	    SAYS_N(b->p, b->len), CLOSES, STOP };
	const struct script knobs = { .cut_at = SIZE_MAX };
	struct run run;

	assert_false(b->failed);
	if (expect) {
		expect_refusal(b->p, b->len, expect, 0);
	} else {
		run_get(&run, steps, &knobs);
		if (run.rc != 0)
			fail_msg("%s", run.s.err.text);
		assert_int_equal(run.r.body.len, size);
		finish(&run);
	}
	buf_reset(b);
}

static void
test_heads_up_to_the_limit_and_not_beyond(void **state)
{
	static const char status[] = "HTTP/1.1 204 x\r\n";
	size_t room = HTTP_HEAD_MAX - (sizeof status - 1) - 2, i;
	struct buf b = { 0 };

	(void)state;
	for (i = 0; i < 2; i++) {
		/* One field that fills the head, or is one byte longer. */
		buf_adds(&b, status);
		buf_adds(&b, "A:");
		add_many(&b, 'x', room - 4 + i);
		buf_adds(&b, "\r\n\r\n");
		assert_int_equal(b.len, HTTP_HEAD_MAX + i);
		check_big(&b, i == 0 ? NULL : "too long", 0);
		/* Many small ones. */
		buf_adds(&b, status);
		while (b.len + 4 + 5 < HTTP_HEAD_MAX)
			buf_adds(&b, "a:\r\n");
		buf_adds(&b, "A:");
		add_many(&b, 'x', HTTP_HEAD_MAX + i - b.len - 4);
		buf_adds(&b, "\r\n\r\n");
		check_big(&b, i == 0 ? NULL : "too long", 0);
	}
	add_many(&b, 'H', 65536);
	check_big(&b, "line of more than", 0);
	buf_adds(&b, status);
	add_many(&b, 'A', 65536);
	check_big(&b, "line of more than", 0);
	buf_free(&b);
}

static void
test_bodies_up_to_the_limit_and_not_beyond(void **state)
{
	struct buf b = { 0 };
	const char *why;
	size_t n, i;

	(void)state;
	for (n = HTTP_BODY_MAX; n <= HTTP_BODY_MAX + 1; n++) {
		why = n > HTTP_BODY_MAX ? "too long" : NULL;
		buf_addf(&b, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", n);
		add_many(&b, 'x', n);
		check_big(&b, why, n);
		buf_adds(&b, "HTTP/1.1 200 OK\r\n\r\n");
		add_many(&b, 'x', n);
		check_big(&b, why, n);
		buf_addf(&b, CHUNKED "8000\r\n");
		add_many(&b, 'x', 0x8000);
		buf_addf(&b, "\r\n%zx\r\n", n - 0x8000);
		add_many(&b, 'x', n - 0x8000);
		buf_adds(&b, "\r\n0\r\n\r\n");
		check_big(&b, why, n);
		buf_adds(&b, CHUNKED);
		for (i = 0; i < n; i++)
			buf_adds(&b, "1\r\nx\r\n");
		buf_adds(&b, "0\r\n\r\n");
		check_big(&b, why, n);
	}
	buf_free(&b);
}

static void
test_extensions_and_trailers_have_a_limit(void **state)
{
	struct buf b = { 0 };
	size_t i, k;

	(void)state;
	for (i = 0; i < 2; i++) {
		/* The line end of the last trailer line counts. */
		buf_adds(&b, CHUNKED "0\r\nA:");
		add_many(&b, 'x', HTTP_HEAD_MAX - 6 + i);
		buf_adds(&b, "\r\n\r\n");
		check_big(&b, i == 0 ? NULL : "too long", 0);
		/* 2048 chunks of 8 bytes of extension fill it. */
		buf_adds(&b, CHUNKED);
		for (k = 0; k < 2048; k++)
			buf_adds(&b, "1;1234567\r\nx\r\n");
		buf_adds(&b, i == 0 ? "1\r\nx\r\n" : "1;\r\nx\r\n");
		check_big(&b, i == 0 ? "closed the connection" : "too long", 0);
	}
	for (i = 0; i < 20000; i++)
		buf_adds(&b, i == 0 ? CHUNKED "0\r\n" : "a:b\r\n");
	check_big(&b, "too long", 0);
	buf_free(&b);
}

/* --- requests --- */

struct body {
	const char *p;
	size_t n, step;		/* step: bytes of one stream_write */
	int fail;		/* 0, 1: stream_fail in the middle, 2: just -1 */
	int rc;			/* what the last stream_write returned */
};

static int
write_body(void *ctx, struct stream *s)
{
	struct body *b = ctx;
	size_t at, n;

	for (at = 0; at < b->n; at += n) {
		if (b->fail == 1 && at > b->n / 2)
			return stream_fail(s, CAUSE_LOCAL, "spool: bad disk");
		if (b->fail == 2 && at > b->n / 2)
			return -1;
		n = b->n - at < b->step ? b->n - at : b->step;
		b->rc = stream_write(s, b->p + at, n);
		if (b->rc != 0)
			return b->rc;
	}
	return 0;
}

static struct http_request
post(struct body *b)
{
	struct http_request req = get;

	req.method = "POST";
	req.body_size = b->n;
	req.body = write_body;
	req.ctx = b;
	return req;
}

#define FINE "HTTP/1.1 204 x\r\n\r\n"
#define EARLY "HTTP/1.1 413 Too Large\r\nContent-Length: 5\r\n\r\nlarge"

static void
test_requests_to_the_byte_in_one_write(void **state)
{
	static const struct http_field fields[] = { { "Host", "h.example:8" },
		{ "x-amz-date", "20261124T100000Z" }, { "Empty", "" } };
	static struct body hello = { .p = "hello", .n = 5, .step = 2 };
	static const struct {
		struct http_request req;
		const char *expect;
	} cases[] = {
		{ { .method = "GET", .target = "/a?b=c&d", .fields = fields,
		    .nfields = 3 }, "GET /a?b=c&d HTTP/1.1\r\nHost: h.example:8"
		    "\r\nx-amz-date: 20261124T100000Z\r\nEmpty: \r\n\r\n" },
		{ { .method = "POST", .target = "/", .fields = fields,
		    .nfields = 1, .body_size = 5, .body = write_body,
		    .ctx = &hello }, "POST / HTTP/1.1\r\nHost: h.example:8\r\n"
		    "Content-Length: 5\r\n\r\nhello" },
		{ { .method = "POST", .target = "/" }, "POST / HTTP/1.1\r\n"
		    "Content-Length: 0\r\n\r\n" },
		{ { .method = "PUT", .target = "/token" }, "PUT /token HTTP/1.1"
		    "\r\nContent-Length: 0\r\n\r\n" },
		{ { .method = "DELETE", .target = "/", .body_size = 5,
		    .body = write_body, .ctx = &hello },
		    "DELETE / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello" },
		{ { .method = "DELETE", .target = "/" },
		    "DELETE / HTTP/1.1\r\n\r\n" }
	};
	struct run run;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		const struct script_step steps[] = { HEARS_N(cases[i].expect,
		    strlen(cases[i].expect)), SAYS(FINE), STOP };

		script_open(&run.p, &run.s, steps);
		run_request(&run, &cases[i].req);
		assert_int_equal(run.rc, 0);
		script_check(&run.p);
		assert_int_equal(run.p.writes, 1);
		assert_true(run.r.sent_whole);
		assert_true(run.r.keep_alive);
		assert_false(run.s.yield);
		finish(&run);
	}
}

static void
test_a_kept_stream_carries_the_next_request(void **state)
{
	static const struct script_step steps[] = { HEARS(GET_HEAD),
	    SAYS("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none"),
	    HEARS(GET_HEAD), SAYS(CHUNKED "3\r\ntwo\r\n0\r\n\r\n"),
	    HEARS(GET_HEAD), SAYS(FINE), CLOSES, STOP };
	static const char *const bodies[] = { "one", "two", "" };
	struct run run;
	size_t i;

	(void)state;
	script_open(&run.p, &run.s, steps);
	for (i = 0; i < COUNT(bodies); i++) {
		run_request(&run, &get);
		assert_int_equal(run.rc, 0);
		assert_string_equal(buf_str(&run.r.body), bodies[i]);
		assert_true(run.r.keep_alive);
		http_reply_free(&run.r);
	}
	script_check(&run.p);
	assert_int_equal(run.s.flights, 3);
	/* The peer has closed meanwhile: seen before anything is sent. */
	run_request(&run, &get);
	assert_int_equal(run.rc, -1);
	assert_false(run.r.sent_whole);
	assert_false(run.r.began);
	assert_int_equal(run.p.wrote.len, 3 * (sizeof GET_HEAD - 1));
	finish(&run);
}

static void
test_a_peer_that_speaks_unasked_gets_no_request(void **state)
{
	static const struct script_step steps[] = { SAYS(FINE), STOP };
	struct run run;

	(void)state;
	script_open(&run.p, &run.s, steps);
	run_request(&run, &get);
	assert_int_equal(run.rc, -1);
	assert_false(run.r.sent_whole);
	assert_false(run.r.began);
	assert_int_equal(run.p.writes, 0);
	script_check(&run.p);
	finish(&run);
}

static void
test_nothing_from_outside_becomes_a_field(void **state)
{
	static const struct script_step steps[] = { STOP };
	static const char *const bad[] = { "a\r\nX-Evil: 1", "a\nb", "a\rb",
		"\x01", "\x7f" };
	static const char *const targets[] = { "/a b", "/a\r\nb", "/\t" };
	struct http_field field = { "X-Token", NULL };
	struct http_request req = get;
	struct run run;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(bad) + COUNT(targets); i++) {
		req.fields = &field;
		field.value = i < COUNT(bad) ? bad[i] : "fine";
		req.target = i < COUNT(bad) ? "/" : targets[i - COUNT(bad)];
		script_open(&run.p, &run.s, steps);
		run_request(&run, &req);
		assert_int_equal(run.rc, -1);
		assert_int_equal(run.s.err.cause, CAUSE_OPERATOR);
		assert_int_equal(run.p.wrote.len, 0);
		assert_false(run.r.sent_whole);
		finish(&run);
	}
}

static char big[200000];

static void
fill_big(void)
{
	size_t i;

	for (i = 0; i < sizeof big; i++)
		big[i] = (char)('!' + i * 7 % 90);
}

/* POST of n bytes; the script hears whatever it does. */
static void
run_post(struct run *run, const struct script_step *steps, struct body *b,
    size_t write_limit)
{
	struct http_request req = post(b);

	fill_big();
	script_open(&run->p, &run->s, steps);
	run->p.write_limit = write_limit;
	run_request(run, &req);
	assert_false(run->s.yield);
}

static size_t
post_head(char out[200], size_t n)
{
	return (size_t)snprintf(out, 200, "POST /x HTTP/1.1\r\nHost: h.example"
	    "\r\nContent-Length: %zu\r\n\r\n", n);
}

static void
test_an_upload_arrives_to_the_byte_in_full_blocks(void **state)
{
	static const size_t sizes[] = { 1, 16384 - 70, 16384, 65536, 199999 };
	static const size_t steps_of[] = { 57, 1000, 16384, 200000 };
	struct run run;
	char head[200];
	size_t i, n;

	(void)state;
	for (i = 0; i < COUNT(sizes) * COUNT(steps_of); i++) {
		struct body b = { .p = big, .n = sizes[i / COUNT(steps_of)],
		    .step = steps_of[i % COUNT(steps_of)] };
		const struct script_step steps[] = {
		    HEARS_N(head, post_head(head, b.n)), HEARS_N(big, b.n),
		    SAYS(FINE), STOP };

		run_post(&run, steps, &b, SIZE_MAX);
		assert_int_equal(run.rc, 0);
		script_check(&run.p);
		n = run.p.wrote.len;
		assert_int_equal(n, strlen(head) + b.n);
		assert_int_equal(run.p.writes, (n + STREAM_OUT - 1) / STREAM_OUT);
		assert_true(run.r.sent_whole);
		assert_true(run.r.keep_alive);
		finish(&run);
	}
}

/* A reply while the upload goes on; what the peer then does with the rest. */
static void
test_a_reply_during_the_upload_ends_it(void **state)
{
	static const struct script_step takes_the_rest[] = {
	    HEARS_UNTIL("\r\n\r\n"), SAYS(EARLY), HEARS_ANY, STOP };
	static const struct script_step takes_no_more[] = {
	    HEARS_UNTIL("\r\n\r\n"), SAYS(EARLY), BLOCKS, STOP };
	static const struct script_step closes[] = {
	    HEARS_BYTES(STREAM_OUT), SAYS(EARLY), CLOSES, HEARS_ANY, STOP };
	static const struct script_step resets[] = {
	    HEARS_BYTES(STREAM_OUT), SAYS(EARLY), RESETS, STOP };
	static const struct script_step interim[] = {
	    HEARS_UNTIL("\r\n\r\n"), SAYS(INTERIM), SAYS(EARLY), BLOCKS, STOP };
	static const struct script_step *const all[] = { takes_the_rest,
		takes_no_more, closes, resets, interim };
	struct run run;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(all); i++) {
		struct body b = { .p = big, .n = 100000, .step = 5000 };

		run_post(&run, all[i], &b, SIZE_MAX);
		if (run.rc != 0)
			fail_msg("case %zu: %s", i, run.s.err.text);
		assert_int_equal(b.rc, 1);
		assert_int_equal(run.r.status, 413);
		assert_string_equal(buf_str(&run.r.body), "large");
		assert_false(run.r.keep_alive);
		assert_false(run.r.sent_whole);
		assert_true(run.p.wrote.len <= STREAM_OUT);
		finish(&run);
	}
}

static void
test_a_close_during_the_upload_is_no_reply(void **state)
{
	static const struct script_step steps[] = { HEARS_BYTES(STREAM_OUT),
	    CLOSES, HEARS_ANY, STOP };
	struct body b = { .p = big, .n = 100000, .step = 5000 };
	struct run run;

	(void)state;
	run_post(&run, steps, &b, SIZE_MAX);
	assert_int_equal(run.rc, -1);
	assert_non_null(strstr(run.s.err.text, "without a reply"));
	assert_false(run.r.sent_whole);
	assert_false(run.r.began);
	assert_int_equal(run.p.wrote.len, STREAM_OUT);
	finish(&run);
}

static void
test_a_peer_that_stops_listening_may_have_said_why(void **state)
{
	static const struct script_step steps[] = { HEARS_BYTES(10),
	    SAYS(EARLY), HEARS_ANY, STOP };
	struct body small = { .p = big, .n = 100, .step = 100 };
	struct body large = { .p = big, .n = 100000, .step = 5000 };
	struct run run;

	(void)state;
	/* The only write fails: it held the last byte. */
	run_post(&run, steps, &small, 20);
	assert_int_equal(run.rc, 0);
	assert_int_equal(run.r.status, 413);
	assert_true(run.r.sent_whole);
	assert_false(run.r.keep_alive);
	finish(&run);
	run_post(&run, steps, &large, 20);
	assert_int_equal(run.rc, 0);
	assert_int_equal(run.r.status, 413);
	assert_false(run.r.sent_whole);
	assert_false(run.r.keep_alive);
	finish(&run);
}

static void
test_a_write_that_fails_stays_the_reason_when_no_reply_is_whole(void **state)
{
	static const struct script_step nothing[] = { HEARS_ANY, STOP };
	static const struct script_step half[] = { HEARS_BYTES(10),
	    SAYS("HTTP/1.1 413 x\r\nContent-Length: 9\r\n\r\nla"), CLOSES,
	    HEARS_ANY, STOP };
	static const struct script_step endless[] = { HEARS_BYTES(10),
	    SAYS("HTTP/1.1 413 x\r\n\r\nlarge"), CLOSES, HEARS_ANY, STOP };
	static const struct script_step garbage[] = { HEARS_BYTES(10),
	    SAYS("\x15\x03\x03\n"), CLOSES, HEARS_ANY, STOP };
	static const struct script_step closed[] = { HEARS_BYTES(10), CLOSES,
	    HEARS_ANY, STOP };
	static const struct script_step *const all[] = { nothing, half, endless,
		garbage, closed };
	struct run run;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(all); i++) {
		struct body b = { .p = big, .n = 100000, .step = 5000 };

		run_post(&run, all[i], &b, 20);
		assert_int_equal(run.rc, -1);
		assert_string_equal(run.s.err.text,
		    "peer: the peer reset the connection");
		assert_false(run.r.sent_whole);
		assert_int_equal(run.r.began, i >= 1 && i <= 3);
		finish(&run);
	}
}

static void
test_a_silent_peer_that_takes_nothing_times_out(void **state)
{
	static const struct script_step steps[] = { HEARS_BYTES(STREAM_OUT),
	    BLOCKS, STOP };
	struct body b = { .p = big, .n = 100000, .step = 5000 };
	struct run run;

	(void)state;
	run_post(&run, steps, &b, SIZE_MAX);
	assert_int_equal(run.rc, -1);
	assert_string_equal(run.s.err.text, "peer: timed out");
	assert_false(run.r.sent_whole);
	/* Having waited for it once, nobody waits for a reply as well. */
	assert_int_equal(run.s.flights, 0);
	finish(&run);
}

static void
test_a_body_that_cannot_be_produced_is_a_local_failure(void **state)
{
	/* The reply that is there by then has no say in it. */
	static const struct script_step steps[] = { HEARS_BYTES(10),
	    SAYS(EARLY), HEARS_ANY, STOP };
	static const char *const texts[] = { "peer: spool: bad disk",
		"peer: the request cannot be read" };
	struct run run;
	int i;

	(void)state;
	for (i = 0; i < 2; i++) {
		struct body b = { .p = big, .n = 50000, .step = 1000,
		    .fail = i + 1 };

		run_post(&run, steps, &b, SIZE_MAX);
		assert_int_equal(run.rc, -1);
		assert_string_equal(run.s.err.text, texts[i]);
		assert_int_equal(run.s.err.cause, CAUSE_LOCAL);
		assert_false(run.r.sent_whole);
		assert_false(run.r.began);
		assert_int_equal(run.p.wrote.len, STREAM_OUT);
		finish(&run);
	}
}

/*
 * The connection dies after every interesting number of bytes. sent_whole must
 * be true as soon as the write with the last byte was tried, and not before.
 */
static void
check_sent_whole(size_t total, size_t limit)
{
	static const struct script_step steps[] = { HEARS_ANY, STOP };
	size_t last_block = (total - 1) / STREAM_OUT * STREAM_OUT;
	struct body b = { .p = big, .step = 1000 };
	struct run run;
	char head[200];

	b.n = total - post_head(head, total - 64);
	assert_int_equal(post_head(head, b.n) + b.n, total);
	run_post(&run, steps, &b, limit);
	assert_int_equal(run.rc, -1);
	assert_int_equal(run.p.wrote.len, limit < total ? limit : total);
	if (run.r.sent_whole != (limit >= last_block))
		fail_msg("%zu of %zu bytes: sent_whole is %d", limit, total,
		    run.r.sent_whole);
	assert_false(run.r.began);
	finish(&run);
}

static void
test_sent_whole_from_the_write_of_the_last_byte_on(void **state)
{
	static const size_t edges[] = { STREAM_OUT, 2 * STREAM_OUT,
		3 * STREAM_OUT };
	size_t i, k, total;

	(void)state;
	for (i = 0; i < COUNT(edges); i++)
		for (total = edges[i] - 2; total <= edges[i] + 2; total++) {
			for (k = 0; k <= total + 100; k += 997)
				check_sent_whole(total, k);
			for (k = total - 3; k <= total + 1; k++)
				check_sent_whole(total, k);
			check_sent_whole(total, edges[i] - 1);
			check_sent_whole(total, edges[i]);
		}
}

static void
note_deadline(struct script *p)
{
	const struct stream *s = p->ctx;

	assert_in_range(s->deadline - clock_ms(), 1, 7000);
	p->ctx = NULL;
}

static void
test_blocks_and_reply_have_their_own_deadlines(void **state)
{
	static const struct script_step steps[] = { HEARS_BYTES(40000),
	    CALLS(note_deadline), HEARS_BYTES(10000), SAYS(FINE), HEARS_ANY,
	    STOP };
	struct body b = { .p = big, .n = 60000, .step = 5000 };
	struct http_request req = post(&b);
	struct run run;

	(void)state;
	req.write_seconds = 7;
	req.reply_seconds = 1000;
	fill_big();
	script_open(&run.p, &run.s, steps);
	run.p.ctx = &run.s;
	run_request(&run, &req);
	assert_int_equal(run.rc, 0);
	assert_null(run.p.ctx);
	assert_in_range(run.s.deadline - clock_ms(), 900000, 1000000);
	finish(&run);
}

static void
test_a_failed_stream_stays_failed(void **state)
{
	static const struct script_step steps[] = { STOP };
	struct run run;

	(void)state;
	script_open(&run.p, &run.s, steps);
	stream_fail(&run.s, CAUSE_ROUTE, "gone");
	run_request(&run, &get);
	assert_int_equal(run.rc, -1);
	assert_string_equal(run.s.err.text, "peer: gone");
	assert_int_equal(run.p.wrote.len, 0);
	finish(&run);
}

/* --- mutations --- */

static uint32_t
next_random(uint32_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	return *seed;
}

static void
pick_reply(uint32_t *seed, const char **reply, size_t *len)
{
	size_t i = next_random(seed) % (COUNT(goods) + COUNT(hostiles));

	*reply = i < COUNT(goods) ? goods[i].reply :
	    hostiles[i - COUNT(goods)].reply;
	*len = i < COUNT(goods) ? goods[i].len : hostiles[i - COUNT(goods)].len;
}

/* A reply with bytes changed, cut out, doubled, or put in from another one. */
static void
mutate(struct buf *b, uint32_t *seed)
{
	static const char bytes[] = "\r\n: \t;,0123456789afF-+\0\x7f\xffHTP";
	const char *from, *other;
	size_t n, other_n, at, k;
	unsigned changes = next_random(seed) % 4;

	pick_reply(seed, &from, &n);
	buf_reset(b);
	buf_add(b, from, n);
	while (changes-- > 0 && b->len > 0) {
		at = next_random(seed) % b->len;
		switch (next_random(seed) % 4) {
		case 0:
			b->p[at] = bytes[next_random(seed) % (sizeof bytes - 1)];
			break;
		case 1:
			k = at + next_random(seed) % (b->len - at);
			memmove(b->p + at, b->p + k, b->len - k);
			b->len -= k - at;
			break;
		case 2:
			buf_add(b, "0123456789abcdef", 16);
			memmove(b->p + at + 16, b->p + at, b->len - at - 16);
			break;
		default:
			pick_reply(seed, &other, &other_n);
			if (other_n == 0)
				break;
			k = next_random(seed) % other_n;
			b->len = at;
			buf_add(b, other + k, other_n - k);
			break;
		}
	}
}

static void
run_mutant(struct run *run, const struct buf *b, bool closes, size_t piece)
{
	static const struct script_step end[] = { STOP, CLOSES };
	const struct script_step steps[] = { HEARS(GET_HEAD),
	    SAYS_N(buf_str(b), b->len), end[closes], STOP };
	const struct script knobs = { .cut_at = SIZE_MAX, .piece = piece };

	run_get(run, steps, &knobs);
}

static void
test_mutants_do_no_harm_and_pieces_change_nothing(void **state)
{
	struct run a, b;
	struct buf reply = { 0 };
	uint32_t seed = 20261124;
	unsigned i, fine = 0;
	bool closes;

	(void)state;
	for (i = 0; i < 20000; i++) {
		mutate(&reply, &seed);
		closes = next_random(&seed) % 4 > 0;
		run_mutant(&a, &reply, closes, 0);
		run_mutant(&b, &reply, closes, 1 + next_random(&seed) % 5);
		assert_int_equal(a.rc, b.rc);
		assert_string_equal(a.s.err.text, b.s.err.text);
		assert_int_equal(a.r.status, b.r.status);
		assert_int_equal(a.r.began, b.r.began);
		assert_int_equal(a.r.body.len, b.r.body.len);
		assert_memory_equal(buf_str(&a.r.body), buf_str(&b.r.body),
		    a.r.body.len);
		assert_int_equal(a.r.head.len, b.r.head.len);
		fine += a.rc == 0;
		finish(&a);
		finish(&b);
	}
	/* Neither all refused nor all taken: the mutants are worth something. */
	assert_in_range(fine, 2000, 18000);
	buf_free(&reply);
}

/* --- URLs --- */

static void
test_urls_in_their_parts(void **state)
{
	static const struct {
		const char *url;
		struct http_url u;
		const char *host;
	} cases[] = {
		{ "http://127.0.0.1:8005", { false, "127.0.0.1", 8005, "" },
		    "127.0.0.1:8005" },
		{ "https://email.eu-west-1.amazonaws.com", { true,
		    "email.eu-west-1.amazonaws.com", 443, "" },
		    "email.eu-west-1.amazonaws.com" },
		{ "https://h:443/", { true, "h", 443, "/" }, "h" },
		{ "http://h:443", { false, "h", 443, "" }, "h:443" },
		{ "https://h:80", { true, "h", 80, "" }, "h:80" },
		{ "HTTP://Host_1/a/b%20c:@~", { false, "Host_1", 80,
		    "/a/b%20c:@~" }, "Host_1" },
		{ "http://[::1]:9/x", { false, "::1", 9, "/x" }, "[::1]:9" },
		{ "http://[fd00:ec2::23]/v1", { false, "fd00:ec2::23", 80,
		    "/v1" }, "[fd00:ec2::23]" },
		{ "http://h:65535", { false, "h", 65535, "" }, "h:65535" },
		{ "http://h:00080", { false, "h", 80, "" }, "h" }
	};
	struct http_url u;
	char out[300];
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		if (http_url_parse(cases[i].url, &u) < 0)
			fail_msg("%s", cases[i].url);
		assert_int_equal(u.tls, cases[i].u.tls);
		assert_string_equal(u.host, cases[i].u.host);
		assert_int_equal(u.port, cases[i].u.port);
		assert_string_equal(u.path, cases[i].u.path);
		assert_int_equal(http_host_field(&u, out, sizeof out), 0);
		assert_string_equal(out, cases[i].host);
		/* It fits, or it is refused: never cut. */
		assert_int_equal(http_host_field(&u, out,
		    strlen(cases[i].host) + 1), 0);
		assert_int_equal(http_host_field(&u, out,
		    strlen(cases[i].host)), -1);
	}
}

static void
test_what_is_no_url_of_ours_is_refused(void **state)
{
	static const char *const bad[] = { "", "h", "http:", "http://",
		"http:///x", "ftp://h", "https:/h", "httpss://h", " http://h",
		"http://h ", "http://user@h", "http://user:pw@h/",
		"http://h?q", "http://h/a?q", "http://h#f", "http://h/a#f",
		"http://h:", "http://h:0", "http://h:65536", "http://h:-1",
		"http://h:8a", "http://h:8:9", "http://h:000080", "http://h:/",
		"http://[::1", "http://[::1]x", "http://[]", "http://[h]",
		"http://[1.2.3.4]", "http://[fe80::1%eth0]", "http://::1",
		"http://h/a b", "http://h/\t", "http://h/\x7f", "http://h/\xc3",
		"http://h\\x", "http://\xc3\xa4", "http://h/\r\nX: y" };
	struct http_url u;
	struct buf b = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(bad); i++)
		if (http_url_parse(bad[i], &u) != -1)
			fail_msg("\"%s\" was taken", bad[i]);
	for (i = 255; i <= 256; i++) {
		buf_reset(&b);
		buf_adds(&b, "http://");
		add_many(&b, 'h', i);
		assert_int_equal(http_url_parse(b.p, &u), i > 255 ? -1 : 0);
		buf_reset(&b);
		buf_adds(&b, "http://h/");
		add_many(&b, 'p', i - 1);
		assert_int_equal(http_url_parse(b.p, &u), i > 255 ? -1 : 0);
	}
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good_replies_in_pieces_of_every_size),
		cmocka_unit_test(test_cut_sweep_only_whole_replies_count),
		cmocka_unit_test(test_what_follows_a_reply_unasked_ends_keeping),
		cmocka_unit_test(
		    test_fields_are_found_trimmed_in_any_case_first_first),
		cmocka_unit_test(
		    test_hostile_replies_are_refused_with_the_reason),
		cmocka_unit_test(test_heads_up_to_the_limit_and_not_beyond),
		cmocka_unit_test(test_bodies_up_to_the_limit_and_not_beyond),
		cmocka_unit_test(test_extensions_and_trailers_have_a_limit),
		cmocka_unit_test(test_requests_to_the_byte_in_one_write),
		cmocka_unit_test(test_a_kept_stream_carries_the_next_request),
		cmocka_unit_test(
		    test_a_peer_that_speaks_unasked_gets_no_request),
		cmocka_unit_test(test_nothing_from_outside_becomes_a_field),
		cmocka_unit_test(
		    test_an_upload_arrives_to_the_byte_in_full_blocks),
		cmocka_unit_test(test_a_reply_during_the_upload_ends_it),
		cmocka_unit_test(test_a_close_during_the_upload_is_no_reply),
		cmocka_unit_test(
		    test_a_peer_that_stops_listening_may_have_said_why),
		cmocka_unit_test(
		 test_a_write_that_fails_stays_the_reason_when_no_reply_is_whole),
		cmocka_unit_test(
		    test_a_silent_peer_that_takes_nothing_times_out),
		cmocka_unit_test(
		    test_a_body_that_cannot_be_produced_is_a_local_failure),
		cmocka_unit_test(
		    test_sent_whole_from_the_write_of_the_last_byte_on),
		cmocka_unit_test(test_blocks_and_reply_have_their_own_deadlines),
		cmocka_unit_test(test_a_failed_stream_stays_failed),
		cmocka_unit_test(
		    test_mutants_do_no_harm_and_pieces_change_nothing),
		cmocka_unit_test(test_urls_in_their_parts),
		cmocka_unit_test(test_what_is_no_url_of_ours_is_refused)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
