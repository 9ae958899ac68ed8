/*
 * Intake: the message is read once, to its end, through the line-end machine
 * and the header into the spool.
 */
#ifndef SENDROUTE_INTAKE_H
#define SENDROUTE_INTAKE_H

#include "lib/base/log.h"
#include "lib/mail/header.h"
#include "lib/mail/lines.h"
#include "lib/mail/message.h"

struct intake {
	struct header_policy header;
	enum lone_dot dot;
	uint64_t max_size;		/* bytes of the stored message; 0: none */
	const char *tmpdir;		/* or NULL */
	/*
	 * Called when the header is complete, before a byte of the message is
	 * stored; rcpts and m->identities are known then. Opens m->spool: a queue
	 * file, say. 0, or -1 with res filled. NULL: a temporary file it is.
	 */
	int (*begin)(void *ctx, struct intake *in, struct message *m,
	    struct result *res);
	void *begin_ctx;

	/* Results, beside those in the message. */
	struct addr_list rcpts;		/* found with take_rcpts; the caller's */
	bool has_nul;			/* NUL bytes became spaces */
	bool kept_long;			/* signed: long lines were left alone */
};

/*
 * intake_take(in, source, ctx, m, res): fill m->spool and m->identities with what
 * source gives: some of the next bytes, at most n; 0 at the end of the message;
 * -1, errno set, when it cannot be read. Returns 0; or -1 with res->exit 65
 * (unusable; over max_size the enhanced status is 5.3.4),
 * 71, 73, 74 (source or spool cannot be read or written): then nothing may be
 * sent. Source need not have come to its end then.
 */
int intake_take(struct intake *in,
    ssize_t (*source)(void *ctx, void *data, size_t n), void *ctx,
    struct message *m, struct result *res);

/* intake_read(in, fd, m, res): the same from a descriptor. */
int intake_read(struct intake *in, int fd, struct message *m,
    struct result *res);

/* intake_note(in, m, log): what was done to the message goes to the log. */
void intake_note(const struct intake *in, const struct message *m,
    struct log *log);

#endif
