/*
 * Who we are in TLS: a certificate with its chain, and the private key to it,
 * as PEM files hold them (RFC 7468): RSA keys (RFC 8017) and EC keys (RFC 5915),
 * by themselves or as PKCS #8 (RFC 5208). Encrypted keys are not known.
 */
#ifndef SENDROUTE_IDENTITY_H
#define SENDROUTE_IDENTITY_H

#include "lib/net/der.h"

enum {
	IDENTITY_CERTS = 8,		/* in the chain, our own included */
	IDENTITY_PEM = 65536,		/* bytes of a PEM file */
	RSA_KEY_MAX = 512		/* bytes of a modulus: RSA-4096 */
};

struct private_key {
	int curve;			/* see x509_key; 0: RSA */
	struct der x;			/* EC */
	struct der n, p, q, dp, dq, iq;	/* RSA; without leading zeros */
	unsigned char *bytes;		/* that these point into */
	size_t size;
};

/*
 * private_key_parse(key, pem): of the first key in the text. NULL; or what is
 * wrong, worded to stand behind the file's name, and key is then empty.
 * private_key_free(key): wiped; an empty one is fine.
 */
const char *private_key_parse(struct private_key *key, const char *pem);
void private_key_free(struct private_key *key);

/* private_key_bits(key): how long an RSA key's modulus is. */
size_t private_key_bits(const struct private_key *key);

struct identity {
	struct der certs[IDENTITY_CERTS];	/* our own first; heap */
	size_t ncerts;
	struct private_key key;
};

/*
 * identity_parse(id, certs, key): both PEM texts. NULL; or what is wrong, and id
 * is then empty; *in_key: with the key. identity_free(id): an empty one is fine.
 */
const char *identity_parse(struct identity *id, const char *certs,
    const char *key, bool *in_key);
void identity_free(struct identity *id);

#endif
