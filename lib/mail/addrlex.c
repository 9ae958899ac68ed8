#include "lib/mail/addrlex.h"

#include <arpa/inet.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/mail/idn.h"

/* Enough for people, and a message for those who try. */
enum { DEPTH_MAX = 64 };

enum { DOMAIN_MAX = 255, LABEL_MAX = 63 };

static int
bad(struct addrlex *lx, const char *why)
{
	lx->why = why;
	lx->type = LEX_BAD;
	return LEX_BAD;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Length of the line break of a folding at i (a blank follows it), or 0. */
static size_t
fold_length(const struct addrlex *lx, size_t i)
{
	size_t n = 0;

	if (i < lx->n && lx->s[i] == '\r')
		n++;
	if (i + n >= lx->n || lx->s[i + n] != '\n')
		return 0;
	n++;
	return i + n < lx->n && is_blank(lx->s[i + n]) ? n : 0;
}

/*
 * Over one character, quoted pair or folding inside quotes, brackets or a
 * comment. 0, or -1 with the reason set.
 */
static int
step(struct addrlex *lx)
{
	size_t fold;

	if (lx->s[lx->pos] == '\\' && lx->pos + 1 < lx->n) {
		lx->pos++;
	} else if ((fold = fold_length(lx, lx->pos)) > 0) {
		lx->pos += fold;
		return 0;
	}
	switch (lx->s[lx->pos]) {
	case '\r':
	case '\n':
		bad(lx, "a line break inside");
		return -1;
	case '\0':
		bad(lx, "a NUL byte inside");
		return -1;
	default:
		lx->pos++;
		return 0;
	}
}

static int
skip_comment(struct addrlex *lx)
{
	int depth = 0;
	char c;

	do {
		if (lx->pos == lx->n) {
			bad(lx, "a comment is not closed");
			return -1;
		}
		c = lx->s[lx->pos];
		if (c == '(' && ++depth > DEPTH_MAX) {
			bad(lx, "comments are nested too deeply");
			return -1;
		}
		if (c == ')')
			depth--;
		if (step(lx) != 0)
			return -1;
	} while (depth > 0);
	return 0;
}

static int
skip_blanks(struct addrlex *lx)
{
	size_t fold;

	while (lx->pos < lx->n) {
		if (lx->s[lx->pos] == '(') {
			if (skip_comment(lx) != 0)
				return -1;
		} else if (is_blank(lx->s[lx->pos])) {
			lx->pos++;
		} else if ((fold = fold_length(lx, lx->pos)) > 0) {
			lx->pos += fold;
		} else {
			break;
		}
	}
	return 0;
}

/* From an opening to its closing character. */
static int
enclosed(struct addrlex *lx, int type, char close, const char *why)
{
	lx->pos++;
	while (lx->pos < lx->n && lx->s[lx->pos] != close)
		if (step(lx) != 0)
			return LEX_BAD;
	if (lx->pos == lx->n)
		return bad(lx, why);
	lx->pos++;
	return lx->type = type;
}

static bool
ends_word(char c)
{
	return c == '\0' || strchr(" \t\r\n()<>[]:;@\\,\"", c) != NULL;
}

int
addrlex_next(struct addrlex *lx)
{
	if (lx->type == LEX_BAD || skip_blanks(lx) != 0)
		return LEX_BAD;
	lx->start = lx->pos;
	if (lx->pos == lx->n)
		return lx->type = LEX_END;
	switch (lx->s[lx->pos]) {
	case '"':
		return enclosed(lx, LEX_QUOTED, '"', "a quote is not closed");
	case '[':
		return enclosed(lx, LEX_LITERAL, ']', "a '[' is not closed");
	case ',': case ';': case ':': case '<': case '>': case '@':
		return lx->type = lx->s[lx->pos++];
	case ')': case ']': case '\\':
		return bad(lx, "a stray ')', ']' or '\\'");
	case '\r': case '\n': case '\0':
		step(lx);
		return LEX_BAD;
	default:
		break;
	}
	while (lx->pos < lx->n && !ends_word(lx->s[lx->pos]))
		lx->pos++;
	return lx->type = LEX_WORD;
}

/*
 * What the token means: quotes, quoted pairs and folding undone. Returns its
 * length, of which no more than size bytes are written.
 */
static size_t
token_text(const struct addrlex *lx, char *out, size_t size)
{
	size_t i = lx->start, end = lx->pos, len = 0;

	if (lx->type == LEX_QUOTED) {
		i++;
		end--;
	}
	for (; i < end; i++) {
		/* All that is left of them here is folding. */
		if (lx->s[i] == '\r' || lx->s[i] == '\n')
			continue;
		if (lx->type == LEX_QUOTED && lx->s[i] == '\\')
			i++;
		if (len < size)
			out[len] = lx->s[i];
		len++;
	}
	return len;
}

static void
part_add(struct addrpart *part, const struct addrlex *lx)
{
	size_t room;

	if (lx->start != part->end)
		part->loose = true;
	room = part->len < ADDR_MAX ? ADDR_MAX - part->len : 0;
	part->len += token_text(lx, part->text + ADDR_MAX - room, room);
	part->end = lx->pos;
	part->quoted |= lx->type == LEX_QUOTED;
	part->literal |= lx->type == LEX_LITERAL;
	part->dot_end = lx->type == LEX_WORD && lx->s[lx->pos - 1] == '.';
}

/* Does a dot join the token to the part? Then it is added. */
static bool
part_goes_on(struct addrpart *part, const struct addrlex *lx)
{
	if (lx->type != LEX_WORD && lx->type != LEX_QUOTED)
		return false;
	if (!part->dot_end &&
	    (lx->type == LEX_QUOTED || lx->s[lx->start] != '.'))
		return false;
	part_add(part, lx);
	return true;
}

void
addrlex_part(struct addrlex *lx, struct addrpart *part)
{
	struct addrlex before;

	part->len = 0;
	part->start = part->end = lx->start;
	part->quoted = part->loose = part->literal = false;
	part_add(part, lx);
	if (part->literal)
		return;
	do {
		before = *lx;
		addrlex_next(lx);
	} while (part_goes_on(part, lx));
	*lx = before;
}

static bool
is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9');
}

static bool
is_dot_atom(const char *s, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (s[i] == '.') {
			if (i == 0 || i + 1 == n || s[i - 1] == '.')
				return false;
		} else if (!is_alnum(s[i]) && (s[i] == '\0' ||
		    strchr("!#$%&'*+-/=?^_`{|}~", s[i]) == NULL)) {
			return false;
		}
	}
	return n > 0;
}

/* NULL, or what is wrong with the bytes of either side. */
static const char *
bad_bytes(const struct addrpart *part)
{
	size_t i;
	unsigned char c;

	for (i = 0; i < part->len; i++) {
		c = (unsigned char)part->text[i];
		if (c < 0x20 || c == 0x7f)
			return "a control character inside";
		if (c == '<' || c == '>')
			return "'<' or '>' inside";
	}
	return NULL;
}

static const char *
bad_local(const struct addrpart *local)
{
	size_t i;

	for (i = 0; i < local->len; i++)
		if (local->quoted || local->text[i] != '.')
			return NULL;
	return "nothing before the '@'";
}

static const char *
bad_literal(const char *s, size_t n)
{
	char addr[64];
	unsigned char net[16];
	int family = AF_INET;

	s++;
	n -= 2;
	if (n > 5 && mem_iequal(s, "IPv6:", 5)) {
		family = AF_INET6;
		s += 5;
		n -= 5;
	}
	if (n >= sizeof addr)
		return "the address in [] is too long";
	memcpy(addr, s, n);
	addr[n] = '\0';
	if (inet_pton(family, addr, net) != 1)
		return "no IP address in the [] ([192.0.2.1] or [IPv6:...])";
	return NULL;
}

static const char *
bad_domain(const struct addrpart *host)
{
	size_t i, label = 0;

	if (host->literal)
		return bad_literal(host->text, host->len);
	if (host->quoted)
		return "quotes in the domain";
	if (host->len > DOMAIN_MAX)
		return "the domain is longer than 255 bytes";
	for (i = 0; i < host->len; i++) {
		if (host->text[i] == '.') {
			if (label == 0)
				break;
			label = 0;
			continue;
		}
		if (!is_alnum(host->text[i]) && host->text[i] != '-' &&
		    host->text[i] != '_')
			return "a character that no domain has";
		if (++label > LABEL_MAX)
			return "a part of the domain is longer than 63 bytes";
	}
	return label == 0 ? "a dot too many in the domain" : NULL;
}

bool
addrlex_is_name(const struct addrpart *local)
{
	return !local->loose && !local->literal && local->len > 0;
}

/* An internationalised domain becomes A-labels, which every peer takes. */
static const char *
to_ascii(struct addrpart *host)
{
	char ascii[sizeof host->text];
	int n;

	host->text[host->len] = '\0';
	if (host->literal || host->quoted || is_ascii(host->text))
		return NULL;
	n = idn_to_ascii(host->text, host->len, ascii, sizeof ascii);
	if (n < 0)
		return "no internationalised domain name";
	memcpy(host->text, ascii, (size_t)n + 1);
	host->len = (size_t)n;
	return NULL;
}

const char *
addrlex_check(const struct addrpart *local, struct addrpart *host)
{
	const char *why;
	size_t i;

	if (local->len > ADDR_MAX || host->len > ADDR_MAX)
		return "longer than 320 bytes";
	if ((why = bad_bytes(local)) != NULL ||
	    (why = bad_bytes(host)) != NULL ||
	    (why = bad_local(local)) != NULL ||
	    (why = to_ascii(host)) != NULL)
		return why;
	if (!utf8_valid(local->text, local->len))
		return "8-bit text that is not UTF-8";
	for (i = 0; i + 1 < local->len; i++)
		if ((unsigned char)local->text[i] == 0xC2 &&
		    (unsigned char)local->text[i + 1] < 0xA0)
			return "a control character";
	/* "example.com." is the same domain, spelt for a resolver. */
	if (host->len > 1 && host->text[host->len - 1] == '.')
		host->len--;
	return bad_domain(host);
}

size_t
addrlex_join(const struct addrpart *local, const struct addrpart *host,
    char out[ADDR_JOIN_SIZE])
{
	size_t i, n = 0;
	bool quote = local->quoted && !is_dot_atom(local->text, local->len);

	if (quote)
		out[n++] = '"';
	for (i = 0; i < local->len; i++) {
		if (quote && strchr("\"\\", local->text[i]) != NULL)
			out[n++] = '\\';
		out[n++] = local->text[i];
	}
	if (quote)
		out[n++] = '"';
	out[n++] = '@';
	memcpy(out + n, host->text, host->len);
	return n + host->len;
}
