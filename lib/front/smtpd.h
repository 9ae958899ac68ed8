/*
 * sendmail -bs: an SMTP server (RFC 5321) for the one program that started us.
 */
#ifndef SENDROUTE_SMTPD_H
#define SENDROUTE_SMTPD_H

#include <stdint.h>
#include <stdio.h>

#include "lib/front/submit.h"
#include "lib/mail/aliases.h"

/* How long a client may take for one command or block of data (4.5.3.2.7). */
enum { SMTPD_PATIENCE = 300 * 1000 };

struct smtpd {
	const struct delivery *delivery;
	struct submission *submission;	/* where messages go; or NULL: */
	void (*deliver)(const struct delivery *d, struct message *m);
	struct aliases *aliases;
	const char *sender;	/* of a From to add, when MAIL gives none */
	const char *full_name;	/* of a From to add, or NULL */
	const char *tmpdir;	/* or NULL */
	int in;
	FILE *out;
	int64_t patience;	/* milliseconds */
};

/*
 * smtpd_run(d): the whole session. Each message is read to its end, handed to
 * d->deliver, and answered: at once when it is safe in the queue, else by what
 * became of its recipients; a recipient whose
 * alias is broken is refused before that, by itself. Returns the exit
 * status: 0 after QUIT or the end of input, 74 when a side cannot be read or
 * written, 75 when the client was silent for too long.
 */
int smtpd_run(const struct smtpd *d);

#endif
