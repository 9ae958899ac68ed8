/*
 * Commands whose output is wanted: passwords, credentials.
 */
#ifndef SENDROUTE_COMMAND_H
#define SENDROUTE_COMMAND_H

#include <stddef.h>

enum {
	COMMAND_SECONDS = 60,
	/* No statuses of wait(2); from NOT_BEGUN on downwards an errno is told. */
	COMMAND_UNUSABLE = -4, COMMAND_NOT_BEGUN = -10
};

/*
 * command_run(argv, quiet, out, size, n): run argv[0], looked for along PATH, and
 * take what it prints until it ends, 60 s at most; then it is killed with all that
 * it started. It inherits `environ`, which must hold nothing that is not to be
 * trusted; quiet: its stderr goes nowhere. *n: the bytes printed, of which the first
 * `size` are kept in out. Returns its status, which command_why(status) puts into
 * words: not found, failed, killed; NULL: it did well.
 */
int command_run(char *const argv[], int quiet, char *out, size_t size, long *n);
const char *command_why(int status);

#endif
