#include "lib/config/pattern.h"

#include <string.h>

#include "lib/base/buf.h"

/* --- Patterns ------------------------------------------------------------- */

static bool
is_local_char(unsigned char c)
{
	static const unsigned char bad[16] = {
		/* Controls, blank, " ( ) , : ; < > @ [ \ ] and DEL. */
		0xFF, 0xFF, 0xFF, 0xFF, 0x05, 0x13, 0x00, 0x5C,
		0x01, 0x00, 0x00, 0x38, 0x00, 0x00, 0x00, 0x80
	};

	return c >= 0x80 || !(bad[c >> 3] >> (c & 7) & 1);
}

static bool
valid_quoted(const char *s, size_t n)
{
	size_t i;

	if (n < 2 || s[n - 1] != '"')
		return false;
	for (i = 1; i < n - 1; i++) {
		if ((unsigned char)s[i] < ' ' || s[i] == 0x7F || s[i] == '"' ||
		    s[i] == '<' || s[i] == '>')
			return false;
		if (s[i] == '\\' && ++i == n - 1)
			return false;
	}
	return true;
}

static bool
parse_local(struct pattern *p)
{
	size_t i;

	if (p->nlocal > 0 && p->local[0] == '"') {
		p->wild_local = memchr(p->local, '*', p->nlocal) != NULL;
		return valid_quoted(p->local, p->nlocal);
	}
	for (i = 0; i < p->nlocal; i++) {
		if (!is_local_char((unsigned char)p->local[i]))
			return false;
		if (p->local[i] == '*')
			p->wild_local = true;
	}
	return true;
}

static bool
is_domain_char(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	    (c >= 'A' && c <= 'Z') || c == '-' || c == '_' || c >= 0x80;
}

/* "[192.0.2.1]" or "[IPv6:2001:db8::1]", as it may stand behind an @. */
static bool
valid_literal(const char *s, size_t n)
{
	size_t i;

	if (n < 3 || s[n - 1] != ']')
		return false;
	for (i = 1; i < n - 1; i++)
		if (!is_domain_char((unsigned char)s[i]) && s[i] != '.' &&
		    s[i] != ':')
			return false;
	return true;
}

static bool
parse_domain(struct pattern *p)
{
	size_t i, label = 0;

	if (p->ndomain > 0 && p->domain[0] == '[' && !p->subdomains)
		return valid_literal(p->domain, p->ndomain);
	for (i = 0; i < p->ndomain; i++) {
		if (p->domain[i] == '.') {
			if (label == 0)
				return false;
			label = 0;
			continue;
		}
		if (p->domain[i] == '*')
			p->wild_domain = true;
		else if (!is_domain_char((unsigned char)p->domain[i]))
			return false;
		label++;
	}
	return label > 0;
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

/* Take the n bytes apart; false when they are no pattern. */
bool
pattern_parse(struct pattern *p, const char *s, size_t n)
{
	const char *at;

	*p = (struct pattern){ 0 };
	if (n == 1 && *s == '*') {
		p->everyone = true;
		return true;
	}
	at = last_at(s, n);
	if (at == NULL)
		return false;
	p->local = s;
	p->nlocal = (size_t)(at - s);
	p->domain = at + 1;
	p->ndomain = n - p->nlocal - 1;
	if (p->nlocal == 0 && p->ndomain > 0 && *p->domain == '.') {
		p->subdomains = true;
		p->domain++;
		p->ndomain--;
	}
	return parse_local(p) && parse_domain(p);
}

/* --- Matching ------------------------------------------------------------- */

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
