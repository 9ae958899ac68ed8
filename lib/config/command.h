/*
 * Commands whose output is wanted: passwords, credentials.
 */
#ifndef SENDROUTE_COMMAND_H
#define SENDROUTE_COMMAND_H

#include <stddef.h>

enum { COMMAND_SECONDS = 60 };

/*
 * command_output(argv, quiet, out, size, why): run argv[0], looked for along PATH,
 * and take what it prints until it ends, 60 s at most; then it is killed with all
 * that it started. It inherits `environ`, which must hold nothing that is not to
 * be trusted; quiet: its stderr goes nowhere. Returns the bytes printed, of which
 * the first `size` are kept in out; or -1 with *why set: not found, failed, killed.
 */
long command_output(char *const argv[], int quiet, char *out, size_t size,
    const char **why);

#endif
