#include "lib/net/resolve.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/net/dns.h"

const struct resolve_places resolve_system = { "/etc/hosts",
	"/etc/resolv.conf", 53 };

/* --- addresses --- */

bool
resolve_is_v4(const struct ip_address *a)
{
	return IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)
	    (const void *)a->ip);
}

bool
resolve_literal(const char *text, struct ip_address *a)
{
	size_t n = strcspn(text, "%");
	char ip[INET6_ADDRSTRLEN];
	uint64_t scope = 0;

	*a = (struct ip_address){ .ip = { [10] = 0xFF, [11] = 0xFF } };
	if (inet_pton(AF_INET, text, a->ip + 12) == 1)
		return true;
	if (n >= sizeof ip)
		return false;
	memcpy(ip, text, n);
	ip[n] = '\0';
	if (inet_pton(AF_INET6, ip, a->ip) != 1)
		return false;
	if (text[n] == '%' &&
	    number_parse(text + n + 1, 1, UINT32_MAX, &scope) < 0 &&
	    (scope = if_nametoindex(text + n + 1)) == 0)
		return false;
	a->scope = (uint32_t)scope;
	return true;
}

void
resolve_text(const struct ip_address *a, char out[RESOLVE_TEXT])
{
	const unsigned char *ip = a->ip;
	size_t i, n = 0, run, gap = 16, longest = 2;

	if (resolve_is_v4(a)) {
		snprintf(out, RESOLVE_TEXT, "%d.%d.%d.%d", ip[12], ip[13],
		    ip[14], ip[15]);
		return;
	}
	for (i = 0; i < 16; i += 2) {
		for (run = i; run < 16 && (ip[run] | ip[run + 1]) == 0; )
			run += 2;
		if (run - i > longest) {
			longest = run - i;
			gap = i;
		}
	}
	for (i = 0; i < 16; i += 2)
		if (i == gap) {
			n += (size_t)snprintf(out + n, RESOLVE_TEXT - n, "::");
			i += longest - 2;
		} else
			n += (size_t)snprintf(out + n, RESOLVE_TEXT - n, "%s%x",
			    n > 0 && out[n - 1] != ':' ? ":" : "",
			    ip[i] << 8 | ip[i + 1]);
}

socklen_t
resolve_sockaddr(const struct ip_address *a, unsigned port,
    struct sockaddr_storage *out)
{
	struct sockaddr_in *v4 = (void *)out;
	struct sockaddr_in6 *v6 = (void *)out;

	memset(out, 0, sizeof *out);
	if (resolve_is_v4(a)) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)port);
		memcpy(&v4->sin_addr, a->ip + 12, 4);
		return sizeof *v4;
	}
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons((uint16_t)port);
	memcpy(&v6->sin6_addr, a->ip, 16);
	v6->sin6_scope_id = a->scope;
	return sizeof *v6;
}

/* --- their order (RFC 6724) --- */

/* Section 2.1's table; the label is what tells the rows apart. */
static int
precedence(const unsigned char ip[16])
{
	static const struct {
		unsigned char front[16], bits, precedence;
	} table[] = {
		{ { [15] = 1 }, 128, 50 },			/* ::1 */
		{ { [10] = 0xFF, [11] = 0xFF }, 96, 35 },	/* IPv4 */
		{ { 0x20, 0x02 }, 16, 30 },			/* 6to4 */
		{ { 0x20, 0x01 }, 32, 5 },			/* Teredo */
		{ { 0xFC }, 8, 3 }, { { 0xFD }, 8, 3 }		/* ULA */
	};
	size_t i;

	for (i = 0; i < sizeof table / sizeof table[0]; i++)
		if (memcmp(ip, table[i].front, table[i].bits / 8) == 0)
			return table[i].precedence;
	return 40;
}

/* Section 3.1 and 3.2; of multicast there is none here. */
static int
scope_of(const unsigned char ip[16])
{
	const struct in6_addr *a = (const void *)ip;

	if (IN6_IS_ADDR_LINKLOCAL(a) || IN6_IS_ADDR_LOOPBACK(a))
		return 2;
	if (IN6_IS_ADDR_V4MAPPED(a))
		return ip[12] == 127 || (ip[12] == 169 && ip[13] == 254) ? 2 : 14;
	return IN6_IS_ADDR_SITELOCAL(a) ? 5 : 14;
}

/* The address that we would have towards it; false: there is no way. */
static bool
source_for(const struct ip_address *to, struct ip_address *from)
{
	struct sockaddr_storage sa;
	socklen_t len = resolve_sockaddr(to, 65535, &sa);
	int fd = socket(sa.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool ok = fd >= 0 && connect(fd, (struct sockaddr *)&sa, len) == 0 &&
	    getsockname(fd, (struct sockaddr *)&sa, &len) == 0;

	*from = *to;
	if (ok && resolve_is_v4(to))
		memcpy(from->ip + 12, &((struct sockaddr_in *)&sa)->sin_addr, 4);
	else if (ok)
		memcpy(from->ip, &((struct sockaddr_in6 *)&sa)->sin6_addr, 16);
	if (fd >= 0)
		close(fd);
	return ok;
}

/* Rules 1, 2, 5, 6 and 8: the larger, the earlier. */
static int
merit(const struct ip_address *to)
{
	struct ip_address from;
	int scope = scope_of(to->ip), rank = precedence(to->ip);
	int v = rank * 16 + 15 - scope;

	if (source_for(to, &from))
		v += 1 << 14 | (scope == scope_of(from.ip)) << 13 |
		    (rank == precedence(from.ip)) << 12;
	return v;
}

/* Rule 10: what is equal stays as it came. */
static void
sort(struct ip_address *a, int n)
{
	int merits[RESOLVE_MAX], i, k, m;
	struct ip_address one;

	for (i = 0; i < n && resolve_is_v4(&a[i]); i++)
		;
	/* Round robin among those of IPv4 is the servers' choice. */
	if (i == n || n < 2)
		return;
	for (i = 0; i < n; i++) {
		one = a[i];
		m = merit(&one);
		for (k = i; k > 0 && merits[k - 1] < m; k--) {
			a[k] = a[k - 1];
			merits[k] = merits[k - 1];
		}
		a[k] = one;
		merits[k] = m;
	}
}

/* --- where they come from --- */

static void
set_name(char out[RESOLVE_NAME], const char *name)
{
	if (strlen(name) < RESOLVE_NAME)
		memcpy(out, name, strlen(name) + 1);
}

/* Of every line that has the name. */
static int
find_in_hosts(const char *file, const char *name,
    struct ip_address out[RESOLVE_MAX], char canonical[RESOLVE_NAME])
{
	struct dns_lines l = { .fd = open(file, O_RDONLY | O_CLOEXEC) };
	char line[1024], *at, *ip, *first, *word;
	int n = 0;

	while (n < RESOLVE_MAX && dns_lines_next(&l, line, sizeof line)) {
		at = line;
		ip = word_next(&at);
		first = word = ip ? word_next(&at) : NULL;
		while (word && !str_iequal(word, name))
			word = word_next(&at);
		if (word && resolve_literal(ip, &out[n]) && n++ == 0)
			set_name(canonical, first);
	}
	if (l.fd >= 0)
		close(l.fd);
	return n;
}

/* With each domain of the search list if it has few dots, then as it is. */
static int
search(const struct resolve_places *where, const char *name,
    struct ip_address out[RESOLVE_MAX], char canonical[RESOLVE_NAME])
{
	struct dns d;
	char full[2 * RESOLVE_NAME], *at = d.search;
	const char *domain;
	size_t dots = 0, i, len = strlen(name);
	int n;

	dns_load(&d, where->conf, where->port);
	/* "example.com." wants no more behind it. */
	for (i = 0; i < len; i++)
		dots += name[i] != '.' ? 0 : i + 1 < len ? 1 : d.ndots;
	while (dots < d.ndots && (domain = word_next(&at)) != NULL) {
		snprintf(full, sizeof full, "%s.%s", name, domain);
		set_name(canonical, full);
		n = dns_find(&d, full, out, canonical);
		if (n != RESOLVE_NO_NAME)
			return n;
	}
	set_name(canonical, name);
	return dns_find(&d, name, out, canonical);
}

int
resolve(const struct resolve_places *where, const char *name,
    struct ip_address out[RESOLVE_MAX], char canonical[RESOLVE_NAME])
{
	char unused[RESOLVE_NAME];
	int n;

	if (strlen(name) >= RESOLVE_NAME)
		return RESOLVE_NO_NAME;
	if (canonical == NULL)
		canonical = unused;
	set_name(canonical, name);
	if (resolve_literal(name, &out[0]))
		return 1;
	n = find_in_hosts(where->hosts, name, out, canonical);
	if (n == 0)
		n = search(where, name, out, canonical);
	if (n > 1)
		sort(out, n);
	return n;
}
