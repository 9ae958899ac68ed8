#include "lib/base/result.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/buf.h"

static void
fill(struct result *r, enum outcome outcome, enum cause cause,
    const char *fmt, va_list ap)
{
	char text[sizeof r->text];

	/* The arguments may point into r itself, so r is written last. */
	vsnprintf(text, sizeof text, fmt, ap);
	text_clean(text);
	memset(r, 0, sizeof *r);
	r->outcome = outcome;
	r->cause = cause;
	r->certainly_not_taken = outcome != OUT_DONE;
	memcpy(r->text, text, sizeof text);
}

void
result_set(struct result *r, enum outcome outcome, enum cause cause,
    const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fill(r, outcome, cause, fmt, ap);
	va_end(ap);
}

void
result_ambiguous(struct result *r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fill(r, OUT_TEMP, CAUSE_ROUTE, fmt, ap);
	va_end(ap);
	r->certainly_not_taken = false;
}

int
result_fail(struct result *r, int exit, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fill(r, OUT_TEMP, CAUSE_LOCAL, fmt, ap);
	va_end(ap);
	r->exit = exit;
	return -1;
}

/* Length of "D.DDD.DDD" at the start of s with the class 2, 4 or 5, or 0. */
static size_t
enhanced_length(const char *s)
{
	size_t i = 1, start;
	int part;

	if (s[0] != '2' && s[0] != '4' && s[0] != '5')
		return 0;
	for (part = 0; part < 2; part++) {
		if (s[i++] != '.')
			return 0;
		for (start = i; isdigit((unsigned char)s[i]); i++)
			if (i - start >= 3)
				return 0;
		if (i == start)
			return 0;
	}
	return s[i] == '\0' || s[i] == ' ' ? i : 0;
}

void
result_set_enhanced(struct result *r, const char *text)
{
	size_t n = enhanced_length(text);

	memcpy(r->enhanced, text, n);
	r->enhanced[n] = '\0';
}

int
result_exit(const struct result *r)
{
	if (r->outcome == OUT_DONE)
		return EXIT_OK;
	if (r->exit != 0)
		return r->exit;
	return r->outcome == OUT_PERM ? EXIT_REFUSED : EXIT_TEMP;
}

bool
result_may_fail_over(const struct result *r)
{
	if (r->outcome == OUT_DONE || !r->certainly_not_taken)
		return false;
	return r->outcome == OUT_TEMP || r->cause == CAUSE_ROUTE;
}

const char *
result_status(const struct result *r)
{
	switch (r->outcome) {
	case OUT_DONE:
		return "sent";
	case OUT_PERM:
		return "failed";
	case OUT_TEMP:
		break;
	}
	return "deferred";
}
