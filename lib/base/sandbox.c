#define _GNU_SOURCE	/* O_PATH */
#include "lib/base/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/auxv.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

/* musl's prctl() and setrlimit() are large. */
static long
control(long what, long a, const void *b)
{
	return syscall(SYS_prctl, what, a, b, 0L, 0L);
}

void
sandbox_harden(void)
{
	static const uint64_t none[2];

	syscall(SYS_prlimit64, 0L, (long)RLIMIT_CORE, none, NULL);
	control(PR_SET_DUMPABLE, 0, NULL);
}

/* --- files: Landlock (linux/landlock.h, which may be older than the kernel) --- */

/* Since then all machines have the same numbers, apart from where they begin. */
enum {
	CREATE_RULESET = SYS_exit / 1000 * 1000 + 444,
	ADD_RULE, RESTRICT_SELF
};

enum {
	WRITE_FILE = 1 << 1, READ_FILE = 1 << 2, READ_DIR = 1 << 3,
	REMOVE_FILE = 1 << 5, MAKE_DIR = 1 << 7, MAKE_REG = 1 << 8,
	REFER = 1 << 13, TRUNCATE = 1 << 14,
	OF_FILES = WRITE_FILE | READ_FILE | TRUNCATE,
	READING = READ_FILE | READ_DIR,
	WRITING = READING | WRITE_FILE | REMOVE_FILE | MAKE_DIR | MAKE_REG |
	    REFER | TRUNCATE,
	ALL_OF_2 = (1 << 14) - 1,	/* what ABI 2 knows */
	PATH_BENEATH = 1,
	ABI_REFER = 2, ABI_TRUNCATE = 3, ABI_SCOPE = 6,
	SCOPED = 3			/* abstract sockets, signals */
};

/* Is that a kernel, and not a program that only plays one? */
static bool
is_kernel(void)
{
	/* valgrind passes it all on, and could itself not go on then. */
#if defined __x86_64__ || defined __i386__ || defined __aarch64__
	return getauxval(AT_SYSINFO_EHDR) != 0;
#else
	return true;
#endif
}

void
sandbox_begin(struct sandbox *s)
{
	struct {
		uint64_t fs, net, scoped;
	} all = { .fs = ALL_OF_2, .scoped = SCOPED };
	long abi;

	*s = (struct sandbox){ .rules = -1 };
	abi = is_kernel() ? syscall(CREATE_RULESET, NULL, 0L, 1L) :
	    0;
	/* The first one lets nothing be renamed into another folder. */
	if (abi < ABI_REFER)
		return;
	if (abi >= ABI_TRUNCATE)
		all.fs |= TRUNCATE;
	s->abi = (int)abi;
	s->rules = (int)syscall(CREATE_RULESET, &all,
	    abi < ABI_SCOPE ? (long)sizeof all.fs : (long)sizeof all, 0L);
}

int
sandbox_allow(const struct sandbox *s, const char *path, bool write)
{
	struct {
		uint64_t access;
		int32_t fd;
	} rule = { .access = write ? WRITING : READING };
	int i;

	if (s->rules < 0)
		return 0;
	if (s->abi < ABI_TRUNCATE)
		rule.access &= ~(uint64_t)TRUNCATE;
	rule.fd = path ? open(path, O_PATH | O_CLOEXEC) : -1;
	if (rule.fd < 0)
		return -1;
	/* What makes sense for folders only is an error for a file. */
	for (i = 0; i < 2 && syscall(ADD_RULE, (long)s->rules,
	    (long)PATH_BENEATH, &rule, 0L) < 0; i++)
		rule.access &= OF_FILES;
	close(rule.fd);
	return 0;
}

static void
enter_rules(struct sandbox *s)
{
	if (s->rules < 0 ||
	    syscall(RESTRICT_SELF, (long)s->rules, 0L) < 0)
		s->abi = 0;
	close(s->rules);
	s->rules = -1;
}

/* --- system calls: seccomp (linux/seccomp.h, filter.h, audit.h) --- */

#if defined __x86_64__
#define ARCH 0xC000003E
#elif defined __i386__
#define ARCH 0x40000003
#elif defined __aarch64__ && !defined __AARCH64EB__
#define ARCH 0xC00000B7
#elif defined __arm__ && !defined __ARMEB__
#define ARCH 0x40000028
#elif defined __s390x__
#define ARCH 0x80000016
#elif defined __riscv && __riscv_xlen == 64
#define ARCH 0xC00000F3
#elif defined __powerpc64__ && defined __LITTLE_ENDIAN__
#define ARCH 0xC0000015
#elif defined __mips__ && !defined __mips64 && defined __MIPSEL__
#define ARCH 0x40000008
#elif defined __mips__ && !defined __mips64
#define ARCH 0x00000008
#elif defined __mips64 && _MIPS_SIM == _ABI64 && defined __MIPSEL__
#define ARCH 0xC0000008
#elif defined __mips64 && _MIPS_SIM == _ABI64
#define ARCH 0x80000008
#endif

#ifdef ARCH
/* Whatever the arguments are. Names that not all machines have, each in its place. */
static const uint16_t calls[] = {
	SYS_read, SYS_write, SYS_readv, SYS_writev, SYS_pread64, SYS_pwrite64,
	SYS_openat, SYS_close, SYS_lseek, SYS_fsync, SYS_fdatasync, SYS_fchmod,
	SYS_fchown, SYS_flock, SYS_getdents64, SYS_memfd_create, SYS_dup, SYS_dup3,
	SYS_pipe2, SYS_mkdirat, SYS_linkat, SYS_unlinkat, SYS_renameat2,
	SYS_faccessat, SYS_chdir, SYS_ppoll, SYS_pselect6,
	SYS_munmap, SYS_mremap, SYS_brk, SYS_futex, SYS_getrandom,
	SYS_nanosleep, SYS_setitimer, SYS_restart_syscall,
	SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn,
	SYS_connect, SYS_bind, SYS_getsockname, SYS_getpeername,
	SYS_getsockopt, SYS_setsockopt, SYS_sendto, SYS_sendmsg, SYS_recvfrom,
	SYS_recvmsg, SYS_shutdown, SYS_getpid, SYS_getppid, SYS_gettid,
	SYS_getuid, SYS_geteuid, SYS_getgid, SYS_getegid, SYS_setresuid,
	SYS_setresgid, SYS_setsid, SYS_kill, SYS_wait4, SYS_exit,
	SYS_exit_group, SYS_fcntl, SYS_set_tid_address, SYS_uname,
#ifdef SYS_open		/* the older machines' */
	SYS_open, SYS_stat, SYS_lstat, SYS_access, SYS_poll, SYS_dup2,
	SYS_mkdir, SYS_link, SYS_unlink, SYS_rename, SYS_fork,
#endif
#ifdef SYS_renameat
	SYS_renameat,
#endif
#ifdef SYS_fstat
	SYS_fstat,
#endif
#ifdef SYS_newfstatat
	SYS_newfstatat,
#endif
#ifdef SYS_fstatat64
	SYS_fstatat64, SYS_fstat64,
#endif
#ifdef SYS_stat64
	SYS_stat64, SYS_lstat64,
#endif
#ifdef SYS_statx
	SYS_statx,
#endif
#ifdef SYS_fcntl64
	SYS_fcntl64, SYS__llseek,
#endif
#ifdef SYS_getuid32
	SYS_getuid32, SYS_geteuid32, SYS_getgid32, SYS_getegid32,
	SYS_setresuid32, SYS_setresgid32, SYS_fchown32,
#endif
#ifdef SYS_sigreturn
	SYS_sigreturn,
#endif
#ifdef SYS_socketcall
	SYS_socketcall,
#endif
#ifdef SYS_send
	SYS_send, SYS_recv,
#endif
#ifdef SYS_clock_gettime
	SYS_clock_gettime, SYS_clock_nanosleep, SYS_gettimeofday,
#else			/* so musl calls what overflows in 2038 */
	SYS_clock_gettime32, SYS_clock_nanosleep_time32,
	SYS_gettimeofday_time32,
#endif
#ifdef SYS_clock_gettime64
	SYS_clock_gettime64, SYS_clock_nanosleep_time64, SYS_ppoll_time64,
	SYS_pselect6_time64, SYS_futex_time64,
#endif
#ifdef SYS_getrlimit
	SYS_getrlimit,
#endif
#ifdef SYS_ugetrlimit
	SYS_ugetrlimit,
#endif
};

/* With that value as the argument, from 0 on. */
static const struct {
	uint16_t call, arg;
	uint32_t value;
} ifs[] = {
	{ SYS_socket, 0, AF_UNIX }, { SYS_socket, 0, AF_INET },
	{ SYS_socket, 0, AF_INET6 },
	{ SYS_ioctl, 1, TIOCGWINSZ },		/* isatty */
	{ SYS_ioctl, 1, 0x8933 },		/* SIOCGIFINDEX: fe80::1%eth0 */
	{ SYS_prctl, 0, PR_SET_PDEATHSIG },
	{ SYS_prlimit64, 2, 0 },		/* to look at them */
#ifndef SYS_fork
	{ SYS_clone, 0, SIGCHLD },
#endif
#ifdef SYS_mmap2
	{ SYS_mmap2, 2, PROT_READ | PROT_WRITE }, { SYS_mmap2, 2, PROT_READ },
#elif defined __s390x__
	{ SYS_mmap, 1, 0 },			/* one pointer, to the rest */
#else
	{ SYS_mmap, 2, PROT_READ | PROT_WRITE }, { SYS_mmap, 2, PROT_READ },
#endif
};

struct step {
	uint16_t code;
	uint8_t yes, no;		/* steps to leave out */
	uint32_t k;
};

enum {
	LOAD = 0x20, IF_EQUAL = 0x15, END = 0x06,
	KILL = (int)0x80000000, ALLOW = 0x7fff0000, FAIL_WITH = 0x50000,
	NUMBER_AT = 0, ARCH_AT = 4, ARGS_AT = 16,
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	LOW_HALF = 4,
#else
	LOW_HALF = 0,
#endif
	NCALLS = sizeof calls / sizeof calls[0],
	NIFS = sizeof ifs / sizeof ifs[0],
	STEPS = 5 + 2 * NCALLS + 5 * NIFS
};

static void
filter_calls(struct sandbox *s)
{
	struct step prog[STEPS], *p = prog;
	struct {
		unsigned short n;
		struct step *prog;
	} program = { STEPS, prog };
	size_t i;

	*p++ = (struct step){ LOAD, 0, 0, ARCH_AT };
	*p++ = (struct step){ IF_EQUAL, 1, 0, ARCH };
	*p++ = (struct step){ END, 0, 0, (uint32_t)KILL };
	*p++ = (struct step){ LOAD, 0, 0, NUMBER_AT };
	for (i = 0; i < NCALLS; i++) {
		*p++ = (struct step){ IF_EQUAL, 0, 1, calls[i] };
		*p++ = (struct step){ END, 0, 0, ALLOW };
	}
	for (i = 0; i < NIFS; i++) {
		*p++ = (struct step){ IF_EQUAL, 0, 4, ifs[i].call };
		*p++ = (struct step){ LOAD, 0, 0, ARGS_AT + LOW_HALF +
		    8U * ifs[i].arg };
		*p++ = (struct step){ IF_EQUAL, 0, 1, ifs[i].value };
		*p++ = (struct step){ END, 0, 0, ALLOW };
		*p++ = (struct step){ LOAD, 0, 0, NUMBER_AT };
	}
	*p = (struct step){ END, 0, 0, FAIL_WITH | ENOSYS };
	s->filter = is_kernel() && control(PR_SET_SECCOMP, 2, &program) == 0;
}
#endif

void
sandbox_enter(struct sandbox *s)
{
	control(PR_SET_NO_NEW_PRIVS, 1, NULL);
	enter_rules(s);
#ifdef ARCH
	filter_calls(s);
#endif
}
#else

void
sandbox_harden(void)
{
	static const struct rlimit none;

	setrlimit(RLIMIT_CORE, &none);
}

void
sandbox_begin(struct sandbox *s)
{
	*s = (struct sandbox){ .rules = -1 };
}

int
sandbox_allow(const struct sandbox *s, const char *path, bool write)
{
	(void)s;
	if (path == NULL)
		return -1;
#ifdef __OpenBSD__
	return unveil(path, write ? "rwc" : "r");
#else
	(void)write;
	return 0;
#endif
}

void
sandbox_enter(struct sandbox *s)
{
#ifdef __OpenBSD__
	unveil(NULL, NULL);
	s->filter = pledge("stdio rpath wpath cpath fattr flock inet unix dns "
	    "proc id sendfd tty", NULL) == 0;
#else
	(void)s;
#endif
}
#endif
