#include "lib/config/command.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/child.h"
#include "lib/base/clock.h"

enum { NOT_EXECUTED = 127 };

struct output {
	char *text;
	size_t size;
	long n;			/* what came; more than size is not kept */
};

/* A fraction of what execvp brings with it. */
static void
execute(char *const argv[])
{
	const char *p = strchr(argv[0], '/') ? "" : getenv("PATH");
	char file[4096];
	size_t n;

	if (p == NULL)
		p = "/usr/bin:/bin";
	for (;; p += n + 1) {
		n = strcspn(p, ":");
		snprintf(file, sizeof file, "%.*s%s%s", (int)n, p,
		    n > 0 ? "/" : "", argv[0]);
		execv(file, argv);
		if (p[n] == '\0')
			return;
	}
}

/* In the child: never returns. */
static void
run(char *const argv[], int quiet)
{
	int null = open("/dev/null", O_RDWR);

	if (null >= 0 && dup2(null, STDIN_FILENO) == STDIN_FILENO) {
		if (quiet)
			dup2(null, STDERR_FILENO);
		if (null > STDERR_FILENO)
			close(null);
		execute(argv);
	}
	_exit(NOT_EXECUTED);
}

static void
keep(void *ctx, const char *p, size_t n)
{
	struct output *o = ctx;
	size_t have = (size_t)o->n < o->size ? (size_t)o->n : o->size;

	o->n += (long)n;
	if (n > o->size - have)
		n = o->size - have;
	memcpy(o->text + have, p, n);
}

const char *
command_why(int status)
{
	if (status < COMMAND_NOT_BEGUN)
		return strerror(COMMAND_NOT_BEGUN - status);
	if (status == COMMAND_UNUSABLE)
		return "has a quote that does not end";
	if (status == CHILD_LATE)
		return "was killed: it took more than 60 seconds";
	if (WIFSIGNALED(status))
		return "was killed by a signal; expected exit status 0";
	if (WEXITSTATUS(status) == NOT_EXECUTED)
		return "was not found; expected exit status 0";
	return WEXITSTATUS(status) != 0 ? "failed; expected exit status 0" :
	    NULL;
}

int
command_run(char *const argv[], int quiet, char *out, size_t size, long *n)
{
	int64_t end = clock_ms() + COMMAND_SECONDS * (int64_t)1000;
	struct output o = { .text = out, .size = size };
	struct child c;
	int status, forked = child_fork(&c);

	if (forked == 0)
		run(argv, quiet);
	status = forked < 0 ? COMMAND_NOT_BEGUN - errno :
	    child_collect(&c, end, keep, &o);
	*n = o.n;
	return status;
}
