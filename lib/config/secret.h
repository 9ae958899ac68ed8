/*
 * Passwords and keys: given in the configuration, in a file of their own, or
 * printed by a command.
 */
#ifndef SENDROUTE_SECRET_H
#define SENDROUTE_SECRET_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/log.h"
#include "lib/base/result.h"

enum { SECRET_MAX = 4096 };

/*
 * err.text is set (and value NULL) when the secret could not be had from its
 * file; the route is then unusable, the others are not.
 */
struct secret {
	char *file;		/* absolute path, or NULL */
	char *command;		/* password-command: for /bin/sh -c, or NULL */
	char *value;		/* or NULL */
	int helper;		/* who runs the command; 0: we do */
	uint32_t route;		/* as it knows it */
	struct result err;
};

/*
 * secret_read(what, path, max, n, log, res): the n bytes of a file of at most max
 * bytes, with a NUL behind them; the caller wipes and frees. A file that others
 * can write is refused; one that others can read is warned about in the log,
 * unless that is NULL. `what` stands before the path. NULL: res is filled (exit 77
 * when it may not be read, else 78).
 */
char *secret_read(const char *what, const char *path, size_t max, size_t *n,
    struct log *log, struct result *res);

/*
 * secret_open(s, what, log): read s->file, when there is one, into s->value
 * (one trailing line end dropped). A file that others can write is refused, one
 * that others can read is warned about in the log. A failure is kept in s->err
 * (exit 77 when it may not be read, else 78). `what` stands before the path.
 */
void secret_open(struct secret *s, const char *what, struct log *log);

/*
 * secret_get(s, what, res): the secret's value, running `command` now when
 * there is one (first line of its output; 60 s at most). It inherits `environ`,
 * which must hold nothing that is not to be trusted. Returns a heap string that
 * the caller wipes and frees with str_wipe_free; or NULL with res filled
 * (OUT_TEMP, CAUSE_OPERATOR). `what` names it in the text.
 */
char *secret_get(const struct secret *s, const char *what, struct result *res);

/* secret_exit(why): 71 when there was no memory for it, else 78. */
int secret_exit(const char *why);

/* secret_run(command, out, size, n): what /bin/sh makes of it; as command_run(). */
int secret_run(char *command, char *out, size_t size, long *n);

/* secret_free(s): wiped and freed; an empty s is fine. */
void secret_free(struct secret *s);

#endif
