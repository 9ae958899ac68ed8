/*
 * TXT records, from the DNS or from a file.
 */
#ifndef SENDROUTE_TXT_H
#define SENDROUTE_TXT_H

#include "lib/base/buf.h"

enum { TXT_FOUND = 1, TXT_NONE = 0, TXT_NO_ANSWER = -1 };

/* txt_find(name, text): add the strings of the first record, joined. */
int txt_find(const char *name, struct buf *text);

/* txt_find_in(fd, name, text): the same from a file's lines "name text". */
int txt_find_in(int fd, const char *name, struct buf *text);

/* txt_read(answer, n, text): of a packet. TXT_FOUND or TXT_NONE. */
int txt_read(const unsigned char *answer, size_t n, struct buf *text);

#endif
