/*
 * What this program was built without (make small WITHOUT="..."): a list of
 * words. Where nothing is left out, what asks for it is not compiled either.
 */
#ifndef SENDROUTE_WITHOUT_H
#define SENDROUTE_WITHOUT_H

#include <stdbool.h>
#include <string.h>

#ifndef WITHOUT
#define WITHOUT ""
#endif
#define WITHOUT_ANY (sizeof WITHOUT > 1)

/* built_without(word, n): is a word of n bytes in the list? */
static inline bool
built_without(const char *word, size_t n)
{
	const char *p = WITHOUT;
	size_t size;

	for (; *p; p += size + (p[size] == ' ')) {
		size = strcspn(p, " ");
		if (size == n && memcmp(p, word, n) == 0)
			return true;
	}
	return false;
}

#endif
