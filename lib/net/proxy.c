#include "lib/net/proxy.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/base64.h"
#include "lib/net/dial.h"
#include "lib/net/http_reply.h"
#include "lib/net/resolve.h"

/* --- the URL --- */

/* n bytes of user or password, percent-decoded (RFC 3986 section 2.1). */
static bool
decode(char out[PROXY_LOGIN_MAX + 1], const char *p, size_t n)
{
	const char *end = p + n;
	char hex[3] = "";
	size_t len = 0;

	for (; p < end; p++, len++) {
		if (len == PROXY_LOGIN_MAX)
			return false;
		out[len] = *p;
		if (*p == '%') {
			if (end - p < 3)
				return false;
			memcpy(hex, p + 1, 2);
			if (hex_decode(out + len, 1, hex) < 0)
				return false;
			p += 2;
		}
		if ((unsigned char)out[len] < ' ' || out[len] == 0x7f)
			return false;
	}
	out[len] = '\0';
	return true;
}

static bool
parse_login(struct proxy *p, const char *text, size_t n)
{
	const char *colon = memchr(text, ':', n);
	size_t user = colon ? (size_t)(colon - text) : n;

	p->login = true;
	/* What Basic sends ends the user's name at the first colon. */
	return decode(p->user, text, user) && p->user[0] &&
	    (p->socks || !strchr(p->user, ':')) && (colon == NULL ||
	    decode(p->password, colon + 1, n - user - 1));
}

const char *
proxy_parse(const char *url, struct proxy *p)
{
	static const char wrong[] = "is no proxy's URL";
	char plain[sizeof p->at.host + 32];
	const char *host, *at = NULL;
	size_t i, n;

	memset(p, 0, sizeof *p);
	if (str_istarts(url, "https://"))
		return "wants TLS to the proxy itself, which is not built";
	p->socks = str_istarts(url, "socks5://") ||
	    str_istarts(url, "socks5h://");
	host = strstr(url, "://");
	if (host && !p->socks && !str_istarts(url, "http://"))
		return wrong;
	host = host ? host + 3 : url;
	n = strcspn(host, "/");
	for (i = 0; i < n; i++)
		if (host[i] == '@')
			at = host + i;
	if (at && !parse_login(p, host, (size_t)(at - host)))
		return "has a login that cannot be used (percent-encode what is "
		    "not a letter or digit)";
	if (at) {
		n -= (size_t)(at + 1 - host);
		host = at + 1;
	}
	if (n >= sizeof p->at.host || host[n + (host[n] != '\0')] != '\0')
		return wrong;
	snprintf(plain, sizeof plain, "http://%.*s", (int)n, host);
	if (http_url_parse(plain, &p->at) < 0)
		return wrong;
	/* A port that was not given: what stands last is no ":80". */
	if (p->socks && p->at.port == 80 && (n < 3 ||
	    memcmp(host + n - 3, ":80", 3) != 0))
		p->at.port = 1080;
	return NULL;
}

/* --- HTTP --- */

static int
refused(struct stream *s, int status, const char *to)
{
	const char *hint = "is it a proxy?";

	if (status == 407)
		hint = "expected user:password@ that it knows in its URL";
	else if (status == 403)
		hint = "its rules forbid that; let it CONNECT to this port";
	else if (status >= 502 && status <= 504)
		hint = "it cannot reach that";
	return stream_fail(s, status / 100 == 4 ? CAUSE_OPERATOR : CAUSE_ROUTE,
	    "%d to CONNECT %s: %s", status, to, hint);
}

static int
send_connect(struct stream *s, const struct proxy *p, const char *to)
{
	char pair[2 * PROXY_LOGIN_MAX + 2];
	char coded[BASE64_SIZE(sizeof pair) + 1];

	stream_puts(s, "CONNECT ");
	stream_puts(s, to);
	stream_puts(s, " HTTP/1.1\r\nHost: ");
	stream_puts(s, to);
	if (p->login) {
		snprintf(pair, sizeof pair, "%s:%s", p->user, p->password);
		stream_puts(s, "\r\nProxy-Authorization: Basic ");
		stream_write(s, coded, base64_encode(coded, pair,
		    strlen(pair)));
		mem_wipe(pair, sizeof pair);
		mem_wipe(coded, sizeof coded);
	}
	return stream_puts(s, "\r\n\r\n");
}

static int
tunnel_http(struct stream *s, const struct proxy *p, const char *to,
    struct log *log)
{
	struct http_reply r = { 0 };
	int rc = send_connect(s, p, to);

	log_trace(log, "> CONNECT %s%s", to, p->login ?
	    " (Proxy-Authorization: Basic ***)" : "");
	if (rc == 0)
		rc = http_head_read(s, &r);
	if (rc == 0)
		log_trace(log, "< %d", r.status);
	/* After a 2xx there is no body, whatever its fields say. */
	if (rc == 0 && r.status / 100 != 2)
		rc = refused(s, r.status, to);
	http_reply_free(&r);
	return rc;
}

/* --- SOCKS --- */

/* Exactly n bytes of an answer. */
static int
take(struct stream *s, unsigned char *out, size_t n)
{
	ssize_t got;

	for (; n > 0; out += got, n -= (size_t)got) {
		got = stream_read(s, out, n);
		if (got == 0)
			stream_fail(s, CAUSE_ROUTE,
			    "the peer closed the connection");
		if (got <= 0)
			return -1;
	}
	return 0;
}

static int
no_socks(struct stream *s)
{
	return stream_fail(s, CAUSE_ROUTE, "not an answer of SOCKS 5");
}

/* RFC 1929. */
static int
log_in(struct stream *s, const struct proxy *p, struct log *log)
{
	unsigned char b[2] = { 1, (unsigned char)strlen(p->user) };

	log_trace(log, "> SOCKS user %s, password ***", p->user);
	stream_write(s, b, 2);
	stream_puts(s, p->user);
	b[0] = (unsigned char)strlen(p->password);
	stream_write(s, b, 1);
	stream_puts(s, p->password);
	if (take(s, b, 2) < 0)
		return -1;
	if (b[0] != 1)
		return no_socks(s);
	return b[1] == 0 ? 0 : stream_fail(s, CAUSE_OPERATOR,
	    "the user or password in its URL is refused");
}

/* Methods: none, and a password if there is one. */
static int
greet(struct stream *s, const struct proxy *p, struct log *log)
{
	unsigned char b[4] = { 5, p->login ? 2 : 1, 0, 2 };

	if (stream_write(s, b, 2u + b[1]) < 0 || take(s, b, 2) < 0)
		return -1;
	if (b[0] == 5 && b[1] == 0)
		return 0;
	if (b[0] == 5 && b[1] == 2 && p->login)
		return log_in(s, p, log);
	if (b[0] == 5 && b[1] == 0xff)
		return stream_fail(s, CAUSE_OPERATOR, "it wants %s",
		    p->login ? "another login than a password" :
		    "a login; expected user:password@ in its URL");
	return no_socks(s);
}

static int
send_target(struct stream *s, const char *host, unsigned port)
{
	unsigned char b[2 + 3 + 16] = { 5, 1, 0, 3 };
	struct ip_address a;
	size_t n = strlen(host);

	if (resolve_literal(host, &a)) {
		b[3] = resolve_is_v4(&a) ? 1 : 4;
		n = b[3] == 1 ? 4 : 16;
		memcpy(b + 4, a.ip + 16 - n, n);
		stream_write(s, b, 4 + n);
	} else {
		b[4] = (unsigned char)n;
		stream_write(s, b, 5);
		stream_write(s, host, n);
	}
	b[0] = (unsigned char)(port >> 8);
	b[1] = (unsigned char)port;
	return stream_write(s, b, 2);
}

static int
tunnel_socks(struct stream *s, const struct proxy *p, const char *host,
    unsigned port, const char *to, struct log *log)
{
	static const char *const why[] = { "general failure",
		"its rules forbid that", "network unreachable",
		"host unreachable", "connection refused", "TTL expired",
		"command not known", "kind of address not known" };
	unsigned char b[256 + 2];

	if (greet(s, p, log) < 0)
		return -1;
	log_trace(log, "> SOCKS CONNECT %s", to);
	if (send_target(s, host, port) < 0 || take(s, b, 2) < 0)
		return -1;
	log_trace(log, "< %u", b[1]);
	if (b[0] != 5)
		return no_socks(s);
	if (b[1] != 0)
		return stream_fail(s, b[1] == 2 ? CAUSE_OPERATOR : CAUSE_ROUTE,
		    "%u to CONNECT %s: %s", b[1], to,
		    b[1] <= 8 ? why[b[1] - 1] : "an unknown code");
	/* The address that it connects from, which is of no use. */
	if (take(s, b, 3) < 0)
		return -1;
	if (b[0] != 0 || (b[1] != 1 && b[1] != 3 && b[1] != 4))
		return no_socks(s);
	return take(s, b, (b[1] == 1 ? 4u : b[1] == 4 ? 16u : b[2] + 1u) + 1);
}

/* --- all --- */

int
proxy_tunnel(struct stream *s, const struct proxy *p, const char *host,
    unsigned port, struct log *log)
{
	char plain[sizeof p->at.host] = "", to[sizeof p->at.host + 16];
	char via[sizeof s->via];
	const char *v6 = strchr(host, ':');
	size_t skip = host[0] == '[';

	snprintf(plain, sizeof plain, "%.*s", (int)strcspn(host + skip, "]"),
	    host + skip);
	snprintf(to, sizeof to, "%s%s%s:%u", v6 ? "[" : "", plain,
	    v6 ? "]" : "", port);
	snprintf(via, sizeof via, "%.79s", s->peer);
	snprintf(s->peer, sizeof s->peer, "proxy %s", via);
	if ((p->socks ? tunnel_socks(s, p, plain, port, to, log) :
	    tunnel_http(s, p, to, log)) < 0)
		return -1;
	memcpy(s->via, via, sizeof via);
	snprintf(s->peer, sizeof s->peer, "%.70s via %s", to, via);
	return 0;
}

int
proxy_dial(struct stream *s, const char *url, const char *host,
    unsigned port, const char *source, int64_t seconds, struct log *log,
    struct result *res)
{
	struct proxy p;
	const char *wrong;
	int rc;

	if (url == NULL || *url == '\0')
		return dial(s, host, port, source, seconds, log, res);
	wrong = proxy_parse(url, &p);
	if (wrong) {
		result_set(res, OUT_TEMP, CAUSE_OPERATOR,
		    "proxy (`proxy` or HTTPS_PROXY): it %s", wrong);
		res->exit = EXIT_CONFIGURATION;
		rc = -1;
	} else {
		rc = dial(s, p.at.host, p.at.port, source, seconds, log, res);
		if (rc < 0)
			result_set(res, OUT_TEMP, res->cause, "proxy %s: %s",
			    p.at.host, res->text);
	}
	if (rc == 0) {
		stream_step(s, seconds < PROXY_SECONDS ? seconds :
		    PROXY_SECONDS);
		rc = proxy_tunnel(s, &p, host, port, log);
		if (rc < 0) {
			*res = s->err;
			stream_close(s);
		}
	}
	mem_wipe(&p, sizeof p);
	return rc;
}

/* --- exceptions --- */

/* Are the first `bits` of both the same? */
static bool
same_net(const struct ip_address *a, const struct ip_address *b, unsigned bits)
{
	unsigned n = bits / 8, rest = bits % 8;

	return memcmp(a->ip, b->ip, n) == 0 && (rest == 0 ||
	    (a->ip[n] ^ b->ip[n]) >> (8 - rest) == 0);
}

static bool
is_in_domain(const char *host, const char *domain)
{
	size_t n, d = strlen(host);

	domain += strspn(domain, "*.");
	n = strlen(domain);
	return n > 0 && d >= n && mem_iequal(host + d - n, domain, n) &&
	    (d == n || host[d - n - 1] == '.');
}

/* One entry, cut up in place. */
static bool
names(char *entry, const char *host, unsigned port)
{
	struct ip_address a, b;
	char *colon = strrchr(entry, ':'), *slash = strchr(entry, '/');
	uint64_t number = 128;
	bool is_address = resolve_literal(host, &a);

	if (strcmp(entry, "*") == 0)
		return true;
	/* "host:port" or "[v6]:port", not "2001:db8::1". */
	if (colon && (strchr(entry, ':') == colon || colon[-1] == ']')) {
		if (number_parse(colon + 1, port, port, &number) < 0)
			return false;
		*colon = '\0';
		number = 128;
	}
	if (slash && number_parse(slash + 1, 0, 128, &number) < 0)
		return false;
	if (slash)
		*slash = '\0';
	if (*entry == '[') {
		entry++;
		entry[strcspn(entry, "]")] = '\0';
	}
	if (!resolve_literal(entry, &b))
		return !is_address && !slash && is_in_domain(host, entry);
	if (slash && resolve_is_v4(&b))
		number += 96;
	return is_address && number <= 128 &&
	    same_net(&a, &b, (unsigned)number);
}

bool
proxy_is_excepted(const char *list, const char *host, unsigned port)
{
	char entry[300];
	size_t n;

	for (; *list; list += n) {
		list += strspn(list, ", \t");
		n = strcspn(list, ", \t");
		if (n == 0 || n >= sizeof entry)
			continue;
		memcpy(entry, list, n);
		entry[n] = '\0';
		if (names(entry, host, port))
			return true;
	}
	return false;
}
