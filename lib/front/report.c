#include "lib/front/report.h"

#include <string.h>

static void
end_report(struct report *r)
{
	const char *letter = r->text.p + r->last;

	if (*letter == '>' && r->last == 0)
		r->handed_over = r->complete = true;
	else if (*letter == 'K' || *letter == 'Z' || *letter == 'D')
		r->complete = true;
	else if (*letter == '\0' || strchr("rhs", *letter) == NULL ||
	    ++r->n > r->most)
		r->broken = true;
	else
		r->last = r->text.len;
}

void
report_take(void *ctx, const char *data, size_t n)
{
	struct report *r = ctx;

	for (; n > 0 && !r->complete && !r->broken; n--, data++) {
		if (*data == '!' && r->text.len == 0)
			r->begun = true;
		else if (*data == '\0' ||
		    r->text.len - r->last < REPORT_MAX - 1)
			buf_addc(&r->text, *data);
		if (r->text.failed)
			r->broken = true;
		else if (*data == '\0')
			end_report(r);
	}
}

bool
report_usable(const struct report *r)
{
	return r->complete && !r->broken && !r->handed_over;
}
