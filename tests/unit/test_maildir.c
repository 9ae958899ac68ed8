/* Local delivery: what lies in the Maildir afterwards, and what does not. */
#include "lib/store/maildir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/buf.h"

/* A folder of our own, a route into it, and a message. */
struct world {
	char root[64];
	char path[100];
	struct route route;
	struct message m;
	struct rcpt rcpts[3];
	struct rcpt *list[3];
};

static char from[] = "alice@example.com";
static char bob[] = "bob@example.org", carol[] = "\"ca rol\"@example.org",
    dave[] = "dave@example.org";

static void
put_message(struct world *w, const char *text, size_t n)
{
	char name[120];

	snprintf(name, sizeof name, "%s/spool", w->root);
	if (w->m.spool.fd >= 0)
		close(w->m.spool.fd);
	w->m.spool.fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
	assert_true(w->m.spool.fd >= 0);
	unlink(name);
	/* A queue file has a header of its own in front. */
	assert_int_equal(write(w->m.spool.fd, "QUEUE\n", 6), 6);
	assert_int_equal(write(w->m.spool.fd, text, n), n);
	w->m.spool.start = 6;
	w->m.spool.size = (off_t)n;
}

static int
setup(void **state)
{
	static char *const addrs[] = { bob, carol, dave };
	struct world *w = calloc(1, sizeof *w);
	size_t i;

	assert_non_null(w);
	strcpy(w->root, "/tmp/test_maildir.XXXXXX");
	assert_non_null(mkdtemp(w->root));
	snprintf(w->path, sizeof w->path, "%s/box", w->root);
	w->route.type = ROUTE_MAILDIR;
	w->route.path = w->path;
	w->m.env.from = from;
	w->m.spool.fd = -1;
	for (i = 0; i < 3; i++) {
		w->rcpts[i].addr = addrs[i];
		w->list[i] = &w->rcpts[i];
	}
	put_message(w, "Subject: x\r\n\r\nhello\r\n", 21);
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	struct world *w = *state;
	char command[120];

	close(w->m.spool.fd);
	snprintf(command, sizeof command, "rm -rf '%s'", w->root);
	assert_int_equal(system(command), 0);
	free(w);
	return 0;
}

/* Number of files below the Maildir's folder; the last one's name in out. */
static int
count(const struct world *w, const char *folder, char out[300])
{
	char dir[120];
	struct dirent *e;
	DIR *d;
	int n = 0;

	snprintf(dir, sizeof dir, "%s/%s", w->path, folder);
	d = opendir(dir);
	if (d == NULL)
		return -1;
	while ((e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		n++;
		if (out)
			snprintf(out, 300, "%s", e->d_name);
	}
	closedir(d);
	return n;
}

static void
slurp(const struct world *w, const char *name, struct buf *b)
{
	char path[500], block[4096];
	ssize_t n;
	int fd;

	snprintf(path, sizeof path, "%s/new/%s", w->path, name);
	fd = open(path, O_RDONLY);
	assert_true(fd >= 0);
	buf_reset(b);
	while ((n = read(fd, block, sizeof block)) > 0)
		buf_add(b, block, (size_t)n);
	close(fd);
}

static void
assert_only_message_is(const struct world *w, const char *text)
{
	struct buf b = { 0 };
	char name[300];

	assert_int_equal(count(w, "new", name), 1);
	assert_int_equal(count(w, "tmp", NULL), 0);
	assert_int_equal(count(w, "cur", NULL), 0);
	slurp(w, name, &b);
	assert_string_equal(buf_str(&b), text);
	buf_free(&b);
}

static void
assert_mode(const struct world *w, const char *below, mode_t mode)
{
	char path[500];
	struct stat st;

	snprintf(path, sizeof path, "%s%s", w->path, below);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, mode);
}

static void
assert_deferred(const struct world *w, const struct rcpt *rcpt,
    const char *before, const char *after)
{
	char want[300];

	snprintf(want, sizeof want, "%s%s%s", before, w->path, after);
	assert_int_equal(rcpt->res.outcome, OUT_TEMP);
	assert_int_equal(rcpt->res.cause, CAUSE_LOCAL);
	assert_true(rcpt->res.certainly_not_taken);
	assert_string_equal(rcpt->res.text, want);
}

static void
test_message_arrives_with_lf_and_trace_fields(void **state)
{
	struct world *w = *state;
	char want[200];

	maildir_deliver(&w->route, &w->m, w->list, 1);
	assert_only_message_is(w, "Return-Path: <alice@example.com>\n"
	    "Delivered-To: bob@example.org\nSubject: x\n\nhello\n");
	assert_int_equal(w->rcpts[0].res.outcome, OUT_DONE);
	assert_false(w->rcpts[0].res.certainly_not_taken);
	snprintf(want, sizeof want, "delivered to %s", w->path);
	assert_string_equal(w->rcpts[0].res.text, want);
}

static void
test_folders_are_made_for_the_owner_alone(void **state)
{
	struct world *w = *state;
	mode_t old = umask(0);
	char name[300], below[320];

	maildir_deliver(&w->route, &w->m, w->list, 1);
	umask(old);
	assert_mode(w, "", 0700);
	assert_mode(w, "/tmp", 0700);
	assert_mode(w, "/new", 0700);
	assert_mode(w, "/cur", 0700);
	assert_int_equal(count(w, "new", name), 1);
	snprintf(below, sizeof below, "/new/%s", name);
	assert_mode(w, below, 0600);
}

static void
test_existing_maildir_is_used_as_it_is(void **state)
{
	struct world *w = *state;

	assert_int_equal(mkdir(w->path, 0750), 0);
	assert_int_equal(chmod(w->path, 0750), 0);
	maildir_deliver(&w->route, &w->m, w->list, 1);
	maildir_deliver(&w->route, &w->m, w->list, 1);
	assert_int_equal(w->rcpts[0].res.outcome, OUT_DONE);
	assert_mode(w, "", 0750);
	assert_int_equal(count(w, "new", NULL), 2);
	assert_int_equal(count(w, "tmp", NULL), 0);
}

static void
test_null_sender_and_quoted_recipient(void **state)
{
	struct world *w = *state;
	char null[] = "";

	w->m.env.from = null;
	maildir_deliver(&w->route, &w->m, w->list + 1, 1);
	assert_only_message_is(w, "Return-Path: <>\n"
	    "Delivered-To: \"ca rol\"@example.org\nSubject: x\n\nhello\n");
	assert_int_equal(w->rcpts[0].res.outcome, OUT_TEMP);
	assert_string_equal(w->rcpts[0].res.text, "");
}

static void
test_each_recipient_gets_a_file(void **state)
{
	struct world *w = *state;
	struct buf b = { 0 }, want = { 0 };
	char dir[120], seen[4] = "";
	struct dirent *e;
	DIR *d;
	size_t i;

	maildir_deliver(&w->route, &w->m, w->list, 3);
	assert_int_equal(count(w, "new", NULL), 3);
	assert_int_equal(count(w, "tmp", NULL), 0);
	snprintf(dir, sizeof dir, "%s/new", w->path);
	d = opendir(dir);
	assert_non_null(d);
	while ((e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		slurp(w, e->d_name, &b);
		for (i = 0; i < 3; i++) {
			buf_reset(&want);
			buf_addf(&want, "Return-Path: <%s>\nDelivered-To: %s\n"
			    "Subject: x\n\nhello\n", from, w->rcpts[i].addr);
			if (strcmp(buf_str(&b), buf_str(&want)) == 0)
				seen[i] = 'y';
		}
	}
	closedir(d);
	assert_memory_equal(seen, "yyy", 3);
	for (i = 0; i < 3; i++)
		assert_int_equal(w->rcpts[i].res.outcome, OUT_DONE);
	buf_free(&b);
	buf_free(&want);
}

/* time.MusecPpidQcount.host, as readers of a Maildir expect it. */
static void
test_file_name_follows_the_convention(void **state)
{
	struct world *w = *state;
	char name[300], host[256], want[400];
	long long sec;
	char *p;

	maildir_deliver(&w->route, &w->m, w->list, 1);
	assert_int_equal(count(w, "new", name), 1);
	sec = strtoll(name, &p, 10);
	assert_true(sec > 1600000000);
	assert_memory_equal(p, ".M", 2);
	assert_int_equal(strspn(p + 2, "0123456789"), 6);
	p += 8;
	assert_int_equal(gethostname(host, sizeof host), 0);
	snprintf(want, sizeof want, "P%ldQ0.%s", (long)getpid(), host);
	assert_string_equal(p, want);
}

/* CRLF pairs that straddle every block edge that there may be. */
static void
test_long_message_arrives_byte_for_byte(void **state)
{
	struct world *w = *state;
	struct buf in = { 0 }, want = { 0 }, got = { 0 };
	char name[300];
	int i, k;

	buf_addf(&want, "Return-Path: <%s>\nDelivered-To: %s\n", from, bob);
	for (i = 0; i < 3000; i++) {
		for (k = 0; k < i % 41; k++) {
			buf_addc(&in, (char)(' ' + k));
			buf_addc(&want, (char)(' ' + k));
		}
		buf_adds(&in, "\r\n");
		buf_adds(&want, "\n");
	}
	put_message(w, in.p, in.len);
	maildir_deliver(&w->route, &w->m, w->list, 1);
	assert_int_equal(count(w, "new", name), 1);
	slurp(w, name, &got);
	assert_int_equal(got.len, want.len);
	assert_memory_equal(got.p, want.p, want.len);
	buf_free(&in);
	buf_free(&want);
	buf_free(&got);
}

static void
test_empty_message_is_delivered(void **state)
{
	struct world *w = *state;

	put_message(w, "", 0);
	maildir_deliver(&w->route, &w->m, w->list, 1);
	assert_only_message_is(w, "Return-Path: <alice@example.com>\n"
	    "Delivered-To: bob@example.org\n");
}

static void
test_missing_parent_defers(void **state)
{
	struct world *w = *state;

	strcat(w->path, "/deep");
	maildir_deliver(&w->route, &w->m, w->list, 2);
	assert_deferred(w, w->list[0], "cannot create ",
	    ": No such file or directory");
	assert_deferred(w, w->list[1], "cannot create ",
	    ": No such file or directory");
}

static void
test_path_that_is_a_file_defers(void **state)
{
	struct world *w = *state;
	int fd = open(w->path, O_WRONLY | O_CREAT, 0600);

	assert_true(fd >= 0);
	close(fd);
	maildir_deliver(&w->route, &w->m, w->list, 1);
	assert_deferred(w, w->list[0], "cannot open ", ": Not a directory");
}

static void
test_folder_that_is_a_file_defers(void **state)
{
	struct world *w = *state;
	char path[120];
	int fd;

	assert_int_equal(mkdir(w->path, 0700), 0);
	snprintf(path, sizeof path, "%s/new", w->path);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	assert_true(fd >= 0);
	close(fd);
	maildir_deliver(&w->route, &w->m, w->list, 1);
	assert_deferred(w, w->list[0], "cannot open ",
	    "/new: Not a directory");
	assert_int_equal(count(w, "tmp", NULL), 0);
}

/* A full disk, played by a limit on the size of files. */
static void
test_full_disk_defers_and_leaves_nothing(void **state)
{
	struct world *w = *state;
	struct rlimit old, small;
	char text[3000];

	memset(text, 'x', sizeof text);
	memcpy(text + sizeof text - 2, "\r\n", 2);
	put_message(w, text, sizeof text);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = (struct rlimit){ .rlim_cur = 1000, .rlim_max = old.rlim_max };
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	maildir_deliver(&w->route, &w->m, w->list, 2);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_deferred(w, w->list[0], "cannot write ", "/tmp: File too large");
	assert_deferred(w, w->list[1], "cannot write ", "/tmp: File too large");
	assert_int_equal(count(w, "tmp", NULL), 0);
	assert_int_equal(count(w, "new", NULL), 0);
}

static void
test_short_spool_defers_and_leaves_nothing(void **state)
{
	struct world *w = *state;
	char why[80];

	snprintf(why, sizeof why, ": %s", strerror(EIO));
	w->m.spool.size += 10;
	maildir_deliver(&w->route, &w->m, w->list, 1);
	assert_deferred(w, w->list[0], "cannot read the message for ", why);
	assert_int_equal(count(w, "tmp", NULL), 0);
	assert_int_equal(count(w, "new", NULL), 0);
}

static void
test_tmp_that_cannot_be_written_defers(void **state)
{
	struct world *w = *state;
	char path[120];

	assert_int_equal(mkdir(w->path, 0700), 0);
	snprintf(path, sizeof path, "%s/tmp", w->path);
	/* A link that leads nowhere: mkdir is content, open is not. */
	assert_int_equal(symlink("nowhere", path), 0);
	maildir_deliver(&w->route, &w->m, w->list, 1);
	assert_deferred(w, w->list[0], "cannot write ",
	    "/tmp: No such file or directory");
	assert_int_equal(count(w, "new", NULL), 0);
}

/* Nothing stays open behind a delivery, good or bad. */
static void
test_descriptors_are_given_back(void **state)
{
	struct world *w = *state;
	int before = dup(0), after;

	assert_true(before >= 0);
	close(before);
	maildir_deliver(&w->route, &w->m, w->list, 3);
	w->m.spool.size += 10;
	maildir_deliver(&w->route, &w->m, w->list, 3);
	strcat(w->path, "/no/such");
	maildir_deliver(&w->route, &w->m, w->list, 3);
	after = dup(0);
	close(after);
	assert_int_equal(after, before);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_message_arrives_with_lf_and_trace_fields),
		TEST(test_folders_are_made_for_the_owner_alone),
		TEST(test_existing_maildir_is_used_as_it_is),
		TEST(test_null_sender_and_quoted_recipient),
		TEST(test_each_recipient_gets_a_file),
		TEST(test_file_name_follows_the_convention),
		TEST(test_long_message_arrives_byte_for_byte),
		TEST(test_empty_message_is_delivered),
		TEST(test_missing_parent_defers),
		TEST(test_path_that_is_a_file_defers),
		TEST(test_folder_that_is_a_file_defers),
		TEST(test_full_disk_defers_and_leaves_nothing),
		TEST(test_short_spool_defers_and_leaves_nothing),
		TEST(test_tmp_that_cannot_be_written_defers),
		TEST(test_descriptors_are_given_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
