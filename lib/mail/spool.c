#define _GNU_SOURCE	/* memfd_create */
#include "lib/mail/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

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

int
spool_open(struct spool *sp, const char *dir, struct result *res)
{
	const char *places[] = { dir, "/tmp", "/var/tmp" };
	size_t i;

	memset(sp, 0, sizeof *sp);
	sp->fd = -1;
	for (i = 0; i < sizeof places / sizeof places[0] && sp->fd < 0; i++)
		sp->fd = temporary_in(places[i]);
	if (sp->fd < 0)
		sp->fd = memfd_create("message", MFD_CLOEXEC);
	if (sp->fd < 0)
		return result_fail(res, EXIT_CANTCREATE, "cannot create a "
		    "temporary file in /tmp (or $TMPDIR): %s", strerror(errno));
	sp->out = malloc(SPOOL_BUFFER);
	if (sp->out == NULL) {
		spool_close(sp);
		return result_fail(res, EXIT_OS, "out of memory");
	}
	return 0;
}

static int
write_out(struct spool *sp, const unsigned char *p, size_t n,
    struct result *res)
{
	ssize_t k;

	while (n > 0) {
		k = write(sp->fd, p, n);
		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return result_fail(res, EXIT_IO,
			    "cannot write the temporary file: %s",
			    strerror(errno));
		p += k;
		n -= (size_t)k;
	}
	return 0;
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

ssize_t
spool_read(const struct spool *sp, void *data, size_t n, off_t at)
{
	ssize_t got;

	if (at >= sp->size)
		return 0;
	if ((off_t)n > sp->size - at)
		n = (size_t)(sp->size - at);
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
	free(sp->out);
	sp->out = NULL;
	if (sp->fd >= 0)
		close(sp->fd);
	sp->fd = -1;
}
