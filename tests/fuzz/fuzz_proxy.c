/*
 * Proxies: a URL, a list of exceptions, and what the proxy says. A tunnel is made
 * only by a whole answer, the same however it comes in pieces, and what follows is
 * left for the host's own protocol.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/net/proxy.h"
#include "tests/fuzz/fuzz.h"

static void
check_url(const char *url)
{
	struct proxy p;

	if (proxy_parse(url, &p) != NULL)
		return;
	CHECK(is_string(p.at.host, sizeof p.at.host) && *p.at.host);
	CHECK(is_string(p.user, sizeof p.user));
	CHECK(is_string(p.password, sizeof p.password));
	CHECK(is_clean(p.user) && is_clean(p.password));
	CHECK(p.at.port >= 1 && p.at.port <= 65535);
	CHECK(p.login == (*p.user != '\0'));
	CHECK(p.socks || strchr(p.user, ':') == NULL);
}

struct seen {
	struct result err;
	int rc;
	struct buf rest;
};

static void
tunnel(struct peer *peer, const char *url, struct seen *seen)
{
	static const char host[] = "smtp.test";
	struct stream s = { 0 };
	struct proxy p;
	char some[7];
	ssize_t n;

	*seen = (struct seen){ 0 };
	CHECK(proxy_parse(url, &p) == NULL);
	peer_open(peer, &s);
	seen->rc = proxy_tunnel(&s, &p, host, 587, NULL);
	seen->err = s.err;
	if (seen->rc == 0) {
		CHECK(!s.failed && *s.via);
		CHECK(strncmp(s.peer, "smtp.test:587 via ", 18) == 0);
		while ((n = stream_read(&s, some, sizeof some)) > 0)
			buf_add(&seen->rest, some, (size_t)n);
	} else {
		CHECK(s.failed && *s.via == '\0');
		CHECK(s.err.outcome == OUT_TEMP && s.err.certainly_not_taken);
		CHECK(strncmp(s.err.text, "proxy ", 6) == 0);
		CHECK(is_clean(s.err.text));
	}
	stream_close(&s);
}

FUZZ(proxy)
{
	static const char *const urls[] = { "http://h", "http://u:s3cret@h",
		"socks5://h", "socks5://u:s3cret@h" };
	char *url = in_line(in), *list = in_line(in), *host = in_line(in);
	unsigned how = in_byte(in), i;
	struct peer p[2] = { { .in = *in, .silent = how & 4 },
		{ .in = *in, .silent = how & 4, .piece = 1 } };
	struct seen seen[2];

	check_url(url);
	proxy_is_excepted(list, host, how);
	for (i = 0; i < 2; i++)
		tunnel(&p[i], urls[how % 4], &seen[i]);
	CHECK(seen[0].rc == seen[1].rc);
	CHECK(strcmp(seen[0].err.text, seen[1].err.text) == 0);
	CHECK(seen[0].rest.len == seen[1].rest.len);
	CHECK(memcmp(buf_str(&seen[0].rest), buf_str(&seen[1].rest),
	    seen[0].rest.len) == 0);
	for (i = 0; i < 2; i++) {
		buf_free(&seen[i].rest);
		peer_free(&p[i]);
	}
	free(url);
	free(list);
	free(host);
}
