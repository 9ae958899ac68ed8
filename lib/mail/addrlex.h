/*
 * What address.c puts a list together from: its words (RFC 5322 section 3.2)
 * and the two sides of an address.
 */
#ifndef SENDROUTE_ADDRLEX_H
#define SENDROUTE_ADDRLEX_H

#include <stdbool.h>
#include <stddef.h>

/* Kinds of token; a special such as ',' or '@' is its own character. */
enum {
	LEX_END = 0,
	LEX_BAD = 1,		/* cannot be read on: `why` says what is wrong */
	LEX_WORD = 'w',		/* atoms and dots, 8-bit text and controls too */
	LEX_QUOTED = 'q',	/* with its quotes */
	LEX_LITERAL = 'l'	/* with its brackets */
};

/* Set s and n, the rest zero. */
struct addrlex {
	const char *s;
	size_t n;
	size_t pos;		/* behind the token */
	size_t start;		/* of the token */
	int type;
	const char *why;
};

/* RFC 5321 section 4.5.3.1: 64 + @ + 255. */
#define ADDR_MAX 320

/* What addrlex_join may need: all of the local part with a backslash. */
#define ADDR_JOIN_SIZE (3 * ADDR_MAX + 4)

/* One side of an address, or a word of a display name. */
struct addrpart {
	size_t len;			/* over ADDR_MAX: text is clipped */
	size_t start, end;		/* where it stands in the list's text */
	bool quoted;			/* some of it was in quotes */
	bool loose;			/* put together over blanks, comments */
	bool literal;			/* [...], brackets included */
	bool dot_end;			/* ends with a dot: more belongs to it */
	char text[ADDR_MAX + 1];	/* quotes undone; no NUL */
};

/*
 * addrlex_next(lx): step over blanks, folding and comments to the next token
 * and return its kind. NUL, and line breaks that are no folding, are LEX_BAD
 * wherever they stand. After LEX_END and LEX_BAD the same comes again.
 */
int addrlex_next(struct addrlex *lx);

/*
 * addrlex_part(lx, part): the word, quoted string or literal at hand, with the
 * words that dots join to it: blanks and comments may stand around such dots
 * (RFC 5322 section 4.4). The last of them is at hand afterwards.
 */
void addrlex_part(struct addrlex *lx, struct addrpart *part);

/*
 * addrlex_is_name(local): is it one word, in quotes or not, that can be an
 * address but for the domain?
 */
bool addrlex_is_name(const struct addrpart *local);

/*
 * addrlex_check(local, host): what makes them unusable as an address, or NULL. A
 * dot that ends the domain is taken off; an internationalised domain becomes
 * A-labels; a local part may be UTF-8 (RFC 6531).
 */
const char *addrlex_check(const struct addrpart *local,
    struct addrpart *host);

/*
 * addrlex_join(local, host, out): local@host in canonical form, of parts that
 * addrlex_check has passed. Returns the length, which may exceed ADDR_MAX; no
 * NUL is added.
 */
size_t addrlex_join(const struct addrpart *local, const struct addrpart *host,
    char out[ADDR_JOIN_SIZE]);

#endif
