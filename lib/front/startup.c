#include "lib/front/startup.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/base/result.h"
#include "lib/base/sandbox.h"

/*
 * Descriptors 0 to 2 must be taken, lest the message be written into our own
 * files. Standard input is made unreadable: to read it is then an error.
 */
static void
hold_standard_files(void)
{
	int fd;

	/* What else the caller has open is his: a lock, the end of a pipe. */
#ifdef SYS_close_range
	if (syscall(SYS_close_range, 3, ~0U, 0) < 0)
#endif
		for (fd = 3; fd < 256; fd++)
			close(fd);
	/* A folder can be neither read nor written: there may be no /dev. */
	for (fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF &&
		    open("/dev/null", O_WRONLY) < 0 && open("/", O_RDONLY) < 0)
			_exit(EXIT_OS);
}

void
startup(void)
{
	hold_standard_files();
#ifndef NO_SANDBOX
	sandbox_harden();
#endif
	/* Both are errors of a write then, with a line that says so. */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
}
