/*
 * The ini files of the AWS CLI and SDKs ("Shared config and credentials files"
 * in the AWS SDKs and Tools Reference Guide), read in constant memory.
 *
 * '#' and ';' start comments on lines of their own, and behind a blank also in
 * other lines. Keys are compared without case, sections with it; ':' serves as
 * '='. As Python's configparser, which the CLI reads with, a line that is indented
 * deeper than the key above it belongs to that key: it is found as "key.name" when
 * nothing stands behind the '=' of a key of 8 bytes at most, else passed over, as
 * is everything that is neither section nor key. A NUL is read as the control
 * character 1. What the CLI refuses as a
 * duplicate is merged, the last one winning.
 */
#ifndef SENDROUTE_INI_H
#define SENDROUTE_INI_H

#include <stddef.h>

#include "lib/base/buf.h"
#include "lib/base/result.h"

enum {
	INI_LINE_MAX = 8192		/* a longer one is passed over or, where a
					 * wanted value stands in it, a failure */
};

/* A key to look for. value is set anew, by one allocation, and never grown. */
struct ini_item {
	const char *key;
	struct buf value;
	bool found;
};

enum ini_state { INI_NO_FILE, INI_NO_SECTION, INI_SECTION };

/*
 * ini_read(file, section, items, n, res): look up n keys of one section. "profile
 * x" also stands for [profile "x"] and other blanks between the two words.
 * Returns how far it came (an ini_state); or -1 with res filled when the file is
 * not readable or a wanted line is too long (exit 77), or memory ran out (71).
 * The caller frees the values, with buf_wipe when they may be secrets, also
 * after a failure.
 */
int ini_read(const char *file, const char *section, struct ini_item *items,
    size_t n, struct result *res);

/* ini_read_open(fd, file, ...): the same from fd, which it closes. */
int ini_read_open(int fd, const char *file, const char *section,
    struct ini_item *items, size_t n, struct result *res);

/*
 * ini_get(file, section, key, out, res): the value of one key, in place of what
 * out held. 1 found, 0 not there (file, section or key; out is left alone), -1
 * as ini_read.
 */
int ini_get(const char *file, const char *section, const char *key,
    struct buf *out, struct result *res);

#endif
