/*
 * A message in the file where it lies: whatever is asked for, in whatever order,
 * is what lines.h makes of the file as a whole.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/buf.h"
#include "lib/mail/intake.h"
#include "lib/mail/spool.h"

/* Sizes at which something is read or handed on in blocks. */
static const size_t edges[] = { 8192, 16384, 2 * 16384, 16384 + 8192,
    65536, 3 * 16384 };
static const char *const ends[] = { "\n", "\r\n", "\r", "\r\r", "\n\n", ".\n",
    "\r\n\r\n", "\r\r\n", "x", "\0", "" };

struct place {
	FILE *file;
	struct spool spool;
	struct buf wanted;
};

static int
to_buf(void *ctx, const void *data, size_t n)
{
	buf_add(ctx, data, n);
	return 0;
}

static void
feed(struct place *p, const char *text, size_t n, off_t start)
{
	struct result res = { 0 };
	struct lines l = { .sink = to_buf, .ctx = &p->wanted };

	p->file = tmpfile();
	assert_non_null(p->file);
	fwrite("skip it, it is no part of the message", 1, (size_t)start,
	    p->file);
	fwrite(text, 1, n, p->file);
	fflush(p->file);
	memset(&p->wanted, 0, sizeof p->wanted);
	assert_int_equal(lines_feed(&l, text, n), 0);
	assert_int_equal(lines_finish(&l), 0);
	assert_int_equal(spool_over(&p->spool, fileno(p->file), start, &res),
	    0);
	assert_int_equal(spool_add(&p->spool, p->wanted.p, p->wanted.len,
	    &res), 0);
	assert_int_equal(spool_finish(&p->spool, &res), 0);
	assert_int_equal(p->spool.size, p->wanted.len);
}

static void
drop(struct place *p)
{
	spool_close(&p->spool);
	buf_free(&p->wanted);
	fclose(p->file);
}

/* Read n bytes from `at`, in as many pieces as it takes. */
static void
same(struct place *p, size_t at, size_t n)
{
	char *got = malloc(n + 1);
	size_t have = 0;
	ssize_t k;

	if (n > p->wanted.len - at)
		n = p->wanted.len - at;
	while (have < n) {
		k = spool_read(&p->spool, got + have, n - have,
		    (off_t)(at + have));
		assert_true(k > 0 && (size_t)k <= n - have);
		have += (size_t)k;
	}
	if (n > 0)
		assert_memory_equal(got, p->wanted.p + at, n);
	free(got);
}

static void
same_in_steps(struct place *p, size_t step)
{
	size_t at;

	for (at = 0; at < p->wanted.len; at += step)
		same(p, at, step);
}

static void
read_all_ways(struct place *p)
{
	static const size_t steps[] = { 1 << 20, 65536, 24576, 16384, 4096,
	    997 };
	char byte;
	size_t i;

	for (i = 0; i < sizeof steps / sizeof *steps; i++)
		same_in_steps(p, steps[i]);
	/* Backwards, and the end. */
	for (i = p->wanted.len; i > 0; i -= i < 5000 ? i : 5000)
		same(p, i - 1, 10);
	assert_int_equal(spool_read(&p->spool, &byte, 1, p->spool.size), 0);
	same(p, 0, 1 << 20);
}

static void
line_ends_across_the_edges_of_blocks(void **state)
{
	struct buf text = { 0 };
	struct place p;
	size_t e, i, n;
	int shift;

	(void)state;
	for (e = 0; e < sizeof edges / sizeof *edges; e++)
		for (i = 0; i < sizeof ends / sizeof *ends; i++)
			for (shift = -3; shift <= 3; shift++) {
				n = edges[e] + (size_t)shift;
				buf_reset(&text);
				while (text.len < n)
					buf_adds(&text, "line of text\n");
				text.len = n;
				buf_add(&text, ends[i], i == 9 ? 1 :
				    strlen(ends[i]));
				/* With and without something behind. */
				if (shift & 1)
					buf_adds(&text, "tail\nno end");
				feed(&p, text.p, text.len, 0);
				same_in_steps(&p, 1 << 20);
				same_in_steps(&p, 4096);
				drop(&p);
			}
	buf_free(&text);
}

/* All that may double, all that vanishes, and what does neither. */
static void
every_kind_of_text(void **state)
{
	static const char *const units[] = { "\n", "\r", "\r\n", "x", "\r\r\n",
	    "a\n", ".\n", "\n\r", "ab\rcd\n" };
	struct buf text = { 0 };
	struct place p;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof units / sizeof *units; i++) {
		buf_reset(&text);
		while (text.len < 100000)
			buf_adds(&text, units[i]);
		feed(&p, text.p, text.len, (off_t)i);
		read_all_ways(&p);
		drop(&p);
	}
	buf_free(&text);
}

static void
small_messages(void **state)
{
	static const char *const texts[] = { "", "\n", "\r", "\r\n", "x", "x\n",
	    "\n\n", "\r\r", "\r\n\n" };
	struct place p;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof texts / sizeof *texts; i++) {
		feed(&p, texts[i], strlen(texts[i]), 5);
		read_all_ways(&p);
		drop(&p);
	}
}

/* Read it all; -1 when that cannot be done. */
static int
read_through(struct spool *sp)
{
	char block[5000];
	off_t at;
	ssize_t n;

	for (at = 0; (n = spool_read(sp, block, sizeof block, at)) > 0; at += n)
		continue;
	return n < 0 ? -1 : 0;
}

static void
a_file_that_is_no_longer_the_same_cannot_be_read(void **state)
{
	static const struct { off_t at; const char *text; int rc; } changes[] = {
		{ 50000, "xx", 0 },		/* as long as before */
		{ 50000, "\n\n", -1 }, { 10, "\n", -1 }, { 99990, "\n\n", -1 },
		{ 99999, "x", -1 },		/* the last line's end */
		{ 98, "\r", -1 }, { 99998, "\r", -1 }
	};
	struct buf text = { 0 };
	struct place p;
	size_t i;

	(void)state;
	while (text.len < 100000)
		buf_addc(&text, text.len % 100 == 99 ? '\n' : 'a');
	for (i = 0; i < sizeof changes / sizeof *changes; i++) {
		feed(&p, text.p, text.len, 0);
		assert_int_equal(read_through(&p.spool), 0);
		assert_int_equal(pwrite(fileno(p.file), changes[i].text,
		    strlen(changes[i].text), changes[i].at),
		    strlen(changes[i].text));
		errno = 0;
		assert_int_equal(read_through(&p.spool), changes[i].rc);
		assert_int_equal(errno, changes[i].rc < 0 ? EIO : 0);
		drop(&p);
	}
	feed(&p, text.p, text.len, 0);
	assert_int_equal(ftruncate(fileno(p.file), 60000), 0);
	assert_int_equal(read_through(&p.spool), -1);
	drop(&p);
	/* What is added belongs to another message. */
	feed(&p, text.p, text.len, 0);
	assert_int_equal(pwrite(fileno(p.file), "more\n", 5, 100000), 5);
	read_all_ways(&p);
	drop(&p);
	buf_free(&text);
}

/* --- private fields --- */

static int
over(void *ctx, struct intake *in, struct message *m, struct result *res)
{
	(void)in;
	return spool_over(&m->spool, fileno(ctx), 0, res);
}

static const struct { const char *text, *public; } letters[] = {
	{ "From: a\n\nBcc: body\n", "From: a\r\n\r\nBcc: body\r\n" },
	{ "Bcc: x\nFrom: a\n\nb\n", "From: a\r\n\r\nb\r\n" },
	{ "From: a\nbcc : x,\n y\nReturn-Path: <>\n\nb", "From: a\r\n\r\nb\r\n" },
	{ "Bcc: x\nReturn-Path: y\nResent-Bcc: z\nA: b\nBcc: c\n",
	    "A: b\r\n" },
	{ "Bcc: x", "" }, { "Bcc: x\n", "" }, { "Bcc: x\n\n", "\r\n" },
	{ "", "" }, { "Content-Length: 1\nX-Bcc: y\n",
	    "Content-Length: 1\r\nX-Bcc: y\r\n" },
	{ "A: 1\nBcc: x\nno header\n", "A: 1\r\nno header\r\n" },
};

/* Returns the file, which has to stay open. */
static FILE *
look_at(const char *text, bool copied, struct message *m)
{
	struct intake in = { .header.pristine = true };
	struct result res = { 0 };
	FILE *file = tmpfile();

	assert_non_null(file);
	fputs(text, file);
	fflush(file);
	rewind(file);
	memset(m, 0, sizeof *m);
	if (!copied) {
		in.begin = over;
		in.begin_ctx = file;
	}
	assert_int_equal(intake_read(&in, fileno(file), m, &res), 0);
	return file;
}

static void
the_public_message_lacks_private_fields(void **state)
{
	struct message m;
	struct spool public;
	FILE *file;
	char got[200];
	size_t i, step, have;
	ssize_t n;
	int copied;

	(void)state;
	for (i = 0; i < sizeof letters / sizeof *letters; i++)
		for (copied = 0; copied < 2; copied++)
			for (step = 1; step < 100; step += 7) {
				file = look_at(letters[i].text, copied, &m);
				assert_int_equal(read_through(&m.spool), 0);
				public = spool_public(&m.spool);
				assert_int_equal(public.size,
				    strlen(letters[i].public));
				for (have = 0; (n = spool_read(&public,
				    got + have, step, (off_t)have)) > 0; )
					have += (size_t)n;
				assert_int_equal(n, 0);
				assert_int_equal(have, public.size);
				assert_memory_equal(got, letters[i].public,
				    have);
				assert_int_equal(read_through(&m.spool), 0);
				message_free(&m);
				fclose(file);
			}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(line_ends_across_the_edges_of_blocks),
		cmocka_unit_test(every_kind_of_text),
		cmocka_unit_test(small_messages),
		cmocka_unit_test(
		    a_file_that_is_no_longer_the_same_cannot_be_read),
		cmocka_unit_test(the_public_message_lacks_private_fields),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
