/* PEM files of certificates and keys: whole or refused, and usable for RSA. */
#include <stdlib.h>
#include <string.h>

#include "lib/net/identity.h"
#include "tests/fuzz/fuzz.h"

static void
check_key(const struct private_key *k)
{
	const struct der parts[] = { k->x, k->n, k->p, k->q, k->dp, k->dq,
		k->iq };
	size_t i;

	CHECK(k->bytes != NULL);
	for (i = 0; i < sizeof parts / sizeof parts[0]; i++)
		CHECK(parts[i].n == 0 || (parts[i].p >= k->bytes &&
		    parts[i].p + parts[i].n <= k->bytes + k->size));
	if (k->curve != 0)
		CHECK(k->x.n > 0);
	else
		CHECK(k->n.n > 0 && k->n.n <= RSA_KEY_MAX && k->p.n > 0 &&
		    k->q.n > 0 && private_key_bits(k) <= 8 * k->n.n);
}

FUZZ(identity)
{
	char *pem = in_text(in);
	struct private_key key, none = { 0 };
	struct identity id;
	const char *why;
	bool in_key = false;
	size_t i;

	memset(&key, 0xff, sizeof key);
	why = private_key_parse(&key, pem);
	if (why == NULL)
		check_key(&key);
	else
		CHECK(memcmp(&key, &none, sizeof key) == 0 && is_clean(why));
	private_key_free(&key);
	why = identity_parse(&id, pem, pem, &in_key);
	if (why == NULL) {
		CHECK(id.ncerts > 0 && id.ncerts <= IDENTITY_CERTS);
		for (i = 0; i < id.ncerts; i++)
			CHECK(id.certs[i].n > 0);
		check_key(&id.key);
	} else
		CHECK(id.ncerts == 0 && is_clean(why));
	identity_free(&id);
	free(pem);
}
