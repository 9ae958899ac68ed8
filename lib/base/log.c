#include "lib/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/write.h"

enum {
	SYSLOG_MAX = 2000,		/* more is clipped by many a syslogd */
	SYSLOG_PRIORITY = 2 << 3 | 6	/* mail.info, RFC 3164 section 4.1.1 */
};

/*
 * The local syslogd's socket; -1: there is none. syslog(3) would cut lines at
 * 1 KiB and cost 6 KiB of program.
 */
static int
syslog_connect(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX,
		.sun_path = "/dev/log" };
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	if (fd < 0)
		return -1;
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	if (connect(fd, (struct sockaddr *)&sun, sizeof sun) == 0)
		return fd;
	close(fd);
	return -1;
}

void
log_open(struct log *l, enum log_target target, const char *file)
{
	l->target = target;
	l->fd = -1;
	/* O_NONBLOCK: a FIFO that nobody reads must not hold up the mail. */
	if (target == LOG_TO_FILE)
		l->fd = open(file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC |
		    O_NOCTTY | O_NONBLOCK, 0640);
	else if (target == LOG_TO_SYSLOG)
		l->fd = syslog_connect();
}

void
log_close(struct log *l)
{
	if (l->target != LOG_TO_NONE && l->fd >= 0)
		close(l->fd);
	l->fd = -1;
	l->target = LOG_TO_NONE;
}

/* A heap copy of prefix, the cleaned text and `end`; NULL: dropped. */
static char *
line_make(const char *prefix, const char *end, const char *fmt, va_list ap)
{
	size_t start = strlen(prefix), size;
	va_list again;
	char *line;
	int n;

	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	if (n < 0)
		return NULL;
	size = start + (size_t)n + strlen(end) + 1;
	line = malloc(size);
	if (line == NULL)
		return NULL;
	memcpy(line, prefix, start);
	vsnprintf(line + start, (size_t)n + 1, fmt, ap);
	text_clean(line + start);
	strcat(line, end);
	return line;
}

static void
line_prefix(enum log_target target, char *out, size_t size)
{
	char when[CLOCK_TEXT_SIZE];

	if (target == LOG_TO_FILE) {
		clock_log(when, clock_wall());
		snprintf(out, size, "%s sendroute[%ld]: ", when, (long)getpid());
	} else {
		clock_syslog(when, clock_wall());
		snprintf(out, size, "<%d>%s sendroute[%ld]: ", SYSLOG_PRIORITY,
		    when, (long)getpid());
	}
}

void
log_write(struct log *l, const char *fmt, ...)
{
	char prefix[64];
	char *line;
	size_t n;
	va_list ap;

	if (l->target == LOG_TO_NONE || l->fd < 0)
		return;
	line_prefix(l->target, prefix, sizeof prefix);
	va_start(ap, fmt);
	line = line_make(prefix, l->target == LOG_TO_FILE ? "\n" : "", fmt, ap);
	va_end(ap);
	if (line == NULL)
		return;
	n = strlen(line);
	if (l->target == LOG_TO_FILE)
		/* In one write, so that lines of several processes do not mix. */
		write_all(l->fd, line, n);
	else
		send(l->fd, line, n < SYSLOG_MAX ? n : SYSLOG_MAX, MSG_NOSIGNAL);
	free(line);
}

void
log_error(struct log *l, const char *fmt, ...)
{
	char *line;
	va_list ap;

	if (l->quiet)
		return;
	va_start(ap, fmt);
	line = line_make("sendroute: ", "\n", fmt, ap);
	va_end(ap);
	if (line)
		write_all(STDERR_FILENO, line, strlen(line));
	else
		write_all(STDERR_FILENO, "sendroute: out of memory\n", 25);
	free(line);
}

void
log_trace(struct log *l, const char *fmt, ...)
{
	char *line;
	va_list ap;

	if (l == NULL || !l->trace || l->quiet)
		return;
	va_start(ap, fmt);
	line = line_make("", "\n", fmt, ap);
	va_end(ap);
	if (line)
		write_all(STDERR_FILENO, line, strlen(line));
	free(line);
}

void
log_pair(struct buf *b, const char *key, const char *value)
{
	bool quote = *value == '\0' || strpbrk(value, " \t\"=") != NULL;

	if (b->len > 0)
		buf_addc(b, ' ');
	buf_adds(b, key);
	buf_adds(b, quote ? "=\"" : "=");
	for (; *value; value++) {
		if (quote && (*value == '"' || *value == '\\'))
			buf_addc(b, '\\');
		if ((unsigned char)*value < 0x20 || *value == 0x7f)
			buf_addc(b, '?');
		else
			buf_addc(b, *value);
	}
	if (quote)
		buf_addc(b, '"');
}
