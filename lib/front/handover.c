#include "lib/front/handover.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Set up so, it would call itself for ever. */
static bool
is_ourselves(const char *program)
{
	struct stat it, we;

	return stat(program, &it) == 0 && stat("/proc/self/exe", &we) == 0 &&
	    it.st_dev == we.st_dev && it.st_ino == we.st_ino;
}

/* Comes back with the reason. */
static const char *
run(const struct route *r, char **argv, const struct message *m,
    struct log *log)
{
	struct buf line = { 0 };

	/* Through a script in between: each lap would leave a process waiting. */
	if (is_ourselves(r->path) || getenv(HANDOVER_MARK))
		return "it leads back to this program";
	if (lseek(STDIN_FILENO, m->spool.start, SEEK_SET) < 0)
		return strerror(errno);
	log_pair(&line, "id", m->id);
	log_pair(&line, "from", *m->env.from ? m->env.from : "<>");
	log_pair(&line, "route", r->name);
	log_pair(&line, "relay", r->path);
	log_pair(&line, "reason", "handed over");
	log_write(log, "%s", buf_str(&line));
	buf_free(&line);
	if (setenv(HANDOVER_MARK, "1", 1) < 0)
		return strerror(errno);
	argv[0] = r->path;
	signal(SIGPIPE, SIG_DFL);
	signal(SIGXFSZ, SIG_DFL);
	execv(r->path, argv);
	return strerror(errno);
}

void
handover_deliver(const struct route *r, char **argv, const struct message *m,
    struct rcpt *const *rcpts, size_t n, struct log *log)
{
	struct result res;
	size_t i;

	if (argv == NULL || n < m->env.nrcpts)
		result_set(&res, OUT_TEMP, CAUSE_ROUTE, "type qmail takes whole "
		    "calls of qmail-remote only");
	else
		result_set(&res, OUT_TEMP, CAUSE_OPERATOR, "cannot run %s: %s",
		    r->path, run(r, argv, m, log));
	for (i = 0; i < n; i++)
		rcpts[i]->res = res;
	message_settled(m, rcpts, n);
}
