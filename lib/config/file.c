#include "lib/config/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static int
exit_of(int err)
{
	switch (err) {
	case EACCES:
	case EPERM:
		return EXIT_NOPERM;
	case EMFILE:
	case ENFILE:
	case ENOMEM:
		return EXIT_OS;
	default:
		return EXIT_CONFIGURATION;
	}
}

int
file_open(const char *what, const char *path, struct stat *st,
    struct result *res)
{
	const char *gap = *what ? " " : "";
	int fd, err;

	/* O_NONBLOCK: the open of a FIFO must come back to be refused. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd >= 0 && fstat(fd, st) == 0) {
		if (S_ISREG(st->st_mode))
			return fd;
		result_fail(res, EXIT_CONFIGURATION,
		    "%s%s%.300s is not a regular file", what, gap, path);
		errno = EINVAL;
	} else {
		err = errno;
		result_fail(res, exit_of(err), "%s%s%.300s cannot be read: %s",
		    what, gap, path, strerror(err));
		errno = err;
	}
	if (fd >= 0) {
		err = errno;
		close(fd);
		errno = err;
	}
	return -1;
}

ssize_t
file_read(int fd, void *buf, size_t size)
{
	char *p = buf;
	size_t have = 0;
	ssize_t n;

	while (have < size) {
		n = read(fd, p + have, size - have);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		have += (size_t)n;
	}
	return (ssize_t)have;
}
