/*
 * The file of a queued message: text, so that a person can read it.
 *
 *   sendroute queue 1
 *   born 00000000001764000000     seconds since 1970
 *   next 00000000001764000300     when it is due
 *   tries 0000000001              attempts made
 *   size 00000000000000002048     bytes of the message
 *   flags 8h.lupw-----            see queuefile.c
 *   uid 0000001000                who submitted it
 *   from alice@example.com        nothing behind the blank: the null sender
 *   ret FULL, envid ID            when given (RFC 3461)
 *   identity alice@example.com    each mailbox of From and Sender
 *   last 450 4.2.1       TEXT     the last result of the recipient below
 *   rcpt - bob@example.net        its state; see enum rcpt_state
 *   notify NEVER, orcpt X         when given
 *
 *   MESSAGE                       behind an empty line
 *
 * Header lines end in LF. The fields of fixed width, the states among them, are
 * overwritten in place; nothing else ever changes.
 */
#ifndef SENDROUTE_QUEUEFILE_H
#define SENDROUTE_QUEUEFILE_H

#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/mail/message.h"

/* What the file says beside the message itself. */
struct queuefile {
	int64_t born, next;
	unsigned tries;
	unsigned long uid;
	bool warned;			/* a delay notice was sent */
};

enum { QUEUEFILE_FIXED = 147 };		/* bytes up to the end of `uid` */

/*
 * queuefile_head(f, m, out): the header for the message m, its empty line
 * included, and rcpts[i].mark set. Memory: out->failed.
 */
void queuefile_head(const struct queuefile *f, struct message *m,
    struct buf *out);

/*
 * queuefile_fixed(text, n, f, size): read the fields up to `uid` from the first
 * bytes of a file. 0, or -1: it is no queue file, or damaged.
 */
int queuefile_fixed(const char *text, size_t n, struct queuefile *f,
    off_t *size);

/*
 * queuefile_read(fd, f, m, res): all of the header of an open file. Fills f and
 * of m born, env, identities, pristine and spool (which takes no part in closing
 * fd when this fails). 0; or -1 with res saying what is wrong: the file cannot be
 * read, is damaged, or is shorter than its size.
 */
int queuefile_read(int fd, struct queuefile *f, struct message *m,
    struct result *res);

/*
 * In place; 0, or -1 with errno. queuefile_put_size: size and flags, once the
 * message has been stored. queuefile_put_schedule: born, next, tries and warned.
 * queuefile_put_last: the text of a recipient's result. queuefile_put_state: its
 * state. None of them syncs.
 */
int queuefile_put_size(int fd, const struct queuefile *f,
    const struct message *m);
int queuefile_put_schedule(int fd, const struct queuefile *f,
    const struct message *m);
int queuefile_put_last(int fd, const struct rcpt *r);
int queuefile_put_state(int fd, const struct rcpt *r);

#endif
