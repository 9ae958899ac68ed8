/*
 * The reading half of lib/net/http.h: for http.c, and for proxy.c its head.
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

/*
 * http_head_read(s, r): skip interim replies, read the head of the final one; what
 * follows it stays in s. 0, or -1 with the reason in s; the caller frees r.
 */
int http_head_read(struct stream *s, struct http_reply *r);

/* http_has_control(p): does p hold a control character other than a tab? */
bool http_has_control(const char *p);

#endif
