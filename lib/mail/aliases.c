#include "lib/mail/aliases.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/config/file.h"
#include "lib/mail/addrlex.h"

enum { BLOCK = 2048 };

/* What is no character. */
enum { END = -1, FAIL = -2 };

/*
 * An entry is a line with those that continue it, in a file where lines do. Any
 * number of readers share a descriptor.
 */
struct reader {
	const char *file;
	int fd, err;
	struct result *res;
	off_t pos, base;	/* base: of the block in the file */
	size_t have;
	bool last;		/* the file ends with the block */
	bool folds;		/* a blank at its start continues a line */
	unsigned line, where;	/* where: the line on which text begins */
	bool blank;		/* the last character, or a line's first */
	char block[BLOCK];
	char text[ALIASES_TEXT_MAX + 1];
};

/* An alias that is being expanded, or a file for it, and what led there. */
struct step {
	const struct step *up;
	const char *name;
	struct reader *r;
	int depth;
};

struct expansion {
	struct aliases *a;
	struct addr_list out, done;	/* done: names of aliases */
	struct result *res;
};

static bool
is_blank(int c)
{
	return c == ' ' || c == '\t';
}

static int
fail(const struct reader *r, const char *named, const char *why)
{
	return result_fail(r->res, EXIT_CONFIGURATION, "%.200s:%u: '%.80s' %s",
	    r->file, r->where, named, why);
}

static int
no_memory(struct result *res)
{
	return result_fail(res, EXIT_OS, "out of memory");
}

/* --- characters --- */

static int
byte_at(struct reader *r, off_t pos)
{
	ssize_t n;

	if (pos >= r->base + (off_t)r->have && r->last)
		return END;
	if (pos < r->base || pos >= r->base + (off_t)r->have) {
		do
			n = pread(r->fd, r->block, sizeof r->block, pos);
		while (n < 0 && errno == EINTR);
		if (n < 0)
			r->err = errno;
		r->base = pos;
		r->have = n > 0 ? (size_t)n : 0;
		r->last = r->have < sizeof r->block;
	}
	return r->have ? (unsigned char)r->block[pos - r->base] : END;
}

/* At the start of a file, behind a byte order mark if there is one. */
static void
start(struct reader *r, const char *file, int fd, bool folds,
    struct result *res)
{
	r->file = file;
	r->folds = folds;
	r->fd = fd;
	r->res = res;
	r->err = 0;
	r->have = 0;
	r->last = false;
	r->pos = r->base = 0;
	r->line = r->where = 1;
	if (byte_at(r, 0) == 0xEF && byte_at(r, 1) == 0xBB &&
	    byte_at(r, 2) == 0xBF)
		r->pos = 3;
}

/* What comes next. A CR is nothing at the end of a line. */
static int
peek(struct reader *r)
{
	int c = byte_at(r, r->pos), after;

	if (c != '\r')
		return c;
	after = byte_at(r, r->pos + 1);
	if (after != '\n' && after != END)
		return c;
	r->pos++;
	return after;
}

/* To the end of the line. */
static void
skip_line(struct reader *r)
{
	const char *stop, *p;

	while (byte_at(r, r->pos) != END) {
		p = r->block + (r->pos - r->base);
		stop = memchr(p, '\n', (size_t)(r->block + r->have - p));
		r->pos += (stop ? stop : r->block + r->have) - p;
		if (stop)
			break;
	}
}

/*
 * At the start of a line: over lines that say nothing, to the first character
 * of one that does. Was there a blank before it?
 */
static bool
skip_empty(struct reader *r)
{
	for (;; r->line++, r->pos++) {
		r->blank = false;
		for (; is_blank(peek(r)); r->pos++)
			r->blank = true;
		if (peek(r) == '#')
			skip_line(r);
		if (peek(r) != '\n')
			return r->blank && peek(r) != END;
	}
}

/*
 * The next character of the entry, folding undone; END behind the last, at the
 * start of the next entry. plain: a comment can begin here.
 */
static int
next(struct reader *r, bool plain)
{
	int c = peek(r);

	if (plain && c == '#' && r->blank) {
		skip_line(r);
		c = peek(r);
	}
	if (c == END)
		return END;
	r->pos++;
	r->blank = is_blank(c);
	if (c != '\n')
		return c;
	r->line++;
	return skip_empty(r) && r->folds ? ' ' : END;
}

/* Quotes and (comments), inside which nothing else has its meaning. */
struct nesting {
	bool quoted, escaped;
	int depth;
};

static bool
is_plain(const struct nesting *n)
{
	return !n->quoted && !n->escaped && n->depth == 0;
}

static void
follow(struct nesting *n, int c)
{
	bool escaped = n->escaped;

	n->escaped = !escaped && c == '\\';
	if (escaped)
		return;
	if (c == '"' && n->depth == 0)
		n->quoted = !n->quoted;
	else if (c == '(' && !n->quoted)
		n->depth++;
	else if (c == ')' && n->depth > 0)
		n->depth--;
}

/* Add to n bytes of text. 0, or FAIL. */
static int
put(struct reader *r, size_t n, int c)
{
	r->text[n] = '\0';
	if ((c < ' ' && c != '\t') || c == 0x7f)
		fail(r, r->text, "is followed by a control character");
	else if (n == ALIASES_TEXT_MAX)
		fail(r, r->text, "goes on for more than 1000 bytes");
	else {
		r->text[n] = (char)c;
		return 0;
	}
	return FAIL;
}

static int
read_failed(const struct reader *r)
{
	return r->err ? fail(r, strerror(r->err), "while reading") : 0;
}

/*
 * The text up to stop or the end of the entry, without blanks around it.
 * Returns which of them it was, or FAIL.
 */
static int
collect(struct reader *r, int stop)
{
	struct nesting nesting = { 0 };
	size_t n = 0;
	int c;

	r->where = r->line;
	r->blank = true;
	while ((c = next(r, is_plain(&nesting))) != END) {
		if (c == stop && is_plain(&nesting))
			break;
		if (n == 0 && is_blank(c)) {
			r->where = r->line;
			continue;
		}
		if (put(r, n, c) < 0)
			return FAIL;
		n++;
		follow(&nesting, c);
	}
	while (n > 0 && is_blank(r->text[n - 1]))
		n--;
	r->text[n] = '\0';
	return read_failed(r) < 0 ? FAIL : c;
}

/* --- entries --- */

static bool
is_name(const struct addrpart *p, const char *name)
{
	return p->len == strlen(name) && mem_iequal(p->text, name, p->len);
}

/* The name that an entry is for. */
static int
entry_name(struct reader *r, struct addrpart *name)
{
	struct addrlex lx = { .s = r->text };
	int type, c = collect(r, ':');

	if (c == FAIL)
		return -1;
	lx.n = strlen(r->text);
	type = addrlex_next(&lx);
	if (c == ':' && (type == LEX_WORD || type == LEX_QUOTED)) {
		addrlex_part(&lx, name);
		if (addrlex_next(&lx) == LEX_END && name->len <= ADDR_MAX)
			return 0;
	}
	return fail(r, r->text, "is not the start of an alias; expected "
	    "\"name: target, ...\", the name without @domain");
}

/*
 * Find the entry for name; r is left behind its colon. *name becomes "default"
 * when it is only caught by that. Returns 1, 0 (none) or -1.
 */
static int
find(struct reader *r, const char **name, bool use_default)
{
	static const char fallback[] = "default";
	struct addrpart p;
	off_t pos = 0;
	unsigned line = 0;

	if (skip_empty(r)) {
		if (collect(r, ':') == FAIL)
			return -1;
		return fail(r, r->text, "begins with a blank, but there is no "
		    "line for it to continue");
	}
	while (peek(r) != END) {
		if (entry_name(r, &p) < 0)
			return -1;
		if (is_name(&p, *name))
			return 1;
		if (pos == 0 && use_default && is_name(&p, fallback)) {
			pos = r->pos;
			line = r->line;
		}
		do
			skip_line(r);
		while (next(r, false) != END);
	}
	if (pos == 0 || r->err)
		return read_failed(r);
	*name = fallback;
	r->pos = pos;
	r->line = line;
	return 1;
}

/* --- expansion --- */

static int
keep(struct expansion *x, const char *addr)
{
	if (addr_list_add(&x->out, addr, strlen(addr)) < 0)
		return no_memory(x->res);
	return 0;
}

/* "a -> b -> ", from the step `first` on. */
static void
name_steps(struct buf *b, const struct step *s, const struct step *first)
{
	if (s != first)
		name_steps(b, s->up, first);
	/* A file goes by the name that it is for. */
	if (s == first || s->name != s->up->name)
		buf_addf(b, "%s -> ", s->name);
}

static int
fail_loop(const struct step *from, const struct step *first)
{
	struct buf b = { 0 };

	name_steps(&b, from, first);
	buf_adds(&b, first->name);
	fail(from->r, buf_str(&b), "is a loop");
	buf_free(&b);
	return -1;
}

/*
 * May the alias called name be expanded for a target of `from`? 1; 0 when it
 * has been, with the same outcome; -1.
 */
static int
enter(struct expansion *x, const char *name, const struct step *from)
{
	const struct step *s;
	size_t i;

	for (s = from; s; s = s->up)
		if (str_iequal(s->name, name))
			return fail_loop(from, s);
	for (i = 0; i < x->done.n; i++)
		if (str_iequal(x->done.v[i], name))
			return 0;
	if (addr_list_add(&x->done, name, strlen(name)) < 0)
		return no_memory(x->res);
	return 1;
}

static int take_list(struct expansion *x, struct reader *r, const char *name,
    const struct step *from);

/* Only an alias that a person wrote can be a loop; a catch-all just ends. */
static bool
is_back_by_default(const struct step *s, const char *name)
{
	bool by_default = str_iequal(name, "default");

	for (; s; s = s->up) {
		by_default |= str_iequal(s->name, "default");
		if (str_iequal(s->name, name))
			return by_default;
	}
	return false;
}

/* A recipient, or a target of `from`. */
static int
expand(struct expansion *x, const char *addr, bool bare,
    const struct step *from)
{
	struct addrlex lx = { .s = addr, .n = strlen(addr) };
	struct addrpart local;
	struct reader r;
	const char *host = address_domain(addr), *name = local.text;
	int found;

	bare = bare || str_iequal(host, x->a->hostname);
	if (!bare && !str_iequal(host, x->a->domain))
		return keep(x, addr);
	if (x->a->fd < 0 && aliases_open(x->a, x->res) < 0)
		return -1;
	addrlex_next(&lx);
	addrlex_part(&lx, &local);
	local.text[local.len] = '\0';
	start(&r, x->a->file, x->a->fd, true, x->res);
	found = find(&r, &name, bare);
	if (found < 0)
		return -1;
	if (found == 0 || (from && str_iequal(from->name, name)) ||
	    is_back_by_default(from, name))
		return keep(x, addr);
	found = enter(x, name, from);
	return found == 1 ? take_list(x, &r, name, from) : found;
}

static int
take_addresses(struct expansion *x, struct reader *r, const struct step *s)
{
	struct addr_list l = { 0 };
	bool final = r->text[0] == '\\';
	char *text = r->text + final;
	size_t i;
	int rc;

	rc = address_parse(text, strlen(text), x->a->domain, &l, x->res);
	if (rc < 0 && x->res->exit != EXIT_OS)
		result_fail(x->res, EXIT_CONFIGURATION, "%.200s:%u: %s",
		    r->file, r->where, x->res->text);
	for (i = 0; rc == 0 && i < l.n; i++) {
		if (++x->a->targets > ALIASES_TARGETS_MAX)
			rc = fail(r, l.v[i], "is one target too many: there "
			    "may be 1000");
		else
			rc = final ? keep(x, l.v[i]) :
			    expand(x, l.v[i], l.bare[i], s);
	}
	addr_list_free(&l);
	return rc;
}

static int
include(struct expansion *x, struct reader *r, const char *path,
    const struct step *s)
{
	struct reader in;
	struct stat st;
	int fd, rc;

	path += strspn(path, " \t");
	if (*path != '/')
		return fail(r, path, "is not an absolute path");
	fd = file_open("", path, &st, x->res);
	if (fd < 0)
		return result_fail(x->res, x->res->exit, "%.200s:%u: %s",
		    r->file, r->where, x->res->text);
	start(&in, path, fd, false, x->res);
	skip_empty(&in);
	do
		rc = take_list(x, &in, s->name, s);
	while (rc == 0 && peek(&in) != END);
	close(fd);
	return rc;
}

/* A target, which r->text holds. */
static int
take_target(struct expansion *x, struct reader *r, const struct step *s)
{
	static const char word[] = ":include:";
	char *text = r->text;

	if (*text == '\\' && strpbrk(text, "|/") && strpbrk(text, "|/") -
	    text <= 2)
		text = strpbrk(text, "|/");
	if (*text == '"' && text[1] && strchr("|/:", text[1])) {
		text++;
		text[strcspn(text, "\"")] = '\0';
	}
	if (*text == '|' || *text == '/')
		return fail(r, text, "is a command or a file, to which no mail "
		    "goes; expected an address, a name or :include:/path");
	if (str_istarts(text, word))
		return include(x, r, text + sizeof word - 1, s);
	return take_addresses(x, r, s);
}

/* The targets, on the lines of r, that the alias called name leads to. */
static int
take_list(struct expansion *x, struct reader *r, const char *name,
    const struct step *from)
{
	struct step s = { from, name, r, from ? from->depth + 1 : 1 };
	size_t before = x->a->targets;
	int c;

	if (s.depth > ALIASES_DEPTH_MAX)
		return fail(from->r, name, "is more than 10 aliases deep");
	do {
		c = collect(r, ',');
		if (c == FAIL || (r->text[0] && take_target(x, r, &s) < 0))
			return -1;
	} while (c != END);
	/* A file that is included may be empty, an alias may not. */
	if (x->a->targets == before && (from == NULL || from->name != name))
		return fail(r, name, "has no target");
	return 0;
}

void
aliases_init(struct aliases *a, const struct config *c)
{
	*a = (struct aliases){ .file = c->aliases, .hostname = c->hostname,
		.domain = c->domain, .fd = -1 };
}

int
aliases_open(struct aliases *a, struct result *res)
{
	struct stat st;

	a->fd = file_open("aliases", a->file, &st, res);
	return a->fd < 0 ? -1 : 0;
}

void
aliases_close(struct aliases *a)
{
	if (a->fd >= 0)
		close(a->fd);
	a->fd = -1;
}

bool
aliases_include(const struct aliases *a)
{
	static const char word[] = ":include:";
	char block[BLOCK];
	size_t have = 0;
	struct stat st;
	struct result unused;
	int fd = a->fd >= 0 ? a->fd :
	    file_open("", a->file, &st, &unused);
	off_t at = 0;
	ssize_t n = 0, i;

	while (fd >= 0 && have < sizeof word - 1 &&
	    (n = pread(fd, block, sizeof block, at)) > 0) {
		for (i = 0; i < n && have < sizeof word - 1; i++)
			have = mem_iequal(&block[i], &word[have], 1) ? have + 1 :
			    block[i] == ':';
		at += n;
	}
	if (fd != a->fd && fd >= 0)
		close(fd);
	return have == sizeof word - 1;
}

int
aliases_expand(struct aliases *a, struct addr_list *rcpts, struct result *res)
{
	struct expansion x = { .a = a, .res = res };
	int rc = 0;

	a->targets = 0;
	for (a->at = 0; a->at < rcpts->n; a->at++) {
		rc = expand(&x, rcpts->v[a->at], rcpts->bare[a->at], NULL);
		if (rc < 0)
			break;
	}
	addr_list_free(&x.done);
	if (rc < 0) {
		addr_list_free(&x.out);
		return -1;
	}
	addr_list_free(rcpts);
	addr_list_dedup(&x.out);
	*rcpts = x.out;
	return 0;
}

int
aliases_apply(struct aliases *a, struct addr_list *rcpts, struct result *res)
{
	bool keep_open = a->fd >= 0;
	int rc;

	if (a->file == NULL)
		return 0;
	rc = aliases_expand(a, rcpts, res);
	if (rc < 0)
		result_fail(res, res->exit, "%s: %s", rcpts->v[a->at], res->text);
	if (!keep_open)
		aliases_close(a);
	return rc;
}
