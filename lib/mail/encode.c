#include "lib/mail/encode.h"

#include <string.h>

#include "lib/base/base64.h"
#include "lib/base/buf.h"
#include "lib/mail/idn.h"
#include "lib/mail/lines.h"

enum {
	WORD_MAX = 75,		/* of an encoded word, RFC 2047 section 2 */
	WORD_LEAST = 30,	/* with less room, a new line is begun */
	PARAMETER_MAX = 255	/* bytes; longer ones would need continuations */
};

static const char digits[] = "0123456789ABCDEF";

void
encode_flush(struct encoder *e)
{
	if (!e->failed && spool_add(e->to, e->buf, e->len, e->res) < 0)
		e->failed = true;
	e->len = 0;
}

static void
put(struct encoder *e, char c)
{
	if (e->len == ENCODE_BUFFER)
		encode_flush(e);
	e->buf[e->len++] = c;
	e->column = c == '\n' ? 0 : e->column + 1;
	if (c & 0x80)
		e->has_8bit = true;
}

void
encode_raw(struct encoder *e, const void *data, size_t n)
{
	const char *p = data;

	while (n-- > 0)
		put(e, *p++);
}

void
encode_string(struct encoder *e, const char *s)
{
	encode_raw(e, s, strlen(s));
}

/* --- bodies --- */

/* A sequence that begins so would be this long. */
static size_t
utf8_length(unsigned char lead)
{
	return lead < 0xC0 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
}

void
encode_fold(struct encoder *e, const char *p, size_t n, size_t most,
    const char *end)
{
	for (; n > 0; n--, p++) {
		if (*p != '\r' && *p != '\n' &&
		    e->column + utf8_length((unsigned char)*p) > most)
			encode_string(e, end);
		put(e, *p);
	}
}

static void
put_hex(struct encoder *e, char mark, char c)
{
	put(e, mark);
	put(e, digits[(unsigned char)c >> 4]);
	put(e, digits[c & 15]);
}

bool
encode_escapes(unsigned char c)
{
	return c == '=' || c > '~' || (c < ' ' && c != '\t');
}

/* Must it be escaped for the place where it stands? next: -1 is unknown. */
static bool
escapes_here(const struct encoder *e, char c, int next, bool again)
{
	if (e->column == 0 && (c == '.' ||
	    (c == 'F' && (next == 'r' || next < 0))))
		return true;
	if (c == ' ' || c == '\t')
		return !again && (next == '\r' || next < 0);
	return encode_escapes((unsigned char)c) && !(again && c == '=');
}

void
encode_qp(struct encoder *e, const char *p, size_t n, bool again)
{
	size_t size;
	int next;

	for (; n > 0; n--, p++) {
		if (*p == '\r' || *p == '\n') {
			put(e, *p);
			e->unit = 0;
			continue;
		}
		next = n > 1 ? (unsigned char)p[1] : -1;
		size = escapes_here(e, *p, next, again) ||
		    (*p == '=' && next != '\r') ? 3 : 1;
		/* The last character of a line needs no room for a '='. */
		if (e->unit > 0)
			e->unit--;
		else if (e->column + size > ENCODE_LINE - (next != '\r'))
			encode_string(e, "=\r\n");
		if (again && *p == '=' && e->unit == 0)
			e->unit = 2;
		if (escapes_here(e, *p, next, again))
			put_hex(e, '=', *p);
		else
			put(e, *p);
	}
}

void
encode_base64(struct encoder *e, const char *p, size_t n)
{
	char line[BASE64_SIZE(ENCODE_BASE64)];
	size_t k;

	for (; n > 0; p += k, n -= k) {
		k = n < ENCODE_BASE64 ? n : ENCODE_BASE64;
		encode_raw(e, line, base64_encode(line, p, k));
		encode_string(e, "\r\n");
	}
}

/* --- header fields --- */

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* What stands for itself in an encoded word or parameter, wherever that is. */
static bool
is_literal(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
	    (c >= 'a' && c <= 'z') || c == '-';
}

/* The one character at p that is to be encoded as a whole. */
static size_t
character(const char *p, size_t n, bool utf8)
{
	unsigned cp;

	return utf8 ? utf8_next(p, p + n, &cp) : 1;
}

static size_t
q_size(const char *p, size_t n)
{
	size_t size = 0;

	for (; n > 0; n--, p++)
		size += is_literal(*p) || *p == ' ' ? 1 : 3;
	return size;
}

/* How many bytes at p fit into an encoded word of `room` characters. */
static size_t
word_size(const char *p, size_t n, size_t room, bool utf8, bool b)
{
	size_t k = 0, next;

	while (k < n) {
		next = k + character(p + k, n - k, utf8);
		if (k > 0 && (b ? BASE64_SIZE(next) : q_size(p, next)) > room)
			break;
		k = next;
	}
	return k;
}

static void
put_words(struct encoder *e, const char *p, size_t n)
{
	bool utf8 = utf8_valid(p, n), b = q_size(p, n) > BASE64_SIZE(n);
	const char *charset = utf8 ? "utf-8" : "unknown-8bit";
	char text[BASE64_SIZE(WORD_MAX)];
	size_t room, k, i;

	for (; n > 0; p += k, n -= k) {
		room = e->column + WORD_LEAST > ENCODE_LINE ? WORD_LEAST :
		    ENCODE_LINE - e->column;
		k = word_size(p, n, room - strlen(charset) - 7, utf8, b);
		encode_string(e, "=?");
		encode_string(e, charset);
		encode_string(e, b ? "?B?" : "?Q?");
		if (b)
			encode_raw(e, text, base64_encode(text, p, k));
		for (i = 0; i < k && !b; i++) {
			if (is_literal(p[i]) || p[i] == ' ')
				put(e, p[i] == ' ' ? '_' : p[i]);
			else
				put_hex(e, '=', p[i]);
		}
		encode_string(e, k < n ? "?=\r\n " : "?=");
	}
}

/* name=value with its quotes undone, of which the name has k bytes. */
static void
put_parameter(struct encoder *e, const char *p, size_t n, size_t k)
{
	encode_raw(e, p, k);
	encode_string(e, "*=utf-8''");
	for (k++; k < n; k++) {
		if (is_literal(p[k]) || p[k] == '.')
			put(e, p[k]);
		else
			put_hex(e, '%', p[k]);
	}
}

/* A field on its way: what is before `done` has been written. */
struct field {
	struct encoder *e;
	enum encode_syntax syntax;
	char *done, *end;
	int depth;		/* of comments */
	int run_depth;		/* where the words to encode stand */
};

/* Line ends, and what only protects other characters, are taken out. */
static size_t
clean(const struct field *f, char *p, const char *end)
{
	char *to = p, *from = p;

	for (; from < end; from++) {
		if (*from == '\r' || *from == '\n')
			continue;
		if (f->syntax != ENCODE_TEXT) {
			if (*from == '"' && f->run_depth == 0)
				continue;
			if (*from == '\\' && from + 1 < end &&
			    from[1] != '\r')
				from++;
		}
		*to++ = *from;
	}
	return (size_t)(to - p);
}

/* As it stands, but in lines that are not too long. */
static void
keep(struct field *f, const char *end)
{
	encode_fold(f->e, f->done, (size_t)(end - f->done), LINE_MAX_BYTES,
	    "\r\n ");
}

/*
 * What comes before p; a new line if less than `room` is left on this one. p is
 * set apart by blanks, but for the start of a comment.
 */
static void
lead_in(struct field *f, const char *p, size_t room)
{
	const char *gap = p;
	bool fold;

	while (gap > f->done && p - gap < WORD_LEAST && (gap[-1] == ' ' ||
	    gap[-1] == '\t'))
		gap--;
	keep(f, gap);
	fold = f->e->column + room > ENCODE_LINE && f->e->column > 0;
	if (fold)
		encode_string(f->e, "\r\n");
	if (gap < p)
		encode_raw(f->e, gap, (size_t)(p - gap));
	else if (fold || p[-1] != '(')
		put(f->e, ' ');
}

/* Go on at p; the rest of its line may have become too long. */
static void
lead_out(struct field *f, char *p)
{
	const char *cr = memchr(p, '\r', (size_t)(f->end - p));
	size_t rest = (size_t)((cr ? cr : f->end) - p);
	bool fold = f->e->column + rest > LINE_MAX_BYTES;

	if (fold)
		encode_string(f->e, "\r\n");
	if (p < f->end && !is_space(*p) && (fold || (*p != ')' && *p != ';')))
		put(f->e, ' ');
	f->done = p;
}

static void
encode_run(struct field *f, char *p, char *end)
{
	size_t n;

	lead_in(f, p, WORD_LEAST);
	n = clean(f, p, end);
	put_words(f->e, p, n);
	lead_out(f, end);
}

/* RFC 2231 for a parameter that is UTF-8 and neither long nor split already. */
static void
encode_parameter(struct field *f, char *p, char *end)
{
	char *eq = memchr(p, '=', (size_t)(end - p));

	if (eq == NULL || !is_literal(*p) || eq[-1] == '*' ||
	    end - p > PARAMETER_MAX || !utf8_valid(p, (size_t)(end - p)))
		return;
	lead_in(f, p, ENCODE_LINE);
	put_parameter(f->e, p, clean(f, p, end), (size_t)(eq - p));
	lead_out(f, end);
}

/*
 * Over one word; in other fields than text also over one special, and from '<'
 * to '>'. Sets whether it is 8-bit text that may be encoded.
 */
static char *
next_word(struct field *f, char *p, bool *encode)
{
	const char *specials = f->syntax == ENCODE_TEXT ? "" :
	    f->depth > 0 ? "()" : "()<>,;:";
	bool quoted = false, at = false, high = false;
	char *start = p;

	for (; p < f->end && (quoted || !is_space(*p)); p++) {
		high |= (*p & 0x80) != 0;
		if (f->syntax == ENCODE_TEXT)
			continue;
		/* What is folded is not escaped. */
		if (*p == '\\' && p + 1 < f->end && p[1] != '\r')
			high |= (*++p & 0x80) != 0;
		else if (*p == '"' && f->depth == 0)
			quoted = !quoted;
		else if (!quoted && *p && strchr(specials, *p))
			break;
		at |= *p == '@' && !quoted && f->depth == 0;
	}
	*encode = high && !at && !quoted;
	if (p > start)
		return p;
	f->depth += *p == '(' ? 1 : *p == ')' && f->depth > 0 ? -1 : 0;
	if (*p == '<')
		while (p + 1 < f->end && *p != '>')
			p++;
	return p + 1;
}

/* Encoded before: what follows such a word must not lose the blank between. */
static bool
is_encoded(const char *p, const char *end)
{
	return end - p > 4 && p[0] == '=' && p[1] == '?' && end[-2] == '?' &&
	    end[-1] == '=';
}

/* The domain of an address in the word from p on: A-labels for every peer. */
static void
encode_domain(struct field *f, char *p, const char *end)
{
	char ascii[256], *at = NULL, *host;
	size_t n;

	for (host = p; host < end && *host != '>'; host++)
		if (*host == '@')
			at = host;
	if (at == NULL)
		return;
	for (n = 0, host = at + 1; host + n < end && !is_space(host[n]) &&
	    strchr(">,;()[", host[n]) == NULL; n++)
		continue;
	if (mem_is_ascii(host, n) ||
	    idn_to_ascii(host, n, ascii, sizeof ascii) < 0)
		return;
	keep(f, host);
	encode_string(f->e, ascii);
	f->done = host + n;
}

void
encode_field(struct encoder *e, char *field, size_t colon, size_t n,
    enum encode_syntax syntax)
{
	struct field f = { e, syntax, field, field + n - 2, 0, 0 };
	char *p = field + colon, *start, *run = NULL, *run_end = NULL;
	char *before = NULL;		/* the end of an encoded word */
	bool encode;

	while (p < f.end) {
		if (is_space(*p)) {
			p++;
			continue;
		}
		start = p;
		p = next_word(&f, p, &encode);
		if (encode && syntax == ENCODE_PARAMETERS) {
			encode_parameter(&f, start, p);
			continue;
		}
		if (encode) {
			if (run == NULL)
				run = before ? before : start;
			run_end = p;
			f.run_depth = f.depth;
			continue;
		}
		encode = is_encoded(start, p);
		if (run)
			encode_run(&f, run, encode ? start : run_end);
		run = NULL;
		if (syntax == ENCODE_ADDRESSES)
			encode_domain(&f, start, p);
		before = encode ? p : NULL;
	}
	if (run)
		encode_run(&f, run, run_end);
	keep(&f, field + n);
}
