/* Writing all of it. */
#ifndef SENDROUTE_WRITE_H
#define SENDROUTE_WRITE_H

#include <stddef.h>

/* write_all(fd, data, n): 0, or -1 with errno set. */
int write_all(int fd, const void *data, size_t n);

#endif
