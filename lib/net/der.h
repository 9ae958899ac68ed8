/*
 * Just enough DER (ITU-T X.690) to see, in an X.509 certificate (RFC 5280), the
 * fields that decide which trust anchor is needed and what an error text says, and
 * the keys of certificates that are trusted already: roots of the bundle, pinned
 * ones. Chains are judged elsewhere.
 */
#ifndef SENDROUTE_DER_H
#define SENDROUTE_DER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct der {
	const unsigned char *p;
	size_t n;
};

/* der_bytes(d): its bytes for interfaces without const. */
static inline unsigned char *
der_bytes(struct der d)
{
	return (unsigned char *)(uintptr_t)d.p;
}

/*
 * der_next(in, tag, body, whole): take the element at the front of `in`, which
 * must have that tag, and advance. body: its contents; whole: tag and length
 * too; either may be NULL. false (in unchanged) when it is another element or
 * does not fit.
 */
bool der_next(struct der *in, unsigned char tag, struct der *body,
    struct der *whole);

struct x509_view {
	struct der issuer, subject, spki;	/* whole elements */
	int64_t not_before, not_after;		/* seconds since 1970 */
	struct der extensions;			/* SEQUENCE contents, or empty */
};

/* x509_view(v, cert, n): the view points into cert. 0, or -1: not understood. */
int x509_view(struct x509_view *v, const unsigned char *cert, size_t n);

/*
 * x509_subject(cert, n, out): the subject's whole element, also when cert is cut
 * off somewhere behind it. false when it is not there.
 */
bool x509_subject(const unsigned char *cert, size_t n, struct der *out);

/*
 * x509_names(v, out, size): the dNSName entries of subjectAltName, separated by
 * ", ", for a person (clipped, control bytes replaced). Returns how many there
 * are.
 */
unsigned x509_names(const struct x509_view *v, char *out, size_t size);

/* x509_is_ca(v): basicConstraints says that it is the certificate of a CA. */
bool x509_is_ca(const struct x509_view *v);

/*
 * der_curve(in): TLS's number of the curve whose OBJECT IDENTIFIER is next in
 * `in`: 23, 24, 25 for P-256, -384, -521; else 0.
 */
int der_curve(struct der *in);

struct x509_key {
	int curve;		/* see der_curve; 0: RSA */
	struct der n, e;	/* RSA: without leading zeros */
	struct der q;		/* EC: the point */
};

/* x509_key(v, key): `key` points into the certificate. false: of another kind. */
bool x509_key(const struct x509_view *v, struct x509_key *key);

/* der_rsa_key(in, key): n and e of an RSAPublicKey (RFC 8017 appendix A.1.1). */
bool der_rsa_key(struct der in, struct x509_key *key);

/* x509_common_name(name, out, size): the CN of a Name for a person, or "". */
void x509_common_name(struct der name, char *out, size_t size);

#endif
