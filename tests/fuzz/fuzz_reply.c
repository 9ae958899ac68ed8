/* SMTP replies: what is taken is strict and clean, however it comes in pieces. */
#include <string.h>

#include "lib/net/reply.h"
#include "tests/fuzz/fuzz.h"

enum { REPLIES = 20 };

struct seen {
	struct reply r[REPLIES];
	size_t n, lines;
	struct result err;
};

static void
each(void *ctx, const char *text)
{
	struct seen *seen = ctx;

	CHECK(is_clean(text) && strlen(text) < REPLY_LINE);
	seen->lines++;
}

static void
read_all(struct seen *seen, struct input in, size_t piece)
{
	struct log log = { .target = LOG_TO_NONE };
	struct peer p = { .in = in, .piece = piece };
	struct stream s = { 0 };

	memset(seen, 0, sizeof *seen);
	peer_open(&p, &s);
	while (seen->n < REPLIES && reply_read(&s, &log, &seen->r[seen->n],
	    each, seen) == 0)
		seen->n++;
	seen->err = s.err;
	stream_close(&s);
	peer_free(&p);
}

FUZZ(reply)
{
	struct seen whole, bytes;
	size_t i;

	read_all(&whole, *in, 0);
	read_all(&bytes, *in, 1);
	CHECK(whole.n == bytes.n && whole.lines == bytes.lines);
	CHECK(strcmp(whole.err.text, bytes.err.text) == 0);
	CHECK(is_clean(whole.err.text) && is_string(whole.err.text,
	    sizeof whole.err.text));
	CHECK(whole.lines >= whole.n);
	for (i = 0; i < whole.n; i++) {
		CHECK(whole.r[i].code >= 200 && whole.r[i].code <= 599);
		CHECK(is_string(whole.r[i].text, sizeof whole.r[i].text));
		CHECK(is_clean(whole.r[i].text));
		CHECK(whole.r[i].code == bytes.r[i].code);
		CHECK(strcmp(whole.r[i].text, bytes.r[i].text) == 0);
	}
}
