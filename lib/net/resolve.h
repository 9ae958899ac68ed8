/*
 * Names of hosts to addresses: literals, /etc/hosts, then DNS. In place of the
 * C library's getaddrinfo, which brings 11 KiB more into a static program.
 */
#ifndef SENDROUTE_RESOLVE_H
#define SENDROUTE_RESOLVE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct ip_address {
	unsigned char ip[16];	/* IPv4 as ::ffff:a.b.c.d */
	uint32_t scope;		/* the interface that a literal names, or 0 */
};

enum {
	RESOLVE_MAX = 48,	/* addresses of one name; more are left out */
	RESOLVE_NAME = 256,	/* bytes of a name with its NUL */
	RESOLVE_TEXT = 46	/* bytes of an address in words, with its NUL */
};

/* Why there is no address. */
enum {
	RESOLVE_NO_NAME = -1,	/* DNS says so, or it cannot be a name */
	RESOLVE_NO_ADDRESS = -2,	/* the name exists, an address does not */
	RESOLVE_NO_ANSWER = -3	/* nor any server's word on it */
};

/* Where to look; tests have places of their own. */
struct resolve_places {
	const char *hosts, *conf;
	unsigned port;
};
extern const struct resolve_places resolve_system;

/*
 * resolve(where, name, out, canonical): the addresses of a name, in the order
 * in which to try them (RFC 6724 section 6, without rule 9). canonical, unless
 * NULL, becomes the name in full: what /etc/hosts has first, what an alias
 * stands for or the search list made of it. Returns how many addresses there
 * are, or one of the reasons above.
 */
int resolve(const struct resolve_places *where, const char *name,
    struct ip_address out[RESOLVE_MAX], char canonical[RESOLVE_NAME]);

/* resolve_literal(text, a): "192.0.2.1", "2001:db8::1" or "fe80::1%eth0". */
bool resolve_literal(const char *text, struct ip_address *a);

/* resolve_text(a, out): the way back, without a scope (RFC 5952 section 4). */
void resolve_text(const struct ip_address *a, char out[RESOLVE_TEXT]);

bool resolve_is_v4(const struct ip_address *a);

/* resolve_sockaddr(a, port, out): for connect. Returns its size. */
socklen_t resolve_sockaddr(const struct ip_address *a, unsigned port,
    struct sockaddr_storage *out);

#endif
