#include "lib/net/reply.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/buf.h"

/* The code of a reply line, or -1 when it is none (RFC 5321 section 4.2). */
static int
reply_code(const char *line, ssize_t n)
{
	int i, code = 0;

	if (n < 3)
		return -1;
	for (i = 0; i < 3; i++) {
		if (line[i] < '0' || line[i] > '9')
			return -1;
		code = code * 10 + (line[i] - '0');
	}
	if (code < 200 || code > 599 ||
	    (n > 3 && line[3] != ' ' && line[3] != '-'))
		return -1;
	return code;
}

static void
join(struct reply *r, const char *text)
{
	size_t len = strlen(r->text);

	snprintf(r->text + len, sizeof r->text - len, "%s%s",
	    len > 0 && *text ? " " : "", text);
}

int
reply_read(struct stream *s, struct log *log, struct reply *r,
    void (*each)(void *ctx, const char *text), void *ctx)
{
	char line[REPLY_LINE];
	ssize_t n, total = 0;
	int lines = 0, code;

	memset(r, 0, sizeof *r);
	do {
		n = stream_line(s, line, sizeof line);
		if (n < 0)
			return -1;
		text_clean(line);
		log_trace(log, "< %s", line);
		total += n;
		code = reply_code(line, n);
		if (code < 0 || (r->code != 0 && code != r->code))
			return stream_fail(s, CAUSE_ROUTE,
			    "not an SMTP reply: \"%.80s\"", line);
		if (++lines > REPLY_LINES || total > REPLY_BYTES)
			return stream_fail(s, CAUSE_ROUTE,
			    "an SMTP reply without end");
		r->code = code;
		join(r, n > 4 ? line + 4 : "");
		if (each)
			each(ctx, n > 4 ? line + 4 : "");
	} while (n > 3 && line[3] == '-');
	return 0;
}
