/*
 * What a qmail-remote says (qmail-remote(8)): reports of a letter, text and NUL
 * each; for the recipients r, h or s, then one for the message, K, Z or D.
 */
#ifndef SENDROUTE_REPORT_H
#define SENDROUTE_REPORT_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/buf.h"

enum { REPORT_MAX = 10000 };	/* bytes of one report; the rest is clipped */

struct report {
	size_t most;		/* recipients */
	struct buf text;	/* reports, the last perhaps without its NUL */
	size_t last;		/* where that one begins */
	size_t n;		/* reports of recipients */
	bool begun;		/* a '!' came first: see qmail.c */
	bool handed_over;	/* text is '>' and a route: see handover.h */
	bool complete;		/* that of the message came; no more is taken */
	bool broken;		/* these are no reports */
};

/* report_take(r, data, n): what came next. r is a struct report. */
void report_take(void *r, const char *data, size_t n);

/* report_usable(r): is it one? */
bool report_usable(const struct report *r);

#endif
