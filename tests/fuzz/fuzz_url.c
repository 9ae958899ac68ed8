/* URLs of endpoints: what is understood can be said again, and connected to. */
#include <stdlib.h>
#include <string.h>

#include "lib/net/http.h"
#include "tests/fuzz/fuzz.h"

FUZZ(url)
{
	char *text = in_text(in), host[300];
	struct http_url u, v;
	struct buf again = { 0 };

	if (http_url_parse(text, &u) == 0) {
		CHECK(is_string(u.host, sizeof u.host) && *u.host);
		CHECK(is_string(u.path, sizeof u.path));
		CHECK(u.port >= 1 && u.port <= 65535);
		CHECK(is_clean(u.host) && is_clean(u.path));
		CHECK(strpbrk(u.host, " @/?#") == NULL);
		CHECK(strpbrk(u.path, " ?#") == NULL);
		CHECK(http_host_field(&u, host, sizeof host) == 0);
		buf_addf(&again, "http%s://%s%s", u.tls ? "s" : "", host,
		    u.path);
		CHECK(http_url_parse(buf_str(&again), &v) == 0);
		CHECK(u.tls == v.tls && u.port == v.port);
		CHECK(strcmp(u.host, v.host) == 0);
		CHECK(strcmp(u.path, v.path) == 0);
	}
	buf_free(&again);
	free(text);
}
