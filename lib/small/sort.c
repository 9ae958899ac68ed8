/*
 * qsort in place of the C library's, which is seven times as large: a heap sort,
 * never worse than n log n. The queue's lists are sorted with it.
 */
#include <stddef.h>
#include <stdlib.h>

#ifdef SORT_TEST
#define qsort sort_qsort
void sort_qsort(void *, size_t, size_t, int (*)(const void *, const void *));
#endif

#if defined(SORT_TEST) || !defined(__GLIBC__)

static void
swap(char *a, char *b, size_t n)
{
	char c;

	for (; n > 0; n--) {
		c = *a;
		*a++ = *b;
		*b++ = c;
	}
}

/* Let element i sink until neither of its two children is greater. */
static void
sink(char *v, size_t i, size_t n, size_t size,
    int (*compare)(const void *, const void *))
{
	size_t child;

	for (; (child = 2 * i + 1) < n; i = child) {
		if (child + 1 < n && compare(v + child * size,
		    v + (child + 1) * size) < 0)
			child++;
		if (compare(v + i * size, v + child * size) >= 0)
			return;
		swap(v + i * size, v + child * size, size);
	}
}

void
qsort(void *base, size_t n, size_t size,
    int (*compare)(const void *, const void *))
{
	char *v = base;
	size_t i;

	for (i = n / 2; i > 0; i--)
		sink(v, i - 1, n, size, compare);
	while (n-- > 1) {
		swap(v, v + n * size, size);
		sink(v, 0, n, size, compare);
	}
}

#endif
