#define _GNU_SOURCE	/* pipe2 */
#include "lib/config/helper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/base/child.h"
#include "lib/base/clock.h"
#include "lib/base/write.h"
#include "lib/config/command.h"

/*
 * The kernel's own calls: the C library's care for its padding, which is zero here,
 * takes 700 bytes. A request; with it goes the descriptor that the answer is
 * written to.
 */
struct call {
	struct msghdr msg;
	struct iovec part;
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
};

/* What stands before the output. */
struct answer {
	int status;
	long n;
};

static int *
prepare(struct call *c, struct helper_request *r)
{
	struct cmsghdr *head = (void *)c->control;

	*c = (struct call){ .part = { r, sizeof *r } };
	c->msg.msg_iov = &c->part;
	c->msg.msg_iovlen = 1;
	c->msg.msg_control = head;
	c->msg.msg_controllen = sizeof c->control;
	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(sizeof(int));
	return (int *)(void *)CMSG_DATA(head);
}

/* --- the helper --- */

static void
answer(helper_run run, void *ctx, const struct helper_request *r, int to)
{
	char out[HELPER_MAX];
	struct answer a = { .n = 0 };
	size_t have;

	a.status = run(ctx, r, out, sizeof out, &a.n);
	have = a.n < HELPER_MAX ? (size_t)a.n : HELPER_MAX;
	if (write_all(to, &a, sizeof a) == 0)
		write_all(to, out, have);
	mem_wipe(out, sizeof out);
}

/* Until nobody is left who could ask. */
static void
serve(int fd, helper_run run, void *ctx)
{
	struct helper_request r;
	struct call c;
	pid_t us = getpid();
	ssize_t n;
	int *to;

	for (;;) {
		to = prepare(&c, &r);
		*to = -1;
		n = syscall(SYS_recvmsg, fd, &c.msg, MSG_CMSG_CLOEXEC);
		if (n == 0 || (n < 0 && errno != EINTR))
			return;
		if (n == (ssize_t)sizeof r && fork() == 0) {
			child_stay_with(us);
			answer(run, ctx, &r, *to);
			return;
		}
		if (n > 0)
			close(*to);
	}
}

static void
settle_in(bool quiet)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), i;

	/* Who waits for their end must not wait for us. */
	for (i = 0; i <= 1 + quiet; i++)
		dup2(null, i);
	/* The one that asks may want to end in peace. */
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	/* Nobody waits for those that answer. */
	signal(SIGCHLD, SIG_IGN);
}

int
helper_start(helper_run run, void *ctx, bool quiet, pid_t *pid)
{
	int end[2];

	if (syscall(SYS_socketpair, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0,
	    end) < 0)
		return -1;
	*pid = fork();
	if (*pid == 0) {
		close(end[0]);
		settle_in(quiet);
		serve(end[1], run, ctx);
		_exit(0);
	}
	close(end[1]);
	if (*pid > 0)
		return end[0];
	close(end[0]);
	return -1;
}

/* --- who asks --- */

/* All that comes before `end`; the bytes, or -1. */
static ssize_t
take(int fd, void *out, size_t size, int64_t end)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	size_t have = 0;
	int64_t left;
	ssize_t n = 1;

	while (have < size && n != 0) {
		left = end - clock_ms();
		if (left <= 0)
			return -1;
		if (poll(&p, 1, (int)left) <= 0)
			continue;
		n = read(fd, (char *)out + have, size - have);
		if (n > 0)
			have += (size_t)n;
		else if (n < 0 && errno != EINTR)
			return -1;
	}
	return (ssize_t)have;
}

long
helper_ask(int fd, const struct helper_request *r, char *out, size_t size,
    const char **why)
{
	int64_t end = clock_ms() + (COMMAND_SECONDS + 5) * (int64_t)1000;
	struct helper_request copy = *r;
	struct answer a;
	struct call c;
	int ends[2];

	*why = "cannot be run now";
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -1;
	*prepare(&c, &copy) = ends[1];
	/* Not sent, and without an answer, the pipe just ends. */
	syscall(SYS_sendmsg, fd, &c.msg, MSG_NOSIGNAL);
	close(ends[1]);
	if (take(ends[0], &a, sizeof a, end) == (ssize_t)sizeof a) {
		if (size > HELPER_MAX)
			size = HELPER_MAX;
		*why = take(ends[0], out, size, end) < 0 ? *why :
		    command_why(a.status);
	}
	close(ends[0]);
	return *why == NULL ? a.n : -1;
}
