/*
 * The reading half of lib/net/http.h: for http.c alone.
 */
#ifndef SENDROUTE_HTTP_REPLY_H
#define SENDROUTE_HTTP_REPLY_H

#include "lib/net/http.h"

/*
 * http_reply_read(s, r, torn): skip interim replies, read the final one with its
 * body until s->deadline. torn: the connection has failed already, so that its
 * end does not tell where a body ends. 0; or -1 with the reason in the stream
 * and r->began valid.
 */
int http_reply_read(struct stream *s, struct http_reply *r, bool torn);

/* http_has_control(p): does p hold a control character other than a tab? */
bool http_has_control(const char *p);

#endif
