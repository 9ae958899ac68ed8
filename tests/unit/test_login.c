/* The caller's name from a file like /etc/passwd. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/login.h"

#define LONG64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const char text[] =
    "root:x:0:0:root:/root:/bin/sh\n"
    "# a comment\n"
    "\n"
    "half:x:7\n"
    "odd:x:1a:\n"
    "big:x:4294967296000000000000:1\n"
    "minus:x:-5:\n"
    ":x:8:nobody has this\n"
    LONG64 ":x:64:\n"
    LONG64 "x:x:65:\n"
    "alice:x:1000:1000:A,,,:/home/alice:/bin/sh\n"
    "twin:x:1000:1000::/:/bin/sh\n"
    "last:x:4294967294:1:";

static void
check(const char *file, uid_t uid, const char *name)
{
	char *got = login_find(file, uid);

	if (name)
		assert_string_equal(got, name);
	else
		assert_null(got);
	free(got);
}

static void
names(void **state)
{
	char file[] = "/tmp/login.XXXXXX";
	int fd = mkstemp(file);

	(void)state;
	assert_int_equal(write(fd, text, sizeof text - 1), sizeof text - 1);
	close(fd);
	check(file, 0, "root");
	check(file, 1000, "alice");
	check(file, 4294967294u, "last");
	check(file, 64, LONG64);
	check(file, 65, NULL);
	check(file, 7, NULL);
	check(file, 1, NULL);
	check(file, 5, NULL);
	check(file, 8, NULL);
	check(file, 10, NULL);
	unlink(file);
	check(file, 0, NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
