#include "lib/mail/dkim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/base/base64.h"
#include "lib/base/clock.h"
#include "lib/mail/spool.h"

enum {
	HEAD_MAX = 1 << 20,	/* bytes of a header */
	FOLD = 72		/* columns of a line of the signature */
};

/* --- what is hashed --- */

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

void
dkim_body_init(struct dkim_body *b, bool relaxed, uint64_t limit)
{
	memset(b, 0, sizeof *b);
	sha256_init(&b->hash);
	b->relaxed = relaxed;
	b->limit = limit;
}

static void
flush(struct dkim_body *b)
{
	uint64_t left = b->limit > b->size ? b->limit - b->size : 0;

	sha256_update(&b->hash, b->out, b->n < left ? b->n : (size_t)left);
	b->size += b->n;
	b->n = 0;
}

static void
put(struct dkim_body *b, char c)
{
	if (b->n == sizeof b->out)
		flush(b);
	b->out[b->n++] = c;
}

static void
put_end(struct dkim_body *b)
{
	put(b, '\r');
	put(b, '\n');
}

/* Text follows: what was held back before it counts. */
static void
release(struct dkim_body *b)
{
	for (; b->ends > 0; b->ends--)
		put_end(b);
	if (b->blank)
		put(b, ' ');
	b->blank = false;
}

void
dkim_body_add(struct dkim_body *b, const char *p, size_t n)
{
	const char *end = p + n;

	for (; p < end; p++)
		if (*p == '\n') {
			b->blank = false;
			b->ends++;
		} else if (b->relaxed && is_blank(*p))
			b->blank = true;
		else if (*p != '\r') {
			if (b->blank || b->ends > 0)
				release(b);
			put(b, *p);
		}
}

void
dkim_body_final(struct dkim_body *b, unsigned char out[SHA256_SIZE])
{
	/* An empty body is one line end when simple, and nothing when relaxed. */
	if (!b->relaxed || b->size + b->n > 0)
		put_end(b);
	flush(b);
	sha256_final(&b->hash, out);
}

size_t
dkim_name(const char *p, size_t n)
{
	const char *colon = memchr(p, ':', n);
	size_t len = colon ? (size_t)(colon - p) : 0;

	while (len > 0 && is_blank(p[len - 1]))
		len--;
	return len;
}

void
dkim_field(struct buf *to, const char *p, size_t n, bool relaxed)
{
	size_t name = dkim_name(p, n), i;
	bool blank = false, begun = false;

	if (!relaxed || name == 0) {
		buf_add(to, p, n);
		return;
	}
	for (i = 0; i < name; i++)
		buf_addc(to, p[i] >= 'A' && p[i] <= 'Z' ? (char)(p[i] + 32) :
		    p[i]);
	buf_addc(to, ':');
	for (i = (size_t)((const char *)memchr(p, ':', n) - p) + 1; i < n; i++) {
		if (p[i] == '\r' || p[i] == '\n')
			continue;
		if (is_blank(p[i])) {
			blank = begun;
			continue;
		}
		if (blank)
			buf_addc(to, ' ');
		buf_addc(to, p[i]);
		begun = true;
		blank = false;
	}
	buf_adds(to, "\r\n");
}

size_t
dkim_next(const char *head, size_t n, size_t at)
{
	const char *p = head + at, *lf = p;

	if (at >= n)
		return 0;
	do {
		lf = memchr(lf, '\n', n - (size_t)(lf - head));
		if (lf == NULL)
			return n - at;
		lf++;
	} while (lf < head + n && is_blank(*lf));
	return (size_t)(lf - p);
}

size_t
dkim_head(struct buf *head, const char *p, size_t n, bool *done)
{
	size_t taken = 0, k;
	const char *lf;

	while (taken < n && !*done) {
		lf = memchr(p + taken, '\n', n - taken);
		k = lf ? (size_t)(lf - p) + 1 - taken : n - taken;
		buf_add(head, p + taken, k);
		taken += k;
		if (head->len > HEAD_MAX)
			head->failed = true;
		if (head->failed)
			return n;
		*done = lf != NULL && head->len >= 2 && head->p[head->len - 2] == '\r' &&
		    (head->len == 2 || head->p[head->len - 3] == '\n');
		head->len -= *done ? 2 : 0;
	}
	return taken;
}

/* --- our signature --- */

/* Fields that it covers; those of List- too. */
static const char covered[] = "from\0" "to\0" "cc\0" "subject\0" "reply-to\0"
    "mime-version\0" "content-type\0" "content-transfer-encoding\0"
    "references\0" "in-reply-to\0"
    /* SES writes these anew. */
    "date\0" "message-id\0";

static bool
is_covered(const char *p, size_t n, bool ses)
{
	const char *s;

	if (n > 5 && mem_iequal(p, "List-", 5))
		return true;
	for (s = covered; *s && !(ses && *s == 'd'); s += strlen(s) + 1)
		if (strlen(s) == n && mem_iequal(p, s, n))
			return true;
	return false;
}

/*
 * All of the message is read: the covered fields, relaxed, and the body's hash.
 * 1; 0: the header holds a signature already; or -1 with res filled.
 */
static int
look(const struct spool *sp, bool ses, struct buf *fields,
    unsigned char body_hash[SHA256_SIZE], struct result *res)
{
	struct dkim_body body;
	struct buf head = { 0 };
	size_t at, n, taken;
	bool done = false, is_signed = false;
	char block[4096];
	off_t where = 0;
	ssize_t got;

	dkim_body_init(&body, true, UINT64_MAX);
	while ((got = spool_read(sp, block, sizeof block, where)) > 0) {
		where += got;
		taken = dkim_head(&head, block, (size_t)got, &done);
		dkim_body_add(&body, block + taken, (size_t)got - taken);
	}
	if (got < 0)
		result_set(res, OUT_TEMP, CAUSE_LOCAL, "the stored message "
		    "cannot be read: %s", strerror(errno));
	dkim_body_final(&body, body_hash);
	for (at = 0; (n = dkim_next(head.p, head.len, at)) > 0; at += n) {
		taken = dkim_name(head.p + at, n);
		is_signed |= taken == 14 &&
		    mem_iequal(head.p + at, "DKIM-Signature", taken);
		if (is_covered(head.p + at, taken, ses))
			dkim_field(fields, head.p + at, n, true);
	}
	fields->failed |= head.failed;
	buf_free(&head);
	return got < 0 ? -1 : !is_signed;
}

/* A word of a list that is folded; *column is where it ends. */
static void
put_word(struct buf *b, const char *p, size_t n, size_t *column)
{
	if (*column + n > FOLD) {
		buf_adds(b, "\r\n\t ");
		*column = 9;
	}
	buf_add(b, p, n);
	*column += n;
}

/* Names from the bottom up, as verifiers take them; each field is hashed. */
static void
put_names(struct buf *b, const struct buf *fields, struct sha256 *hash)
{
	const char *p = fields->p, *f;
	size_t end = fields->len, column = 10, at;

	for (; end > 0; end = at) {
		for (at = end - 1; at > 0 && p[at - 1] != '\n'; at--)
			;
		f = p + at;
		sha256_update(hash, f, end - at);
		put_word(b, f, dkim_name(f, end - at) + 1, &column);
	}
	/* Once more than there are: none can be added. */
	put_word(b, "from;", 5, &column);
}

/* base64, in lines. */
static void
put_base64(struct buf *b, const unsigned char *p, size_t n)
{
	char text[BASE64_SIZE(RSA_KEY_MAX)];
	size_t len = base64_encode(text, p, n), at, k;

	for (at = 0; at < len; at += k) {
		k = len - at < FOLD - 9 ? len - at : FOLD - 9;
		if (at > 0)
			buf_adds(b, "\r\n\t ");
		buf_add(b, text + at, k);
	}
}

/* The whole DKIM-Signature field. 0, or -1: the key does not sign. */
static int
make_field(struct buf *b, const struct route *r, const struct buf *fields,
    const unsigned char body_hash[SHA256_SIZE])
{
	unsigned char hash[SHA256_SIZE], sig[RSA_KEY_MAX];
	struct buf canonical = { 0 };
	struct sha256 h;
	size_t n;

	sha256_init(&h);
	buf_addf(b, "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; "
	    "t=%lld;\r\n\td=%s;\r\n\ts=%s;\r\n\th=", (long long)clock_wall(),
	    r->dkim_domain, r->dkim_selector);
	put_names(b, fields, &h);
	buf_adds(b, "\r\n\tbh=");
	put_base64(b, body_hash, SHA256_SIZE);
	buf_adds(b, ";\r\n\tb=");
	dkim_field(&canonical, buf_str(b), b->len, true);
	b->failed |= canonical.failed;
	if (canonical.len > 2)
		sha256_update(&h, canonical.p, canonical.len - 2);
	buf_free(&canonical);
	sha256_final(&h, hash);
	n = rsa_sign(&r->dkim, hash, sig);
	put_base64(b, sig, n);
	buf_adds(b, "\r\n");
	return n > 0 ? 0 : -1;
}

static int
sign(struct spool *sp, const struct route *r, const struct buf *fields,
    const unsigned char body_hash[SHA256_SIZE], struct result *res)
{
	struct buf b = { 0 };
	int rc = make_field(&b, r, fields, body_hash);

	if (rc == 0 && !b.failed && !fields->failed) {
		spool_lead(sp, b.p, b.len);
		return 0;
	}
	buf_free(&b);
	if (rc < 0)
		result_set(res, OUT_TEMP, CAUSE_OPERATOR, "dkim-key %.300s is "
		    "damaged: it makes no signature", r->dkim_key);
	else
		result_set(res, OUT_TEMP, CAUSE_LOCAL, "out of memory");
	return -1;
}

const struct message *
dkim_message(const struct message *m, const struct route *r,
    struct message *adapted, struct result *res)
{
	unsigned char body_hash[SHA256_SIZE];
	bool ses = r->type == ROUTE_SES;
	struct buf fields = { 0 };
	int rc;

	if (m == NULL || r->dkim_key == NULL)
		return m;
	if (r->dkim.n.n == 0) {
		*res = r->dkim_err;
		if (res->text[0] == '\0')
			result_set(res, OUT_TEMP, CAUSE_OPERATOR,
			    "dkim-key %.300s was not read", r->dkim_key);
		return NULL;
	}
	rc = look(&m->spool, ses, &fields, body_hash, res);
	if (rc == 0)
		rc = !ses;	/* which takes one alone */
	if (rc > 0 && m != adapted) {
		*adapted = *m;
		adapted->spool = spool_view(&m->spool);
	}
	if (rc > 0)
		rc = sign(&adapted->spool, r, &fields, body_hash, res) < 0 ?
		    -1 : 1;
	buf_free(&fields);
	return rc < 0 ? NULL : rc > 0 ? adapted : m;
}
