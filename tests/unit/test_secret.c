/* What the configuration reads: its own file, secrets in files, commands. */
#include "lib/config/secret.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/config/config.h"
#include "tests/unit/conf.h"

struct files {
	char dir[64];
	char path[96];		/* of the last file written */
	char logged[4096];	/* what went to the log */
};

static int
files_make(void **state)
{
	struct files *f = calloc(1, sizeof *f);
	const char *tmp = getenv("TMPDIR");

	if (f == NULL)
		return -1;
	snprintf(f->dir, sizeof f->dir, "%.40s/config.XXXXXX",
	    tmp ? tmp : "/tmp");
	if (mkdtemp(f->dir) == NULL || chmod(f->dir, 0755) < 0)
		return -1;
	*state = f;
	return 0;
}

static int
files_remove(void **state)
{
	static const char *const names[] = { "conf", "secret", "key", "log" };
	struct files *f = *state;
	size_t i;

	for (i = 0; i < sizeof names / sizeof *names; i++) {
		snprintf(f->path, sizeof f->path, "%s/%s", f->dir, names[i]);
		unlink(f->path);
	}
	i = (size_t)rmdir(f->dir);
	free(f);
	return (int)i;
}

static const char *
file_write(struct files *f, const char *name, const void *data, size_t n,
    mode_t mode)
{
	int fd;

	snprintf(f->path, sizeof f->path, "%s/%s", f->dir, name);
	fd = open(f->path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, n), n);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
	return f->path;
}

/* config_load fails with that status and text, in which PATH stands for file. */
static void
load_fails(const char *file, int status, const char *text)
{
	static const struct config empty;
	const char *at = strstr(text, "PATH");
	struct config c;
	struct result res;
	struct buf want = { 0 };

	memset(&c, 0xff, sizeof c);
	assert_int_equal(config_load(&c, file, &res), -1);
	buf_add(&want, text, (size_t)(at - text));
	buf_addf(&want, "%s%s", file, at + 4);
	assert_string_equal(res.text, buf_str(&want));
	assert_int_equal(res.exit, status);
	assert_memory_equal(&c, &empty, sizeof c);
	buf_free(&want);
}

static void
test_a_file_is_loaded(void **state)
{
	static const char text[] = "hostname a.example\n" BOX;
	const char *path = file_write(*state, "conf", text, sizeof text - 1,
	    0644);
	struct config c;
	struct result res;

	assert_int_equal(config_load(&c, path, &res), 0);
	assert_string_equal(c.file, path);
	assert_int_equal(c.mode, 0644);
	assert_string_equal(c.routes[0].path, "/b");
	config_free(&c);
}

static void
test_a_missing_file_says_what_to_do(void **state)
{
	struct files *f = *state;

	snprintf(f->path, sizeof f->path, "%s/nothing", f->dir);
	load_fails(f->path, EXIT_CONFIGURATION, "no configuration: PATH does "
	    "not exist; write one (see sendroute.conf(5)) or name another with "
	    "-C");
}

static void
test_a_folder_is_no_configuration(void **state)
{
	struct files *f = *state;

	load_fails(f->dir, EXIT_CONFIGURATION, "PATH is not a regular file");
	/* Nor a FIFO, which must not be waited for. */
	snprintf(f->path, sizeof f->path, "%s/conf", f->dir);
	assert_int_equal(mkfifo(f->path, 0600), 0);
	load_fails(f->path, EXIT_CONFIGURATION, "PATH is not a regular file");
}

static void
test_a_file_that_may_not_be_read(void **state)
{
	const char *path = file_write(*state, "conf", "", 0, 0000);
	uid_t me = geteuid();

	if (me == 0)
		assert_int_equal(seteuid(65534), 0);
	load_fails(path, EXIT_NOPERM, "PATH cannot be read: Permission denied");
	assert_int_equal(seteuid(me), 0);
}

static void
test_the_size_limit(void **state)
{
	size_t n = 1 << 20;
	char *text = malloc(n + 1);
	const char *path;
	struct config c;
	struct result res;

	assert_non_null(text);
	memset(text, '#', n + 1);
	memcpy(text, "hostname a.b\n", 13);
	path = file_write(*state, "conf", text, n, 0600);
	assert_int_equal(config_load(&c, path, &res), 0);
	config_free(&c);
	path = file_write(*state, "conf", text, n + 1, 0600);
	load_fails(path, EXIT_CONFIGURATION, "PATH has 1048577 bytes; expected "
	    "a configuration of 1 MiB at most");
	free(text);
}

static void
test_a_nul_is_refused(void **state)
{
	static const char text[] = "#\nhostname a\0b\n";

	load_fails(file_write(*state, "conf", text, sizeof text - 1, 0600),
	    EXIT_CONFIGURATION, "PATH:2: control character 0x00; expected "
	    "text");
}

static void
test_a_secret_in_a_file_that_others_can_write(void **state)
{
	static const char *const texts[] = {
		SMTP "user u\npassword p\n",
		SMTP "user u\npassword-command p\n",
		SES "access-key-id A\nsecret-access-key k\n",
		SES "access-key-id A\nsecret-access-key-file /k\n"
		    "session-token t\n",
	};
	static const char none[] = "hostname a.b\n" SMTP
	    "user u\npassword-file /p\n";
	struct config c;
	struct result res;
	size_t i;

	for (i = 0; i < sizeof texts / sizeof *texts; i++) {
		load_fails(file_write(*state, "conf", texts[i],
		    strlen(texts[i]), 0620), EXIT_CONFIGURATION, "PATH holds a "
		    "secret and can be written by others; expected chmod "
		    "go-w");
		load_fails(file_write(*state, "conf", texts[i],
		    strlen(texts[i]), 0602), EXIT_CONFIGURATION, "PATH holds a "
		    "secret and can be written by others; expected chmod "
		    "go-w");
	}
	assert_int_equal(config_load(&c, file_write(*state, "conf", none,
	    sizeof none - 1, 0666), &res), 0);
	config_free(&c);
}

/* --- Secrets -------------------------------------------------------------- */

/* config_open_secrets, with what it logs in f->logged. */
static void
open_secrets(struct files *f, struct config *c)
{
	char path[96];
	struct log log = { 0 };
	ssize_t n;
	int fd;

	snprintf(path, sizeof path, "%s/log", f->dir);
	unlink(path);
	log_open(&log, LOG_TO_FILE, path);
	config_open_secrets(c, &log);
	log_close(&log);
	fd = open(path, O_RDONLY);
	assert_true(fd >= 0);
	n = read(fd, f->logged, sizeof f->logged - 1);
	assert_true(n >= 0);
	f->logged[n] = '\0';
	close(fd);
}

/* What a password-file with this content and mode gives: text, or "EXIT text". */
static const char *
password_of(struct files *f, const void *data, size_t n, mode_t mode,
    struct buf *out)
{
	struct buf b = { 0 };
	struct config c;
	struct result res = { 0 };
	char *value;

	buf_addf(&b, SMTP "user u\npassword-file %s\n",
	    file_write(f, "secret", data, n, mode));
	conf_accepted(&c, buf_str(&b));
	open_secrets(f, &c);
	value = secret_get(&c.routes[0].password, "password", &res);
	buf_reset(out);
	if (value) {
		buf_adds(out, value);
	} else {
		assert_int_equal(res.outcome, OUT_TEMP);
		assert_int_equal(res.cause, CAUSE_OPERATOR);
		assert_true(res.certainly_not_taken);
		assert_null(c.routes[0].password.value);
		buf_addf(out, "%d %s", res.exit, res.text);
	}
	str_wipe_free(value);
	config_free(&c);
	buf_free(&b);
	return buf_str(out);
}

static void
test_secret_files(void **state)
{
	static const struct { const char *in; size_t n; const char *want; }
	cases[] = {
		{ "secret", 6, "secret" },
		{ "secret\n", 7, "secret" },
		{ "secret\r\n", 8, "secret" },
		{ " se cret ", 9, " se cret " },
		{ "", 0, "78 ... holds nothing; expected the secret" },
		{ "\n", 1, "78 ... holds nothing; expected the secret" },
		{ "a\n\n", 3, "78 ... holds more than one line; expected the "
		    "secret alone" },
		{ "a\nb", 3, "78 ... holds more than one line; expected the "
		    "secret alone" },
		{ "a\rb", 3, "78 ... holds more than one line; expected the "
		    "secret alone" },
		{ "a\0b", 3, "78 ... holds a NUL; expected text" },
	};
	struct files *f = *state;
	struct buf out = { 0 }, want = { 0 };
	size_t i;

	for (i = 0; i < sizeof cases / sizeof *cases; i++) {
		buf_reset(&want);
		if (strncmp(cases[i].want, "78 ...", 6) == 0)
			buf_addf(&want, "78 password-file %s/secret%s",
			    f->dir, cases[i].want + 6);
		else
			buf_adds(&want, cases[i].want);
		assert_string_equal(password_of(f, cases[i].in, cases[i].n,
		    0600, &out), buf_str(&want));
		assert_string_equal(f->logged, "");
	}
	buf_free(&out);
	buf_free(&want);
}

static void
test_the_longest_secret_file(void **state)
{
	struct files *f = *state;
	struct buf out = { 0 };
	char data[SECRET_MAX + 1], want[200];

	memset(data, 'x', sizeof data);
	assert_int_equal(strlen(password_of(f, data, SECRET_MAX, 0600, &out)),
	    SECRET_MAX);
	snprintf(want, sizeof want, "78 password-file %s/secret is too "
	    "long for a secret; expected 4096 bytes at most", f->dir);
	assert_string_equal(password_of(f, data, sizeof data, 0600, &out), want);
	buf_free(&out);
}

static void
test_secret_files_that_others_can_write(void **state)
{
	struct files *f = *state;
	struct buf out = { 0 };
	char want[200];

	snprintf(want, sizeof want, "78 password-file %s/secret can be "
	    "written by others; expected chmod go-w", f->dir);
	assert_string_equal(password_of(f, "a", 1, 0620, &out), want);
	assert_string_equal(password_of(f, "a", 1, 0602, &out), want);
	buf_free(&out);
}

static void
test_secret_files_that_others_can_read(void **state)
{
	struct files *f = *state;
	struct buf out = { 0 };
	char want[200];

	assert_string_equal(password_of(f, "a", 1, 0640, &out), "a");
	assert_string_equal(f->logged, "");
	assert_string_equal(password_of(f, "a", 1, 0644, &out), "a");
	snprintf(want, sizeof want, "]: password-file %s/secret can be "
	    "read by everyone on this machine; chmod o-r is advised\n", f->dir);
	assert_non_null(strstr(f->logged, want));
	buf_free(&out);
}

static void
test_a_configuration_with_a_secret_that_others_can_read(void **state)
{
	static const char text[] = "hostname a.b\n" SMTP "user u\npassword p\n";
	struct files *f = *state;
	struct config c;
	struct result res;
	char want[200];

	assert_int_equal(config_load(&c, file_write(f, "conf", text,
	    sizeof text - 1, 0640), &res), 0);
	open_secrets(f, &c);
	assert_string_equal(f->logged, "");
	config_free(&c);
	assert_int_equal(config_load(&c, file_write(f, "conf", text,
	    sizeof text - 1, 0644), &res), 0);
	open_secrets(f, &c);
	snprintf(want, sizeof want, "]: %s/conf holds a secret and can be read "
	    "by everyone on this machine; chmod o-r is advised\n", f->dir);
	assert_non_null(strstr(f->logged, want));
	config_free(&c);
}

static void
test_secret_files_that_cannot_be_read(void **state)
{
	struct files *f = *state;
	struct result res;
	struct config c;
	struct buf b = { 0 };
	char want[200];
	uid_t me = geteuid();

	buf_addf(&b, SMTP "user u\npassword-file %s/secret\n" SES
	    "access-key-id A\nsecret-access-key-file %s\n", f->dir,
	    file_write(f, "key", "key", 3, 0000));
	conf_accepted(&c, buf_str(&b));
	/* The log first: it is opened by who may write there. */
	open_secrets(f, &c);
	secret_free(&c.routes[1].secret_access_key);
	c.routes[1].secret_access_key.file = strdup(f->path);
	if (me == 0)
		assert_int_equal(seteuid(65534), 0);
	secret_open(&c.routes[1].secret_access_key, "route s: key", NULL);
	assert_int_equal(seteuid(me), 0);
	assert_null(secret_get(&c.routes[0].password, "password", &res));
	snprintf(want, sizeof want, "password-file %s/secret cannot be "
	    "read: No such file or directory", f->dir);
	assert_string_equal(res.text, want);
	assert_int_equal(res.exit, EXIT_CONFIGURATION);
	assert_int_equal(res.cause, CAUSE_OPERATOR);
	assert_null(secret_get(&c.routes[1].secret_access_key, "key", &res));
	snprintf(want, sizeof want, "route s: key %s/key cannot be read: "
	    "Permission denied", f->dir);
	assert_string_equal(res.text, want);
	assert_int_equal(res.exit, EXIT_NOPERM);
	assert_int_equal(res.cause, CAUSE_OPERATOR);
	config_free(&c);
	buf_free(&b);
}

static void
test_every_secret_file_of_a_configuration_is_opened(void **state)
{
	struct files *f = *state;
	struct config c;
	struct buf b = { 0 };

	file_write(f, "secret", "one\n", 4, 0600);
	file_write(f, "key", "two\n", 4, 0600);
	buf_addf(&b, SMTP "user u\npassword-file %s/secret\n" SES
	    "access-key-id A\nsecret-access-key-file %s/key\n", f->dir, f->dir);
	conf_accepted(&c, buf_str(&b));
	assert_null(c.routes[0].password.value);
	open_secrets(f, &c);
	assert_string_equal(c.routes[0].password.value, "one");
	assert_string_equal(c.routes[1].secret_access_key.value, "two");
	config_free(&c);
	buf_free(&b);
}

/* --- Commands ------------------------------------------------------------- */

/* What secret_get() makes of a command: its text, or "!" and the reason. */
static const char *
command_gives(const char *command, struct buf *out)
{
	struct secret s = { .command = (char *)(uintptr_t)command };
	struct result res = { 0 };
	char *value = secret_get(&s, "password", &res);

	buf_reset(out);
	if (value) {
		buf_adds(out, value);
	} else {
		assert_int_equal(res.outcome, OUT_TEMP);
		assert_int_equal(res.cause, CAUSE_OPERATOR);
		assert_int_equal(result_exit(&res), EXIT_TEMP);
		buf_addf(out, "!%s", res.text);
	}
	str_wipe_free(value);
	return buf_str(out);
}

static void
test_a_command_gives_the_first_line(void **state)
{
	static const struct { const char *command, *want; } cases[] = {
		{ "echo secret", "secret" },
		{ "printf secret", "secret" },
		{ "printf 'a b\\r\\nc\\n'", "a b" },
		{ "printf 'a\\nb\\n\\n'", "a" },
		{ "printf a; sleep 0.2; printf 'b\\nc'", "ab" },
		{ "echo a; cat; head -c 300000 /dev/zero", "a" },
		{ "echo a; exec >&-; sleep 0.2", "a" },
		{ "printf \"$(printf '%4096s' x | tr ' ' y)\" | tail -c 3",
		    "yyx" },
		{ "true", "!password: its command holds nothing; expected the "
		    "secret" },
		{ "echo; echo a", "!password: its command holds nothing; "
		    "expected the secret" },
		{ "printf 'a\\0b\\n'", "!password: its command holds a NUL; "
		    "expected text" },
		{ "printf 'a\\rb\\n'", "!password: its command holds more than "
		    "one line; expected the secret alone" },
		{ "echo a; exit 3", "!password: its command failed; expected "
		    "exit status 0" },
		{ "echo a; kill -9 $$", "!password: its command was killed by "
		    "a signal; expected exit status 0" },
		{ "exec 2>/dev/null; /nonexistent", "!password: its command "
		    "was not found; expected exit status 0" },
		{ "printf '%5000s\\n' x", "!password: its command printed too "
		    "long a line; expected 4096 bytes at most" },
		{ "printf '%4097s\\n' x", "!password: its command printed too "
		    "long a line; expected 4096 bytes at most" },
		{ "printf '%300000s' x", "!password: its command printed too "
		    "long a line; expected 4096 bytes at most" },
	};
	struct buf out = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof cases / sizeof *cases; i++)
		assert_string_equal(command_gives(cases[i].command, &out),
		    cases[i].want);
	assert_int_equal(strlen(command_gives("printf '%4096s' x", &out)), 4096);
	assert_int_equal(strlen(command_gives("printf '%4096s\\nmore' x",
	    &out)), 4096);
	buf_free(&out);
}

static void
test_a_command_that_leaves_something_running(void **state)
{
	struct buf out = { 0 };
	int64_t before = clock_ms();
	pid_t pid;

	(void)state;
	/* The pipe stays open, but nobody waits for it. */
	pid = (pid_t)atoi(command_gives("sleep 50 2>/dev/null & echo $!",
	    &out));
	assert_true(clock_ms() - before < 40000);
	assert_true(pid > 1);
	assert_int_equal(kill(pid, SIGKILL), 0);
	buf_free(&out);
}

static void
test_a_command_inherits_no_other_descriptor(void **state)
{
	struct buf out = { 0 }, command = { 0 };
	int fd = open("/dev/null", O_RDONLY), i;

	(void)state;
	assert_true(fd > 2);
	close(fd);
	/* stdin is empty; the pipe's ends were these before they were moved. */
	buf_adds(&command, "cat; cd /proc/$$/fd && printf 012;");
	for (i = fd; i < fd + 4; i++)
		buf_addf(&command, "test -e %d && printf %d;", i, i);
	buf_adds(&command, "true");
	assert_string_equal(command_gives(buf_str(&command), &out), "012");
	buf_free(&command);
	buf_free(&out);
}

static void
test_a_command_under_an_ignored_sigchld(void **state)
{
	struct buf out = { 0 };
	struct sigaction now;

	(void)state;
	signal(SIGCHLD, SIG_IGN);
	assert_string_equal(command_gives("echo a; exit 1", &out),
	    "!password: its command failed; expected exit status 0");
	assert_string_equal(command_gives("echo a", &out), "a");
	assert_int_equal(sigaction(SIGCHLD, NULL, &now), 0);
	assert_true(now.sa_handler == SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
	/* An ignored SIGPIPE is not passed on either. */
	signal(SIGPIPE, SIG_IGN);
	assert_string_equal(command_gives("echo a; kill -PIPE $$; echo b",
	    &out), "!password: its command was killed by a signal; expected "
	    "exit status 0");
	signal(SIGPIPE, SIG_DFL);
	buf_free(&out);
}

static void
test_a_secret_that_is_not_there(void **state)
{
	struct secret s = { 0 };
	struct result res;

	(void)state;
	assert_null(secret_get(&s, "password", &res));
	assert_string_equal(res.text, "password is not given");
	secret_free(&s);
}

int
main(void)
{
#define FILES(test) cmocka_unit_test_setup_teardown(test, files_make, \
	files_remove)
	const struct CMUnitTest tests[] = {
		FILES(test_a_file_is_loaded),
		FILES(test_a_missing_file_says_what_to_do),
		FILES(test_a_folder_is_no_configuration),
		FILES(test_a_file_that_may_not_be_read),
		FILES(test_the_size_limit),
		FILES(test_a_nul_is_refused),
		FILES(test_a_secret_in_a_file_that_others_can_write),
		FILES(test_secret_files),
		FILES(test_the_longest_secret_file),
		FILES(test_secret_files_that_others_can_write),
		FILES(test_secret_files_that_others_can_read),
		FILES(test_a_configuration_with_a_secret_that_others_can_read),
		FILES(test_secret_files_that_cannot_be_read),
		FILES(test_every_secret_file_of_a_configuration_is_opened),
		cmocka_unit_test(test_a_command_gives_the_first_line),
		cmocka_unit_test(test_a_command_that_leaves_something_running),
		cmocka_unit_test(test_a_command_inherits_no_other_descriptor),
		cmocka_unit_test(test_a_command_under_an_ignored_sigchld),
		cmocka_unit_test(test_a_secret_that_is_not_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
