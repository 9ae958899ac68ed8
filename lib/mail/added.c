#include "lib/mail/added.h"

#include <inttypes.h>
#include <string.h>

#include "bearssl-glue.h"
#include "lib/base/base64.h"
#include "lib/base/clock.h"
#include "lib/mail/idn.h"

enum { ENCODED_WORD_BYTES = 42 };	/* base64 of them stays below 75 */

void
added_date(struct buf *out, time_t now)
{
	char date[CLOCK_RFC5322_SIZE];

	clock_rfc5322(date, now);
	buf_addf(out, "Date: %s\r\n", date);
}

void
added_message_id(struct buf *out, time_t now, const char *hostname)
{
	unsigned char random[8];
	char hex[2 * sizeof random + 1];

	if (random_bytes(random, sizeof random) < 0)
		memset(random, 0, sizeof random);
	hex_encode(hex, random, sizeof random);
	buf_addf(out, "Message-ID: <%" PRIx64 ".%s@%s>\r\n", (uint64_t)now, hex,
	    hostname);
}

static bool
is_control(char c)
{
	return (unsigned char)c < ' ' || c == 0x7F;
}

/* Display name as encoded words of UTF-8 (RFC 2047 section 5). */
static void
encoded_words(struct buf *out, const char *name)
{
	char word[BASE64_SIZE(ENCODED_WORD_BYTES) + 1];
	char text[ENCODED_WORD_BYTES];
	size_t n = strlen(name), k, i;
	const char *charset = utf8_valid(name, n) ? "utf-8" : "unknown-8bit";

	while (n > 0) {
		k = n < ENCODED_WORD_BYTES ? n : ENCODED_WORD_BYTES;
		while (k < n && k > 1 && ((unsigned char)name[k] & 0xC0) == 0x80)
			k--;
		for (i = 0; i < k; i++)
			text[i] = is_control(name[i]) ? ' ' : name[i];
		word[base64_encode(word, text, k)] = '\0';
		buf_addf(out, "=?%s?B?%s?=%s", charset, word,
		    k < n ? "\r\n " : "");
		name += k;
		n -= k;
	}
}

static void
quoted(struct buf *out, const char *name)
{
	buf_addc(out, '"');
	for (; *name; name++) {
		if (*name == '"' || *name == '\\')
			buf_addc(out, '\\');
		buf_addc(out, is_control(*name) ? ' ' : *name);
	}
	buf_addc(out, '"');
}

void
added_from(struct buf *out, const char *addr, const char *full_name)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-/=?^_`{|}~ ";
	const char *p;

	buf_adds(out, "From: ");
	if (full_name == NULL || *full_name == '\0') {
		buf_addf(out, "%s\r\n", addr);
		return;
	}
	for (p = full_name; *p && (unsigned char)*p < 0x80; p++)
		continue;
	if (*p)
		encoded_words(out, full_name);
	else if (full_name[strspn(full_name, plain)] == '\0')
		buf_adds(out, full_name);
	else
		quoted(out, full_name);
	buf_addf(out, " <%s>\r\n", addr);
}
