/*
 * A message that stays in the file where it lies: its line ends become CRLF
 * while it is read (lines.h), each time anew. Made for reading front to back, as
 * often as one likes.
 */
#ifndef SENDROUTE_INPLACE_H
#define SENDROUTE_INPLACE_H

#include <sys/types.h>

struct inplace;

/*
 * inplace_new(fd, start): the message from that offset to the file's present
 * end; fd must outlive it. NULL: no memory. Ends with free().
 */
struct inplace *inplace_new(int fd, off_t start);

/*
 * inplace_read(p, data, n, at, size): up to n > 0 bytes of the converted message
 * from `at` on, which must be less than its size. Returns their number; -1 when
 * the file cannot be read or is no longer what it was (errno EIO).
 */
ssize_t inplace_read(struct inplace *p, void *data, size_t n, off_t at,
    off_t size);

#endif
