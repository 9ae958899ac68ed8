/*
 * Certificate chains: whatever is sent, no key is believed but that of the one
 * server that the root has vouched for. Certificates come each behind two bytes
 * of length, leaf first; a letter before them.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/net/tls_chain.h"
#include "tests/fuzz/fuzz.h"

static const char root[] =
#include "tests/fuzz/chain-root.h"
;

/* SHA-256 of the public key of mail.example, which is in the corpus. */
static const unsigned char genuine[SHA256_SIZE] = {
	0xa3, 0x5e, 0xd2, 0xa8, 0xd0, 0x99, 0xac, 0xfc, 0xb9, 0x34, 0x86, 0xb5,
	0x83, 0x87, 0xc3, 0xe0, 0xf1, 0xab, 0x2c, 0x11, 0x21, 0x74, 0x52, 0x9c,
	0xb4, 0xb6, 0x9a, 0x73, 0xfa, 0x66, 0x74, 0x8b
};

enum { PINNED = 1, OTHER_NAME = 2, PIECES = 4, TOO_LATE = 8 };

static void
one_cert(struct verifier *v, struct input *in, unsigned how)
{
	const br_x509_class **x = &v->vtable;
	size_t n = in_byte(in) << 8, k, at;

	n |= in_byte(in);
	if (n > in->n)
		n = in->n;
	(*x)->start_cert(x, (uint32_t)n);
	for (at = 0; at < n; at += k) {
		k = how & PIECES && n - at > 100 ? 100 : n - at;
		(*x)->append(x, in->p + at, k);
	}
	(*x)->end_cert(x);
	in->p += n;
	in->n -= n;
}

static void
set_up(struct verifier *v, const struct tls_params *p, unsigned how)
{
	chain_init(v, p);
	br_x509_minimal_init(&v->minimal, &br_sha256_vtable, v->anchors, 0);
	br_x509_minimal_set_rsa(&v->minimal, &br_rsa_i31_pkcs1_vrfy);
	br_x509_minimal_set_ecdsa(&v->minimal, br_ec_get_default(),
	    br_ecdsa_vrfy_asn1_get_default());
	br_x509_minimal_set_hash(&v->minimal, br_sha256_ID, &br_sha256_vtable);
	br_x509_minimal_set_hash(&v->minimal, br_sha384_ID, &br_sha384_vtable);
	/* 2030, or 2200. */
	br_x509_minimal_set_time(&v->minimal, how & TOO_LATE ? 803534 : 741443,
	    0);
}

FUZZ(chain)
{
	unsigned how = in_byte(in), err;
	const br_x509_class **x;
	const br_x509_pkey *key;
	struct verifier *v = calloc(1, sizeof *v);
	struct tls_leaf leaf = { 0 };
	struct tls_params p = { .leaf = &leaf, .pins = &genuine,
		.npins = how & PINNED ? 1 : 0,
		.host = how & OTHER_NAME ? "other.example" : "mail.example" };
	char text[300] = "";
	unsigned usages;

	set_up(v, &p, how);
	v->ca_fd = file_of(root, sizeof root - 1);
	x = &v->vtable;
	(*x)->start_chain(x, p.host);
	while (in->n > 0)
		one_cert(v, in, how);
	err = (*x)->end_chain(x);
	if (err == 0) {
		CHECK(leaf.seen);
		CHECK(memcmp(leaf.pin, genuine, sizeof genuine) == 0);
		CHECK((how & PINNED) || !(how & (OTHER_NAME | TOO_LATE)));
		key = (*x)->get_pkey(&v->vtable, &usages);
		CHECK(key && key->key_type == BR_KEYTYPE_EC);
	} else if (chain_text(v, (int)err, text, sizeof text))
		CHECK(is_clean(text) && *text);
	CHECK(v->nanchors <= CHAIN_ANCHORS);
	CHECK(is_clean(v->leaf.name_list) && is_clean(v->leaf.issuer));
	chain_forget_roots(v);
	chain_free(v);
	free(v);
}
