/*
 * malloc, calloc, realloc and free in place of the C library's where it is
 * linked statically: 7 KiB less. Only the program has them; the tests have the
 * sanitizers' and look at these in test_heap.c. One thread, as the program is.
 *
 * Arenas are cut into blocks; a block's header knows the size of the block before
 * it, so that free ones join at once. Free blocks hang in a list for each power
 * of two. Large blocks are mappings of their own, which the kernel moves when
 * they grow. Headers are sealed with a secret: an overflow or a second free ends
 * the program where it is seen.
 */
#define _GNU_SOURCE		/* mremap */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#ifdef HEAP_TEST
#define malloc heap_malloc
#define calloc heap_calloc
#define realloc heap_realloc
#define free heap_free
void *heap_malloc(size_t), *heap_calloc(size_t, size_t);
void *heap_realloc(void *, size_t);
void heap_free(void *);
#else
#ifdef HEAP_FAIL
#include <fcntl.h>
#include <unistd.h>
#endif
#include <sys/mman.h>
#include <sys/random.h>
#define heap_broken() __builtin_trap()
#endif

#if defined(HEAP_TEST) || !defined(__GLIBC__)

enum {
	UNIT = 16,			/* bytes; all sizes below count these */
	ARENA = 256 * 1024 / UNIT,
	LARGE = 64 * 1024 / UNIT,	/* from here on a mapping of its own */
	LEAST = 2,			/* a header and the links of a free block */
	LISTS = 15			/* 2^14 units are an arena */
};

enum state { IN_USE = 1, IS_FREE, MAPPED };

struct head {
	uint32_t before;		/* size of the block before; 0: none */
	uint32_t size;			/* with this header; 0: the arena's end */
	uint32_t state;
	uint32_t seal;
};

_Static_assert(sizeof(struct head) == UNIT, "a header is one unit");

/* In a free block, behind its header. */
struct links {
	struct head *next, *back;
};

static struct {
	struct head *lists[LISTS];
	uint64_t secret;
} heap;

static uint32_t
seal_of(const struct head *h)
{
	uint64_t v = heap.secret + (uintptr_t)h / UNIT;

	v = (v ^ h->before) * 0x9e3779b97f4a7c15;
	v = (v ^ h->size ^ (uint64_t)h->state << 32) * 0x9e3779b97f4a7c15;
	return (uint32_t)(v >> 32);
}

static void
set(struct head *h, uint32_t before, uint32_t size, enum state state)
{
	h->before = before;
	h->size = size;
	h->state = state;
	h->seal = seal_of(h);
}

static struct head *
checked(struct head *h)
{
	if (h->seal != seal_of(h))
		heap_broken();
	return h;
}

static struct head *
after(struct head *h)
{
	return checked(h + h->size);
}

/* The block that the caller knows by the address of what it may write. */
static struct head *
block_of(void *p)
{
	struct head *h = checked((struct head *)p - 1);

	if (h->state == IS_FREE)
		heap_broken();
	return h;
}

static struct links *
links_of(struct head *h)
{
	return (struct links *)(void *)(h + 1);
}

static struct head **
list_for(uint32_t size)
{
	struct head **list = heap.lists;

	while ((size >>= 1) != 0)
		list++;
	return list;
}

static void
hang(struct head *h)
{
	struct head **list = list_for(h->size);

	*links_of(h) = (struct links){ *list, NULL };
	if (*list)
		links_of(*list)->back = h;
	*list = h;
}

static void
unhang(struct head *h)
{
	struct links l = *links_of(h);

	if (l.next && links_of(checked(l.next))->back != h)
		heap_broken();
	if (l.back ? links_of(checked(l.back))->next != h :
	    *list_for(h->size) != h)
		heap_broken();
	if (l.next)
		links_of(l.next)->back = l.back;
	*(l.back ? &links_of(l.back)->next : list_for(h->size)) = l.next;
}

/* Make one block of h and the one behind it; its header is one no more. */
static void
join(struct head *h, struct head *next)
{
	uint32_t size = h->size + next->size;

	next->seal = ~seal_of(next);
	set(h, h->before, size, h->state);
	next = after(h);
	set(next, size, next->size, next->state);
}

static void
release(struct head *h)
{
	struct head *next = after(h), *before;

	if (next->state == IS_FREE) {
		unhang(next);
		join(h, next);
	}
	set(h, h->before, h->size, IS_FREE);
	before = h->before > 0 ? checked(h - h->before) : h;
	if (before != h && before->state == IS_FREE) {
		unhang(before);
		join(before, h);
		h = before;
	}
	hang(h);
}

/* Keep `size` units of a block in use; the rest is free if it can be a block. */
static void
trim(struct head *h, uint32_t size)
{
	struct head *rest = h + size, *next;
	uint32_t left = h->size - size;

	if (left < LEAST)
		return;
	next = after(h);
	set(h, h->before, size, IN_USE);
	set(rest, size, left, IN_USE);
	set(next, left, next->size, next->state);
	release(rest);
}

/* Fresh memory, or NULL with errno set. */
static struct head *
map(size_t units)
{
	void *p = mmap(NULL, units * UNIT, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	/* Without a secret the seals still find every accident. */
	if (heap.secret == 0 && getrandom(&heap.secret, sizeof heap.secret,
	    GRND_NONBLOCK) < 0)
		heap.secret = 1;
	return p;
}

static struct head *
find(uint32_t size)
{
	struct head **list, *h;

	for (list = list_for(size); list < heap.lists + LISTS; list++)
		for (h = *list; h; h = links_of(h)->next)
			if (checked(h)->size >= size) {
				unhang(h);
				return h;
			}
	h = map(ARENA);
	if (h) {
		set(h, 0, ARENA - 1, IN_USE);
		set(h + ARENA - 1, ARENA - 1, 0, IN_USE);
	}
	return h;
}

#ifdef HEAP_FAIL
/*
 * For slow_oom.py: HEAP_FAIL=N:FILE makes the Nth allocation of a process fail,
 * N+:FILE all from that on. FILE is there then.
 */
static int
fails(void)
{
	static long count;
	const char *told = getenv("HEAP_FAIL");
	long n = 0;
	int fd;

	if (told == NULL)
		return 0;
	for (; *told >= '0' && *told <= '9'; told++)
		n = n * 10 + *told - '0';
	count++;
	if (count < n || (count > n && *told != '+'))
		return 0;
	fd = open(strchr(told, ':') + 1, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
	if (fd >= 0)
		close(fd);
	errno = ENOMEM;
	return 1;
}
#else
#define fails() 0
#endif

/* The units that a block for n bytes needs; 0 when there cannot be one. */
static uint32_t
units(size_t n)
{
	size_t size = n / UNIT + (n % UNIT > 0) + 1;

	if (n > PTRDIFF_MAX - 2 * UNIT || size > UINT32_MAX) {
		errno = ENOMEM;
		return 0;
	}
	return size < LEAST ? LEAST : (uint32_t)size;
}

/*
 * A block for n bytes. (Not malloc itself: compilers think that they know what
 * that returns, and what is not before it.)
 */
static struct head *
take(size_t n)
{
	uint32_t size = fails() ? 0 : units(n);
	struct head *h = size == 0 ? NULL : size < LARGE ? find(size) :
	    map(size);

	if (h == NULL)
		return NULL;
	if (size < LARGE) {
		set(h, h->before, h->size, IN_USE);
		trim(h, size);
	} else
		set(h, 0, size, MAPPED);
	return h;
}

static void
give_back(struct head *h)
{
	int err = errno;

	if (h->state == MAPPED)
		munmap(h, (size_t)h->size * UNIT);
	else
		release(h);
	errno = err;
}

/* Let a block in use have the free one behind it. */
static void
grow(struct head *h, uint32_t size)
{
	struct head *next = after(h);

	if (h->size < size && next->state == IS_FREE &&
	    h->size + next->size >= size) {
		unhang(next);
		join(h, next);
	}
}

/* The block with room for n bytes, here or elsewhere. NULL: h is as it was. */
static struct head *
resize(struct head *h, size_t n)
{
	uint32_t size = fails() ? 0 : units(n);
	struct head *to;

	if (size == 0)
		return NULL;
	if (h->state == MAPPED && size >= LARGE) {
		to = mremap(h, (size_t)h->size * UNIT, (size_t)size * UNIT,
		    MREMAP_MAYMOVE);
		if (to == MAP_FAILED)
			return NULL;
		set(to, 0, size, MAPPED);
		return to;
	}
	if (h->state == IN_USE && size < LARGE) {
		grow(h, size);
		if (h->size >= size) {
			trim(h, size);
			return h;
		}
	}
	to = take(n);
	if (to == NULL)
		return NULL;
	memcpy(to + 1, h + 1, (size_t)((h->size < size ? h->size : size) - 1) *
	    UNIT);
	give_back(h);
	return to;
}

void *
malloc(size_t n)
{
	struct head *h = take(n);

	return h ? h + 1 : NULL;
}

void
free(void *p)
{
	if (p)
		give_back(block_of(p));
}

void *
calloc(size_t n, size_t each)
{
	struct head *h;

	if (each > 0 && n > SIZE_MAX / each) {
		errno = ENOMEM;
		return NULL;
	}
	h = take(n * each);
	if (h == NULL)
		return NULL;
	/* A mapping is zero already. */
	return h->state == MAPPED ? h + 1 : memset(h + 1, 0, n * each);
}

void *
realloc(void *p, size_t n)
{
	struct head *h;

	if (p == NULL)
		return malloc(n);
	h = resize(block_of(p), n);
	return h ? h + 1 : NULL;
}

#endif
