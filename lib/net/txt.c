#include "lib/net/txt.h"

#include <unistd.h>

#include "lib/net/dns.h"

int
txt_find(const char *name, struct buf *text)
{
	unsigned char answer[DNS_TEXT];
	struct dns dns;
	size_t n;

	dns_load(&dns, "/etc/resolv.conf", 53);
	n = dns_text(&dns, name, answer);
	return n == 0 ? TXT_NO_ANSWER : txt_read(answer, n, text);
}

int
txt_find_in(int fd, const char *name, struct buf *text)
{
	struct dns_lines l = { .fd = fd };
	char line[2048], *at, *word;

	lseek(fd, 0, SEEK_SET);
	while (dns_lines_next(&l, line, sizeof line)) {
		at = line;
		word = word_next(&at);
		if (word && str_iequal(word, name)) {
			buf_adds(text, at);
			return TXT_FOUND;
		}
	}
	return TXT_NONE;
}

static unsigned
two(const unsigned char *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

int
txt_read(const unsigned char *p, size_t n, struct buf *text)
{
	size_t at = 12, len, end;
	unsigned count;

	if (n < at)
		return TXT_NONE;
	for (count = two(p + 4); count > 0 && at < n; count--)
		at = dns_skip_name(p, n, at) + 4;
	for (count = two(p + 6); count > 0; count--) {
		at = dns_skip_name(p, n, at) + 10;
		if (at > n || (len = two(p + at - 2)) > n - at)
			return TXT_NONE;
		end = at + len;
		if (two(p + at - 10) == DNS_TXT) {
			for (; at < end && p[at] < end - at; at += p[at] + 1u)
				buf_add(text, p + at + 1, p[at]);
			return TXT_FOUND;
		}
		at = end;
	}
	return TXT_NONE;
}
