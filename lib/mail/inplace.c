#include "lib/mail/inplace.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/mail/lines.h"

enum {
	BLOCK = 16384,			/* of the file */
	/* It may double, behind what lines.c still holds, and be the last. */
	WINDOW = 2 * BLOCK + LINES_BUFFER + 2
};

struct inplace {
	int fd;
	off_t start, end, next;	/* in the file; next: not yet read */
	off_t at;		/* where the window begins in the message */
	size_t have;		/* bytes in the window */
	bool over;		/* it is the last one */
	struct lines lines;
	unsigned char window[WINDOW];
};

/* The sink of the line-end machine: there is always room. */
static int
take(void *ctx, const void *data, size_t n)
{
	struct inplace *p = ctx;

	memcpy(p->window + p->have, data, n);
	p->have += n;
	return 0;
}

static void
rewind_to_start(struct inplace *p)
{
	p->next = p->start;
	p->at = 0;
	p->have = 0;
	p->over = false;
	p->lines = (struct lines){ .sink = take, .ctx = p };
}

struct inplace *
inplace_new(int fd, off_t start)
{
	struct inplace *p = malloc(sizeof *p);
	struct stat st;

	if (p == NULL)
		return NULL;
	p->fd = fd;
	p->start = p->end = start;
	if (fstat(fd, &st) == 0 && st.st_size > start)
		p->end = st.st_size;
	rewind_to_start(p);
	return p;
}

static int
changed(void)
{
	errno = EIO;
	return -1;
}

/*
 * The next window. What is read lies at the end of the buffer, where the text made
 * of it, up to twice as long, cannot catch up with it.
 */
static int
advance(struct inplace *p)
{
	unsigned char *block = p->window + WINDOW - BLOCK;
	off_t left = p->end - p->next;
	/* A last byte by itself could turn out to be nothing. */
	size_t n = left <= BLOCK ? (size_t)left :
	    left == BLOCK + 1 ? BLOCK - 1 : BLOCK;
	ssize_t got = 0;

	p->at += (off_t)p->have;
	p->have = 0;
	if (p->over)
		return changed();
	while (n > 0 && (got = pread(p->fd, block, n, p->next)) < 0 &&
	    errno == EINTR)
		continue;
	if (got < 0)
		return -1;
	if (got == 0 && n > 0)
		return changed();
	p->next += got;
	lines_feed(&p->lines, block, (size_t)got);
	p->over = p->next == p->end;
	if (p->over)
		lines_finish(&p->lines);
	return 0;
}

ssize_t
inplace_read(struct inplace *p, void *data, size_t n, off_t at, off_t size)
{
	size_t before;

	if (at < p->at)
		rewind_to_start(p);
	while (at >= p->at + (off_t)p->have)
		if (advance(p) < 0)
			return -1;
	before = (size_t)(at - p->at);
	if (n > p->have - before)
		n = p->have - before;
	/* The last byte must be the last of the file too. */
	if (at + (off_t)n == size &&
	    !(p->over && p->at + (off_t)p->have == size))
		return changed();
	memcpy(data, p->window + before, n);
	return (ssize_t)n;
}
