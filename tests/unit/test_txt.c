/*
 * TXT records in answers of the DNS: what is found, that no answer, however it is
 * cut or bent, is read beyond its end, and how a name server of our own is asked.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/clock.h"
#include "lib/net/dns.h"
#include "lib/net/txt.h"

/* A question for k.d, a CNAME for it, and a record of the strings "v=D" "KIM1". */
static const unsigned char answer[] = {
	0x12, 0x34, 0x81, 0x80, 0, 1, 0, 2, 0, 0, 0, 0,
	1, 'k', 1, 'd', 0, 0, 16, 0, 1,
	0xC0, 12, 0, 5, 0, 1, 0, 0, 0, 60, 0, 4, 1, 'x', 0xC0, 14,
	0xC0, 33, 0, 16, 0, 1, 0, 0, 0, 60, 0, 9,
	3, 'v', '=', 'D', 4, 'K', 'I', 'M', '1'
};

/* Read a heap copy of exactly n bytes: the sanitizer sees what lies behind. */
static int
read_copy(const unsigned char *p, size_t n, struct buf *text)
{
	unsigned char *copy = malloc(n > 0 ? n : 1);
	int rc;

	assert_non_null(copy);
	memcpy(copy, p, n);
	rc = txt_read(copy, n, text);
	free(copy);
	return rc;
}

static void
test_strings_are_joined(void **state)
{
	struct buf text = { 0 };

	(void)state;
	assert_int_equal(read_copy(answer, sizeof answer, &text), TXT_FOUND);
	assert_string_equal(buf_str(&text), "v=DKIM1");
	buf_free(&text);
}

static void
test_answer_without_one(void **state)
{
	unsigned char other[sizeof answer];
	struct buf text = { 0 };

	(void)state;
	memcpy(other, answer, sizeof answer);
	other[40] = 1;		/* an A record */
	assert_int_equal(read_copy(other, sizeof other, &text), TXT_NONE);
	other[7] = 0;
	assert_int_equal(read_copy(other, sizeof other, &text), TXT_NONE);
	assert_int_equal(text.len, 0);
}

static void
test_cut_at_every_byte(void **state)
{
	struct buf text = { 0 };
	size_t n;

	(void)state;
	for (n = 0; n < sizeof answer; n++)
		assert_int_equal(read_copy(answer, n, &text), TXT_NONE);
	assert_int_equal(text.len, 0);
}

/* Any byte may be anything: no crash, and no more text than there is. */
static void
test_every_byte_bent(void **state)
{
	unsigned char bent[sizeof answer];
	struct buf text = { 0 };
	unsigned value;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof answer; i++)
		for (value = 0; value < 256; value++) {
			memcpy(bent, answer, sizeof answer);
			bent[i] = (unsigned char)value;
			read_copy(bent, sizeof bent, &text);
			assert_true(text.len < sizeof answer);
			buf_reset(&text);
		}
	buf_free(&text);
}

/* --- a name server: what it does is in the question's first label --- */

static pid_t server;
static struct dns dns;

static bool
is(const unsigned char *p, const char *label)
{
	return p[12] == strlen(label) && memcmp(p + 13, label, p[12]) == 0;
}

/* A record of `count` strings, each of 250 bytes of that letter. */
static size_t
put_text(unsigned char *p, size_t n, char letter, unsigned count)
{
	unsigned size = count * 251;

	memcpy(p + n, (unsigned char[]){ 0xC0, 12, 0, 16, 0, 1, 0, 0, 0, 9,
	    (unsigned char)(size >> 8), (unsigned char)size }, 12);
	p[7]++;
	for (n += 12; count > 0; count--, n += 251) {
		p[n] = 250;
		memset(p + n + 1, letter, 250);
	}
	return n;
}

/* The question at p becomes its answer. Returns its length; 0: none. */
static size_t
answer_to(unsigned char *p, size_t n, bool tcp)
{
	bool edns = p[11] > 0;

	if (edns)
		n -= 11;
	p[2] = 0x81;
	p[11] = 0;
	if (is(p, "silent"))
		return 0;
	if (is(p, "none"))
		p[3] = 3;
	else if (is(p, "broken") || (tcp && is(p, "cutbroken")))
		p[3] = 2;
	else if (is(p, "old") && edns) {
		p[3] = 1;
		p[5] = 0;
		n = 12;
	} else if (is(p, "unread") && edns)
		p[3] = 1;
	else if (memcmp(p + 13, "cut", 3) == 0 && !tcp)
		p[2] |= 2;
	else if (is(p, "cutother"))
		p[1] ^= 1;
	else if (is(p, "alias")) {
		memcpy(p + n, "\300\14\0\5\0\1\0\0\0\11\0\3\1y", 15);
		p[7]++;
		n = put_text(p, n + 15, 'a', 1);
	} else if (is(p, "two"))
		n = put_text(p, put_text(p, n, 'b', 1), 'c', 1);
	else if (is(p, "large"))
		n = put_text(p, n, 'd', 4);
	else if (!is(p, "nothing"))
		n = put_text(p, n, 'e', is(p, "cuthuge") ? 20 : tcp ? 12 : 1);
	return n;
}

static void
serve_tcp(int listener)
{
	unsigned char p[8192];
	int fd = accept(listener, NULL, NULL);
	size_t n, i;
	ssize_t got = recv(fd, p, sizeof p, 0);

	if (got > 2 + 17 && !is(p + 2, "cutclosed")) {
		n = answer_to(p + 2, (size_t)got - 2, true);
		p[0] = (unsigned char)(n >> 8);
		p[1] = (unsigned char)n;
		n += 2;
		if (is(p + 2, "cutshort"))
			n -= 1;
		for (i = 0; is(p + 2, "cutslow") && i < 300; i++, n--) {
			send(fd, p + i, 1, MSG_NOSIGNAL);
			usleep(100);
		}
		send(fd, p + i, n, MSG_NOSIGNAL);
	}
	close(fd);
}

static void
serve(int udp, int tcp)
{
	struct pollfd ready[] = { { .fd = udp, .events = POLLIN },
		{ .fd = tcp, .events = POLLIN } };
	struct sockaddr_in from;
	unsigned char p[8192];
	socklen_t len;
	ssize_t got;
	size_t n;

	for (;;) {
		poll(ready, 2, -1);
		if (ready[1].revents)
			serve_tcp(tcp);
		if (!ready[0].revents)
			continue;
		len = sizeof from;
		got = recvfrom(udp, p, sizeof p, 0, (struct sockaddr *)&from,
		    &len);
		n = got > 17 ? answer_to(p, (size_t)got, false) : 0;
		if (n > 0)
			sendto(udp, p, n, 0, (struct sockaddr *)&from, len);
	}
}

static int
start(void **state)
{
	struct sockaddr_in sa = { .sin_family = AF_INET };
	socklen_t len = sizeof sa;
	int udp, tcp, tries;

	(void)state;
	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (tries = 0; tries < 20; tries++) {
		udp = socket(AF_INET, SOCK_DGRAM, 0);
		tcp = socket(AF_INET, SOCK_STREAM, 0);
		sa.sin_port = 0;
		if (bind(tcp, (struct sockaddr *)&sa, len) == 0 &&
		    getsockname(tcp, (struct sockaddr *)&sa, &len) == 0 &&
		    bind(udp, (struct sockaddr *)&sa, len) == 0 &&
		    listen(tcp, 5) == 0)
			break;
		close(udp);
		close(tcp);
	}
	dns_load(&dns, "/no/such/file", ntohs(sa.sin_port));
	dns.timeout = 1;
	dns.attempts = 4;
	server = fork();
	if (server == 0)
		serve(udp, tcp);
	close(udp);
	close(tcp);
	return server < 0 || tries == 20 ? -1 : 0;
}

static int
stop(void **state)
{
	(void)state;
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
	return 0;
}

/* So many times that letter is the text of the name; 0: there is no answer. */
static void
gives(const char *name, char letter, size_t count)
{
	unsigned char packet[DNS_TEXT];
	struct buf text = { 0 };
	size_t n = dns_text(&dns, name, packet), i;

	assert_int_equal(n > 0, count > 0);
	if (n > 0)
		assert_int_equal(txt_read(packet, n, &text), TXT_FOUND);
	assert_int_equal(text.len, count);
	for (i = 0; i < count; i++)
		assert_int_equal(text.p[i], letter);
	buf_free(&text);
}

static void
gives_none(const char *name)
{
	unsigned char packet[DNS_TEXT];
	struct buf text = { 0 };
	size_t n = dns_text(&dns, name, packet);

	assert_true(n > 0);
	assert_int_equal(txt_read(packet, n, &text), TXT_NONE);
}

static void
test_by_udp(void **state)
{
	(void)state;
	gives("plain.test", 'e', 250);
	gives("alias.test", 'a', 250);
	gives("two.test", 'b', 250);
	gives("large.test", 'd', 1000);
	gives_none("none.test");
	gives_none("nothing.test");
	gives("silent.test", 0, 0);
	gives("broken.test", 0, 0);
	gives("a..test", 0, 0);
}

static void
test_by_tcp(void **state)
{
	int64_t began = clock_ms();

	(void)state;
	gives("cut.test", 'e', 3000);
	gives("cutslow.test", 'e', 3000);
	/* Servers that do not know EDNS. */
	gives("old.test", 'e', 3000);
	gives("unread.test", 'e', 3000);
	assert_true(clock_ms() - began < 900);
	gives("cutclosed.test", 0, 0);
	gives("cutshort.test", 0, 0);
	gives("cutother.test", 0, 0);
	gives("cutbroken.test", 0, 0);
	gives("cuthuge.test", 0, 0);
	gives("cut.test", 'e', 3000);
}

/* The second server is asked when the first does not answer. */
static void
test_next_server(void **state)
{
	struct dns saved = dns;

	(void)state;
	dns.nservers = 2;
	dns.servers[1] = dns.servers[0];
	assert_true(resolve_literal("127.9.9.9", &dns.servers[0]));
	gives("cut.test", 'e', 3000);
	dns = saved;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_strings_are_joined),
		cmocka_unit_test(test_answer_without_one),
		cmocka_unit_test(test_cut_at_every_byte),
		cmocka_unit_test(test_every_byte_bent),
		cmocka_unit_test(test_by_udp),
		cmocka_unit_test(test_by_tcp),
		cmocka_unit_test(test_next_server),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
