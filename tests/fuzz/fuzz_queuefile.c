/*
 * Queue files: what is read can be written, and is read again the same; the fields
 * up front are read alone as they are with all the rest.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/mail/idn.h"
#include "lib/store/queuefile.h"
#include "tests/fuzz/fuzz.h"

static void
check_same(const struct message *a, const struct message *b)
{
	size_t i;

	CHECK(strcmp(a->env.from, b->env.from) == 0);
	CHECK(a->env.nrcpts == b->env.nrcpts);
	CHECK(a->identities.n == b->identities.n);
	CHECK(a->pristine == b->pristine && a->born == b->born);
	CHECK(a->env.utf8 == b->env.utf8);
	CHECK(a->env.requiretls == b->env.requiretls);
	CHECK(a->spool.size == b->spool.size);
	CHECK(a->spool.has_8bit == b->spool.has_8bit);
	CHECK(a->spool.has_dot_line == b->spool.has_dot_line);
	CHECK(a->spool.has_long == b->spool.has_long);
	for (i = 0; i < a->env.nrcpts; i++) {
		CHECK(strcmp(a->env.rcpts[i].addr, b->env.rcpts[i].addr) == 0);
		CHECK(a->env.rcpts[i].state == b->env.rcpts[i].state);
		CHECK(a->env.rcpts[i].res.code == b->env.rcpts[i].res.code);
		/* Half a character at the end goes. */
		CHECK(!is_ascii(a->env.rcpts[i].res.text) ||
		    strcmp(a->env.rcpts[i].res.text,
		    b->env.rcpts[i].res.text) == 0);
	}
}

static void
check_marks(const struct input *in, const struct message *m)
{
	size_t i;

	for (i = 0; i < m->env.nrcpts; i++) {
		CHECK(m->env.rcpts[i].mark > 0);
		CHECK((size_t)m->env.rcpts[i].mark < in->n);
		CHECK(strchr("-+!x", in->p[m->env.rcpts[i].mark]) != NULL);
		CHECK(strpbrk(m->env.rcpts[i].addr, "\r\n") == NULL);
		CHECK(is_clean(m->env.rcpts[i].res.text));
	}
	CHECK((size_t)m->spool.start + (size_t)m->spool.size <= in->n);
}

/* Write what was read, the message behind it, and read that. */
static void
again(const struct input *in, const struct queuefile *f, struct message *m)
{
	struct message copy = { 0 };
	struct queuefile g;
	struct result res;
	struct buf head = { 0 };
	int fd;

	queuefile_head(f, m, &head);
	buf_add(&head, in->p + m->spool.start, (size_t)m->spool.size);
	fd = file_of(head.p, head.len);
	CHECK(queuefile_put_size(fd, f, m) == 0);
	if (queuefile_read(fd, &g, &copy, &res) < 0)
		CHECK(!"a header that was written can be read");
	CHECK(f->born == g.born && f->next == g.next && f->tries == g.tries);
	CHECK(f->uid == g.uid && f->warned == g.warned);
	check_same(m, &copy);
	message_free(&copy);
	buf_free(&head);
}

FUZZ(queuefile)
{
	struct queuefile f, g;
	struct message m = { 0 };
	struct result res = { 0 };
	off_t size;
	int fd = file_of(in->p, in->n), fixed;
	unsigned char *text = in_copy(in);

	memset(&f, 0, sizeof f);
	memset(&g, 0, sizeof g);
	m.spool.fd = -1;
	fixed = queuefile_fixed((char *)text, in->n, &g, &size);
	if (queuefile_read(fd, &f, &m, &res) == 0) {
		CHECK(fixed == 0 && f.born == g.born && f.next == g.next);
		CHECK(f.tries == g.tries && f.uid == g.uid);
		CHECK(size == m.spool.size);
		check_marks(in, &m);
		again(in, &f, &m);
		message_free(&m);
	} else {
		CHECK(*res.text && is_clean(res.text));
		message_free(&m);
		close(fd);
	}
	free(text);
}
