#define _GNU_SOURCE	/* pipe2 */
#include "lib/base/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/base/result.h"

enum { BLOCK = 4096 };

void
child_stay_with(pid_t parent)
{
	/* musl's prctl() is large. */
	syscall(SYS_prctl, (long)PR_SET_PDEATHSIG, (long)SIGKILL);
	if (getppid() != parent)
		_exit(EXIT_TEMP);
}

/* In the child. */
static int
settle_in(pid_t parent, int out)
{
	static const unsigned char defaults[] = { SIGPIPE, SIGXFSZ, SIGCHLD,
	    SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGALRM };
	sigset_t none;
	size_t i;

	child_stay_with(parent);
	setpgid(0, 0);
	for (i = 0; i < sizeof defaults; i++)
		signal(defaults[i], SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* dup2 onto itself would leave close-on-exec set. */
	if (out == STDOUT_FILENO)
		fcntl(out, F_SETFD, 0);
	else
		dup2(out, STDOUT_FILENO);
	return 0;
}

int
child_fork(struct child *c)
{
	struct sigaction normal = { .sa_handler = SIG_DFL };
	pid_t parent = getpid();
	int end[2];

	if (pipe2(end, O_CLOEXEC) < 0)
		return -1;
	fcntl(end[0], F_SETFL, O_NONBLOCK);
	/* Ignored, if inherited so, it would swallow the exit status. */
	sigaction(SIGCHLD, &normal, &c->before);
	c->fd = end[0];
	c->pid = fork();
	if (c->pid == 0)
		return settle_in(parent, end[1]);
	close(end[1]);
	if (c->pid < 0) {
		close(end[0]);
		sigaction(SIGCHLD, &c->before, NULL);
		return -1;
	}
	/* Here and in the child: whoever comes first. */
	setpgid(c->pid, c->pid);
	return 1;
}

int
child_collect(struct child *c, int64_t end,
    void (*take)(void *ctx, const char *data, size_t n), void *ctx)
{
	struct pollfd p = { .fd = c->fd, .events = POLLIN };
	bool closed, over;
	char block[BLOCK];
	int status;
	ssize_t n;

	do {
		over = waitpid(c->pid, &status, WNOHANG) == c->pid;
		while ((n = read(c->fd, block, sizeof block)) > 0 &&
		    clock_ms() < end)
			take(ctx, block, (size_t)n);
		closed = n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
		if (!over)
			poll(&p, closed ? 0 : 1, closed ? 2 : 100);
	} while (!over && clock_ms() < end);
	if (!over) {
		kill(-c->pid, SIGKILL);
		while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR)
			continue;
		status = CHILD_LATE;
	}
	mem_wipe(block, sizeof block);
	close(c->fd);
	sigaction(SIGCHLD, &c->before, NULL);
	return status;
}
