#include "lib/mail/intake.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { READ_SIZE = 65536 };		/* what a pipe holds */

struct job {
	struct lines lines;
	struct header header;
	struct spool *spool;
	struct result *res;
};

static int
to_spool(void *ctx, const void *data, size_t n, struct result *res)
{
	return spool_add(ctx, data, n, res);
}

/* The sink of the line-end machine. */
static int
take(void *ctx, const void *data, size_t n)
{
	struct job *j = ctx;

	if (!j->lines.by_line)
		return spool_add(j->spool, data, n, j->res);
	if (header_add(&j->header, data, n, j->res) < 0)
		return -1;
	if (j->header.done) {
		j->lines.by_line = false;
		j->lines.fold = !j->header.is_signed &&
		    !j->header.policy->pristine;
	}
	return 0;
}

static int
read_all(struct job *j, int fd)
{
	unsigned char *block = malloc(READ_SIZE);
	ssize_t n = 1;
	int rc = 0;

	if (block == NULL)
		return result_fail(j->res, EXIT_OS, "out of memory");
	while (rc == 0 && n != 0 && !j->lines.ended) {
		n = read(fd, block, READ_SIZE);
		if (n < 0 && errno == EINTR)
			continue;
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
	if (rc == 0)
		rc = header_finish(&j->header, j->res);
	return rc == 0 ? spool_finish(j->spool, j->res) : -1;
}

int
intake_read(struct intake *in, int fd, struct message *m, struct result *res)
{
	struct job j = { .spool = &m->spool, .res = res };
	int rc;

	if (spool_open(&m->spool, in->tmpdir, res) < 0)
		return -1;
	m->spool.max_size = in->max_size;
	j.lines = (struct lines){ .sink = take, .ctx = &j, .dot = in->dot,
		.by_line = true };
	header_init(&j.header, &in->header, to_spool, &m->spool);
	rc = read_all(&j, fd);
	if (rc == 0) {
		m->spool.has_8bit = j.lines.has_8bit;
		m->spool.has_dot_line = j.lines.has_dot_line;
		m->identities = j.header.identities;
		in->rcpts = j.header.rcpts;
		in->has_nul = j.lines.has_nul;
		in->kept_long = j.header.is_signed && j.lines.has_long &&
		    !in->header.pristine;
		j.header.identities = j.header.rcpts =
		    (struct addr_list){ 0 };
	}
	header_free(&j.header);
	return rc;
}
