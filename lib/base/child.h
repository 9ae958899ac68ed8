/*
 * A child process whose standard output is read to its end.
 */
#ifndef SENDROUTE_CHILD_H
#define SENDROUTE_CHILD_H

#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct child {
	pid_t pid;
	int fd;			/* its standard output comes out here */
	struct sigaction before;	/* of SIGCHLD */
};

enum { CHILD_LATE = -2 };	/* no status of wait(2) */

/*
 * child_fork(c): as fork(2): 1 here; 0 in the child, which leads a process group,
 * has the pipe as its standard output and signals as by default, and dies when
 * we die; -1 with errno set. Every child is ended with child_collect().
 */
int child_fork(struct child *c);

/*
 * child_stay_with(parent): die when that process does, or now if it has. Again
 * after ids have changed: the kernel then forgets it.
 */
void child_stay_with(pid_t parent);

/*
 * child_collect(c, end, take, ctx): hand what it prints to take() until it has
 * ended, even when something that it started keeps the pipe open. When clock_ms()
 * reaches `end` it is killed with its group. Returns the status that wait(2)
 * gives, or CHILD_LATE.
 */
int child_collect(struct child *c, int64_t end,
    void (*take)(void *ctx, const char *data, size_t n), void *ctx);

#endif
