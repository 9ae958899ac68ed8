#include "lib/net/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/base/clock.h"

enum { SESSION_STEPS = 10, SESSION_SECONDS = 1800 };

int
stream_open(struct stream *s, const struct stream_ops *ops, void *ctx, int fd)
{
	memset(s, 0, sizeof *s);
	s->fd = fd;
	s->in = malloc(STREAM_IN);
	s->out = malloc(STREAM_OUT);
	if (s->in == NULL || s->out == NULL) {
		stream_close(s);
		return -1;
	}
	s->ops = ops;
	s->ctx = ctx;
	return 0;
}

void
stream_close(struct stream *s)
{
	if (s->ops)
		s->ops->close(s);
	if (s->in && s->fd >= 0)
		close(s->fd);
	/* Mail and credentials passed through here. */
	if (s->in)
		mem_wipe(s->in, STREAM_IN);
	if (s->out)
		mem_wipe(s->out, STREAM_OUT);
	free(s->in);
	free(s->out);
	s->in = s->out = NULL;
	s->ops = NULL;
	s->fd = -1;
}

void
stream_step(struct stream *s, int64_t seconds)
{
	s->deadline = clock_ms() + seconds * 1000;
	if (s->session_end != 0 && s->deadline > s->session_end)
		s->deadline = s->session_end;
}

void
stream_session(struct stream *s, int64_t timeout)
{
	int64_t seconds = timeout * SESSION_STEPS;

	if (seconds <= 0 || seconds > SESSION_SECONDS)
		seconds = SESSION_SECONDS;
	s->session_end = clock_ms() + seconds * 1000;
}

int
stream_wait_ms(const struct stream *s)
{
	int64_t left = s->deadline - clock_ms();

	if (left <= 0)
		return 0;
	return left > INT32_MAX ? INT32_MAX : (int)left;
}

int
stream_fail(struct stream *s, enum cause cause, const char *fmt, ...)
{
	char text[sizeof s->err.text];
	va_list ap;

	if (s->failed)
		return -1;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	result_set(&s->err, OUT_TEMP, cause, "%s%s%s", s->peer,
	    s->peer[0] ? ": " : "", text);
	s->failed = true;
	return -1;
}

/*
 * Hand n bytes to ops. 0, -1, or 1 when input cut the writing short.
 */
static int
write_through(struct stream *s, const void *data, size_t n)
{
	ssize_t done = s->ops->write(s, data, n);

	if (done < 0)
		return -1;
	return (size_t)done < n ? 1 : 0;
}

int
stream_flush(struct stream *s)
{
	size_t n = s->out_len;
	int rc;

	if (s->failed)
		return -1;
	s->out_len = 0;
	rc = n > 0 ? write_through(s, s->out, n) : 0;
	/* A password or a token may have been in it. */
	mem_wipe(s->out, n);
	return rc;
}

int
stream_write(struct stream *s, const void *data, size_t n)
{
	const unsigned char *p = data;
	size_t room;
	int rc;

	while (n > 0) {
		if (s->failed)
			return -1;
		room = STREAM_OUT - s->out_len;
		if (room > n)
			room = n;
		memcpy(s->out + s->out_len, p, room);
		s->out_len += room;
		p += room;
		n -= room;
		if (s->out_len < STREAM_OUT)
			break;
		if (s->yield && stream_has_input(s)) {
			s->out_len = 0;
			return 1;
		}
		rc = stream_flush(s);
		if (rc != 0)
			return rc;
	}
	return s->failed ? -1 : 0;
}

int
stream_puts(struct stream *s, const char *text)
{
	return stream_write(s, text, strlen(text));
}

/* Make sure that unread input is buffered. 1: it is, 0: end of input, -1. */
static int
fill(struct stream *s)
{
	ssize_t n;

	if (s->in_at < s->in_len)
		return 1;
	if (s->failed || stream_flush(s) < 0)
		return -1;
	/* Writing may have moved input into the buffer. */
	if (s->in_at < s->in_len)
		return 1;
	if (s->eof)
		return 0;
	s->in_at = s->in_len = 0;
	n = s->ops->read(s, s->in, STREAM_IN);
	if (n < 0)
		return -1;
	if (n == 0) {
		s->eof = true;
		return 0;
	}
	s->in_len = (size_t)n;
	return 1;
}

ssize_t
stream_read(struct stream *s, void *data, size_t n)
{
	int rc = fill(s);

	if (rc <= 0)
		return rc;
	if (n > s->in_len - s->in_at)
		n = s->in_len - s->in_at;
	memcpy(data, s->in + s->in_at, n);
	s->in_at += n;
	return (ssize_t)n;
}

ssize_t
stream_line(struct stream *s, char *line, size_t size)
{
	size_t len = 0, n, i;
	const unsigned char *start, *lf;
	int rc;

	do {
		rc = fill(s);
		if (rc == 0)
			return stream_fail(s, CAUSE_ROUTE,
			    "the peer closed the connection");
		if (rc < 0)
			return -1;
		start = s->in + s->in_at;
		lf = memchr(start, '\n', s->in_len - s->in_at);
		n = lf ? (size_t)(lf - start) + 1 : s->in_len - s->in_at;
		/* One byte more for the CR that may stand before the LF. */
		if (len + n > size + (lf ? 1u : 0u))
			return stream_fail(s, CAUSE_ROUTE,
			    "the peer sent a line of more than %zu bytes",
			    size - 1);
		memcpy(line + len, start, n < size - len ? n : size - len);
		len += n;
		s->in_at += n;
	} while (lf == NULL);
	len--;
	if (len > 0 && line[len - 1] == '\r')
		len--;
	if (len >= size)
		return stream_fail(s, CAUSE_ROUTE,
		    "the peer sent a line of more than %zu bytes", size - 1);
	line[len] = '\0';
	for (i = 0; i < len; i++)
		if (line[i] == '\0')
			line[i] = '?';
	return (ssize_t)len;
}

void
stream_revive(struct stream *s, int64_t seconds)
{
	s->failed = false;
	s->out_len = 0;
	stream_step(s, seconds);
}

size_t
stream_room(struct stream *s)
{
	if (s->in_at > 0) {
		s->in_len -= s->in_at;
		memmove(s->in, s->in + s->in_at, s->in_len);
		s->in_at = 0;
	}
	return STREAM_IN - s->in_len;
}

size_t
stream_buffered(const struct stream *s)
{
	return s->in_len - s->in_at;
}

bool
stream_has_input(struct stream *s)
{
	return stream_buffered(s) > 0 || s->eof ||
	    (s->ops && s->ops->ready(s));
}

/* --- the socket --- */

int
stream_fail_errno(struct stream *s, const char *what)
{
	if (errno == ECONNRESET || errno == EPIPE)
		return stream_fail(s, CAUSE_ROUTE,
		    "the peer reset the connection");
	return stream_fail(s, CAUSE_ROUTE, "%s: %s", what, strerror(errno));
}

int
stream_poll(struct stream *s, short events, short *got)
{
	struct pollfd p = { .fd = s->fd, .events = events };
	int n;

	do {
		n = poll(&p, 1, stream_wait_ms(s));
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return stream_fail_errno(s, "poll");
	if (n == 0)
		return stream_fail(s, CAUSE_ROUTE, "timed out");
	*got = p.revents;
	return 0;
}

static ssize_t
socket_read(struct stream *s, void *data, size_t n)
{
	ssize_t got;
	short events;

	for (;;) {
		got = recv(s->fd, data, n, 0);
		if (got >= 0)
			return got;
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN && errno != EWOULDBLOCK)
			return stream_fail_errno(s, "read");
		s->flights++;
		if (stream_poll(s, POLLIN, &events) < 0)
			return -1;
	}
}

/*
 * While the peer does not take what we write, take what it says, so that two
 * full buffers cannot block each other. Returns 1 when the writer should yield.
 */
static int
take_input(struct stream *s)
{
	ssize_t n;

	if (stream_room(s) > 0 && !s->eof) {
		n = recv(s->fd, s->in + s->in_len, STREAM_IN - s->in_len, 0);
		if (n > 0)
			s->in_len += (size_t)n;
		else if (n == 0)
			s->eof = true;
	}
	return s->yield ? 1 : 0;
}

static ssize_t
socket_write(struct stream *s, const void *data, size_t n)
{
	const unsigned char *p = data;
	size_t done = 0;
	ssize_t k;
	short want, got;

	while (done < n) {
		k = send(s->fd, p + done, n - done, MSG_NOSIGNAL);
		if (k >= 0) {
			done += (size_t)k;
			continue;
		}
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN && errno != EWOULDBLOCK)
			return stream_fail_errno(s, "write");
		want = POLLOUT;
		if (stream_buffered(s) < STREAM_IN && !s->eof)
			want |= POLLIN;
		if (stream_poll(s, want, &got) < 0)
			return -1;
		if ((got & POLLIN) && take_input(s))
			break;
	}
	return (ssize_t)done;
}

static bool
socket_ready(struct stream *s)
{
	struct pollfd p = { .fd = s->fd, .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

static void
socket_close(struct stream *s)
{
	(void)s;
}

int
stream_socket_open(struct stream *s, int fd)
{
	static const struct stream_ops ops = { socket_read, socket_write,
		socket_ready, socket_close };
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
	    stream_open(s, &ops, NULL, fd) < 0) {
		close(fd);
		return -1;
	}
	return 0;
}
