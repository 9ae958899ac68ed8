/* credential_process ("Sourcing credentials with an external process"). */
#include <string.h>

#include "lib/aws/process.h"
#include "lib/aws/sources.h"
#include "lib/config/command.h"

enum { OUTPUT_MAX = 16384 };

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
	char out[OUTPUT_MAX];
	const char *why;
	long n = command_output(argv, !f->a->log->trace, out, sizeof out, &why);
	enum found ret;

	if (n < 0)
		ret = failed(f, "%s %s", f->c->source, why);
	else	/* what is cut off is no JSON any more */
		ret = take_json(f, out, n < OUTPUT_MAX ? (size_t)n : OUTPUT_MAX,
		    "SessionToken");
	mem_wipe(out, sizeof out);
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
	if (copy == NULL || process_split(copy, argv, PROCESS_WORDS) < 0)
		ret = failed(f, "%s has a quote that does not end", f->c->source);
	else
		ret = run(f, argv);
	str_wipe_free(copy);
	return ret;
}
