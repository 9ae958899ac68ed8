#include "lib/mail/verify.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/base64.h"
#include "lib/base/clock.h"
#include "lib/mail/dkim.h"
#include "lib/mail/lines.h"
#include "lib/net/txt.h"

enum {
	RSA_MIN = 128,		/* bytes: RFC 8301 section 3.2 */
	NAMES_MAX = 4096	/* bytes of h=: for each the header is read */
};

enum verdict { PASS, FAIL, SKIP, DEFER };

struct signature {
	const char *field;	/* in the header */
	size_t n;
	struct buf tags;	/* NAME=VALUE without blanks, each with a NUL */
	struct buf record;	/* the key's tags, likewise */
	bool relaxed;		/* the header */
	enum verdict verdict;
	const char *why;	/* what is wrong, or NULL */
	struct dkim_body body;
};

struct verifier {
	struct buf head;
	bool done;		/* the header is over */
	struct signature s[VERIFY_MAX];
	size_t n;
};

/* --- tags --- */

/* RFC 6376 section 3.2, blanks left out. */
static void
take_tags(struct buf *to, const char *p, size_t n)
{
	buf_reserve(to, n + 2);
	for (; n > 0; n--, p++)
		if (*p == ';')
			buf_addc(to, '\0');
		else if (*p != ' ' && *p != '\t' && *p != '\r' && *p != '\n')
			buf_addc(to, *p);
	buf_addc(to, '\0');
}

/* The value of the tag; or NULL: it is not there. */
static const char *
tag(const struct buf *tags, const char *name)
{
	size_t at, n = strlen(name);
	const char *p;

	for (at = 0; at < tags->len; at += strlen(p) + 1) {
		p = tags->p + at;
		if (strncmp(p, name, n) == 0 && p[n] == '=')
			return p + n + 1;
	}
	return NULL;
}

/* Is one there twice, of those that mean something? Such a list is void. */
static bool
repeats(const struct buf *tags)
{
	unsigned seen = 0, bit;
	const char *p;
	size_t at;

	for (at = 0; at < tags->len; at += strlen(p) + 1) {
		p = tags->p + at;
		bit = *p >= 'a' && p[1] == '=' ? 1U << (*p & 31) :
		    strncmp(p, "bh=", 3) == 0;
		if (seen & bit)
			return true;
		seen |= bit;
	}
	return false;
}

static const char *
tag_or(const struct buf *tags, const char *name, const char *otherwise)
{
	const char *value = tag(tags, name);

	return value ? value : otherwise;
}

/* Is word in the list, whose words a ':' separates? */
static bool
lists(const char *list, const char *word)
{
	size_t n = strlen(word), k;

	for (; *list; list += k + (list[k] == ':')) {
		k = strcspn(list, ":");
		if (k == n && mem_iequal(list, word, n))
			return true;
	}
	return false;
}

/* --- before the body --- */

static bool
says(struct signature *s, enum verdict verdict, const char *why)
{
	s->verdict = verdict;
	s->why = why;
	return false;
}

/* Is the domain of i= that of d=, or below it? */
static bool
is_within(const char *i, const char *d)
{
	size_t n = strlen(d), k;

	i = strrchr(i, '@');
	if (i == NULL || (k = strlen(++i)) < n)
		return false;
	return str_iequal(i + k - n, d) && (k == n || i[k - n - 1] == '.');
}

/* What can be said without the key. */
static bool
check_tags(struct signature *s)
{
	const char *a = tag(&s->tags, "a"), *d = tag(&s->tags, "d");
	const char *x = tag(&s->tags, "x");
	uint64_t expires = 0;

	if (repeats(&s->tags) || a == NULL || d == NULL || !tag(&s->tags, "s") ||
	    !tag(&s->tags, "h") || !tag(&s->tags, "b") ||
	    !tag(&s->tags, "bh") || strcmp(tag_or(&s->tags, "v", ""), "1") != 0)
		return says(s, FAIL, "malformed: a tag that must be there is not, "
		    "or twice");
	if (str_istarts(a, "ed25519-"))
		return says(s, SKIP, "ed25519 is not checked");
	if (str_iequal(a, "rsa-sha1"))
		return says(s, FAIL, "rsa-sha1 is not acceptable any more");
	if (!str_iequal(a, "rsa-sha256"))
		return says(s, FAIL, "its algorithm is not known");
	if (strlen(tag(&s->tags, "h")) > NAMES_MAX)
		return says(s, FAIL, "malformed: h= is too long");
	if (!lists(tag(&s->tags, "h"), "from"))
		return says(s, FAIL, "malformed: From is not signed");
	if (!lists(tag_or(&s->tags, "q", "dns/txt"), "dns/txt"))
		return says(s, FAIL, "its key is not in the DNS");
	if (tag(&s->tags, "i") && !is_within(tag(&s->tags, "i"), d))
		return says(s, FAIL, "domain mismatch: i= is not within d=");
	if (x && number_parse(x, 0, INT64_MAX, &expires) < 0)
		return says(s, FAIL, "malformed: x= is no time");
	if (x && expires < (uint64_t)clock_wall())
		return says(s, FAIL, "expired: x= has passed");
	return true;
}

static bool
begin_body(struct signature *s)
{
	const char *c = tag_or(&s->tags, "c", "simple/simple");
	const char *slash = strchr(c, '/'), *body = slash ? slash + 1 : "simple";
	const char *l = tag(&s->tags, "l");
	size_t n = slash ? (size_t)(slash - c) : strlen(c);
	uint64_t limit = UINT64_MAX;

	s->relaxed = n == 7 && mem_iequal(c, "relaxed", n);
	if ((!s->relaxed && !(n == 6 && mem_iequal(c, "simple", n))) ||
	    (!str_iequal(body, "simple") && !str_iequal(body, "relaxed")))
		return says(s, FAIL, "malformed: c= is not known");
	if (l && number_parse(l, 0, UINT64_MAX - 1, &limit) < 0)
		return says(s, FAIL, "malformed: l= is no number");
	dkim_body_init(&s->body, str_iequal(body, "relaxed"), limit);
	return true;
}

/* The header is there: its signatures. */
static void
begin(struct verifier *v)
{
	const char *p = v->head.p;
	size_t at, n, name;
	struct signature *s;

	for (at = 0; (n = dkim_next(p, v->head.len, at)) > 0; at += n) {
		name = dkim_name(p + at, n);
		if (v->n == VERIFY_MAX || name != 14 ||
		    !mem_iequal(p + at, "DKIM-Signature", name))
			continue;
		s = &v->s[v->n++];
		s->field = p + at;
		s->n = n;
		name = (size_t)((char *)memchr(p + at, ':', n) - p) + 1;
		take_tags(&s->tags, p + name, at + n - name);
		if (begin_body(s))
			check_tags(s);
	}
}

static int
take(void *ctx, const void *data, size_t n)
{
	struct verifier *v = ctx;
	const char *p = data;
	size_t taken = dkim_head(&v->head, p, n, &v->done), i;

	if (v->head.failed)
		return -1;
	if (taken > 0 && v->done)
		begin(v);
	for (i = 0; i < v->n; i++)
		if (v->s[i].why == NULL)
			dkim_body_add(&v->s[i].body, p + taken, n - taken);
	return 0;
}

/* --- the key --- */

static bool
find_key(struct signature *s, int keys)
{
	struct buf name = { 0 }, text = { 0 };
	int found;

	buf_addf(&name, "%s._domainkey.%s", tag(&s->tags, "s"),
	    tag(&s->tags, "d"));
	found = keys >= 0 ? txt_find_in(keys, buf_str(&name), &text) :
	    txt_find(buf_str(&name), &text);
	take_tags(&s->record, buf_str(&text), text.len);
	buf_free(&text);
	buf_free(&name);
	if (found == TXT_NO_ANSWER)
		return says(s, DEFER, "the DNS does not answer for its key");
	return found == TXT_FOUND || says(s, FAIL, "key missing: there is no such record");
}

/*
 * Section 6.1.2: the key, decoded into der, of `size` bytes. Section 3.6.1 names the
 * RSAPublicKey alone; all the world has a SubjectPublicKeyInfo around it.
 */
static bool
take_key(struct signature *s, unsigned char *der, size_t size,
    struct x509_key *key)
{
	const char *p = tag(&s->record, "p");
	struct x509_view view = { .spki = { der, 0 } };
	ssize_t n;

	if (strcmp(tag_or(&s->record, "v", "DKIM1"), "DKIM1") != 0 ||
	    p == NULL || repeats(&s->record))
		return says(s, FAIL, "the record of its key is malformed");
	if (*p == '\0')
		return says(s, FAIL, "key revoked: p= is empty");
	if (!str_iequal(tag_or(&s->record, "k", "rsa"), "rsa"))
		return says(s, FAIL, "its key is not for RSA (k=)");
	if (!lists(tag_or(&s->record, "h", "sha256"), "sha256"))
		return says(s, FAIL, "its key is not for sha256 (h=)");
	if (!lists(tag_or(&s->record, "s", "*"), "*") &&
	    !lists(tag(&s->record, "s"), "email"))
		return says(s, FAIL, "its key is not for mail (s=)");
	if (lists(tag_or(&s->record, "t", ""), "s") && tag(&s->tags, "i") &&
	    !str_iequal(strrchr(tag(&s->tags, "i"), '@') + 1,
	    tag(&s->tags, "d")))
		return says(s, FAIL, "domain mismatch: the key wants i= to be d=");
	n = base64_decode(der, size, p, strlen(p));
	if (n > 0)
		view.spki.n = (size_t)n;
	if (n <= 0 || (!x509_key(&view, key) && !der_rsa_key(view.spki, key)) ||
	    key->curve != 0)
		return says(s, FAIL, "its key in the record is no RSA key");
	if (key->n.n < RSA_MIN || key->n.n > RSA_KEY_MAX)
		return says(s, FAIL, "its key has not 1024 to 4096 bits");
	return true;
}

const char *
verify_published(const char *domain, const char *selector,
    const struct private_key *private, bool *certain)
{
	struct signature s = { .why = NULL };
	struct buf text = { 0 };
	unsigned char der[1024];
	struct x509_key key;

	buf_addf(&text, "d=%s;s=%s", domain, selector);
	take_tags(&s.tags, buf_str(&text), text.len);
	if (find_key(&s, -1) && take_key(&s, der, sizeof der, &key)) {
		if (key.n.n != private->n.n ||
		    memcmp(key.n.p, private->n.p, key.n.n) != 0)
			says(&s, FAIL, "another key is there");
		else if (lists(tag_or(&s.record, "t", ""), "y"))
			says(&s, DEFER, "t=y, a test: receivers need not care");
	}
	*certain = s.verdict == FAIL;
	buf_free(&s.tags);
	buf_free(&s.record);
	buf_free(&text);
	return s.why;
}

/* --- after the body --- */

/* The fields of h=, each taken from the bottom up, once. */
static void
hash_fields(const struct verifier *v, const struct signature *s,
    struct buf *to)
{
	const char *h = tag(&s->tags, "h"), *head = v->head.p;
	char *used = calloc(1, v->head.len + 1);
	size_t k, at, n, last;

	to->failed |= used == NULL;
	for (; used && *h; h += k + (h[k] == ':')) {
		k = strcspn(h, ":");
		last = v->head.len;
		for (at = 0; (n = dkim_next(head, v->head.len, at)) > 0; at += n)
			if (!used[at] && dkim_name(head + at, n) == k &&
			    mem_iequal(head + at, h, k))
				last = at;
		if (last == v->head.len)
			continue;
		used[last] = 1;
		dkim_field(to, head + last, dkim_next(head, v->head.len, last),
		    s->relaxed);
	}
	free(used);
}

/* The signature's own field, without the value of b= and without its end. */
static void
hash_own(const struct signature *s, struct buf *to)
{
	const char *p = memchr(s->field, ':', s->n), *end = s->field + s->n, *b;
	struct buf own = { 0 };

	while (p < end) {
		for (b = p + 1; b < end && strchr(" \t\r\n", *b); b++)
			;
		p = memchr(b, ';', (size_t)(end - b));
		p = p ? p : end;
		if (b < p && *b == 'b' && b + 1 < p &&
		    strchr("= \t\r\n", b[1])) {
			b = memchr(b, '=', (size_t)(p - b));
			break;
		}
		b = NULL;
	}
	buf_add(&own, s->field, (size_t)((b ? b + 1 : end) - s->field));
	if (b && p < end)
		buf_add(&own, p, (size_t)(end - p));
	else
		buf_adds(&own, "\r\n");
	dkim_field(to, own.p, own.len, s->relaxed);
	if (to->len > 2)
		to->len -= 2;
	to->failed |= own.failed;
	buf_free(&own);
}

static bool
check_signed(const struct verifier *v, struct signature *s, int keys)
{
	unsigned char der[1024], sig[RSA_KEY_MAX], hash[SHA256_SIZE];
	unsigned char body[SHA256_SIZE], wanted[SHA256_SIZE];
	const char *b = tag(&s->tags, "b"), *bh = tag(&s->tags, "bh");
	bool body_ok, header_ok;
	struct buf text = { 0 };
	struct x509_key key;
	ssize_t n;

	dkim_body_final(&s->body, body);
	if (!find_key(s, keys) || !take_key(s, der, sizeof der, &key))
		return false;
	n = base64_decode(sig, sizeof sig, b, strlen(b));
	if (n <= 0 || base64_decode(wanted, sizeof wanted, bh, strlen(bh)) !=
	    SHA256_SIZE)
		return says(s, FAIL, "malformed: b= or bh= is no base64");
	hash_fields(v, s, &text);
	hash_own(s, &text);
	sha256(hash, text.p, text.len);
	header_ok = rsa_verify(key.n, key.e, hash, sig, (size_t)n);
	body_ok = memcmp(body, wanted, sizeof body) == 0;
	n = text.failed;
	buf_free(&text);
	if (n)
		return says(s, DEFER, "out of memory");
	if (s->body.limit != UINT64_MAX && s->body.size < s->body.limit)
		return says(s, FAIL, "body altered: it is shorter than l=");
	if (!body_ok)
		return says(s, FAIL, header_ok ? "body altered" :
		    "body altered, and header altered or signed with another "
		    "key");
	if (!header_ok)
		return says(s, FAIL, "header altered, or signed with another "
		    "key");
	return true;
}

static void
report(const struct signature *s, FILE *out)
{
	static const char *const words[] = { "pass", "fail", "skip", "defer" };
	struct buf line = { 0 };

	buf_addf(&line, "%s: d=%s s=%s", words[s->verdict],
	    tag_or(&s->tags, "d", "-"), tag_or(&s->tags, "s", "-"));
	if (s->why)
		buf_addf(&line, ": %s", s->why);
	else if (s->body.limit < UINT64_MAX)
		buf_addf(&line, ": the first %" PRIu64 " bytes of the body alone "
		    "are signed (l=)", s->body.limit);
	if (line.p)
		text_clean(line.p);
	fputs(buf_str(&line), out);
	fputs("\n", out);
	buf_free(&line);
}

static int
read_all(struct verifier *v, int fd, struct result *res)
{
	struct lines *l = calloc(1, sizeof *l);
	char block[4096];
	ssize_t n = 0;
	int rc = 0;

	if (l == NULL)
		return result_fail(res, EXIT_OS, "out of memory");
	l->sink = take;
	l->ctx = v;
	while (rc == 0 && (n = read(fd, block, sizeof block)) != 0)
		if (n > 0)
			rc = lines_feed(l, block, (size_t)n);
		else if (errno != EINTR)
			break;
	if (n < 0)
		rc = result_fail(res, EXIT_IO, "cannot read standard input: %s",
		    strerror(errno));
	else if (rc < 0 || lines_finish(l) < 0)
		rc = v->head.len > 1 << 20 ? result_fail(res, EXIT_DATA,
		    "the header is over 1 MiB") : result_fail(res, EXIT_OS,
		    "out of memory");
	else if (!v->done && v->head.len > 0)
		begin(v);
	free(l);
	return rc;
}

static int
status_of(const struct verifier *v)
{
	size_t count[4] = { 0 }, i;

	for (i = 0; i < v->n; i++)
		count[v->s[i].verdict]++;
	if (count[FAIL] > 0)
		return EXIT_REFUSED;
	if (count[DEFER] > 0)
		return EXIT_TEMP;
	return count[PASS] > 0 ? EXIT_OK : EXIT_DATA;
}

int
verify_run(int fd, const char *keys, FILE *out, struct result *res)
{
	struct verifier *v = calloc(1, sizeof *v);
	int file = keys ? open(keys, O_RDONLY | O_CLOEXEC) : -1, status;
	size_t i;

	if (v == NULL || (keys && file < 0)) {
		free(v);
		return result_fail(res, EXIT_OS, "%.300s: %s", keys ? keys :
		    "--verify-dkim", strerror(errno));
	}
	status = read_all(v, fd, res);
	for (i = 0; status == 0 && i < v->n; i++) {
		if (v->s[i].why == NULL)
			check_signed(v, &v->s[i], file);
		report(&v->s[i], out);
	}
	if (status == 0) {
		status = status_of(v);
		if (v->n == 0)
			fputs("none: the message has no DKIM-Signature\n", out);
	}
	for (i = 0; i < v->n; i++) {
		buf_free(&v->s[i].tags);
		buf_free(&v->s[i].record);
	}
	buf_free(&v->head);
	free(v);
	if (file >= 0)
		close(file);
	return status;
}
