#include "lib/net/tls_chain.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/net/anchors.h"
#include "lib/net/dial.h"
#include "lib/net/roots.h"

enum { CERT_MAX = 32768 };	/* bytes of one certificate */

static struct verifier *
verifier_of(const br_x509_class *const *ctx)
{
	return (struct verifier *)(uintptr_t)(const void *)ctx;
}

/* One more anchor for the minimal engine. */
static void
use_anchor(struct verifier *v, const struct anchor *a)
{
	br_x509_trust_anchor *ta = &v->anchors[v->nanchors++];

	ta->dn.data = der_bytes(a->subject);
	ta->dn.len = a->subject.n;
	ta->flags = a->ca ? BR_X509_TA_CA : 0;
	if (a->key.curve != 0) {
		ta->pkey.key_type = BR_KEYTYPE_EC;
		ta->pkey.key.ec = (br_ec_public_key){ a->key.curve,
			der_bytes(a->key.q), a->key.q.n };
	} else {
		ta->pkey.key_type = BR_KEYTYPE_RSA;
		ta->pkey.key.rsa = (br_rsa_public_key){ der_bytes(a->key.n),
			a->key.n.n, der_bytes(a->key.e), a->key.e.n };
	}
}

/*
 * Keep a copy of a certificate that is trusted, as one more anchor. false: it is
 * none that can be used, or there is trouble.
 */
static bool
keep_anchor(struct verifier *v, const unsigned char *der, size_t len)
{
	char *copy = mem_dup(der, len);
	struct x509_view view;
	struct anchor a;

	if (copy == NULL) {
		v->trouble = BR_ERR_X509_LIMIT_EXCEEDED;
		return false;
	}
	if (x509_view(&view, (unsigned char *)copy, len) < 0 ||
	    !x509_key(&view, &a.key)) {
		free(copy);
		return false;
	}
	a.subject = view.subject;
	a.ca = x509_is_ca(&view);
	v->copies[v->nanchors] = copy;
	use_anchor(v, &a);
	return true;
}

/* anchors_find's callback: one more root for the minimal engine. */
static void
add_anchor(void *ctx, const unsigned char *der, size_t len)
{
	struct verifier *v = ctx;

	if (v->nanchors < CHAIN_ANCHORS && keep_anchor(v, der, len))
		v->minimal.trust_anchors_num = v->nanchors;
}

/* roots_find's callback. */
static void
add_root(void *ctx, const struct anchor *a)
{
	struct verifier *v = ctx;

	if (v->nanchors < CHAIN_ANCHORS) {
		use_anchor(v, a);
		v->minimal.trust_anchors_num = v->nanchors;
	}
}

/* What is compiled in comes before the system's, not before a `ca-file`. */
static bool
uses_builtin(const struct verifier *v)
{
	return ROOTS_BUILTIN && v->params->ca_file == NULL;
}

static void
note_leaf(struct verifier *v, const struct x509_view *view)
{
	struct tls_leaf *leaf = &v->leaf, *out = v->params->leaf;

	leaf->seen = true;
	leaf->names = x509_names(view, leaf->name_list,
	    sizeof leaf->name_list);
	leaf->not_before = view->not_before;
	leaf->not_after = view->not_after;
	x509_common_name(view->issuer, leaf->issuer, sizeof leaf->issuer);
	if (out) {
		*out = *leaf;
		sha256(out->pin, view->spki.p, view->spki.n);
	}
}

static void
check_pins(struct verifier *v, const struct x509_view *view)
{
	unsigned char hash[SHA256_SIZE];
	size_t i;

	sha256(hash, view->spki.p, view->spki.n);
	v->trouble = BR_ERR_X509_NOT_TRUSTED;
	for (i = 0; i < v->params->npins; i++)
		if (memcmp(hash, v->params->pins[i], sizeof hash) == 0)
			v->trouble = 0;
	if (v->trouble == 0 && !keep_anchor(v, v->cert, v->cert_len) &&
	    v->trouble == 0)
		v->trouble = BR_ERR_X509_UNSUPPORTED;
}

/* The collected certificate goes to the minimal engine, anchors first. */
static void
check_chain(struct verifier *v, const struct x509_view *view)
{
	const br_x509_class **minimal = &v->minimal.vtable;
	struct der wanted[2] = { view->issuer, view->subject };

	if (uses_builtin(v)) {
		v->roots = (int)roots_builtin.n;
		roots_find(&roots_builtin, view->issuer, add_root, v);
		if (v->certs == 0)
			roots_find(&roots_builtin, view->subject, add_root, v);
	} else
		v->roots = anchors_find(v->ca_fd, wanted,
		    v->certs == 0 ? 2 : 1, add_anchor, v);
	v->self_issued = view->issuer.n == view->subject.n &&
	    memcmp(view->issuer.p, view->subject.p, view->issuer.n) == 0;
	x509_common_name(view->issuer, v->last_issuer, sizeof v->last_issuer);
	(*minimal)->start_cert(minimal, (uint32_t)v->cert_len);
	(*minimal)->append(minimal, v->cert, v->cert_len);
	(*minimal)->end_cert(minimal);
}

static void
verifier_start_chain(const br_x509_class **ctx, const char *server_name)
{
	struct verifier *v = verifier_of(ctx);
	const br_x509_class **minimal = &v->minimal.vtable;

	v->certs = 0;
	v->trouble = 0;
	if (v->params->npins == 0)
		(*minimal)->start_chain(minimal, server_name);
}

static void
verifier_start_cert(const br_x509_class **ctx, uint32_t length)
{
	struct verifier *v = verifier_of(ctx);

	v->cert_len = v->cert_size = 0;
	free(v->cert);
	v->cert = length <= CERT_MAX ? malloc(length > 0 ? length : 1) : NULL;
	if (v->cert == NULL) {
		v->trouble = BR_ERR_X509_LIMIT_EXCEEDED;
		return;
	}
	v->cert_size = length;
}

static void
verifier_append(const br_x509_class **ctx, const unsigned char *data,
    size_t n)
{
	struct verifier *v = verifier_of(ctx);

	if (n > v->cert_size - v->cert_len)
		return;
	memcpy(v->cert + v->cert_len, data, n);
	v->cert_len += n;
}

static void
verifier_end_cert(const br_x509_class **ctx)
{
	struct verifier *v = verifier_of(ctx);
	struct x509_view view;

	if (v->trouble != 0 || v->minimal.err != 0 ||
	    (v->certs > 0 && v->params->npins > 0))
		return;
	if (x509_view(&view, v->cert, v->cert_len) < 0)
		v->trouble = BR_ERR_X509_UNEXPECTED;
	else {
		if (v->certs == 0)
			note_leaf(v, &view);
		if (v->params->npins > 0)
			check_pins(v, &view);
		else if (v->leaf.names == 0)
			v->trouble = BR_ERR_X509_BAD_SERVER_NAME;
		else
			check_chain(v, &view);
	}
	v->certs++;
}

static unsigned
verifier_end_chain(const br_x509_class **ctx)
{
	struct verifier *v = verifier_of(ctx);
	const br_x509_class **minimal = &v->minimal.vtable;

	if (v->trouble != 0)
		return v->trouble;
	if (v->params->npins > 0)
		return v->certs > 0 ? 0 : BR_ERR_X509_EMPTY_CHAIN;
	return (*minimal)->end_chain(minimal);
}

static const br_x509_pkey *
verifier_get_pkey(const br_x509_class *const *ctx, unsigned *usages)
{
	struct verifier *v = verifier_of(ctx);
	const br_x509_class *const *minimal = &v->minimal.vtable;

	if (v->params->npins == 0)
		return (*minimal)->get_pkey(minimal, usages);
	if (usages)
		*usages = BR_KEYTYPE_KEYX | BR_KEYTYPE_SIGN;
	return &v->anchors[0].pkey;
}

void
chain_init(struct verifier *v, const struct tls_params *p)
{
	static const br_x509_class class = {
		sizeof(struct verifier),
		verifier_start_chain,
		verifier_start_cert,
		verifier_append,
		verifier_end_cert,
		verifier_end_chain,
		verifier_get_pkey
	};

	v->vtable = &class;
	v->params = p;
}

/* --- the roots --- */

int
chain_open(struct stream *s, struct verifier *v)
{
	if (v->params->npins > 0)
		return 0;
	if (dial_is_address(v->params->host))
		return stream_fail(s, CAUSE_OPERATOR, "TLS: a host given as an "
		    "address needs a `tls-pin`: certificates are checked for names");
	v->ca_path = "the certificates compiled in";
	if (uses_builtin(v))
		return 0;
	v->ca_fd = anchors_open(v->params->ca_file, &v->ca_path);
	if (v->ca_fd >= 0)
		return 0;
	if (v->params->ca_file)
		return stream_fail(s, CAUSE_OPERATOR, "TLS: CA file %s: %s",
		    v->ca_path, strerror(errno));
	return stream_fail(s, CAUSE_OPERATOR, "TLS: no CA certificates on this "
	    "system: install ca-certificates or set `ca-file`");
}

/* The roots have done their work: nothing of them is needed any more. */
void
chain_forget_roots(struct verifier *v)
{
	free(v->cert);
	v->cert = NULL;
	if (v->ca_fd >= 0)
		close(v->ca_fd);
	v->ca_fd = -1;
}

void
chain_free(struct verifier *v)
{
	size_t i;

	chain_forget_roots(v);
	for (i = 0; i < v->nanchors; i++)
		free(v->copies[i]);
}

/* --- what is wrong --- */

/* Why the chain does not lead to a trust anchor. */
static void
untrusted_text(const struct verifier *v, char *out, size_t size)
{
	if (v->params->npins > 0)
		snprintf(out, size, "the certificate's public key matches no "
		    "`tls-pin`");
	else if (v->roots < 0)
		snprintf(out, size, "the CA file %s cannot be read", v->ca_path);
	else if (v->roots == 0)
		snprintf(out, size, "the CA file %s holds no certificate",
		    v->ca_path);
	else if (v->nanchors > 0)
		snprintf(out, size, "it is not signed by \"%s\" of %s, as it "
		    "says", v->last_issuer, v->ca_path);
	else if (v->self_issued)
		snprintf(out, size, "the certificate is self-signed, or its root "
		    "\"%s\" is not in %s", v->last_issuer, v->ca_path);
	else
		snprintf(out, size, "issuer \"%s\" not in %s, and the server "
		    "sends no certificate of it", v->last_issuer, v->ca_path);
}

static void
date_text(const struct tls_leaf *leaf, char *out, size_t size)
{
	char day[CLOCK_TEXT_SIZE], today[CLOCK_TEXT_SIZE];
	time_t now = clock_wall();
	bool old = leaf->not_after >= 0 && leaf->not_after < now;

	clock_text(today, now);
	clock_text(day, (time_t)(old ? leaf->not_after : leaf->not_before));
	if (old || leaf->not_before > now)
		snprintf(out, size, "the certificate %s %s (this machine's "
		    "clock says %s)", old ? "expired on" : "is not valid before",
		    day, today);
	else
		snprintf(out, size, "a certificate of the chain has expired or "
		    "is not valid yet");
}

static void
name_text(const struct verifier *v, char *out, size_t size)
{
	if (v->leaf.names == 0)
		snprintf(out, size, "the certificate holds no host name "
		    "(subjectAltName), so it cannot be for %s", v->params->host);
	else
		snprintf(out, size, "the certificate is for %s, not %s",
		    v->leaf.name_list, v->params->host);
}

bool
chain_text(const struct verifier *v, int err, char *out, size_t size)
{
	switch (err) {
	case BR_ERR_X509_NOT_TRUSTED:
		untrusted_text(v, out, size);
		return true;
	case BR_ERR_X509_EXPIRED:
		date_text(&v->leaf, out, size);
		return true;
	case BR_ERR_X509_BAD_SERVER_NAME:
		name_text(v, out, size);
		return true;
	case BR_ERR_X509_WEAK_PUBLIC_KEY:
		snprintf(out, size, "a certificate of the chain has a weak key "
		    "(RSA below 2048 bits)");
		return true;
	case BR_ERR_X509_UNSUPPORTED:
		snprintf(out, size, "the certificate chain uses an algorithm that "
		    "is refused (SHA-1, MD5) or not known (RSA-PSS, Ed25519)");
		return true;
	case BR_ERR_X509_BAD_SIGNATURE:
		snprintf(out, size, "a signature in the certificate chain is "
		    "wrong");
		return true;
	case BR_ERR_X509_DN_MISMATCH:
		snprintf(out, size, "the server sends its certificate chain out "
		    "of order");
		return true;
	case BR_ERR_X509_NOT_CA:
		snprintf(out, size, "the certificate was issued by one that is no "
		    "CA");
		return true;
	case BR_ERR_X509_CRITICAL_EXTENSION:
		snprintf(out, size, "the certificate chain has a critical "
		    "extension that is not understood");
		return true;
	case BR_ERR_X509_FORBIDDEN_KEY_USAGE:
	case BR_ERR_WRONG_KEY_USAGE:
		snprintf(out, size, "the certificate's key may not be used for "
		    "this");
		return true;
	default:
		if (err <= BR_ERR_X509_OK || err > BR_ERR_X509_NOT_TRUSTED)
			return false;
		snprintf(out, size, "the certificate chain is malformed (BearSSL "
		    "error %d)", err);
		return true;
	}
}
