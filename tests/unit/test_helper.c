/* Commands run by a process that was forked before the sandbox. */
#include "lib/config/helper.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/config/command.h"

static const char *const commands[] = {
	"echo secret", "exit 3", "kill -9 $$", "true",
	"i=0; while [ $i -lt 3000 ]; do echo 0123456789; i=$((i+1)); done",
	"cat; echo end", "echo $PPID"
};

static int
run(void *ctx, const struct helper_request *r, char *out, size_t size, long *n)
{
	char sh[] = "/bin/sh", c[] = "-c", text[100];
	char *argv[] = { sh, c, text, NULL };

	if (r->profile == 7)
		snprintf(text, sizeof text, "echo %s", (const char *)ctx);
	else if (r->route < sizeof commands / sizeof commands[0])
		snprintf(text, sizeof text, "%s", commands[r->route]);
	else
		return COMMAND_UNUSABLE;
	return command_run(argv, 0, out, size, n);
}

static long
ask(int fd, uint32_t route, char *out, size_t size, const char **why)
{
	struct helper_request r = { route, -1 };

	return helper_ask(fd, &r, out, size, why);
}

static int
start(void *ctx)
{
	pid_t pid;

	return helper_start(run, ctx, false, &pid);
}

static void
it_runs_what_the_number_stands_for(void **state)
{
	struct helper_request other = { 0, 7 };
	char text[] = "of the caller", out[64];
	const char *why;
	int fd = start(text);

	(void)state;
	assert_true(fd > 0);
	assert_int_equal(ask(fd, 0, out, sizeof out, &why), 7);
	assert_memory_equal(out, "secret\n", 7);
	assert_int_equal(helper_ask(fd, &other, out, sizeof out, &why), 14);
	assert_memory_equal(out, "of the caller\n", 14);
	assert_int_equal(ask(fd, 3, out, sizeof out, &why), 0);
	/* Nobody waits for standard input. */
	assert_int_equal(ask(fd, 5, out, sizeof out, &why), 4);
	close(fd);
}

static void
what_goes_wrong_is_told(void **state)
{
	char out[64];
	const char *why;
	int fd = start(NULL);

	(void)state;
	assert_int_equal(ask(fd, 1, out, sizeof out, &why), -1);
	assert_string_equal(why, "failed; expected exit status 0");
	assert_int_equal(ask(fd, 2, out, sizeof out, &why), -1);
	assert_string_equal(why, "was killed by a signal; expected exit status 0");
	assert_int_equal(ask(fd, 99, out, sizeof out, &why), -1);
	assert_string_equal(why, "has a quote that does not end");
	close(fd);
	assert_int_equal(ask(fd, 0, out, sizeof out, &why), -1);
	assert_string_equal(why, "cannot be run now");
}

static void
what_is_too_long_is_counted(void **state)
{
	static char out[HELPER_MAX + 100];
	const char *why;
	int fd = start(NULL);

	(void)state;
	assert_int_equal(ask(fd, 4, out, 20, &why), 33000);
	assert_memory_equal(out, "0123456789\n012345678", 20);
	out[HELPER_MAX] = 'x';
	assert_int_equal(ask(fd, 4, out, sizeof out, &why), 33000);
	assert_int_equal(out[HELPER_MAX], 'x');
	close(fd);
}

/* Each gets its own answer. */
static void
several_ask_at_once(void **state)
{
	char out[64];
	const char *why;
	int fd = start(NULL), status, i, k;
	pid_t pids[8];

	(void)state;
	for (i = 0; i < 8; i++) {
		pids[i] = fork();
		for (k = 0; pids[i] == 0 && k < 5; k++)
			if (ask(fd, i % 2 ? 0 : 5, out, sizeof out, &why) !=
			    (i % 2 ? 7 : 4) || *out != (i % 2 ? 's' : 'e'))
				_exit(1);
		if (pids[i] == 0)
			_exit(0);
	}
	for (i = 0; i < 8; i++) {
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
	close(fd);
}

/* The helper, by a process that it is the parent of. */
static void
it_ends_with_the_last_that_could_ask(void **state)
{
	struct timespec moment = { .tv_nsec = 10000000 };
	char out[64];
	const char *why;
	int fd = start(NULL), i, status;
	pid_t child, helper;

	(void)state;
	child = fork();
	if (child == 0) {
		nanosleep(&(struct timespec){ 0, 200000000 }, NULL);
		_exit(ask(fd, 0, out, sizeof out, &why) != 7);
	}
	close(fd);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	for (i = 0; i < 500 && (helper = waitpid(-1, &status, WNOHANG)) == 0;
	    i++)
		nanosleep(&moment, NULL);
	assert_true(i < 500);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_runs_what_the_number_stands_for),
		cmocka_unit_test(what_goes_wrong_is_told),
		cmocka_unit_test(what_is_too_long_is_counted),
		cmocka_unit_test(several_ask_at_once),
		cmocka_unit_test(it_ends_with_the_last_that_could_ask)
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
