#include "lib/net/identity.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/base64.h"
#include "lib/base/buf.h"

enum {
	TAG_INTEGER = 0x02, TAG_OCTETS = 0x04, TAG_OID = 0x06,
	TAG_SEQUENCE = 0x30, TAG_CURVE = 0xA0,
	EC_MAX = 66			/* bytes: P-521 */
};

static const char no_memory[] = "cannot be kept: out of memory";

/* --- PEM --- */

/*
 * The next block whose label, such as "RSA PRIVATE KEY", ends so, decoded into
 * memory of its own; *at is then behind it. p NULL: there is none, with *wrong
 * set when it is there but cannot be read.
 */
static struct der
next_block(const char **at, const char *label, const char **wrong)
{
	struct der none = { NULL, 0 };
	const char *begin, *text, *end;
	unsigned char *p;
	ssize_t n;

	do {
		begin = strstr(*at, "-----BEGIN ");
		text = begin ? strstr(begin + 11, "-----") : NULL;
		end = text ? strstr(text + 5, "-----END ") : NULL;
		if (end == NULL)
			return none;
		*at = end + 9;
	} while ((size_t)(text - begin) < strlen(label) || memcmp(text -
	    strlen(label), label, strlen(label)) != 0);
	text += 5;
	p = malloc((size_t)(end - text) + 1);
	n = p ? base64_decode(p, (size_t)(end - text), text,
	    (size_t)(end - text)) : 0;
	*wrong = p == NULL ? no_memory :
	    "is damaged or encrypted; expected PEM without a pass phrase";
	if (n > 0)
		return (struct der){ p, (size_t)n };
	if (p)
		mem_wipe(p, (size_t)(end - text));
	free(p);
	return none;
}

/* --- keys --- */

/* A positive INTEGER of at most max bytes, without its leading zeros. */
static bool
take_number(struct der *in, struct der *out, size_t max)
{
	if (!der_next(in, TAG_INTEGER, out, NULL))
		return false;
	for (; out->n > 0 && out->p[0] == 0; out->n--)
		out->p++;
	return out->n > 0 && out->n <= max;
}

/* RFC 8017 appendix A.1.2, behind the version. */
static const char *
take_rsa(struct private_key *key, struct der *in)
{
	struct der e, d;

	if (!take_number(in, &key->n, RSA_KEY_MAX) ||
	    !take_number(in, &e, RSA_KEY_MAX) ||
	    !take_number(in, &d, RSA_KEY_MAX) ||
	    !take_number(in, &key->p, RSA_KEY_MAX / 2) ||
	    !take_number(in, &key->q, RSA_KEY_MAX / 2) ||
	    !take_number(in, &key->dp, key->p.n) ||
	    !take_number(in, &key->dq, key->q.n) ||
	    !take_number(in, &key->iq, key->p.n) ||
	    key->p.n + key->q.n - key->n.n > 1)
		return "is no RSA key of up to 4096 bits";
	return NULL;
}

/* RFC 5915, behind the version; PKCS #8 has told the curve already. */
static const char *
take_ec(struct private_key *key, struct der *in)
{
	struct der curve;

	if (!der_next(in, TAG_OCTETS, &key->x, NULL) || key->x.n == 0 ||
	    key->x.n > EC_MAX)
		return "is no EC key that can be used";
	if (der_next(in, TAG_CURVE, &curve, NULL))
		key->curve = der_curve(&curve);
	return key->curve != 0 ? NULL :
	    "is an EC key of a curve that is not known; expected P-256, P-384 "
	    "or P-521";
}

/* A key by itself, or within PKCS #8: what is behind the version tells. */
static const char *
take_key(struct private_key *key, struct der in)
{
	struct der body, algorithm;

	if (der_next(&in, TAG_SEQUENCE, &body, NULL) &&
	    der_next(&body, TAG_INTEGER, NULL, NULL)) {
		if (body.n > 0 && body.p[0] == TAG_INTEGER)
			return take_rsa(key, &body);
		if (body.n > 0 && body.p[0] == TAG_OCTETS)
			return take_ec(key, &body);
		if (key->x.p == NULL &&
		    der_next(&body, TAG_SEQUENCE, &algorithm, NULL) &&
		    der_next(&body, TAG_OCTETS, &key->x, NULL)) {
			if (der_next(&algorithm, TAG_OID, NULL, NULL))
				key->curve = der_curve(&algorithm);
			return take_key(key, key->x);
		}
	}
	return "holds a key that is encrypted or of a kind that is not known; "
	    "expected RSA or EC";
}

void
private_key_free(struct private_key *key)
{
	if (key->bytes)
		mem_wipe(key->bytes, key->size);
	free(key->bytes);
	memset(key, 0, sizeof *key);
}

const char *
private_key_parse(struct private_key *key, const char *pem)
{
	const char *wrong = "holds no private key in PEM form";
	struct der block = next_block(&pem, "PRIVATE KEY", &wrong);

	memset(key, 0, sizeof *key);
	if (block.p == NULL)
		return wrong;
	key->bytes = (unsigned char *)(uintptr_t)block.p;
	key->size = block.n;
	wrong = take_key(key, block);
	if (wrong)
		private_key_free(key);
	return wrong;
}

size_t
private_key_bits(const struct private_key *key)
{
	size_t bits = 8 * key->n.n;
	unsigned char top = key->n.n > 0 ? key->n.p[0] : 0xff;

	for (; top < 0x80; top = (unsigned char)(top << 1))
		bits--;
	return bits;
}

/* --- certificates --- */

void
identity_free(struct identity *id)
{
	size_t i;

	for (i = 0; i < id->ncerts; i++)
		free((void *)(uintptr_t)id->certs[i].p);
	private_key_free(&id->key);
	memset(id, 0, sizeof *id);
}

/* Are the public numbers of an RSA key the certificate's; is the curve? */
static bool
belongs(const struct private_key *key, struct der cert)
{
	struct x509_view view;
	struct x509_key public;

	return x509_view(&view, cert.p, cert.n) == 0 &&
	    x509_key(&view, &public) && public.curve == key->curve &&
	    (key->curve != 0 || (public.n.n == key->n.n &&
	    memcmp(public.n.p, key->n.p, key->n.n) == 0));
}

static const char *
take_certs(struct identity *id, const char *pem)
{
	const char *wrong = "holds no certificate in PEM form";
	struct der cert;

	while (id->ncerts < IDENTITY_CERTS &&
	    (cert = next_block(&pem, "CERTIFICATE", &wrong)).p)
		id->certs[id->ncerts++] = cert;
	return id->ncerts > 0 ? NULL : wrong;
}

const char *
identity_parse(struct identity *id, const char *certs, const char *key,
    bool *in_key)
{
	const char *wrong;

	memset(id, 0, sizeof *id);
	*in_key = false;
	wrong = take_certs(id, certs);
	if (wrong == NULL) {
		*in_key = true;
		wrong = private_key_parse(&id->key, key);
	}
	if (wrong == NULL && !belongs(&id->key, id->certs[0]))
		wrong = "does not belong to the certificate";
	if (wrong)
		identity_free(id);
	return wrong;
}
