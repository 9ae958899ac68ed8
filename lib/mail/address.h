/*
 * Addresses (RFC 5322 section 3.4, with the obsolete forms of section 4.4).
 */
#ifndef SENDROUTE_ADDRESS_H
#define SENDROUTE_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/buf.h"
#include "lib/base/result.h"

/*
 * A growing list of heap strings; zeroed is empty. Whoever takes the strings
 * away need free no more than v.
 */
struct addr_list {
	char **v;
	bool *bare;	/* beside v, in its memory: was but a name, see below */
	size_t n, cap;
};

/*
 * address_parse(text, n, domain, out, res): every mailbox of an address list is
 * appended to out in its canonical form: local part quoted only where it has to
 * be, comments, display names, routes and groups dropped, a bare name (one
 * word, or one string in quotes) completed with "@domain". Understood: groups,
 * nested comments, quoted pairs, quoted local parts, domain literals, folding
 * (CRLF or LF before a blank), 8-bit display names, empty list members, and
 * mailboxes that follow one another without a comma where that is beyond doubt.
 * Text before <a@b> is its display name, even where it looks like an address. A
 * line end that is no folding is refused, also at the very end of the text: a
 * header field comes without its. out->bare[i] tells which were completed.
 * domain NULL or "": bare names are refused. An empty list is fine. Returns 0;
 * or -1 with res->exit 65 (bad address: named in the text; OUT_PERM,
 * CAUSE_RCPT and with an enhanced status) or 71 (no
 * memory); out then holds what was parsed before.
 */
int address_parse(const char *text, size_t n, const char *domain,
    struct addr_list *out, struct result *res);

/*
 * address_parse_one(text, domain, res): exactly one address, as -f and the
 * configuration take it; "" and "<>" are the null sender, returned as "".
 * Returns a heap string or NULL with res as above.
 */
char *address_parse_one(const char *text, const char *domain,
    struct result *res);

/*
 * address_equal(a, b): canonical addresses that mean one mailbox: local part
 * exact, domain any case. Decides over duplicates.
 */
bool address_equal(const char *a, const char *b);

/* address_domain(a): what stands behind the last '@'; "" when there is none. */
const char *address_domain(const char *a);

/*
 * address_find_spec(text, n, start, end): where the address of a single mailbox
 * ("Name <a@b>" or "a@b") stands in the text, angle brackets not included, so
 * that it can be replaced and the name kept. The text may be a header field's,
 * with its CRLF; whether the address is a usable one is not judged. false when
 * there is not exactly one mailbox.
 */
bool address_find_spec(const char *text, size_t n, size_t *start, size_t *end);

/*
 * address_complete(text, n, domain, out): append to out the address list with
 * "@domain" put behind every bare name, all else as it stands. The text may be a
 * header field's, with its CRLF; whether other addresses are usable is not judged.
 * Returns how many were completed; -1 when the list cannot be parsed, or a bare
 * name is none that could be used (out is then of no use). Memory: out->failed.
 */
int address_complete(const char *text, size_t n, const char *domain,
    struct buf *out);

/* addr_list_add(l, text, n): a copy, not bare; 0, or -1 (no memory). */
int addr_list_add(struct addr_list *l, const char *text, size_t n);

/*
 * addr_list_join(l, more): append what is in more, bare or not, and free more.
 * 0, or -1 (no memory).
 */
int addr_list_join(struct addr_list *l, struct addr_list *more);

/*
 * addr_list_dedup(l): later duplicates (address_equal) are removed. One that is
 * bare only later counts as one that is not.
 */
void addr_list_dedup(struct addr_list *l);

/* addr_list_pop(l): remove the last one of a list that is not empty. */
void addr_list_pop(struct addr_list *l);

void addr_list_free(struct addr_list *l);

#endif
