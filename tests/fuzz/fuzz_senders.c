/* A sender list, against a matcher that is too simple to be wrong. */
#include <stdlib.h>
#include <string.h>

#include "lib/config/senders.h"
#include "tests/fuzz/fuzz.h"

static char
lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

/* A * in p stands for any run of characters but @: all ways at once. */
static bool
glob(const char *p, const char *pend, const char *s, const char *end, bool fold)
{
	size_t n = (size_t)(end - s), j;
	bool *at = calloc(n + 1, sizeof *at), all;	/* p up to here fits s[0..j) */

	at[0] = true;
	for (; p < pend; p++) {
		for (j = 1; *p == '*' && j <= n; j++)
			at[j] |= at[j - 1] && s[j - 1] != '@';
		for (j = n; *p != '*' && j > 0; j--)
			at[j] = at[j - 1] && (fold ? lower(*p) ==
			    lower(s[j - 1]) : *p == s[j - 1]);
		at[0] &= *p == '*';
	}
	all = at[n];
	free(at);
	return all;
}

static bool
covers(const char *p, size_t n, const char *addr)
{
	const char *end = addr + strlen(addr), *at = strrchr(addr, '@'),
	    *pend = p + n, *pat = NULL, *q;

	if (n == 1 && *p == '*')
		return true;
	for (q = p; q < pend; q++)
		if (*q == '@')
			pat = q;
	if (at == NULL || pat == NULL)
		return false;
	if (pat == p && p + 1 < pend && p[1] == '.') {
		/* Some label, a dot, and a domain, which is something. */
		for (q = at + 2; q + 1 < end; q++)
			if (*q == '.' && glob(p + 2, pend, q + 1, end, true))
				return true;
		return false;
	}
	return (pat == p || glob(p, pat, addr, at, false)) &&
	    glob(pat + 1, pend, at + 1, end, true);
}

struct checked {
	const char *addr;
	bool matched;
};

static void
one_line(struct checked *c, const char *p, size_t n)
{
	if (senders_pattern_match(p, n, c->addr) != covers(p, n, c->addr))
		CHECK(!"senders_pattern_match() and the naive matcher agree");
	c->matched |= covers(p, n, c->addr);
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* Lines of which other tests say what they are. */
static bool
is_odd(const char *p, size_t n)
{
	size_t i;

	if (n > SENDERS_LINE_MAX - 10 || (n > 2 && memcmp(p, "\xef\xbb\xbf",
	    3) == 0) || (memchr(p, '"', n) && memchr(p, '#', n)))
		return true;
	for (i = 0; i < n; i++)
		if (((unsigned char)p[i] < ' ' && p[i] != '\t' && (p[i] !=
		    '\r' || i + 1 < n)) || p[i] == 0x7f)
			return true;
	return false;
}

/* The lines of the list; 1: all are patterns, 0: not, -1: they are odd. */
static int
naive(struct checked *c, const char *text)
{
	const char *end;
	char *pattern;
	size_t n, i;
	bool valid;

	for (; *text; text = *end ? end + 1 : end) {
		end = text + strcspn(text, "\n");
		if (is_odd(text, (size_t)(end - text)))
			return -1;
		while (text < end && is_blank(*text))
			text++;
		n = (size_t)(end - text);
		for (i = 0; i < n; i++)
			if (text[i] == '#' && (i == 0 || is_blank(text[i - 1])))
				n = i;
		while (n > 0 && is_blank(text[n - 1]))
			n--;
		if (n == 0)
			continue;
		pattern = mem_dup(text, n);
		valid = senders_pattern_valid(pattern);
		free(pattern);
		if (!valid)
			return 0;
		one_line(c, text, n);
		if (c->matched)
			return 1;	/* the rest is not read */
	}
	return 1;
}

/* The first line is an address, as all that is looked up: local@domain, or "". */
FUZZ(senders)
{
	char *addr = in_line(in), *list = in_text(in);
	struct sender_query q = { .addr = addr };
	struct checked c = { .addr = addr };
	struct result res = { 0 };
	int rc, valid;

	if (*addr == '\0' || strchr(addr, '@')) {
		valid = naive(&c, list);
		rc = senders_match_text(list, "w", &q, 1, false, &res);
		CHECK(valid < 0 || (rc == 0) == valid);
		CHECK(rc == 0 || (res.exit == EXIT_CONFIGURATION &&
		    is_clean(res.text)));
		CHECK(rc < 0 || valid < 0 || q.matched == c.matched);
		CHECK(!q.matched || (is_string(q.by, sizeof q.by) && *q.by));
	}
	free(list);
	free(addr);
}
