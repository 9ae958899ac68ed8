/* The queue's folder: what is on the disk after each step, and under which lock. */
#define _GNU_SOURCE	/* O_PATH */
#include "lib/store/queue.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/queuedir.h"

/* A folder, and a message that is on its way into it or out of it. */
struct world {
	struct queuedir d;
	struct message m;
	struct ticket t;
	struct result res;
	char id[24];
	char states[40];
};

static int
setup(void **state)
{
	struct world *w = calloc(1, sizeof *w);

	assert_non_null(w);
	w->m.spool.fd = -1;
	queuedir_open(&w->d);
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	struct world *w = *state;

	message_free(&w->m);
	queuedir_close(&w->d);
	free(w);
	return 0;
}

/* How many files there are in tmp/, queue/ and failed/. */
static void
assert_files(const struct world *w, int tmp, int ready, int failed)
{
	assert_int_equal(queuedir_count(&w->d, "tmp", NULL), tmp);
	assert_int_equal(queuedir_count(&w->d, "queue", NULL), ready);
	assert_int_equal(queuedir_count(&w->d, "failed", NULL), failed);
}

static void
ok(const struct world *w, int rc)
{
	if (rc != 0)
		fail_msg("%s", w->res.text);
}

/* Written to tmp/, but not committed. */
static void
create(struct world *w, const char *rcpts)
{
	queuedir_message(&w->m, &(struct queued){ .rcpts = rcpts });
	ok(w, queue_create(&w->d.q, &w->t, &w->m, &w->res));
	strcpy(w->id, w->m.id);
	ok(w, spool_add(&w->m.spool, QUEUEDIR_BODY, sizeof QUEUEDIR_BODY - 1,
	    &w->res));
	ok(w, spool_finish(&w->m.spool, &w->res));
}

static void
commit(struct world *w, const char *rcpts)
{
	create(w, rcpts);
	ok(w, queue_commit(&w->t, &w->res));
}

/* In queue/, and taken from there. */
static void
take(struct world *w, const char *rcpts)
{
	queuedir_add(&w->d, &(struct queued){ .rcpts = rcpts }, w->id);
	assert_int_equal(queue_take(&w->d.q, w->id, &w->t, &w->m, &w->res), 1);
}

static const char *
states(struct world *w)
{
	return queuedir_states(&w->d, QUEUE_READY, w->id, w->states);
}

static const char *
path_of(const struct world *w, const char *folder, char path[400])
{
	char file[40];

	snprintf(file, sizeof file, "%s/%s", folder, w->id);
	return queuedir_path(&w->d, file, path);
}

static bool
is_locked(const char *path)
{
	int fd = open(path, O_RDONLY), rc;

	assert_true(fd >= 0);
	rc = flock(fd, LOCK_EX | LOCK_NB);
	assert_true(rc == 0 || errno == EWOULDBLOCK);
	close(fd);
	return rc < 0;
}

/* --- the folder --- */

static void
test_folders_are_made_for_the_owner(void **state)
{
	struct world *w = *state;
	static const char *const folders[] = { "tmp", "queue", "failed" };
	char path[400];
	struct stat st;
	size_t i;

	for (i = 0; i < 3; i++) {
		assert_int_equal(stat(queuedir_path(&w->d, folders[i], path),
		    &st), 0);
		assert_true(S_ISDIR(st.st_mode));
		assert_int_equal(st.st_mode & 07777, 0700);
	}
}

static void
test_missing_folder_cannot_be_used(void **state)
{
	struct world *w = *state;
	struct queue q;
	char path[400], want[600];

	queuedir_path(&w->d, "none", path);
	assert_int_equal(queue_open(&q, path, geteuid(), getegid(), &w->res), -1);
	assert_int_equal(w->res.exit, EXIT_CANTCREATE);
	snprintf(want, sizeof want, "queue %s cannot be used: No such file or "
	    "directory; make the folder, or mend `queue` in the configuration",
	    path);
	assert_string_equal(w->res.text, want);
	queue_close(&q);
}

static void
test_folder_that_is_a_file_cannot_be_used(void **state)
{
	struct world *w = *state;
	struct queue q;
	char path[400], want[600];

	assert_int_equal(rmdir(queuedir_path(&w->d, "queue", path)), 0);
	queuedir_write(&w->d, "queue", "x", 1);
	assert_int_equal(queue_open(&q, w->d.path, geteuid(), getegid(),
	    &w->res), -1);
	assert_int_equal(w->res.exit, EXIT_CANTCREATE);
	snprintf(want, sizeof want, "queue %s/queue cannot be used: Not a "
	    "directory", w->d.path);
	assert_string_equal(w->res.text, want);
	queue_close(&q);
	queue_close(&q);
}

static void
test_descriptors_are_given_back(void **state)
{
	struct world *w = *state;
	int before = dup(0), after;
	struct queue q;
	char id[24];
	struct queuefile f;

	assert_true(before >= 0);
	close(before);
	ok(w, queue_open(&q, w->d.path, geteuid(), getegid(), &w->res));
	queue_close(&q);
	queuedir_add(&w->d, &(struct queued){ 0 }, id);
	assert_int_equal(queue_take(&w->d.q, id, &w->t, &w->m, &w->res), 1);
	message_free(&w->m);
	assert_int_equal(queue_peek(&w->d.q, id, &f), 0);
	queue_sweep(&w->d.q);
	ok(w, queue_requeue(&w->d.q, id, &w->res));
	ok(w, queue_delete(&w->d.q, id, &w->res));
	assert_int_equal(queue_take(&w->d.q, id, &w->t, &w->m, &w->res), 0);
	queuedir_write(&w->d, "queue/" "1kiva80abcd012345678", "x", 1);
	assert_int_equal(queue_take(&w->d.q, "1kiva80abcd012345678", &w->t,
	    &w->m, &w->res), -1);
	after = dup(0);
	close(after);
	assert_int_equal(after, before);
}

/* --- into the queue --- */

static void
test_created_file_is_locked_in_tmp(void **state)
{
	struct world *w = *state;
	char path[400];
	struct stat st;

	create(w, NULL);
	assert_files(w, 1, 0, 0);
	assert_true(is_locked(path_of(w, "tmp", path)));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(w->t.in, QUEUE_TMP);
	assert_non_null(w->m.settled);
	assert_ptr_equal(w->m.settled_ctx, &w->t);
}

static void
test_committed_file_is_whole_and_locked(void **state)
{
	struct world *w = *state;
	char path[400], file[40];
	struct buf b = { 0 };
	struct stat st;

	commit(w, "-bob@example.net -carol@example.net");
	assert_files(w, 0, 1, 0);
	assert_int_equal(w->t.in, QUEUE_READY);
	assert_true(is_locked(path_of(w, "queue", path)));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	snprintf(file, sizeof file, "queue/%s", w->id);
	queuedir_slurp(&w->d, file, &b);
	assert_string_equal(b.p + b.len - strlen(QUEUEDIR_BODY) - 1,
	    "\n" QUEUEDIR_BODY);
	assert_non_null(strstr(b.p, "\nsize 00000000000000000021\n"));
	assert_non_null(strstr(b.p, "\ntries 0000000000\n"));
	assert_int_equal(b.len, st.st_size);
	buf_free(&b);
	assert_string_equal(states(w), "--");
	message_free(&w->m);
	assert_false(is_locked(path));
}

static void
test_name_that_is_there_is_not_overwritten(void **state)
{
	struct world *w = *state;
	struct ticket t;
	struct message m;

	create(w, NULL);
	queuedir_message(&m, &(struct queued){ .id = w->id });
	assert_int_equal(queue_create(&w->d.q, &t, &m, &w->res), -1);
	assert_int_equal(w->res.exit, EXIT_CANTCREATE);
	assert_non_null(strstr(w->res.text, "/tmp cannot be used: File exists"));
	message_free(&m);
	assert_files(w, 1, 0, 0);
	ok(w, queue_commit(&w->t, &w->res));
	assert_string_equal(states(w), "-");
}

static void
test_missing_tmp_is_cannot_create(void **state)
{
	struct world *w = *state;
	char path[400];

	assert_int_equal(rmdir(queuedir_path(&w->d, "tmp", path)), 0);
	queuedir_message(&w->m, &(struct queued){ 0 });
	assert_int_equal(queue_create(&w->d.q, &w->t, &w->m, &w->res), -1);
	assert_int_equal(w->res.exit, EXIT_CANTCREATE);
	assert_null(w->m.settled);
	assert_true(w->m.spool.fd < 0);
}

/* A full disk, played by a limit on the size of files. */
static rlim_t
limit_files(rlim_t bytes)
{
	struct rlimit old, small;

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = (struct rlimit){ .rlim_cur = bytes, .rlim_max = old.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	return old.rlim_cur;
}

static void
test_full_disk_at_the_header_leaves_nothing(void **state)
{
	static const rlim_t room[] = { 0, 1, 100, 380 };
	struct world *w = *state;
	rlim_t old;
	size_t i;
	int rc;

	for (i = 0; i < sizeof room / sizeof *room; i++) {
		queuedir_message(&w->m, &(struct queued){ 0 });
		old = limit_files(room[i]);
		rc = queue_create(&w->d.q, &w->t, &w->m, &w->res);
		limit_files(old);
		assert_int_equal(rc, -1);
		assert_int_equal(w->res.exit, EXIT_IO);
		assert_non_null(strstr(w->res.text, "cannot write to the queue"));
		assert_null(w->m.settled);
		assert_files(w, 0, 0, 0);
		message_free(&w->m);
	}
}

static void
test_full_disk_at_the_message_can_be_taken_back(void **state)
{
	struct world *w = *state;
	rlim_t old;
	int rc;

	queuedir_message(&w->m, &(struct queued){ 0 });
	ok(w, queue_create(&w->d.q, &w->t, &w->m, &w->res));
	ok(w, spool_add(&w->m.spool, QUEUEDIR_BODY, 21, &w->res));
	old = limit_files(400);
	rc = spool_finish(&w->m.spool, &w->res);
	limit_files(old);
	assert_int_equal(rc, -1);
	assert_int_equal(w->res.exit, EXIT_IO);
	assert_string_equal(w->res.text, "cannot store the message in the queue: "
	    "File too large");
	assert_files(w, 1, 0, 0);
	assert_int_equal(queue_remove(&w->t), 0);
	assert_files(w, 0, 0, 0);
}

static void
assert_commit_fails(struct world *w)
{
	char text[40];

	assert_int_equal(queue_commit(&w->t, &w->res), -1);
	assert_int_equal(w->res.exit, EXIT_IO);
	assert_non_null(strstr(w->res.text, "cannot write to the queue"));
	assert_null(w->m.settled);
	assert_int_equal(spool_read(&w->m.spool, text, sizeof text, 0), 21);
	assert_memory_equal(text, QUEUEDIR_BODY, 21);
}

static void
test_commit_without_a_folder_leaves_nothing(void **state)
{
	struct world *w = *state;
	char path[400];

	create(w, NULL);
	assert_int_equal(rmdir(queuedir_path(&w->d, "queue", path)), 0);
	assert_commit_fails(w);
	assert_files(w, 0, -1, 0);
}

static void
test_commit_on_a_full_disk_leaves_nothing(void **state)
{
	struct world *w = *state;
	rlim_t old;

	create(w, NULL);
	old = limit_files(50);
	assert_commit_fails(w);
	limit_files(old);
	assert_files(w, 0, 0, 0);
}

/* What is renamed but perhaps not on the disk is not kept behind our back. */
static void
test_commit_that_cannot_sync_leaves_nothing(void **state)
{
	struct world *w = *state;
	int kept;

	create(w, NULL);
	/* A descriptor that renames but does not sync. */
	kept = w->d.q.folder[QUEUE_READY];
	w->d.q.folder[QUEUE_READY] = openat(w->d.q.dir, "queue",
	    O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_true(w->d.q.folder[QUEUE_READY] >= 0);
	assert_commit_fails(w);
	close(w->d.q.folder[QUEUE_READY]);
	w->d.q.folder[QUEUE_READY] = kept;
	assert_files(w, 0, 0, 0);
}

static void
test_abandoned_message_leaves_nothing(void **state)
{
	struct world *w = *state;

	create(w, NULL);
	assert_int_equal(queue_remove(&w->t), 0);
	assert_files(w, 0, 0, 0);
}

/* --- out of the queue --- */

static void
test_taken_message_is_what_was_put(void **state)
{
	struct world *w = *state;
	char text[40];

	take(w, "-bob@example.net +carol@example.net");
	assert_string_equal(w->m.id, w->id);
	assert_string_equal(w->m.env.from, "alice@example.com");
	assert_int_equal(w->m.env.nrcpts, 2);
	assert_string_equal(w->m.env.rcpts[1].addr, "carol@example.net");
	assert_int_equal(w->m.env.rcpts[1].state, RCPT_TAKEN);
	assert_int_equal(w->m.born, w->t.f.born);
	assert_int_equal(w->t.f.uid, getuid());
	assert_int_equal(w->t.in, QUEUE_READY);
	assert_ptr_equal(w->t.m, &w->m);
	assert_int_equal(spool_read(&w->m.spool, text, sizeof text, 0), 21);
	assert_files(w, 0, 1, 0);
}

static void
test_second_take_is_refused_until_the_first_is_over(void **state)
{
	struct world *w = *state;
	struct ticket t;
	struct message m;

	take(w, NULL);
	assert_int_equal(queue_take(&w->d.q, w->id, &t, &m, &w->res), 0);
	message_free(&w->m);
	assert_int_equal(queue_take(&w->d.q, w->id, &t, &m, &w->res), 1);
	message_free(&m);
}

static void
test_submission_in_hand_cannot_be_taken(void **state)
{
	struct world *w = *state;
	struct ticket t;
	struct message m;

	create(w, NULL);
	assert_int_equal(queue_take(&w->d.q, w->id, &t, &m, &w->res), 0);
	ok(w, queue_commit(&w->t, &w->res));
	assert_int_equal(queue_take(&w->d.q, w->id, &t, &m, &w->res), 0);
}

static void
test_look_needs_no_lock(void **state)
{
	struct world *w = *state;
	struct ticket t;
	struct message m;

	take(w, NULL);
	assert_int_equal(queue_look(&w->d.q, QUEUE_READY, w->id, &t, &m,
	    &w->res), 1);
	message_free(&m);
	assert_int_equal(queue_look(&w->d.q, QUEUE_FAILED, w->id, &t, &m,
	    &w->res), 0);
}

static void
test_message_that_is_gone_is_not_taken(void **state)
{
	struct world *w = *state;

	assert_int_equal(queue_take(&w->d.q, "1kiva80abcd012345678", &w->t,
	    &w->m, &w->res), 0);
	w->m.spool.fd = -1;
}

/*
 * Between our open and our lock another process may be done with the message, and
 * a file of that name come back: at the next lock, `swap_other` takes the place
 * of `swap_name`, or nothing does.
 */
static char swap_name[400], swap_other[400];

int
flock(int fd, int operation)
{
	int rc = 0;

	if (*swap_name)
		rc = *swap_other ? rename(swap_other, swap_name) :
		    unlink(swap_name);
	*swap_name = '\0';
	assert_int_equal(rc, 0);
	return (int)syscall(SYS_flock, fd, operation);
}

static void
test_file_replaced_before_the_lock_is_not_taken(void **state)
{
	struct world *w = *state;
	struct queuefile f;
	char other[24];

	queuedir_add(&w->d, &(struct queued){ 0 }, other);
	strcpy(w->id, other);
	path_of(w, "queue", swap_other);
	queuedir_add(&w->d, &(struct queued){ .tries = 3 }, w->id);
	path_of(w, "queue", swap_name);
	assert_int_equal(queue_take(&w->d.q, w->id, &w->t, &w->m, &w->res), 0);
	w->m.spool.fd = -1;
	f = queuedir_fields(&w->d, w->id);
	assert_int_equal(f.tries, 0);
	assert_int_equal(queue_take(&w->d.q, w->id, &w->t, &w->m, &w->res), 1);
}

static void
test_file_removed_before_the_lock_is_not_taken(void **state)
{
	struct world *w = *state;

	queuedir_add(&w->d, &(struct queued){ 0 }, w->id);
	*swap_other = '\0';
	path_of(w, "queue", swap_name);
	assert_int_equal(queue_take(&w->d.q, w->id, &w->t, &w->m, &w->res), 0);
	w->m.spool.fd = -1;
	assert_files(w, 0, 0, 0);
	queuedir_add(&w->d, &(struct queued){ 0 }, w->id);
	path_of(w, "queue", swap_name);
	assert_int_equal(queue_delete(&w->d.q, w->id, &w->res), -1);
	assert_int_equal(w->res.exit, EXIT_TEMP);
}

static void
test_what_is_no_regular_file_is_refused(void **state)
{
	static const struct { const char *id; int why; } t[] = {
		{ "1kiva80abcd01234567d", EISDIR },
		{ "1kiva80abcd01234567f", EINVAL },
		{ "1kiva80abcd01234567k", ELOOP },
		{ "1kiva80abcd01234567l", ELOOP },
	};
	struct world *w = *state;
	struct queuefile f;
	char path[400], target[400], want[200], id[24];
	size_t i;

	queuedir_add(&w->d, &(struct queued){ 0 }, id);
	strcpy(w->id, t[0].id);
	assert_int_equal(mkdir(path_of(w, "queue", path), 0700), 0);
	strcpy(w->id, t[1].id);
	assert_int_equal(mkfifo(path_of(w, "queue", path), 0600), 0);
	strcpy(w->id, t[2].id);
	assert_int_equal(symlink(id, path_of(w, "queue", path)), 0);
	strcpy(w->id, t[3].id);
	assert_int_equal(symlink(queuedir_path(&w->d, "none", target),
	    path_of(w, "queue", path)), 0);
	for (i = 0; i < 4; i++) {
		assert_int_equal(queue_take(&w->d.q, t[i].id, &w->t, &w->m,
		    &w->res), -1);
		w->m.spool.fd = -1;
		assert_int_equal(w->res.exit, EXIT_IO);
		snprintf(want, sizeof want, "the queue file cannot be opened: %s",
		    strerror(t[i].why));
		assert_string_equal(w->res.text, want);
		assert_int_equal(queue_peek(&w->d.q, t[i].id, &f), -1);
		assert_int_equal(queue_delete(&w->d.q, t[i].id, &w->res), -1);
		assert_int_equal(w->res.exit, EXIT_IO);
		assert_int_equal(queue_requeue(&w->d.q, t[i].id, &w->res), -1);
		assert_int_equal(w->res.exit, EXIT_IO);
	}
	assert_files(w, 0, 5, 0);
}

static void
test_damaged_file_is_refused_and_stays(void **state)
{
	struct world *w = *state;
	struct queuefile f;

	strcpy(w->id, "1kiva80abcd012345678");
	queuedir_write(&w->d, "queue/1kiva80abcd012345678", "x\n\n", 3);
	assert_int_equal(queue_take(&w->d.q, w->id, &w->t, &w->m, &w->res), -1);
	assert_string_equal(w->res.text, "the queue file cannot be used: it is "
	    "damaged");
	assert_int_equal(queue_peek(&w->d.q, w->id, &f), -1);
	assert_int_equal(queue_requeue(&w->d.q, w->id, &w->res), -1);
	assert_files(w, 0, 1, 0);
	/* An administrator may remove it. */
	ok(w, queue_delete(&w->d.q, w->id, &w->res));
	assert_files(w, 0, 0, 0);
}

/* --- results --- */

static void
result_is(struct world *w, size_t i, enum outcome outcome, enum cause cause,
    bool certainly_not_taken)
{
	struct rcpt *r = &w->m.env.rcpts[i];

	result_set(&r->res, outcome, cause, "said of %zu", i);
	r->res.certainly_not_taken = certainly_not_taken;
	r->res.code = 551;
	message_settled(&w->m, &r, 1);
}

/* What a transport reports, and what it is kept as. */
static void
test_settled_result_becomes_a_state(void **state)
{
	static const struct {
		enum outcome outcome;
		enum cause cause;
		bool certainly_not_taken;
		char want;
	} t[] = {
		{ OUT_DONE, CAUSE_ROUTE, false, '+' },
		{ OUT_PERM, CAUSE_RCPT, true, '!' },
		{ OUT_PERM, CAUSE_CONTENT, true, '!' },
		/* Another route may still take it. */
		{ OUT_PERM, CAUSE_ROUTE, true, '-' },
		{ OUT_PERM, CAUSE_ROUTE, false, '!' },
		/* Not the mail's fault. */
		{ OUT_PERM, CAUSE_OPERATOR, true, '-' },
		{ OUT_PERM, CAUSE_OPERATOR, false, '-' },
		{ OUT_PERM, CAUSE_LOCAL, true, '-' },
		{ OUT_TEMP, CAUSE_ROUTE, true, '-' },
		{ OUT_TEMP, CAUSE_ROUTE, false, '-' },
		{ OUT_TEMP, CAUSE_RCPT, true, '-' },
		{ OUT_TEMP, CAUSE_CONTENT, true, '-' },
		{ OUT_TEMP, CAUSE_OPERATOR, true, '-' },
		{ OUT_TEMP, CAUSE_LOCAL, true, '-' },
	};
	struct world *w = *state;
	char want[3] = "--";
	size_t i;

	for (i = 0; i < sizeof t / sizeof *t; i++) {
		take(w, "-bob@example.net -carol@example.net");
		result_is(w, 1, t[i].outcome, t[i].cause,
		    t[i].certainly_not_taken);
		want[1] = t[i].want;
		if (strcmp(states(w), want) != 0)
			fail_msg("row %zu: %s", i, w->states);
		message_free(&w->m);
		ok(w, queue_delete(&w->d.q, w->id, &w->res));
	}
}

static void
test_refusal_is_kept_with_its_text(void **state)
{
	struct world *w = *state;
	struct ticket t;
	struct message m;

	take(w, "-bob@example.net -carol@example.net");
	result_is(w, 1, OUT_PERM, CAUSE_RCPT, true);
	assert_int_equal(queue_look(&w->d.q, QUEUE_READY, w->id, &t, &m,
	    &w->res), 1);
	assert_string_equal(m.env.rcpts[1].res.text, "said of 1");
	assert_int_equal(m.env.rcpts[1].res.code, 551);
	assert_int_equal(m.env.rcpts[1].res.outcome, OUT_PERM);
	assert_string_equal(m.env.rcpts[0].res.text, "");
	message_free(&m);
}

/* A try from the submission itself is no different. */
static void
test_settled_results_of_a_submission_are_kept(void **state)
{
	struct world *w = *state;

	commit(w, "-bob@example.net -carol@example.net");
	result_is(w, 0, OUT_DONE, CAUSE_ROUTE, false);
	assert_string_equal(states(w), "+-");
	result_is(w, 1, OUT_DONE, CAUSE_ROUTE, false);
	assert_files(w, 0, 0, 0);
}

static void
test_result_before_the_commit_is_not_written(void **state)
{
	struct world *w = *state;

	create(w, "-bob@example.net -carol@example.net");
	result_is(w, 0, OUT_DONE, CAUSE_ROUTE, false);
	assert_files(w, 1, 0, 0);
	ok(w, queue_commit(&w->t, &w->res));
	assert_string_equal(states(w), "--");
}

static void
test_all_taken_removes_the_file(void **state)
{
	struct world *w = *state;

	take(w, "-bob@example.net +carol@example.net -dave@example.net");
	result_is(w, 0, OUT_DONE, CAUSE_ROUTE, false);
	assert_string_equal(states(w), "++-");
	result_is(w, 2, OUT_DONE, CAUSE_ROUTE, false);
	assert_files(w, 0, 0, 0);
	assert_int_equal(w->t.in, QUEUE_FOLDERS);
	/* Nothing more to write to, and no harm in it. */
	result_is(w, 2, OUT_DONE, CAUSE_ROUTE, false);
}

static void
test_refused_or_told_of_does_not_remove(void **state)
{
	struct world *w = *state;

	take(w, "!bob@example.net -carol@example.net xdave@example.net");
	result_is(w, 1, OUT_DONE, CAUSE_ROUTE, false);
	assert_string_equal(states(w), "!+x");
	assert_files(w, 0, 1, 0);
}

/* Without the folder's descriptor, as on a file system that has gone read-only. */
static void
test_unlink_that_fails_leaves_marks(void **state)
{
	struct world *w = *state;
	int kept = w->d.q.folder[QUEUE_READY];

	take(w, "-bob@example.net -carol@example.net");
	w->d.q.folder[QUEUE_READY] = -1;
	result_is(w, 0, OUT_DONE, CAUSE_ROUTE, false);
	result_is(w, 1, OUT_DONE, CAUSE_ROUTE, false);
	w->d.q.folder[QUEUE_READY] = kept;
	assert_files(w, 0, 1, 0);
	assert_int_equal(w->t.in, QUEUE_READY);
	assert_string_equal(states(w), "++");
}

static void
test_mark_writes_every_state_that_was_reached(void **state)
{
	struct world *w = *state;
	struct rcpt *list[3];
	size_t i;

	take(w, "-bob@example.net -carol@example.net -dave@example.net");
	for (i = 0; i < 3; i++)
		list[i] = &w->m.env.rcpts[i];
	list[1]->state = RCPT_REFUSED;
	list[2]->state = RCPT_CLOSED;
	queue_mark(&w->t, list, 3);
	assert_string_equal(states(w), "-!x");
}

static void
test_defer_writes_schedule_and_last_results(void **state)
{
	struct world *w = *state;
	struct ticket t;
	struct message m;
	size_t i;

	take(w, "-bob@example.net +carol@example.net !dave@example.net");
	for (i = 0; i < 3; i++)
		result_set(&w->m.env.rcpts[i].res, OUT_TEMP, CAUSE_ROUTE,
		    "busy %zu", i);
	w->t.f.next += 300;
	w->t.f.tries = 7;
	w->t.f.warned = true;
	queue_defer(&w->t);
	assert_int_equal(queue_look(&w->d.q, QUEUE_READY, w->id, &t, &m,
	    &w->res), 1);
	assert_true(t.f.tries == 7 && t.f.warned && t.f.next == w->t.f.next &&
	    t.f.born == w->t.f.born);
	assert_string_equal(m.env.rcpts[0].res.text, "busy 0");
	assert_string_equal(m.env.rcpts[1].res.text, "");
	assert_string_equal(m.env.rcpts[2].res.text, "");
	message_free(&m);
	assert_string_equal(states(w), "-+!");
}

static void
test_failed_message_moves(void **state)
{
	struct world *w = *state;

	take(w, "!bob@example.net");
	assert_int_equal(queue_fail(&w->t), 0);
	assert_files(w, 0, 0, 1);
	assert_int_equal(w->t.in, QUEUE_FAILED);
	assert_string_equal(queuedir_states(&w->d, QUEUE_FAILED, w->id,
	    w->states), "!");
}

static void
test_failed_message_stays_when_it_cannot_move(void **state)
{
	struct world *w = *state;
	char path[400];

	take(w, "!bob@example.net");
	assert_int_equal(rmdir(queuedir_path(&w->d, "failed", path)), 0);
	assert_int_equal(queue_fail(&w->t), -1);
	assert_int_equal(w->t.in, QUEUE_READY);
	assert_files(w, 0, 1, -1);
	assert_string_equal(states(w), "!");
}

/* --- administration --- */

/* In failed/, last touched long ago. */
static void
put_failed(struct world *w, const char *rcpts)
{
	queuedir_add(&w->d, &(struct queued){ .rcpts = rcpts, .born = 1000,
		.next = 2000, .tries = 9, .warned = true }, w->id);
	assert_int_equal(queue_take(&w->d.q, w->id, &w->t, &w->m, &w->res), 1);
	assert_int_equal(queue_fail(&w->t), 0);
	message_free(&w->m);
}

static void
test_requeue_starts_afresh(void **state)
{
	struct world *w = *state;
	struct queuefile f;
	time_t now = time(NULL);

	put_failed(w, "-bob@example.net +carol@example.net !dave@example.net "
	    "xeve@example.net");
	ok(w, queue_requeue(&w->d.q, w->id, &w->res));
	assert_files(w, 0, 1, 0);
	assert_string_equal(states(w), "-+--");
	f = queuedir_fields(&w->d, w->id);
	assert_in_range(f.born, now, now + 5);
	assert_int_equal(f.next, f.born);
	assert_int_equal(f.tries, 0);
	assert_false(f.warned);
	assert_int_equal(f.uid, getuid());
	assert_int_equal(queue_take(&w->d.q, w->id, &w->t, &w->m, &w->res), 1);
}

static void
test_requeue_of_what_is_queued_makes_it_due(void **state)
{
	struct world *w = *state;
	struct queuefile f;

	queuedir_add(&w->d, &(struct queued){ .rcpts =
		"!bob@example.net xcarol@example.net -dave@example.net",
		.tries = 5, .next = time(NULL) + 3600 }, w->id);
	ok(w, queue_requeue(&w->d.q, w->id, &w->res));
	f = queuedir_fields(&w->d, w->id);
	assert_true(f.next <= time(NULL) && f.tries == 5);
	/* Whoever was told of a refusal must not be told again. */
	assert_string_equal(states(w), "!x-");
}

static void
test_requeue_that_cannot_move_leaves_it_failed(void **state)
{
	struct world *w = *state;
	char path[400];

	put_failed(w, "!bob@example.net");
	assert_int_equal(rmdir(queuedir_path(&w->d, "queue", path)), 0);
	assert_int_equal(queue_requeue(&w->d.q, w->id, &w->res), -1);
	assert_int_equal(w->res.exit, EXIT_IO);
	assert_files(w, 0, -1, 1);
}

static void
test_delete_from_either_folder(void **state)
{
	struct world *w = *state;

	put_failed(w, NULL);
	ok(w, queue_delete(&w->d.q, w->id, &w->res));
	assert_files(w, 0, 0, 0);
	queuedir_add(&w->d, &(struct queued){ 0 }, w->id);
	ok(w, queue_delete(&w->d.q, w->id, &w->res));
	assert_files(w, 0, 0, 0);
}

static void
test_what_is_in_hand_is_neither_deleted_nor_requeued(void **state)
{
	struct world *w = *state;
	char want[80];

	take(w, NULL);
	snprintf(want, sizeof want, "%s is in the hands of another process "
	    "right now", w->id);
	assert_int_equal(queue_delete(&w->d.q, w->id, &w->res), -1);
	assert_int_equal(w->res.exit, EXIT_TEMP);
	assert_string_equal(w->res.text, want);
	assert_int_equal(queue_requeue(&w->d.q, w->id, &w->res), -1);
	assert_int_equal(w->res.exit, EXIT_TEMP);
	assert_files(w, 0, 1, 0);
}

static void
test_ids_that_are_none_are_refused(void **state)
{
	static const char *const ids[] = { "", ".", "..", "../tmp/x",
		"1kiva80abcd01234567", "1kiva80abcd0123456789",
		"1kiva80abcd01234567/", "1kiva80abcd01234567w",
		"1KIVA80ABCD012345678", "../failed/1234567890" };
	struct world *w = *state;
	size_t i;

	for (i = 0; i < sizeof ids / sizeof *ids; i++) {
		assert_int_equal(queue_delete(&w->d.q, ids[i], &w->res), -1);
		assert_int_equal(w->res.exit, EXIT_DATA);
		assert_non_null(strstr(w->res.text, "is no message's id"));
		assert_int_equal(queue_requeue(&w->d.q, ids[i], &w->res), -1);
		assert_int_equal(w->res.exit, EXIT_DATA);
	}
	assert_int_equal(queue_delete(&w->d.q, "1kiva80abcd012345678", &w->res),
	    -1);
	assert_int_equal(w->res.exit, EXIT_DATA);
	assert_string_equal(w->res.text, "no message 1kiva80abcd012345678 in the "
	    "queue");
}

/* --- all of it --- */

static void
make_old(const char *path, long seconds)
{
	struct timeval t[2] = { { time(NULL) - seconds, 0 },
		{ time(NULL) - seconds, 0 } };

	assert_int_equal(utimes(path, t), 0);
}

static void
test_sweep_removes_only_old_rubbish(void **state)
{
	struct world *w = *state;
	char path[400];

	queuedir_write(&w->d, "tmp/young", "x", 1);
	make_old(queuedir_path(&w->d, "tmp/young", path), 86400 - 60);
	queuedir_write(&w->d, "tmp/future", "x", 1);
	make_old(queuedir_path(&w->d, "tmp/future", path), -86400 * 365L);
	queuedir_write(&w->d, "tmp/old", "x", 1);
	make_old(queuedir_path(&w->d, "tmp/old", path), 86400 + 60);
	queuedir_write(&w->d, "queue/old", "x", 1);
	make_old(queuedir_path(&w->d, "queue/old", path), 86400 * 100L);
	queuedir_write(&w->d, "failed/old", "x", 1);
	make_old(queuedir_path(&w->d, "failed/old", path), 86400 * 100L);
	queue_sweep(&w->d.q);
	assert_files(w, 2, 1, 1);
	assert_true(access(queuedir_path(&w->d, "tmp/old", path), F_OK) < 0);
}

static void
test_sweep_keeps_what_is_being_written(void **state)
{
	struct world *w = *state;
	char path[400];

	create(w, NULL);
	make_old(path_of(w, "tmp", path), 86400 * 30L);
	queue_sweep(&w->d.q);
	assert_files(w, 1, 0, 0);
	ok(w, queue_commit(&w->t, &w->res));
	assert_string_equal(states(w), "-");
}

static void
test_sweep_leaves_alone_what_is_no_file(void **state)
{
	struct world *w = *state;
	char path[400];

	assert_int_equal(mkdir(queuedir_path(&w->d, "tmp/d", path), 0700), 0);
	make_old(path, 86400 * 30L);
	assert_int_equal(mkfifo(queuedir_path(&w->d, "tmp/f", path), 0600), 0);
	make_old(path, 86400 * 30L);
	queuedir_write(&w->d, "victim", "x", 1);
	make_old(queuedir_path(&w->d, "victim", path), 86400 * 30L);
	assert_int_equal(symlink("../victim", queuedir_path(&w->d, "tmp/l",
	    path)), 0);
	queue_sweep(&w->d.q);
	assert_files(w, 3, 0, 0);
	assert_int_equal(queuedir_grep(&w->d, "victim", "x"), 1);
}

struct seen {
	int n, stop_at;
	char names[3][24];
};

static int
see(void *ctx, const char *name)
{
	struct seen *s = ctx;

	if (s->n < 3)
		snprintf(s->names[s->n], sizeof s->names[0], "%.23s", name);
	return ++s->n == s->stop_at ? 42 : 0;
}

static void
test_each_names_all_files_but_hidden_ones(void **state)
{
	struct world *w = *state;
	struct seen s = { 0 };

	queuedir_write(&w->d, "queue/.nfs01", "x", 1);
	queuedir_write(&w->d, "queue/b", "x", 1);
	queuedir_write(&w->d, "queue/a", "x", 1);
	assert_int_equal(queue_each(&w->d.q, QUEUE_READY, see, &s), 0);
	assert_int_equal(s.n, 2);
	assert_true(s.names[0][0] != '.' && s.names[1][0] != '.');
	/* Again from the start. */
	s = (struct seen){ .stop_at = 1 };
	assert_int_equal(queue_each(&w->d.q, QUEUE_READY, see, &s), 42);
	assert_int_equal(s.n, 1);
	s = (struct seen){ 0 };
	assert_int_equal(queue_each(&w->d.q, QUEUE_FAILED, see, &s), 0);
	assert_int_equal(s.n, 0);
}

static void
test_each_without_a_folder_fails(void **state)
{
	struct world *w = *state;
	struct seen s = { 0 };
	int kept = w->d.q.folder[QUEUE_READY];

	w->d.q.folder[QUEUE_READY] = -1;
	assert_int_equal(queue_each(&w->d.q, QUEUE_READY, see, &s), -1);
	assert_int_equal(errno, EBADF);
	assert_int_equal(s.n, 0);
	w->d.q.folder[QUEUE_READY] = kept;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_folders_are_made_for_the_owner),
		TEST(test_missing_folder_cannot_be_used),
		TEST(test_folder_that_is_a_file_cannot_be_used),
		TEST(test_descriptors_are_given_back),
		TEST(test_created_file_is_locked_in_tmp),
		TEST(test_committed_file_is_whole_and_locked),
		TEST(test_name_that_is_there_is_not_overwritten),
		TEST(test_missing_tmp_is_cannot_create),
		TEST(test_full_disk_at_the_header_leaves_nothing),
		TEST(test_full_disk_at_the_message_can_be_taken_back),
		TEST(test_commit_without_a_folder_leaves_nothing),
		TEST(test_commit_on_a_full_disk_leaves_nothing),
		TEST(test_commit_that_cannot_sync_leaves_nothing),
		TEST(test_abandoned_message_leaves_nothing),
		TEST(test_taken_message_is_what_was_put),
		TEST(test_second_take_is_refused_until_the_first_is_over),
		TEST(test_submission_in_hand_cannot_be_taken),
		TEST(test_look_needs_no_lock),
		TEST(test_message_that_is_gone_is_not_taken),
		TEST(test_file_replaced_before_the_lock_is_not_taken),
		TEST(test_file_removed_before_the_lock_is_not_taken),
		TEST(test_what_is_no_regular_file_is_refused),
		TEST(test_damaged_file_is_refused_and_stays),
		TEST(test_settled_result_becomes_a_state),
		TEST(test_refusal_is_kept_with_its_text),
		TEST(test_settled_results_of_a_submission_are_kept),
		TEST(test_result_before_the_commit_is_not_written),
		TEST(test_all_taken_removes_the_file),
		TEST(test_refused_or_told_of_does_not_remove),
		TEST(test_unlink_that_fails_leaves_marks),
		TEST(test_mark_writes_every_state_that_was_reached),
		TEST(test_defer_writes_schedule_and_last_results),
		TEST(test_failed_message_moves),
		TEST(test_failed_message_stays_when_it_cannot_move),
		TEST(test_requeue_starts_afresh),
		TEST(test_requeue_of_what_is_queued_makes_it_due),
		TEST(test_requeue_that_cannot_move_leaves_it_failed),
		TEST(test_delete_from_either_folder),
		TEST(test_what_is_in_hand_is_neither_deleted_nor_requeued),
		TEST(test_ids_that_are_none_are_refused),
		TEST(test_sweep_removes_only_old_rubbish),
		TEST(test_sweep_keeps_what_is_being_written),
		TEST(test_sweep_leaves_alone_what_is_no_file),
		TEST(test_each_names_all_files_but_hidden_ones),
		TEST(test_each_without_a_folder_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
