#include "lib/aws/xml.h"

#include <stdio.h>
#include <string.h>

static int
read_one(const char *text, struct ini_item *item)
{
	char tag[40];
	size_t n = (size_t)snprintf(tag, sizeof tag, "</%s>", item->key);
	const char *end = strstr(text, tag);

	/* Without its slash it begins the element. */
	memmove(tag + 1, tag + 2, n - 1);
	text = strstr(text, tag);
	if (text == NULL && end == NULL)
		return 0;
	if (text == NULL || end == NULL || end < text + n - 1 ||
	    strstr(text + 1, tag))
		return -1;
	text += n - 1;
	if (memchr(text, '<', (size_t)(end - text)))
		return -1;
	buf_add(&item->value, text, (size_t)(end - text));
	item->found = true;
	return item->value.failed ? -1 : 0;
}

int
xml_read(const char *text, struct ini_item *items, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (read_one(text, &items[i]) < 0)
			return -1;
	return 0;
}
