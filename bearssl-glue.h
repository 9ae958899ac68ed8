/*
 * The one door to BearSSL: TLS as a stream, digests and HMAC.
 *
 * TLS 1.2 only, ECDHE with AEAD suites only, no renegotiation, certificates
 * verified against trust anchors that are looked up when the chain asks for
 * them (tls_chain.h), or against a pinned public key.
 */
#ifndef SENDROUTE_BEARSSL_GLUE_H
#define SENDROUTE_BEARSSL_GLUE_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/log.h"
#include "lib/net/identity.h"
#include "lib/net/stream.h"

enum { SHA256_SIZE = 32, MD5_SIZE = 16 };

/* SHA-256 in pieces; FIPS 180-4. Plain data: copy it to fork a computation. */
struct sha256 { uint64_t opaque[16]; };
void sha256_init(struct sha256 *h);
void sha256_update(struct sha256 *h, const void *data, size_t n);
void sha256_final(const struct sha256 *h, unsigned char out[SHA256_SIZE]);

/* sha256(out, data, n): of one piece. */
void sha256(unsigned char out[SHA256_SIZE], const void *data, size_t n);

/* HMAC-SHA-256 (RFC 2104); out may overlap key or data. */
void hmac_sha256(unsigned char out[SHA256_SIZE], const void *key, size_t keylen,
    const void *data, size_t n);

/* HMAC-MD5, for CRAM-MD5 alone. */
void hmac_md5(unsigned char out[MD5_SIZE], const void *key, size_t keylen,
    const void *data, size_t n);

/* PBKDF2 with HMAC-SHA-256, one block of it (RFC 8018 section 5.2). */
void pbkdf2_sha256(unsigned char out[SHA256_SIZE], const void *password,
    size_t n, const void *salt, size_t salt_size, uint32_t iterations);

/*
 * RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017 section 8.2). rsa_sign: returns the
 * signature's length, or 0. rsa_verify: the key is the numbers n and e.
 */
size_t rsa_sign(const struct private_key *key,
    const unsigned char hash[SHA256_SIZE], unsigned char out[RSA_KEY_MAX]);
bool rsa_verify(struct der n, struct der e,
    const unsigned char hash[SHA256_SIZE], const unsigned char *sig,
    size_t size);

/*
 * rsa_generate(key): a fresh key of RSA_NEW_BITS bits with the public exponent
 * 65537, to be freed with private_key_free. 0, or -1 (no memory, no random bytes).
 */
enum { RSA_NEW_BITS = 2048 };
int rsa_generate(struct private_key *key);

/* random_bytes(p, n): from the system's generator. 0, or -1. */
int random_bytes(void *p, size_t n);

/* What a later connection can resume (RFC 5246 section 7.3); zero: nothing. */
struct tls_session { uint64_t opaque[11]; };

/* The server's own certificate; `seen` is false when none came. */
struct tls_leaf {
	bool seen;
	unsigned names;			/* how many dNSName entries */
	char name_list[200];
	char issuer[100];
	int64_t not_before, not_after;
	unsigned char pin[SHA256_SIZE];	/* filled in tls_params.leaf alone */
};

struct tls_params {
	const char *host;		/* name that the certificate must hold */
	const char *ca_file;		/* PEM bundle; NULL: the system's */
	int64_t seconds;		/* the handshake may take; 0: 60 s */
	const unsigned char (*pins)[SHA256_SIZE];
	size_t npins;			/* > 0: the leaf's public key must be one of
					 * them; chain, name and dates are then
					 * not looked at (as RFC 7671's 3 1 1) */
	const struct identity *identity;	/* to show when asked; or NULL */
	struct tls_leaf *leaf;		/* filled as soon as it comes, or NULL */
	struct tls_session *resume;	/* of an earlier connection to this host,
					 * verified then; replaced; or NULL */
};

/*
 * tls_start(s, p, log): perform the handshake over s (p->seconds, 60 at most) and swap its ops in place. Fails when input is already
 * buffered (injection before the handshake). Returns 0, or -1 with the reason in
 * s->err: CAUSE_OPERATOR for a certificate that cannot be accepted.
 */
int tls_start(struct stream *s, const struct tls_params *p, struct log *log);

/* tls_describe(s, out, size): "TLS 1.2 ECDHE-RSA-AES128-GCM-SHA256 ...". */
void tls_describe(const struct stream *s, char *out, size_t size);

/* tls_library(): name and version for --version. */
const char *tls_library(void);

#endif
