/*
 * Commands that the configuration names, run for a process that can run none any
 * more by one that was forked before it gave that up. What is to be run goes by its
 * number, never by its text.
 */
#ifndef SENDROUTE_HELPER_H
#define SENDROUTE_HELPER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { HELPER_MAX = 16384 };		/* bytes of output that are kept */

struct helper_request {
	uint32_t route;			/* its place in the configuration */
	int32_t profile;		/* -1: password-command; else
					 * credential_process of the profile so
					 * many source_profiles away */
};

/* Runs it: as command_run(). */
typedef int (*helper_run)(void *ctx, const struct helper_request *r, char *out,
    size_t size, long *n);

/*
 * helper_start(run, ctx, quiet, pid): fork the helper, which ends with the last
 * process that has the descriptor returned; or -1. quiet: it holds no stderr of ours.
 */
int helper_start(helper_run run, void *ctx, bool quiet, pid_t *pid);

/*
 * helper_ask(fd, r, out, size, why): the bytes printed, of which the first `size`
 * are kept in out; or -1 with *why set. Any process that has fd may ask.
 */
long helper_ask(int fd, const struct helper_request *r, char *out, size_t size,
    const char **why);

#endif
