#include "lib/net/tls_shown.h"

#include <string.h>

#include "bearssl-glue.h"

enum { HASH_SIZE = br_sha256_SIZE };

static void
skip_list(const br_ssl_client_certificate_class **ctx)
{
	(void)ctx;
}

static void
skip_name(const br_ssl_client_certificate_class **ctx, size_t n)
{
	(void)ctx, (void)n;
}

static void
skip_bytes(const br_ssl_client_certificate_class **ctx,
    const unsigned char *p, size_t n)
{
	(void)ctx, (void)p, (void)n;
}

static struct shown *
shown_of(const br_ssl_client_certificate_class **ctx)
{
	return (struct shown *)(void *)ctx;
}

/* By SHA-256, or not at all: low bits are for RSA, high bits for ECDSA. */
static void
choose_certificate(const br_ssl_client_certificate_class **ctx,
    const br_ssl_client_context *cc, uint32_t auth_types,
    br_ssl_client_certificate *choice)
{
	const struct shown *s = shown_of(ctx);
	bool rsa = s->id->key.curve == 0;

	(void)cc;
	memset(choice, 0, sizeof *choice);
	if (!(auth_types >> (rsa ? 0 : 8) & 1U << br_sha256_ID))
		return;
	choice->auth_type = rsa ? BR_AUTH_RSA : BR_AUTH_ECDSA;
	choice->hash_id = br_sha256_ID;
	choice->chain = s->chain;
	choice->chain_len = s->id->ncerts;
}

/* The hash in data becomes its signature. Its length, or 0. */
static size_t
sign_hash(const br_ssl_client_certificate_class **ctx, int hash_id, size_t n,
    unsigned char *data, size_t size)
{
	const struct shown *s = shown_of(ctx);
	const struct private_key *k = &s->id->key;
	unsigned char hash[HASH_SIZE];
	br_ec_private_key ec = { k->curve, der_bytes(k->x), k->x.n };

	(void)hash_id;
	memcpy(hash, data, sizeof hash);
	if (n != sizeof hash || size < RSA_KEY_MAX)
		return 0;
	if (k->curve != 0)
		return br_ecdsa_i31_sign_asn1(s->ec, &br_sha256_vtable,
		    hash, &ec, data);
	return rsa_sign(k, hash, data);
}

void
shown_set(struct shown *s, br_ssl_client_context *cc,
    const struct identity *id)
{
	static const br_ssl_client_certificate_class class = {
		sizeof(struct shown), skip_list, skip_name, skip_bytes,
		skip_list, skip_list, choose_certificate, NULL, sign_hash
	};
	size_t i;

	for (i = 0; i < id->ncerts; i++)
		s->chain[i] = (br_x509_certificate){ der_bytes(id->certs[i]),
			id->certs[i].n };
	s->vtable = &class;
	s->id = id;
	s->ec = br_ssl_engine_get_ec(&cc->eng);
	br_ssl_client_set_client_certificate(cc, &s->vtable);
}
