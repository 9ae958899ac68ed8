#include "lib/config/senders.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/config/file.h"
#include "lib/config/pattern.h"

enum { BLOCK = 16384 };

/* A look-up on its way through lists. */
struct scan {
	struct sender_query *q;
	struct needle *needles;
	size_t nq, left;	/* left: still to be matched */
	const char *where;
	unsigned line;
	struct result *res;
	void (*each)(void *ctx, const struct pattern *p, const char *text,
	    size_t n);
	void *ctx;
};

bool
senders_pattern_valid(const char *pattern)
{
	struct pattern p;
	size_t n = strlen(pattern);

	return n <= SENDERS_LINE_MAX && pattern_parse(&p, pattern, n);
}

bool
senders_pattern_match(const char *pattern, size_t n, const char *addr)
{
	struct needle a = pattern_needle(addr);
	struct pattern p;

	return pattern_parse(&p, pattern, n) && pattern_covers(&p, &a);
}

static int
scan_begin(struct scan *s, struct sender_query *q, size_t nq, bool any,
    struct result *res)
{
	size_t i, matched = 0;

	*s = (struct scan){ .q = q, .nq = nq, .res = res };
	s->needles = calloc(nq ? nq : 1, sizeof *s->needles);
	if (s->needles == NULL)
		return result_fail(res, EXIT_OS, "out of memory");
	for (i = 0; i < nq; i++) {
		s->needles[i] = pattern_needle(q[i].addr);
		matched += q[i].matched;
	}
	s->left = nq - matched;
	if (any && nq > 0)
		s->left = matched == 0;
	return 0;
}

/* A pattern that is too long for its field still leaves room for the place. */
static void
mark(struct scan *s, struct sender_query *q, const char *pattern, size_t n)
{
	int shown = n > 120 ? 120 : (int)n;

	snprintf(q->by, sizeof q->by, "%.*s%s in %.250s:%u", shown, pattern,
	    n > 120 ? "..." : "", s->where, s->line);
	q->matched = true;
	s->left--;
}

/* Compare the pattern p, written in n bytes at `text`, with all that is left. */
static void
try_pattern(struct scan *s, const struct pattern *p, const char *text, size_t n)
{
	size_t i;

	if (s->each)
		s->each(s->ctx, p, text, n);
	for (i = 0; i < s->nq && s->left > 0; i++)
		if (!s->q[i].matched && pattern_covers(p, &s->needles[i]))
			mark(s, &s->q[i], text, n);
}

/* -1: the text is no pattern. */
static int
scan_pattern(struct scan *s, const char *text, size_t n)
{
	struct pattern p;

	if (!pattern_parse(&p, text, n))
		return result_fail(s->res, EXIT_CONFIGURATION, "%.250s:%u: "
		    "'%.*s' is no pattern; expected alice@example.com, "
		    "@example.com, @.example.com, *-bounces@lists.example or *",
		    s->where, s->line, n > 60 ? 60 : (int)n, text);
	try_pattern(s, &p, text, n);
	return 0;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/*
 * The length of a line without the comment in it, if there is one: a # at the
 * start or behind a blank, but not in a quoted local part.
 */
static size_t
without_comment(const char *line, size_t n)
{
	size_t i = 0;

	if (line[0] == '"')
		for (i = 1; i < n && line[i] != '"'; i++)
			if (line[i] == '\\')
				i++;
	for (; i < n; i++)
		if (line[i] == '#' && (i == 0 || is_blank(line[i - 1])))
			return i;
	return n;
}

/* A line in which there may be a comment. */
static int
scan_commented(struct scan *s, const char *line, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (((unsigned char)line[i] < ' ' && line[i] != '\t') ||
		    line[i] == 0x7F)
			return result_fail(s->res, EXIT_CONFIGURATION,
			    "%.250s:%u: control character 0x%02X; expected "
			    "text", s->where, s->line,
			    (unsigned)(unsigned char)line[i]);
	n = without_comment(line, n);
	while (n > 0 && is_blank(line[n - 1]))
		n--;
	return n > 0 ? scan_pattern(s, line, n) : 0;
}

static int
scan_line(struct scan *s, const char *line, size_t n)
{
	struct pattern p;

	s->line++;
	if (n > 0 && line[n - 1] == '\r')
		n--;
	if (n > SENDERS_LINE_MAX)
		return result_fail(s->res, EXIT_CONFIGURATION, "%.250s:%u: a "
		    "line of more than %d bytes; expected one pattern",
		    s->where, s->line, SENDERS_LINE_MAX);
	while (n > 0 && is_blank(*line)) {
		line++;
		n--;
	}
	while (n > 0 && is_blank(line[n - 1]))
		n--;
	if (n == 0)
		return 0;
	if (*line == '#' || !pattern_parse(&p, line, n))
		return scan_commented(s, line, n);
	try_pattern(s, &p, line, n);
	return 0;
}

/*
 * The lines of a block, of which the last may lack its end. Returns how much was
 * used: all when `last`, else up to the line that has not ended yet; or -1.
 */
static ssize_t
scan_block(struct scan *s, const char *p, size_t n, bool last)
{
	const char *start = p, *end = p + n, *stop;

	while (p < end && s->left > 0) {
		stop = memchr(p, '\n', (size_t)(end - p));
		if (stop == NULL && !last)
			break;
		if (stop == NULL)
			stop = end;
		if (scan_line(s, p, (size_t)(stop - p)) < 0)
			return -1;
		p = stop < end ? stop + 1 : end;
	}
	return p - start;
}

static size_t
mark_length(const char *p, size_t n)
{
	return n >= 3 && memcmp(p, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
}

static int
scan_text(struct scan *s, const char *text)
{
	size_t n = strlen(text), skip = mark_length(text, n);

	s->line = 0;
	return scan_block(s, text + skip, n - skip, true) < 0 ? -1 : 0;
}

static int
scan_fd(struct scan *s, int fd)
{
	char block[BLOCK];
	size_t have = 0, skip;
	ssize_t n, used;
	bool first = true, last;

	s->line = 0;
	while (s->left > 0) {
		n = file_read(fd, block + have, sizeof block - have);
		if (n < 0)
			return result_fail(s->res, EXIT_CONFIGURATION,
			    "%.250s cannot be read: %s", s->where,
			    strerror(errno));
		last = (size_t)n < sizeof block - have;
		have += (size_t)n;
		skip = first ? mark_length(block, have) : 0;
		first = false;
		used = scan_block(s, block + skip, have - skip, last);
		if (used < 0)
			return -1;
		if (last || s->left == 0)
			break;
		skip += (size_t)used;
		have -= skip;
		/* Longer than any line may be: the limit tells. */
		if (have > SENDERS_LINE_MAX + 1)
			return scan_line(s, block + skip, have);
		memmove(block, block + skip, have);
	}
	return 0;
}

static int
scan_file(struct scan *s, const struct sender_source *source)
{
	const char *file = source->text;
	char what[200] = "senders";
	struct stat st;
	int fd, rc;

	if (source->conf)
		snprintf(what, sizeof what, "%.160s:%u: senders", source->conf,
		    source->line);
	fd = file_open(what, file, &st, s->res);
	if (fd < 0)
		return -1;
	s->where = file;
	rc = scan_fd(s, fd);
	close(fd);
	return rc;
}

static int
scan_source(struct scan *s, const struct sender_source *source)
{
	switch (source->kind) {
	case SENDER_FILE:
		return scan_file(s, source);
	case SENDER_BUILTIN:
		s->where = "the built-in list";
		return scan_text(s, senders_builtin);
	case SENDER_PATTERN:
		break;
	}
	s->where = source->conf ? source->conf : "the configuration";
	s->line = source->line;
	return scan_pattern(s, source->text, strlen(source->text));
}

int
senders_match(const struct route *r, struct sender_query *q, size_t nq,
    bool any, struct result *res)
{
	struct scan s;
	size_t i;
	int rc;

	rc = scan_begin(&s, q, nq, any, res);
	for (i = 0; rc == 0 && s.left > 0 && i < r->nsources; i++)
		rc = scan_source(&s, &r->sources[i]);
	free(s.needles);
	return rc;
}

int
senders_each(const struct route *r, void (*each)(void *ctx,
    const struct pattern *p, const char *text, size_t n), void *ctx,
    struct result *res)
{
	struct scan s = { .left = 1, .res = res, .each = each, .ctx = ctx };
	size_t i;
	int rc = 0;

	for (i = 0; rc == 0 && i < r->nsources; i++)
		rc = scan_source(&s, &r->sources[i]);
	return rc;
}

int
senders_match_text(const char *text, const char *where,
    struct sender_query *q, size_t nq, bool any, struct result *res)
{
	struct scan s;
	int rc;

	rc = scan_begin(&s, q, nq, any, res);
	s.where = where;
	if (rc == 0)
		rc = scan_text(&s, text);
	free(s.needles);
	return rc;
}
