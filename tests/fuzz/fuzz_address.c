/*
 * Address lists. What comes out is canonical: it parses to itself, alone and as
 * part of a list; completing bare names in the text or in the result is the same;
 * an address that is replaced leaves one mailbox.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/mail/address.h"
#include "lib/mail/addrlex.h"
#include "lib/mail/idn.h"
#include "tests/fuzz/fuzz.h"

static const char domain[] = "d.example";

static void
check_one(const char *a)
{
	struct result res;
	char *again = address_parse_one(a, NULL, &res);

	CHECK(again != NULL && strcmp(again, a) == 0);
	CHECK(strlen(a) <= ADDR_MAX && is_clean(a));
	CHECK(strpbrk(a, "<>") == NULL);
	CHECK(strchr(a, '@') != NULL && *a != '@');
	CHECK(is_ascii(address_domain(a)));
	CHECK(address_equal(a, again));
	free(again);
}

/* All of them in one list. */
static void
check_list(const struct addr_list *l)
{
	struct addr_list again = { 0 };
	struct buf text = { 0 };
	struct result res;
	size_t i;

	for (i = 0; i < l->n; i++)
		buf_addf(&text, "%s%s", i ? ", " : "", l->v[i]);
	CHECK(address_parse(buf_str(&text), text.len, NULL, &again, &res) == 0);
	CHECK(again.n == l->n);
	for (i = 0; i < l->n; i++)
		CHECK(strcmp(again.v[i], l->v[i]) == 0);
	addr_list_free(&again);
	buf_free(&text);
}

static void
check_completed(const char *text, size_t n, const struct addr_list *l)
{
	struct addr_list again = { 0 };
	struct buf whole = { 0 };
	struct result res;
	size_t i, bare = 0;
	int got = address_complete(text, n, domain, &whole);

	CHECK(got >= 0);
	CHECK(address_parse(buf_str(&whole), whole.len, NULL, &again, &res) ==
	    0);
	CHECK(again.n == l->n);
	for (i = 0; i < l->n; i++) {
		CHECK(strcmp(again.v[i], l->v[i]) == 0);
		bare += l->bare[i];
	}
	CHECK((size_t)got == bare);
	CHECK(bare > 0 || (whole.len == n && memcmp(buf_str(&whole), text, n) ==
	    0));
	addr_list_free(&again);
	buf_free(&whole);
}

static void
check_spec(const char *text, size_t n)
{
	struct addr_list l = { 0 };
	struct buf other = { 0 };
	struct result res;
	size_t start, end;

	if (!address_find_spec(text, n, &start, &end))
		return;
	CHECK(start <= end && end <= n);
	buf_add(&other, text, start);
	buf_adds(&other, "new@n.example");
	buf_add(&other, text + end, n - end);
	if (address_parse(buf_str(&other), other.len, domain, &l, &res) == 0) {
		CHECK(l.n == 1);
		CHECK(strcmp(l.v[0], "new@n.example") == 0);
	}
	addr_list_free(&l);
	buf_free(&other);
}

FUZZ(address)
{
	struct addr_list l = { 0 };
	struct result res = { 0 };
	char *text = (char *)in_copy(in);	/* NUL and all */
	size_t n = in->n, i;

	if (address_parse(text, n, domain, &l, &res) == 0) {
		for (i = 0; i < l.n; i++)
			check_one(l.v[i]);
		check_list(&l);
		check_completed(text, n, &l);
		addr_list_dedup(&l);
	} else {
		CHECK(res.exit == EXIT_DATA && res.outcome == OUT_PERM);
		CHECK(res.cause == CAUSE_RCPT && is_clean(res.text));
		for (i = 0; i < l.n; i++)
			check_one(l.v[i]);
	}
	check_spec(text, n);
	addr_list_free(&l);
	free(text);
}
