/* Trust anchors compiled in: which are found, and how they are decoded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/net/roots.h"

/* subject, then modulus and exponent, or the point. */
static const unsigned char data[] = "name-a" "NNNN" "EE" "name-b" "POINT"
    "name-a" "MMM" "F" "nameab" "Q";

static struct der
name(const char *text)
{
	return (struct der){ (const unsigned char *)text, strlen(text) };
}

struct seen {
	struct anchor a[8];
	size_t n;
};

static void
keep(void *ctx, const struct anchor *a)
{
	struct seen *s = ctx;

	s->a[s->n++] = *a;
}

static void
assert_text(struct der d, const char *text)
{
	assert_int_equal(d.n, strlen(text));
	assert_memory_equal(d.p, text, d.n);
}

/* Sorted as the tool does it: two of one subject, one that only shares its hash. */
static size_t
look(struct seen *s, const char *subject)
{
	uint32_t a = roots_hash(name("name-a")), b = roots_hash(name("name-b"));
	struct root list[4] = {
		{ a, 0, 6, 4, 2, 0, 1 },
		{ a, 23, 6, 3, 1, 0, 1 },
		{ a, 33, 6, 1, 0, 25, 1 },
		{ b, 12, 6, 5, 0, 24, 0 }
	}, other;
	struct roots r = { list, 4, data };

	if (b < a) {
		other = list[3];
		memmove(list + 1, list, 3 * sizeof *list);
		list[0] = other;
	}
	*s = (struct seen){ .n = 0 };
	roots_find(&r, name(subject), keep, s);
	return s->n;
}

static void
test_hash_is_fnv_1a(void **state)
{
	(void)state;
	assert_true(roots_hash(name("")) == 0x811C9DC5);
	assert_true(roots_hash(name("a")) == 0xE40C292C);
	assert_true(roots_hash(name("foobar")) == 0xBF9CF968);
}

static void
test_all_of_a_subject_are_found(void **state)
{
	struct seen s;

	(void)state;
	assert_int_equal(look(&s, "name-a"), 2);
	assert_text(s.a[0].subject, "name-a");
	assert_int_equal(s.a[0].key.curve, 0);
	assert_text(s.a[0].key.n, "NNNN");
	assert_text(s.a[0].key.e, "EE");
	assert_true(s.a[0].ca);
	assert_text(s.a[1].key.n, "MMM");
	assert_text(s.a[1].key.e, "F");
}

static void
test_a_point(void **state)
{
	struct seen s;

	(void)state;
	assert_int_equal(look(&s, "name-b"), 1);
	assert_int_equal(s.a[0].key.curve, 24);
	assert_text(s.a[0].key.q, "POINT");
	assert_int_equal(s.a[0].key.n.n, 0);
	assert_false(s.a[0].ca);
}

static void
test_others_are_not(void **state)
{
	struct roots none = { NULL, 0, NULL };
	struct seen s;

	(void)state;
	assert_int_equal(look(&s, ""), 0);
	assert_int_equal(look(&s, "name-"), 0);
	assert_int_equal(look(&s, "name-c"), 0);
	/* Its entry stands among those of another hash. */
	assert_int_equal(look(&s, "nameab"), 0);
	s.n = 0;
	roots_find(&none, name("name-a"), keep, &s);
	assert_int_equal(s.n, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hash_is_fnv_1a),
		cmocka_unit_test(test_all_of_a_subject_are_found),
		cmocka_unit_test(test_a_point),
		cmocka_unit_test(test_others_are_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
