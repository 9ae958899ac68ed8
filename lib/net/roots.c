#include "lib/net/roots.h"

#include <string.h>

uint32_t
roots_hash(struct der name)
{
	uint32_t h = 2166136261U;
	size_t i;

	for (i = 0; i < name.n; i++)
		h = (h ^ name.p[i]) * 16777619U;
	return h;
}

static struct anchor
decoded(const struct roots *r, const struct root *t)
{
	const unsigned char *p = r->data + t->at;
	struct der key = { p + t->subject, t->key };
	struct anchor a = { .subject = { p, t->subject },
		.key.curve = t->curve, .ca = t->ca != 0 };

	if (t->curve != 0)
		a.key.q = key;
	else {
		a.key.n = key;
		a.key.e = (struct der){ key.p + key.n, t->exponent };
	}
	return a;
}

/* The first of that hash, or where it would stand. */
static size_t
lower_bound(const struct roots *r, uint32_t hash)
{
	size_t low = 0, high = r->n, middle;

	while (low < high) {
		middle = (low + high) / 2;
		if (r->list[middle].hash < hash)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

void
roots_find(const struct roots *r, struct der name,
    void (*found)(void *ctx, const struct anchor *a), void *ctx)
{
	uint32_t hash = roots_hash(name);
	size_t i = lower_bound(r, hash);
	struct anchor a;

	for (; i < r->n && r->list[i].hash == hash; i++) {
		a = decoded(r, &r->list[i]);
		if (a.subject.n == name.n &&
		    memcmp(a.subject.p, name.p, name.n) == 0)
			found(ctx, &a);
	}
}
