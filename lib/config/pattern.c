#include "lib/config/pattern.h"

#include <string.h>

#include "lib/base/buf.h"

/* What a character can be in a pattern; zero: anywhere. */
enum {
	DOT = 1,
	AT = 2,
	STAR = 4,
	LOCAL = 8,	/* in a local part only */
	BAD = 16,	/* in neither part, unless quoted */
	DOTS = 32	/* two dots together */
};

/* One look at each byte: lists may be long. */
static const unsigned char kinds[256] = {
	BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD,
	BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD,
	BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD,
	['!'] = LOCAL, ['"'] = BAD, ['#'] = LOCAL, ['$'] = LOCAL,
	['%'] = LOCAL, ['&'] = LOCAL, ['\''] = LOCAL, ['('] = BAD, [')'] = BAD,
	['*'] = STAR, ['+'] = LOCAL, [','] = BAD, ['.'] = DOT, ['/'] = LOCAL,
	[':'] = BAD, [';'] = BAD, ['<'] = BAD, ['='] = LOCAL, ['>'] = BAD,
	['?'] = LOCAL, ['@'] = AT, ['['] = BAD, ['\\'] = BAD, [']'] = BAD,
	['^'] = LOCAL, ['`'] = LOCAL, ['{'] = LOCAL, ['|'] = LOCAL,
	['}'] = LOCAL, ['~'] = LOCAL, [0x7F] = BAD
};

/* The length of what comes before an @, and the kinds that it consists of. */
static size_t
run_of(const char *s, size_t n, unsigned *seen)
{
	unsigned kind;
	size_t i;

	for (i = 0; i < n; i++) {
		kind = kinds[(unsigned char)s[i]];
		if (kind == 0)
			continue;
		if (kind == AT)
			break;
		if (kind == DOT && i + 1 < n && s[i + 1] == '.')
			kind = DOTS;
		*seen |= kind;
	}
	return i;
}

/* The length of the quoted local part at the start of s, or 0. */
static size_t
quoted_of(const char *s, size_t n, unsigned *seen)
{
	size_t i;

	for (i = 1; i < n && s[i] != '"'; i++) {
		if (s[i] == '\\')
			i++;
		if (i == n || (unsigned char)s[i] < ' ' || s[i] == 0x7F ||
		    s[i] == '<' || s[i] == '>')
			return 0;
		if (s[i] == '*')
			*seen |= STAR;
	}
	return i < n ? i + 1 : 0;
}

/* "[192.0.2.1]" or "[IPv6:2001:db8::1]", as it may stand behind an @. */
static bool
is_literal(const char *s, size_t n)
{
	size_t i;

	if (n < 3 || s[n - 1] != ']')
		return false;
	for (i = 1; i < n - 1; i++)
		if ((kinds[(unsigned char)s[i]] & ~(unsigned)DOT) && s[i] != ':')
			return false;
	return true;
}

static bool
parse_domain(struct pattern *p, const char *s, size_t n)
{
	unsigned seen = 0;

	if (p->nlocal == 0 && n > 0 && *s == '.') {
		p->subdomains = true;
		s++;
		n--;
	}
	p->domain = s;
	p->ndomain = n;
	if (n > 0 && *s == '[')
		return !p->subdomains && is_literal(s, n);
	if (n == 0 || s[0] == '.' || s[n - 1] == '.' ||
	    run_of(s, n, &seen) < n || (seen & (LOCAL | BAD | DOTS)))
		return false;
	p->wild_domain = seen & STAR;
	return true;
}

bool
pattern_parse(struct pattern *p, const char *s, size_t n)
{
	unsigned seen = 0;

	*p = (struct pattern){ .local = s };
	if (n == 1 && *s == '*') {
		p->everyone = true;
		return true;
	}
	if (n > 0 && *s == '"')
		p->nlocal = quoted_of(s, n, &seen);
	else
		p->nlocal = run_of(s, n, &seen);
	if (p->nlocal == n || s[p->nlocal] != '@' || (seen & BAD))
		return false;
	p->wild_local = seen & STAR;
	return parse_domain(p, s + p->nlocal + 1, n - p->nlocal - 1);
}

static bool
same(char a, char b, bool fold)
{
	return a == b || (fold && mem_iequal(&a, &b, 1));
}

/*
 * Does p, in which * stands for any run without @, cover the whole of s? Only
 * the last * is ever tried again, so that time is bounded by n times m.
 */
static bool
glob(const char *p, size_t n, const char *s, size_t m, bool fold)
{
	size_t i = 0, j = 0, star = n, start = 0;

	while (j < m) {
		if (i < n && p[i] == '*') {
			star = i++;
			start = j;
		} else if (i < n && same(p[i], s[j], fold)) {
			i++;
			j++;
		} else if (star < n && s[start] != '@') {
			i = star + 1;
			j = ++start;
		} else {
			return false;
		}
	}
	while (i < n && p[i] == '*')
		i++;
	return i == n;
}

/* memrchr(3) is not in POSIX. */
static const char *
last_at(const char *s, size_t n)
{
	while (n-- > 0)
		if (s[n] == '@')
			return s + n;
	return NULL;
}

struct needle
pattern_needle(const char *addr)
{
	struct needle a = { .local = addr, .nlocal = strlen(addr) };
	const char *at = last_at(addr, a.nlocal);

	if (at) {
		a.domain = at + 1;
		a.ndomain = strlen(at + 1);
		a.nlocal = (size_t)(at - addr);
	}
	return a;
}

static bool
local_covers(const struct pattern *p, const struct needle *a)
{
	if (p->nlocal == 0)
		return true;
	if (p->wild_local)
		return glob(p->local, p->nlocal, a->local, a->nlocal, false);
	return p->nlocal == a->nlocal &&
	    memcmp(p->local, a->local, a->nlocal) == 0;
}

/* A suffix behind a dot, with something before that dot. */
static bool
subdomain_covers(const struct pattern *p, const struct needle *a)
{
	size_t i;

	if (!p->wild_domain) {
		i = a->ndomain - p->ndomain;
		return a->ndomain > p->ndomain + 1 &&
		    a->domain[i - 1] == '.' &&
		    mem_iequal(a->domain + i, p->domain, p->ndomain);
	}
	for (i = 1; i + 1 < a->ndomain; i++)
		if (a->domain[i] == '.' && glob(p->domain, p->ndomain,
		    a->domain + i + 1, a->ndomain - i - 1, true))
			return true;
	return false;
}

static bool
domain_covers(const struct pattern *p, const struct needle *a)
{
	if (p->subdomains)
		return subdomain_covers(p, a);
	if (p->wild_domain)
		return glob(p->domain, p->ndomain, a->domain, a->ndomain, true);
	return p->ndomain == a->ndomain &&
	    mem_iequal(p->domain, a->domain, a->ndomain);
}

bool
pattern_covers(const struct pattern *p, const struct needle *a)
{
	if (p->everyone)
		return true;
	return a->domain && local_covers(p, a) && domain_covers(p, a);
}
