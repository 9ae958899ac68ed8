/*
 * A byte stream with deadlines: buffered reading and writing over a socket, over
 * TLS (bearssl-glue.h swaps the ops in place) or over a script in the tests.
 *
 * The first failure is sticky: it is kept in `err` as text and every later call
 * fails at once, so that callers check where it suits them.
 */
#ifndef SENDROUTE_STREAM_H
#define SENDROUTE_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/base/result.h"

/*
 * STREAM_OUT is what one TLS record can carry (RFC 8446 section 5.1, RFC 5246
 * section 6.2.1): one full buffer leaves as one record in one write.
 */
enum { STREAM_IN = 4096, STREAM_OUT = 16384 };

struct stream;

struct stream_ops {
	/*
	 * Up to n > 0 bytes, waiting for the first until s->deadline. Returns
	 * their number, 0 at a proper end of input (TLS: close_notify), -1 after
	 * stream_fail().
	 */
	ssize_t (*read)(struct stream *s, void *data, size_t n);
	/*
	 * Writes all n bytes before s->deadline: returns n, or -1 after
	 * stream_fail(). While the peer does not take them, input that arrives
	 * is moved to s->in as far as there is room; when s->yield is set and
	 * input is there, the call may end early with fewer than n bytes.
	 */
	ssize_t (*write)(struct stream *s, const void *data, size_t n);
	/* Is input there that read would return without waiting? */
	bool (*ready)(struct stream *s);
	/* Says good-bye without waiting, gives back ctx; fd stays open. */
	void (*close)(struct stream *s);
};

struct stream {
	const struct stream_ops *ops;	/* NULL: not open */
	void *ctx;
	int fd;				/* -1 in scripts */
	int64_t deadline;		/* clock_ms() of this step's end */
	int64_t session_end;		/* no step goes beyond it; 0: none */
	bool yield;			/* see ops->write */
	bool eof;			/* the peer has properly ended its input */
	bool failed;
	unsigned flights;		/* times we waited for the peer */
	unsigned char *in, *out;	/* STREAM_IN, STREAM_OUT bytes */
	size_t in_at, in_len;		/* unread input is in[in_at..in_len) */
	size_t out_len;
	char peer[160];			/* "host[address]:port" for texts */
	char via[80];			/* the same of a proxy, or "" */
	struct result err;		/* why, when failed */
};

/*
 * stream_open(s, ops, ctx, fd): buffers allocated, no deadline yet. Returns 0, or
 * -1 when there is no memory (s is then closed). stream_close(s) closes ops and
 * fd and frees the buffers; a closed or zeroed stream is fine.
 */
int stream_open(struct stream *s, const struct stream_ops *ops, void *ctx,
    int fd);
void stream_close(struct stream *s);

/*
 * stream_socket_open(s, fd): a stream over a connected stream socket, made
 * non-blocking; takes fd over, also when it fails.
 */
int stream_socket_open(struct stream *s, int fd);

/* stream_step(s, seconds): the next step ends then, or with the session. */
void stream_step(struct stream *s, int64_t seconds);

/* stream_wait_ms(s): milliseconds left of this step; 0 when none. */
int stream_wait_ms(const struct stream *s);

/*
 * stream_poll(s, events, got): wait for poll(2) events on s->fd until the
 * step's end; for the ops. 0 with *got set, or -1 after stream_fail().
 */
int stream_poll(struct stream *s, short events, short *got);

/* stream_fail_errno(s, what): the same from errno after a failed call. */
int stream_fail_errno(struct stream *s, const char *what);

/*
 * stream_room(s): move unread input to the front of s->in; how many bytes fit
 * behind it. For the ops that take input while they write.
 */
size_t stream_room(struct stream *s);

/*
 * stream_session(s, timeout): all steps together end after ten times `timeout`,
 * at most 30 minutes (0: 30 minutes).
 */
void stream_session(struct stream *s, int64_t timeout);

/*
 * stream_fail(s, cause, fmt, ...): keep the first failure (OUT_TEMP, with
 * s->peer in front of the text). Returns -1.
 */
int stream_fail(struct stream *s, enum cause cause, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * stream_write(s, data, n): buffered; full buffers leave at once. stream_puts:
 * a string. stream_flush(s): what is buffered leaves now. 0, or -1. With
 * s->yield set, stream_write and stream_flush return 1 when input arrived
 * before everything could be written: what was not written is dropped.
 */
int stream_write(struct stream *s, const void *data, size_t n);
int stream_puts(struct stream *s, const char *text);
int stream_flush(struct stream *s);

/*
 * stream_read(s, data, n): up to n bytes; 0 at the end of input, -1 on failure.
 * Output that is still buffered is flushed first.
 */
ssize_t stream_read(struct stream *s, void *data, size_t n);

/*
 * stream_revive(s, seconds): after a failed write the peer may have said why
 * before it closed: forget the failure and what was not written, so that for
 * `seconds` reading can be tried.
 */
void stream_revive(struct stream *s, int64_t seconds);

/*
 * stream_line(s, line, size): read one line without its LF or CRLF, with a NUL
 * behind it. Returns its length (NUL bytes inside become '?'), or -1 with the
 * reason kept in the stream: end of input, time-out, or a line of size bytes or
 * more, which is a failure, never split.
 */
ssize_t stream_line(struct stream *s, char *line, size_t size);

/*
 * stream_buffered(s): bytes received and not yet read. stream_has_input(s): is
 * there something to read (the end of input included) without waiting?
 */
size_t stream_buffered(const struct stream *s);
bool stream_has_input(struct stream *s);

#endif
