/*
 * The grammar of sendroute.conf(5): lines, quotes, sections.
 */
#ifndef SENDROUTE_PARSE_H
#define SENDROUTE_PARSE_H

#include <stddef.h>

#include "lib/base/result.h"
#include "lib/config/config.h"

/*
 * parse_text(c, text, n, res): fill c, of which only c->file is set, with what
 * the text says, each line and each section valid for itself; no defaults.
 * Returns 0; or -1 with res filled (exit 78, or 71 without memory) and c in need
 * of config_free().
 */
int parse_text(struct config *c, const char *text, size_t n,
    struct result *res);

/* parse_fail(c, line, res, fmt, ...): "FILE:LINE: ..." with exit 78; -1. */
int parse_fail(const struct config *c, unsigned line, struct result *res,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));

#endif
