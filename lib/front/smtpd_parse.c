#include "lib/front/smtpd_parse.h"

#include <string.h>

#include "lib/base/buf.h"

enum { ENVID_MAX = 100, ORCPT_MAX = 500 };	/* RFC 3461 section 4 */

/* How much of the n bytes at p comes before the first CR. */
static size_t
run_length(const char *p, size_t n)
{
	const char *cr = memchr(p, '\r', n);

	return cr ? (size_t)(cr - p) : n;
}

size_t
smtpd_unstuff(enum smtpd_data *state, const char *in, size_t n,
    size_t *taken, char *out, size_t room)
{
	size_t i = 0, len = 0, run;
	char c;

	while (i < n && len < room && *state != DATA_END) {
		c = in[i];
		if (*state == DATA_TEXT && c != '\r') {
			run = run_length(in + i,
			    n - i < room - len ? n - i : room - len);
			memcpy(out + len, in + i, run);
			i += run;
			len += run;
			continue;
		}
		if (*state == DATA_DOT_CR && c != '\n') {
			/* No end: the CR was text, and c comes behind it. */
			*state = DATA_CR;
			out[len++] = '\r';
			continue;
		}
		i++;
		if (*state == DATA_DOT_CR)
			*state = DATA_END;
		else if (*state == DATA_LINE && c == '.')
			*state = DATA_DOT;
		else if (*state == DATA_DOT && c == '\r')
			*state = DATA_DOT_CR;
		else {
			out[len++] = c;
			*state = c == '\r' ? DATA_CR :
			    c == '\n' && *state == DATA_CR ? DATA_LINE :
			    DATA_TEXT;
		}
	}
	*taken = i;
	return len;
}

char *
smtpd_path(char *text, char **path)
{
	bool quoted = false;
	char *p = text + strspn(text, " ");

	if (*p++ != '<')
		return NULL;
	if (*p == '@') {
		p += strcspn(p, ":> \"");
		if (*p++ != ':' || *p == '>')
			return NULL;
	}
	*path = p;
	for (; *p != '\0' && (quoted || *p != '>'); p++) {
		/* A mailbox has no blanks, comments, lists or groups. */
		if (*p == '"')
			quoted = !quoted;
		else if (!quoted && strchr(" \t(),;<\\", *p))
			return NULL;
		else if (*p == '\\' && p[1] != '\0')
			p++;
	}
	if (*p != '>' || (p[1] != '\0' && p[1] != ' '))
		return NULL;
	*p = '\0';
	return p + 1;
}

/* --- parameters --- */

/* RFC 3461 section 4: printable ASCII, what else there is as +XX. */
static bool
is_xtext(const char *s, size_t max)
{
	static const char hex[] = "0123456789ABCDEF";
	size_t n = strlen(s);

	if (n == 0 || n > max)
		return false;
	for (; *s; s++) {
		if (*s <= ' ' || *s >= 0x7F || *s == '=')
			return false;
		if (*s == '+' && (s[1] == '\0' || !strchr(hex, s[1]) ||
		    s[2] == '\0' || !strchr(hex, s[2])))
			return false;
	}
	return true;
}

/* addr-type ";" xtext */
static bool
is_orcpt(const char *s)
{
	const char *semi = strchr(s, ';');

	return semi && semi > s && strcspn(s, "+()<>@,:\\\"/[]?.") >=
	    (size_t)(semi - s) && is_xtext(s, ORCPT_MAX) && semi[1] != '\0';
}

/* Is the s up to `end` one of the words, which blanks separate? */
static bool
is_among(const char *s, size_t n, const char *words)
{
	size_t len;

	for (; *words; words += len + (words[len] == ' ')) {
		len = strcspn(words, " ");
		if (len == n && mem_iequal(words, s, n))
			return true;
	}
	return false;
}

/* NEVER alone, or a list of the others. */
bool
smtpd_is_notify(const char *s)
{
	size_t n;

	if (str_iequal(s, "NEVER"))
		return true;
	for (;; s += n + 1) {
		n = strcspn(s, ",");
		if (!is_among(s, n, "SUCCESS FAILURE DELAY"))
			return false;
		if (s[n] == '\0')
			return true;
	}
}

enum { P_SIZE, P_BODY, P_UTF8, P_TLS, P_RET, P_ENVID, P_NOTIFY, P_ORCPT, P_COUNT };

static const char names[P_COUNT][11] = {
	"SIZE", "BODY", "SMTPUTF8", "REQUIRETLS", "RET", "ENVID", "NOTIFY", "ORCPT"
};

/* value is "" when there is none. */
static bool
set_param(struct smtpd_params *p, int which, const char *value)
{
	size_t n = strlen(value);

	switch (which) {
	case P_SIZE:
		return number_parse(value, 0, UINT64_MAX, &p->size) == 0;
	case P_BODY:
		return is_among(value, n, "7BIT 8BITMIME");
	case P_UTF8:
		p->utf8 = true;
		return n == 0;
	case P_TLS:
		p->requiretls = true;
		return n == 0;
	case P_RET:
		p->ret = value;
		return is_among(value, n, "FULL HDRS");
	case P_ENVID:
		p->envid = value;
		return is_xtext(value, ENVID_MAX);
	case P_NOTIFY:
		p->notify = value;
		return smtpd_is_notify(value);
	default:
		p->orcpt = value;
		return is_orcpt(value);
	}
}

bool
smtpd_is_envid(const char *s)
{
	return is_xtext(s, ENVID_MAX);
}

int
smtpd_params(char *text, bool rcpt, struct smtpd_params *p,
    const char **bad)
{
	unsigned seen = 0;
	int i, last = rcpt ? P_COUNT : P_NOTIFY;
	char *value, *next;

	memset(p, 0, sizeof *p);
	for (;; text = next) {
		text += strspn(text, " ");
		if (*text == '\0')
			return 0;
		*bad = text;
		next = text + strcspn(text, " ");
		if (*next)
			*next++ = '\0';
		value = text + strcspn(text, "=");
		if (*value)
			*value++ = '\0';
		i = rcpt ? P_NOTIFY : 0;
		while (i < last && !str_iequal(text, names[i]))
			i++;
		if (i == last)
			return 555;
		if (seen & 1u << i || !set_param(p, i, value))
			return 501;
		seen |= 1u << i;
	}
}
