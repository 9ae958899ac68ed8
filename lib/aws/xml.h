/*
 * As much of XML as the replies of STS need.
 */
#ifndef SENDROUTE_XML_H
#define SENDROUTE_XML_H

#include "lib/aws/ini.h"

/*
 * xml_read(text, items, n): the texts of the elements that are called as the n items
 * are: elements without attributes, with nothing but text in them. References such
 * as &lt; stay as they are: no credential holds one. 0; or -1 when one of them is
 * there twice, does not end, or holds other elements. The caller frees the values,
 * also after a failure.
 */
int xml_read(const char *text, struct ini_item *items, size_t n);

#endif
