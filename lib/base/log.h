/*
 * Where the program speaks: stderr for the caller, the log for the operator,
 * the trace of -v. Nothing here can fail a mail: what cannot be written is
 * dropped.
 */
#ifndef SENDROUTE_LOG_H
#define SENDROUTE_LOG_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/buf.h"

enum log_target { LOG_TO_SYSLOG, LOG_TO_NONE, LOG_TO_FILE };

struct log {
	enum log_target target;
	int fd;			/* file or syslog's socket; -1: none */
	bool trace;		/* -v: conversation to stderr */
	bool quiet;		/* qmail-remote: stderr stays silent */
};

/*
 * log_open(l, target, file): opens `file` for appending when target says so
 * (created 0640); its failure is kept silently. log_close(l) closes it.
 */
void log_open(struct log *l, enum log_target target, const char *file);
void log_close(struct log *l);

/* log_write(l, fmt, ...): one line to the log; control bytes become '?'. */
void log_write(struct log *l, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* log_error(l, fmt, ...): one line "sendroute: ..." to stderr. */
void log_error(struct log *l, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* log_trace(l, fmt, ...): one line to stderr under -v; l may be NULL. */
void log_trace(struct log *l, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * log_pair(b, key, value): append ` key=value`, without the blank at the start
 * of b. A value that is empty or holds blanks, quotes or '=' is quoted, with
 * \" and \\ inside; control bytes become '?'.
 */
void log_pair(struct buf *b, const char *key, const char *value);

#endif
