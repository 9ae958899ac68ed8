/* Alias files: their lines, what names lead to, loops, limits, files. */
#include "lib/mail/aliases.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/buf.h"

#define D10 "1234567890"
#define D50 D10 D10 D10 D10 D10
#define D80 D50 D10 D10 D10
#define NO_START "is not the start of an alias; expected \"name: target, " \
	"...\", the name without @domain"
#define NO_MAIL "is a command or a file, to which no mail goes; expected an " \
	"address, a name or :include:/path"

/* Everyone works in a folder of his own, with the alias file in "aliases". */
struct place {
	char dir[64];
	int home;
};

/*
 * An alias file, recipients as a caller gives them, and what they become, a '|'
 * behind each, or "EXIT text". '$' stands for the folder.
 */
struct alias_case {
	const char *file, *rcpts, *want;
};

static int
place_make(void **state)
{
	struct place *p = calloc(1, sizeof *p);
	const char *tmp = getenv("TMPDIR");

	if (p == NULL)
		return -1;
	snprintf(p->dir, sizeof p->dir, "%.40s/aliases.XXXXXX",
	    tmp ? tmp : "/tmp");
	p->home = open(".", O_RDONLY | O_DIRECTORY);
	if (p->home < 0 || mkdtemp(p->dir) == NULL ||
	    chmod(p->dir, 0755) < 0 || chdir(p->dir) < 0)
		return -1;
	*state = p;
	return 0;
}

static int
place_remove(void **state)
{
	struct place *p = *state;
	int rc;

	unlink("aliases");
	unlink("list");
	unlink("more list");
	rc = fchdir(p->home);
	close(p->home);
	rc |= rmdir(p->dir);
	free(p);
	return rc;
}

static void
write_file(const char *path, const void *data, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, n), n);
	close(fd);
}

/* text with every `what` replaced by `by`. Heap. */
static char *
replaced(const char *text, const char *what, const char *by)
{
	struct buf b = { 0 };
	const char *hit;

	for (; (hit = strstr(text, what)) != NULL; text = hit + strlen(what)) {
		buf_add(&b, text, (size_t)(hit - text));
		buf_adds(&b, by);
	}
	buf_adds(&b, text);
	return b.p;
}

static void
write_text(const struct place *p, const char *path, const char *text)
{
	char *s = replaced(text, "$", p->dir);

	write_file(path, s, strlen(s));
	free(s);
}

/* What the recipients become by the file that is there. Heap. */
static char *
outcome(const struct place *p, const char *rcpts)
{
	struct aliases a = { "aliases", "host.d.test", "d.test", -1, 0, 0 };
	struct addr_list l = { 0 };
	struct result res;
	struct buf b = { 0 };
	char *s;
	size_t i, n;

	assert_int_equal(address_parse(rcpts, strlen(rcpts), a.domain, &l,
	    &res), 0);
	n = l.n;
	memset(&res, 0xff, sizeof res);
	if (aliases_expand(&a, &l, &res) == 0) {
		for (i = 0; i < l.n; i++)
			buf_addf(&b, "%s|", l.v[i]);
	} else {
		assert_int_equal(l.n, n);
		assert_int_equal(res.outcome, OUT_TEMP);
		buf_addf(&b, "%d %s", res.exit, res.text);
	}
	aliases_close(&a);
	aliases_close(&a);
	addr_list_free(&l);
	s = replaced(buf_str(&b), p->dir, "$");
	buf_free(&b);
	return s;
}

static void
check(const struct place *p, const char *rcpts, const char *want)
{
	char *got = outcome(p, rcpts);

	assert_string_equal(got, want);
	free(got);
}

static void
check_all(const struct place *p, const struct alias_case *c, size_t n)
{
	for (; n > 0; n--, c++) {
		char *got;

		write_text(p, "aliases", c->file);
		got = outcome(p, c->rcpts);
		if (strcmp(got, c->want) != 0)
			print_error("file:\n%s\n", c->file);
		assert_string_equal(got, c->want);
		free(got);
	}
}

#define CHECK_ALL(p, t) check_all(p, t, sizeof(t) / sizeof *(t))

/* --- which addresses were but names --- */

/* The addresses of a list, a '*' behind those that were bare. */
static void
check_bare(const struct addr_list *l, const char *want)
{
	struct buf b = { 0 };
	size_t i;

	for (i = 0; i < l->n; i++)
		buf_addf(&b, "%s%s|", l->v[i], l->bare[i] ? "*" : "");
	assert_string_equal(buf_str(&b), want);
	buf_free(&b);
}

static void
test_bare_names_are_told_from_addresses(void **state)
{
	static const char text[] = "root, a@x, Root <root>, b@d.test, <c@d.test>,"
	    " www <d@x>, group: bin, e@x;, (x) \"sys\", root@d.test";
	struct addr_list l = { 0 }, more = { 0 };
	struct result res;

	(void)state;
	assert_int_equal(address_parse(text, sizeof text - 1, "d.test", &l,
	    &res), 0);
	check_bare(&l, "root@d.test*|a@x|root@d.test*|b@d.test|c@d.test|d@x|"
	    "bin@d.test*|e@x|sys@d.test*|root@d.test|");
	assert_int_equal(addr_list_add(&l, "f@x", 3), 0);
	assert_int_equal(address_parse("g, h@x", 6, "x", &more, &res), 0);
	assert_int_equal(addr_list_join(&l, &more), 0);
	assert_int_equal(more.n, 0);
	assert_null(more.v);
	addr_list_dedup(&l);
	check_bare(&l, "root@d.test*|a@x|b@d.test|c@d.test|d@x|bin@d.test*|"
	    "e@x|sys@d.test*|f@x|g@x*|h@x|");
	addr_list_pop(&l);
	addr_list_pop(&l);
	assert_int_equal(addr_list_add(&l, "i@x", 3), 0);
	check_bare(&l, "root@d.test*|a@x|b@d.test|c@d.test|d@x|bin@d.test*|"
	    "e@x|sys@d.test*|f@x|i@x|");
	addr_list_free(&l);
	assert_int_equal(addr_list_join(&l, &more), 0);
	assert_null(l.v);
}

/* --- lines --- */

static void
test_lines_are_read_as_postfix_reads_them(void **state)
{
	static const struct alias_case cases[] = {
		{ "", "root", "root@d.test|" },
		{ "\n\n# nothing\n", "root", "root@d.test|" },
		{ "root: a@x\n", "root", "a@x|" },
		{ "root:a@x\n", "root", "a@x|" },
		{ "root : \t a@x  \n", "root", "a@x|" },
		{ "root: a@x", "root", "a@x|" },
		{ "root: a@x, b@x,c@x ,\td@x\n", "root", "a@x|b@x|c@x|d@x|" },
		{ "root: a@x,\n", "root", "a@x|" },
		{ "root: ,, a@x,, ,b@x,\n", "root", "a@x|b@x|" },
		{ "www: w@x\nroot: a@x\nbin: b@x\n", "root", "a@x|" },
		{ "www: w@x\nroot: a@x\nbin: b@x", "bin", "b@x|" },
		/* The first line with a name counts. */
		{ "root: a@x\nroot: b@x\n", "root", "a@x|" },
		/* Folding. */
		{ "root: a@x,\n b@x\n", "root", "a@x|b@x|" },
		{ "root:\n\ta@x\n", "root", "a@x|" },
		{ "root:\n  a@x\n  , b@x\nbin: c@x\n", "root,bin",
		    "a@x|b@x|c@x|" },
		{ "root\n : a@x\n", "root", "a@x|" },
		{ "root: Alice\n  <a@x>\n", "root", "a@x|" },
		{ "root: \"Alice,\n  B.\" <a@x>, c@x\n", "root", "a@x|c@x|" },
		{ "root: a@x,\n\n \t \n  b@x\n", "root", "a@x|b@x|" },
		{ "root: a@x,\n  b@x", "root", "a@x|b@x|" },
		{ "root: a@x,\n  ", "root", "a@x|" },
		{ "www:\n  w@x,\n  v@x\nroot: a@x\n", "root", "a@x|" },
		/* Comments. */
		{ "# root: b@x\nroot: a@x\n", "root", "a@x|" },
		{ "  # indented\nroot: a@x\n", "root", "a@x|" },
		{ "root: a@x,\n# in between\n  # and again\n  b@x\n", "root",
		    "a@x|b@x|" },
		{ "root: a@x # not b@x\n", "root", "a@x|" },
		{ "root: a@x\t#, b@x\n , c@x #\n", "root", "a@x|c@x|" },
		{ "root: #none yet\n a@x\n", "root", "a@x|" },
		{ "root: a@x,#none yet\n b@x\n", "root", "a@x|b@x|" },
		{ "root:#x\n a@x", "root", "a@x|" },
		{ "root: a#b@x\n", "root", "a#b@x|" },
		{ "root: \"a #\" <a@x>, b@x\n", "root", "a@x|b@x|" },
		{ "root: a@x (no. #1, of 2), b@x\n", "root", "a@x|b@x|" },
		{ "#", "root", "root@d.test|" },
		{ "root: a@x\n#", "root", "a@x|" },
		{ "root: a@x #", "root", "a@x|" },
	};

	CHECK_ALL(*state, cases);
}

static void
test_files_from_elsewhere(void **state)
{
	static const struct alias_case cases[] = {
		{ "root: a@x\r\nbin: b@x\r\n", "root,bin", "a@x|b@x|" },
		{ "root: a@x,\r\n\r\n # c\r\n\tb@x\r\nbin: b@y\r\n", "root",
		    "a@x|b@x|" },
		{ "root: a@x\r", "root", "a@x|" },
		{ "# c\r\nroot:\r\n a@x # d\r\n", "root", "a@x|" },
		{ "\r\n\r\nroot: a@x\r\n", "root", "a@x|" },
		{ "\xEF\xBB\xBFroot: a@x\n", "root", "a@x|" },
		{ "\xEF\xBB\xBF# c\nroot: a@x\n", "root", "a@x|" },
		{ "\xEF\xBB\xBF", "root", "root@d.test|" },
	};

	CHECK_ALL(*state, cases);
}

static void
test_names(void **state)
{
	static const struct alias_case cases[] = {
		{ "Root: a@x\n", "rOOT", "a@x|" },
		{ "first.last: a@x\n", "first.last", "a@x|" },
		{ "first . last: a@x\n", "first.last", "a@x|" },
		{ "root: a@x\n", "root.", "root.@d.test|" },
		{ "root+cron: c@x\nroot: a@x\n", "root+cron,root",
		    "c@x|a@x|" },
		{ "root: a@x\n", "root+cron", "root+cron@d.test|" },
		{ "root: a@x\n", "roo,roott", "roo@d.test|roott@d.test|" },
		{ "\"root\": a@x\n", "root", "a@x|" },
		{ "root: a@x\n", "\"root\"", "a@x|" },
		{ "\"john doe\": a@x\n", "\"John Doe\"@host.d.test", "a@x|" },
		{ "\"john doe\": a@x\n", "\"John Doe\"", "a@x|" },
		{ "\"john doe\": a@x\n", "<\"John Doe\">, \"Jane Doe\"",
		    "a@x|\"Jane Doe\"@d.test|" },
		{ "\"j@d\": a@x\n", "\"j@d\"", "a@x|" },
		{ "john: \"john doe\", b@x\n\"john doe\": a@x\n", "john",
		    "a@x|b@x|" },
		{ "john: \\\"john doe\"\n\"john doe\": a@x\n", "john",
		    "\"john doe\"@d.test|" },
		{ "\"john doe\": \"john doe\", a@x\n", "\"john doe\"",
		    "\"john doe\"@d.test|a@x|" },
		{ "default: d@x\n", "\"john doe\"", "d@x|" },
		{ "\"j: d\" : a@x\n", "\"j: d\"@host.d.test", "a@x|" },
		{ "\"j#d\": a@x\n", "j#d", "a@x|" },
		{ "\"j #d\": a@x\n", "\"j #d\"@host.d.test", "a@x|" },
		{ "\"j@d\": a@x\n", "\"j@d\"@host.d.test", "a@x|" },
		{ "\"j\\\"d\": a@x\n", "\"j\\\"d\"@host.d.test", "a@x|" },
		{ "root (the boss): a@x\n", "root", "a@x|" },
		{ "owner-list: o@x\nlist: a@x\n", "list", "a@x|" },
	};

	CHECK_ALL(*state, cases);
}

static void
test_lines_that_are_refused(void **state)
{
	static const struct alias_case cases[] = {
		{ "root a@x\n", "bin", "78 aliases:1: 'root a@x' " NO_START },
		{ "# c\n\nroot\n", "bin", "78 aliases:3: 'root' " NO_START },
		{ "a: b\n\n\nroot", "bin", "78 aliases:4: 'root' " NO_START },
		{ "root@host.d.test: a@x\n", "bin",
		    "78 aliases:1: 'root@host.d.test' " NO_START },
		{ "@d.test: a@x\n", "bin",
		    "78 aliases:1: '@d.test' " NO_START },
		{ "root, bin: a@x\n", "bin",
		    "78 aliases:1: 'root, bin' " NO_START },
		{ "john doe: a@x\n", "bin",
		    "78 aliases:1: 'john doe' " NO_START },
		{ ": a@x\n", "bin", "78 aliases:1: '' " NO_START },
		{ "<root>: a@x\n", "bin", "78 aliases:1: '<root>' " NO_START },
		{ "a: x@x\r\n\"root: a@x\r\n", "bin",
		    "78 aliases:2: '\"root: a@x' " NO_START },
		{ D80 D80 D80 D80 "1: a@x\n", "bin",
		    "78 aliases:1: '" D80 "' " NO_START },
		{ " root: a@x\n", "bin", "78 aliases:1: 'root' begins with a "
		    "blank, but there is no line for it to continue" },
		{ "# c\n\n\t a@x, b@x\n", "bin", "78 aliases:3: 'a@x, b@x' "
		    "begins with a blank, but there is no line for it to "
		    "continue" },
		{ " ro\001ot: a@x\n", "bin",
		    "78 aliases:1: 'ro' is followed by a control character" },
		{ "a: b\n\001root: a@x\n", "bin",
		    "78 aliases:2: '' is followed by a control character" },
		{ "a: b\nro\177ot: a@x\n", "bin",
		    "78 aliases:2: 'ro' is followed by a control character" },
		{ "a: b\rbin: c@x\nb\rc: d", "bin",
		    "78 aliases:2: 'b' is followed by a control character" },
		{ "bin: a@x, b\001c@x\n", "bin",
		    "78 aliases:1: 'b' is followed by a control character" },
		{ "bin: a@x\r\r\n", "bin",
		    "78 aliases:1: 'a@x' is followed by a control character" },
		{ "bin: a@x\rsys: b@x\n", "bin",
		    "78 aliases:1: 'a@x' is followed by a control character" },
	};

	CHECK_ALL(*state, cases);
}

static void
test_what_is_not_needed_is_not_judged(void **state)
{
	static const struct alias_case cases[] = {
		{ "list: \"|/usr/bin/list post\"\nnobody: /dev/null\n"
		    "bad: <<, a b c, \001\nempty:\nroot: a@x\n", "root",
		    "a@x|" },
		{ "open: \"not closed\nroot: a@x\n", "root", "a@x|" },
		{ "open: (not closed\nroot: a@x\n", "root", "a@x|" },
		{ "# \001\nx: y # \001\nroot: a@x # \001\n", "root", "a@x|" },
		/* Behind the name's line. */
		{ "root: a@x\nrubbish\n", "root", "a@x|" },
	};

	CHECK_ALL(*state, cases);
}

static void
test_nul_bytes(void **state)
{
	static const char in_name[] = "a: b\nro\0ot: a@x\n";
	static const char in_target[] = "a: b\nroot: a@x,\n b@\0x\n";
	static const char in_comment[] = "#\0\na: b\0c\nroot: a@x #\0\n";

	write_file("aliases", in_name, sizeof in_name - 1);
	check(*state, "root",
	    "78 aliases:2: 'ro' is followed by a control character");
	write_file("aliases", in_target, sizeof in_target - 1);
	check(*state, "root",
	    "78 aliases:3: 'b@' is followed by a control character");
	write_file("aliases", in_comment, sizeof in_comment - 1);
	check(*state, "root", "a@x|");
}

/* --- targets --- */

static void
test_targets_are_addresses_of_every_form(void **state)
{
	static const struct alias_case cases[] = {
		{ "root: Alice A. <a@x>\n", "root", "a@x|" },
		{ "root: \"A, B\" <a@x>, <b@x>\n", "root", "a@x|b@x|" },
		{ "root: \"a b\"@x, (one, two) c@x\n", "root",
		    "\"a b\"@x|c@x|" },
		{ "root: \"a,b\"@x\n", "root", "\"a,b\"@x|" },
		{ "root: a@[192.0.2.1]\n", "root", "a@[192.0.2.1]|" },
		{ "root: first.last+tag\n", "root",
		    "first.last+tag@d.test|" },
		{ "root: a@x b@x\n", "root", "a@x|b@x|" },
		{ "root: a@x bob\n", "root", "78 aliases:1: bad address "
		    "\"a@x bob\": a comma is missing, or a name has no "
		    "address" },
		{ "root: john doe\n", "root", "78 aliases:1: bad address "
		    "\"john doe\": a name without an address" },
		{ "www: w@x\nroot: a@x,\n  b@x,\n  c@@x\n", "root",
		    "78 aliases:4: bad address \"c@@x\": no domain behind the "
		    "'@'" },
		{ "root: a@x\n  bin: b@x\n", "root", "78 aliases:1: bad "
		    "address \"a@x bin: b@x\": ':' without the name of a group" },
		{ "root: friends: a@x, b@x;\n", "root", "78 aliases:1: bad "
		    "address \"a@x\": a group that does not end with ';'" },
		{ "root: \"a@x\n", "root", "78 aliases:1: bad address \"\"a@x\""
		    ": a quote is not closed" },
		{ "root: \"a\"b\\\n", "root", "78 aliases:1: bad address "
		    "\"\"a\"b\\\": a stray ')', ']' or '\\'" },
		{ "root:\n", "root", "78 aliases:1: 'root' has no target" },
		{ "root: , ,\nbin: a@x\n", "root",
		    "78 aliases:1: 'root' has no target" },
		{ "root: (nobody)\n", "root",
		    "78 aliases:1: 'root' has no target" },
		{ "root: # a@x", "root",
		    "78 aliases:1: 'root' has no target" },
	};

	CHECK_ALL(*state, cases);
}

static void
test_commands_and_files_are_refused(void **state)
{
	static const struct alias_case cases[] = {
		{ "root: |/bin/cat\n", "root",
		    "78 aliases:1: '|/bin/cat' " NO_MAIL },
		{ "root: a@x,\n  \"|/bin/cat -n, or so\"\n", "root",
		    "78 aliases:2: '|/bin/cat -n, or so' " NO_MAIL },
		{ "root: | \"/bin/cat\"\n", "root",
		    "78 aliases:1: '| \"/bin/cat\"' " NO_MAIL },
		{ "root: /dev/null\n", "root",
		    "78 aliases:1: '/dev/null' " NO_MAIL },
		{ "root: \"/var/mail/the root\"\n", "root",
		    "78 aliases:1: '/var/mail/the root' " NO_MAIL },
		{ "root: bin\nbin: /dev/null\n", "root",
		    "78 aliases:2: '/dev/null' " NO_MAIL },
		{ "default: /dev/null\n", "root",
		    "78 aliases:1: '/dev/null' " NO_MAIL },
		/* In quotes further on they mean nothing. */
		{ "root: \"a|b\" <a@x>, \"a/b\"@x\n", "root",
		    "a@x|a/b@x|" },
	};

	CHECK_ALL(*state, cases);
}

/* --- who is looked up --- */

static void
test_local_names_only(void **state)
{
	static const struct alias_case cases[] = {
		{ "root: a@x\n", "root@host.d.test", "a@x|" },
		{ "root: a@x\n", "root@HOST.D.TEST", "a@x|" },
		{ "root: a@x\n", "root@d.test", "a@x|" },
		{ "root: a@x\n", "root@D.test", "a@x|" },
		{ "root: a@x\n", "root@other.test", "root@other.test|" },
		{ "root: a@x\n", "root@sub.host.d.test",
		    "root@sub.host.d.test|" },
		{ "default: a@x\n", "bin", "a@x|" },
		{ "default: a@x\n", "bin@host.d.test", "a@x|" },
		{ "default: a@x\n", "bin@d.test", "bin@d.test|" },
		{ "default: a@x\n", "bin@other.test", "bin@other.test|" },
		{ "default: a@x\n", "bin@d.test, bin", "bin@d.test|a@x|" },
		{ "default: a@x\n", "bin, bin@d.test", "a@x|bin@d.test|" },
		{ "root: a@x\n", "bin@host.d.test", "bin@host.d.test|" },
	};

	CHECK_ALL(*state, cases);
}

static void
test_default_catches_the_rest(void **state)
{
	static const struct alias_case cases[] = {
		{ "default: d@x\nroot: a@x\n", "root, bin, www",
		    "a@x|d@x|" },
		{ "root: a@x\nDEFAULT: d@x, e@x\n", "bin", "d@x|e@x|" },
		{ "default: d@x\ndefault: e@x\n", "bin", "d@x|" },
		{ "default:\n # c\n  d@x,\n  e@x\nroot: a@x\n", "bin",
		    "d@x|e@x|" },
		/* The targets of other aliases, too. */
		{ "postmaster: root\ndefault: d@x\n", "postmaster", "d@x|" },
		{ "postmaster: root@d.test\ndefault: d@x\n", "postmaster",
		    "root@d.test|" },
		/* Its own targets may have aliases; else they are final. */
		{ "default: root\nroot: a@x\n", "bin", "a@x|" },
		{ "default: root\n", "bin", "root@d.test|" },
		{ "default: root\n", "root", "root@d.test|" },
		{ "default: root, bin\n", "www", "root@d.test|bin@d.test|" },
		{ "default: root\npostmaster: root\n", "postmaster, bin, root",
		    "root@d.test|" },
		{ "default: d@x\n", "default", "d@x|" },
		/* Errors in it are where it stands. */
		{ "a: b\ndefault:\n c@@x\nd: e\n", "bin", "78 aliases:3: bad "
		    "address \"c@@x\": no domain behind the '@'" },
	};

	CHECK_ALL(*state, cases);
}

static void
test_targets_are_looked_up_again(void **state)
{
	static const struct alias_case cases[] = {
		{ "a: b\nb: c\nc: d@x\n", "a", "d@x|" },
		{ "c: d@x\nb: c\na: b\n", "a", "d@x|" },
		{ "a: b, c@x\nb: d@x, e\n", "a", "d@x|e@d.test|c@x|" },
		{ "a: b@host.d.test, c@d.test, b@x\nb: 1@x\nc: 2@x\n", "a",
		    "1@x|2@x|b@x|" },
		/* Twice on the way, once in the outcome. */
		{ "a: b, c\nb: d\nc: d, e@x\nd: f@x\n", "a", "f@x|e@x|" },
		{ "a: x@x\n", "a, A, a@host.d.test, a@d.test, x@X", "x@x|" },
		{ "a: 1@x, 2@x\nb: 3@x, 1@x\n", "z@x, b, 2@x, a",
		    "z@x|3@x|1@x|2@x|" },
	};

	CHECK_ALL(*state, cases);
}

static void
test_a_name_may_lead_to_itself(void **state)
{
	static const struct alias_case cases[] = {
		{ "root: root\n", "root", "root@d.test|" },
		{ "root: root, a@x\n", "root", "root@d.test|a@x|" },
		{ "root: a@x, ROOT\n", "root", "a@x|ROOT@d.test|" },
		{ "root: root@d.test\n", "root", "root@d.test|" },
		{ "root: root@host.d.test\n", "root", "root@host.d.test|" },
		{ "root: root\ndefault: d@x\n", "root", "root@d.test|" },
		{ "a: root\nroot: root, a@x\n", "a", "root@d.test|a@x|" },
		{ "root: \\root, a@x\n", "root", "root@d.test|a@x|" },
		{ "a: \\root\nroot: a@x\ndefault: d@x\n", "a",
		    "root@d.test|" },
		{ "a: \\b\nb: \\a\n", "a, b", "b@d.test|a@d.test|" },
		{ "default: default\n", "root", "default@d.test|" },
	};

	CHECK_ALL(*state, cases);
}

static void
test_loops_are_refused_by_name(void **state)
{
	static const struct alias_case cases[] = {
		{ "a: b\nb: a\n", "a", "78 aliases:2: 'a -> b -> a' is a loop" },
		{ "a: b\nb: a\n", "b", "78 aliases:1: 'b -> a -> b' is a loop" },
		{ "z: a\na: x@x,\n B\nb: y@x\n , c\nc: A@d.test\n", "z",
		    "78 aliases:6: 'a -> B -> c -> a' is a loop" },
		{ "a: b@host.d.test\nb: a@d.test\n", "a",
		    "78 aliases:2: 'a -> b -> a' is a loop" },
		/* What is caught by default ends there. */
		{ "default: root\nroot: joe\n", "root", "root@d.test|" },
		{ "default: root\nroot: joe\n", "bin", "joe@d.test|" },
		{ "default: admin\nadmin: root\n", "bin", "root@d.test|" },
	};

	CHECK_ALL(*state, cases);
}

/* --- limits --- */

/* A chain of n aliases, the last of which leads to end@x. */
static void
chain_write(int n)
{
	struct buf b = { 0 };
	int i;

	for (i = 1; i < n; i++)
		buf_addf(&b, "a%d: a%d\n", i, i + 1);
	buf_addf(&b, "a%d: end@x\n", n);
	write_file("aliases", b.p, b.len);
	buf_free(&b);
}

static void
test_ten_aliases_inside_one_another(void **state)
{
	chain_write(10);
	check(*state, "a1", "end@x|");
	chain_write(11);
	check(*state, "a1",
	    "78 aliases:10: 'a11' is more than 10 aliases deep");
	check(*state, "a2", "end@x|");
	check(*state, "a1@x", "a1@x|");
}

static void
targets_write(const char *path, const char *before, int n, const char *between)
{
	struct buf b = { 0 };
	int i;

	buf_adds(&b, before);
	for (i = 1; i <= n; i++)
		buf_addf(&b, "%st%d@x", i == 1 ? "" : between, i);
	write_file(path, b.p, b.len);
	buf_free(&b);
}

static void
test_a_thousand_targets(void **state)
{
	static const char *const between[] = { ",", ",\n ", "\n ,\r\n\t" };
	struct aliases a = { "aliases", "h.test", "d.test", -1, 0, 0 };
	struct addr_list l = { 0 };
	struct result res;
	size_t i;

	for (i = 0; i < 3; i++) {
		targets_write("aliases", "all:", 1000, between[i]);
		assert_int_equal(address_parse("all", 3, "d.test", &l, &res),
		    0);
		assert_int_equal(aliases_expand(&a, &l, &res), 0);
		assert_int_equal(l.n, 1000);
		assert_int_equal(a.targets, 1000);
		assert_string_equal(l.v[0], "t1@x");
		assert_string_equal(l.v[999], "t1000@x");
		addr_list_free(&l);
		aliases_close(&a);
	}
	targets_write("aliases", "all:", 1001, ",\n ");
	check(*state, "all", "78 aliases:1001: 't1001@x' is one target too "
	    "many: there may be 1000");
	check(*state, "other", "other@d.test|");
}

/* Every level doubles: 2^9 visits if nothing remembered where it has been. */
static void
test_what_branches_is_visited_once(void **state)
{
	struct buf b = { 0 };
	int i;

	for (i = 1; i < 10; i++)
		buf_addf(&b, "a%d: a%d, \"a%d\", a%d@d.test, n%d@x\n", i, i + 1,
		    i + 1, i + 1, i);
	buf_adds(&b, "a10: end@x\n");
	write_file("aliases", b.p, b.len);
	buf_free(&b);
	check(*state, "a1", "end@x|n9@x|n8@x|n7@x|n6@x|n5@x|n4@x|n3@x|n2@x|"
	    "n1@x|");
}

static void
test_long_texts(void **state)
{
	struct place *p = *state;
	struct buf b = { 0 };
	size_t i, k;

	/* A line may be of any length; a name or a target of 1000 bytes. */
	for (i = 992; i <= 993; i++) {
		buf_reset(&b);
		buf_adds(&b, "x: ");
		while (b.len < 20000)
			buf_adds(&b, "no one, ");
		buf_adds(&b, "\nroot: b@x, \"");
		for (k = 0; k < i; k++)
			buf_addc(&b, 'n');
		buf_adds(&b, "\" <a@x>, c@x\n");
		write_file("aliases", b.p, b.len);
		check(p, "root", i == 992 ? "b@x|a@x|c@x|" :
		    "78 aliases:2: '\"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"
		    "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn' goes on for "
		    "more than 1000 bytes");
	}
	buf_free(&b);
}

static void
test_ten_thousand_lines_and_many_recipients(void **state)
{
	struct buf b = { 0 };
	struct aliases a = { "aliases", "h.test", "d.test", -1, 0, 0 };
	struct addr_list l = { 0 };
	struct result res;
	clock_t begun;
	int i;

	(void)state;
	for (i = 0; i < 10000; i++)
		buf_addf(&b, "name%d:\ttarget%d@example.com # no. %d\n", i, i,
		    i);
	write_file("aliases", b.p, b.len);
	buf_reset(&b);
	for (i = 0; i < 100; i++)
		buf_addf(&b, "name%d, x%d@y, ", 9999 - i, i);
	assert_int_equal(address_parse(b.p, b.len, "d.test", &l, &res), 0);
	begun = clock();
	assert_int_equal(aliases_expand(&a, &l, &res), 0);
	assert_true((clock() - begun) / CLOCKS_PER_SEC < 10);
	assert_int_equal(l.n, 200);
	assert_string_equal(l.v[0], "target9999@example.com");
	assert_string_equal(l.v[1], "x0@y");
	assert_string_equal(l.v[198], "target9900@example.com");
	aliases_close(&a);
	addr_list_free(&l);
	buf_free(&b);
}

/* Everything that a look ahead is needed for, at every place in a block. */
static void
test_lines_across_the_edge_of_a_block(void **state)
{
	static const char tail[] = "\r\nwww:\r\n  w@x # c\r\n\r\n , \"v #,\" "
	    "<v@x>\r\nroot: \\www,\r\n#\r\n www\r\n";
	struct buf b = { 0 };
	char *got;
	size_t i;

	for (i = 0; i < 2 * sizeof tail; i++) {
		buf_reset(&b);
		while (b.len < 2048 - i % sizeof tail + (i < sizeof tail ?
		    0 : 2048))
			buf_addc(&b, '#');
		buf_adds(&b, tail);
		write_file("aliases", b.p, b.len);
		got = outcome(*state, "root, bin");
		assert_string_equal(got, "www@d.test|w@x|v@x|bin@d.test|");
		free(got);
	}
	buf_free(&b);
}

/* --- files --- */

static void
test_files_can_be_included(void **state)
{
	static const char list[] = "# the list\n\n  a@x\r\nBob <b@x>, c@x # c\n"
	    "bin,\n  \"D, E\" <d@x>\n\\www\nops";
	static const struct alias_case cases[] = {
		{ "ops: :include:$/list\n", "ops",
		    "a@x|b@x|c@x|bin@d.test|d@x|www@d.test|ops@d.test|" },
		{ "ops: 1@x, :Include: $/list , 2@x\nbin: 3@x, 4@x\n", "ops",
		    "1@x|a@x|b@x|c@x|3@x|4@x|d@x|www@d.test|ops@d.test|2@x|" },
		{ "ops: \":include:$/list\"\nwww: w@x\ndefault: b@x\n", "ops",
		    "a@x|b@x|c@x|d@x|www@d.test|ops@d.test|" },
		{ "default: :include:$/list\nops: o@x\n", "any",
		    "a@x|b@x|c@x|bin@d.test|d@x|www@d.test|o@x|" },
		{ "a: ops\nops: b\nb: :include:$/list\n", "a",
		    "78 $/list:8: 'ops -> b -> ops' is a loop" },
	};

	write_file("list", list, sizeof list - 1);
	CHECK_ALL(*state, cases);
}

/* As for Postfix and sendmail: no line of such a file continues another. */
static void
test_every_line_of_an_included_file_stands_alone(void **state)
{
	static const struct { const char *list, *want; } cases[] = {
		{ "a@x\n b@x\n\tc@x", "a@x|b@x|c@x|" },
		{ "a@x\r\n  b\r\n", "a@x|b@d.test|" },
		{ "a\n b\n", "a@d.test|b@d.test|" },
		{ "a@x,\n\n # c\n  b@x # d\n  , c@x\n", "a@x|b@x|c@x|" },
		{ "a@x, b\n c\nd", "a@x|b@d.test|c@d.test|d@d.test|" },
		{ "  a@x\n", "a@x|" },
		{ "a@x\n  ", "a@x|" },
		{ "Alice\n  <a@x>\n", "Alice@d.test|a@x|" },
		{ "a@x\n  \"B, C\n  D\" <b@x>\n", "78 $/list:2: bad "
		    "address \"\"B, C\": a quote is not closed" },
		{ "a@x\n  (b\n  c) d@x\n", "78 $/list:2: bad "
		    "address \"(b\": a comment is not closed" },
		{ "a@x\n  b@x\n  |cat\n", "78 $/list:3: '|cat' " NO_MAIL },
	};
	size_t i;

	write_text(*state, "aliases", "ops:\n :include:$/list\n");
	for (i = 0; i < sizeof cases / sizeof *cases; i++) {
		write_text(*state, "list", cases[i].list);
		check(*state, "ops", cases[i].want);
	}
	/* Those of the file that includes it still do. */
	write_text(*state, "aliases", "ops: :include:$/list,\n  z@x\n");
	write_text(*state, "list", "a@x\n b@x");
	check(*state, "ops", "a@x|b@x|z@x|");
}

static void
test_included_files_can_include(void **state)
{
	write_text(*state, "more list", "b@x\n#\nc@x");
	write_text(*state, "list", "\xEF\xBB\xBF" "a@x, \":include:$/more list\""
	    "\nd@x\n");
	write_text(*state, "aliases", "ops: :include:$/list\n");
	check(*state, "ops", "a@x|b@x|c@x|d@x|");
	write_text(*state, "more list", "b@x\n:include:$/list");
	check(*state, "ops", "78 $/list:1: 'ops' is more than 10 aliases "
	    "deep");
	write_text(*state, "more list", "b@x\nc@@x");
	check(*state, "ops", "78 $/more list:2: bad address \"c@@x\": no domain "
	    "behind the '@'");
}

static void
test_included_files_that_are_refused(void **state)
{
	static const struct { const char *list, *want; } cases[] = {
		{ "", "78 aliases:1: 'ops' has no target" },
		{ "# none\n\n", "78 aliases:1: 'ops' has no target" },
		{ "a@x\n|cat\n", "78 $/list:2: '|cat' " NO_MAIL },
		{ "a@x\nops: b@x\n", "78 $/list:2: bad address \"b@x\": "
		    "a group that does not end with ';'" },
		{ "a@x\nb\002@x\n",
		    "78 $/list:2: 'b' is followed by a control character" },
	};
	size_t i;

	write_text(*state, "aliases", "ops: :include:$/list\n");
	for (i = 0; i < sizeof cases / sizeof *cases; i++) {
		write_text(*state, "list", cases[i].list);
		check(*state, "ops", cases[i].want);
	}
	targets_write("list", "", 1001, "\n");
	check(*state, "ops", "78 $/list:1001: 't1001@x' is one target too many: "
	    "there may be 1000");
}

static void
test_includes_that_cannot_be_read(void **state)
{
	static const struct alias_case cases[] = {
		{ "ops: a@x,\n :include:$/none\n", "ops", "78 aliases:2: "
		    "$/none cannot be read: No such file or directory" },
		{ "ops: :include:$\n", "ops", "78 aliases:1: $ is not a "
		    "regular file" },
		{ "ops: :include:list\n", "ops", "78 aliases:1: 'list' is not "
		    "an absolute path" },
		{ "ops: :include:\n", "ops", "78 aliases:1: '' is not an "
		    "absolute path" },
		{ "ops: :includes:/x\n", "ops", "78 aliases:1: bad address "
		    "\":includes:/x\": ':' without the name of a group" },
	};
	uid_t me = geteuid();

	CHECK_ALL(*state, cases);
	write_text(*state, "aliases", "ops: :include:$/list\n");
	write_text(*state, "list", "a@x\n");
	assert_int_equal(chmod("list", 0), 0);
	if (me == 0)
		assert_int_equal(seteuid(65534), 0);
	check(*state, "ops", "77 aliases:1: $/list cannot be read: Permission "
	    "denied");
	assert_int_equal(seteuid(me), 0);
}

static void
test_alias_files_that_cannot_be_read(void **state)
{
	uid_t me = geteuid();

	check(*state, "root", "78 aliases aliases cannot be read: No such file "
	    "or directory");
	/* It is not needed for others. */
	check(*state, "a@x, b@x, a@x", "a@x|b@x|");
	assert_int_equal(mkdir("aliases", 0755), 0);
	check(*state, "root", "78 aliases aliases is not a regular file");
	assert_int_equal(rmdir("aliases"), 0);
	write_text(*state, "aliases", "root: a@x\n");
	assert_int_equal(chmod("aliases", 0), 0);
	if (me == 0)
		assert_int_equal(seteuid(65534), 0);
	check(*state, "root", "77 aliases aliases cannot be read: Permission "
	    "denied");
	assert_int_equal(seteuid(me), 0);
}

static void
test_reading_that_fails(void **state)
{
	struct aliases a = { "aliases", "h.test", "d.test", -1, 0, 0 };
	struct addr_list l = { 0 };
	struct result res;

	(void)state;
	/* For want of a bad disk: a descriptor that is not for reading. */
	a.fd = open("aliases", O_WRONLY | O_CREAT, 0600);
	assert_true(a.fd >= 0);
	assert_int_equal(address_parse("root", 4, "d.test", &l, &res), 0);
	assert_int_equal(aliases_expand(&a, &l, &res), -1);
	assert_int_equal(res.exit, EXIT_CONFIGURATION);
	assert_string_equal(res.text, "aliases:1: 'Bad file descriptor' while "
	    "reading");
	assert_int_equal(l.n, 1);
	assert_string_equal(l.v[0], "root@d.test");
	assert_true(l.bare[0]);
	aliases_close(&a);
	addr_list_free(&l);
}

static void
test_a_file_may_be_opened_beforehand(void **state)
{
	struct aliases a = { "aliases", "h.test", "d.test", -1, 0, 0 };
	struct addr_list l = { 0 };
	struct result res;
	int i;

	(void)state;
	write_file("aliases", "root: bin\nbin: b@x\n", 19);
	assert_int_equal(aliases_open(&a, &res), 0);
	assert_int_equal(unlink("aliases"), 0);
	for (i = 0; i < 2; i++) {
		assert_int_equal(address_parse("root", 4, "d.test", &l, &res),
		    0);
		assert_int_equal(aliases_expand(&a, &l, &res), 0);
		assert_int_equal(l.n, 1);
		assert_string_equal(l.v[0], "b@x");
		addr_list_free(&l);
	}
	aliases_close(&a);
	assert_int_equal(a.fd, -1);
	assert_int_equal(aliases_open(&a, &res), -1);
	assert_int_equal(a.fd, -1);
}

static void
test_no_recipients_no_work(void **state)
{
	struct aliases a = { "aliases", "h.test", "d.test", -1, 0, 0 };
	struct addr_list l = { 0 };
	struct result res;

	(void)state;
	assert_int_equal(aliases_expand(&a, &l, &res), 0);
	assert_int_equal(l.n, 0);
	assert_int_equal(a.fd, -1);
	addr_list_free(&l);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, place_make, place_remove)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_bare_names_are_told_from_addresses),
		TEST(test_lines_are_read_as_postfix_reads_them),
		TEST(test_files_from_elsewhere),
		TEST(test_names),
		TEST(test_lines_that_are_refused),
		TEST(test_what_is_not_needed_is_not_judged),
		TEST(test_nul_bytes),
		TEST(test_targets_are_addresses_of_every_form),
		TEST(test_commands_and_files_are_refused),
		TEST(test_local_names_only),
		TEST(test_default_catches_the_rest),
		TEST(test_targets_are_looked_up_again),
		TEST(test_a_name_may_lead_to_itself),
		TEST(test_loops_are_refused_by_name),
		TEST(test_ten_aliases_inside_one_another),
		TEST(test_a_thousand_targets),
		TEST(test_what_branches_is_visited_once),
		TEST(test_long_texts),
		TEST(test_ten_thousand_lines_and_many_recipients),
		TEST(test_lines_across_the_edge_of_a_block),
		TEST(test_files_can_be_included),
		TEST(test_every_line_of_an_included_file_stands_alone),
		TEST(test_included_files_can_include),
		TEST(test_included_files_that_are_refused),
		TEST(test_includes_that_cannot_be_read),
		TEST(test_alias_files_that_cannot_be_read),
		TEST(test_reading_that_fails),
		TEST(test_a_file_may_be_opened_beforehand),
		TEST(test_no_recipients_no_work),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
