#include "tests/unit/script.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void wrong(struct script *p, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void
wrong(struct script *p, const char *fmt, ...)
{
	va_list ap;

	if (p->wrong[0])
		return;
	va_start(ap, fmt);
	vsnprintf(p->wrong, sizeof p->wrong, fmt, ap);
	va_end(ap);
}

/* Up to 60 bytes in a form that can be shown. */
static const char *
shown(char out[256], const char *p, size_t n)
{
	size_t i, len = 0;

	out[0] = '\0';
	for (i = 0; i < n && i < 60; i++)
		if (p[i] >= ' ' && p[i] < 0x7f)
			len += (size_t)snprintf(out + len, 256 - len, "%c", p[i]);
		else
			len += (size_t)snprintf(out + len, 256 - len, "\\x%02x",
			    (unsigned char)p[i]);
	return out;
}

/* Has the peer come to what it was to say behind the cut? */
static bool
is_cut(const struct script *p)
{
	return p->said.len > p->cut_at;
}

static bool
is_reset(const struct script *p)
{
	return p->reset || (is_cut(p) && p->cut_as == CUT_RESET);
}

/* Bytes that can be read now. */
static size_t
readable(const struct script *p)
{
	return (is_cut(p) ? p->cut_at : p->said.len) - p->read;
}

/* Compare what was written with text. 1: it is all there, 0: not yet, -1. */
static int
hears(struct script *p, const char *text, size_t n)
{
	const char *got = buf_str(&p->wrote) + p->heard;
	size_t i, have = p->wrote.len - p->heard;
	char a[256], b[256];

	for (i = 0; i < n && i < have; i++) {
		if (got[i] == text[i])
			continue;
		wrong(p, "step expects \"%s\" but at byte %zu of it hears \"%s\"",
		    shown(a, text, n), i, shown(b, got + i, have - i));
		return -1;
	}
	if (i < n)
		return 0;
	p->heard += n;
	return 1;
}

static int
hears_until(struct script *p, const char *text, size_t n)
{
	const char *got = buf_str(&p->wrote);
	size_t i;

	for (i = p->heard; i + n <= p->wrote.len; i++)
		if (memcmp(got + i, text, n) == 0) {
			p->heard = i + n;
			return 1;
		}
	return 0;
}

static int
hears_nothing(struct script *p, const char *where)
{
	char a[256];

	if (p->heard == p->wrote.len)
		return 0;
	wrong(p, "%s, but hears \"%s\"", where, shown(a,
	    buf_str(&p->wrote) + p->heard, p->wrote.len - p->heard));
	return -1;
}

/* Do one step. 1: done, 0: it waits for the client, -1: it never will be. */
static int
do_step(struct script *p)
{
	const struct script_step *step = p->step;

	switch (step->kind) {
	case SCRIPT_STOP:
		return hears_nothing(p, "the script is at its end");
	case SCRIPT_TLS:
		return hears_nothing(p, "TLS should start now");
	case SCRIPT_SAYS:
		buf_add(&p->said, step->text, step->n);
		return 1;
	case SCRIPT_HEARS:
		return hears(p, step->text, step->n);
	case SCRIPT_UNTIL:
		return hears_until(p, step->text, step->n);
	case SCRIPT_BYTES:
		if (p->wrote.len - p->heard < step->n)
			return 0;
		p->heard += step->n;
		return 1;
	case SCRIPT_ANY:
		p->heard = p->wrote.len;
		return 0;
	case SCRIPT_CLOSES:
		p->ended = true;
		return 1;
	case SCRIPT_RESETS:
		p->reset = true;
		return 1;
	case SCRIPT_BLOCKS:
		return 0;
	case SCRIPT_CALLS:
		step->call(p);
		return 1;
	}
	return -1;
}

static void
advance(struct script *p)
{
	while (!p->wrong[0] && !is_cut(p) && do_step(p) > 0)
		p->step++;
}

static int
fail_reset(struct stream *s)
{
	return stream_fail(s, CAUSE_ROUTE, "the peer reset the connection");
}

static ssize_t
script_read(struct stream *s, void *data, size_t n)
{
	struct script *p = s->ctx;
	size_t have;

	advance(p);
	have = readable(p);
	if (p->wrote_since || p->read == 0) {
		s->flights++;
		p->wrote_since = false;
	}
	if (have > 0) {
		if (n > have)
			n = have;
		if (p->piece > 0 && n > p->piece)
			n = p->piece;
		memcpy(data, p->said.p + p->read, n);
		p->read += n;
		return (ssize_t)n;
	}
	if (is_reset(p))
		return fail_reset(s);
	if (is_cut(p) ? p->cut_as == CUT_EOF : p->ended)
		return 0;
	if (!is_cut(p) && p->step->kind != SCRIPT_STOP &&
	    p->step->kind != SCRIPT_ANY && p->step->kind != SCRIPT_BLOCKS)
		wrong(p, "both sides wait for each other");
	return stream_fail(s, CAUSE_ROUTE, "timed out");
}

/* A peer that takes nothing: input moves on, then yield or time out. */
static ssize_t
blocked(struct stream *s, struct script *p, size_t done)
{
	size_t n = readable(p);

	if (s->in_at == s->in_len)
		s->in_at = s->in_len = 0;
	if (n > STREAM_IN - s->in_len)
		n = STREAM_IN - s->in_len;
	if (n > 0)
		memcpy(s->in + s->in_len, p->said.p + p->read, n);
	s->in_len += n;
	p->read += n;
	if (s->yield && stream_buffered(s) > 0)
		return (ssize_t)done;
	return stream_fail(s, CAUSE_ROUTE, "timed out");
}

static ssize_t
script_write(struct stream *s, const void *data, size_t n)
{
	struct script *p = s->ctx;
	size_t before = p->wrote.len, room = p->write_limit - before;

	advance(p);
	if (is_reset(p))
		return fail_reset(s);
	if (p->step->kind == SCRIPT_BLOCKS)
		return blocked(s, p, 0);
	if (p->writes++ == 0)
		p->first_write = n;
	p->wrote_since = true;
	buf_add(&p->wrote, data, n < room ? n : room);
	advance(p);
	if (p->step->kind == SCRIPT_BLOCKS && p->heard < p->wrote.len) {
		p->wrote.len = p->heard;
		return blocked(s, p, p->heard - before);
	}
	return n <= room ? (ssize_t)n : fail_reset(s);
}

static bool
script_ready(struct stream *s)
{
	struct script *p = s->ctx;

	advance(p);
	return readable(p) > 0 || is_reset(p) ||
	    (is_cut(p) ? p->cut_as == CUT_EOF : p->ended);
}

static void
script_close(struct stream *s)
{
	script_of(s)->closed = true;
}

void
script_open(struct script *p, struct stream *s,
    const struct script_step *steps)
{
	static const struct stream_ops ops = { script_read, script_write,
		script_ready, script_close };

	memset(p, 0, sizeof *p);
	p->cut_at = p->write_limit = SIZE_MAX;
	p->step = steps;
	if (stream_open(s, &ops, p, -1) < 0)
		fail_msg("out of memory");
	snprintf(s->peer, sizeof s->peer, "peer");
	stream_step(s, 3600);
}

void
script_free(struct script *p)
{
	buf_free(&p->wrote);
	buf_free(&p->said);
}

struct script *
script_of(const struct stream *s)
{
	return s->ctx;
}

int
script_start_tls(struct stream *s)
{
	struct script *p = script_of(s);

	if (stream_flush(s) < 0)
		return -1;
	advance(p);
	if (stream_has_input(s))
		return stream_fail(s, CAUSE_ROUTE,
		    "the peer spoke before the TLS handshake");
	if (is_cut(p))
		return stream_fail(s, CAUSE_ROUTE, "timed out");
	if (p->step->kind != SCRIPT_TLS) {
		wrong(p, "TLS starts where it should not");
		return stream_fail(s, CAUSE_ROUTE, "no TLS here");
	}
	p->tls_at = p->wrote.len;
	p->step++;
	advance(p);
	return 0;
}

bool
script_is_done(const struct script *p)
{
	if (p->wrong[0])
		return false;
	if (is_cut(p) || p->wrote.len >= p->write_limit)
		return true;
	return p->step->kind == SCRIPT_STOP ||
	    p->step->kind == SCRIPT_ANY || p->step->kind == SCRIPT_BLOCKS;
}

void
script_check(const struct script *p)
{
	char a[256];

	if (p->wrong[0])
		fail_msg("script: %s", p->wrong);
	if (!script_is_done(p))
		fail_msg("script: a step of kind %d (\"%s\") was not reached",
		    (int)p->step->kind, shown(a, p->step->text ? p->step->text :
		    "", p->step->n));
}

size_t
script_says_bytes(const struct script_step *steps)
{
	size_t n = 0;

	for (; steps->kind != SCRIPT_STOP; steps++)
		if (steps->kind == SCRIPT_SAYS)
			n += steps->n;
	return n;
}

void
script_cut_input(struct script *p, size_t n)
{
	p->cut_at = n / 3;
	p->cut_as = (enum script_cut)(n % 3);
}

void
script_cut_output(struct script *p, size_t n)
{
	p->write_limit = n;
}

void
script_in_pieces(struct script *p, size_t n)
{
	p->piece = n;
}
