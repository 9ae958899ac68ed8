/*
 * A peer that follows a script: a stream for the unit tests of whatever speaks a
 * protocol. Nothing here waits: what would take time in life times out at once.
 *
 * A script is a table of steps, told from the peer's side, with STOP at its end:
 *
 *	static const struct script_step steps[] = {
 *		SAYS("220 relay.example ESMTP\r\n"),
 *		HEARS("EHLO here.example\r\n"),
 *		SAYS("250-relay.example\r\n250 STARTTLS\r\n"),
 *		HEARS("STARTTLS\r\n"), SAYS("220 go\r\n"), STARTS_TLS,
 *		HEARS("EHLO here.example\r\n"), ...
 *		HEARS_UNTIL("\r\n.\r\n"), SAYS("250 2.0.0 taken\r\n"),
 *		HEARS("QUIT\r\n"), STOP
 *	};
 *	struct script p;
 *	struct stream s;
 *
 *	script_open(&p, &s, steps);
 *	... use s ...
 *	stream_close(&s);
 *	script_check(&p);
 *	script_free(&p);
 *
 * What the peer SAYS can be read once all steps before it have been done, so
 * HEARS(a), SAYS(b) releases b only after a was written. A peer that speaks
 * while the client is still writing just says it earlier:
 *
 *	HEARS_UNTIL("\r\n\r\n"), SAYS("HTTP/1.1 413 ...\r\n\r\n"), HEARS_ANY, STOP
 *
 * Between script_open and the first read or write the knobs of struct script may
 * be turned: input in small pieces, input cut short, output that breaks off.
 */
#ifndef SENDROUTE_TEST_SCRIPT_H
#define SENDROUTE_TEST_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/buf.h"
#include "lib/net/stream.h"

struct script;

enum script_kind {
	SCRIPT_STOP,	/* the end: silence; whatever is written is wrong */
	SCRIPT_SAYS,	/* these bytes can be read */
	SCRIPT_HEARS,	/* exactly these bytes must be written */
	SCRIPT_UNTIL,	/* anything up to and with these bytes */
	SCRIPT_BYTES,	/* n bytes of anything */
	SCRIPT_ANY,	/* anything from here on; the last step before STOP */
	SCRIPT_CLOSES,	/* a proper end of input; hearing may go on */
	SCRIPT_RESETS,	/* writing fails; reading when all it said is read */
	SCRIPT_BLOCKS,	/* takes nothing more that is written; a last step */
	SCRIPT_TLS,	/* script_start_tls() must come before anything else */
	SCRIPT_CALLS	/* a function of the test's own */
};

struct script_step {
	enum script_kind kind;
	const char *text;
	size_t n;
	void (*call)(struct script *p);
};

#define SAYS(t)		{ .kind = SCRIPT_SAYS, .text = (t), .n = sizeof (t) - 1 }
#define SAYS_N(p, len)	{ .kind = SCRIPT_SAYS, .text = (p), .n = (len) }
#define HEARS(t)	{ .kind = SCRIPT_HEARS, .text = (t), .n = sizeof (t) - 1 }
#define HEARS_N(p, len)	{ .kind = SCRIPT_HEARS, .text = (p), .n = (len) }
#define HEARS_UNTIL(t)	{ .kind = SCRIPT_UNTIL, .text = (t), .n = sizeof (t) - 1 }
#define HEARS_BYTES(len) { .kind = SCRIPT_BYTES, .n = (len) }
#define HEARS_ANY	{ .kind = SCRIPT_ANY }
#define CLOSES		{ .kind = SCRIPT_CLOSES }
#define RESETS		{ .kind = SCRIPT_RESETS }
#define BLOCKS		{ .kind = SCRIPT_BLOCKS }
#define STARTS_TLS	{ .kind = SCRIPT_TLS }
#define CALLS(f)	{ .kind = SCRIPT_CALLS, .call = (f) }
#define STOP		{ .kind = SCRIPT_STOP }

/* How input that is cut short ends. */
enum script_cut { CUT_EOF, CUT_TIMEOUT, CUT_RESET };

struct script {
	/* Knobs, set by script_open to what changes nothing. */
	size_t piece;		/* most bytes that one read gives; 0: no limit */
	size_t cut_at;		/* of all the peer says, only so many bytes come */
	enum script_cut cut_as;	/* and then this; SIZE_MAX: not cut */
	size_t write_limit;	/* so many bytes can be written, then a reset */
	void *ctx;		/* for CALLS */

	/* What came of it. */
	struct buf wrote;	/* every byte that the client wrote, in order */
	unsigned writes;	/* in so many calls */
	size_t first_write;	/* bytes in the first of them */
	size_t tls_at;		/* wrote.len when TLS began; 0: it did not */
	bool closed;		/* the client has closed the stream */
	char wrong[400];	/* the first thing against the script, or "" */

	/* The machinery. */
	const struct script_step *step;
	struct buf said;
	size_t read, heard;
	bool ended, reset, wrote_since;
};

/*
 * script_open(p, s, steps): s becomes a stream over the script; s->flights
 * counts the times that the client reads after it wrote, which is how often it
 * would wait for a peer far away. Fails the test when there is no memory.
 */
void script_open(struct script *p, struct stream *s,
    const struct script_step *steps);

/* script_free(p): after stream_close(s). */
void script_free(struct script *p);

/* script_of(s): the script behind a stream, for fakes of tls_start or dial. */
struct script *script_of(const struct stream *s);

/*
 * script_start_tls(s): what a fake of tls_start calls. 0 when the script says
 * STARTS_TLS here; else, or when input is there already or was cut, -1 after
 * stream_fail().
 */
int script_start_tls(struct stream *s);

/*
 * script_check(p): fail the test, with what was wrong, unless everything went
 * by the script and to its end. Where input or output was cut only what was
 * written before is judged, and whether input was read never is.
 * script_is_done(p): the same as a bool.
 */
void script_check(const struct script *p);
bool script_is_done(const struct script *p);

/*
 * The turns of a sweep, behind script_open(). script_cut_input(p, n): after n / 3
 * of the bytes that the peer says, in each of the three ways. script_cut_output(p,
 * n): after n of ours. script_in_pieces(p, n): of n bytes each.
 */
void script_cut_input(struct script *p, size_t n);
void script_cut_output(struct script *p, size_t n);
void script_in_pieces(struct script *p, size_t n);

/* script_says_bytes(steps): how many bytes the peer says: the cut sweep's end. */
size_t script_says_bytes(const struct script_step *steps);

#endif
