#define _GNU_SOURCE	/* memfd_create */
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bearssl-glue.h"

_Noreturn void
fuzz_failed(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
	abort();
}

unsigned
in_byte(struct input *in)
{
	if (in->n == 0)
		return 0;
	in->n--;
	return *in->p++;
}

static char *
take(struct input *in, size_t n)
{
	char *s = malloc(n + 1);
	size_t i, len = 0;

	CHECK(s != NULL);
	for (i = 0; i < n; i++)
		if (in->p[i] != '\0')
			s[len++] = (char)in->p[i];
	s[len] = '\0';
	in->p += n;
	in->n -= n;
	return s;
}

char *
in_line(struct input *in)
{
	const unsigned char *end = in->n ? memchr(in->p, '\n', in->n) : NULL;
	char *s = take(in, end ? (size_t)(end - in->p) : in->n);

	in_byte(in);
	return s;
}

char *
in_text(struct input *in)
{
	size_t n = in->n ? strnlen((const char *)in->p, in->n) : 0;

	return take(in, n);
}

unsigned char *
in_copy(const struct input *in)
{
	unsigned char *p = malloc(in->n ? in->n : 1);

	CHECK(p != NULL);
	if (in->n > 0)
		memcpy(p, in->p, in->n);
	return p;
}

int
file_of(const void *data, size_t n)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	CHECK(fd >= 0);
	CHECK(n == 0 || pwrite(fd, data, n, 0) == (ssize_t)n);
	return fd;
}

void
file_name(char out[40], int fd)
{
	snprintf(out, 40, "/proc/self/fd/%d", fd);
}

bool
is_clean(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			return false;
	return true;
}

bool
is_string(const char *s, size_t size)
{
	return memchr(s, '\0', size) != NULL;
}

/* --- the peer --- */

static ssize_t
peer_read(struct stream *s, void *data, size_t n)
{
	struct peer *p = s->ctx;
	const unsigned char *end;

	p->at_pause = false;
	while (p->in.n > 0 && *p->in.p == '|')
		in_byte(&p->in);
	if (p->in.n == 0)
		return p->silent ? stream_fail(s, CAUSE_ROUTE, "timed out") : 0;
	end = memchr(p->in.p, '|', p->in.n);
	if (end && (size_t)(end - p->in.p) < n)
		n = (size_t)(end - p->in.p);
	if (n > p->in.n)
		n = p->in.n;
	if (p->piece && n > p->piece)
		n = p->piece;
	memcpy(data, p->in.p, n);
	buf_add(&p->said, data, n);
	p->in.p += n;
	p->in.n -= n;
	return (ssize_t)n;
}

static ssize_t
peer_write(struct stream *s, const void *data, size_t n)
{
	struct peer *p = s->ctx;

	buf_add(&p->wrote, data, n);
	return (ssize_t)n;
}

static bool
peer_ready(struct stream *s)
{
	const struct peer *p = s->ctx;

	return p->in.n > 0 ? *p->in.p != '|' : !p->silent;
}

static void
peer_close(struct stream *s)
{
	(void)s;
}

static const struct stream_ops peer_ops = { peer_read, peer_write, peer_ready,
	peer_close };

void
peer_open(struct peer *p, struct stream *s)
{
	CHECK(stream_open(s, &peer_ops, p, -1) == 0);
	snprintf(s->peer, sizeof s->peer, "peer");
	stream_step(s, 3600);
}

void
peer_free(struct peer *p)
{
	buf_free(&p->said);
	buf_free(&p->wrote);
}

/* --- in place of what the program has (ld --wrap) --- */

int __real_tls_start(struct stream *s, const struct tls_params *p,
    struct log *log);
int __wrap_tls_start(struct stream *s, const struct tls_params *p,
    struct log *log);

/* A handshake with a peer of ours needs no bytes. */
int
__wrap_tls_start(struct stream *s, const struct tls_params *params,
    struct log *log)
{
	struct peer *p = s->ctx;

	if (s->ops != &peer_ops)
		return __real_tls_start(s, params, log);
	if (stream_flush(s) < 0)
		return -1;
	if (stream_has_input(s))
		return stream_fail(s, CAUSE_ROUTE, "input before TLS");
	if (!p->tls)
		return stream_fail(s, CAUSE_OPERATOR, "no TLS");
	CHECK(!p->in_tls);
	p->in_tls = true;
	p->tls_said = p->said.len;
	p->tls_wrote = p->wrote.len;
	return 0;
}

void __real_pbkdf2_sha256(unsigned char out[SHA256_SIZE], const void *password,
    size_t n, const void *salt, size_t salt_size, uint32_t iterations);
void __wrap_pbkdf2_sha256(unsigned char out[SHA256_SIZE], const void *password,
    size_t n, const void *salt, size_t salt_size, uint32_t iterations);

/* What takes a server's million rounds would be all that is done here. */
void
__wrap_pbkdf2_sha256(unsigned char out[SHA256_SIZE], const void *password,
    size_t n, const void *salt, size_t salt_size, uint32_t iterations)
{
	CHECK(iterations > 0 && iterations <= 1000000);
	__real_pbkdf2_sha256(out, password, n, salt, salt_size,
	    iterations < 10 ? iterations : 10);
}

int __wrap_nanosleep(const void *t, void *left);

int
__wrap_nanosleep(const void *t, void *left)
{
	(void)t;
	(void)left;
	return 0;
}

/* --- naive --- */

/* Every line end becomes CRLF, NUL a blank, and the last line has its end. */
void
naive_lines(struct buf *out, const void *data, size_t n)
{
	const char *p = data, *end = p + n;

	for (; p < end; p++) {
		if (*p == '\r' && p + 1 < end && p[1] == '\n')
			p++;
		if (*p == '\r' || *p == '\n')
			buf_adds(out, "\r\n");
		else
			buf_addc(out, *p == '\0' ? ' ' : *p);
	}
	if (out->len > 0 && out->p[out->len - 1] != '\n')
		buf_adds(out, "\r\n");
}

/* --- randomness --- */

ssize_t __wrap_getrandom(void *out, size_t n, unsigned flags);

/* The same each time. */
ssize_t
__wrap_getrandom(void *out, size_t n, unsigned flags)
{
	unsigned char *p = out;
	size_t i;

	(void)flags;
	for (i = 0; i < n; i++)
		p[i] = (unsigned char)(i * 37 + 11);
	return (ssize_t)n;
}
