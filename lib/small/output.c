/*
 * Standard output in place of the C library's streams: 3 KiB less. The program
 * has no other. What is written waits for fflush, a full buffer or the end of the
 * program, also on a terminal.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#ifdef OUTPUT_TEST
#define fwrite output_fwrite
#define fputs output_fputs
#define fputc output_fputc
#define puts output_puts
#define fflush output_fflush
#define ferror output_ferror
#undef stdout
#define stdout output_stdout
size_t output_fwrite(const void *, size_t, size_t, FILE *);
int output_fputs(const char *, FILE *), output_fputc(int, FILE *);
int output_puts(const char *), output_fflush(FILE *), output_ferror(FILE *);
#else
#include <unistd.h>
#define misused() __builtin_trap()
#endif

#if defined(OUTPUT_TEST) || !defined(__GLIBC__)

static struct {
	size_t n;
	bool failed;
	char text[1024];
} out;

#ifndef OUTPUT_TEST
#undef stdout
#endif
FILE *const stdout = (FILE *)(void *)&out;

/* What cannot be written is gone, as it is with the C library. */
static void
flush(void)
{
	const char *p = out.text;
	ssize_t n;

	for (; out.n > 0; out.n -= (size_t)n, p += n) {
		n = write(1, p, out.n);
		if (n < 0 && errno == EINTR)
			n = 0;
		if (n < 0) {
			out.failed = true;
			n = (ssize_t)out.n;
		}
	}
}

static void
add(const char *s, size_t n, const FILE *f)
{
	size_t room;

	if (f != stdout)
		misused();
	for (; n > 0; n -= room, s += room) {
		room = sizeof out.text - out.n;
		if (room > n)
			room = n;
		memcpy(out.text + out.n, s, room);
		out.n += room;
		if (out.n == sizeof out.text)
			flush();
	}
}

size_t
fwrite(const void *p, size_t size, size_t n, FILE *f)
{
	add(p, size * n, f);
	return out.failed ? 0 : n;
}

int
fputs(const char *s, FILE *f)
{
	add(s, strlen(s), f);
	return out.failed ? EOF : 0;
}

int
fputc(int c, FILE *f)
{
	char byte = (char)c;

	add(&byte, 1, f);
	return out.failed ? EOF : (unsigned char)byte;
}

int
puts(const char *s)
{
	fputs(s, stdout);
	return fputs("\n", stdout);
}

int
ferror(FILE *f)
{
	if (f != stdout)
		misused();
	return out.failed;
}

int
fflush(FILE *f)
{
	if (f != NULL && f != stdout)
		misused();
	flush();
	return out.failed ? EOF : 0;
}

#ifndef OUTPUT_TEST
static void __attribute__((destructor))
flush_at_exit(void)
{
	flush();
}

/* The C library's would write into what is no stream of its own. */
int
vfprintf(FILE *f, const char *fmt, va_list ap)
{
	(void)f;
	(void)fmt;
	(void)ap;
	misused();
}
#endif

#endif
