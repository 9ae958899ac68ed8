/*
 * Connections by way of a proxy: HTTP's CONNECT (RFC 9110 section 9.3.6) with
 * Basic authentication (RFC 7617), and SOCKS 5 (RFC 1928) with a password (RFC
 * 1929). The proxy resolves the host's name: we never do.
 */
#ifndef SENDROUTE_PROXY_H
#define SENDROUTE_PROXY_H

#include "lib/base/log.h"
#include "lib/net/http.h"

enum { PROXY_LOGIN_MAX = 255, PROXY_SECONDS = 90 };

struct proxy {
	bool socks, login;
	struct http_url at;			/* host and port */
	char user[PROXY_LOGIN_MAX + 1], password[PROXY_LOGIN_MAX + 1];
};

/*
 * proxy_parse(url, p): "http://[user:password@]host[:port]" (port 80), the same
 * without "http://", socks5:// or socks5h:// (1080); user and password
 * percent-decoded. NULL; or what is wrong, worded to stand behind it. p holds a
 * secret: the caller wipes it.
 */
const char *proxy_parse(const char *url, struct proxy *p);

/*
 * proxy_tunnel(s, p, host, port, log): s, over a connection to the proxy,
 * becomes one to host, a name or an address, until s->deadline; s->via names the
 * proxy then. What came right behind the proxy's answer is the host's and stays
 * buffered. 0, or -1 with the reason in s.
 */
int proxy_tunnel(struct stream *s, const struct proxy *p, const char *host,
    unsigned port, struct log *log);

/*
 * proxy_dial(s, url, host, port, source, seconds, log, res): dial() by way of
 * the proxy url, or straight when that is NULL or "". The proxy has `seconds`,
 * PROXY_SECONDS at most, for its answers; text about it begins with "proxy ".
 */
int proxy_dial(struct stream *s, const char *url, const char *host,
    unsigned port, const char *source, int64_t seconds, struct log *log,
    struct result *res);

/*
 * proxy_is_excepted(list, host, port): does NO_PROXY name the host? Between commas
 * or blanks: "*"; a domain, which stands for its subdomains too, with or without
 * "." or "*." in front; an address; an address and "/bits"; each but the last with
 * ":port" or without.
 */
bool proxy_is_excepted(const char *list, const char *host, unsigned port);

#endif
