/*
 * The spool: where a message lies once it has been read. Written front to back
 * through a small buffer, then only read with pread. Lines end in CRLF, there is
 * no bare CR or LF and no NUL, and the last line has its end.
 */
#ifndef SENDROUTE_SPOOL_H
#define SENDROUTE_SPOOL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/base/buf.h"
#include "lib/base/result.h"

enum { SPOOL_BUFFER = 65536 };

struct inplace;

/* Bytes of the message. */
struct spool_span { off_t at, n; };

struct spool {
	int fd;			/* -1: not open */
	off_t start;		/* where the message begins in the file */
	off_t size;		/* bytes of the message, CRLF counted as two */
	bool has_8bit;		/* a byte above 127 somewhere */
	bool has_8bit_header;	/* one of them in the header */
	bool has_dot_line;	/* a line that begins with '.' */
	bool has_long;		/* perhaps a line over 998 bytes */
	unsigned char *out;	/* write buffer, NULL once finished */
	size_t out_len;
	off_t written;		/* bytes that have left it; in place: all */
	const char *place;	/* what errors call it; NULL: a temporary file */
	/*
	 * Set: what cannot be written here goes on in a temporary file, which
	 * becomes the spool; `moved` tells.
	 */
	bool may_move, moved;
	uint64_t max_size;	/* 0: none */
	struct inplace *inplace;	/* see spool_over; or NULL */
	struct buf private;	/* struct spool_span, in order: see spool_public */
	bool public;		/* reading leaves them out */
	bool view;		/* of another spool, which is the one to close */
	char *lead;		/* delivered before the message, heap; or NULL */
	size_t lead_len;
};

/*
 * spool_open(sp, dir, res): an unlinked temporary file in dir, else in /tmp,
 * /var/tmp, else in memory. dir may be NULL. 0; or -1 with exit 73 or 71.
 */
int spool_open(struct spool *sp, const char *dir, struct result *res);

/*
 * spool_use(sp, fd, start, res): the same over the file fd, from offset `start` on,
 * where it now ends; takes fd over, also when it fails (71).
 */
int spool_use(struct spool *sp, int fd, off_t start, struct result *res);

/*
 * spool_over(sp, fd, start, res): a message that lies in a file already, from
 * offset `start` on, with line ends of any kind. fd stays the caller's. Nothing is
 * copied: spool_add() only counts, and must be given what lines.h makes of the
 * file; spool_read() makes it anew. 0; or -1 with exit 71.
 */
int spool_over(struct spool *sp, int fd, off_t start, struct result *res);

/*
 * spool_add(sp, data, n, res): append. 0; or -1 with exit 74 (disk full, ...) or
 * 65 (over max_size). spool_finish(sp, res): write out what is buffered.
 */
int spool_add(struct spool *sp, const void *data, size_t n, struct result *res);
int spool_finish(struct spool *sp, struct result *res);

/*
 * spool_read(sp, data, n, at): up to n bytes of the message from offset `at`.
 * Returns their number: 0 only at the end; -1 when the file cannot be read or is
 * shorter than size (errno EIO then).
 */
ssize_t spool_read(const struct spool *sp, void *data, size_t n, off_t at);

/*
 * spool_public(sp): the same message without the private spans. It is read
 * through sp and must not outlive it; spool_close() does nothing to it.
 */
struct spool spool_public(const struct spool *sp);

/*
 * spool_lead(sp, text, n): reading begins with that heap text, which belongs to sp
 * from now on. spool_view(sp): the same message, to be given a lead; it is read
 * through sp and must not outlive it; spool_close() only frees its lead.
 */
void spool_lead(struct spool *sp, char *text, size_t n);
struct spool spool_view(const struct spool *sp);

void spool_close(struct spool *sp);

#endif
