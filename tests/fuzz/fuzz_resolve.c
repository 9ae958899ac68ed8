/*
 * Names and literals: the C library reads addresses as we do; questions are well
 * formed; resolv.conf may hold anything.
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/net/dns.h"
#include "tests/fuzz/fuzz.h"

static void
check_literal(const char *text)
{
	struct ip_address a;
	unsigned char ip[16];
	bool ours = resolve_literal(text, &a);

	if (strchr(text, '%'))
		return;
	if (inet_pton(AF_INET, text, ip) == 1) {
		CHECK(ours && resolve_is_v4(&a));
		CHECK(memcmp(a.ip + 12, ip, 4) == 0);
	} else if (inet_pton(AF_INET6, text, ip) == 1)
		CHECK(ours && memcmp(a.ip, ip, 16) == 0);
	else
		CHECK(!ours);
}

static void
check_question(const char *name)
{
	unsigned char q[DNS_PACKET];
	size_t n, at = 12;

	n = dns_question(q, name, 1, 0x1234);
	CHECK(n <= sizeof q);
	if (n == 0)
		return;
	CHECK(n > 16 && q[0] == 0x12 && q[1] == 0x34);
	at = dns_skip_name(q, n, at);
	CHECK(at + 4 <= n && at - 12 <= 255);
	CHECK(q[at] == 0 && q[at + 1] == 1);
}

static void
check_conf(const struct input *in)
{
	int fd = file_of(in->p, in->n);
	struct dns d;
	char name[40];

	file_name(name, fd);
	memset(&d, 0xff, sizeof d);
	dns_load(&d, name, 53);
	CHECK(d.nservers >= 1 && d.nservers <= DNS_SERVERS && d.port == 53);
	CHECK(d.timeout > 0 && d.timeout <= 60 && d.attempts > 0 &&
	    d.attempts <= 10 && d.ndots <= 15);
	CHECK(is_string(d.search, sizeof d.search));
	close(fd);
}

/* A name on the first line, resolv.conf behind it. */
FUZZ(resolve)
{
	char *name = in_line(in);

	check_literal(name);
	check_question(name);
	check_conf(in);
	free(name);
}
