/*
 * Sender lists: patterns, and which of a message's addresses they cover.
 *
 *   alice@example.com        that address (local part exact, domain any case)
 *   @example.com             every address of that domain
 *   @.example.com            every address of any subdomain
 *   *-bounces@lists.example  * stands for any run of characters but @
 *   *                        everyone, the null sender too
 *
 * In a list stands one pattern a line; blanks around it, empty lines, and
 * comments (# at the start of a line or behind a blank) are passed over.
 */
#ifndef SENDROUTE_SENDERS_H
#define SENDROUTE_SENDERS_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/result.h"
#include "lib/config/config.h"
#include "lib/config/pattern.h"

enum { SENDERS_LINE_MAX = 1000 };	/* bytes, without its end */

/*
 * An address, and whether and by what it was matched: "PATTERN in WHERE:LINE",
 * where WHERE is the list, the configuration for `sender` and `senders *`, or
 * "the built-in list".
 */
struct sender_query {
	const char *addr;	/* "" is the null sender */
	bool matched;
	char by[400];		/* once matched */
};

/* senders_pattern_valid(pattern): can it be a line of a list? */
bool senders_pattern_valid(const char *pattern);

/* senders_pattern_match(pattern, n, addr): does a valid pattern cover addr? */
bool senders_pattern_match(const char *pattern, size_t n, const char *addr);

/*
 * senders_match(r, q, nq, any, res): look up the nq addresses in the sources of
 * route r, files read once with constant memory and left as soon as all are
 * matched (with `any`: one). Marks q[i].matched and q[i].by. Returns 0; or -1 with
 * res->exit 77 (may not be read), 71 (no memory) or 78 (missing, malformed line:
 * file and line).
 */
int senders_match(const struct route *r, struct sender_query *q, size_t nq,
    bool any, struct result *res);

/*
 * senders_match_text(text, where, q, nq, any, res): the same in a list in memory
 * that the texts call `where`.
 */
int senders_match_text(const char *text, const char *where,
    struct sender_query *q, size_t nq, bool any, struct result *res);

/*
 * senders_each(r, each, ctx, res): every pattern of route r, in order; n bytes, not
 * terminated. As senders_match().
 */
int senders_each(const struct route *r, void (*each)(void *ctx,
    const struct pattern *p, const char *text, size_t n), void *ctx,
    struct result *res);

/* The list compiled in with `make SENDERS=FILE`: its text, "" when none. */
extern const char senders_builtin[];

#endif
