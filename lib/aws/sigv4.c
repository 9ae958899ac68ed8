#include "lib/aws/sigv4.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/base64.h"
#include "lib/base/clock.h"

#define ALGORITHM "AWS4-HMAC-SHA256"
#define SCOPE_END "aws4_request"

enum { DATE_SIZE = 8 };		/* "YYYYMMDD" at the start of x-amz-date */

static unsigned char
lower(char c)
{
	return (unsigned char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* RFC 3986's unreserved characters: all that AWS leaves unencoded. */
static bool
is_unreserved(unsigned char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
	    (c >= 'a' && c <= 'z') || c == '-' || c == '.' || c == '_' ||
	    c == '~';
}

static void
add_encoded(struct buf *out, unsigned char c)
{
	static const char digits[] = "0123456789ABCDEF";

	if (is_unreserved(c)) {
		buf_addc(out, (char)c);
		return;
	}
	buf_addc(out, '%');
	buf_addc(out, digits[c >> 4]);
	buf_addc(out, digits[c & 15]);
}

void
sigv4_add_encoded(struct buf *out, const char *s)
{
	for (; *s != '\0'; s++)
		add_encoded(out, (unsigned char)*s);
}

/* --- path ------------------------------------------------------------------ */

/* Take back the last "/segment" behind start, if there is one. */
static void
drop_segment(struct buf *out, size_t start)
{
	while (out->len > start && out->p[--out->len] != '/')
		;
	if (out->p)
		out->p[out->len] = '\0';
}

/* Empty and dot segments resolved, then every byte encoded once more. */
static void
add_path(struct buf *out, const char *path)
{
	size_t start = out->len, n, i;
	const char *p;

	for (p = path; *(p += strspn(p, "/")) != '\0'; p += n) {
		n = strcspn(p, "/");
		if (n == 1 && p[0] == '.')
			continue;
		if (n == 2 && p[0] == '.' && p[1] == '.') {
			drop_segment(out, start);
			continue;
		}
		buf_addc(out, '/');
		for (i = 0; i < n; i++)
			add_encoded(out, (unsigned char)p[i]);
	}
	if (out->len == start || p[-1] == '/')
		buf_addc(out, '/');
}

/* --- query ----------------------------------------------------------------- */

/* A piece "name=value", encoded: neither part holds '=' or '&'. */
struct pair {
	const char *p;
	size_t name, len;
};

static struct pair
pair_at(const char *p)
{
	return (struct pair){ p, strcspn(p, "="), strcspn(p, "&") };
}

static int
bytes_compare(const char *a, size_t na, const char *b, size_t nb)
{
	int d = memcmp(a, b, na < nb ? na : nb);

	return d != 0 ? d : (na > nb) - (na < nb);
}

static int
pair_compare(const struct pair *a, const struct pair *b)
{
	int d = bytes_compare(a->p, a->name, b->p, b->name);

	return d != 0 ? d : bytes_compare(a->p + a->name, a->len - a->name,
	    b->p + b->name, b->len - b->name);
}

/* Wire text decoded and encoded anew, so that one spelling is left. */
static void
add_recoded(struct buf *out, const char *s, size_t n)
{
	char hex[3] = "";
	unsigned char c;
	size_t i;

	for (i = 0; i < n; i++) {
		c = (unsigned char)s[i];
		if (c == '%' && n - i > 2) {
			memcpy(hex, s + i + 1, 2);
			if (hex_decode(&c, 1, hex) == 0)
				i += 2;
		}
		add_encoded(out, c);
	}
}

/* Every piece of the query as "name=value", joined by '&', in wire order. */
static void
recode_query(struct buf *out, const char *query)
{
	size_t n, name;
	const char *p;

	for (p = query; *(p += strspn(p, "&")) != '\0'; p += n) {
		n = strcspn(p, "&");
		name = strcspn(p, "=&");
		if (out->len > 0)
			buf_addc(out, '&');
		add_recoded(out, p, name);
		buf_addc(out, '=');
		if (name < n)
			add_recoded(out, p + name + 1, n - name - 1);
	}
}

/*
 * The least pair above `last` (NULL: of all) in pairs; false when there is none.
 * *times: how often it stands there.
 */
static bool
next_pair(const char *pairs, const struct pair *last, struct pair *least,
    size_t *times)
{
	struct pair at;
	const char *p;
	int d;

	*times = 0;
	for (p = pairs; *p != '\0'; p = at.p + at.len + (at.p[at.len] != '\0')) {
		at = pair_at(p);
		if (last != NULL && pair_compare(&at, last) <= 0)
			continue;
		d = *times == 0 ? -1 : pair_compare(&at, least);
		if (d < 0) {
			*least = at;
			*times = 1;
		} else if (d == 0)
			++*times;
	}
	return *times > 0;
}

/* Queries have a handful of pairs: picking the least each time is enough. */
static void
add_query(struct buf *out, const char *query)
{
	struct buf pairs = { 0 };
	struct pair last, least;
	const struct pair *above = NULL;
	size_t start = out->len, times;

	recode_query(&pairs, query);
	if (pairs.failed)
		out->failed = true;
	while (next_pair(buf_str(&pairs), above, &least, &times)) {
		while (times-- > 0) {
			if (out->len > start)
				buf_addc(out, '&');
			buf_add(out, least.p, least.len);
		}
		last = least;
		above = &last;
	}
	buf_free(&pairs);
}

/* --- fields ---------------------------------------------------------------- */

static int
name_compare(const char *a, const char *b)
{
	while (*a != '\0' && lower(*a) == lower(*b)) {
		a++;
		b++;
	}
	return (int)lower(*a) - (int)lower(*b);
}

/* The least field name above `last` (NULL: of all); NULL when there is none. */
static const char *
next_name(const struct sigv4_request *r, const char *last)
{
	const char *name, *least = NULL;
	size_t i;

	for (i = 0; i < r->nfields; i++) {
		name = r->fields[i].name;
		if (last != NULL && name_compare(name, last) <= 0)
			continue;
		if (least == NULL || name_compare(name, least) < 0)
			least = name;
	}
	return least;
}

static void
add_name(struct buf *out, const char *name)
{
	for (; *name != '\0'; name++)
		buf_addc(out, (char)lower(*name));
}

static void
add_value(struct buf *out, const char *value)
{
	bool any = false, gap = false;

	for (; *value != '\0'; value++) {
		if (is_blank(*value)) {
			gap = any;
			continue;
		}
		if (gap)
			buf_addc(out, ' ');
		buf_addc(out, *value);
		any = true;
		gap = false;
	}
}

static void
add_fields(struct buf *out, const struct sigv4_request *r)
{
	const char *name;
	bool first;
	size_t i;

	for (name = NULL; (name = next_name(r, name)) != NULL;) {
		add_name(out, name);
		first = true;
		for (i = 0; i < r->nfields; i++) {
			if (name_compare(r->fields[i].name, name) != 0)
				continue;
			buf_addc(out, first ? ':' : ',');
			add_value(out, r->fields[i].value);
			first = false;
		}
		buf_addc(out, '\n');
	}
}

static void
add_signed_names(struct buf *out, const struct sigv4_request *r)
{
	const char *name = NULL, *next;

	while ((next = next_name(r, name)) != NULL) {
		if (name != NULL)
			buf_addc(out, ';');
		add_name(out, next);
		name = next;
	}
}

/* --- signature ------------------------------------------------------------- */

static void
add_hex(struct buf *out, const unsigned char digest[SHA256_SIZE])
{
	char hex[2 * SHA256_SIZE + 1];

	hex_encode(hex, digest, SHA256_SIZE);
	buf_adds(out, hex);
}

static void
add_scope(struct buf *out, const struct sigv4_request *r)
{
	char when[CLOCK_AMZ_SIZE];

	clock_amz(when, r->when);
	buf_add(out, when, DATE_SIZE);
	buf_addf(out, "/%s/%s/" SCOPE_END, r->region, r->service);
}

int
sigv4_canonical(const struct sigv4_request *r, struct buf *out)
{
	buf_adds(out, r->method);
	buf_addc(out, '\n');
	add_path(out, r->path);
	buf_addc(out, '\n');
	add_query(out, r->query);
	buf_addc(out, '\n');
	add_fields(out, r);
	buf_addc(out, '\n');
	add_signed_names(out, r);
	buf_addc(out, '\n');
	add_hex(out, r->payload);
	return out->failed ? -1 : 0;
}

int
sigv4_string_to_sign(const struct sigv4_request *r, const struct buf *canonical,
    struct buf *out)
{
	unsigned char digest[SHA256_SIZE];
	char when[CLOCK_AMZ_SIZE];

	clock_amz(when, r->when);
	sha256(digest, buf_str(canonical), canonical->len);
	buf_addf(out, ALGORITHM "\n%s\n", when);
	add_scope(out, r);
	buf_addc(out, '\n');
	add_hex(out, digest);
	return out->failed ? -1 : 0;
}

static void
derive(unsigned char key[SHA256_SIZE], const char *text)
{
	hmac_sha256(key, key, SHA256_SIZE, text, strlen(text));
}

/* The key of this day, region and service. */
static int
signing_key(unsigned char key[SHA256_SIZE], const struct sigv4_request *r,
    const char *secret)
{
	static const char prefix[4] = { 'A', 'W', 'S', '4' };
	size_t n = strlen(secret);
	char when[CLOCK_AMZ_SIZE], *seed;

	seed = malloc(sizeof prefix + n);
	if (seed == NULL)
		return -1;
	memcpy(seed, prefix, sizeof prefix);
	memcpy(seed + sizeof prefix, secret, n);
	clock_amz(when, r->when);
	hmac_sha256(key, seed, sizeof prefix + n, when, DATE_SIZE);
	mem_wipe(seed, sizeof prefix + n);
	free(seed);
	derive(key, r->region);
	derive(key, r->service);
	derive(key, SCOPE_END);
	return 0;
}

static int
add_signature(struct buf *out, const struct sigv4_request *r,
    const struct buf *to_sign, const char *secret)
{
	unsigned char key[SHA256_SIZE], mac[SHA256_SIZE];

	if (signing_key(key, r, secret) != 0)
		return -1;
	hmac_sha256(mac, key, sizeof key, buf_str(to_sign), to_sign->len);
	mem_wipe(key, sizeof key);
	add_hex(out, mac);
	return out->failed ? -1 : 0;
}

/*
 * Room for the whole canonical request at once: it holds the session token, and
 * a buffer that grows leaves copies behind that nobody wipes.
 */
static int
reserve(struct buf *b, const struct sigv4_request *r)
{
	size_t n, i;

	n = strlen(r->method) + 3 * strlen(r->path) + 4 * strlen(r->query) +
	    2 * SHA256_SIZE + 16;
	for (i = 0; i < r->nfields; i++)
		n += 2 * strlen(r->fields[i].name) +
		    strlen(r->fields[i].value) + 3;
	buf_reserve(b, n);
	return b->failed ? -1 : 0;
}

int
sigv4_authorization(const struct sigv4_request *r, const struct credentials *c,
    struct buf *out)
{
	struct buf canonical = { 0 }, to_sign = { 0 };
	int ret = -1;

	if (reserve(&canonical, r) == 0 &&
	    sigv4_canonical(r, &canonical) == 0 &&
	    sigv4_string_to_sign(r, &canonical, &to_sign) == 0) {
		buf_addf(out, ALGORITHM " Credential=%s/", c->access_key_id);
		add_scope(out, r);
		buf_adds(out, ", SignedHeaders=");
		add_signed_names(out, r);
		buf_adds(out, ", Signature=");
		ret = add_signature(out, r, &to_sign, c->secret_access_key);
	}
	buf_wipe(&canonical);
	buf_free(&to_sign);
	return ret;
}
