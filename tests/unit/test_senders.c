/* Sender lists: their lines, reading them in blocks, the sources of a route. */
#include "lib/config/senders.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/buf.h"

#define EXPECTED "; expected alice@example.com, @example.com, @.example.com, " \
	"*-bounces@lists.example or *"
#define X10 "xxxxxxxxxx"
#define X60 X10 X10 X10 X10 X10 X10

enum { BLOCK = 16384, LONGEST = SENDERS_LINE_MAX };

/* --- Lists in memory ------------------------------------------------------ */

/* The line that matches a@b in a list, 0 for none, or -1 with the text in res. */
static int
line_of(const char *text, struct result *res)
{
	struct sender_query q = { .addr = "a@b" };
	const char *colon;

	if (senders_match_text(text, "LIST", &q, 1, false, res) < 0)
		return -1;
	if (!q.matched)
		return 0;
	colon = strrchr(q.by, ':');
	assert_non_null(colon);
	return atoi(colon + 1);
}

static void
test_lists(void **state)
{
	static const struct { const char *text; int line; } cases[] = {
		{ "", 0 }, { "\n", 0 }, { "\n\n\n", 0 }, { "a@b", 1 },
		{ "a@b\n", 1 }, { "c@d\na@b", 2 }, { "\n\n\na@b\n", 4 },
		{ "# a@b\n", 0 }, { "#a@b", 0 }, { "# c\n\t # d\na@b", 3 },
		{ "a@b\r\n", 1 }, { "\r\na@b\r\n", 2 }, { "a@b \t \r\n", 1 },
		{ " \t a@b", 1 }, { "   \n\t\na@b", 3 }, { "a@b\r", 1 },
		{ "a@b # comment", 1 }, { "a@b\t#", 1 }, { "a@b #c # d\r\n", 1 },
		{ "#a@b\n#\n#\r\nc@d #a@b\na@b", 5 },
		{ "a#@b\n@b", 2 }, { "a #@b", -1 },
		{ "\"a #\"@b\n@b # c", 2 }, { "\"a #\"@b # c\n@b", 2 },
		{ "@b\n*\na@b\n", 1 }, { "*\n@b\n", 1 },
		{ "\xEF\xBB\xBF" "a@b\n", 1 }, { "\xEF\xBB\xBF# c\na@b\n", 2 },
		{ "c@d\n\xEF\xBB\xBF" "a@b\n", 0 },
		/* What comes behind the match is not looked at. */
		{ "a@b\nrubbish\n", 1 },
	};
	struct result res;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof cases / sizeof *cases; i++)
		if (line_of(cases[i].text, &res) != cases[i].line)
			fail_msg("%s: line %d, not %d", cases[i].text,
			    line_of(cases[i].text, &res), cases[i].line);
}

static void
test_lists_that_are_refused(void **state)
{
	static const struct { const char *text, *want; } cases[] = {
		{ "alice\n", "LIST:1: 'alice' is no pattern" EXPECTED },
		{ "#\n\nc@d e@f\n", "LIST:3: 'c@d e@f' is no pattern"
		    EXPECTED },
		{ "c@d\r\n  x y # z\r\n", "LIST:2: 'x y' is no pattern"
		    EXPECTED },
		{ "\"c #@d\n", "LIST:1: '\"c #@d' is no pattern" EXPECTED },
		{ "\"c\\", "LIST:1: '\"c\\' is no pattern" EXPECTED },
		{ "c@d#e\n", "LIST:1: 'c@d#e' is no pattern" EXPECTED },
		{ X60 X10 "\n", "LIST:1: '" X60 "' is no pattern" EXPECTED },
		{ "c@d\n\001@e\n", "LIST:2: control character 0x01; expected "
		    "text" },
		{ "c@d # \177\n", "LIST:1: control character 0x7F; expected "
		    "text" },
		{ "# \033[2J\n", "LIST:1: control character 0x1B; expected "
		    "text" },
		{ "c@d\r\r\n", "LIST:1: control character 0x0D; expected "
		    "text" },
		{ "c@d\re@f\n", "LIST:1: control character 0x0D; expected "
		    "text" },
	};
	struct result res;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof cases / sizeof *cases; i++) {
		memset(&res, 0xff, sizeof res);
		assert_int_equal(line_of(cases[i].text, &res), -1);
		assert_string_equal(res.text, cases[i].want);
		assert_int_equal(res.exit, EXIT_CONFIGURATION);
		assert_int_equal(res.outcome, OUT_TEMP);
	}
}

static void
test_all_addresses_are_looked_up(void **state)
{
	struct sender_query q[4] = { { .addr = "a@b" }, { .addr = "" },
	    { .addr = "c@D" }, { .addr = "x@y" } };
	struct result res;

	(void)state;
	assert_int_equal(senders_match_text("@d\n#\na@b\na@*\n", "LIST", q, 4,
	    false, &res), 0);
	assert_true(q[0].matched);
	assert_string_equal(q[0].by, "a@b in LIST:3");
	assert_false(q[1].matched);
	assert_true(q[2].matched);
	assert_string_equal(q[2].by, "@d in LIST:1");
	assert_false(q[3].matched);
	assert_string_equal(q[3].by, "");
}

static void
test_any_ends_with_the_first(void **state)
{
	struct sender_query q[2] = { { .addr = "a@b" }, { .addr = "c@d" } };
	struct result res;

	(void)state;
	assert_int_equal(senders_match_text("x@y\n*\nrubbish", "LIST", q, 2,
	    true, &res), 0);
	assert_true(q[0].matched);
	assert_false(q[1].matched);
	/* What is matched already is enough, and stays. */
	assert_int_equal(senders_match_text("rubbish", "OTHER", q, 2, true,
	    &res), 0);
	assert_string_equal(q[0].by, "* in LIST:2");
	assert_int_equal(senders_match_text("*", "OTHER", q, 2, false, &res), 0);
	assert_string_equal(q[0].by, "* in LIST:2");
	assert_string_equal(q[1].by, "* in OTHER:1");
	assert_int_equal(senders_match_text("rubbish", "OTHER", q, 2, false,
	    &res), 0);
	assert_int_equal(senders_match_text("rubbish", "OTHER", q, 0, true,
	    &res), 0);
}

static void
test_a_long_reason_keeps_its_place(void **state)
{
	char text[200], where[500], addr[200];
	struct sender_query q = { .addr = addr };
	struct result res;

	(void)state;
	memset(addr, 'a', sizeof addr);
	memcpy(addr + 190, "@b", 3);
	memcpy(text, addr, sizeof addr);
	memset(where, 'w', sizeof where - 1);
	where[sizeof where - 1] = '\0';
	assert_int_equal(senders_match_text(text, where, &q, 1, false, &res),
	    0);
	assert_int_equal(strlen(q.by), 120 + 3 + 4 + 250 + 2);
	assert_memory_equal(q.by + 119, "a... in w", 9);
	assert_string_equal(q.by + strlen(q.by) - 4, "ww:1");
}

/* --- Lists in files ------------------------------------------------------- */

struct files {
	char dir[64], list[80], second[80];
};

static int
files_make(void **state)
{
	struct files *f = calloc(1, sizeof *f);
	const char *tmp = getenv("TMPDIR");

	if (f == NULL)
		return -1;
	snprintf(f->dir, sizeof f->dir, "%.40s/senders.XXXXXX",
	    tmp ? tmp : "/tmp");
	if (mkdtemp(f->dir) == NULL || chmod(f->dir, 0755) < 0)
		return -1;
	snprintf(f->list, sizeof f->list, "%s/list", f->dir);
	snprintf(f->second, sizeof f->second, "%s/second", f->dir);
	*state = f;
	return 0;
}

static int
files_remove(void **state)
{
	struct files *f = *state;
	int rc;

	unlink(f->list);
	unlink(f->second);
	rc = rmdir(f->dir);
	free(f);
	return rc;
}

static void
list_write(const char *path, const void *data, size_t n, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, n), n);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

/* Look q up in the list at f->list. */
static int
look_up(struct files *f, struct sender_query *q, size_t nq,
    struct result *res)
{
	struct sender_source source = { .kind = SENDER_FILE, .text = f->list };
	struct route r = { .sources = &source, .nsources = 1 };

	return senders_match(&r, q, nq, false, res);
}

/*
 * A list of n bytes, all lines of comment of w bytes, with the line `tail` at
 * its end; tail has its line number in *line.
 */
static void
list_make(struct buf *b, size_t n, size_t w, const char *tail, unsigned *line)
{
	size_t end = n - strlen(tail), i;

	buf_reset(b);
	*line = 1;
	for (i = 0; b->len < end; i++) {
		if (i == w || b->len + 1 == end) {
			buf_addc(b, '\n');
			i = (size_t)-1;
			++*line;
		} else {
			buf_addc(b, '#');
		}
	}
	buf_adds(b, tail);
}

static void
test_lines_across_the_edge_of_a_block(void **state)
{
	static const size_t widths[] = { 1, 7, 62, 999 };
	static const char *const tails[] = { "alice@example.com\n",
	    "alice@example.com", "alice@example.com\r\n",
	    "alice@example.com # x\nbob@example.com\n" };
	struct buf b = { 0 };
	char want[200];
	struct result res;
	unsigned line;
	size_t n, w, t;

	for (w = 0; w < sizeof widths / sizeof *widths; w++)
		for (t = 0; t < sizeof tails / sizeof *tails; t++)
			for (n = BLOCK - 3; n < BLOCK + 45; n++) {
				struct sender_query q = {
				    .addr = "alice@example.com" };
				struct files *f = *state;

				list_make(&b, n, widths[w], tails[t], &line);
				assert_int_equal(b.len, n);
				list_write(f->list, b.p, b.len, 0600);
				assert_int_equal(look_up(f, &q, 1, &res), 0);
				snprintf(want, sizeof want,
				    "alice@example.com in %s:%u", f->list,
				    line);
				assert_string_equal(q.by, want);
			}
	buf_free(&b);
}

/* The pattern must not be read as shorter, nor joined with what is not there. */
static void
test_a_line_cut_by_a_block_is_not_two(void **state)
{
	struct sender_query q[2] = { { .addr = "alice@example.co" },
	    { .addr = "ice@example.com" } };
	struct buf b = { 0 };
	struct result res;
	unsigned line;
	size_t n;

	for (n = BLOCK; n < BLOCK + 20; n++) {
		list_make(&b, n, 30, "alice@example.com\n", &line);
		list_write(((struct files *)*state)->list, b.p, b.len, 0600);
		assert_int_equal(look_up(*state, q, 2, &res), 0);
		assert_false(q[0].matched || q[1].matched);
	}
	buf_free(&b);
}

/* A line of `n` bytes behind `before` bytes of comments; its exit status. */
static int
long_line(struct files *f, size_t before, size_t n, const char *end,
    struct result *res)
{
	struct sender_query q = { .addr = "alice@example.com" };
	struct buf b = { 0 };
	unsigned line;
	char want[200];
	size_t i;
	int rc;

	list_make(&b, before + 1, 60, "\n", &line);
	for (i = 0; i < n; i++)
		buf_addc(&b, '#');
	buf_adds(&b, end);
	buf_adds(&b, "*");
	list_write(f->list, b.p, b.len, 0600);
	buf_free(&b);
	rc = look_up(f, &q, 1, res);
	if (rc == 0) {
		/* At the end of the long line when that has none. */
		assert_int_equal(q.matched, *end != '\0');
		return 0;
	}
	snprintf(want, sizeof want, "%s:%u: a line of more than 1000 bytes; "
	    "expected one pattern", f->list, line + 1);
	assert_string_equal(res->text, want);
	assert_false(q.matched);
	return res->exit;
}

static void
test_the_longest_line(void **state)
{
	static const size_t places[] = { 0, 10, BLOCK - 1100, BLOCK - 1002,
	    BLOCK - 1001, BLOCK - 1000, BLOCK - 500, BLOCK - 2, BLOCK - 1,
	    BLOCK, 3 * BLOCK - 700 };
	struct result res;
	size_t i;

	for (i = 0; i < sizeof places / sizeof *places; i++) {
		size_t p = places[i];

		assert_int_equal(long_line(*state, p, LONGEST, "\n", &res), 0);
		assert_int_equal(long_line(*state, p, LONGEST, "\r\n", &res),
		    0);
		assert_int_equal(long_line(*state, p, LONGEST - 1, "", &res),
		    0);
		assert_int_equal(long_line(*state, p, LONGEST + 1, "\n", &res),
		    EXIT_CONFIGURATION);
		assert_int_equal(long_line(*state, p, LONGEST + 1, "\r\n",
		    &res), EXIT_CONFIGURATION);
		assert_int_equal(long_line(*state, p, LONGEST, "", &res),
		    EXIT_CONFIGURATION);
		assert_int_equal(long_line(*state, p, 3 * BLOCK, "\n", &res),
		    EXIT_CONFIGURATION);
	}
}

static void
test_a_list_of_many_lines(void **state)
{
	struct sender_query q[3] = { { .addr = "user0@example.com" },
	    { .addr = "user99999@EXAMPLE.com" }, { .addr = "none@x.org" } };
	struct files *f = *state;
	struct buf b = { 0 };
	struct result res;
	char want[200];
	int i;

	for (i = 0; i < 100000; i++)
		buf_addf(&b, "user%d@example.com\n", i);
	list_write(f->list, b.p, b.len, 0600);
	assert_int_equal(look_up(f, q, 3, &res), 0);
	snprintf(want, sizeof want, "user0@example.com in %s:1", f->list);
	assert_string_equal(q[0].by, want);
	snprintf(want, sizeof want, "user99999@example.com in %s:100000",
	    f->list);
	assert_string_equal(q[1].by, want);
	assert_false(q[2].matched);
	buf_free(&b);
}

static void
test_a_match_early_in_a_full_block(void **state)
{
	struct sender_query q = { .addr = "a@b" };
	struct files *f = *state;
	struct buf b = { 0 };
	struct result res;
	int i;

	buf_adds(&b, "a@b\n");
	for (i = 0; i < 3000; i++)
		buf_adds(&b, "other@example.com\n");
	list_write(f->list, b.p, b.len, 0600);
	assert_int_equal(look_up(f, &q, 1, &res), 0);
	assert_true(q.matched);
	buf_free(&b);
}

static void
test_bytes_that_are_no_text_in_a_file(void **state)
{
	struct sender_query q = { .addr = "c@d" };
	struct files *f = *state;
	struct result res;
	char want[200];

	list_write(f->list, "a@b\nc@d\0\n", 9, 0600);
	assert_int_equal(look_up(f, &q, 1, &res), -1);
	snprintf(want, sizeof want, "%s:2: control character 0x00; expected "
	    "text", f->list);
	assert_string_equal(res.text, want);
	assert_int_equal(res.exit, EXIT_CONFIGURATION);
	assert_false(q.matched);
	list_write(f->list, "\xEF\xBB\xBF" "c@d\n", 7, 0600);
	assert_int_equal(look_up(f, &q, 1, &res), 0);
	assert_true(q.matched);
}

static void
test_an_empty_file_matches_nothing(void **state)
{
	struct sender_query q = { .addr = "a@b" };
	struct files *f = *state;
	struct result res;

	list_write(f->list, "", 0, 0600);
	assert_int_equal(look_up(f, &q, 1, &res), 0);
	assert_false(q.matched);
}

static void
test_files_that_cannot_be_read(void **state)
{
	struct sender_query q = { .addr = "a@b" };
	struct files *f = *state;
	uid_t me = geteuid();
	struct result res;
	char want[200];

	assert_int_equal(look_up(f, &q, 1, &res), -1);
	snprintf(want, sizeof want, "senders %s cannot be read: No such file or "
	    "directory", f->list);
	assert_string_equal(res.text, want);
	assert_int_equal(res.exit, EXIT_CONFIGURATION);

	list_write(f->list, "a@b\n", 4, 0000);
	if (me == 0)
		assert_int_equal(seteuid(65534), 0);
	assert_int_equal(look_up(f, &q, 1, &res), -1);
	assert_int_equal(seteuid(me), 0);
	snprintf(want, sizeof want, "senders %s cannot be read: Permission "
	    "denied", f->list);
	assert_string_equal(res.text, want);
	assert_int_equal(res.exit, EXIT_NOPERM);

	unlink(f->list);
	assert_int_equal(mkfifo(f->list, 0600), 0);
	assert_int_equal(look_up(f, &q, 1, &res), -1);
	snprintf(want, sizeof want, "senders %s is not a regular file",
	    f->list);
	assert_string_equal(res.text, want);
	assert_int_equal(res.exit, EXIT_CONFIGURATION);
	assert_false(q.matched);
}

/* --- The sources of a route ----------------------------------------------- */

static void
test_sources_are_tried_in_order(void **state)
{
	struct files *f = *state;
	struct sender_query q[5] = { { .addr = "a@inline.example" },
	    { .addr = "a@first.example" }, { .addr = "a@second.example" },
	    { .addr = "" }, { .addr = "a@both.example" } };
	struct sender_source sources[] = {
		{ .kind = SENDER_FILE, .text = f->list },
		{ .kind = SENDER_BUILTIN },
		{ .kind = SENDER_PATTERN, .text = (char[]){ "@inline.example" },
		    .conf = "/etc/sendroute.conf", .line = 12 },
		{ .kind = SENDER_FILE, .text = f->second },
		{ .kind = SENDER_PATTERN, .text = (char[]){ "*" }, .line = 3 },
	};
	struct route r = { .sources = sources, .nsources = 5 };
	struct result res;
	char want[200];

	list_write(f->list, "\n@first.example\n@both.example", 29, 0600);
	list_write(f->second, "@both.example\n@second.example\n", 30, 0600);
	assert_int_equal(senders_match(&r, q, 5, false, &res), 0);
	assert_string_equal(q[0].by,
	    "@inline.example in /etc/sendroute.conf:12");
	snprintf(want, sizeof want, "@first.example in %s:2", f->list);
	assert_string_equal(q[1].by, want);
	snprintf(want, sizeof want, "@second.example in %s:2", f->second);
	assert_string_equal(q[2].by, want);
	assert_string_equal(q[3].by, "* in the configuration:3");
	snprintf(want, sizeof want, "@both.example in %s:3", f->list);
	assert_string_equal(q[4].by, want);
}

static void
test_sources_behind_the_match_are_not_opened(void **state)
{
	struct files *f = *state;
	struct sender_query q[2] = { { .addr = "a@b" }, { .addr = "c@d" } };
	struct sender_source sources[] = {
		{ .kind = SENDER_PATTERN, .text = (char[]){ "a@b" } },
		{ .kind = SENDER_FILE, .text = f->list },	/* missing */
	};
	struct route r = { .sources = sources, .nsources = 2 };
	struct result res;

	assert_int_equal(senders_match(&r, q, 1, false, &res), 0);
	assert_true(q[0].matched);
	q[0].matched = false;
	assert_int_equal(senders_match(&r, q, 2, true, &res), 0);
	assert_true(q[0].matched);
	assert_false(q[1].matched);
	assert_int_equal(senders_match(&r, q, 2, false, &res), -1);
	assert_int_equal(res.exit, EXIT_CONFIGURATION);
	assert_true(q[0].matched);
}

static void
test_no_sources_match_nothing(void **state)
{
	struct sender_query q = { .addr = "a@b" };
	struct route r = { .nsources = 0 };
	struct result res;

	(void)state;
	assert_int_equal(senders_match(&r, &q, 1, false, &res), 0);
	assert_false(q.matched);
}

int
main(void)
{
#define FILES(test) cmocka_unit_test_setup_teardown(test, files_make, \
	files_remove)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_lists_that_are_refused),
		cmocka_unit_test(test_all_addresses_are_looked_up),
		cmocka_unit_test(test_any_ends_with_the_first),
		cmocka_unit_test(test_a_long_reason_keeps_its_place),
		FILES(test_lines_across_the_edge_of_a_block),
		FILES(test_a_line_cut_by_a_block_is_not_two),
		FILES(test_the_longest_line),
		FILES(test_a_list_of_many_lines),
		FILES(test_a_match_early_in_a_full_block),
		FILES(test_bytes_that_are_no_text_in_a_file),
		FILES(test_an_empty_file_matches_nothing),
		FILES(test_files_that_cannot_be_read),
		FILES(test_sources_are_tried_in_order),
		FILES(test_sources_behind_the_match_are_not_opened),
		cmocka_unit_test(test_no_sources_match_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
