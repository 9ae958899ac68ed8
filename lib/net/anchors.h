/*
 * Trust anchors on demand: instead of decoding every root of the system's
 * bundle, scan its PEM text for the few certificates whose subject is asked for.
 */
#ifndef SENDROUTE_ANCHORS_H
#define SENDROUTE_ANCHORS_H

#include "lib/net/der.h"

/*
 * anchors_open(file, used): open `file`, or with NULL the first of the places
 * where systems keep their bundle; *used becomes the path tried (last). Returns
 * a descriptor, or -1 with errno set.
 */
int anchors_open(const char *file, const char **used);

/*
 * anchors_find(fd, subjects, n, found, ctx): call found(ctx, der, len) for every
 * certificate of the PEM file whose subject equals one of the n Names (whole
 * elements, byte for byte: RFC 5280 section 7.1 as CAs practise it). A last line
 * without its end is fine; what is no certificate is passed over; one of over
 * 16 KiB of PEM text too. Returns how many certificates the file holds, or -1
 * with errno set.
 */
int anchors_find(int fd, const struct der *subjects, size_t n,
    void (*found)(void *ctx, const unsigned char *der, size_t len), void *ctx);

#endif
