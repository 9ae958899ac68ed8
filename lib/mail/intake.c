#include "lib/mail/intake.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { READ_SIZE = 65536 };		/* what a pipe holds */

struct job {
	struct intake *in;
	struct message *m;
	struct lines lines;
	struct header header;
	struct buf head;		/* the header's text, until it is complete */
	struct result *res;
};

static int
no_memory(struct result *res)
{
	return result_fail(res, EXIT_OS, "out of memory");
}

static int
to_spool(struct spool *sp, const void *data, size_t n, struct result *res)
{
	if (spool_add(sp, data, n, res) == 0)
		return 0;
	if (res->exit == EXIT_DATA)
		result_set_enhanced(res, "5.3.4");
	return -1;
}

/* Where header.c puts its fields. */
static int
to_head(void *ctx, const void *data, size_t n, struct result *res)
{
	struct buf *head = ctx;

	buf_add(head, data, n);
	return head->failed ? no_memory(res) : 0;
}

/* The header is complete: what it says decides where the message is stored. */
static int
begin(struct job *j)
{
	struct intake *in = j->in;
	struct message *m = j->m;
	int rc;

	m->identities = j->header.identities;
	in->rcpts = j->header.rcpts;
	j->header.identities = j->header.rcpts = (struct addr_list){ 0 };
	m->pristine = in->header.pristine;
	m->tmpdir = in->tmpdir;
	rc = in->begin ? in->begin(in->begin_ctx, in, m, j->res) :
	    spool_open(&m->spool, in->tmpdir, j->res);
	if (rc < 0)
		return -1;
	m->spool.private = j->header.private;
	j->header.private = (struct buf){ 0 };
	m->spool.max_size = in->max_size;
	rc = to_spool(&m->spool, buf_str(&j->head), j->head.len, j->res);
	buf_free(&j->head);
	return rc;
}

/* The sink of the line-end machine. */
static int
take(void *ctx, const void *data, size_t n)
{
	struct job *j = ctx;

	if (!j->lines.by_line)
		return to_spool(&j->m->spool, data, n, j->res);
	if (header_add(&j->header, data, n, j->res) < 0)
		return -1;
	if (!j->header.done)
		return 0;
	j->lines.by_line = false;
	return begin(j);
}

static int
read_all(struct job *j, ssize_t (*source)(void *, void *, size_t), void *ctx)
{
	unsigned char *block = malloc(READ_SIZE);
	ssize_t n = 1;
	int rc = 0;

	if (block == NULL)
		return no_memory(j->res);
	while (rc == 0 && n != 0 && !j->lines.ended) {
		n = source(ctx, block, READ_SIZE);
		if (n < 0)
			rc = result_fail(j->res, EXIT_IO,
			    "cannot read the message from standard input: %s",
			    strerror(errno));
		else
			rc = lines_feed(&j->lines, block, (size_t)n);
	}
	free(block);
	if (rc == 0)
		rc = lines_finish(&j->lines);
	if (rc == 0 && !j->header.done) {
		rc = header_finish(&j->header, j->res);
		if (rc == 0)
			rc = begin(j);
	}
	return rc == 0 ? spool_finish(&j->m->spool, j->res) : -1;
}

int
intake_take(struct intake *in, ssize_t (*source)(void *, void *, size_t),
    void *ctx, struct message *m, struct result *res)
{
	struct job j = { .in = in, .m = m, .res = res };
	int rc;

	j.lines = (struct lines){ .sink = take, .ctx = &j, .dot = in->dot,
		.by_line = true };
	header_init(&j.header, &in->header, to_head, &j.head);
	rc = read_all(&j, source, ctx);
	if (rc == 0) {
		m->spool.has_8bit = j.lines.has_8bit;
		/* qmail's text is of no known charset: never SMTPUTF8's. */
		m->spool.has_8bit_header = j.header.has_8bit &&
		    !in->header.pristine;
		m->spool.has_long = j.lines.has_long;
		m->spool.has_dot_line = j.lines.has_dot_line;
		in->has_nul = j.lines.has_nul;
		in->kept_long = j.header.is_signed && j.lines.has_long &&
		    !in->header.pristine;
	}
	buf_free(&j.head);
	header_free(&j.header);
	return rc;
}

static ssize_t
read_fd(void *ctx, void *data, size_t n)
{
	ssize_t got;

	do {
		got = read(*(int *)ctx, data, n);
	} while (got < 0 && errno == EINTR);
	return got;
}

int
intake_read(struct intake *in, int fd, struct message *m,
    struct result *res)
{
	return intake_take(in, read_fd, &fd, m, res);
}

void
intake_note(const struct intake *in, const struct message *m, struct log *log)
{
	if (in->has_nul)
		log_write(log, "id=%s reason=\"NUL bytes in the message became "
		    "spaces\"", m->id);
	if (in->kept_long)
		log_write(log, "id=%s reason=\"lines of more than 998 bytes were "
		    "left alone: the message is signed\"", m->id);
}
