/*
 * A growing byte buffer, and the few text helpers that every room needs.
 */
#ifndef SENDROUTE_BUF_H
#define SENDROUTE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Zero-initialised is empty. `p` is NULL or holds len bytes and a NUL behind
 * them. When memory runs out, `failed` is set, the contents stay as they were
 * and every later addition is ignored: one check at the end is enough.
 */
struct buf {
	char *p;
	size_t len, cap;
	bool failed;
};

void buf_add(struct buf *b, const void *data, size_t n);
void buf_adds(struct buf *b, const char *s);
void buf_addc(struct buf *b, char c);
void buf_addf(struct buf *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * buf_reserve(b, n): room for n more bytes in one piece, so that no copy of a
 * secret is left behind by growing.
 */
void buf_reserve(struct buf *b, size_t n);

/* buf_str(b): the contents as a string; "" when empty. Valid until changed. */
const char *buf_str(const struct buf *b);

/* buf_reset(b): empty, memory kept. */
void buf_reset(struct buf *b);

/* buf_free(b): empty, memory given back. buf_wipe: overwritten before. */
void buf_free(struct buf *b);
void buf_wipe(struct buf *b);

/* mem_wipe(p, n): overwrite key material; never optimised away. */
void mem_wipe(void *p, size_t n);

/* str_wipe_free(s): overwrite and free a heap string; NULL is fine. */
void str_wipe_free(char *s);

/* mem_dup(p, n): heap copy of n bytes with a NUL behind; NULL: no memory. */
char *mem_dup(const void *p, size_t n);

/*
 * number_parse(s, min, max, out): s is decimal digits only (no sign, no blank)
 * and min <= value <= max. Returns 0, or -1 with *out untouched.
 */
int number_parse(const char *s, uint64_t min, uint64_t max, uint64_t *out);

/* text_clean(s): C0, C1 and DEL become '?' in place; other 8-bit text stays. */
void text_clean(char *s);

/* mem_is_ascii(p, n): is no byte above 127? */
bool mem_is_ascii(const char *p, size_t n);

/* str_lower(s): ASCII letters to lower case in place. */
void str_lower(char *s);

/*
 * ASCII-only, locale-free comparisons: equal but for letter case; s starts with
 * prefix but for letter case.
 */
bool str_iequal(const char *a, const char *b);
bool mem_iequal(const void *a, const void *b, size_t n);
bool str_istarts(const char *s, const char *prefix);

#endif
