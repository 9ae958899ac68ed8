#include "lib/base/json.h"

#include <inttypes.h>

static void
add_string(struct buf *b, const char *s)
{
	buf_addc(b, '"');
	for (; *s; s++)
		if ((unsigned char)*s < 0x20)
			buf_addf(b, "\\u%04x", *s);
		else {
			if (*s == '"' || *s == '\\')
				buf_addc(b, '\\');
			buf_addc(b, *s);
		}
	buf_addc(b, '"');
}

void
json_key(struct buf *b, const char *key)
{
	char last = b->len > 0 ? b->p[b->len - 1] : '{';

	if (last != '{' && last != '[')
		buf_addc(b, ',');
	if (key) {
		add_string(b, key);
		buf_addc(b, ':');
	}
}

void
json_text(struct buf *b, const char *key, const char *s)
{
	json_key(b, key);
	add_string(b, s);
}

void
json_number(struct buf *b, const char *key, int64_t n)
{
	json_key(b, key);
	buf_addf(b, "%" PRId64, n);
}
