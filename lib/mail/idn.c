#include "lib/mail/idn.h"

#include <string.h>

#include "lib/base/buf.h"

enum {
	LABEL_MAX = 63,
	/* RFC 3492 section 5. */
	BASE = 36, T_MIN = 1, T_MAX = 26, SKEW = 38, DAMP = 700,
	INITIAL_BIAS = 72, INITIAL_N = 128
};

size_t
utf8_next(const char *p, const char *end, unsigned *cp)
{
	static const unsigned least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	unsigned char c = (unsigned char)*p;
	size_t n = c < 0x80 ? 1 : c < 0xC0 ? 0 : c < 0xE0 ? 2 : c < 0xF0 ? 3 :
	    c < 0xF8 ? 4 : 0, i;
	unsigned v;

	if (n == 0 || (size_t)(end - p) < n)
		return 0;
	v = n == 1 ? c : c & (0x7Fu >> n);
	for (i = 1; i < n; i++) {
		c = (unsigned char)p[i];
		if ((c & 0xC0) != 0x80)
			return 0;
		v = v << 6 | (c & 0x3F);
	}
	if (v < least[n] || v > 0x10FFFF || (v >= 0xD800 && v <= 0xDFFF))
		return 0;
	*cp = v;
	return n;
}

bool
utf8_valid(const char *s, size_t n)
{
	const char *end = s + n;
	unsigned cp;
	size_t k;

	for (; s < end; s += k) {
		k = utf8_next(s, end, &cp);
		if (k == 0)
			return false;
	}
	return true;
}

bool
is_ascii(const char *s)
{
	return mem_is_ascii(s, strlen(s));
}

/* Lower case of the scripts in which host names are typed with capitals. */
static unsigned
lower(unsigned c)
{
	if ((c >= 'A' && c <= 'Z') || (c >= 0xC0 && c <= 0xDE && c != 0xD7) ||
	    (c >= 0x391 && c <= 0x3A9) || (c >= 0x410 && c <= 0x42F))
		return c + 32;
	if (c >= 0x400 && c <= 0x40F)
		return c + 80;
	/* Latin Extended-A: pairs of a capital and its small letter. */
	if ((c >= 0x100 && c <= 0x137) || (c >= 0x14A && c <= 0x177))
		return c == 0x130 ? 'i' : c | 1;
	if ((c >= 0x139 && c <= 0x148) || (c >= 0x179 && c <= 0x17E))
		return c + (c & 1);
	return c;
}

/*
 * What IDNA maps or forbids and we do not map: taken as it stands it would make
 * another name. Combining marks want normalising, the rest is invisible or a
 * variant form.
 */
static bool
is_doubtful(unsigned c)
{
	static const unsigned ranges[][2] = {
		{ 0x80, 0xA0 }, { 0xAD, 0xAD }, { 0x17F, 0x17F },
		{ 0x300, 0x36F }, { 0x2000, 0x206F }, { 0xFE00, 0xFE0F },
		{ 0xFEFF, 0xFFFF }, { 0xE0000, 0x10FFFF }
	};
	size_t i;

	for (i = 0; i < sizeof ranges / sizeof ranges[0]; i++)
		if (c >= ranges[i][0] && c <= ranges[i][1])
			return true;
	return false;
}

struct label {
	size_t n;
	bool ascii;
	unsigned cp[LABEL_MAX + 1];
};

static bool
is_dot(unsigned cp)
{
	return cp == '.' || cp == 0x3002 || cp == 0xFF0E || cp == 0xFF61;
}

static unsigned
adapt(unsigned delta, unsigned points, bool first)
{
	unsigned k = 0;

	delta = first ? delta / DAMP : delta / 2;
	delta += delta / points;
	for (; delta > (BASE - T_MIN) * T_MAX / 2; k += BASE)
		delta /= BASE - T_MIN;
	return k + (BASE - T_MIN + 1) * delta / (delta + SKEW);
}

static char
digit(unsigned d)
{
	return (char)(d < 26 ? 'a' + d : '0' + d - 26);
}

/* Append delta as a variable-length integer (RFC 3492 section 3.3). */
static size_t
put_integer(char *out, size_t at, unsigned delta, unsigned bias)
{
	unsigned k, t;

	for (k = BASE; ; k += BASE) {
		t = k <= bias ? T_MIN : k >= bias + T_MAX ? T_MAX : k - bias;
		if (at >= LABEL_MAX)
			return LABEL_MAX + 1;
		if (delta < t)
			break;
		out[at++] = digit(t + (delta - t) % (BASE - t));
		delta = (delta - t) / (BASE - t);
	}
	out[at++] = digit(delta);
	return at;
}

/* The label in Punycode; its length, or LABEL_MAX + 1 when it is too long. */
static size_t
punycode(const struct label *l, char out[LABEL_MAX + 1])
{
	unsigned n = INITIAL_N, delta = 0, bias = INITIAL_BIAS, next;
	size_t at = 0, i, done, basic;

	for (i = 0; i < l->n; i++)
		if (l->cp[i] < 0x80)
			out[at++] = (char)l->cp[i];
	done = basic = at;
	if (basic > 0 && at < LABEL_MAX)
		out[at++] = '-';
	while (done < l->n && at <= LABEL_MAX) {
		next = 0x110000;
		for (i = 0; i < l->n; i++)
			if (l->cp[i] >= n && l->cp[i] < next)
				next = l->cp[i];
		delta += (next - n) * (unsigned)(done + 1);
		n = next;
		for (i = 0; i < l->n && at <= LABEL_MAX; i++) {
			delta += l->cp[i] < n;
			if (l->cp[i] != n)
				continue;
			at = put_integer(out, at, delta, bias);
			bias = adapt(delta, (unsigned)done + 1, done == basic);
			delta = 0;
			done++;
		}
		delta++;
		n++;
	}
	return at;
}

/* Append a label to out[0..at); the new length, or -1. */
static int
put_label(struct label *l, char *out, size_t at, size_t size)
{
	char text[LABEL_MAX + 1];
	size_t n, i;

	if (l->ascii) {
		for (i = 0; i < l->n; i++)
			text[i] = (char)l->cp[i];
		n = l->n;
	} else {
		for (i = 0; i < l->n; i++)
			l->cp[i] = lower(l->cp[i]);
		n = punycode(l, text);
		if (n + 4 > LABEL_MAX || at + 4 >= size)
			return -1;
		memcpy(out + at, "xn--", 4);
		at += 4;
	}
	if (at + n >= size)
		return -1;
	memcpy(out + at, text, n);
	return (int)(at + n);
}

int
idn_to_ascii(const char *domain, size_t n, char *out, size_t size)
{
	const char *p = domain, *end = domain + n;
	struct label l = { .ascii = true };
	int at = 0;
	unsigned cp;
	size_t k;

	for (; p < end; p += k) {
		k = utf8_next(p, end, &cp);
		if (k == 0)
			return -1;
		if (is_dot(cp)) {
			at = put_label(&l, out, (size_t)at, size);
			if (at < 0 || (size_t)at + 1 >= size)
				return -1;
			out[at++] = '.';
			l.n = 0;
			l.ascii = true;
			continue;
		}
		if (l.n == LABEL_MAX || is_doubtful(cp))
			return -1;
		l.cp[l.n++] = cp;
		l.ascii = l.ascii && cp < 0x80;
	}
	at = put_label(&l, out, (size_t)at, size);
	if (at >= 0)
		out[at] = '\0';
	return at;
}
