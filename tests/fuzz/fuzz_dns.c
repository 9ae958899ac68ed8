/* DNS answers: addresses and TXT records; a letter first. */
#include <stdlib.h>
#include <string.h>

#include "lib/net/dns.h"
#include "lib/net/txt.h"
#include "tests/fuzz/fuzz.h"

FUZZ(dns)
{
	unsigned how = in_byte(in);
	unsigned char *p = in_copy(in);
	struct ip_address out[RESOLVE_MAX + 1], guard;
	char canonical[RESOLVE_NAME];
	struct buf text = { 0 };
	int have = how & 2 ? RESOLVE_MAX - 1 : (int)(how >> 4 & 3), n, rc;
	size_t at;

	memset(&guard, 0x5a, sizeof guard);
	memset(out, 0x5a, sizeof out);
	memset(canonical, 'x', sizeof canonical);
	strcpy(canonical, "was");
	n = dns_read(p, in->n, how & 1 ? 28 : 1, out, have, canonical);
	CHECK(n >= have && n <= RESOLVE_MAX);
	CHECK(memcmp(&out[RESOLVE_MAX], &guard, sizeof guard) == 0);
	CHECK(memcmp(&out[n], &guard, sizeof guard) == 0);
	CHECK(is_string(canonical, sizeof canonical) && is_clean(canonical));
	rc = txt_read(p, in->n, &text);
	CHECK(rc == TXT_FOUND || (rc == TXT_NONE && text.len == 0));
	CHECK(text.len <= in->n);
	for (at = 0; at < in->n; at++)
		CHECK(dns_skip_name(p, in->n, at) > at);
	buf_free(&text);
	free(p);
}
