#include "lib/front/handover.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/write.h"

extern char **environ;

/* Set up so, it would call itself for ever. */
static bool
is_ourselves(const char *program)
{
	struct stat it, we;

	return stat(program, &it) == 0 && stat("/proc/self/exe", &we) == 0 &&
	    it.st_dev == we.st_dev && it.st_ino == we.st_ino;
}

static void
cannot_run(const struct route *r, const char *why, struct result *res)
{
	result_set(res, OUT_TEMP, CAUSE_OPERATOR, "cannot run %s: %s", r->path,
	    why);
}

/* To our parent, which may run programs. Comes back with the reason. */
static const char *
leave(const struct route *r, const struct message *m, struct log *log)
{
	struct buf line = { 0 };
	struct stat st;

	/* Through a script in between: each lap would leave a process waiting. */
	if (is_ourselves(r->path) || getenv(HANDOVER_MARK))
		return "it leads back to this program";
	if (stat(r->path, &st) < 0 || access(r->path, X_OK) < 0)
		return strerror(errno);
	if (!S_ISREG(st.st_mode))
		return strerror(EACCES);
	if (lseek(STDIN_FILENO, m->spool.start, SEEK_SET) < 0)
		return strerror(errno);
	log_pair(&line, "id", m->id);
	log_pair(&line, "from", *m->env.from ? m->env.from : "<>");
	log_pair(&line, "route", r->name);
	log_pair(&line, "relay", r->path);
	log_pair(&line, "reason", "handed over");
	log_write(log, "%s", buf_str(&line));
	line.len = 0;
	buf_addf(&line, "%c%s", HANDOVER_LETTER, r->name);
	if (!line.failed && write_all(STDOUT_FILENO, line.p, line.len + 1) == 0)
		_exit(0);
	buf_free(&line);
	return strerror(errno);
}

/* Our environment and the mark, never freed; or NULL with errno set. */
static char **
marked(void)
{
	static char mark[] = HANDOVER_MARK "=1";
	char **env;
	size_t n = 0;

	while (environ[n])
		n++;
	env = calloc(n + 2, sizeof *env);
	if (env) {
		memcpy(env, environ, n * sizeof *env);
		env[n] = mark;
	}
	return env;
}

void
handover_run(const struct route *r, char **argv, struct result *res)
{
	char **env = marked();

	if (env) {
		argv[0] = r->path;
		signal(SIGPIPE, SIG_DFL);
		signal(SIGXFSZ, SIG_DFL);
		execve(r->path, argv, env);
	}
	cannot_run(r, strerror(errno), res);
}

void
handover_deliver(const struct route *r, bool whole, const struct message *m,
    struct rcpt *const *rcpts, size_t n, struct log *log)
{
	struct result res;
	size_t i;

	if (!whole || n < m->env.nrcpts)
		result_set(&res, OUT_TEMP, CAUSE_ROUTE, "type qmail takes whole "
		    "calls of qmail-remote only");
	else
		cannot_run(r, leave(r, m, log), &res);
	for (i = 0; i < n; i++)
		rcpts[i]->res = res;
	message_settled(m, rcpts, n);
}
