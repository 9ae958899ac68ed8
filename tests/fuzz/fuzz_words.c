/* Command lines: the words, quoted and split again, are the same words. */
#include <stdlib.h>
#include <string.h>

#include "lib/aws/process.h"
#include "tests/fuzz/fuzz.h"

static void
quote(struct buf *out, const char *s)
{
	for (buf_addc(out, '\''); *s; s++)
		if (*s == '\'')
			buf_adds(out, "'\\''");
		else
			buf_addc(out, *s);
	buf_adds(out, "' ");
}

FUZZ(words)
{
	char *text = in_text(in), *argv[PROCESS_WORDS], *again[PROCESS_WORDS];
	size_t n = strlen(text), i;
	struct buf all = { 0 };

	if (process_split(text, argv, PROCESS_WORDS) == 0) {
		CHECK(argv[0] != NULL);
		for (i = 0; argv[i]; i++) {
			CHECK(i < PROCESS_WORDS - 1);
			CHECK(argv[i] >= text &&
			    argv[i] + strlen(argv[i]) <= text + n);
			quote(&all, argv[i]);
		}
		CHECK(process_split(all.p, again, PROCESS_WORDS) == 0);
		for (i = 0; argv[i]; i++)
			CHECK(again[i] && strcmp(again[i], argv[i]) == 0);
		CHECK(again[i] == NULL);
	}
	buf_free(&all);
	free(text);
}
