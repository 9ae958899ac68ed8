/*
 * Intake: the message is read once, to its end, through the line-end machine
 * and the header into the spool.
 */
#ifndef SENDROUTE_INTAKE_H
#define SENDROUTE_INTAKE_H

#include "lib/mail/header.h"
#include "lib/mail/lines.h"
#include "lib/mail/message.h"

struct intake {
	struct header_policy header;
	enum lone_dot dot;
	uint64_t max_size;		/* bytes of the stored message; 0: none */
	const char *tmpdir;		/* or NULL */

	/* Results, beside those in the message. */
	struct addr_list rcpts;		/* found with take_rcpts; the caller's */
	bool has_nul;			/* NUL bytes became spaces */
	bool kept_long;			/* signed: long lines were left alone */
};

/*
 * intake_read(in, fd, m, res): fill m->spool and m->identities from fd. Returns
 * 0; or -1 with res->exit 65 (unusable), 69 (non-ASCII address), 71, 73, 74 (fd
 * or spool cannot be read or written): then nothing may be sent.
 */
int intake_read(struct intake *in, int fd, struct message *m,
    struct result *res);

#endif
