/* credential_process ("Sourcing credentials with an external process"). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/aws/process.h"
#include "lib/aws/sources.h"
#include "lib/config/command.h"

enum { OUTPUT_MAX = 32768 };

/* One word, unquoted in place; NULL: a quote or an escape does not end. */
static char *
end_word(char *s, char **next)
{
	char *out = s, quote = '\0';

	for (; *s != '\0' && (quote || !strchr(" \t\r\n", *s)); s++) {
		if (*s == quote)
			quote = '\0';
		else if (!quote && (*s == '\'' || *s == '"'))
			quote = *s;
		else if (*s == '\\' && quote != '\'' && (!quote ||
		    s[1] == '\\' || s[1] == '"')) {
			if (*++s == '\0')
				return NULL;
			*out++ = *s;
		} else
			*out++ = *s;
	}
	*next = *s != '\0' ? s + 1 : s;
	*out = '\0';
	return quote ? NULL : out;
}

int
process_split(char *s, char *argv[], int max)
{
	int n = 0;

	for (s += strspn(s, " \t\r\n"); *s != '\0'; s += strspn(s, " \t\r\n")) {
		if (n + 1 >= max)
			return -1;
		argv[n++] = s;
		if (end_word(s, &s) == NULL)
			return -1;
	}
	argv[n] = NULL;
	return n > 0 ? 0 : -1;
}

static enum found
run(struct finder *f, char *argv[])
{
	const char *why = "cannot be run: out of memory";
	char *out = malloc(OUTPUT_MAX);
	long n = -1;
	enum found ret;

	if (out != NULL)
		n = command_output(argv, !f->a->log->trace, out, OUTPUT_MAX,
		    &why);
	if (n < 0)
		ret = failed(f, "%s %s", f->c->source, why);
	else if (n > OUTPUT_MAX)
		ret = failed(f, "%s printed too much", f->c->source);
	else
		ret = take_json(f, out, (size_t)n, "SessionToken");
	if (out != NULL)
		mem_wipe(out, OUTPUT_MAX);
	free(out);
	return ret;
}

enum found
from_process(struct finder *f)
{
	const char *line = profile_value(f->p, ITEM_PROCESS);
	char *copy, *argv[PROCESS_WORDS];
	enum found ret;

	if (line == NULL)
		return ABSENT;
	recipe(f, line);
	if (f->dry)
		return FOUND;
	set_source(f, "credential_process of profile %s", f->p->name, "");
	copy = mem_dup(line, strlen(line));
	if (copy == NULL)
		return failed(f, "out of memory");
	if (process_split(copy, argv, PROCESS_WORDS) < 0)
		ret = failed(f, "%s has a quote that does not end, or too many "
		    "words", f->c->source);
	else
		ret = run(f, argv);
	str_wipe_free(copy);
	return ret;
}
