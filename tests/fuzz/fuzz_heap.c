/*
 * The program's malloc under any sequence of calls: blocks are aligned, do not
 * meet, keep what is in them, and the arenas stay whole.
 */
#define _GNU_SOURCE		/* mremap */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "tests/fuzz/fuzz.h"

static int mappings;		/* that will still be given */

static void *
some_mmap(size_t n)
{
	if (mappings-- > 0)
		return mmap(NULL, n, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	errno = ENOMEM;
	return MAP_FAILED;
}

static void *
some_mremap(void *p, size_t old, size_t n)
{
	if (n <= old || mappings-- > 0)
		return mremap(p, old, n, MREMAP_MAYMOVE);
	errno = ENOMEM;
	return MAP_FAILED;
}

#define mmap(at, n, prot, flags, fd, offset) some_mmap(n)
#define mremap(p, old, n, flags) some_mremap(p, old, n)
#define heap_broken() CHECK(!"the heap is whole")
#define HEAP_TEST
#include "lib/small/heap.c"
#undef mmap
#undef mremap
#undef malloc
#undef calloc
#undef realloc
#undef free

enum { SLOTS = 32 };

struct slot {
	unsigned char *p;
	size_t n;
	unsigned seed;
};

/* Large blocks only at both ends. */
static size_t
step_from(size_t i, size_t n)
{
	return i == 300 && n > 600 ? n - 300 : i + 1;
}

static void
fill(const struct slot *s)
{
	size_t i;

	for (i = 0; i < s->n; i = step_from(i, s->n))
		s->p[i] = (unsigned char)(s->seed * 31 + i);
}

static void
check(const struct slot *s, size_t n)
{
	size_t i;

	CHECK(((uintptr_t)s->p & 15) == 0);
	for (i = 0; i < n; i = step_from(i, s->n))
		CHECK(s->p[i] == (unsigned char)(s->seed * 31 + i));
}

/* Sizes at which something changes, more often than others. */
static size_t
size_of(struct input *in)
{
	static const size_t edges[] = { 0, 16, 32, 512, 4096, 65536 - 32,
		65536, 256 * 1024 - 64, 256 * 1024 - 32, 1 << 20 };
	unsigned a = in_byte(in), b = in_byte(in);

	return a < 200 ? a * (b % 16) + b : edges[a % 10] + b % 40;
}

/* Every block of the arena that p is in. */
static void
walk(void *p)
{
	struct head *h = (struct head *)p - 1;
	uint32_t before = 0, total = 0;
	bool was_free = false;

	if (h->state == MAPPED)
		return;
	while (h->before > 0)
		h -= h->before;
	for (; h->size > 0; h += before) {
		CHECK(h->seal == seal_of(h) && h->before == before);
		CHECK(!was_free || h->state != IS_FREE);
		was_free = h->state == IS_FREE;
		before = h->size;
		total += before;
	}
	CHECK(h->before == before && total == ARENA - 1);
}

static void
step(struct slot *slots, struct input *in)
{
	unsigned what = in_byte(in);
	struct slot *s = &slots[what % SLOTS];
	size_t n;
	void *p;

	switch (what / SLOTS % 4) {
	case 0:
	case 1:
		heap_free(s->p);
		s->n = size_of(in);
		s->p = what / SLOTS % 2 ? heap_calloc(s->n, 1) :
		    heap_malloc(s->n);
		if (s->p == NULL)
			s->n = 0;
		for (n = 0; what / SLOTS % 2 && n < s->n; n = step_from(n,
		    s->n))
			CHECK(s->p[n] == 0);
		break;
	case 2:
		n = size_of(in);
		p = heap_realloc(s->p, n);
		if (p == NULL && n > 0) {
			if (s->p)
				check(s, s->n);
			return;
		}
		s->p = p;
		if (p)
			check(s, s->n < n ? s->n : n);
		s->n = p ? n : 0;
		break;
	case 3:
		heap_free(s->p);
		s->p = NULL;
		s->n = 0;
		break;
	}
	if (s->p) {
		s->seed = in_byte(in);
		fill(s);
		walk(s->p);
	}
}

FUZZ(heap)
{
	struct slot slots[SLOTS] = { 0 };
	size_t i, steps = 0;

	mappings = (int)in_byte(in);
	while (in->n > 0 && steps++ < 2000)
		step(slots, in);
	for (i = 0; i < SLOTS; i++) {
		if (slots[i].p)
			check(&slots[i], slots[i].n);
		heap_free(slots[i].p);
	}
	CHECK(heap_malloc(SIZE_MAX) == NULL && heap_calloc(SIZE_MAX, 2) == NULL);
}
