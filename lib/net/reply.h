/*
 * Replies of an SMTP server (RFC 5321 section 4.2), read strictly.
 */
#ifndef SENDROUTE_REPLY_H
#define SENDROUTE_REPLY_H

#include "lib/base/log.h"
#include "lib/net/stream.h"

enum {
	REPLY_LINE = 2048,		/* RFC 5321 asks for 512 */
	REPLY_LINES = 128, REPLY_BYTES = 65536
};

struct reply {
	int code;			/* 200..599 */
	char text[400];			/* behind the code, lines joined by ' ' */
};

/*
 * reply_read(s, log, r, each, ctx): read a whole reply: every line three digits,
 * then a blank, a hyphen or nothing, the same code in all of them; control bytes
 * in it become '?'. each, when not NULL, sees every line's text. Returns 0; or -1
 * with the reason kept in the stream, also for what is no reply.
 */
int reply_read(struct stream *s, struct log *log, struct reply *r,
    void (*each)(void *ctx, const char *text), void *ctx);

#endif
