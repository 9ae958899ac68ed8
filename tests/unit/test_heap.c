/* The program's malloc. */
#define _GNU_SOURCE		/* mremap */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

#include <cmocka.h>

static size_t mapped, most_mapped;	/* bytes that the heap holds */
static int no_memory;
static jmp_buf broken;

static void *
count_mmap(size_t n)
{
	void *p = no_memory ? MAP_FAILED : mmap(NULL, n, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED) {
		errno = ENOMEM;
		return p;
	}
	mapped += n;
	if (mapped > most_mapped)
		most_mapped = mapped;
	return p;
}

static void *
count_mremap(void *p, size_t old, size_t n)
{
	if (no_memory && n > old) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	mapped += n - old;
	return mremap(p, old, n, MREMAP_MAYMOVE);
}

static int
count_munmap(void *p, size_t n)
{
	mapped -= n;
	return munmap(p, n);
}

#define mmap(at, n, prot, flags, fd, offset) count_mmap(n)
#define mremap(p, old, n, flags) count_mremap(p, old, n)
#define munmap(p, n) count_munmap(p, n)
#define heap_broken() longjmp(broken, 1)
#define HEAP_TEST
#include "lib/small/heap.c"
#undef mmap
#undef mremap
#undef munmap

enum { ARENA_BYTES = ARENA * UNIT };

static void
fill(unsigned char *p, size_t n, size_t seed)
{
	size_t i;

	for (i = 0; i < n; i++)
		p[i] = (unsigned char)(seed * 31 + i);
}

static void
check(const unsigned char *p, size_t n, size_t seed)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (p[i] != (unsigned char)(seed * 31 + i))
			fail_msg("byte %zu of %zu has changed", i, n);
}

/* Walk every block of the arena that holds p: sizes agree, no two free ones meet. */
static void
walk(void *p)
{
	struct head *h = (struct head *)p - 1;
	uint32_t before = 0, total = 0;
	int was_free = 0;

	while (h->before > 0)
		h -= h->before;
	for (; h->size > 0; h += before) {
		assert_int_equal(h->seal, seal_of(h));
		assert_int_equal(h->before, before);
		assert_false(was_free && h->state == IS_FREE);
		was_free = h->state == IS_FREE;
		before = h->size;
		total += before;
	}
	assert_int_equal(h->before, before);
	assert_int_equal(total, ARENA - 1);
}

static void
usual_use(void **state)
{
	char *a = malloc(1), *b = malloc(0), *c = calloc(3, 5), *d;

	(void)state;
	assert_non_null(a);
	assert_non_null(b);
	assert_ptr_not_equal(a, b);
	assert_memory_equal(c, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 15);
	assert_int_equal((uintptr_t)a % 16 | (uintptr_t)b % 16, 0);
	strcpy(c, "some text");
	d = realloc(c, 5000);
	assert_string_equal(d, "some text");
	d = realloc(d, 300000);
	assert_string_equal(d, "some text");
	d = realloc(d, 3000000);
	assert_string_equal(d, "some text");
	d = realloc(d, 10);
	assert_string_equal(d, "some text");
	assert_ptr_equal(realloc(d, 10), d);
	walk(a);
	free(a);
	free(b);
	free(d);
	free(NULL);
	d = realloc(NULL, 20);
	walk(d);
	free(d);
}

/* What was freed is found again, and neighbours become one. */
static void
reuse(void **state)
{
	void *a = malloc(1000), *b = malloc(1000), *c = malloc(1000), *all;
	size_t before = mapped;

	(void)state;
	free(a);
	free(c);
	free(b);
	all = malloc(3000);
	assert_ptr_equal(all, a);
	free(all);
	assert_int_equal(mapped, before);
}

static void
grows_in_place(void **state)
{
	char *a = malloc(100), *b;

	(void)state;
	b = realloc(a, 20000);
	assert_ptr_equal(a, b);
	b = realloc(a, 50);
	assert_ptr_equal(a, b);
	free(b);
}

static void
large_blocks_go_back(void **state)
{
	size_t before = mapped;
	unsigned char *p = calloc(1, 1 << 20), *q;

	(void)state;
	assert_true(mapped >= before + (1 << 20));
	assert_int_equal(p[0] | p[(1 << 20) - 1], 0);
	fill(p, 1 << 20, 1);
	q = realloc(p, 5 << 20);
	check(q, 1 << 20, 1);
	free(q);
	assert_int_equal(mapped, before);
}

static void
no_memory_left(void **state)
{
	char *p = malloc(10), *large = malloc(100000);
	size_t huge[] = { SIZE_MAX, SIZE_MAX - 15, PTRDIFF_MAX,
		(size_t)UINT32_MAX * UNIT };
	size_t i;

	(void)state;
	strcpy(p, "kept");
	strcpy(large, "kept too");
	no_memory = 1;
	for (i = 0; i < sizeof huge / sizeof huge[0]; i++) {
		errno = 0;
		assert_null(malloc(huge[i]));
		assert_int_equal(errno, ENOMEM);
		assert_null(realloc(p, huge[i]));
		assert_null(calloc(huge[i], 1));
	}
	errno = 0;
	assert_null(calloc(SIZE_MAX / 2, 3));
	assert_int_equal(errno, ENOMEM);
	assert_null(realloc(p, 1 << 20));
	assert_null(realloc(large, 1 << 20));
	no_memory = 0;
	assert_string_equal(p, "kept");
	assert_string_equal(large, "kept too");
	free(p);
	free(large);
}

static void
keeps_errno(void **state)
{
	void *a = malloc(10), *b = malloc(1 << 20);

	(void)state;
	errno = 4711;
	free(a);
	free(b);
	assert_int_equal(errno, 4711);
}

/* Everything that must end the program. `reached` says that it did not. */
#define BREAKS(...) do { \
	volatile int reached = 0; \
	if (setjmp(broken) == 0) { \
		__VA_ARGS__; \
		reached = 1; \
	} \
	assert_int_equal(reached, 0); \
} while (0)

static void
misuse(void **state)
{
	struct head saved;
	char *a = malloc(40), *b = malloc(40), *c = malloc(40), *d = malloc(40);
	struct links links;

	(void)state;
	/* Not the start of a block. */
	BREAKS(free(a + 16));
	BREAKS((void)!realloc(a + 16, 10));
	/* Too much written: seen when either neighbour is freed. */
	saved = *((struct head *)(void *)b - 1);
	memset(a + 40, 'x', 9);
	BREAKS(free(a));
	BREAKS(free(b));
	BREAKS((void)!realloc(b, 100));
	*((struct head *)(void *)b - 1) = saved;
	/* Freed twice, alone and after it has become part of another. */
	free(b);
	BREAKS(free(b));
	BREAKS((void)!realloc(b, 100));
	free(c);
	BREAKS(free(c));
	/* Written to after it was freed: the lists are not followed. */
	links = *links_of((struct head *)(void *)b - 1);
	memset(b, 0, sizeof links);
	links_of((struct head *)(void *)b - 1)->next =
	    (struct head *)(void *)d - 1;
	BREAKS(free(a));
	*links_of((struct head *)(void *)b - 1) = links;
	free(d);
}

static uint32_t
next_random(uint32_t *r)
{
	*r ^= *r << 13;
	*r ^= *r >> 17;
	*r ^= *r << 5;
	return *r;
}

/* Small ones most of the time, and now and then a mapping. */
static size_t
some_size(uint32_t *r)
{
	static const size_t bounds[] = { 40, 40, 40, 200, 200, 2000, 20000,
		150000 };

	return next_random(r) % bounds[next_random(r) % 8];
}

static void
torture(void **state)
{
	enum { SLOTS = 200, STEPS = 60000 };
	struct { unsigned char *p; size_t n; } slot[SLOTS] = { { NULL, 0 } };
	uint32_t r = 2463534242;
	size_t live = 0, most_live = 0, i, n;
	unsigned step;

	(void)state;
	most_mapped = mapped;
	for (step = 0; step < STEPS; step++) {
		i = next_random(&r) % SLOTS;
		check(slot[i].p, slot[i].n, i);
		n = some_size(&r);
		live -= slot[i].n;
		if (slot[i].p && next_random(&r) % 2) {
			free(slot[i].p);
			slot[i].p = NULL;
			slot[i].n = 0;
			continue;
		}
		slot[i].p = realloc(slot[i].p, n);
		assert_non_null(slot[i].p);
		assert_int_equal((uintptr_t)slot[i].p % 16, 0);
		check(slot[i].p, n < slot[i].n ? n : slot[i].n, i);
		fill(slot[i].p, n, i);
		slot[i].n = n;
		live += n;
		if (live > most_live)
			most_live = live;
		if (step % 1000 == 0 && n < 1000)
			walk(slot[i].p);
	}
	/* Holes and the rest of arenas, not more. */
	assert_true(most_mapped < most_live * 3 / 2 + 2 * ARENA_BYTES);
	for (i = 0; i < SLOTS; i++) {
		check(slot[i].p, slot[i].n, i);
		free(slot[i].p);
	}
}

/* A buffer that doubles beside others: what it leaves behind is used again. */
static void
doubling(void **state)
{
	size_t before, n;
	int round;
	char *p;
	void *other[20];

	(void)state;
	before = mapped;
	for (round = 0; round < 200; round++) {
		p = NULL;
		for (n = 64; n <= 32768; n *= 2) {
			p = realloc(p, n);
			other[__builtin_ctzl(n)] = malloc(100);
		}
		for (n = 64; n <= 32768; n *= 2)
			free(other[__builtin_ctzl(n)]);
		free(p);
	}
	assert_true(mapped <= before + ARENA_BYTES);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(usual_use),
		cmocka_unit_test(reuse),
		cmocka_unit_test(grows_in_place),
		cmocka_unit_test(large_blocks_go_back),
		cmocka_unit_test(no_memory_left),
		cmocka_unit_test(keeps_errno),
		cmocka_unit_test(torture),
		cmocka_unit_test(doubling),
		cmocka_unit_test(misuse),	/* leaves the heap in ruins */
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
