/* credential_process ("Sourcing credentials with an external process"). */
#include "lib/aws/process.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/aws/sources.h"
#include "lib/config/command.h"
#include "lib/config/helper.h"

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

int
process_run(const char *line, int quiet, char *out, size_t size, long *n)
{
	char *copy = mem_dup(line, strlen(line)), *argv[PROCESS_WORDS];
	int status = COMMAND_NOT_BEGUN - ENOMEM;

	if (copy != NULL)
		status = process_split(copy, argv, PROCESS_WORDS) < 0 ?
		    COMMAND_UNUSABLE : command_run(argv, quiet, out, size, n);
	str_wipe_free(copy);
	return status;
}

static enum found
take_output(struct finder *f, const char *line)
{
	struct helper_request ask = {
		.route = (uint32_t)(f->a->route - f->a->config->routes) };
	const struct profile *p;
	char out[HELPER_MAX];
	const char *why;
	enum found ret;
	long n = 0;

	for (p = f->p->asker; p != NULL; p = p->asker)
		ask.profile++;
	if (f->a->config->helper != 0)
		n = helper_ask(f->a->config->helper, &ask, out, sizeof out, &why);
	else
		why = command_why(process_run(line, !f->a->log->trace, out,
		    sizeof out, &n));
	if (why != NULL)
		ret = failed(f, "%s %s", f->c->source, why);
	else	/* what is cut off is no JSON any more */
		ret = take_json(f, out, n < HELPER_MAX ? (size_t)n : HELPER_MAX,
		    "SessionToken");
	mem_wipe(out, sizeof out);
	return ret;
}

enum found
from_process(struct finder *f)
{
	const char *line = profile_value(f->p, ITEM_PROCESS);

	if (line == NULL)
		return ABSENT;
	recipe(f, line);
	if (f->dry)
		return FOUND;
	set_source(f, "credential_process of profile %s", f->p->name, "");
	return take_output(f, line);
}

void
process_profiles(const struct aws *a, bool (*see)(void *ctx,
    const struct profile *p), void *ctx)
{
	struct profile p = { 0 };
	char *name = NULL, *old;
	const char *source;
	int i;

	profile_read(&p, a);
	for (i = 0; i < PROCESS_PROFILES && see(ctx, &p); i++) {
		source = profile_value(&p, ITEM_SOURCE);
		old = name;
		name = source != NULL ? mem_dup(source, strlen(source)) : NULL;
		profile_free(&p);
		free(old);
		p = (struct profile){ 0 };
		if (name == NULL)
			return;
		profile_read_named(&p, name, a->env);
	}
	profile_free(&p);
	free(name);
}
