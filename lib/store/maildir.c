#include "lib/store/maildir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/base/result.h"
#include "lib/base/write.h"
#include "lib/mail/dkim.h"

enum { BLOCK = 8192, HOST_SIZE = 256, NAME_SIZE = 80 + 4 * HOST_SIZE };

/* Where it is written, and the step that errno belongs to. */
struct place {
	const struct route *r;
	int dir;		/* r->path */
	int new;		/* its new/ */
	const char *step;	/* "cannot ..." */
	const char *in;		/* below r->path: "" or "/tmp" */
};

static int
fail(struct place *pl, const char *step, const char *in)
{
	pl->step = step;
	pl->in = in;
	return -1;
}

/* The reason, for a person; errno is that of the step. */
static void
report(const struct place *pl, struct result *res)
{
	result_set(res, OUT_TEMP, CAUSE_LOCAL, "cannot %s %s%s: %s", pl->step,
	    pl->r->path, pl->in, strerror(errno));
}

/* fsync of a folder; file systems that cannot do it have nothing to flush. */
static int
sync_dir(int fd)
{
	return fsync(fd) == 0 || errno == EINVAL || errno == ENOTSUP ? 0 : -1;
}

static int
open_dir(int at, const char *path)
{
	return openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* The Maildir itself; a new one must survive a crash as its messages do. */
static int
open_maildir(struct place *pl)
{
	bool made = mkdir(pl->r->path, 0700) == 0;
	int parent;

	if (!made && errno != EEXIST)
		return fail(pl, "create", "");
	pl->dir = open_dir(AT_FDCWD, pl->r->path);
	if (pl->dir < 0)
		return fail(pl, "open", "");
	if (!made)
		return 0;
	parent = open_dir(pl->dir, "..");
	if (parent >= 0) {
		sync_dir(parent);
		close(parent);
	}
	return 0;
}

static int
make_folders(struct place *pl)
{
	static const char *const names[] = { "/tmp", "/new", "/cur" };
	bool made = false;
	size_t i;

	for (i = 0; i < sizeof names / sizeof *names; i++) {
		if (mkdirat(pl->dir, names[i] + 1, 0700) == 0)
			made = true;
		else if (errno != EEXIST)
			return fail(pl, "create", names[i]);
	}
	if (made && sync_dir(pl->dir) != 0)
		return fail(pl, "write", "");
	pl->new = open_dir(pl->dir, "new");
	return pl->new < 0 ? fail(pl, "open", "/new") : 0;
}

static int
place_open(struct place *pl, const struct route *r)
{
	*pl = (struct place){ .r = r, .dir = -1, .new = -1 };
	if (open_maildir(pl) != 0)
		return -1;
	return make_folders(pl);
}

static void
place_close(struct place *pl)
{
	if (pl->new >= 0)
		close(pl->new);
	if (pl->dir >= 0)
		close(pl->dir);
}

/* tmp/time.MusecPpidQcount.host: no other delivery has this name. */
static void
name_file(char out[NAME_SIZE], size_t count)
{
	char host[HOST_SIZE];
	struct timeval tv;
	const char *p;
	size_t n;

	gettimeofday(&tv, NULL);
	if (gethostname(host, sizeof host) != 0)
		strcpy(host, "localhost");
	host[sizeof host - 1] = '\0';
	n = (size_t)snprintf(out, NAME_SIZE, "tmp/%lld.M%06ldP%ldQ%zu.",
	    (long long)tv.tv_sec, (long)tv.tv_usec, (long)getpid(), count);
	for (p = host; *p; p++) {
		if (*p == '/' || *p == ':')
			n += (size_t)snprintf(out + n, NAME_SIZE - n, "\\%03o",
			    (unsigned)*p);
		else
			out[n++] = *p;
	}
	out[n] = '\0';
}

/* The spool's CRs stand before its LFs alone: LF line ends are those without. */
static size_t
drop_cr(char *p, size_t n)
{
	size_t i, kept = 0;

	for (i = 0; i < n; i++)
		if (p[i] != '\r')
			p[kept++] = p[i];
	return kept;
}

static int
write_head(struct place *pl, int fd, const char *from, const char *to)
{
	struct buf b = { 0 };
	int rc;

	buf_addf(&b, "Return-Path: <%s>\nDelivered-To: %s\n", from, to);
	if (b.failed) {
		errno = ENOMEM;
		rc = -1;
	} else {
		rc = write_all(fd, b.p, b.len);
	}
	buf_free(&b);
	return rc != 0 ? fail(pl, "write", "/tmp") : 0;
}

static int
write_body(struct place *pl, int fd, const struct spool *sp)
{
	char block[BLOCK];
	off_t at = 0;
	ssize_t n;

	while ((n = spool_read(sp, block, sizeof block, at)) > 0) {
		at += n;
		if (write_all(fd, block, drop_cr(block, (size_t)n)) != 0)
			return fail(pl, "write", "/tmp");
	}
	return n < 0 ? fail(pl, "read the message for", "") : 0;
}

/* All of the file, down to the disk; fd is closed. */
static int
write_file(struct place *pl, int fd, const struct message *m, const char *to)
{
	int rc, why;

	rc = write_head(pl, fd, m->env.from, to);
	if (rc == 0)
		rc = write_body(pl, fd, &m->spool);
	if (rc == 0 && fsync(fd) != 0)
		rc = fail(pl, "write", "/tmp");
	why = errno;
	if (close(fd) != 0 && rc == 0)
		return fail(pl, "write", "/tmp");
	errno = why;
	return rc;
}

/*
 * From tmp/ to new/. A link never takes the place of another message; some file
 * systems have none.
 */
static int
publish(struct place *pl, const char *tmp)
{
	const char *name = tmp + 4;
	int why;

	if (linkat(pl->dir, tmp, pl->new, name, 0) == 0)
		unlinkat(pl->dir, tmp, 0);
	else if (errno == EEXIST ||
	    renameat(pl->dir, tmp, pl->new, name) != 0)
		return fail(pl, "write", "/new");
	if (sync_dir(pl->new) == 0)
		return 0;
	why = errno;
	unlinkat(pl->new, name, 0);
	errno = why;
	return fail(pl, "write", "/new");
}

static int
deliver_one(struct place *pl, const struct message *m, const char *to,
    size_t count)
{
	char name[NAME_SIZE];
	int fd, why;

	name_file(name, count);
	fd = openat(pl->dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
	    0600);
	if (fd < 0)
		return fail(pl, "write", "/tmp");
	if (write_file(pl, fd, m, to) == 0 && publish(pl, name) == 0)
		return 0;
	why = errno;
	unlinkat(pl->dir, name, 0);
	errno = why;
	return -1;
}

void
maildir_deliver(const struct route *r, const struct message *m,
    struct rcpt *const *rcpts, size_t n)
{
	struct message adapted = { .spool.fd = -1 };
	struct result res = { 0 };
	const struct message *wire = dkim_message(m, r, &adapted, &res);
	struct place pl;
	bool open = place_open(&pl, r) == 0;
	int why = errno;
	size_t i;

	for (i = 0; i < n; i++) {
		errno = why;
		if (wire == NULL)
			rcpts[i]->res = res;
		else if (open && deliver_one(&pl, wire, rcpts[i]->addr, i) == 0)
			result_set(&rcpts[i]->res, OUT_DONE, CAUSE_LOCAL,
			    "delivered to %s", r->path);
		else
			report(&pl, &rcpts[i]->res);
		message_settled(m, &rcpts[i], 1);
	}
	place_close(&pl);
	spool_close(&adapted.spool);
}
