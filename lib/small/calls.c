/*
 * System calls as the kernel has them. The C library's own go round kernels and
 * threads that are not met here: 5 KiB. Only for the processor whose structures
 * are the kernel's; of an int the kernel looks at the int.
 */
#define _GNU_SOURCE		/* pipe2, mremap */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#if defined(__x86_64__) && !defined(__ILP32__) && !defined(__GLIBC__)

pid_t
fork(void)
{
	return (pid_t)syscall(SYS_fork);
}

extern char **environ;

char *
getenv(const char *name)
{
	size_t n = strlen(name);
	char **e;

	for (e = environ; *e; e++)
		if (strncmp(*e, name, n) == 0 && (*e)[n] == '=')
			return *e + n + 1;
	return NULL;
}

/* --- files --- */

int
openat(int folder, const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list ap;

	if (flags & O_CREAT) {
		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		va_end(ap);
	}
	return (int)syscall(SYS_openat, folder, path, flags, mode);
}

int
open(const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list ap;

	if (flags & O_CREAT) {
		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		va_end(ap);
	}
	return (int)syscall(SYS_open, path, flags, mode);
}

int
mkstemp(char *path)
{
	char *x = path + strlen(path) - 6;
	unsigned char random[6];
	int fd, i;

	do {
		if (getrandom(random, sizeof random, 0) < 0)
			return -1;
		for (i = 0; i < 6; i++)
			x[i] = (char)('a' + random[i] % 26);
		fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
	} while (fd < 0 && errno == EEXIST);
	return fd;
}

int
fstatat(int folder, const char *restrict path, struct stat *restrict st,
    int flags)
{
	return (int)syscall(SYS_newfstatat, folder, path, st, flags);
}

int
stat(const char *restrict path, struct stat *restrict st)
{
	return (int)syscall(SYS_stat, path, st);
}

int
lstat(const char *restrict path, struct stat *restrict st)
{
	return (int)syscall(SYS_lstat, path, st);
}

int
fstat(int fd, struct stat *st)
{
	return (int)syscall(SYS_fstat, fd, st);
}

/* Nobody here locks parts of files: the argument is a number. */
int
fcntl(int fd, int command, ...)
{
	va_list ap;
	long value;

	va_start(ap, command);
	value = va_arg(ap, long);
	va_end(ap);
	return (int)syscall(SYS_fcntl, fd, command, value);
}

int
fchmod(int fd, mode_t mode)
{
	return (int)syscall(SYS_fchmod, fd, mode);
}

int
fchown(int fd, uid_t user, gid_t group)
{
	return (int)syscall(SYS_fchown, fd, user, group);
}

int
pipe2(int ends[2], int flags)
{
	return (int)syscall(SYS_pipe2, ends, flags);
}

int
socket(int family, int type, int protocol)
{
	return (int)syscall(SYS_socket, family, type, protocol);
}

char *
getcwd(char *path, size_t size)
{
	return syscall(SYS_getcwd, path, size) > 0 && *path == '/' ? path :
	    NULL;
}

int
gethostname(char *name, size_t size)
{
	struct utsname it;

	if (uname(&it) < 0)
		return -1;
	strncpy(name, it.nodename, size);
	return 0;
}

/* --- memory, limits, signals, time --- */

void *
mmap(void *where, size_t n, int access, int flags, int fd, off_t at)
{
	return (void *)syscall(SYS_mmap, where, n, (long)access,
	    (long)flags, (long)fd, at);
}

void *
mremap(void *p, size_t was, size_t n, int flags, ...)
{
	return (void *)syscall(SYS_mremap, p, was, n, (long)flags);
}

int
getrlimit(int which, struct rlimit *limit)
{
	return (int)syscall(SYS_getrlimit, which, limit);
}

/* As the kernel has it; it comes back from a handler through `restore`. */
struct action {
	void (*handler)(int);
	unsigned long flags;
	void (*restore)(void);
	unsigned long mask;
};

extern void __restore_rt(void);

int
sigaction(int number, const struct sigaction *restrict sa,
    struct sigaction *restrict old)
{
	struct action new, was;

	if (sa) {
		new = (struct action){ sa->sa_handler,
			(unsigned long)sa->sa_flags | SA_RESTORER, __restore_rt,
			0 };
		memcpy(&new.mask, &sa->sa_mask, sizeof new.mask);
	}
	if (syscall(SYS_rt_sigaction, number, sa ? &new : NULL, &was,
	    sizeof new.mask) < 0)
		return -1;
	if (old) {
		old->sa_handler = was.handler;
		old->sa_flags = (int)was.flags;
		memcpy(&old->sa_mask, &was.mask, sizeof was.mask);
	}
	return 0;
}

void
(*signal(int number, void (*handler)(int)))(int)
{
	struct sigaction sa = { .sa_handler = handler, .sa_flags = SA_RESTART };
	struct sigaction was;

	return sigaction(number, &sa, &was) < 0 ? SIG_ERR : was.sa_handler;
}

int
nanosleep(const struct timespec *wait, struct timespec *left)
{
	return (int)syscall(SYS_nanosleep, wait, left);
}

#endif
