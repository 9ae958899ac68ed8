#include "lib/config/parse.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/base64.h"
#include "lib/base/buf.h"
#include "lib/base/without.h"
#include "lib/config/keywords.h"
#include "lib/config/values.h"

/* Where we are. seen[] says in which line each keyword of the section stands. */
struct parser {
	struct config *c;
	struct route *route;	/* NULL before the first */
	unsigned line;
	unsigned seen[KEYWORDS];
	struct result *res;
};

int
parse_fail(const struct config *c, unsigned line, struct result *res,
    const char *fmt, ...)
{
	char text[sizeof res->text];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	return result_fail(res, EXIT_CONFIGURATION, "%.200s:%u: %s", c->file,
	    line, text);
}

#define FAIL(p, ...) parse_fail((p)->c, (p)->line, (p)->res, __VA_ARGS__)

static int
no_memory(struct parser *p)
{
	return result_fail(p->res, EXIT_OS, "out of memory");
}

/*
 * array_add(array, n, size): room for one more element, zeroed, at the end of
 * the array that *array points to. NULL: no memory, nothing changed.
 */
static void *
array_add(void *array, size_t *n, size_t size)
{
	char *p;

	memcpy(&p, array, sizeof p);
	p = realloc(p, (*n + 1) * size);
	if (p == NULL)
		return NULL;
	memcpy(array, &p, sizeof p);
	p += *n * size;
	memset(p, 0, size);
	++*n;
	return p;
}

/* --- Storing what a line says --------------------------------------------- */

static const struct keyword *
keyword_named(const char *name)
{
	return keyword_find(name, strlen(name), IN_ROUTE);
}

static unsigned
where_of(enum route_type type)
{
	switch (type) {
	case ROUTE_SES:
		return IN_SES;
	case ROUTE_SMTP:
		return IN_SMTP;
	case ROUTE_LMTP:
		return IN_LMTP;
	case ROUTE_QMAIL:
		return IN_QMAIL;
	case ROUTE_MAILDIR:
		break;
	}
	return IN_MAILDIR;
}

/* The types of route that k is for. */
static const char *
types_of(const struct keyword *k)
{
	switch (k->where & (IN_SES | IN_SMTP | IN_MAILDIR | IN_QMAIL)) {
	case IN_SES:
		return "ses";
	case IN_SMTP:
		return "smtp or lmtp";
	case IN_MAILDIR:
		return "maildir";
	case IN_QMAIL:
		return "qmail";
	default:
		return "ses, smtp or lmtp";
	}
}

/* The section that ends here has a type, and keywords of that type only. */
static int
end_section(struct parser *p)
{
	static const char *const names[] = { "ses", "smtp", "maildir",
	    "qmail", "lmtp" };
	const struct route *r = p->route;
	const struct keyword *type = keyword_named("type");
	size_t i;

	if (r == NULL)
		return 0;
	if (p->seen[type - keywords] == 0)
		return parse_fail(p->c, r->line, p->res,
		    "route %s has no type; expected type %s", r->name,
		    type->expected);
	for (i = 0; i < KEYWORDS; i++)
		if (p->seen[i] && !(keywords[i].where & where_of(r->type)))
			return parse_fail(p->c, p->seen[i], p->res,
			    "'%s' is for routes of type %s; route %s is of "
			    "type %s", keywords[i].name,
			    types_of(&keywords[i]), r->name, names[r->type]);
	return 0;
}

static int
begin_route(struct parser *p, const char *name)
{
	const struct route *same;

	if (end_section(p) < 0)
		return -1;
	same = config_route(p->c, name);
	if (same)
		return FAIL(p, "there is a route %s in line %u already; "
		    "expected another name", name, same->line);
	memset(p->seen, 0, sizeof p->seen);
	p->route = array_add(&p->c->routes, &p->c->nroutes, sizeof *p->route);
	if (p->route == NULL)
		return no_memory(p);
	p->route->line = p->line;
	p->route->name = mem_dup(name, strlen(name));
	return p->route->name ? 0 : no_memory(p);
}

static int
add_source(struct parser *p, const struct keyword *k, const char *value)
{
	struct sender_source *s;

	s = array_add(&p->route->sources, &p->route->nsources, sizeof *s);
	if (s == NULL)
		return no_memory(p);
	s->conf = p->c->file;
	s->line = p->line;
	if (k->type == KW_SENDERS && strcmp(value, "builtin") == 0) {
		s->kind = SENDER_BUILTIN;
		return 0;
	}
	s->kind = k->type == KW_SENDERS && *value == '/' ? SENDER_FILE :
	    SENDER_PATTERN;
	s->text = mem_dup(value, strlen(value));
	return s->text ? 0 : no_memory(p);
}

static int
add_tag(struct parser *p, const char *value)
{
	const char *equals = strchr(value, '=');
	struct tag *t = array_add(&p->route->tags, &p->route->ntags, sizeof *t);

	if (t == NULL)
		return no_memory(p);
	t->name = mem_dup(value, (size_t)(equals - value));
	t->value = mem_dup(equals + 1, strlen(equals + 1));
	return t->name && t->value ? 0 : no_memory(p);
}

static int
add_pin(struct parser *p, const char *value)
{
	void *pin = array_add(&p->route->pins, &p->route->npins,
	    sizeof *p->route->pins);

	if (pin == NULL)
		return no_memory(p);
	return hex_decode(pin, sizeof *p->route->pins, strchr(value, ':') + 1);
}

static int
set_text(struct parser *p, char *field, const char *value)
{
	char *copy = mem_dup(value, strlen(value));

	memcpy(field, &copy, sizeof copy);
	return copy ? 0 : no_memory(p);
}

static int
set_log(struct parser *p, char *field, const char *value)
{
	if (strcmp(value, "syslog") == 0)
		p->c->log_target = LOG_TO_SYSLOG;
	else if (strcmp(value, "none") == 0)
		p->c->log_target = LOG_TO_NONE;
	else {
		p->c->log_target = LOG_TO_FILE;
		return set_text(p, field, value);
	}
	return 0;
}

static int
store(struct parser *p, const struct keyword *k, const char *value,
    uint64_t number)
{
	char *field = (k->where & IN_FILE ? (char *)p->c : (char *)p->route) +
	    k->at;
	unsigned small = (unsigned)number;

	switch ((enum keyword_type)k->type) {
	case KW_ROUTE:
		return begin_route(p, value);
	case KW_SENDERS:
	case KW_PATTERN:
		return add_source(p, k, value);
	case KW_TAG:
		return add_tag(p, value);
	case KW_PIN:
		return add_pin(p, value);
	case KW_LOG:
		return set_log(p, field, value);
	case KW_PROXY:
		return set_text(p, field, value_is_none(value) ? "" : value);
	case KW_CHOICE:		/* enums without negative values are unsigned */
	case KW_PORT:
	case KW_COUNT:
		memcpy(field, &small, sizeof small);
		return 0;
	case KW_DURATION:
	case KW_SIZE:
		memcpy(field, &number, sizeof number);
		return 0;
	default:
		if (k->where == IN_ROUTE && k->at == offsetof(struct route,
		    fallback))
			p->route->fallback_line = p->line;
		return set_text(p, field, value);
	}
}

/* --- Lines ---------------------------------------------------------------- */

#define BLANKS " \t"

static int
check_bytes(struct parser *p, const char *s, const char *end)
{
	for (; s < end; s++)
		if (((unsigned char)*s < ' ' && *s != '\t') || *s == 0x7F)
			return FAIL(p, "control character 0x%02X; expected "
			    "text", (unsigned)(unsigned char)*s);
	return 0;
}

/*
 * s is behind the opening quote. Takes the backslashes out in place and ends the
 * value there. Returns what is behind the closing quote, or NULL.
 */
static char *
end_quoted(struct parser *p, const struct keyword *k, char *s)
{
	char *out = s;

	for (; *s && *s != '"'; *out++ = *s++) {
		if (*s != '\\' || s[1] == '\0')
			continue;
		if (*++s != '"' && *s != '\\') {
			FAIL(p, "a backslash in the value of '%s'; expected "
			    "\\\\ or \\\" in quotes", k->name);
			return NULL;
		}
	}
	if (*s == '\0') {
		FAIL(p, "the value of '%s' has no closing quote; expected it "
		    "on the same line", k->name);
		return NULL;
	}
	*out = '\0';
	return s + 1;
}

static char *
end_bare(struct parser *p, const struct keyword *k, char *s)
{
	size_t n = strcspn(s, BLANKS);

	if (memchr(s, '"', n) == NULL)
		return s + n;
	FAIL(p, "a quote within the value of '%s'; expected quotes around the "
	    "whole value, with \\\" for one inside", k->name);
	return NULL;
}

/*
 * In what is behind the keyword, one value and perhaps a comment, cut out the
 * value. NULL: there is something else.
 */
static const char *
cut_value(struct parser *p, const struct keyword *k, char *s)
{
	const char *value, *rest;

	s += strspn(s, BLANKS);
	if (*s == '\0' || *s == '#') {
		FAIL(p, "'%s' has no value; expected %s", k->name, k->expected);
		return NULL;
	}
	value = *s == '"' ? s + 1 : s;
	s = *s == '"' ? end_quoted(p, k, s + 1) : end_bare(p, k, s);
	if (s == NULL)
		return NULL;
	rest = s + strspn(s, BLANKS);
	if (*rest && (rest == s || *rest != '#')) {
		FAIL(p, "text behind the value of '%s'; expected one value, "
		    "in \"quotes\" when it holds blanks", k->name);
		return NULL;
	}
	*s = '\0';
	return value;
}

/*
 * The part of the program that the line asks for, if it was not built, else NULL:
 * a type's name, or that of a keyword up to its first hyphen. *n: its length.
 */
static const char *
left_out(const struct keyword *k, const char *value, size_t *n)
{
	const char *part = k->name;

	if (k->where == IN_ROUTE && k->at == offsetof(struct route, type) &&
	    k->type == KW_CHOICE)
		part = strcmp(value, "lmtp") == 0 ? "smtp" : value;
	*n = strcspn(part, "-");
	return built_without(part, *n) ? part : NULL;
}

static int
use_value(struct parser *p, const struct keyword *k, const char *value)
{
	unsigned *seen = &p->seen[k - keywords];
	uint64_t number = 0;
	size_t size;
	const char *wrong = value_check(k, value, &number);

	if (wrong && (k->flags & KW_HIDDEN))
		return FAIL(p, "the value of '%s' %s; expected %s", k->name,
		    wrong, k->expected);
	if (wrong)
		return FAIL(p, "%s '%.80s' %s; expected %s", k->name, value,
		    wrong, k->expected);
	if (WITHOUT_ANY && (wrong = left_out(k, value, &size)) != NULL)
		return FAIL(p, "%s '%s': this program was built without %.*s",
		    k->name, k->flags & KW_HIDDEN ? "" : value, (int)size,
		    wrong);
	if (*seen && !(k->flags & KW_REPEATS))
		return FAIL(p, "'%s' is given again; expected it once, and "
		    "line %u has it", k->name, *seen);
	if (store(p, k, value, number) < 0)
		return -1;
	if (k->type != KW_ROUTE)
		*seen = p->line;
	return 0;
}

/* A name that is no keyword where it stands. */
static int
not_here(struct parser *p, const char *name, size_t n)
{
	const struct keyword *k = keyword_find(name, n, IN_FILE | IN_ROUTE);

	if (k == NULL)
		return FAIL(p, "'%.*s' is no keyword; expected one of "
		    "sendroute.conf(5)", n > 60 ? 60 : (int)n, name);
	if (p->route)
		return FAIL(p, "'%s' in route %s is not a route's; expected it "
		    "before the first route", k->name, p->route->name);
	return FAIL(p, "'%s' outside of a route; expected a line 'route NAME' "
	    "before it", k->name);
}

static int
parse_line(struct parser *p, char *s)
{
	size_t n;
	const struct keyword *k;
	const char *value;

	s += strspn(s, BLANKS);
	if (*s == '\0' || *s == '#')
		return 0;
	n = strcspn(s, BLANKS);
	k = keyword_find(s, n, p->route ? IN_ROUTE : IN_FILE);
	if (k == NULL)
		return not_here(p, s, n);
	value = cut_value(p, k, s + n);
	return value ? use_value(p, k, value) : -1;
}

/* A line on its own, as a string that can be cut up. */
static int
take_line(struct parser *p, const char *s, size_t n)
{
	char *line;
	int rc;

	if (n > 0 && s[n - 1] == '\r')
		n--;
	if (check_bytes(p, s, s + n) < 0)
		return -1;
	line = mem_dup(s, n);
	if (line == NULL)
		return no_memory(p);
	rc = parse_line(p, line);
	mem_wipe(line, n);
	free(line);
	return rc;
}

int
parse_text(struct config *c, const char *text, size_t n, struct result *res)
{
	struct parser p = { .c = c, .res = res };
	const char *end = text + n, *line_end;

	if (n >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0)
		text += 3;	/* a byte-order mark, as some editors put it */
	for (; text < end; text = line_end + 1) {
		p.line++;
		line_end = memchr(text, '\n', (size_t)(end - text));
		if (line_end == NULL)
			line_end = end;
		if (take_line(&p, text, (size_t)(line_end - text)) < 0)
			return -1;
	}
	return end_section(&p);
}
