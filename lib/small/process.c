/*
 * Calls that the C library surrounds with care for threads, in place of its own:
 * 3 KiB less. The program has one thread.
 */
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#ifndef __GLIBC__

/* Where the plain numbers mean 16-bit IDs there are others. */
#ifdef SYS_setresuid32
#undef SYS_setresuid
#undef SYS_setresgid
#undef SYS_setreuid
#undef SYS_setregid
#define SYS_setresuid SYS_setresuid32
#define SYS_setresgid SYS_setresgid32
#define SYS_setreuid SYS_setreuid32
#define SYS_setregid SYS_setregid32
#endif

#ifndef __x86_64__	/* lib/small/calls.c has it */
/* No handlers of pthread_atfork, no locks to hold. */
pid_t
fork(void)
{
	return _Fork();
}
#endif

int
seteuid(uid_t effective)
{
	return (int)syscall(SYS_setresuid, -1L, (long)effective, -1L);
}

int
setegid(gid_t effective)
{
	return (int)syscall(SYS_setresgid, -1L, (long)effective, -1L);
}

int
setreuid(uid_t real, uid_t effective)
{
	return (int)syscall(SYS_setreuid, (long)real, (long)effective);
}

int
setregid(gid_t real, gid_t effective)
{
	return (int)syscall(SYS_setregid, (long)real, (long)effective);
}

#endif
