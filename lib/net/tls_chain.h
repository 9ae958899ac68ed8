/*
 * The server's certificate chain: which trust anchors it leads to, what BearSSL's
 * engine says of it, and how that is put to a person.
 */
#ifndef SENDROUTE_TLS_CHAIN_H
#define SENDROUTE_TLS_CHAIN_H

#include <bearssl.h>

#include "bearssl-glue.h"

enum { CHAIN_ANCHORS = 8 };	/* roots that one chain may bring up */

/*
 * Our X.509 engine: it collects each certificate, finds the trust anchors that
 * it may lead to, then gives it to BearSSL's minimal engine, which judges. With
 * pins only the leaf's public key counts.
 */
struct verifier {
	const br_x509_class *vtable;
	const struct tls_params *params;
	int ca_fd;
	const char *ca_path;
	unsigned char *cert;		/* the one being received */
	size_t cert_len, cert_size;
	unsigned certs;
	unsigned trouble;		/* BR_ERR_* of our own, 0: none */
	bool self_issued;		/* a certificate that names itself */
	br_x509_trust_anchor anchors[CHAIN_ANCHORS];	/* with pins: the leaf */
	char *copies[CHAIN_ANCHORS];	/* what they point into */
	size_t nanchors;
	int roots;			/* certificates in the bundle */
	br_x509_minimal_context minimal;
	char last_issuer[100];		/* of the last certificate seen */
	struct tls_leaf leaf;
};

/*
 * chain_init(v, p): v->minimal is the caller's to set up; p must outlive v.
 * chain_open(s, v): open the bundle of roots, where one is needed; 0, or -1 with
 * the reason in s->err. chain_forget_roots(v): after the handshake.
 * chain_free(v): one that is zero but for ca_fd -1 is fine.
 */
void chain_init(struct verifier *v, const struct tls_params *p);
int chain_open(struct stream *s, struct verifier *v);
void chain_forget_roots(struct verifier *v);
void chain_free(struct verifier *v);

/* chain_text(v, err, out, size): what BR_ERR_* says; false: not of the chain. */
bool chain_text(const struct verifier *v, int err, char *out, size_t size);

#endif
