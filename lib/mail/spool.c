#define _GNU_SOURCE	/* memfd_create */
#include "lib/mail/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/base/write.h"
#include "lib/mail/inplace.h"

/* An unlinked file in dir. Returns its descriptor, or -1 with errno set. */
static int
temporary_in(const char *dir)
{
	char path[512];
	int fd;

	if (dir == NULL || dir[0] != '/' || snprintf(path, sizeof path,
	    "%s/sendroute.XXXXXX", dir) >= (int)sizeof path)
		return -1;
	fd = mkstemp(path);
	if (fd < 0)
		return -1;
	unlink(path);
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	return fd;
}

/* A temporary file in the first place that has room for one, or -1. */
static int
temporary(const char *dir)
{
	const char *places[] = { dir, "/tmp", "/var/tmp" };
	int fd = -1;
	size_t i;

	for (i = 0; i < sizeof places / sizeof places[0] && fd < 0; i++)
		fd = temporary_in(places[i]);
	return fd < 0 ? memfd_create("message", MFD_CLOEXEC) : fd;
}

int
spool_use(struct spool *sp, int fd, off_t start, struct result *res)
{
	memset(sp, 0, sizeof *sp);
	sp->fd = fd;
	sp->start = start;
	sp->out = malloc(SPOOL_BUFFER);
	if (sp->out != NULL)
		return 0;
	spool_close(sp);
	return result_fail(res, EXIT_OS, "out of memory");
}

int
spool_open(struct spool *sp, const char *dir, struct result *res)
{
	int fd = temporary(dir);

	if (fd >= 0)
		return spool_use(sp, fd, 0, res);
	memset(sp, 0, sizeof *sp);
	sp->fd = -1;
	return result_fail(res, EXIT_CANTCREATE, "cannot create a temporary "
	    "file in /tmp (or $TMPDIR): %s", strerror(errno));
}

int
spool_over(struct spool *sp, int fd, off_t start, struct result *res)
{
	memset(sp, 0, sizeof *sp);
	sp->fd = fd;
	sp->start = start;
	sp->inplace = inplace_new(fd, start);
	return sp->inplace ? 0 : result_fail(res, EXIT_OS, "out of memory");
}

/* The `written` bytes that were stored go to a temporary file. */
static int
move(struct spool *sp, off_t written)
{
	struct spool from = *sp;
	unsigned char block[4096];
	off_t at = 0;
	ssize_t n;
	int fd = temporary(NULL);

	from.size = written;
	while (fd >= 0 && at < written) {
		n = spool_read(&from, block, sizeof block, at);
		if (n <= 0 || write_all(fd, block, (size_t)n) < 0) {
			close(fd);
			return -1;
		}
		at += n;
	}
	if (fd < 0)
		return -1;
	close(sp->fd);
	sp->fd = fd;
	sp->start = 0;
	sp->moved = true;
	return 0;
}

static int
write_out(struct spool *sp, const unsigned char *p, size_t n,
    struct result *res)
{
	off_t written = sp->written;
	int why;

	sp->written += (off_t)n;
	if (write_all(sp->fd, p, n) == 0)
		return 0;
	why = errno;
	if (sp->may_move && !sp->moved && move(sp, written) == 0 &&
	    write_all(sp->fd, p, n) == 0)
		return 0;
	return result_fail(res, EXIT_IO, "cannot store the message in %s: %s",
	    sp->place ? sp->place : "a temporary file", strerror(why));
}

static int
flush(struct spool *sp, struct result *res)
{
	size_t n = sp->out_len;

	sp->out_len = 0;
	return write_out(sp, sp->out, n, res);
}

int
spool_add(struct spool *sp, const void *data, size_t n, struct result *res)
{
	const unsigned char *p = data;
	size_t room;

	if (sp->max_size != 0 && n > sp->max_size - (uint64_t)sp->size)
		return result_fail(res, EXIT_DATA, "the message is larger than "
		    "`max-size` (%llu bytes)", (unsigned long long)sp->max_size);
	sp->size += (off_t)n;
	if (sp->inplace) {
		sp->written = sp->size;
		return 0;
	}
	while (n >= (room = SPOOL_BUFFER - sp->out_len)) {
		memcpy(sp->out + sp->out_len, p, room);
		sp->out_len += room;
		p += room;
		n -= room;
		if (flush(sp, res) < 0)
			return -1;
	}
	memcpy(sp->out + sp->out_len, p, n);
	sp->out_len += n;
	return 0;
}

int
spool_finish(struct spool *sp, struct result *res)
{
	int rc = flush(sp, res);

	free(sp->out);
	sp->out = NULL;
	return rc;
}

struct spool
spool_view(const struct spool *sp)
{
	struct spool view = *sp;

	view.view = true;
	return view;
}

void
spool_lead(struct spool *sp, char *text, size_t n)
{
	sp->lead = text;
	sp->lead_len = n;
	sp->size += (off_t)n;
}

struct spool
spool_public(const struct spool *sp)
{
	const struct spool_span *s = (const void *)sp->private.p;
	size_t i, n = sp->private.len / sizeof *s;
	struct spool public = spool_view(sp);

	public.public = true;
	for (i = 0; i < n; i++)
		public.size -= s[i].n;
	return public;
}

/* Where byte `at` of the public message lies; *n is cut before what is private. */
static off_t
skip_private(const struct spool *sp, off_t at, size_t *n)
{
	const struct spool_span *s = (const void *)sp->private.p;
	const struct spool_span *end = s + sp->private.len / sizeof *s;

	for (; s < end && s->at <= at; s++)
		at += s->n;
	if (s < end && (off_t)*n > s->at - at)
		*n = (size_t)(s->at - at);
	return at;
}

ssize_t
spool_read(const struct spool *sp, void *data, size_t n, off_t at)
{
	ssize_t got;

	if (at >= sp->size)
		return 0;
	if ((off_t)n > sp->size - at)
		n = (size_t)(sp->size - at);
	if (at < (off_t)sp->lead_len) {
		if (n > sp->lead_len - (size_t)at)
			n = sp->lead_len - (size_t)at;
		memcpy(data, sp->lead + at, n);
		return (ssize_t)n;
	}
	at -= (off_t)sp->lead_len;
	if (sp->public)
		at = skip_private(sp, at, &n);
	if (sp->inplace)
		return inplace_read(sp->inplace, data, n, at,
		    sp->written);
	do {
		got = pread(sp->fd, data, n, sp->start + at);
	} while (got < 0 && errno == EINTR);
	if (got == 0) {
		errno = EIO;
		return -1;
	}
	return got;
}

void
spool_close(struct spool *sp)
{
	free(sp->lead);
	sp->lead = NULL;
	if (sp->view)
		return;
	free(sp->out);
	sp->out = NULL;
	free(sp->inplace);
	buf_free(&sp->private);
	if (sp->fd >= 0 && sp->inplace == NULL)
		close(sp->fd);
	sp->inplace = NULL;
	sp->fd = -1;
}
