/*
 * Trust anchors that were compiled in (make CA=): decoded when the program was
 * built, so that nothing is parsed when it runs. dist/compile-in.c writes them.
 */
#ifndef SENDROUTE_ROOTS_H
#define SENDROUTE_ROOTS_H

#include "lib/net/der.h"

/* Are there any? 1 or 0, from the Makefile. */
#ifndef ROOTS_BUILTIN
#define ROOTS_BUILTIN 0
#endif

/*
 * One root. From data + at on lie its subject (the whole Name), its key (the
 * modulus, or the point of a curve) and RSA's public exponent.
 */
struct root {
	uint32_t hash, at;		/* roots_hash(subject) */
	uint16_t subject, key, exponent;	/* how many bytes of each */
	uint8_t curve, ca;		/* x509_key.curve, anchor.ca */
};

/* list: sorted by hash. */
struct roots {
	const struct root *list;
	size_t n;
	const unsigned char *data;
};
extern const struct roots roots_builtin;

/* What makes a certificate a trust anchor. */
struct anchor {
	struct der subject;		/* the whole Name */
	struct x509_key key;
	bool ca;			/* it may issue others */
};

/* roots_hash(name): FNV-1a of its bytes, 32 bits. */
uint32_t roots_hash(struct der name);

/* roots_find(r, name, found, ctx): call found for every root of that subject. */
void roots_find(const struct roots *r, struct der name,
    void (*found)(void *ctx, const struct anchor *a), void *ctx);

#endif
