/* The line-end machine: every input in one piece, and in every split in two. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/buf.h"
#include "lib/mail/lines.h"

static int
collect(void *ctx, const void *data, size_t n)
{
	buf_add(ctx, data, n);
	return 0;
}

struct row {
	enum lone_dot dot;
	const char *in;
	size_t n;
	const char *out;
};

#define ROW(dot, in, out) { dot, in, sizeof in - 1, out }

static const struct row rows[] = {
	ROW(DOT_IS_DATA, "", ""),
	ROW(DOT_IS_DATA, "a", "a\r\n"),
	ROW(DOT_IS_DATA, "a\n", "a\r\n"),
	ROW(DOT_IS_DATA, "a\r\n", "a\r\n"),
	ROW(DOT_IS_DATA, "a\r", "a\r\n"),
	ROW(DOT_IS_DATA, "a\rb", "a\r\nb\r\n"),
	ROW(DOT_IS_DATA, "a\r\rb\n", "a\r\n\r\nb\r\n"),
	ROW(DOT_IS_DATA, "a\n\rb", "a\r\n\r\nb\r\n"),
	ROW(DOT_IS_DATA, "\n\n", "\r\n\r\n"),
	ROW(DOT_IS_DATA, "\r\n\r\n", "\r\n\r\n"),
	ROW(DOT_IS_DATA, "a\r.\n", "a\r\n.\r\n"),
	ROW(DOT_IS_DATA, "a\r\n.\r\nb", "a\r\n.\r\nb\r\n"),
	ROW(DOT_IS_DATA, "a\0b\n", "a b\r\n"),
	ROW(DOT_IS_DATA, "a\r\0\n", "a\r\n \r\n"),
	ROW(DOT_IS_DATA, "\ta\v\f\x01\n", "\ta\v\f\x01\r\n"),
	ROW(DOT_IS_DATA, "12345678\n12345678\r\n\xff", "12345678\r\n12345678\r\n"
	    "\xff\r\n"),
	/* Not a terminal: a lone dot ends only as the very last line. */
	ROW(DOT_ENDS_WHEN_LAST, "a\n.\n", "a\r\n"),
	ROW(DOT_ENDS_WHEN_LAST, "a\n.", "a\r\n"),
	ROW(DOT_ENDS_WHEN_LAST, "a\n.\r\n", "a\r\n"),
	ROW(DOT_ENDS_WHEN_LAST, "a\n.\nb\n", "a\r\n.\r\nb\r\n"),
	ROW(DOT_ENDS_WHEN_LAST, "a\n.\n\n", "a\r\n.\r\n\r\n"),
	ROW(DOT_ENDS_WHEN_LAST, "a\n.\n.\n", "a\r\n.\r\n"),
	ROW(DOT_ENDS_WHEN_LAST, "a\n.\n..\n", "a\r\n.\r\n..\r\n"),
	ROW(DOT_ENDS_WHEN_LAST, "a\n.\n.", "a\r\n.\r\n"),
	ROW(DOT_ENDS_WHEN_LAST, ".\n", ""),
	ROW(DOT_ENDS_WHEN_LAST, ".", ""),
	ROW(DOT_ENDS_WHEN_LAST, "..\n", "..\r\n"),
	ROW(DOT_ENDS_WHEN_LAST, ".a\n.\n", ".a\r\n"),
	ROW(DOT_ENDS_WHEN_LAST, "a.\n", "a.\r\n"),
	ROW(DOT_ENDS_WHEN_LAST, ".\0\n", ". \r\n"),
	ROW(DOT_ENDS_WHEN_LAST, ".\n\0", ".\r\n \r\n"),
	/* On a terminal it ends the message, whatever follows. */
	ROW(DOT_ENDS, "a\n.\nb\n", "a\r\n"),
	ROW(DOT_ENDS, "a\n.", "a\r\n"),
	ROW(DOT_ENDS, "a\n..\nb\n.\nc", "a\r\n..\r\nb\r\n"),
	ROW(DOT_ENDS, ".b\n", ".b\r\n")
};

static void
check_row(const struct row *r, size_t cut)
{
	struct buf out = { 0 };
	struct lines l = { .sink = collect, .ctx = &out, .dot = r->dot };

	assert_int_equal(lines_feed(&l, r->in, cut), 0);
	assert_int_equal(lines_feed(&l, r->in + cut, r->n - cut), 0);
	assert_int_equal(lines_finish(&l), 0);
	assert_string_equal(buf_str(&out), r->out);
	assert_int_equal(out.len, strlen(r->out));
	buf_free(&out);
}

static void
every_row_in_every_split(void **state)
{
	size_t i, cut;

	(void)state;
	for (i = 0; i < sizeof rows / sizeof rows[0]; i++)
		for (cut = 0; cut <= rows[i].n; cut++)
			check_row(&rows[i], cut);
}

static void
notes_what_it_saw(void **state)
{
	struct buf out = { 0 };
	struct lines l = { .sink = collect, .ctx = &out };
	int i;

	(void)state;
	lines_feed(&l, "plain text\n", 11);
	assert_false(l.has_8bit || l.has_dot_line || l.has_nul);
	lines_feed(&l, "12345678901234567\xc3\xa9\n", 20);
	assert_true(l.has_8bit);
	lines_feed(&l, "a.\n.b\n", 6);
	assert_true(l.has_dot_line);
	lines_feed(&l, "\0", 1);
	assert_true(l.has_nul);
	for (i = 0; i < 997; i++)
		lines_feed(&l, "a", 1);
	assert_false(l.has_long);
	lines_feed(&l, "a", 1);
	assert_true(l.has_long);
	lines_finish(&l);
	buf_free(&out);
}

/* All 256 byte values at each alignment: none is lost but CR, LF and NUL. */
static void
keeps_every_byte(void **state)
{
	unsigned char in[300], want[300];
	size_t shift, i;

	(void)state;
	for (shift = 0; shift < 16; shift++) {
		struct buf out = { 0 };
		struct lines l = { .sink = collect, .ctx = &out };

		memset(in, 'x', sizeof in);
		for (i = 1; i < 256; i++)
			in[shift + i] = i == '\n' || i == '\r' ? 'x' :
			    (unsigned char)i;
		memcpy(want, in, sizeof in);
		lines_feed(&l, in, sizeof in);
		lines_finish(&l);
		assert_int_equal(out.len, sizeof in + 2);
		assert_memory_equal(out.p, want, sizeof want);
		buf_free(&out);
	}
}

/* Longer than any buffer inside, with lines of every length up to 200. */
static void
a_long_text_arrives_whole(void **state)
{
	struct buf in = { 0 }, want = { 0 }, out = { 0 };
	struct lines l = { .sink = collect, .ctx = &out };
	size_t i, k, step;

	(void)state;
	for (i = 0; i < 400; i++) {
		for (k = 0; k < i % 200; k++)
			buf_addc(&in, (char)('!' + (i * 31 + k) % 90));
		buf_addc(&in, '\n');
	}
	for (i = 0; i < in.len; i++) {
		if (in.p[i] == '\n')
			buf_addc(&want, '\r');
		buf_addc(&want, in.p[i]);
	}
	for (i = 0, step = 1; i < in.len; i += step, step = step * 7 % 5003) {
		if (step > in.len - i)
			step = in.len - i;
		lines_feed(&l, in.p + i, step);
	}
	lines_finish(&l);
	assert_int_equal(out.len, want.len);
	assert_memory_equal(out.p, want.p, want.len);
	buf_free(&in);
	buf_free(&want);
	buf_free(&out);
}

static int
refuse(void *ctx, const void *data, size_t n)
{
	(void)ctx;
	(void)data;
	(void)n;
	return -1;
}

static void
stops_when_the_sink_says_so(void **state)
{
	struct lines l = { .sink = refuse }, m = { .sink = refuse,
		.by_line = true };

	(void)state;
	assert_int_equal(lines_feed(&l, "a\n", 2), 0);
	assert_int_equal(lines_finish(&l), -1);
	assert_int_equal(lines_feed(&m, "a\n", 2), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_row_in_every_split),
		cmocka_unit_test(notes_what_it_saw),
		cmocka_unit_test(keeps_every_byte),
		cmocka_unit_test(a_long_text_arrives_whole),
		cmocka_unit_test(stops_when_the_sink_says_so)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
