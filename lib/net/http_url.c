#include "lib/net/http.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

static bool
copy(char *out, size_t size, const char *p, size_t n)
{
	if (n >= size)
		return false;
	memcpy(out, p, n);
	out[n] = '\0';
	return true;
}

/* The host at p into out->host; returns what follows it, or NULL. */
static const char *
parse_host(const char *p, struct http_url *out)
{
	static const char name[] = "0123456789-._"
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	struct in6_addr v6;
	size_t n;

	if (*p != '[') {
		n = strspn(p, name);
		return n > 0 && copy(out->host, sizeof out->host, p, n) ?
		    p + n : NULL;
	}
	p++;
	n = strcspn(p, "]");
	if (p[n] == '\0' || !copy(out->host, sizeof out->host, p, n) ||
	    inet_pton(AF_INET6, out->host, &v6) != 1)
		return NULL;
	return p + n + 1;
}

static const char *
parse_port(const char *p, struct http_url *out)
{
	size_t n = strspn(p, "0123456789");
	char digits[6];
	uint64_t port;

	if (!copy(digits, sizeof digits, p, n) ||
	    number_parse(digits, 1, 65535, &port) < 0)
		return NULL;
	out->port = (unsigned)port;
	return p + n;
}

/* A path of visible ASCII, and no query or fragment behind it. */
static bool
parse_path(const char *p, struct http_url *out)
{
	size_t i;

	if (*p && *p != '/')
		return false;
	for (i = 0; p[i]; i++)
		if (p[i] <= ' ' || p[i] >= 0x7f || strchr("?#\\\"<>", p[i]))
			return false;
	return copy(out->path, sizeof out->path, p, i);
}

int
http_url_parse(const char *url, struct http_url *out)
{
	memset(out, 0, sizeof *out);
	out->tls = str_istarts(url, "https://");
	if (!out->tls && !str_istarts(url, "http://"))
		return -1;
	out->port = out->tls ? 443 : 80;
	url = parse_host(url + (out->tls ? 8 : 7), out);
	if (url && *url == ':')
		url = parse_port(url + 1, out);
	return url && parse_path(url, out) ? 0 : -1;
}

int
http_host_field(const struct http_url *u, char *out, size_t size)
{
	bool v6 = strchr(u->host, ':') != NULL;
	char port[8] = "";
	int n;

	if (u->port != (u->tls ? 443u : 80u))
		snprintf(port, sizeof port, ":%u", u->port);
	n = snprintf(out, size, "%s%s%s%s", v6 ? "[" : "", u->host,
	    v6 ? "]" : "", port);
	return n >= 0 && (size_t)n < size ? 0 : -1;
}
