#include "lib/front/keygen.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bearssl-glue.h"
#include "lib/base/base64.h"
#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/base/write.h"
#include "lib/config/values.h"

enum {
	E = 65537,
	BYTES = RSA_NEW_BITS / 8,
	PEM_LINE = 48,		/* bytes: 64 characters */
	STRING_MAX = 255,	/* of a TXT record, RFC 1035 section 3.3.14 */
	SEQUENCE = 0x30, INTEGER = 0x02, BIT_STRING = 0x03
};

/* --- DER --- */

static void
put_head(struct buf *b, unsigned char tag, size_t n)
{
	buf_addc(b, (char)tag);
	if (n > 255)
		buf_addc(b, (char)0x82);
	if (n > 255)
		buf_addc(b, (char)(n >> 8));
	else if (n > 127)
		buf_addc(b, (char)0x81);
	buf_addc(b, (char)n);
}

static void
put_number(struct buf *b, const unsigned char *p, size_t n)
{
	for (; n > 1 && *p == 0; n--)
		p++;
	put_head(b, INTEGER, n + (*p >> 7));
	if (*p >> 7)
		buf_addc(b, 0);
	buf_add(b, p, n);
}

/* What b holds becomes the contents of an element, behind `before`. */
static void
wrap(struct buf *b, unsigned char tag, const char *before, size_t n)
{
	struct buf whole = { 0 };

	buf_reserve(&whole, b->len + n + 4);
	put_head(&whole, tag, b->len + n);
	buf_add(&whole, before, n);
	buf_add(&whole, b->p, b->len);
	whole.failed |= b->failed;
	buf_wipe(b);
	*b = whole;
}

/* --- the key --- */

/* a -= b, big-endian, a of BYTES. */
static void
subtract(unsigned char *a, struct der b)
{
	size_t i = BYTES;
	int borrow = 0;

	while (i-- > 0) {
		borrow = a[i] - borrow - (b.n > 0 ? b.p[--b.n] : 0);
		a[i] = (unsigned char)borrow;
		borrow = borrow < 0;
	}
}

/*
 * The private exponent: (1 + k phi) / E for the k that makes it whole, where phi is
 * (p - 1)(q - 1).
 */
static void
private_exponent(const struct private_key *key, unsigned char d[BYTES + 4])
{
	unsigned char phi[BYTES];
	uint64_t r = 0, k = 1, carry = 1, i;

	memcpy(phi, key->n.p, BYTES);
	subtract(phi, key->p);
	subtract(phi, key->q);
	for (i = BYTES; i-- > 0 && ++phi[i] == 0; )
		;
	for (i = 0; i < BYTES; i++)
		r = (r << 8 | phi[i]) % E;
	/* E is prime: the inverse is the power E - 2. */
	for (i = 0; i < E - 2; i++)
		k = k * r % E;
	k = E - k;
	for (i = BYTES + 4; i-- > 0; carry >>= 8) {
		carry += i >= 4 ? k * phi[i - 4] : 0;
		d[i] = (unsigned char)carry;
	}
	for (i = 0, r = 0; i < BYTES + 4; i++) {
		r = r << 8 | d[i];
		d[i] = (unsigned char)(r / E);
		r %= E;
	}
	mem_wipe(phi, sizeof phi);
}

/* RFC 8017 appendix A.1.2. */
static void
private_der(const struct private_key *key, struct buf *b)
{
	static const unsigned char version[] = { 0 }, e[] = { 1, 0, 1 };
	unsigned char d[BYTES + 4];

	private_exponent(key, d);
	buf_reserve(b, 2048);
	put_number(b, version, sizeof version);
	put_number(b, key->n.p, key->n.n);
	put_number(b, e, sizeof e);
	put_number(b, d, sizeof d);
	put_number(b, key->p.p, key->p.n);
	put_number(b, key->q.p, key->q.n);
	put_number(b, key->dp.p, key->dp.n);
	put_number(b, key->dq.p, key->dq.n);
	put_number(b, key->iq.p, key->iq.n);
	wrap(b, SEQUENCE, "", 0);
	mem_wipe(d, sizeof d);
}

/* RFC 5280 section 4.1, SubjectPublicKeyInfo. */
static void
public_der(const struct private_key *key, struct buf *b)
{
	static const char algorithm[] = "\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7"
	    "\x0d\x01\x01\x01\x05";		/* and NULL's length, a zero */
	static const unsigned char e[] = { 1, 0, 1 };

	put_number(b, key->n.p, key->n.n);
	put_number(b, e, sizeof e);
	wrap(b, SEQUENCE, "", 0);
	wrap(b, BIT_STRING, "", 1);
	wrap(b, SEQUENCE, algorithm, sizeof algorithm);
}

static void
put_pem(struct buf *pem, const struct buf *der)
{
	char line[BASE64_SIZE(PEM_LINE)];
	size_t at, k;

	buf_reserve(pem, 2 * der->len + 100);
	buf_adds(pem, "-----BEGIN RSA PRIVATE KEY-----\n");
	for (at = 0; at < der->len; at += k) {
		k = der->len - at < PEM_LINE ? der->len - at : PEM_LINE;
		buf_add(pem, line, base64_encode(line, der->p + at, k));
		buf_addc(pem, '\n');
	}
	buf_adds(pem, "-----END RSA PRIVATE KEY-----\n");
	pem->failed |= der->failed;
	mem_wipe(line, sizeof line);
}

/* --- what comes of it --- */

static int
write_key(const char *path, const struct private_key *key, struct result *res)
{
	struct buf der = { 0 }, pem = { 0 };
	int fd, rc = -1;

	private_der(key, &der);
	put_pem(&pem, &der);
	if (pem.failed)
		result_fail(res, EXIT_OS, "out of memory");
	else if ((fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
	    0600)) < 0)
		result_fail(res, EXIT_CANTCREATE, "cannot create %.300s: %s%s",
		    path, strerror(errno), errno == EEXIST ?
		    "; a key is never overwritten" : "");
	else {
		rc = write_all(fd, pem.p, pem.len);
		if (rc == 0)
			rc = fsync(fd);
		if ((close(fd) < 0 || rc < 0) && (rc = -1)) {
			result_fail(res, EXIT_IO, "cannot write %.300s: %s",
			    path, strerror(errno));
			unlink(path);
		}
	}
	buf_wipe(&der);
	buf_wipe(&pem);
	return rc;
}

static void
print(const char *domain, const char *selector, const char *path,
    const struct buf *spki, FILE *out)
{
	static const char head[] = "v=DKIM1; k=rsa; p=";
	char *p = malloc(sizeof head + BASE64_SIZE(spki->len)), *at = p;
	struct buf text = { 0 };
	size_t n, k;

	if (p == NULL)
		return;
	memcpy(p, head, sizeof head);
	n = sizeof head - 1;
	n += base64_encode(p + n, spki->p, spki->len);
	buf_addf(&text, "%s._domainkey.%s. IN TXT (", selector, domain);
	for (; n > 0; n -= k, at += k) {
		k = n < STRING_MAX ? n : STRING_MAX;
		buf_adds(&text, "\n    \"");
		buf_add(&text, at, k);
		buf_adds(&text, "\"");
	}
	buf_addf(&text, " )\n\n    dkim-domain    %s\n    dkim-selector  %s\n"
	    "    dkim-key       %s\n", domain, selector, path);
	fputs(buf_str(&text), out);
	buf_free(&text);
	free(p);
}

int
keygen_run(const char *dir, const char *domain, FILE *out, struct result *res)
{
	struct private_key key;
	struct buf path = { 0 }, spki = { 0 };
	char date[CLOCK_AMZ_SIZE], selector[16], here[1024];
	int rc = -1;

	if (domain && !value_is_domain(domain))
		return result_fail(res, EXIT_USAGE, "--dkim-keygen: %.80s is no "
		    "domain name", domain);
	clock_amz(date, time(NULL));
	snprintf(selector, sizeof selector, "sr%.8s", date);
	/* The configuration takes absolute paths. */
	if (*dir != '/' && getcwd(here, sizeof here))
		buf_addf(&path, "%s/", here);
	buf_addf(&path, "%s/%s.pem", dir, selector);
	if (rsa_generate(&key) < 0)
		result_fail(res, EXIT_OS, "cannot make a key");
	else {
		public_der(&key, &spki);
		rc = write_key(buf_str(&path), &key, res);
		private_key_free(&key);
	}
	if (rc == 0)
		print(domain ? domain : "example.com", selector, buf_str(&path),
		    &spki, out);
	buf_free(&spki);
	buf_free(&path);
	return rc;
}
