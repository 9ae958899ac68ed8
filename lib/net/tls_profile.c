/*
 * One implementation of each algorithm: that of the processor, or the smallest
 * that takes the same time whatever the data.
 */
#include "lib/net/tls_profile.h"

enum { RSA_MIN = 256 };		/* bytes: RSA-2048 */

/* One implementation a curve: the fast one where servers' curve is, else small. */
static const br_ec_impl *
of(int curve)
{
	return curve == BR_EC_secp256r1 ? &br_ec_p256_m31 :
	    curve == BR_EC_curve25519 ? &br_ec_c25519_m31 : &br_ec_prime_i31;
}

static const unsigned char *
generator(int curve, size_t *len)
{
	return of(curve)->generator(curve, len);
}

static const unsigned char *
order(int curve, size_t *len)
{
	return of(curve)->order(curve, len);
}

static size_t
xoff(int curve, size_t *len)
{
	return of(curve)->xoff(curve, len);
}

static uint32_t
mul(unsigned char *g, size_t size, const unsigned char *x, size_t n, int curve)
{
	return of(curve)->mul(g, size, x, n, curve);
}

static size_t
mulgen(unsigned char *r, const unsigned char *x, size_t n, int curve)
{
	return of(curve)->mulgen(r, x, n, curve);
}

static uint32_t
muladd(unsigned char *a, const unsigned char *b, size_t size,
    const unsigned char *x, size_t xn, const unsigned char *y, size_t yn,
    int curve)
{
	return of(curve)->muladd(a, b, size, x, xn, y, yn, curve);
}

static const br_ec_impl curves = {
	(uint32_t)1 << BR_EC_secp256r1 | (uint32_t)1 << BR_EC_secp384r1 |
	    (uint32_t)1 << BR_EC_secp521r1 | (uint32_t)1 << BR_EC_curve25519,
	generator, order, xoff, mul, mulgen, muladd
};

void
tls_profile(br_ssl_client_context *cc, br_x509_minimal_context *xc)
{
	static const uint16_t with_aes[] = {
		BR_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
		BR_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		BR_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
		BR_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		BR_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
		BR_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384
	};
	static const uint16_t without_aes[] = {
		BR_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
		BR_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		BR_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
		BR_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		BR_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
		BR_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384
	};
	/* No SHA-1 and no MD5: neither in handshakes nor in chains. */
	static const struct { int id; const br_hash_class *impl; } hashes[] = {
		{ br_sha256_ID, &br_sha256_vtable },
		{ br_sha384_ID, &br_sha384_vtable },
		{ br_sha512_ID, &br_sha512_vtable }
	};
	const br_block_ctr_class *aes = br_aes_x86ni_ctr_get_vtable();
	br_ghash ghash = br_ghash_pclmul_get();
	br_chacha20_run chacha = br_chacha20_sse2_get();
	br_ssl_engine_context *eng = &cc->eng;
	size_t i;

	br_ssl_client_zero(cc);
	br_ssl_engine_set_versions(eng, BR_TLS12, BR_TLS12);
	br_ssl_engine_add_flags(eng, BR_OPT_NO_RENEGOTIATION);
	br_ssl_engine_set_suites(eng, aes ? with_aes : without_aes,
	    sizeof with_aes / sizeof with_aes[0]);
	br_ssl_engine_set_rsavrfy(eng, br_rsa_i31_pkcs1_vrfy);
	br_ssl_engine_set_ec(eng, &curves);
	br_ssl_engine_set_ecdsa(eng, br_ecdsa_i31_vrfy_asn1);
	br_x509_minimal_set_rsa(xc, br_rsa_i31_pkcs1_vrfy);
	br_x509_minimal_set_ecdsa(xc, &curves, br_ecdsa_i31_vrfy_asn1);
	br_x509_minimal_set_minrsa(xc, RSA_MIN);
	for (i = 0; i < sizeof hashes / sizeof hashes[0]; i++) {
		br_ssl_engine_set_hash(eng, hashes[i].id, hashes[i].impl);
		br_x509_minimal_set_hash(xc, hashes[i].id, hashes[i].impl);
	}
	br_ssl_engine_set_prf_sha256(eng, br_tls12_sha256_prf);
	br_ssl_engine_set_prf_sha384(eng, br_tls12_sha384_prf);
	br_ssl_engine_set_gcm(eng, &br_sslrec_in_gcm_vtable,
	    &br_sslrec_out_gcm_vtable);
	br_ssl_engine_set_aes_ctr(eng, aes ? aes : &br_aes_ct_ctr_vtable);
	br_ssl_engine_set_ghash(eng, ghash ? ghash : br_ghash_ctmul64);
	br_ssl_engine_set_chapol(eng, &br_sslrec_in_chapol_vtable,
	    &br_sslrec_out_chapol_vtable);
#ifndef __x86_64__	/* every one of those has SSE2 */
	if (chacha == NULL)
		chacha = br_chacha20_ct_run;
#endif
	br_ssl_engine_set_chacha20(eng, chacha);
	br_ssl_engine_set_poly1305(eng, br_poly1305_ctmul_run);
}
