/* RSA by itself: see bearssl-glue.h. */
#include <stdlib.h>
#include <string.h>

#include <bearssl.h>

#include "bearssl-glue.h"
#include "lib/base/buf.h"

size_t
rsa_sign(const struct private_key *k, const unsigned char hash[SHA256_SIZE],
    unsigned char out[RSA_KEY_MAX])
{
	br_rsa_private_key rsa = { (uint32_t)private_key_bits(k), der_bytes(k->p),
		k->p.n, der_bytes(k->q), k->q.n, der_bytes(k->dp), k->dp.n,
		der_bytes(k->dq), k->dq.n, der_bytes(k->iq), k->iq.n };

	return br_rsa_i31_pkcs1_sign(BR_HASH_OID_SHA256, hash,
	    SHA256_SIZE, &rsa, out) ? k->n.n : 0;
}

bool
rsa_verify(struct der n, struct der e, const unsigned char hash[SHA256_SIZE],
    const unsigned char *sig, size_t size)
{
	br_rsa_public_key key = { der_bytes(n), n.n, der_bytes(e), e.n };
	unsigned char signed_hash[SHA256_SIZE];

	return n.n <= RSA_KEY_MAX && br_rsa_i31_pkcs1_vrfy(sig, size,
	    BR_HASH_OID_SHA256, SHA256_SIZE, &key, signed_hash) &&
	    memcmp(hash, signed_hash, SHA256_SIZE) == 0;
}

int
rsa_generate(struct private_key *key)
{
	br_hmac_drbg_context rng;
	unsigned char seed[SHA256_SIZE];
	br_rsa_private_key sk;
	br_rsa_public_key pk;
	const size_t private = BR_RSA_KBUF_PRIV_SIZE(RSA_NEW_BITS);

	memset(key, 0, sizeof *key);
	key->size = private + BR_RSA_KBUF_PUB_SIZE(RSA_NEW_BITS);
	key->bytes = malloc(key->size);
	if (key->bytes == NULL || random_bytes(seed, sizeof seed) < 0)
		goto fail;
	br_hmac_drbg_init(&rng, &br_sha256_vtable, seed, sizeof seed);
	mem_wipe(seed, sizeof seed);
	if (!br_rsa_i31_keygen(&rng.vtable, &sk, key->bytes, &pk,
	    key->bytes + private, RSA_NEW_BITS, 65537))
		goto fail;
	mem_wipe(&rng, sizeof rng);
	key->n = (struct der){ pk.n, pk.nlen };
	key->p = (struct der){ sk.p, sk.plen };
	key->q = (struct der){ sk.q, sk.qlen };
	key->dp = (struct der){ sk.dp, sk.dplen };
	key->dq = (struct der){ sk.dq, sk.dqlen };
	key->iq = (struct der){ sk.iq, sk.iqlen };
	return 0;
fail:
	private_key_free(key);
	return -1;
}
