/*
 * A command line without a shell.
 */
#ifndef SENDROUTE_PROCESS_H
#define SENDROUTE_PROCESS_H

#include "lib/aws/profile.h"

enum {
	PROCESS_WORDS = 64,
	PROCESS_PROFILES = 8		/* a chain of source_profile */
};

/*
 * process_split(s, argv, max): cut s up in place as Python's shlex.split does: words
 * stand between blanks; '...' is literal; in "..." a backslash quotes \ and ", and
 * elsewhere any character. argv ends with NULL. 0; or -1: no word, max words or more,
 * or a quote or a backslash without its end.
 */
int process_split(char *s, char *argv[], int max);

/*
 * process_run(line, quiet, out, size, n): run a credential_process; as
 * command_run().
 */
int process_run(const char *line, int quiet, char *out, size_t size, long *n);

/*
 * process_profiles(a, see, ctx): the route's profile, its source_profile and so on,
 * until see() returns false.
 */
void process_profiles(const struct aws *a, bool (*see)(void *ctx,
    const struct profile *p), void *ctx);

#endif
