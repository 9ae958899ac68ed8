/* Names of hosts: literals, files, and a name server of our own. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/clock.h"
#include "lib/net/dns.h"
#include "lib/net/resolve.h"

static char hosts[] = "/tmp/hosts.XXXXXX", conf[] = "/tmp/conf.XXXXXX";
static struct resolve_places places = { hosts, conf, 0 };
enum { closed_port = 1 };	/* tcpmux: nobody has it by UDP */
static pid_t server;

static void
put_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static const char *
text_of(const struct ip_address *a)
{
	static char text[RESOLVE_TEXT + 12], theirs[RESOLVE_TEXT];

	if (resolve_is_v4(a))
		inet_ntop(AF_INET, a->ip + 12, theirs, sizeof theirs);
	else
		inet_ntop(AF_INET6, a->ip, theirs, sizeof theirs);
	resolve_text(a, text);
	assert_string_equal(text, theirs);
	if (a->scope > 0)
		snprintf(text + strlen(text), 12, "%%%u", a->scope);
	return text;
}

/* All addresses of a name, separated by blanks, and its full name. */
static void
gives(const char *name, const char *addresses, const char *canonical)
{
	struct ip_address found[RESOLVE_MAX];
	char full[RESOLVE_NAME], all[2000] = "";
	int n = resolve(&places, name, found, full), i;

	for (i = 0; i < n; i++)
		snprintf(all + strlen(all), sizeof all - strlen(all), "%s%s",
		    i > 0 ? " " : "", text_of(&found[i]));
	assert_string_equal(all, addresses);
	if (canonical)
		assert_string_equal(full, canonical);
}

static void
fails(const char *name, int why)
{
	struct ip_address found[RESOLVE_MAX];

	assert_int_equal(resolve(&places, name, found, NULL), why);
}

/* --- the name server: what it does is in the question's first label --- */

static size_t
put_record(unsigned char *p, size_t n, unsigned type, const void *data,
    size_t len)
{
	memcpy(p + n, (unsigned char[]){ 0xC0, 12, 0, (unsigned char)type, 0, 1,
	    0, 0, 0, 9, 0, (unsigned char)len }, 12);
	memcpy(p + n + 12, data, len);
	p[7]++;
	return n + 12 + len;
}

static bool
is(const unsigned char *p, const char *label)
{
	return p[12] == strlen(label) && memcmp(p + 13, label, p[12]) == 0;
}

static bool
holds(const unsigned char *p, size_t n, const char *label)
{
	size_t i, len = strlen(label);

	for (i = 12; i + len < n; i++)
		if (p[i] == len && memcmp(p + i + 1, label, len) == 0)
			return true;
	return false;
}

static void
serve(int fd)
{
	static const unsigned char v4[] = { 192, 0, 2, 1 };
	static const unsigned char v6[] = { 0x20, 1, 0xd, 0xb8,
		[15] = 1 };
	unsigned char p[600];
	struct sockaddr_in from;
	socklen_t len;
	unsigned count = 0, type, i;
	ssize_t got;
	size_t n;

	for (;;) {
		len = sizeof from;
		got = recvfrom(fd, p, 512, 0, (struct sockaddr *)&from, &len);
		if (got < 17)
			continue;
		n = (size_t)got;
		type = p[n - 3];
		count++;
		p[2] |= 0x80;
		if (is(p, "silent") || (is(p, "late") && count <= 2) ||
		    (is(p, "half") && type == 28))
			continue;
		if (is(p, "stop"))
			count = 0;
		if (is(p, "none") || holds(p, n, "one"))
			p[3] |= 3;
		else if (is(p, "broken") || (is(p, "hiccup") && count <= 3))
			p[3] |= 2;
		else if (is(p, "refused"))
			p[3] |= 5;
		else if (is(p, "otherid"))
			p[1] ^= 1;
		else if (is(p, "othername"))
			p[13] = 'O';
		else if (is(p, "echo"))
			p[2] &= 0x7F;
		else if (is(p, "many"))
			for (i = 0; i < 28; i++)
				n = put_record(p, n, type, type == 1 ? v4 : v6,
				    type == 1 ? 4 : 16) - (type == 28 ? 12 : 0);
		else if (!is(p, "nothing") && !is(p, "stop")) {
			if (is(p, "alias"))
				n = put_record(p, n, 5, "\4real\4test", 11);
			if (type == 1)
				n = put_record(p, n, 1, v4, 4);
			else if (!is(p, "only"))
				n = put_record(p, n, 28, v6, 16);
		}
		sendto(fd, p, n, 0, (struct sockaddr *)&from, len);
	}
}

static int
start(void **state)
{
	struct sockaddr_in sa = { .sin_family = AF_INET };
	socklen_t len = sizeof sa;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	(void)state;
	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(fd, (struct sockaddr *)&sa, len) < 0 ||
	    getsockname(fd, (struct sockaddr *)&sa, &len) < 0)
		return -1;
	places.port = ntohs(sa.sin_port);
	close(mkstemp(hosts));
	close(mkstemp(conf));
	server = fork();
	if (server == 0) {
		serve(fd);
		_exit(0);
	}
	close(fd);
	return server < 0 ? -1 : 0;
}

static int
stop(void **state)
{
	(void)state;
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
	unlink(hosts);
	unlink(conf);
	return 0;
}

/* Its counter begins anew. */
static int
fresh(void **state)
{
	(void)state;
	put_file(hosts, "");
	put_file(conf, "nameserver 127.0.0.1\noptions timeout:1 attempts:4\n");
	fails("stop", RESOLVE_NO_ADDRESS);
	fails("stop", RESOLVE_NO_ADDRESS);
	return 0;
}

/* The order of both depends on this machine: IPv6 is first where it works. */
static void
gives_both(const char *name, const char *canonical)
{
	struct ip_address found[RESOLVE_MAX];
	char full[RESOLVE_NAME];
	int v4;

	assert_int_equal(resolve(&places, name, found, full), 2);
	v4 = resolve_is_v4(&found[1]);
	assert_string_equal(text_of(&found[v4]), "192.0.2.1");
	assert_string_equal(text_of(&found[!v4]), "2001:db8::1");
	assert_string_equal(full, canonical);
}

static void
literals(void **state)
{
	static const char *const bad[] = { "", "1", "1.2.3", "1.2.3.4.5",
		"1.2.3.256", "::g", "fe80::1%", "fe80::1%no_such_if", "1.2.3.4%1",
		"::1%0", "::1%-1", "1:2:3:4:5:6:7:8:9",
		"0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0001" };
	struct ip_address a;
	size_t i;

	(void)state;
	gives("192.0.2.7", "192.0.2.7", "192.0.2.7");
	gives("2001:DB8::7", "2001:db8::7", "2001:DB8::7");
	gives("fe80::1%3", "fe80::1%3", NULL);
	gives("fe80::1%lo", "fe80::1%1", NULL);
	gives("::ffff:192.0.2.7", "192.0.2.7", NULL);
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++)
		if (resolve_literal(bad[i], &a))
			fail_msg("\"%s\" is taken for an address", bad[i]);
}

static void
socket_addresses(void **state)
{
	struct sockaddr_storage sa;
	struct sockaddr_in *v4 = (void *)&sa;
	struct sockaddr_in6 *v6 = (void *)&sa;
	struct ip_address a;

	(void)state;
	resolve_literal("192.0.2.7", &a);
	assert_int_equal(resolve_sockaddr(&a, 587, &sa), sizeof *v4);
	assert_int_equal(v4->sin_family, AF_INET);
	assert_int_equal(ntohs(v4->sin_port), 587);
	assert_int_equal(ntohl(v4->sin_addr.s_addr), 0xC0000207);
	resolve_literal("fe80::1%9", &a);
	assert_int_equal(resolve_sockaddr(&a, 25, &sa), sizeof *v6);
	assert_int_equal(v6->sin6_family, AF_INET6);
	assert_int_equal(ntohs(v6->sin6_port), 25);
	assert_int_equal(v6->sin6_scope_id, 9);
	assert_memory_equal(&v6->sin6_addr, a.ip, 16);
}

static void
hosts_file(void **state)
{
	char text[3000];

	(void)state;
	snprintf(text, sizeof text, "# a comment\n\n   \n192.0.2.1\n"
	    "192.0.2.2 two.example two # three\n"
	    "\t192.0.2.3\tfour.example four\r\n"
	    "192.0.2.4 twofold two\n"
	    "nonsense five\n"
	    "2001:db8::6 six\n"
	    "192.0.2.8 %01500d eight\n"
	    "192.0.2.9 nine.example NINE", 0);
	put_file(hosts, text);
	gives("two.example", "192.0.2.2", "two.example");
	gives("two", "192.0.2.2 192.0.2.4", "two.example");
	gives("TWO.Example", "192.0.2.2", "two.example");
	gives("four", "192.0.2.3", "four.example");
	gives("six", "2001:db8::6", "six");
	gives("nine", "192.0.2.9", "nine.example");
	/* In a comment, without an address, too far right: DNS is asked. */
	gives_both("three", "three");
	gives_both("five", "five");
	gives_both("eight", "eight");
}

static void
more_hosts_than_places(void **state)
{
	struct ip_address found[RESOLVE_MAX];
	char text[4000] = "";
	int i;

	(void)state;
	for (i = 0; i < 60; i++)
		snprintf(text + strlen(text), 60, "192.0.2.%d name\n", i);
	put_file(hosts, text);
	assert_int_equal(resolve(&places, "name", found, NULL), RESOLVE_MAX);
	assert_string_equal(text_of(&found[RESOLVE_MAX - 1]), "192.0.2.47");
}

static void
conf_file(void **state)
{
	struct dns d;

	(void)state;
	dns_load(&d, "/no/such/file", 53);
	assert_int_equal(d.nservers, 1);
	assert_string_equal(text_of(&d.servers[0]), "127.0.0.1");
	assert_int_equal(d.timeout, 5);
	assert_int_equal(d.attempts, 2);
	assert_int_equal(d.ndots, 1);
	assert_string_equal(d.search, "");
	put_file(conf, "; comment\n#nameserver 192.0.2.9\n"
	    "nameserver 192.0.2.1 # first\nnameserver nonsense\nnameserver\n"
	    "nameserver\t2001:db8::2\nnameserver fe80::1%1\n"
	    "nameserver 192.0.2.4\n"
	    "domain first.test\nsearch a.test\tb.test\n"
	    "options rotate ndots:3 timeout:2 attempts:x attempts:\n"
	    "options ndots:99 attempts:0 timeout:99999999999\nsortlist x\n");
	dns_load(&d, conf, 5353);
	assert_int_equal(d.port, 5353);
	assert_int_equal(d.nservers, 3);
	assert_string_equal(text_of(&d.servers[0]), "192.0.2.1");
	assert_string_equal(text_of(&d.servers[1]), "2001:db8::2");
	assert_string_equal(text_of(&d.servers[2]), "fe80::1%1");
	assert_string_equal(d.search, "a.test\tb.test");
	assert_int_equal(d.ndots, 15);
	assert_int_equal(d.attempts, 1);
	assert_int_equal(d.timeout, 2);
	put_file(conf, "options timeout:61");
	dns_load(&d, conf, 53);
	assert_int_equal(d.timeout, 60);
	assert_int_equal(d.nservers, 1);
}

static void
answers_of_a_server(void **state)
{
	(void)state;
	gives_both("both.test", "both.test");
	gives_both("Both.TEST", "Both.TEST");
	gives_both("both.test.", "both.test.");
	gives_both("alias.test", "real.test");
	gives_both("under_score.test", "under_score.test");
	gives("only.test", "192.0.2.1", "only.test");
	fails("none.test", RESOLVE_NO_NAME);
	fails("nothing.test", RESOLVE_NO_ADDRESS);
}

static void
lost_and_late(void **state)
{
	int64_t began = clock_ms();

	(void)state;
	gives_both("late.test", "late.test");
	assert_true(clock_ms() - began >= 200);
	fresh(NULL);
	gives_both("hiccup.test", "hiccup.test");
	gives("half.test", "192.0.2.1", "half.test");
	began = clock_ms();
	fails("silent.test", RESOLVE_NO_ANSWER);
	assert_true(clock_ms() - began >= 950);
	assert_true(clock_ms() - began < 10000);
}

static void
answers_that_are_none(void **state)
{
	(void)state;
	fails("broken.test", RESOLVE_NO_ANSWER);
	fails("refused.test", RESOLVE_NO_ANSWER);
	fails("otherid.test", RESOLVE_NO_ANSWER);
	fails("othername.test", RESOLVE_NO_ANSWER);
	fails("echo.test", RESOLVE_NO_ANSWER);
}

static void
several_servers(void **state)
{
	(void)state;
	/* Nobody listens at the first, there is no way to the second. */
	put_file(conf, "nameserver 127.9.9.9\nnameserver fe80::1%999999\n"
	    "nameserver 127.0.0.1\noptions timeout:2\n");
	gives_both("both.test", "both.test");
	put_file(conf, "nameserver fe80::1%999999\noptions timeout:50\n");
	fails("both.test", RESOLVE_NO_ANSWER);
}

/* Who names no server is not kept waiting for the one that may be here. */
static void
no_server_is_named(void **state)
{
	struct resolve_places nowhere = { hosts, "/nonexistent", closed_port };
	struct ip_address out[RESOLVE_MAX];
	char name[RESOLVE_NAME];
	time_t begin = time(NULL);

	(void)state;
	assert_int_equal(resolve(&nowhere, "both.test", out, name),
	    RESOLVE_NO_ANSWER);
	assert_true(time(NULL) - begin < 2);
}

static void
search_list(void **state)
{
	(void)state;
	put_file(conf, "nameserver 127.0.0.1\noptions timeout:1\n"
	    "search one.test two.test\n");
	gives_both("bare", "bare.two.test");
	gives_both("with.dot", "with.dot");
	fails("none", RESOLVE_NO_NAME);
	put_file(conf, "nameserver 127.0.0.1\noptions timeout:1 ndots:2\n"
	    "search two.test\n");
	gives_both("with.dot", "with.dot.two.test");
	gives_both("with.dot.", "with.dot.");
	gives_both("with.two.dots", "with.two.dots");
	put_file(conf, "nameserver 127.0.0.1\noptions timeout:1 ndots:2\n"
	    "search one.test\n");
	gives_both("last.resort", "last.resort");
	/* What is no NXDOMAIN ends the search. */
	put_file(conf, "nameserver 127.0.0.1\noptions timeout:1\n"
	    "search a.test two.test\n");
	fails("nothing", RESOLVE_NO_ADDRESS);
}

static void
names_that_cannot_be(void **state)
{
	char longest[400];

	(void)state;
	fails("", RESOLVE_NO_NAME);
	fails(".", RESOLVE_NO_NAME);
	fails("a..b", RESOLVE_NO_NAME);
	fails(".a.b", RESOLVE_NO_NAME);
	fails("a.b..", RESOLVE_NO_NAME);
	memset(longest, 'a', sizeof longest);
	longest[64] = '\0';
	fails(longest, RESOLVE_NO_NAME);
	memset(longest, 'a', sizeof longest);
	longest[300] = '\0';
	fails(longest, RESOLVE_NO_NAME);
}

static void
questions(void **state)
{
	static const unsigned char whole[] = { 0x12, 0x34, 1, 0, 0, 1, 0, 0, 0,
		0, 0, 0, 1, 'a', 2, 'b', 'c', 0, 0, 28, 0, 1 };
	unsigned char out[DNS_PACKET];
	char name[300] = "";
	int i;

	(void)state;
	assert_int_equal(dns_question(out, "A.bC", 28, 0x1234), sizeof whole);
	assert_memory_equal(out, whole, sizeof whole);
	/* 253 letters are the most: 255 bytes with lengths and root. */
	for (i = 0; i < 126; i++)
		strcat(name, i > 0 ? ".x" : "x");
	assert_int_equal(dns_question(out, name, 1, 0), 12 + 253 + 4);
	strcat(name, "y");
	assert_int_equal(dns_question(out, name, 1, 0), 12 + 254 + 4);
	strcat(name, "z");
	assert_int_equal(dns_question(out, name, 1, 0), 12 + 255 + 4);
	strcat(name, "z");
	assert_int_equal(dns_question(out, name, 1, 0), 0);
}

static int
read_copy(const unsigned char *p, size_t n, unsigned type, char *canonical)
{
	struct ip_address found[RESOLVE_MAX];
	unsigned char *copy = malloc(n > 0 ? n : 1);	/* its end is watched */
	int have;

	memcpy(copy, p, n);
	have = dns_read(copy, n, type, found, 0, canonical);
	free(copy);
	return have;
}

/* Cut anywhere, any bit turned: nothing outside is read, and it ends. */
static void
damaged_answers(void **state)
{
	static const unsigned char answer[] = {
		1, 2, 0x81, 0x80, 0, 1, 0, 3, 0, 0, 0, 0,
		2, 'w', 'w', 4, 't', 'e', 's', 't', 0, 0, 1, 0, 1,
		0xC0, 12, 0, 5, 0, 1, 0, 0, 0, 9, 0, 6, 3, 'c', 'd', 'n',
		0xC0, 15,
		0xC0, 37, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0, 2, 1,
		0xC0, 37, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0, 2, 2 };
	unsigned char p[sizeof answer];
	char canonical[RESOLVE_NAME] = "kept";
	size_t i;

	(void)state;
	assert_int_equal(read_copy(answer, sizeof answer, 1, canonical), 2);
	assert_string_equal(canonical, "cdn.test");
	assert_int_equal(read_copy(answer, sizeof answer, 28, canonical), 0);
	for (i = 0; i < sizeof answer; i++)
		assert_int_equal(read_copy(answer, i, 1, canonical),
		    i >= sizeof answer - 16);
	for (i = 0; i < 8 * sizeof answer; i++) {
		memcpy(p, answer, sizeof p);
		p[i / 8] ^= (unsigned char)(1 << i % 8);
		read_copy(p, sizeof p, 1, canonical);
		assert_true(strlen(canonical) < RESOLVE_NAME);
	}
	/* An alias that points to itself, to its end, to a blank. */
	strcpy(canonical, "kept");
	memcpy(p, answer, sizeof p);
	p[37] = 0xC0;
	p[38] = 37;
	read_copy(p, sizeof p, 1, canonical);
	p[38] = 200;
	read_copy(p, sizeof p, 1, canonical);
	memcpy(p, answer, sizeof p);
	p[38] = ' ';
	read_copy(p, sizeof p, 1, canonical);
	assert_string_equal(canonical, "kept");
}

static void
as_many_as_fit(void **state)
{
	struct ip_address found[RESOLVE_MAX];
	int n = resolve(&places, "many.test", found, NULL);

	(void)state;
	assert_in_range(n, 28, RESOLVE_MAX);
}

/* Loopback is reachable and near; where nothing leads to is last. */
static void
order(void **state)
{
	(void)state;
	put_file(hosts, "fe80::1%999999 name\n127.0.0.1 name\n");
	gives("name", "127.0.0.1 fe80::1%999999", NULL);
	put_file(hosts, "192.0.2.2 name\n192.0.2.1 name\n");
	gives("name", "192.0.2.2 192.0.2.1", NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(literals, fresh),
		cmocka_unit_test_setup(socket_addresses, fresh),
		cmocka_unit_test_setup(hosts_file, fresh),
		cmocka_unit_test_setup(more_hosts_than_places, fresh),
		cmocka_unit_test_setup(conf_file, fresh),
		cmocka_unit_test_setup(answers_of_a_server, fresh),
		cmocka_unit_test_setup(lost_and_late, fresh),
		cmocka_unit_test_setup(answers_that_are_none, fresh),
		cmocka_unit_test_setup(several_servers, fresh),
		cmocka_unit_test_setup(no_server_is_named, fresh),
		cmocka_unit_test_setup(search_list, fresh),
		cmocka_unit_test_setup(names_that_cannot_be, fresh),
		cmocka_unit_test_setup(questions, fresh),
		cmocka_unit_test_setup(damaged_answers, fresh),
		cmocka_unit_test_setup(as_many_as_fit, fresh),
		cmocka_unit_test_setup(order, fresh),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
