#include "lib/relay/sasl.h"

#include <string.h>

#include "lib/base/base64.h"

/* In the order of their bits. */
static const char *const names[] = { "EXTERNAL", "SCRAM-SHA-256",
	"OAUTHBEARER", "XOAUTH2", "PLAIN", "LOGIN", "CRAM-MD5" };
enum { NAMES = sizeof names / sizeof names[0] };

unsigned
sasl_known(const char *name, size_t n)
{
	size_t i;

	for (i = 0; i < NAMES; i++)
		if (strlen(names[i]) == n && mem_iequal(names[i], name, n))
			return 1U << i;
	return 0;
}

const char *
sasl_name(unsigned mech)
{
	size_t i = 0;

	while (i < NAMES - 1 && !(mech & 1U << i))
		i++;
	return names[i];
}

int
sasl_init(struct sasl *x)
{
	x->step = 0;
	x->proven = x->mech != SASL_SCRAM_SHA_256;
	memset(&x->scram, 0, sizeof x->scram);
	return x->proven ? 0 : scram_init(&x->scram);
}

void
sasl_free(struct sasl *x)
{
	scram_free(&x->scram);
}

bool
sasl_begins(const struct sasl *x)
{
	return !(x->mech & (SASL_LOGIN | SASL_CRAM_MD5));
}

static void
cram_md5(const struct sasl *x, const char *challenge, size_t n,
    struct buf *out)
{
	unsigned char digest[MD5_SIZE];
	char hex[2 * MD5_SIZE + 1];

	hmac_md5(digest, x->secret, strlen(x->secret), challenge, n);
	hex_encode(hex, digest, sizeof digest);
	buf_addf(out, "%s %s", x->user, hex);
}

static void
oauthbearer(const struct sasl *x, struct buf *out)
{
	buf_adds(out, "n,a=");
	scram_name(out, x->user);
	buf_addf(out, ",\001host=%s\001port=%u\001auth=Bearer ", x->host, x->port);
	buf_adds(out, x->secret);
	buf_adds(out, "\001\001");
}

static const char *
scram(struct sasl *x, const char *in, struct buf *out)
{
	const char *wrong;

	if (x->step == 0) {
		scram_first(&x->scram, x->user, out);
		return NULL;
	}
	if (x->step == 1)
		return scram_final(&x->scram, in, x->secret, out);
	/* The reply to our empty answer will say why. */
	if (strncmp(in, "e=", 2) == 0)
		return NULL;
	wrong = scram_verify(&x->scram, in);
	x->proven = wrong == NULL;
	return wrong;
}

/* How many messages the client has at most. */
static unsigned
steps_of(unsigned mech)
{
	switch (mech) {
	case SASL_SCRAM_SHA_256:
		return 3;
	case SASL_OAUTHBEARER:
	case SASL_XOAUTH2:
	case SASL_LOGIN:
		return 2;
	default:
		return 1;
	}
}

const char *
sasl_next(struct sasl *x, const char *in, size_t n, struct buf *out)
{
	const char *wrong = NULL;

	if (x->step >= steps_of(x->mech))
		return "the server asks for more than it should";
	/* In one piece: growing would leave copies behind. */
	buf_reserve(out, 3 * strlen(x->user) + strlen(x->secret) + n + 400);
	switch (x->mech) {
	case SASL_SCRAM_SHA_256:
		wrong = scram(x, in, out);
		break;
	case SASL_OAUTHBEARER:
		if (x->step == 0)
			oauthbearer(x, out);
		else
			/* A refusal; RFC 7628 section 3.2.3. */
			buf_addc(out, '\001');
		break;
	case SASL_XOAUTH2:
		if (x->step == 0)
			buf_addf(out, "user=%s\001auth=Bearer %s\001\001", x->user,
			    x->secret);
		break;
	case SASL_PLAIN:
		buf_addc(out, '\0');
		buf_adds(out, x->user);
		buf_addc(out, '\0');
		buf_adds(out, x->secret);
		break;
	case SASL_LOGIN:
		buf_adds(out, x->step == 0 ? x->user : x->secret);
		break;
	case SASL_CRAM_MD5:
		cram_md5(x, in, n, out);
		break;
	default:
		/* EXTERNAL: whoever the certificate says. */
		break;
	}
	x->step++;
	return wrong;
}
