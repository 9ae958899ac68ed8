#include "lib/relay/scram.h"

#include <string.h>

#include "lib/base/base64.h"

/* Base64 of "n,,": no channel binding. */
#define BINDING "biws"

enum { SALT_MAX = 256, HEADER = sizeof "n,," - 1 };

int
scram_init(struct scram *s)
{
	unsigned char seed[SCRAM_NONCE / 4 * 3];

	if (random_bytes(seed, sizeof seed) < 0)
		return -1;
	s->nonce[base64_encode(s->nonce, seed, sizeof seed)] = '\0';
	return 0;
}

void
scram_free(struct scram *s)
{
	buf_wipe(&s->exchange);
	mem_wipe(s, sizeof *s);
}

void
scram_name(struct buf *out, const char *user)
{
	for (; *user; user++)
		if (*user == '=' || *user == ',')
			buf_addf(out, "=%02X", (unsigned)*user);
		else
			buf_addc(out, *user);
}

void
scram_first(struct scram *s, const char *user, struct buf *out)
{
	buf_adds(out, "n,,n=");
	scram_name(out, user);
	buf_addf(out, ",r=%s", s->nonce);
	buf_adds(&s->exchange, buf_str(out) + HEADER);
}

/*
 * The value of the attribute that *at begins with; *n: how long it is. *at is
 * then behind its comma. NULL: it is another attribute.
 */
static const char *
attribute(const char **at, char name, size_t *n)
{
	const char *value = *at + 2;

	if ((*at)[0] != name || (*at)[1] != '=')
		return NULL;
	*n = strcspn(value, ",");
	*at = value + *n + (value[*n] == ',');
	return value;
}

/* The key that the password, salt and iterations make; NULL, or what is wrong. */
static const char *
salted(const char *salt64, size_t n, const char *iterations,
    const char *password, unsigned char key[SHA256_SIZE])
{
	unsigned char salt[SALT_MAX];
	ssize_t len = base64_decode(salt, sizeof salt, salt64, n);
	uint64_t count;

	if (len <= 0)
		return "the server's salt makes no sense";
	if (number_parse(iterations, 1, SCRAM_ITERATIONS, &count) < 0)
		return "the server asks for too many iterations, or for none";
	pbkdf2_sha256(key, password, strlen(password), salt, (size_t)len,
	    (uint32_t)count);
	return NULL;
}

/* RFC 5802 section 3, from SaltedPassword on. */
static void
sign(struct scram *s, unsigned char key[SHA256_SIZE], struct buf *out)
{
	unsigned char client[SHA256_SIZE], stored[SHA256_SIZE];
	char proof[BASE64_SIZE(SHA256_SIZE)];
	size_t i;

	hmac_sha256(client, key, SHA256_SIZE, "Client Key", 10);
	sha256(stored, client, sizeof client);
	hmac_sha256(stored, stored, sizeof stored, s->exchange.p,
	    s->exchange.len);
	for (i = 0; i < sizeof client; i++)
		client[i] ^= stored[i];
	buf_adds(out, ",p=");
	buf_add(out, proof, base64_encode(proof, client, sizeof client));
	hmac_sha256(key, key, SHA256_SIZE, "Server Key", 10);
	hmac_sha256(s->expected, key, SHA256_SIZE, s->exchange.p,
	    s->exchange.len);
	mem_wipe(client, sizeof client);
	mem_wipe(key, SHA256_SIZE);
}

const char *
scram_final(struct scram *s, const char *first, const char *password,
    struct buf *out)
{
	const char *at = first, *nonce, *salt, *iterations, *wrong;
	unsigned char key[SHA256_SIZE];
	char count[12];
	size_t nlen, slen, ilen, own = strlen(s->nonce);

	nonce = attribute(&at, 'r', &nlen);
	salt = nonce ? attribute(&at, 's', &slen) : NULL;
	iterations = salt ? attribute(&at, 'i', &ilen) : NULL;
	if (iterations == NULL)
		return "the server's first message makes no sense";
	/* Both sides add to the nonce, or an old exchange could be played again. */
	if (nlen <= own || memcmp(nonce, s->nonce, own) != 0)
		return "the server's nonce does not begin with ours";
	memcpy(count, iterations, ilen < sizeof count ? ilen : 0);
	count[ilen < sizeof count ? ilen : 0] = '\0';
	wrong = salted(salt, slen, count, password, key);
	if (wrong)
		return wrong;
	buf_adds(out, "c=" BINDING ",r=");
	buf_add(out, nonce, nlen);
	buf_addf(&s->exchange, ",%s,%s", first, buf_str(out));
	if (!out->failed && !s->exchange.failed)
		sign(s, key, out);
	return NULL;
}

const char *
scram_verify(const struct scram *s, const char *last)
{
	unsigned char signature[SHA256_SIZE + 1];
	const char *value;
	size_t n;

	value = attribute(&last, 'v', &n);
	if (value == NULL ||
	    base64_decode(signature, sizeof signature, value, n) !=
	    SHA256_SIZE || memcmp(signature, s->expected, SHA256_SIZE) != 0)
		return "the server does not prove that it knows the password: "
		    "an impostor?";
	return NULL;
}
