#include "lib/mail/address.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/mail/addrlex.h"

enum { NAMED_MAX = 80 };	/* bytes of an address in an error text */

/*
 * A member is what stands between two separators. Its words wait in `local`
 * until '@', '<', ':' or the separator tells what they are.
 */
struct parser {
	struct addrlex lx;
	const char *domain;
	struct addr_list *out;	/* NULL: only find, judge nothing */
	struct buf *copy;	/* the text with bare names completed, or NULL */
	size_t copied;		/* of the text */
	int completed;		/* names */
	struct result *res;
	size_t words;		/* of this member, in no mailbox so far */
	size_t plain;		/* mailboxes without <> since the last <> */
	size_t mailboxes;	/* of this member */
	size_t named;		/* where the text that errors show begins */
	bool group, group_used;
	size_t found;		/* mailboxes in all */
	size_t start, end;	/* the last one's address */
	struct addrpart local, host;
};

/* The address in question, cleaned and clipped, as errors name it. */
static void
name_address(const struct parser *p, char out[NAMED_MAX + 4])
{
	const struct addrlex *lx = &p->lx;
	size_t i = p->named, len = 0, read = lx->pos;
	char c;

	if (lx->type == ',' || lx->type == ';' || lx->type == '>')
		read = lx->start;
	for (; i < lx->n && len < NAMED_MAX; i++) {
		c = lx->s[i];
		if (i >= read && (c == '\0' || strchr(",;>\r\n", c) != NULL))
			break;
		out[len++] = (unsigned char)c < 0x20 || c == 0x7f ? '?' : c;
	}
	if (i < lx->n && len == NAMED_MAX) {
		/* Not in the middle of a UTF-8 character. */
		while (len > 0 && ((unsigned char)out[len - 1] & 0xc0) == 0x80)
			len--;
		if (len > 0 && (unsigned char)out[len - 1] >= 0xc0)
			len--;
		memcpy(out + len, "...", 3);
		len += 3;
	}
	while (len > 0 && out[len - 1] == ' ')
		len--;
	out[len] = '\0';
}

static int
fail(struct parser *p, const char *why)
{
	char named[NAMED_MAX + 4];

	name_address(p, named);
	result_set(p->res, OUT_PERM, CAUSE_RCPT, "bad address \"%s\": %s",
	    named, why);
	p->res->exit = EXIT_DATA;
	result_set_enhanced(p->res, "5.1.3");
	return -1;
}

static int
next(struct parser *p)
{
	return addrlex_next(&p->lx);
}

/* Why the token at hand is not what should stand here. */
static int
fail_token(struct parser *p, const char *why)
{
	return fail(p, p->lx.type == LEX_BAD ? p->lx.why : why);
}

static bool
is_word(int type)
{
	return type == LEX_WORD || type == LEX_QUOTED || type == LEX_LITERAL;
}

/* --- one mailbox --- */

/* The mailbox in local and host, whose address stands from start to end. */
static int
found(struct parser *p, size_t start, size_t end)
{
	char addr[ADDR_JOIN_SIZE];
	const char *why;
	size_t n;

	p->found++;
	p->mailboxes++;
	p->group_used = p->group;
	p->words = 0;
	p->start = start;
	p->end = end;
	if (p->out == NULL)
		return 0;
	why = addrlex_check(&p->local, &p->host);
	if (why != NULL)
		return fail(p, why);
	n = addrlex_join(&p->local, &p->host, addr);
	if (n > ADDR_MAX)
		return fail(p, "longer than 320 bytes");
	if (addr_list_add(p->out, addr, n) != 0)
		return result_fail(p->res, EXIT_OS, "out of memory");
	return 0;
}

/* The text up to `end`, where a bare name ends, and its domain. */
static void
complete(struct parser *p, size_t end)
{
	buf_add(p->copy, p->lx.s + p->copied, end - p->copied);
	buf_addc(p->copy, '@');
	buf_adds(p->copy, p->domain);
	p->copied = end;
	p->completed++;
}

/* A mailbox that is but a name. */
static int
found_bare(struct parser *p, size_t start, size_t end)
{
	size_t n = p->domain ? strlen(p->domain) : 0;
	const char *why;

	if (!addrlex_is_name(&p->local))
		return fail(p, "a name without an address");
	if (n == 0)
		return fail(p, "no '@' and no domain to complete it with");
	p->host = (struct addrpart){ .len = n };
	memcpy(p->host.text, p->domain, n < ADDR_MAX ? n : ADDR_MAX);
	p->host.literal = n <= ADDR_MAX && n > 2 && p->domain[0] == '[' &&
	    p->domain[n - 1] == ']';
	if (p->copy) {
		why = addrlex_check(&p->local, &p->host);
		if (why)
			return fail(p, why);
		complete(p, p->local.end);
	}
	if (found(p, start, end) != 0)
		return -1;
	if (p->out)
		p->out->bare[p->out->n - 1] = true;
	return 0;
}

/* Behind '@': the domain. */
static int
take_host(struct parser *p)
{
	if (!is_word(next(p)))
		return fail_token(p, "no domain behind the '@'");
	addrlex_part(&p->lx, &p->host);
	return 0;
}

/* "@a,@b:" in front of an address in <>; the token behind it is at hand then. */
static int
skip_route(struct parser *p)
{
	int type = p->lx.type;

	while (type == '@' || type == ',' || is_word(type))
		type = next(p);
	if (type != ':')
		return fail_token(p, "the source route does not end");
	next(p);
	return 0;
}

/* Behind '<', to '>'. */
static int
take_angle(struct parser *p)
{
	size_t start = p->lx.pos;
	bool bare = true;

	p->named = start;
	if (next(p) == '@' && skip_route(p) != 0)
		return -1;
	if (p->lx.type == '>')
		return fail(p, "an address that is empty");
	if (!is_word(p->lx.type))
		return fail_token(p, "no address behind the '<'");
	addrlex_part(&p->lx, &p->local);
	if (next(p) == '@') {
		bare = false;
		if (p->local.literal)
			return fail(p, "brackets before the '@'");
		if (take_host(p) != 0)
			return -1;
		next(p);
	}
	if (p->lx.type == '@')
		return fail(p, "more than one '@'");
	if (p->lx.type != '>')
		return fail_token(p, "'<' without '>' behind one address");
	return bare ? found_bare(p, start, p->lx.start) :
	    found(p, start, p->lx.start);
}

/* --- the list --- */

/* At '@', outside <>. */
static int
list_at(struct parser *p)
{
	if (p->words == 0)
		return fail(p, p->plain > 0 ? "more than one '@'" :
		    "nothing before the '@'");
	if (p->local.literal)
		return fail(p, "brackets before the '@'");
	if (p->words > 1)
		return fail(p, "a comma, or <> around the address, is missing");
	if (take_host(p) != 0)
		return -1;
	p->plain++;
	return found(p, p->local.start, p->host.end);
}

/*
 * At '<': what came before in this member was the display name, even where it
 * looks like an address, as it often does.
 */
static int
list_angle(struct parser *p)
{
	size_t member = p->named;

	if (p->plain > 1)
		return fail(p, "a comma is missing");
	if (p->plain == 1) {
		if (p->words == 0 && p->end == p->lx.start)
			return fail(p, "'<' inside");
		if (p->out)
			addr_list_pop(p->out);
		p->found--;
		p->plain = 0;
	}
	if (take_angle(p) != 0)
		return -1;
	p->named = member;
	return 0;
}

/* At the end of a member: a lone word in it is a mailbox. */
static int
list_member(struct parser *p)
{
	if (p->words > 0 && p->mailboxes > 0)
		return fail(p, "a comma is missing, or a name has no address");
	if (p->words > 1)
		return fail(p, "a name without an address");
	if (p->words == 1 &&
	    found_bare(p, p->local.start, p->local.end) != 0)
		return -1;
	p->words = p->mailboxes = p->plain = 0;
	return 0;
}

static int
list_group(struct parser *p)
{
	if (p->group)
		return fail(p, "a group inside a group");
	if (p->words == 0 || p->mailboxes > 0)
		return fail(p, "':' without the name of a group");
	p->group = true;
	p->group_used = false;
	p->words = 0;
	return 0;
}

static int
list_token(struct parser *p)
{
	switch (p->lx.type) {
	case LEX_WORD:
	case LEX_QUOTED:
	case LEX_LITERAL:
		p->words++;
		addrlex_part(&p->lx, &p->local);
		return 0;
	case '@':
		return list_at(p);
	case '<':
		return list_angle(p);
	case '>':
		return fail(p, "'>' without '<'");
	case ':':
		return list_group(p);
	case ',':
		return list_member(p);
	case ';':
		if (!p->group)
			return fail(p, "';' outside a group: "
			    "addresses are separated by ','");
		if (list_member(p) != 0)
			return -1;
		p->group = false;
		return 0;
	default:
		return fail(p, p->lx.why);
	}
}

static int
list(struct parser *p)
{
	while (next(p) != LEX_END) {
		if (p->words == 0 && p->mailboxes == 0)
			p->named = p->lx.start;
		if (list_token(p) != 0)
			return -1;
	}
	if (list_member(p) != 0)
		return -1;
	/* "undisclosed-recipients:" is common; anything longer is doubtful. */
	if (p->group && p->group_used)
		return fail(p, "a group that does not end with ';'");
	return 0;
}

int
address_parse(const char *text, size_t n, const char *domain,
    struct addr_list *out, struct result *res)
{
	struct parser p = { .lx = { .s = text, .n = n }, .domain = domain,
		.out = out, .res = res };

	return list(&p);
}

static char *
fail_one(const char *text, struct result *res, const char *why)
{
	struct parser p = { .lx = { .s = text, .n = strlen(text) },
		.res = res };

	p.lx.pos = p.lx.n;
	fail(&p, why);
	return NULL;
}

char *
address_parse_one(const char *text, const char *domain, struct result *res)
{
	struct addr_list l = { 0 };
	char *one = NULL;

	if (*text == '\0' || strcmp(text, "<>") == 0) {
		one = mem_dup("", 0);
		if (one == NULL)
			result_fail(res, EXIT_OS, "out of memory");
		return one;
	}
	if (address_parse(text, strlen(text), domain, &l, res) == 0) {
		if (l.n == 1)
			one = l.v[--l.n];
		else
			fail_one(text, res, l.n == 0 ? "no address in it" :
			    "more than one address");
	}
	addr_list_free(&l);
	return one;
}

/* Without the line end of a header field. */
static size_t
without_end(const char *text, size_t n)
{
	return n >= 2 && memcmp(text + n - 2, "\r\n", 2) == 0 ? n - 2 : n;
}

bool
address_find_spec(const char *text, size_t n, size_t *start, size_t *end)
{
	struct result ignored;
	struct parser p = { .lx = { .s = text, .n = without_end(text, n) },
		.domain = "localhost", .res = &ignored };

	if (list(&p) != 0 || p.found != 1)
		return false;
	*start = p.start;
	*end = p.end;
	return true;
}

int
address_complete(const char *text, size_t n, const char *domain,
    struct buf *out)
{
	struct result ignored;
	struct parser p = { .lx = { .s = text, .n = without_end(text, n) },
		.domain = domain, .res = &ignored, .copy = out };

	if (list(&p) != 0)
		return -1;
	buf_add(out, text + p.copied, n - p.copied);
	return p.completed;
}

const char *
address_domain(const char *a)
{
	const char *at = strrchr(a, '@');

	return at ? at + 1 : "";
}

bool
address_equal(const char *a, const char *b)
{
	size_t local = (size_t)(address_domain(a) - a);

	if (*address_domain(a) == '\0' || *address_domain(b) == '\0')
		return strcmp(a, b) == 0;
	return local == (size_t)(address_domain(b) - b) &&
	    memcmp(a, b, local) == 0 && str_iequal(a + local, b + local);
}

/* --- lists --- */

/* Twice the room; the flags stand behind the last place for a string. */
static int
grow(struct addr_list *l)
{
	size_t cap = l->cap ? 2 * l->cap : 8;
	char **v;

	v = realloc(l->v, cap * (sizeof *v + sizeof *l->bare));
	if (v == NULL)
		return -1;
	l->bare = memmove(v + cap, v + l->cap, l->n * sizeof *l->bare);
	l->v = v;
	l->cap = cap;
	return 0;
}

int
addr_list_add(struct addr_list *l, const char *text, size_t n)
{
	char *copy;

	if (l->n == l->cap && grow(l) != 0)
		return -1;
	copy = mem_dup(text, n);
	if (copy == NULL)
		return -1;
	l->bare[l->n] = false;
	l->v[l->n++] = copy;
	return 0;
}

int
addr_list_join(struct addr_list *l, struct addr_list *more)
{
	size_t i;
	int rc = 0;

	for (i = 0; rc == 0 && i < more->n; i++) {
		rc = addr_list_add(l, more->v[i], strlen(more->v[i]));
		if (rc == 0)
			l->bare[l->n - 1] = more->bare[i];
	}
	addr_list_free(more);
	return rc;
}

void
addr_list_pop(struct addr_list *l)
{
	free(l->v[--l->n]);
}

/* FNV-1a of what address_equal compares. */
static uint32_t
hash(const char *a)
{
	const char *domain = address_domain(a);
	uint32_t h = 2166136261u;
	unsigned char c;

	for (; *a; a++) {
		c = (unsigned char)*a;
		if (a >= domain && *domain && c >= 'A' && c <= 'Z')
			c |= 0x20;
		h = (h ^ c) * 16777619u;
	}
	return h;
}

/* Is one of the first n addresses equal to a? For want of memory: slowly. */
static bool
among(const struct addr_list *l, size_t n, const char *a)
{
	while (n > 0)
		if (address_equal(l->v[--n], a))
			return true;
	return false;
}

/*
 * The same by a table of `mask` + 1 places, at least twice the addresses, that
 * hold 1 + an index; a, soon to be number n, is entered when it is new.
 */
static bool
among_hashed(const struct addr_list *l, size_t n, const char *a,
    size_t *table, size_t mask)
{
	size_t i;

	for (i = hash(a) & mask; table[i] != 0; i = (i + 1) & mask)
		if (address_equal(l->v[table[i] - 1], a))
			return true;
	table[i] = n + 1;
	return false;
}

void
addr_list_dedup(struct addr_list *l)
{
	size_t i, kept = 0, places = 2, *table;
	bool again;

	while (places < 2 * l->n)
		places *= 2;
	table = l->n > 1 ? calloc(places, sizeof *table) : NULL;
	for (i = 0; i < l->n; i++) {
		again = table ?
		    among_hashed(l, kept, l->v[i], table, places - 1) :
		    among(l, kept, l->v[i]);
		if (again) {
			free(l->v[i]);
			continue;
		}
		l->bare[kept] = l->bare[i];
		l->v[kept++] = l->v[i];
	}
	l->n = kept;
	free(table);
}

void
addr_list_free(struct addr_list *l)
{
	while (l->n > 0)
		addr_list_pop(l);
	free(l->v);
	*l = (struct addr_list){ 0 };
}
