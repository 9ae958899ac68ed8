/*
 * What this process and all that it starts can do from some moment on: no other
 * program, no new code, no other files than those allowed, few system calls. What
 * the kernel does not know is left out.
 */
#ifndef SENDROUTE_SANDBOX_H
#define SENDROUTE_SANDBOX_H

#include <stdbool.h>

struct sandbox {
	int rules;		/* descriptor; -1: files are not restricted */
	int abi;		/* of Landlock; 0: it is not there */
	bool filter;		/* system calls are filtered */
};

/*
 * sandbox_harden(): no core dump; nobody but root can look into the process, nor
 * at its environment. Before secrets are read.
 */
void sandbox_harden(void);

/* sandbox_begin(s): no file is allowed yet. */
void sandbox_begin(struct sandbox *s);

/*
 * sandbox_allow(s, path, write): the file, or the folder with all beneath it, may
 * be read; with `write` also changed, made, renamed and removed. Through symbolic
 * links to what they lead to now. No path, or none there: nothing. 0, or -1 when
 * it is not there.
 */
int sandbox_allow(const struct sandbox *s, const char *path, bool write);

/*
 * sandbox_enter(s): for good. Needs sandbox_begin() before. Descriptors that are
 * open keep their rights. s says what is in force.
 */
void sandbox_enter(struct sandbox *s);

#endif
