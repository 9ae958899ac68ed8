#include "lib/aws/ini.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { CHUNK = 4096 };

/* What lies in chunk and text may be a secret: the whole is wiped at the end. */
struct reader {
	const char *file, *section;
	struct ini_item *items;
	size_t nitems;
	struct result *res;
	enum ini_state state;
	bool started;		/* the first line was read */
	bool begun;		/* a section header was met */
	bool inside;		/* the wanted section is open */
	bool key;		/* a key was met in this section */
	size_t indent;		/* of the last line that was not nested */
	char parent[8];		/* the key above nested lines, when it is short */
	size_t nparent;
	int fd;
	size_t pos, len;	/* of chunk */
	char chunk[CHUNK];
	bool cut;		/* the line is longer than text */
	size_t n;		/* of text */
	char text[INI_LINE_MAX];
};

/* A part of text. */
struct span {
	const char *p;
	size_t n;
};

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\v' || c == '\f';
}

static bool
is_comment(char c)
{
	return c == '#' || c == ';';
}

static struct span
trim(const char *p, size_t n)
{
	while (n > 0 && is_blank(*p)) {
		p++;
		n--;
	}
	while (n > 0 && is_blank(p[n - 1]))
		n--;
	return (struct span){ p, n };
}

/* --- lines ----------------------------------------------------------------- */

/* Read on: 1, 0 at the end, -1 with res filled. */
static int
fill(struct reader *r)
{
	ssize_t n;

	do
		n = read(r->fd, r->chunk, sizeof r->chunk);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return result_fail(r->res, EXIT_NOPERM, "%s: %s", r->file,
		    strerror(errno));
	r->pos = 0;
	r->len = (size_t)n;
	return n > 0;
}

/*
 * One line without its end into text: 1, 0 at the end, -1 with res filled. CR,
 * LF and CR LF end lines; the empty line that the last of these adds is harmless.
 */
static int
read_line(struct reader *r)
{
	bool any = false;
	int got;
	char c;

	r->n = 0;
	r->cut = false;
	for (;;) {
		if (r->pos == r->len && (got = fill(r)) <= 0)
			return got < 0 ? -1 : any;
		any = true;
		c = r->chunk[r->pos++];
		if (c == '\n' || c == '\r')
			return 1;
		if (c == '\0')
			c = '\1';	/* so that a string shows it */
		if (r->n < sizeof r->text)
			r->text[r->n++] = c;
		else
			r->cut = true;
	}
}

/* --- sections and keys ----------------------------------------------------- */

static bool
is_text(struct span s, const char *text)
{
	return s.n == strlen(text) && memcmp(s.p, text, s.n) == 0;
}

/* What stands behind "profile" and blanks, unquoted; empty when it is not so. */
static struct span
profile_name(struct span s)
{
	static const char word[] = "profile";
	const size_t n = sizeof word - 1;

	if (s.n <= n || memcmp(s.p, word, n) != 0 || !is_blank(s.p[n]))
		return (struct span){ s.p, 0 };
	s = trim(s.p + n, s.n - n);
	if (s.n > 1 && (*s.p == '"' || *s.p == '\'') && s.p[s.n - 1] == *s.p)
		s = (struct span){ s.p + 1, s.n - 2 };
	return s;
}

static bool
is_section(struct span header, const char *wanted)
{
	struct span there = profile_name(header);
	struct span want = profile_name((struct span){ wanted, strlen(wanted) });

	if (want.n > 0)
		return there.n == want.n && memcmp(there.p, want.p, want.n) == 0;
	return is_text(header, wanted);
}

/* A header that does not end is of no section: the keys below are nobody's. */
static void
take_section(struct reader *r, struct span line)
{
	const char *end = memchr(line.p, ']', line.n);

	r->begun = true;
	r->key = false;
	r->inside = end != NULL && is_section(trim(line.p + 1,
	    (size_t)(end - line.p) - 1), r->section);
	if (r->inside)
		r->state = INI_SECTION;
}

/* What is behind the '=', up to a comment that stands behind a blank. */
static struct span
value_in(const char *p, size_t n)
{
	size_t i;

	for (i = 1; i < n; i++)
		if (is_blank(p[i - 1]) && is_comment(p[i]))
			break;
	return trim(p, n > 0 ? i : 0);
}

static int
keep(struct reader *r, struct ini_item *item, struct span value)
{
	if (r->cut)
		return result_fail(r->res, EXIT_NOPERM,
		    "%s: the line of %s in [%s] is longer than %d bytes",
		    r->file, item->key, r->section, INI_LINE_MAX);
	buf_wipe(&item->value);
	buf_add(&item->value, value.p, value.n);
	if (item->value.failed)
		return result_fail(r->res, EXIT_OS, "out of memory");
	item->found = true;
	return 0;
}

/* Is that the item's key? One of a nested line is "parent.name". */
static bool
is_key(const struct reader *r, const char *key, struct span name, bool nested)
{
	if (nested) {
		if (r->nparent == 0 ||
		    strncmp(key, r->parent, r->nparent) != 0 ||
		    key[r->nparent] != '.')
			return false;
		key += r->nparent + 1;
	}
	return strlen(key) == name.n && mem_iequal(key, name.p, name.n);
}

static int
take_key(struct reader *r, struct span line, bool nested)
{
	struct span key, value;
	size_t i, d;

	for (d = 0; d < line.n && line.p[d] != '=' && line.p[d] != ':'; d++)
		;
	if (d == line.n)
		return 0;
	r->key = r->begun;
	if (!r->inside)
		return 0;
	key = trim(line.p, d);
	value = value_in(line.p + d + 1, line.n - d - 1);
	if (!nested) {
		r->nparent = value.n == 0 && key.n <= sizeof r->parent ?
		    key.n : 0;
		memcpy(r->parent, key.p, r->nparent);
	}
	for (i = 0; i < r->nitems; i++)
		if (is_key(r, r->items[i].key, key, nested))
			return keep(r, &r->items[i], value);
	return 0;
}

static int
take_line(struct reader *r)
{
	static const char bom[3] = { '\xef', '\xbb', '\xbf' };
	const char *p = r->text;
	size_t n = r->n, indent;
	struct span line;

	if (!r->started && n >= sizeof bom && memcmp(p, bom, sizeof bom) == 0) {
		p += sizeof bom;
		n -= sizeof bom;
	}
	r->started = true;
	line = trim(p, n);
	if (line.n == 0 || is_comment(*line.p))
		return 0;
	indent = (size_t)(line.p - p);
	if (r->key && indent > r->indent)
		return take_key(r, line, true);
	r->indent = indent;
	if (*line.p != '[')
		return take_key(r, line, false);
	take_section(r, line);
	return 0;
}

/* --- files ----------------------------------------------------------------- */

static int
read_all(struct reader *r)
{
	int got;

	while ((got = read_line(r)) > 0)
		if (take_line(r) != 0)
			return -1;
	return got < 0 ? -1 : (int)r->state;
}

int
ini_read_open(int fd, const char *file, const char *section,
    struct ini_item *items, size_t n, struct result *res)
{
	struct reader r = {
		.file = file, .section = section, .items = items, .nitems = n,
		.res = res, .state = INI_NO_SECTION, .fd = fd
	};
	int ret = read_all(&r);

	close(fd);
	mem_wipe(&r, sizeof r);
	return ret;
}

int
ini_read(const char *file, const char *section, struct ini_item *items,
    size_t n, struct result *res)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return INI_NO_FILE;
	if (fd < 0)
		return result_fail(res, EXIT_NOPERM, "%s: %s", file,
		    strerror(errno));
	return ini_read_open(fd, file, section, items, n, res);
}

int
ini_get(const char *file, const char *section, const char *key,
    struct buf *out, struct result *res)
{
	struct ini_item item = { .key = key };
	int ret;

	ret = ini_read(file, section, &item, 1, res);
	if (ret < 0 || !item.found) {
		buf_wipe(&item.value);
		return ret < 0 ? -1 : 0;
	}
	buf_wipe(out);
	*out = item.value;
	return 1;
}
