/*
 * Certificates as DER: every view lies inside, and one that is cut off says less,
 * never something else.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/net/der.h"
#include "tests/fuzz/fuzz.h"

static void
inside(struct der d, const unsigned char *p, size_t n)
{
	CHECK(d.n == 0 || (d.p >= p && d.n <= n && d.p - p <=
	    (ptrdiff_t)(n - d.n)));
}

static void
check_view(const struct x509_view *v, const unsigned char *p, size_t n)
{
	char names[200], cn[100];
	struct x509_key key;
	struct der subject;

	inside(v->issuer, p, n);
	inside(v->subject, p, n);
	inside(v->spki, p, n);
	inside(v->extensions, p, n);
	CHECK(x509_subject(p, n, &subject));
	CHECK(subject.p == v->subject.p && subject.n == v->subject.n);
	memset(names, 'x', sizeof names);
	x509_names(v, names, sizeof names);
	CHECK(is_string(names, sizeof names) && is_clean(names));
	memset(cn, 'x', sizeof cn);
	x509_common_name(v->subject, cn, sizeof cn);
	CHECK(is_string(cn, sizeof cn) && is_clean(cn));
	x509_common_name(v->issuer, cn, sizeof cn);
	x509_is_ca(v);
	if (!x509_key(v, &key))
		return;
	if (key.curve != 0) {
		inside(key.q, p, n);
		CHECK(key.curve >= 23 && key.curve <= 25 && key.q.n > 0);
	} else {
		inside(key.n, p, n);
		inside(key.e, p, n);
		CHECK(key.n.n > 0 && key.n.p[0] != 0 && key.e.n > 0 &&
		    key.e.p[0] != 0);
	}
}

FUZZ(der)
{
	size_t cut = in_byte(in);
	unsigned char *p = in_copy(in), *less;
	struct x509_view v;
	struct der a, b, rest = { p, in->n };
	struct input part = { in->p, in->n > cut ? in->n - cut : 0 };

	memset(&v, 0xff, sizeof v);
	if (x509_view(&v, p, in->n) == 0)
		check_view(&v, p, in->n);
	less = in_copy(&part);
	if (x509_subject(p, in->n, &a) && x509_subject(less, part.n, &b)) {
		CHECK(a.p - p == b.p - less && a.n == b.n);
		inside(b, less, part.n);
	} else if (x509_subject(p, in->n, &a))
		CHECK((size_t)(a.p - p) + a.n > part.n);
	while (rest.n > 0 && der_next(&rest, rest.p[0], &a, &b)) {
		inside(a, p, in->n);
		inside(b, p, in->n);
		CHECK(b.p + b.n == rest.p && a.p + a.n == rest.p);
	}
	free(less);
	free(p);
}
