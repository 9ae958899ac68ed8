/*
 * Sender patterns taken apart, once for many addresses; senders.h says what they
 * mean.
 */
#ifndef SENDROUTE_PATTERN_H
#define SENDROUTE_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

/* Points into the pattern. No part is NUL-terminated. */
struct pattern {
	bool everyone;		/* "*" */
	bool subdomains;	/* "@.": domain is what follows */
	bool wild_local, wild_domain;
	const char *local, *domain;
	size_t nlocal, ndomain;
};

/* Points into the address. */
struct needle {
	const char *local, *domain;	/* domain is NULL without @ */
	size_t nlocal, ndomain;
};

/* pattern_parse(p, s, n): take n bytes apart; false: they are no pattern. */
bool pattern_parse(struct pattern *p, const char *s, size_t n);

/* pattern_needle(addr): an address, "" for the null sender, taken apart. */
struct needle pattern_needle(const char *addr);

/* pattern_covers(p, a): does p stand for the address? */
bool pattern_covers(const struct pattern *p, const struct needle *a);

#endif
