#include "tests/unit/queuedir.h"

#include <dirent.h>
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

static const char states[] = "-+!x";

void
queuedir_open(struct queuedir *d)
{
	struct result res = { 0 };

	strcpy(d->path, "/tmp/test_queue.XXXXXX");
	assert_non_null(mkdtemp(d->path));
	if (queue_open(&d->q, d->path, geteuid(), getegid(), &res) < 0)
		fail_msg("%s", res.text);
}

void
queuedir_close(struct queuedir *d)
{
	char command[80];

	queue_close(&d->q);
	snprintf(command, sizeof command, "rm -rf '%s'", d->path);
	assert_int_equal(system(command), 0);
}

static char *
copy(const char *s)
{
	char *p = s ? mem_dup(s, strlen(s)) : NULL;

	assert_true(s == NULL || p != NULL);
	return p;
}

void
queuedir_message(struct message *m, const struct queued *what)
{
	const char *p = what->rcpts ? what->rcpts : "-bob@example.net";
	struct rcpt *r;
	size_t n;

	*m = (struct message){ .spool.fd = -1 };
	if (what->id)
		snprintf(m->id, sizeof m->id, "%s", what->id);
	else
		message_id_make(m->id);
	m->born = time(NULL);
	m->env.from = copy(what->from ? what->from : "alice@example.com");
	m->env.rcpts = calloc(strlen(p), sizeof *m->env.rcpts);
	assert_non_null(m->env.rcpts);
	for (; *p; p += n + (p[n] == ' ')) {
		n = strcspn(p, " ");
		assert_non_null(strchr(states, *p));
		r = &m->env.rcpts[m->env.nrcpts++];
		r->state = (enum rcpt_state)(strchr(states, *p) - states);
		r->addr = mem_dup(p + 1, n - 1);
		r->dsn_notify = copy(what->notify);
	}
}

void
queuedir_add(struct queuedir *d, const struct queued *what, char id[24])
{
	struct message m;
	struct ticket t;
	struct result res = { 0 };

	queuedir_message(&m, what);
	if (queue_create(&d->q, &t, &m, &res) < 0 || spool_add(&m.spool,
	    QUEUEDIR_BODY, sizeof QUEUEDIR_BODY - 1, &res) < 0 ||
	    spool_finish(&m.spool, &res) < 0 || queue_commit(&t, &res) < 0)
		fail_msg("%s", res.text);
	if (what->born)
		t.f.born = what->born;
	if (what->next)
		t.f.next = what->next;
	t.f.tries = what->tries;
	t.f.warned = what->warned;
	assert_int_equal(queuefile_put_schedule(m.spool.fd, &t.f, &m), 0);
	strcpy(id, m.id);
	message_free(&m);
}

const char *
queuedir_states(struct queuedir *d, enum queue_folder in, const char *id,
    char out[40])
{
	struct message m;
	struct ticket t;
	struct result res = { 0 };
	size_t i;
	int rc = queue_look(&d->q, in, id, &t, &m, &res);

	*out = '\0';
	if (rc < 0)
		fail_msg("%s: %s", id, res.text);
	if (rc == 0)
		return out;
	for (i = 0; i < m.env.nrcpts && i < 39; i++)
		out[i] = states[m.env.rcpts[i].state];
	out[i] = '\0';
	message_free(&m);
	return out;
}

struct queuefile
queuedir_fields(struct queuedir *d, const char *id)
{
	struct queuefile f = { 0 };

	assert_int_equal(queue_peek(&d->q, id, &f), 0);
	return f;
}

int
queuedir_count(const struct queuedir *d, const char *folder, char name[300])
{
	char path[400];
	struct dirent *e;
	DIR *dir = opendir(queuedir_path(d, folder, path));
	int n = 0;

	if (dir == NULL)
		return -1;
	while ((e = readdir(dir)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		n++;
		if (name)
			snprintf(name, 300, "%s", e->d_name);
	}
	closedir(dir);
	return n;
}

const char *
queuedir_path(const struct queuedir *d, const char *file, char path[400])
{
	snprintf(path, 400, "%s/%s", d->path, file);
	return path;
}

void
queuedir_slurp(const struct queuedir *d, const char *file, struct buf *b)
{
	char path[400], block[4096];
	int fd = open(queuedir_path(d, file, path), O_RDONLY);
	ssize_t n;

	assert_true(fd >= 0);
	buf_reset(b);
	while ((n = read(fd, block, sizeof block)) > 0)
		buf_add(b, block, (size_t)n);
	assert_int_equal(n, 0);
	close(fd);
}

void
queuedir_write(const struct queuedir *d, const char *file, const void *text,
    size_t n)
{
	char path[400];
	int fd = open(queuedir_path(d, file, path), O_WRONLY | O_CREAT | O_TRUNC,
	    0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, n), n);
	close(fd);
}

int
queuedir_grep(const struct queuedir *d, const char *file, const char *part)
{
	struct buf b = { 0 };
	const char *p;
	int n = 0;

	queuedir_slurp(d, file, &b);
	for (p = buf_str(&b); (p = strstr(p, part)) != NULL; p++)
		n++;
	buf_free(&b);
	return n;
}
