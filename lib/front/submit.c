#include "lib/front/submit.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/front/outcome.h"

/* An explicit -odi: better sent without a queue than not at all. */
static void
note_direct(const struct submission *s, const struct message *m,
    const char *why)
{
	struct buf line = { 0 };

	log_pair(&line, "id", m->id);
	log_pair(&line, "reason", why);
	log_write(s->delivery->log, "%s", buf_str(&line));
	log_trace(s->delivery->log, "* not queued: %s", why);
	buf_free(&line);
}

int
submit_begin(struct submission *s, struct message *m, struct result *res)
{
	s->ticket = (struct ticket){ .in = QUEUE_FOLDERS };
	s->queued = false;
	if (s->queue && queue_create(s->queue, &s->ticket, m, res) == 0) {
		m->spool.may_move = s->when == 'i';
		return 0;
	}
	s->ticket.in = QUEUE_FOLDERS;
	if (s->no_queue.exit != 0)
		*res = s->no_queue;
	else if (s->queue == NULL)
		return spool_open(&m->spool, s->tmpdir, res);
	if (s->when != 'i')
		return -1;
	note_direct(s, m, res->text);
	return spool_open(&m->spool, s->tmpdir, res);
}

void
submit_abandon(struct submission *s)
{
	if (s->ticket.in != QUEUE_FOLDERS)
		queue_remove(&s->ticket);
	s->ticket.in = QUEUE_FOLDERS;
}

int
submit_end(struct submission *s, struct message *m, struct result *res)
{
	int rc;

	if (s->ticket.in == QUEUE_FOLDERS)
		return 0;
	if (m->spool.moved) {
		note_direct(s, m, "the queue has no room for the message");
		submit_abandon(s);
		m->settled = NULL;
		return 0;
	}
	rc = queue_commit(&s->ticket, res);
	if (rc == 0) {
		s->queued = true;
		deliver_log_queued(s->delivery, m);
		return 0;
	}
	s->ticket.in = QUEUE_FOLDERS;
	/* What may be in the queue after all must not go out twice. */
	if (s->when != 'i' || rc == -2)
		return -1;
	note_direct(s, m, res->text);
	return 0;
}

static void
try_now(struct submission *s, struct message *m)
{
	deliver(s->delivery, m);
	if (s->queued && !m->left)
		outcome_apply(s->delivery, &s->ticket);
}

/*
 * The lock on the queue file goes along; who waits for our standard files to be
 * closed must not wait for the relay.
 */
static void
try_in_background(struct submission *s, struct message *m)
{
	pid_t child = fork();
	int fd, null;

	if (child != 0) {
		/* Without a process, a queue run will do it. */
		if (child > 0)
			waitpid(child, NULL, 0);
		return;
	}
	/* A grandchild is nobody's to wait for. */
	setsid();
	if (fork() != 0)
		_exit(EXIT_OK);
	signal(SIGHUP, SIG_IGN);
	null = open("/dev/null", O_RDWR);
	if (null < 0)
		null = open("/", O_RDONLY);
	for (fd = 0; fd <= 2; fd++)
		dup2(null, fd);
	/* Whoever wants to unmount the caller's folder must not wait either. */
	if (chdir("/") < 0)
		_exit(EXIT_OS);
	try_now(s, m);
	_exit(EXIT_OK);
}

void
submit_send(struct submission *s, struct message *m)
{
	if (!s->queued || s->when == 0 || s->when == 'i')
		try_now(s, m);
	else if (s->when == 'b')
		try_in_background(s, m);
}
