/*
 * The sandbox that a run of the program works in: what the configuration says that
 * it needs, and nothing else.
 */
#ifndef SENDROUTE_CONFINE_H
#define SENDROUTE_CONFINE_H

#include "lib/aws/aws.h"
#include "lib/base/sandbox.h"
#include "lib/mail/aliases.h"

struct confine {
	struct config *config;
	env_lookup env;			/* NULL with set-id privilege */
	struct log *log;
	const struct aliases *aliases;	/* or NULL */
	const char *tmpdir;		/* or NULL */
	const char *reads, *writes;	/* another file to read; to make anew */
	bool background;		/* what is left behind holds no stderr */
	struct sandbox in_force;	/* out */
	pid_t helper;			/* out; 0: none */
};

/*
 * confine(c): all files that may have to be opened later are known by now, secrets
 * are read. Commands that the configuration names are run by a helper from here on.
 * `sandbox off`: nothing happens. confine_say(c): a line of --check, what is in
 * force.
 */
void confine(struct confine *c);
void confine_say(const struct confine *c);

/* confine_end(c): nothing more is to be run; see the helper off. */
void confine_end(struct confine *c);

#endif
