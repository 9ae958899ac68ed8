/*
 * strerror in place of the C library's: with words for what can happen here, at
 * half the size.
 */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef ERRORS_TEST
#define strerror errors_strerror
char *errors_strerror(int);
#endif

#if defined(ERRORS_TEST) || !defined(__GLIBC__)

#define ERRORS \
	E(EPERM, "Operation not permitted") \
	E(ENOENT, "No such file or directory") \
	E(EINTR, "Interrupted system call") \
	E(EIO, "Input/output error") \
	E(ENXIO, "No such device or address") \
	E(E2BIG, "Argument list too long") \
	E(ENOEXEC, "Exec format error") \
	E(EBADF, "Bad file descriptor") \
	E(ECHILD, "No child processes") \
	E(EAGAIN, "Resource temporarily unavailable") \
	E(ENOMEM, "Out of memory") \
	E(EACCES, "Permission denied") \
	E(EBUSY, "Resource busy") \
	E(EEXIST, "File exists") \
	E(EXDEV, "Cross-device link") \
	E(ENODEV, "No such device") \
	E(ENOTDIR, "Not a directory") \
	E(EISDIR, "Is a directory") \
	E(EINVAL, "Invalid argument") \
	E(ENFILE, "Too many open files in system") \
	E(EMFILE, "Too many open files") \
	E(ENOTTY, "Not a tty") \
	E(ETXTBSY, "Text file busy") \
	E(EFBIG, "File too large") \
	E(ENOSPC, "No space left on device") \
	E(ESPIPE, "Invalid seek") \
	E(EROFS, "Read-only file system") \
	E(EMLINK, "Too many links") \
	E(EPIPE, "Broken pipe") \
	E(ERANGE, "Result not representable") \
	E(EDEADLK, "Resource deadlock would occur") \
	E(ENAMETOOLONG, "File name too long") \
	E(ENOLCK, "No locks available") \
	E(ENOSYS, "Function not implemented") \
	E(ENOTEMPTY, "Directory not empty") \
	E(ELOOP, "Too many symbolic links") \
	E(ENODATA, "No data available") \
	E(EPROTO, "Protocol error") \
	E(EBADMSG, "Bad message") \
	E(EOVERFLOW, "Value too large for its type") \
	E(EILSEQ, "Illegal byte sequence") \
	E(ENOTSOCK, "Not a socket") \
	E(EDESTADDRREQ, "Destination address required") \
	E(EMSGSIZE, "Message too large") \
	E(EPROTOTYPE, "Protocol wrong type for socket") \
	E(ENOPROTOOPT, "Protocol not available") \
	E(EPROTONOSUPPORT, "Protocol not supported") \
	E(EOPNOTSUPP, "Not supported") \
	E(EAFNOSUPPORT, "Address family not supported") \
	E(EADDRINUSE, "Address in use") \
	E(EADDRNOTAVAIL, "Address not available") \
	E(ENETDOWN, "Network is down") \
	E(ENETUNREACH, "Network unreachable") \
	E(ENETRESET, "Connection reset by network") \
	E(ECONNABORTED, "Connection aborted") \
	E(ECONNRESET, "Connection reset by peer") \
	E(ENOBUFS, "No buffer space available") \
	E(EISCONN, "Socket is connected") \
	E(ENOTCONN, "Socket not connected") \
	E(ETIMEDOUT, "Operation timed out") \
	E(ECONNREFUSED, "Connection refused") \
	E(EHOSTDOWN, "Host is down") \
	E(EHOSTUNREACH, "Host is unreachable") \
	E(EALREADY, "Operation already in progress") \
	E(EINPROGRESS, "Operation in progress") \
	E(ESTALE, "Stale file handle") \
	E(EREMOTEIO, "Remote I/O error") \
	E(EDQUOT, "Quota exceeded") \
	E(ECANCELED, "Operation canceled")

char *
strerror(int number)
{
#define E(number, text) number,
	static const short numbers[] = { ERRORS };
#undef E
#define E(number, text) text "\0"
	static const char texts[] = ERRORS "Unknown error";
	const char *s = texts;
	size_t i;

	for (i = 0; i < sizeof numbers / sizeof *numbers &&
	    numbers[i] != number; i++)
		s += strlen(s) + 1;
	return (char *)(uintptr_t)s;
}

#endif
