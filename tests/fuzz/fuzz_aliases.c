/*
 * Alias files: what comes out are addresses, each once; a failure leaves the
 * recipients as they were.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/mail/aliases.h"
#include "tests/fuzz/fuzz.h"

static void
add(struct addr_list *l, const char *a)
{
	CHECK(addr_list_add(l, a, strlen(a)) == 0);
	l->bare[l->n - 1] = strchr(a, '@') && strstr(a, "@d.example");
}

static void
check(const struct addr_list *l)
{
	struct result res;
	size_t i, k;
	char *again;

	CHECK(l->n <= ALIASES_TARGETS_MAX + 3);
	for (i = 0; i < l->n; i++) {
		again = address_parse_one(l->v[i], "d.example", &res);
		CHECK(again != NULL && strcmp(again, l->v[i]) == 0);
		free(again);
		for (k = 0; k < i; k++)
			CHECK(!address_equal(l->v[i], l->v[k]));
	}
}

FUZZ(aliases)
{
	struct aliases a = { .file = "aliases", .hostname = "h.example",
		.domain = "d.example" };
	struct addr_list l = { 0 };
	struct result res = { 0 };

	a.fd = file_of(in->p, in->n);
	add(&l, "root@d.example");
	add(&l, "\"x y\"@h.example");
	add(&l, "other@o.example");
	if (aliases_expand(&a, &l, &res) == 0)
		check(&l);
	else {
		CHECK(l.n == 3 && strcmp(l.v[0], "root@d.example") == 0);
		CHECK(strcmp(l.v[2], "other@o.example") == 0);
		CHECK(res.exit != 0 && is_clean(res.text) && *res.text);
	}
	addr_list_free(&l);
	aliases_close(&a);
}
