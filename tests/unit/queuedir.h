/*
 * A queue in a temporary folder, and what lies in it.
 */
#ifndef SENDROUTE_TEST_QUEUEDIR_H
#define SENDROUTE_TEST_QUEUEDIR_H

#include "lib/base/buf.h"
#include "lib/store/queue.h"

#define QUEUEDIR_BODY "Subject: x\r\n\r\nhello\r\n"

struct queuedir {
	char path[40];
	struct queue q;
};

/* A message to be queued: what is zero is what most tests want. */
struct queued {
	const char *id;			/* NULL: a fresh one */
	const char *from;		/* NULL: alice@example.com */
	/*
	 * Separated by blanks, each behind its state: "-bob@x.example +eve@...";
	 * NULL: -bob@example.net.
	 */
	const char *rcpts;
	const char *notify;		/* for each of them; or NULL */
	int64_t born, next;		/* 0: now */
	unsigned tries;
	bool warned;
};

/* Each fails the test when it cannot do its work. */
void queuedir_open(struct queuedir *d);
void queuedir_close(struct queuedir *d);

/* Fill m, a message that is in no file yet. message_free(m) afterwards. */
void queuedir_message(struct message *m, const struct queued *what);

/* Put a message into queue/; its id goes to `id`. */
void queuedir_add(struct queuedir *d, const struct queued *what, char id[24]);

/* The states of a message's recipients, "-+!x"; "" when it is not there. */
const char *queuedir_states(struct queuedir *d, enum queue_folder in,
    const char *id, char states[40]);

/* Its fixed fields, by queue_peek. */
struct queuefile queuedir_fields(struct queuedir *d, const char *id);

/*
 * Files below `folder` (queue, tmp, failed, box/new, ...): how many; the last name
 * in `name`, unless that is NULL. No such folder: -1.
 */
int queuedir_count(const struct queuedir *d, const char *folder,
    char name[300]);

/* Path of a file; its contents; write such a file. */
const char *queuedir_path(const struct queuedir *d, const char *file,
    char path[400]);
void queuedir_slurp(const struct queuedir *d, const char *file, struct buf *b);
void queuedir_write(const struct queuedir *d, const char *file,
    const void *text, size_t n);

/* How often `part` is in the file. */
int queuedir_grep(const struct queuedir *d, const char *file,
    const char *part);

#endif
