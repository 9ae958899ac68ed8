#include "lib/config/secret.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/config/command.h"
#include "lib/config/file.h"
#include "lib/config/helper.h"

static const char no_memory[] = "cannot be kept: out of memory";

int
secret_exit(const char *why)
{
	return strstr(why, "memory") ? EXIT_OS : EXIT_CONFIGURATION;
}

static void
fail(struct result *res, int exit, const char *what, const char *why)
{
	result_set(res, OUT_TEMP, CAUSE_OPERATOR, "%s %s", what, why);
	res->exit = exit ? secret_exit(why) : 0;
}

/* A heap copy of text that can be a secret; or NULL with *why set. */
static char *
take(const char *text, size_t n, const char **why)
{
	char *copy;

	if (n > 0 && text[n - 1] == '\n')
		n--;
	if (n > 0 && text[n - 1] == '\r')
		n--;
	if (n == 0)
		*why = "holds nothing; expected the secret";
	else if (memchr(text, '\n', n) || memchr(text, '\r', n))
		*why = "holds more than one line; expected the secret alone";
	else if (memchr(text, '\0', n))
		*why = "holds a NUL; expected text";
	else {
		copy = mem_dup(text, n);
		*why = no_memory;
		return copy;
	}
	return NULL;
}

/* All there is to read, with a NUL behind; or NULL with *why set. */
static char *
read_file(int fd, size_t max, size_t *n, const char **why)
{
	char *text = malloc(max + 2);
	ssize_t got;

	if (text == NULL) {
		*why = no_memory;
		return NULL;
	}
	got = file_read(fd, text, max + 1);
	if (got >= 0 && (size_t)got <= max) {
		*n = (size_t)got;
		text[got] = '\0';
		return text;
	}
	*why = got < 0 ? strerror(errno) : max == SECRET_MAX ?
	    "is too long for a secret; expected 4096 bytes at most" :
	    "is too long; expected 64 KiB at most";
	mem_wipe(text, max + 1);
	free(text);
	return NULL;
}

char *
secret_read(const char *what, const char *path, size_t max, size_t *n,
    struct log *log, struct result *res)
{
	struct buf name = { 0 };
	struct stat st;
	const char *why;
	char *text = NULL;
	int fd;

	fd = file_open(what, path, &st, res);
	res->cause = CAUSE_OPERATOR;
	if (fd < 0)
		return NULL;
	buf_addf(&name, "%s %.300s", what, path);
	if (st.st_mode & (S_IWGRP | S_IWOTH))
		why = "can be written by others; expected chmod go-w";
	else
		text = read_file(fd, max, n, &why);
	if (text == NULL)
		fail(res, EXIT_CONFIGURATION, buf_str(&name), why);
	else if (log && (st.st_mode & S_IROTH))
		log_write(log, "%s can be read by everyone on this machine; "
		    "chmod o-r is advised", buf_str(&name));
	buf_free(&name);
	close(fd);
	return text;
}

void
secret_open(struct secret *s, const char *what, struct log *log)
{
	struct buf name = { 0 };
	const char *why;
	char *text;
	size_t n;

	if (s->file == NULL || s->value != NULL)
		return;
	text = secret_read(what, s->file, SECRET_MAX, &n, log, &s->err);
	if (text == NULL)
		return;
	s->value = take(text, n, &why);
	if (s->value == NULL) {
		buf_addf(&name, "%s %.300s", what, s->file);
		fail(&s->err, EXIT_CONFIGURATION, buf_str(&name), why);
		buf_free(&name);
	}
	mem_wipe(text, n);
	free(text);
}

int
secret_run(char *command, char *out, size_t size, long *n)
{
	char sh[] = "/bin/sh", c[] = "-c";
	char *argv[] = { sh, c, command, NULL };

	return command_run(argv, 0, out, size, n);
}

static char *
run_command(const struct secret *s, const char **why)
{
	struct helper_request ask = { .route = s->route, .profile = -1 };
	char text[SECRET_MAX + 1], *value = NULL, *end;
	size_t have;
	long n;

	if (s->helper != 0)
		n = helper_ask(s->helper, &ask, text, sizeof text, why);
	else {
		*why = command_why(secret_run(s->command, text, sizeof text,
		    &n));
		if (*why)
			n = -1;
	}
	have = n > (long)sizeof text ? sizeof text : (size_t)n;
	if (n >= 0) {
		end = memchr(text, '\n', have);
		have = end ? (size_t)(end - text) : have;
		if (have > SECRET_MAX)
			*why = "printed too long a line; expected 4096 bytes at most";
		else
			value = take(text, have, why);
	}
	mem_wipe(text, sizeof text);
	return value;
}

char *
secret_get(const struct secret *s, const char *what, struct result *res)
{
	const char *why = "is not given";
	struct buf name = { 0 };
	char *value = NULL;

	if (s->err.text[0] != '\0') {
		*res = s->err;
		return NULL;
	}
	buf_adds(&name, what);
	if (s->value) {
		value = mem_dup(s->value, strlen(s->value));
		why = no_memory;
	} else if (s->command) {
		value = run_command(s, &why);
		buf_adds(&name, ": its command");
	}
	if (value == NULL)
		fail(res, 0, buf_str(&name), why);
	buf_free(&name);
	return value;
}

void
secret_free(struct secret *s)
{
	free(s->file);
	str_wipe_free(s->command);
	str_wipe_free(s->value);
	*s = (struct secret){ 0 };
}
