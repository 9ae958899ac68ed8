#include "lib/config/secret.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/config/command.h"
#include "lib/config/file.h"

static void
fail(struct result *res, int exit, const char *what, const char *why)
{
	result_set(res, OUT_TEMP, CAUSE_OPERATOR, "%s %s", what, why);
	res->exit = exit;
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
		*why = "cannot be kept: out of memory";
		return copy;
	}
	return NULL;
}

static char *
read_file(int fd, const char **why)
{
	char text[SECRET_MAX + 1], *value = NULL;
	ssize_t n = file_read(fd, text, sizeof text);

	if (n < 0)
		*why = strerror(errno);
	else if (n > SECRET_MAX)
		*why = "is too long for a secret; expected 4096 bytes at most";
	else
		value = take(text, (size_t)n, why);
	mem_wipe(text, sizeof text);
	return value;
}

void
secret_open(struct secret *s, const char *what, struct log *log)
{
	struct buf name = { 0 };
	struct stat st;
	const char *why;
	int fd;

	if (s->file == NULL || s->value != NULL)
		return;
	fd = file_open(what, s->file, &st, &s->err);
	if (fd < 0) {
		s->err.cause = CAUSE_OPERATOR;
		return;
	}
	buf_addf(&name, "%s %.300s", what, s->file);
	if (st.st_mode & (S_IWGRP | S_IWOTH))
		why = "can be written by others; expected chmod go-w";
	else
		s->value = read_file(fd, &why);
	if (s->value == NULL)
		fail(&s->err, EXIT_CONFIGURATION, buf_str(&name), why);
	else if (st.st_mode & S_IROTH)
		log_write(log, "%s can be read by everyone on this machine; "
		    "chmod o-r is advised", buf_str(&name));
	buf_free(&name);
	close(fd);
}

static char *
run_command(char *command, const char **why)
{
	char sh[] = "/bin/sh", c[] = "-c", text[SECRET_MAX + 1], *value = NULL;
	char *argv[] = { sh, c, command, NULL }, *end;
	long n = command_output(argv, 0, text, sizeof text, why);
	size_t have = n > (long)sizeof text ? sizeof text : (size_t)n;

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
		why = "cannot be kept: out of memory";
	} else if (s->command) {
		value = run_command(s->command, &why);
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
