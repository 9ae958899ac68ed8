/*
 * One run of the program: what it stands on, how that is read and opened, and how
 * what goes wrong is told. The modes (sendroute.c, accept.h, queue_mode.h) share it.
 */
#ifndef SENDROUTE_PROGRAM_H
#define SENDROUTE_PROGRAM_H

#include "lib/front/confine.h"
#include "lib/front/options.h"
#include "lib/front/submit.h"

/* Everything that one run of the program stands on. */
struct program {
	struct options options;
	struct config config;
	struct log log;
	struct aliases aliases;
	struct message message;
	struct queue queue;
	struct delivery delivery;
	struct submission submission;
	struct confine confine;
	char *login;			/* of the caller */
	bool qmail;			/* called as qmail-remote */
	bool set_id;			/* started with set-id privilege */
	uid_t uid;			/* what it was started with */
	gid_t gid;
};

/* program_variable(name): of the environment; NULL: not set, or empty. */
const char *program_variable(const char *name);

/*
 * program_env(p): how other rooms look at the environment. NULL with set-id
 * privilege: the caller's counts for nothing then.
 */
env_lookup program_env(const struct program *p);

/*
 * program_complain(p, res): say what went wrong, on stderr and in the log; without
 * words, a copy failed. Returns the exit status.
 */
int program_complain(struct program *p, const struct result *res);

/*
 * program_submits(p): is mail taken? It may be put into the queue with set-id
 * privilege, and nothing else may.
 */
bool program_submits(const struct program *p);

/*
 * program_is_configured(p): is there a configuration to load, -C FILE,
 * $SENDROUTE_CONF, the usual file or one that is compiled in?
 */
bool program_is_configured(const struct program *p);

/*
 * program_load(p, res): read the configuration and open what it names: log, secrets,
 * with set-id privilege the aliases. Of that privilege is left what the queue needs,
 * in p->uid and p->gid for queue_open(). 0; or -1 with exit 71, 77 or 78.
 */
int program_load(struct program *p, struct result *res);

/*
 * program_open_queue(p, res): program_load(), and the queue as the caller himself
 * may use it. 0; or -1, also with exit 78: none is configured.
 */
int program_open_queue(struct program *p, struct result *res);

/*
 * program_confine(p, reads, writes): enter the sandbox; see confine.h for the two
 * files, each or NULL. Nothing is opened from here on but what is known by now.
 */
void program_confine(struct program *p, const char *reads, const char *writes);

#endif
