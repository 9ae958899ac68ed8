/*
 * The queue folder (sendroute(8), QUEUE):
 *
 *   tmp/ID      being written; renamed into queue/ once it is on the disk
 *   queue/ID    a message, until each recipient has its result
 *   failed/ID   neither deliverable nor bounceable; never removed by us
 *   rate.ROUTE  see rate.h
 *
 * Who works on a file holds flock(2) on it, from its creation on. A program with
 * set-id privilege holds the right to the folder only inside these functions.
 */
#ifndef SENDROUTE_QUEUE_H
#define SENDROUTE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "lib/base/result.h"
#include "lib/mail/message.h"
#include "lib/store/queuefile.h"

enum queue_folder { QUEUE_TMP, QUEUE_READY, QUEUE_FAILED, QUEUE_FOLDERS };

struct queue {
	const char *path;
	int dir;			/* path itself; -1: not open */
	int folder[QUEUE_FOLDERS];	/* -1: not open */
	uid_t uid;			/* who may use it; see queue_raise */
	gid_t gid;
	bool shared;			/* the folder's group may use it too */
	bool set_id;			/* uid and gid are not the caller's own */
	bool unsynced;			/* files were removed; see queue_sync */
};

/* A message's place in the queue. Zeroed: it has none. */
struct ticket {
	struct queue *q;
	struct message *m;
	struct queuefile f;
	enum queue_folder in;
};

/*
 * queue_open(q, path, res): path must be there, its folders are made when they
 * are missing. uid and gid: the effective ids that may use it. 0; or -1 with exit
 * 73: it is not there, or may not be used. queue_close(q): fine when not open.
 */
int queue_open(struct queue *q, const char *path, uid_t uid, gid_t gid,
    struct result *res);
void queue_close(struct queue *q);

/* queue_share(q, fd): what was made there has the folder's rights, umask or not. */
void queue_share(const struct queue *q, int fd, bool folder);

/*
 * queue_raise(q), queue_lower(q): take the right to the folder, and give it up
 * until the next time. They do nothing without set-id privilege.
 */
void queue_raise(const struct queue *q);
void queue_lower(const struct queue *q);

/*
 * queue_create(q, t, m, res): a locked file tmp/m->id that holds the envelope;
 * m->spool is open behind it and m->settled keeps results. 0; or -1 with exit 71,
 * 73 or 74 and nothing left behind.
 */
int queue_create(struct queue *q, struct ticket *t, struct message *m,
    struct result *res);

/*
 * queue_commit(t, res): the spool is finished; when this returns 0 the message is
 * on the disk, in queue/. -1 with exit 74: there is no file any more, but the
 * spool can still be read. -2: it may be there all the same.
 */
int queue_commit(struct ticket *t, struct result *res);

/*
 * queue_take(q, id, t, m, res): lock queue/id and read its envelope. 1; 0: it is
 * gone, or another process has it; -1 with res: it cannot be used and stays.
 * Given back by message_free(m).
 */
int queue_take(struct queue *q, const char *id, struct ticket *t,
    struct message *m, struct result *res);

/*
 * queue_look(q, in, id, t, m, res): the same for reading alone, without a lock and
 * from any folder.
 */
int queue_look(struct queue *q, enum queue_folder in, const char *id,
    struct ticket *t, struct message *m, struct result *res);

/*
 * queue_mark(t, rcpts, n): write the states of these recipients, and what was
 * last said of those that were not taken, to the disk. A message that was taken
 * for all is removed, which lasts with the next queue_sync(). What cannot be
 * written is tried again with the next state: at worst a message goes out twice.
 * m->settled calls it for TAKEN and REFUSED.
 */
void queue_mark(struct ticket *t, struct rcpt *const *rcpts, size_t n);

/*
 * queue_sync(q): what was removed stays so after a power cut. Once for all the
 * answers that came together; m->settled calls it before a wait.
 */
void queue_sync(struct queue *q);

/* queue_defer(t): write t->f and what was last said of who is waiting. */
void queue_defer(struct ticket *t);

/*
 * queue_remove(t): the file goes, and stays gone after a power cut. Also for what
 * was never committed. 0, or -1: it is still there.
 */
int queue_remove(struct ticket *t);

/* queue_fail(t): to failed/. 0, or -1: it stays where it is. */
int queue_fail(struct ticket *t);

/*
 * queue_delete(q, id, res): remove a message from queue/ or failed/.
 * queue_requeue(q, id, res): from failed/ to queue/, due at once, all that was
 * refused to be tried again; what is in queue/ already is only due at once. 0; or
 * -1 with exit 65 (no such message), 75 (another process has it), 77 or 74.
 */
int queue_delete(struct queue *q, const char *id, struct result *res);
int queue_requeue(struct queue *q, const char *id, struct result *res);

/*
 * queue_each(q, in, each, ctx): call each with every file name in a folder, in
 * no order, until it returns non-zero, which is returned. -1, errno set: the
 * folder cannot be read.
 */
int queue_each(struct queue *q, enum queue_folder in,
    int (*each)(void *ctx, const char *name), void *ctx);

/* queue_peek(q, id, f): the fixed fields of queue/id. 0, or -1. */
int queue_peek(struct queue *q, const char *id, struct queuefile *f);

/* queue_sweep(q): remove what was left in tmp/ more than a day ago. */
void queue_sweep(struct queue *q);

#endif
