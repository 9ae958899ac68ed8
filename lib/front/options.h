/*
 * The command line of the sendmail personality (sendroute(8)). Parsing is
 * pure: nothing is opened, looked up or printed.
 */
#ifndef SENDROUTE_OPTIONS_H
#define SENDROUTE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/result.h"

enum mode {
	MODE_DELIVER,		/* -bm, the default */
	MODE_SMTP,		/* -bs */
	MODE_LIST,		/* -bp, mailq */
	MODE_VERIFY,		/* -bv */
	MODE_ALIASES,		/* -bi, -I, newaliases */
	MODE_QUEUE_RUN,		/* -q... */
	MODE_CHECK, MODE_LIST_VERIFIED, MODE_DELETE, MODE_REQUEUE,
	MODE_DKIM_KEYGEN, MODE_VERIFY_DKIM,
	MODE_VERSION, MODE_HELP
};

struct options {
	enum mode mode;
	bool take_rcpts;		/* -t */
	bool ignore_dots;		/* -i */
	bool verbose, dry_run, json;
	const char *from;		/* -f, -r; NULL: not given */
	const char *full_name;		/* -F */
	const char *config;		/* -C */
	const char *dsn_notify, *dsn_ret, *dsn_envid;	/* -N -R -V */
	char delivery;			/* -odX: 'i', 'b', 'q'; 0: not given */
	const char *queue;		/* what stands behind -q */
	const char *value;		/* of --write, --delete, --requeue, ... */
	const char *const *rcpts;	/* recipients as given */
	size_t nrcpts;
};

/*
 * options_parse(argc, argv, o, res): argv is permuted so that o->rcpts, its
 * end, holds the recipients; all strings point into argv. 0; or -1 with exit 64
 * and the option named.
 */
int options_parse(int argc, char **argv, struct options *o,
    struct result *res);

/* What --help prints. */
extern const char options_help[];

#endif
