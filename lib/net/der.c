#include "lib/net/der.h"

#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/clock.h"

enum {
	TAG_INTEGER = 0x02, TAG_OCTETS = 0x04, TAG_OID = 0x06,
	TAG_UTC_TIME = 0x17, TAG_GENERAL_TIME = 0x18,
	TAG_SEQUENCE = 0x30, TAG_SET = 0x31, TAG_BOOLEAN = 0x01, TAG_BITS = 0x03,
	TAG_DNS_NAME = 0x82, TAG_VERSION = 0xA0, TAG_EXTENSIONS = 0xA3
};

/* Length and header size of the element at the front, of any tag. */
static bool
measure(const struct der *in, size_t *header, size_t *length)
{
	size_t n, i, len;

	if (in->n < 2)
		return false;
	len = in->p[1];
	*header = 2;
	if (len >= 0x80) {
		n = len & 0x7F;
		if (n < 1 || n > 3 || in->n < 2 + n)
			return false;
		for (len = 0, i = 0; i < n; i++)
			len = len << 8 | in->p[2 + i];
		*header += n;
	}
	*length = len;
	return true;
}

bool
der_next(struct der *in, unsigned char tag, struct der *body,
    struct der *whole)
{
	size_t header, length;

	if (!measure(in, &header, &length) || in->p[0] != tag ||
	    length > in->n - header)
		return false;
	if (body)
		*body = (struct der){ in->p + header, length };
	if (whole)
		*whole = (struct der){ in->p, header + length };
	in->p += header + length;
	in->n -= header + length;
	return true;
}

/*
 * Step into the TBSCertificate up to the issuer. Outer lengths are not held
 * against n, so that the head of a certificate is enough.
 */
static bool
enter(const unsigned char *cert, size_t n, struct der *in)
{
	size_t header, length;
	int level;

	*in = (struct der){ cert, n };
	for (level = 0; level < 2; level++) {
		if (!measure(in, &header, &length) ||
		    in->p[0] != TAG_SEQUENCE)
			return false;
		in->p += header;
		in->n -= header;
		if (length < in->n)
			in->n = length;
	}
	der_next(in, TAG_VERSION, NULL, NULL);
	return der_next(in, TAG_INTEGER, NULL, NULL) &&
	    der_next(in, TAG_SEQUENCE, NULL, NULL);
}

static int
two_digits(const unsigned char *p)
{
	if (p[0] < '0' || p[0] > '9' || p[1] < '0' || p[1] > '9')
		return -1;
	return (p[0] - '0') * 10 + (p[1] - '0');
}

/* UTCTime or GeneralizedTime (RFC 5280 section 4.1.2.5); -1: neither. */
static int64_t
take_time(struct der *in)
{
	struct der t;
	int year, century;

	if (der_next(in, TAG_UTC_TIME, &t, NULL)) {
		if (t.n != 13)
			return -1;
		year = two_digits(t.p);
		year += year < 50 ? 2000 : 1900;
	} else if (der_next(in, TAG_GENERAL_TIME, &t, NULL)) {
		if (t.n != 15)
			return -1;
		century = two_digits(t.p);
		year = century * 100 + two_digits(t.p + 2);
		t.p += 2;
	} else
		return -1;
	return clock_from_civil(year, two_digits(t.p + 2),
	    two_digits(t.p + 4), two_digits(t.p + 6), two_digits(t.p + 8),
	    two_digits(t.p + 10));
}

int
x509_view(struct x509_view *v, const unsigned char *cert, size_t n)
{
	struct der in, validity, ext;

	memset(v, 0, sizeof *v);
	if (!enter(cert, n, &in) ||
	    !der_next(&in, TAG_SEQUENCE, NULL, &v->issuer) ||
	    !der_next(&in, TAG_SEQUENCE, &validity, NULL) ||
	    !der_next(&in, TAG_SEQUENCE, NULL, &v->subject) ||
	    !der_next(&in, TAG_SEQUENCE, NULL, &v->spki))
		return -1;
	v->not_before = take_time(&validity);
	v->not_after = take_time(&validity);
	while (in.n > 0 && in.p[0] != TAG_EXTENSIONS)
		if (!der_next(&in, in.p[0], NULL, NULL))
			return -1;
	if (der_next(&in, TAG_EXTENSIONS, &ext, NULL) &&
	    !der_next(&ext, TAG_SEQUENCE, &v->extensions, NULL))
		return -1;
	return 0;
}

bool
x509_subject(const unsigned char *cert, size_t n, struct der *out)
{
	struct der in;

	return enter(cert, n, &in) &&
	    der_next(&in, TAG_SEQUENCE, NULL, NULL) &&
	    der_next(&in, TAG_SEQUENCE, NULL, NULL) &&
	    der_next(&in, TAG_SEQUENCE, NULL, out);
}

/* The contents of the extension with that OID (its OCTET STRING), or empty. */
static struct der
extension(const struct x509_view *v, const void *oid, size_t oidlen)
{
	struct der all = v->extensions, one, id, value = { NULL, 0 };

	while (der_next(&all, TAG_SEQUENCE, &one, NULL)) {
		if (!der_next(&one, TAG_OID, &id, NULL))
			break;
		der_next(&one, TAG_BOOLEAN, NULL, NULL);
		if (id.n == oidlen && memcmp(id.p, oid, oidlen) == 0) {
			der_next(&one, TAG_OCTETS, &value, NULL);
			break;
		}
	}
	return value;
}

/* Append to a string field, clipped, control bytes replaced. */
static void
append(char *out, size_t size, const void *text, size_t n)
{
	size_t len = strlen(out), i;

	for (i = 0; i < n && len + 1 < size; i++) {
		out[len] = ((const char *)text)[i];
		if (out[len] == '\0')
			out[len] = '?';
		len++;
	}
	out[len] = '\0';
	text_clean(out);
}

unsigned
x509_names(const struct x509_view *v, char *out, size_t size)
{
	static const unsigned char san_oid[] = { 0x55, 0x1D, 0x11 };
	struct der san = extension(v, san_oid, sizeof san_oid), names, name;
	unsigned count = 0;

	out[0] = '\0';
	if (!der_next(&san, TAG_SEQUENCE, &names, NULL))
		return 0;
	while (names.n > 0) {
		if (der_next(&names, TAG_DNS_NAME, &name, NULL)) {
			if (count++ > 0)
				append(out, size, ", ", 2);
			append(out, size, name.p, name.n);
		} else if (!der_next(&names, names.p[0], NULL, NULL))
			break;
	}
	return count;
}

bool
x509_is_ca(const struct x509_view *v)
{
	static const unsigned char basic_oid[] = { 0x55, 0x1D, 0x13 };
	struct der value = extension(v, basic_oid, sizeof basic_oid), body, ca;

	return der_next(&value, TAG_SEQUENCE, &body, NULL) &&
	    der_next(&body, TAG_BOOLEAN, &ca, NULL) && ca.n == 1 && ca.p[0] != 0;
}

/* A positive INTEGER, without the zero that keeps it positive. */
static bool
take_integer(struct der *in, struct der *out)
{
	if (!der_next(in, TAG_INTEGER, out, NULL) || out->n == 0 ||
	    out->p[0] >= 0x80)
		return false;
	for (; out->n > 0 && out->p[0] == 0; out->n--)
		out->p++;
	return out->n > 0;
}

static bool
same(struct der d, const char *bytes, size_t n)
{
	return d.n == n && memcmp(d.p, bytes, n) == 0;
}

int
der_curve(struct der *in)
{
	static const char p256[] = "\x2A\x86\x48\xCE\x3D\x03\x01\x07";
	static const char p384[] = "\x2B\x81\x04\x00\x22";
	static const char p521[] = "\x2B\x81\x04\x00\x23";
	struct der id;

	if (!der_next(in, TAG_OID, &id, NULL))
		return 0;
	return same(id, p256, sizeof p256 - 1) ? 23 :
	    same(id, p384, sizeof p384 - 1) ? 24 :
	    same(id, p521, sizeof p521 - 1) ? 25 : 0;
}

bool
der_rsa_key(struct der in, struct x509_key *key)
{
	struct der body;

	return der_next(&in, TAG_SEQUENCE, &body, NULL) &&
	    take_integer(&body, &key->n) && take_integer(&body, &key->e);
}

/* RFC 3279 section 2.3.1, RFC 5480 section 2. */
bool
x509_key(const struct x509_view *v, struct x509_key *key)
{
	static const char rsa[] = "\x2A\x86\x48\x86\xF7\x0D\x01\x01\x01";
	static const char ec[] = "\x2A\x86\x48\xCE\x3D\x02\x01";
	struct der in = v->spki, body, algorithm, id, bits;

	memset(key, 0, sizeof *key);
	/* No BIT STRING here ends within a byte. */
	if (!der_next(&in, TAG_SEQUENCE, &body, NULL) ||
	    !der_next(&body, TAG_SEQUENCE, &algorithm, NULL) ||
	    !der_next(&algorithm, TAG_OID, &id, NULL) ||
	    !der_next(&body, TAG_BITS, &bits, NULL) || bits.n < 2 ||
	    bits.p[0] != 0)
		return false;
	key->q = (struct der){ bits.p + 1, bits.n - 1 };
	if (same(id, rsa, sizeof rsa - 1))
		return der_rsa_key(key->q, key);
	if (same(id, ec, sizeof ec - 1))
		key->curve = der_curve(&algorithm);
	return key->curve != 0;
}

void
x509_common_name(struct der name, char *out, size_t size)
{
	static const unsigned char cn_oid[] = { 0x55, 0x04, 0x03 };
	struct der rdns, rdn, pair, id;

	out[0] = '\0';
	if (!der_next(&name, TAG_SEQUENCE, &rdns, NULL))
		return;
	while (der_next(&rdns, TAG_SET, &rdn, NULL))
		while (der_next(&rdn, TAG_SEQUENCE, &pair, NULL)) {
			if (!der_next(&pair, TAG_OID, &id, NULL) || pair.n < 2 ||
			    id.n != sizeof cn_oid ||
			    memcmp(id.p, cn_oid, sizeof cn_oid) != 0)
				continue;
			if (der_next(&pair, pair.p[0], &id, NULL)) {
				out[0] = '\0';
				append(out, size, id.p, id.n);
			}
		}
}
