/*
 * What the values of keywords may be.
 */
#ifndef SENDROUTE_VALUES_H
#define SENDROUTE_VALUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/config/keywords.h"

/*
 * value_check(k, value, number): NULL when value is one for k, with *number set
 * for numbers and choices; else what is wrong with it, worded to stand behind
 * it. Control bytes are the caller's to refuse.
 */
const char *value_check(const struct keyword *k, const char *value,
    uint64_t *number);

/* value_is_none(s): what turns a feature off. */
bool value_is_none(const char *s);

/* value_is_domain(s): letters, digits, - and _ in labels between dots. */
bool value_is_domain(const char *s);

#endif
