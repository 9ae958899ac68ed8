/*
 * The alias file: who gets the mail of a local name.
 *
 *   # A comment.  A line that begins with a blank continues the one before.
 *   root: alice@example.com, "Bob, B." <bob@example.com>,
 *       carol			# a comment, too: behind a blank
 *   "mail er": root		# quotes, for blanks, ':' and '@'
 *   ops: \ops, :include:/etc/ops	# the name itself; the targets in a file
 *   default: admin@example.com	# every local name that has no alias
 *
 * Names match in any letter case; of two lines with one name the first counts.
 * Looked up are bare names and those at `hostname`; those at `domain` too, but
 * `default` never catches them. So are targets in their turn, unless a \ stands
 * before them; a target that is the very name it stands for is final, as is one
 * from which `default` leads back. Any other way back is a loop, and an error.
 * In a file that is included every line is a list of targets, and none continues
 * another.
 * Commands (|...) and files (/...) are refused when mail is to go there; what a
 * message has no need of is not judged.
 */
#ifndef SENDROUTE_ALIASES_H
#define SENDROUTE_ALIASES_H

#include "lib/base/result.h"
#include "lib/config/config.h"
#include "lib/mail/address.h"

enum {
	ALIASES_DEPTH_MAX = 10,		/* aliases and files in one another */
	ALIASES_TARGETS_MAX = 1000,	/* of one message, at all depths */
	ALIASES_TEXT_MAX = 1000		/* bytes of one name or one target */
};

struct aliases {
	const char *file;		/* as errors name it; NULL: there is none */
	const char *hostname, *domain;
	int fd;				/* open for reading, or -1: not yet */
	size_t at;			/* the recipient it failed for */
	size_t targets;			/* met in the last expansion */
};

/* aliases_init(a, c): the file of the configuration, which must live on. */
void aliases_init(struct aliases *a, const struct config *c);

/*
 * aliases_open(a, res): open a->file, for a process that drops privilege before
 * it expands (files that are included are opened later). Returns 0; or -1 with
 * res->exit 77 (may not be read), 71 (out of descriptors) or 78 (missing, not a
 * regular file).
 */
int aliases_open(struct aliases *a, struct result *res);

/* aliases_close(a): fine when it is not open. */
void aliases_close(struct aliases *a);

/*
 * aliases_include(a): does the file name others anywhere? Before it is open, as the
 * process may read it now.
 */
bool aliases_include(const struct aliases *a);

/*
 * aliases_expand(a, rcpts, res): put in place of every local recipient what its
 * alias leads to; order stays, duplicates go. The file is read with constant
 * memory, once for every name looked up, and opened here when it is not yet
 * and there is a local recipient. Returns 0; or -1 with res->exit as above, 78
 * also for what is wrong in the file where it was read (FILE:LINE, a loop with
 * all its names), or 71 (no memory); rcpts is then as it was.
 */
int aliases_expand(struct aliases *a, struct addr_list *rcpts,
    struct result *res);

/*
 * aliases_apply(a, rcpts, res): the same for whoever has one message after the
 * other: the recipient is named when it fails, a file that was opened here is
 * closed again, and without a file nothing happens.
 */
int aliases_apply(struct aliases *a, struct addr_list *rcpts,
    struct result *res);

#endif
