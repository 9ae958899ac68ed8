/* Inside the sandbox: what must fail fails, what is needed works. */
#define _GNU_SOURCE
#include "lib/base/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { HELD = 0, NOT_HELD = 1, NO_FILTER = 2, NO_FILES = 3 };

static char dir[64];		/* out/secret out/list in/ in/a/ in/b/ */
static char path[128];
static pid_t outside;

/* _exit() as the sanitizers have it makes calls that nobody else needs. */
static void
leave(int status)
{
	for (;;)
		syscall(SYS_exit_group, status);
}

static const char *
in_dir(const char *name)
{
	snprintf(path, sizeof path, "%s/%s", dir, name);
	return path;
}

static void
put_file(const char *name)
{
	int fd = open(in_dir(name), O_WRONLY | O_CREAT, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, "x", 1), 1);
	close(fd);
}

static int
make(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	outside = getpid();
	snprintf(dir, sizeof dir, "%.40s/sandbox.XXXXXX", tmp ? tmp : "/tmp");
	if (mkdtemp(dir) == NULL)
		return -1;
	mkdir(in_dir("out"), 0755);
	mkdir(in_dir("in"), 0755);
	mkdir(in_dir("in/a"), 0755);
	mkdir(in_dir("in/b"), 0755);
	put_file("out/secret");
	put_file("out/list");
	put_file("in/old");
	return 0;
}

static int
unmake(void **state)
{
	static const char *const names[] = { "out/secret", "out/list", "in/old",
	    "in/new", "in/a/m", "in/b/m", "in/a", "in/b", "in/c", "in", "out" };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof names / sizeof names[0]; i++)
		remove(in_dir(names[i]));
	return rmdir(dir);
}

/* In a child that is in the sandbox: its status. 0: all held. */
static int
confined(int (*test)(const struct sandbox *s))
{
	struct sandbox s;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		sandbox_begin(&s);
		sandbox_allow(&s, in_dir("in"), true);
		sandbox_allow(&s, in_dir("out/list"), false);
		sandbox_allow(&s, in_dir("nothing"), true);
		sandbox_enter(&s);
		leave(test(&s));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) >= NO_FILTER)
		skip();
	return WEXITSTATUS(status);
}

#ifndef SYS_mmap	/* arm */
#define SYS_mmap SYS_mmap2
#endif

#define HOLDS(what) do { \
	errno = 0; \
	if (!(what)) { \
		dprintf(2, "%s:%d: %s: %s\n", __FILE__, __LINE__, #what, \
		    strerror(errno)); \
		return NOT_HELD; \
	} } while (0)

/* The call as it is, whatever the library would make of it. */
#define REFUSED(...) HOLDS(syscall(__VA_ARGS__) == -1 && errno == ENOSYS)

static int
refused_calls(const struct sandbox *s)
{
	char name[] = "/bin/true", *argv[] = { name, NULL };
	struct rlimit limit = { 10, 10 };

	if (!s->filter)
		return NO_FILTER;
	REFUSED(SYS_execve, name, argv, argv);
	REFUSED(SYS_execveat, AT_FDCWD, name, argv, argv, 0);
	REFUSED(SYS_ptrace, PTRACE_TRACEME, 0, NULL, NULL);
	REFUSED(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0);
	REFUSED(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
	REFUSED(SYS_unshare, CLONE_NEWUSER);
	REFUSED(SYS_bpf, 0, NULL, 0);
	REFUSED(SYS_perf_event_open, NULL, 0, -1, -1, 0);
	REFUSED(SYS_keyctl, 0, 0, 0, 0, 0);
	REFUSED(SYS_mount, "none", "/", "tmpfs", 0, NULL);
	REFUSED(SYS_fchmodat, AT_FDCWD, in_dir("in/old"), 0777);
	REFUSED(SYS_symlinkat, "/", AT_FDCWD, in_dir("in/new"));
	REFUSED(SYS_mknodat, AT_FDCWD, in_dir("in/new"), S_IFIFO, 0);
	REFUSED(SYS_prlimit64, 0, RLIMIT_NOFILE, &limit, NULL);
	REFUSED(SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0);
	REFUSED(SYS_prctl, PR_SET_MM, 0, 0, 0, 0);
	REFUSED(SYS_mmap, 0, 4096, PROT_READ | PROT_EXEC,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	REFUSED(SYS_mprotect, dir, 1, PROT_EXEC);
	REFUSED(SYS_ioctl, 0, TIOCSTI, "x");
	REFUSED(SYS_listen, 0, 1);
	REFUSED(SYS_socket, AF_PACKET, SOCK_RAW, 0);
	REFUSED(SYS_socket, AF_NETLINK, SOCK_RAW, 0);
	REFUSED(SYS_socket, AF_VSOCK, SOCK_STREAM, 0);
	REFUSED(100000);
#ifdef __x86_64__	/* the same call by the other numbers of that machine */
	REFUSED(SYS_write | 0x40000000, 2, "x32\n", 4);
#endif
	return HELD;
}

static int
refused_files(const struct sandbox *s)
{
	if (s->abi == 0)
		return NO_FILES;
	HOLDS(open(in_dir("out/secret"), O_RDONLY) < 0 && errno == EACCES);
	HOLDS(open("/etc/passwd", O_RDONLY) < 0 && errno == EACCES);
	HOLDS(open("/etc", O_RDONLY | O_DIRECTORY) < 0 && errno == EACCES);
	HOLDS(open(in_dir("out/list"), O_WRONLY) < 0 && errno == EACCES);
	HOLDS(open(in_dir("out/new"), O_WRONLY | O_CREAT, 0644) < 0 &&
	    errno == EACCES);
	HOLDS(unlink(in_dir("out/list")) < 0 && errno == EACCES);
	HOLDS(mkdir(in_dir("out/new"), 0755) < 0 && errno == EACCES);
	HOLDS(rmdir(in_dir("in/b")) < 0);
	/* Not even from where we may write. */
	HOLDS(open(in_dir("in/../out/secret"), O_RDONLY) < 0);
	if (s->abi >= 6)
		HOLDS(kill(outside, 0) < 0 && errno == EPERM);
	return HELD;
}

static int
needed_files(const struct sandbox *s)
{
	char to[128];
	int fd, a;

	(void)s;
	HOLDS((fd = open(in_dir("out/list"), O_RDONLY)) >= 0);
	close(fd);
	HOLDS((fd = open(in_dir("in/new"), O_RDWR | O_CREAT | O_EXCL,
	    0600)) >= 0);
	HOLDS(flock(fd, LOCK_EX | LOCK_NB) == 0);
	HOLDS(write(fd, "text", 4) == 4 && pwrite(fd, "T", 1, 0) == 1);
	HOLDS(fsync(fd) == 0 && fdatasync(fd) == 0 && fchmod(fd, 0660) == 0 &&
	    fchown(fd, getuid(), getgid()) == 0);
	close(fd);
	HOLDS((fd = open(in_dir("in/new"), O_WRONLY | O_TRUNC)) >= 0);
	close(fd);
	HOLDS((a = open(in_dir("in/a"), O_RDONLY | O_DIRECTORY)) >= 0);
	HOLDS(fsync(a) == 0);
	HOLDS((fd = openat(a, "m", O_WRONLY | O_CREAT, 0600)) >= 0);
	close(fd);
	/* From one folder to another, as the queue does. */
	memcpy(to, in_dir("in/b/m"), sizeof to);
	HOLDS(renameat(a, "m", AT_FDCWD, to) == 0);
	HOLDS(linkat(AT_FDCWD, to, a, "m", 0) == 0);
	HOLDS(unlinkat(a, "m", 0) == 0 && unlink(to) == 0);
	HOLDS(mkdir(in_dir("in/c"), 0700) == 0);
	HOLDS((fd = memfd_create("m", MFD_CLOEXEC)) >= 0);
	HOLDS(chdir("/") == 0);
	return HELD;
}

static int
needed_calls(const struct sandbox *s)
{
	struct timespec t = { 0, 1000 };
	struct pollfd p = { .fd = -1 };
	struct rlimit limit;
	struct sockaddr_storage address = { .ss_family = AF_UNIX };
	char byte;
	int end[2], fd;
	sigset_t set;
	pid_t pid;
	void *m;

	(void)s;
	HOLDS(syscall(SYS_getrandom, &byte, 1, 0) == 1);
	HOLDS(gethostname(path, sizeof path) == 0);
#ifdef SYS_clock_gettime64
	HOLDS(syscall(SYS_clock_gettime64, CLOCK_MONOTONIC, &t) == 0);
#else
	HOLDS(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &t) == 0);
#endif
	t = (struct timespec){ 0, 1000 };
	HOLDS(nanosleep(&t, NULL) == 0 && poll(&p, 1, 1) == 0);
	HOLDS(pselect(0, NULL, NULL, NULL, &t, NULL) == 0);
	HOLDS(sigemptyset(&set) == 0 && sigprocmask(SIG_SETMASK, &set,
	    NULL) == 0);
	HOLDS(signal(SIGUSR1, SIG_IGN) != SIG_ERR && kill(getpid(),
	    SIGUSR1) == 0);
	HOLDS(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE |
	    MAP_ANONYMOUS, -1, 0);
	HOLDS(m != MAP_FAILED);
	m = mremap(m, 4096, 8192, MREMAP_MAYMOVE);
	HOLDS(m != MAP_FAILED && munmap(m, 8192) == 0);
	HOLDS(pipe2(end, O_CLOEXEC) == 0 && dup2(end[0], 100) == 100);
	HOLDS(ioctl(end[0], TIOCGWINSZ, path) < 0 && errno == ENOTTY);
	HOLDS(syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0);
	HOLDS((fd = socket(AF_INET, SOCK_STREAM, 0)) >= 0);
	HOLDS(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &(int){ 1 },
	    sizeof(int)) == 0);
	HOLDS(socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0) >= 0 ||
	    errno == EAFNOSUPPORT);
	HOLDS((fd = socket(AF_UNIX, SOCK_DGRAM, 0)) >= 0);
	HOLDS(connect(fd, (struct sockaddr *)&address, 32) < 0 &&
	    errno == ECONNREFUSED);
#ifdef SYS_fork
	pid = (pid_t)syscall(SYS_fork);
#else
	pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
#endif
	if (pid == 0)
		for (;;)
			nanosleep(&(struct timespec){ 9, 0 }, NULL);
	HOLDS(pid > 0 && kill(pid, SIGKILL) == 0);
	HOLDS(waitpid(pid, NULL, 0) == pid);
	return HELD;
}

static void
what_nobody_needs_is_refused(void **state)
{
	(void)state;
	assert_int_equal(confined(refused_calls), HELD);
}

static void
other_files_are_out_of_reach(void **state)
{
	(void)state;
	assert_int_equal(confined(refused_files), HELD);
}

static void
files_that_are_allowed_can_be_used(void **state)
{
	(void)state;
	assert_int_equal(confined(needed_files), HELD);
}

static void
what_is_needed_works(void **state)
{
	(void)state;
	assert_int_equal(confined(needed_calls), HELD);
}

/* The rules are inherited. */
static int
in_a_child(const struct sandbox *s)
{
	pid_t pid;
	int status;

#ifdef SYS_fork
	pid = (pid_t)syscall(SYS_fork);
#else
	pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
#endif
	if (pid == 0)
		leave(refused_calls(s) != HELD || refused_files(s) ==
		    NOT_HELD);
	HOLDS(waitpid(pid, &status, 0) == pid);
	return s->filter ? status : NO_FILTER;
}

static void
a_child_is_no_way_out(void **state)
{
	(void)state;
	assert_int_equal(confined(in_a_child), HELD);
}

static void
nobody_looks_into_a_hardened_process(void **state)
{
	struct rlimit limit;
	pid_t pid = fork();
	int status;

	(void)state;
	if (pid == 0) {
		sandbox_harden();
		_exit(prctl(PR_GET_DUMPABLE) != 0 || getrlimit(RLIMIT_CORE,
		    &limit) < 0 || limit.rlim_cur != 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_nobody_needs_is_refused),
		cmocka_unit_test(other_files_are_out_of_reach),
		cmocka_unit_test(files_that_are_allowed_can_be_used),
		cmocka_unit_test(what_is_needed_works),
		cmocka_unit_test(a_child_is_no_way_out),
		cmocka_unit_test(nobody_looks_into_a_hardened_process)
	};

	return cmocka_run_group_tests(tests, make, unmake);
}
