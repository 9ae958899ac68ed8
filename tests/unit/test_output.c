/* The program's standard output. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include <cmocka.h>

static char written[5000];
static size_t length, at_once;		/* bytes that a write takes */
static int interrupts, full;
static jmp_buf misuse;

static ssize_t
take(int fd, const char *p, size_t n)
{
	assert_int_equal(fd, 1);
	if (interrupts-- > 0) {
		errno = EINTR;
		return -1;
	}
	if (full) {
		errno = ENOSPC;
		return -1;
	}
	if (n > at_once)
		n = at_once;
	assert_true(length + n <= sizeof written);
	memcpy(written + length, p, n);
	length += n;
	return (ssize_t)n;
}

#define write(fd, p, n) take(fd, p, n)
#define misused() longjmp(misuse, 1)
#define OUTPUT_TEST
#include "lib/small/output.c"

static int
start(void **state)
{
	(void)state;
	memset(&out, 0, sizeof out);
	memset(written, 0, sizeof written);
	length = 0;
	at_once = sizeof written;
	interrupts = full = 0;
	return 0;
}

static void
all_of_it(void **state)
{
	(void)state;
	assert_int_equal(fputs("one ", stdout), 0);
	assert_int_equal(fwrite("two three", 3, 2, stdout), 2);
	assert_int_equal(fputc('\xff', stdout), 0xff);
	assert_true(puts("") >= 0);
	assert_true(puts("four") >= 0);
	assert_int_equal(length, 0);
	interrupts = 2;
	at_once = 3;
	assert_int_equal(fflush(stdout), 0);
	assert_string_equal(written, "one two th\xff\nfour\n");
	assert_int_equal(fflush(NULL), 0);
	assert_int_equal(ferror(stdout), 0);
}

static void
more_than_the_buffer(void **state)
{
	char text[4001];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof text - 1; i++)
		text[i] = (char)('a' + i % 23);
	text[i] = '\0';
	fputs("x", stdout);
	fputs(text, stdout);
	assert_true(length > 0);
	assert_int_equal(fflush(stdout), 0);
	assert_int_equal(length, sizeof text);
	assert_int_equal(written[0], 'x');
	assert_string_equal(written + 1, text);
}

static void
disk_full(void **state)
{
	(void)state;
	fputs("text", stdout);
	full = 1;
	assert_int_equal(fflush(stdout), EOF);
	assert_int_equal(errno, ENOSPC);
	assert_true(ferror(stdout) != 0);
	assert_int_equal(fputs("more", stdout), EOF);
	assert_int_equal(fwrite("more", 1, 4, stdout), 0);
	assert_int_equal(fputc('x', stdout), EOF);
	assert_int_equal(puts("more"), EOF);
	full = 0;
	assert_int_equal(fflush(stdout), EOF);
}

static void
other_streams(void **state)
{
	volatile int reached = 0;

	(void)state;
	if (setjmp(misuse) == 0) {
		fputs("text", stderr);
		reached = 1;
	}
	assert_int_equal(reached, 0);
	assert_int_equal(out.n, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(all_of_it, start),
		cmocka_unit_test_setup(more_than_the_buffer, start),
		cmocka_unit_test_setup(disk_full, start),
		cmocka_unit_test_setup(other_streams, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
