/*
 * Opening and reading the small files that configure us.
 */
#ifndef SENDROUTE_FILE_H
#define SENDROUTE_FILE_H

#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "lib/base/result.h"

/*
 * file_open(what, path, st, res): open a regular file for reading and fill st.
 * `what` and a blank stand before the path in the text; "" is fine. Returns the
 * descriptor; or -1 with errno kept and res filled (exit 77 when it may not be
 * read, 71 when the system has run out of something, else 78).
 */
int file_open(const char *what, const char *path, struct stat *st,
    struct result *res);

/*
 * file_read(fd, buf, size): until buf is full or the file ends. Returns the
 * number of bytes, or -1 with errno set.
 */
ssize_t file_read(int fd, void *buf, size_t size);

#endif
