#include "lib/store/queue.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { RUBBISH_SECONDS = 86400 };

static const char *const names[QUEUE_FOLDERS] = { "tmp", "queue", "failed" };

/* --- the folder --- */

void
queue_raise(const struct queue *q)
{
	int kept = errno;

	/* A failure shows in what is then not permitted. */
	if (q->set_id && (setegid(q->gid) < 0 || seteuid(q->uid) < 0))
		kept = EPERM;
	errno = kept;
}

void
queue_lower(const struct queue *q)
{
	int kept = errno;

	if (q->set_id && (seteuid(getuid()) < 0 || setegid(getgid()) < 0))
		_exit(EXIT_OS);		/* never go on with too much */
	errno = kept;
}

/* fsync of a folder; file systems that cannot do it have nothing to flush. */
static int
sync_folder(int fd)
{
	return fsync(fd) == 0 || errno == EINVAL || errno == ENOTSUP ? 0 : -1;
}

static int
cannot_open(const struct queue *q, const char *in, struct result *res)
{
	int why = errno;

	result_fail(res, EXIT_CANTCREATE, "queue %s%s cannot be used: %s%s",
	    q->path, in, strerror(why), why == ENOENT ?
	    "; make the folder, or mend `queue` in the configuration" : "");
	return -1;
}

void
queue_share(const struct queue *q, int fd, bool folder)
{
	if (q->shared)
		fchmod(fd, folder ? S_ISGID | 0770 : 0660);
	else if (folder)
		fchmod(fd, 0700);
}

static int
open_folder(struct queue *q, enum queue_folder i)
{
	int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
	bool made;

	q->folder[i] = openat(q->dir, names[i], flags);
	/* With set-id privilege the folder would be the caller's. */
	if (q->folder[i] >= 0 || errno != ENOENT || q->set_id)
		return q->folder[i];
	made = mkdirat(q->dir, names[i], 0700) == 0;
	if ((made || errno == EEXIST) && sync_folder(q->dir) == 0)
		q->folder[i] = openat(q->dir, names[i], flags);
	if (made && q->folder[i] >= 0)
		queue_share(q, q->folder[i], true);
	return q->folder[i];
}

int
queue_open(struct queue *q, const char *path, uid_t uid, gid_t gid,
    struct result *res)
{
	char in[16] = "";
	struct stat st;
	int i, rc = 0;

	*q = (struct queue){ .path = path, .folder = { -1, -1, -1 },
		.uid = uid, .gid = gid,
		.set_id = uid != getuid() || gid != getgid() };
	queue_raise(q);
	q->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (q->dir < 0)
		rc = cannot_open(q, in, res);
	q->shared = rc == 0 && fstat(q->dir, &st) == 0 &&
	    (st.st_mode & S_IWGRP);
	for (i = 0; rc == 0 && i < QUEUE_FOLDERS; i++) {
		snprintf(in, sizeof in, "/%s", names[i]);
		if (open_folder(q, (enum queue_folder)i) < 0)
			rc = cannot_open(q, in, res);
	}
	queue_lower(q);
	if (rc < 0)
		queue_close(q);
	return rc;
}

void
queue_close(struct queue *q)
{
	int i;

	if (q->path == NULL || q->dir < 0)
		return;
	for (i = 0; i < QUEUE_FOLDERS; i++)
		if (q->folder[i] >= 0)
			close(q->folder[i]);
	close(q->dir);
	q->dir = -1;
}

/* --- one file --- */

static int
remove_from(const struct ticket *t, enum queue_folder in)
{
	const struct queue *q = t->q;
	int rc;

	queue_raise(q);
	rc = unlinkat(q->folder[in], t->m->id, 0);
	queue_lower(q);
	return rc;
}

static int
move_to(const struct ticket *t, enum queue_folder from, enum queue_folder to)
{
	const struct queue *q = t->q;
	int rc;

	queue_raise(q);
	rc = renameat(q->folder[from], t->m->id, q->folder[to], t->m->id);
	queue_lower(q);
	return rc;
}

static int
fail_write(const struct queue *q, struct result *res)
{
	return result_fail(res, EXIT_IO, "cannot write to the queue %s: %s",
	    q->path, strerror(errno));
}

static int
create_file(struct queue *q, const char *id)
{
	int fd;

	queue_raise(q);
	fd = openat(q->folder[QUEUE_TMP], id, O_RDWR | O_CREAT | O_EXCL |
	    O_CLOEXEC, 0600);
	queue_lower(q);
	if (fd >= 0)
		queue_share(q, fd, false);
	return fd;
}

/* The hook of transports: what is final about these recipients is kept. */
static void
settled(void *ctx, struct rcpt *const *rcpts, size_t n)
{
	struct ticket *t = ctx;
	size_t i;

	if (n == 0)
		queue_sync(t->q);
	for (i = 0; i < n; i++) {
		const struct result *r = &rcpts[i]->res;

		if (r->outcome == OUT_DONE)
			rcpts[i]->state = RCPT_TAKEN;
		else if (r->outcome == OUT_PERM && !result_may_fail_over(r) &&
		    r->cause != CAUSE_OPERATOR && r->cause != CAUSE_LOCAL)
			rcpts[i]->state = RCPT_REFUSED;
	}
	queue_mark(t, rcpts, n);
}

static void
attach(struct ticket *t, struct queue *q, struct message *m,
    enum queue_folder in)
{
	t->q = q;
	t->m = m;
	t->in = in;
	m->settled = settled;
	m->settled_ctx = t;
}

static int
write_head(struct ticket *t, int fd, struct result *res)
{
	struct message *m = t->m;
	struct buf head = { 0 };
	off_t start;
	ssize_t n = 0, k = 0;
	int rc;

	queuefile_head(&t->f, m, &head);
	start = (off_t)head.len;
	for (; !head.failed && n < start && k >= 0; n += k > 0 ? k : 0) {
		k = write(fd, head.p + n, head.len - (size_t)n);
		if (k < 0 && errno == EINTR)
			k = 0;
	}
	if (head.failed)
		rc = result_fail(res, EXIT_OS, "out of memory");
	else if (k < 0)
		rc = fail_write(t->q, res);
	else {
		rc = spool_use(&m->spool, fd, start, res);
		m->spool.place = "the queue";
		fd = -1;
	}
	buf_free(&head);
	if (rc < 0 && fd >= 0)
		close(fd);
	return rc;
}

int
queue_create(struct queue *q, struct ticket *t, struct message *m,
    struct result *res)
{
	int fd = create_file(q, m->id);

	if (fd < 0)
		return cannot_open(q, "/tmp", res);
	*t = (struct ticket){ .f = { .born = m->born, .next = m->born,
		.uid = getuid() } };
	attach(t, q, m, QUEUE_TMP);
	errno = 0;
	if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
		if (write_head(t, fd, res) == 0)
			return 0;
	} else {
		fail_write(q, res);
		close(fd);
	}
	remove_from(t, QUEUE_TMP);
	m->settled = NULL;
	return -1;
}

int
queue_commit(struct ticket *t, struct result *res)
{
	int fd = t->m->spool.fd;

	if (queuefile_put_size(fd, &t->f, t->m) == 0 && fsync(fd) == 0 &&
	    move_to(t, QUEUE_TMP, QUEUE_READY) == 0) {
		t->in = QUEUE_READY;
		if (sync_folder(t->q->folder[QUEUE_READY]) == 0)
			return 0;
	}
	fail_write(t->q, res);
	t->m->settled = NULL;
	return remove_from(t, t->in) == 0 ? -1 : -2;
}

/* Is the open file still the one of that name? Another run may have been faster. */
static bool
is_still_there(struct queue *q, enum queue_folder in, const char *id, int fd)
{
	struct stat ours, named;
	int rc;

	queue_raise(q);
	rc = fstatat(q->folder[in], id, &named, AT_SYMLINK_NOFOLLOW);
	queue_lower(q);
	return rc == 0 && fstat(fd, &ours) == 0 &&
	    ours.st_ino == named.st_ino && ours.st_dev == named.st_dev;
}

/* -1 with errno, or a descriptor of a regular file. */
static int
open_file(struct queue *q, enum queue_folder in, const char *id, int flags)
{
	struct stat st;
	int fd;

	queue_raise(q);
	fd = openat(q->folder[in], id, flags | O_NOFOLLOW | O_NONBLOCK |
	    O_CLOEXEC);
	queue_lower(q);
	if (fd < 0 || (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)))
		return fd;
	close(fd);
	errno = EINVAL;
	return -1;
}

static int
read_file(struct queue *q, enum queue_folder in, int fd, const char *id,
    struct ticket *t, struct message *m, struct result *res)
{
	*t = (struct ticket){ 0 };
	*m = (struct message){ .spool.fd = -1 };
	snprintf(m->id, sizeof m->id, "%s", id);
	if (queuefile_read(fd, &t->f, m, res) < 0) {
		message_free(m);
		close(fd);
		return -1;
	}
	attach(t, q, m, in);
	return 1;
}

static int
unusable(struct result *res)
{
	result_fail(res, EXIT_IO, "the queue file cannot be opened: %s",
	    strerror(errno));
	return -1;
}

/* Locked, and still of that name: a descriptor; -1: gone or busy; -2: res. */
static int
lock_file(struct queue *q, enum queue_folder in, const char *id,
    struct result *res)
{
	int fd = open_file(q, in, id, O_RDWR);

	if (fd < 0)
		return errno == ENOENT ? -1 : unusable(res) - 1;
	if (flock(fd, LOCK_EX | LOCK_NB) == 0 && is_still_there(q, in, id, fd))
		return fd;
	close(fd);
	return -1;
}

int
queue_take(struct queue *q, const char *id, struct ticket *t,
    struct message *m, struct result *res)
{
	int fd = lock_file(q, QUEUE_READY, id, res);

	if (fd < 0)
		return fd + 1;
	return read_file(q, QUEUE_READY, fd, id, t, m, res);
}

int
queue_look(struct queue *q, enum queue_folder in, const char *id,
    struct ticket *t, struct message *m, struct result *res)
{
	int fd = open_file(q, in, id, O_RDONLY);

	if (fd < 0)
		return errno == ENOENT ? 0 : unusable(res);
	return read_file(q, in, fd, id, t, m, res);
}

/* --- results --- */

static bool
taken_for_all(const struct message *m)
{
	size_t i;

	for (i = 0; i < m->env.nrcpts; i++)
		if (m->env.rcpts[i].state != RCPT_TAKEN)
			return false;
	return true;
}

void
queue_mark(struct ticket *t, struct rcpt *const *rcpts, size_t n)
{
	int fd = t->m->spool.fd;
	bool written = false;
	size_t i;

	if (t->in != QUEUE_READY)
		return;
	if (taken_for_all(t->m) && remove_from(t, QUEUE_READY) == 0) {
		t->in = QUEUE_FOLDERS;
		t->q->unsynced = true;
		return;
	}
	for (i = 0; i < n; i++) {
		if (rcpts[i]->state == RCPT_WAITING)
			continue;
		if (rcpts[i]->state == RCPT_REFUSED)
			queuefile_put_last(fd, rcpts[i]);
		queuefile_put_state(fd, rcpts[i]);
		written = true;
	}
	if (written)
		fdatasync(fd);
}

void
queue_sync(struct queue *q)
{
	if (q->unsynced)
		sync_folder(q->folder[QUEUE_READY]);
	q->unsynced = false;
}

void
queue_defer(struct ticket *t)
{
	const struct message *m = t->m;
	size_t i;

	queuefile_put_schedule(m->spool.fd, &t->f, m);
	for (i = 0; i < m->env.nrcpts; i++)
		if (m->env.rcpts[i].state == RCPT_WAITING)
			queuefile_put_last(m->spool.fd, &m->env.rcpts[i]);
}

int
queue_remove(struct ticket *t)
{
	if (t->in == QUEUE_FOLDERS || remove_from(t, t->in) < 0)
		return -1;
	sync_folder(t->q->folder[t->in]);
	t->in = QUEUE_FOLDERS;
	return 0;
}

int
queue_fail(struct ticket *t)
{
	/* The new name first: a file that has two is not lost. */
	if (move_to(t, QUEUE_READY, QUEUE_FAILED) < 0)
		return -1;
	t->in = QUEUE_FAILED;
	sync_folder(t->q->folder[QUEUE_FAILED]);
	sync_folder(t->q->folder[QUEUE_READY]);
	/* failed/ was made last: whoever made it may have died before its sync. */
	sync_folder(t->q->dir);
	return 0;
}

/* --- administration --- */

/* Lock a message of either folder. A descriptor, or -1 with res filled. */
static int
lock_either(struct queue *q, const char *id, enum queue_folder *in,
    struct result *res)
{
	int fd;

	if (!message_id_valid(id))
		return result_fail(res, EXIT_DATA, "%.40s is no message's id "
		    "(see mailq)", id);
	for (*in = QUEUE_READY; *in <= QUEUE_FAILED; ++*in) {
		fd = open_file(q, *in, id, O_RDWR);
		if (fd < 0 && errno == ENOENT)
			continue;
		if (fd < 0)
			return result_fail(res, errno == EACCES ? EXIT_NOPERM :
			    EXIT_IO, "%s: %s", id, strerror(errno));
		if (flock(fd, LOCK_EX | LOCK_NB) == 0 &&
		    is_still_there(q, *in, id, fd))
			return fd;
		close(fd);
		return result_fail(res, EXIT_TEMP, "%s is in the hands of "
		    "another process right now", id);
	}
	return result_fail(res, EXIT_DATA, "no message %s in the queue", id);
}

int
queue_delete(struct queue *q, const char *id, struct result *res)
{
	enum queue_folder in;
	int rc, fd = lock_either(q, id, &in, res);

	if (fd < 0)
		return -1;
	rc = unlinkat(q->folder[in], id, 0);
	if (rc == 0)
		sync_folder(q->folder[in]);
	else
		result_fail(res, EXIT_IO, "%s: %s", id, strerror(errno));
	close(fd);
	return rc;
}

/* All that was refused is to be tried again, as if it had come just now. */
static int
renew(struct ticket *t)
{
	struct message *m = t->m;
	size_t i;

	t->f.born = t->f.next = time(NULL);
	t->f.tries = 0;
	t->f.warned = false;
	for (i = 0; i < m->env.nrcpts; i++) {
		struct rcpt *r = &m->env.rcpts[i];

		if (r->state == RCPT_TAKEN)
			continue;
		r->state = RCPT_WAITING;
		if (queuefile_put_state(m->spool.fd, r) < 0)
			return -1;
	}
	return queuefile_put_schedule(m->spool.fd, &t->f, m) < 0 ? -1 :
	    fsync(m->spool.fd);
}

int
queue_requeue(struct queue *q, const char *id, struct result *res)
{
	enum queue_folder in;
	struct ticket t;
	struct message m;
	int rc, fd = lock_either(q, id, &in, res);

	if (fd < 0 || read_file(q, in, fd, id, &t, &m, res) < 0)
		return -1;
	t.f.next = time(NULL);
	if (in == QUEUE_READY)
		rc = queuefile_put_schedule(m.spool.fd, &t.f, &m);
	else if ((rc = renew(&t)) == 0)
		rc = move_to(&t, QUEUE_FAILED, QUEUE_READY);
	if (rc < 0)
		result_fail(res, EXIT_IO, "%s: %s", id, strerror(errno));
	else {
		sync_folder(q->folder[QUEUE_READY]);
		sync_folder(q->folder[QUEUE_FAILED]);
	}
	message_free(&m);
	return rc;
}

/* --- all files --- */

int
queue_each(struct queue *q, enum queue_folder in,
    int (*each)(void *ctx, const char *name), void *ctx)
{
	int fd = openat(q->folder[in], ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	int rc = 0;

	if (dir == NULL) {
		if (fd >= 0)
			close(fd);
		return -1;
	}
	while (rc == 0) {
		errno = 0;
		e = readdir(dir);
		if (e == NULL) {
			rc = errno != 0 ? -1 : 0;
			break;
		}
		if (e->d_name[0] != '.')
			rc = each(ctx, e->d_name);
	}
	closedir(dir);
	return rc;
}

int
queue_peek(struct queue *q, const char *id, struct queuefile *f)
{
	int fd = open_file(q, QUEUE_READY, id, O_RDONLY);
	char text[QUEUEFILE_FIXED];
	ssize_t n;
	off_t size;

	if (fd < 0)
		return -1;
	n = pread(fd, text, sizeof text, 0);
	close(fd);
	return n < 0 ? -1 : queuefile_fixed(text, (size_t)n, f, &size);
}

static int
sweep(void *ctx, const char *name)
{
	struct queue *q = ctx;
	struct stat st;
	int fd = open_file(q, QUEUE_TMP, name, O_RDWR);

	if (fd < 0)
		return 0;
	/* Who still writes it holds the lock, whatever the clock says. */
	if (fstat(fd, &st) == 0 && st.st_mtime < time(NULL) - RUBBISH_SECONDS &&
	    flock(fd, LOCK_EX | LOCK_NB) == 0)
		unlinkat(q->folder[QUEUE_TMP], name, 0);
	close(fd);
	return 0;
}

void
queue_sweep(struct queue *q)
{
	queue_each(q, QUEUE_TMP, sweep, q);
}
