/* Domains of any alphabet: ASCII comes out, in labels that fit, and it stays. */
#include <stdlib.h>
#include <string.h>

#include "lib/mail/idn.h"
#include "tests/fuzz/fuzz.h"

static void
check_utf8(const char *p, size_t n)
{
	const char *end = p + n;
	unsigned cp;
	size_t len;

	while (p < end && (len = utf8_next(p, end, &cp)) > 0) {
		CHECK(len <= 4 && len <= (size_t)(end - p));
		CHECK(cp <= 0x10ffff && (cp < 0xd800 || cp > 0xdfff));
		CHECK(len == (cp < 0x80 ? 1 : cp < 0x800 ? 2 :
		    cp < 0x10000 ? 3 : 4));
		p += len;
	}
}

FUZZ(idn)
{
	size_t size = in_byte(in) + 1, i, label = 0;
	char *text = (char *)in_copy(in), *out = malloc(size),
	    *again = malloc(size);
	int n = idn_to_ascii(text, in->n, out, size);
	bool ascii = mem_is_ascii(text, in->n);

	check_utf8(text, in->n);
	CHECK(utf8_valid(text, in->n) || n < 0);
	if (n >= 0) {
		CHECK((size_t)n < size);
		CHECK(mem_is_ascii(out, (size_t)n));
		for (i = 0; !ascii && i < (size_t)n; i++)
			if (out[i] == '.')
				label = 0;
			else
				CHECK(++label <= 63 || !strstr(text, "xn--"));
		CHECK(!ascii || (in->n == (size_t)n &&
		    memcmp(out, text, (size_t)n) == 0));
		CHECK(idn_to_ascii(out, (size_t)n, again, size) == n);
		CHECK(memcmp(out, again, (size_t)n) == 0);
	}
	free(again);
	free(out);
	free(text);
}
