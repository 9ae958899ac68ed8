/* Connecting, to sockets of this machine; the resolver is ours. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/clock.h"
#include "lib/net/dial.h"
#include "lib/net/resolve.h"

enum { ADDRESSES = 10, FILLERS = 4 };

/* What "host" stands for. */
static const char *answer[ADDRESSES + 1];

union address {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

const struct resolve_places resolve_system;

bool
resolve_literal(const char *text, struct ip_address *a)
{
	static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };

	memset(a, 0, sizeof *a);
	if (inet_pton(AF_INET6, text, a->ip) == 1)
		return true;
	memcpy(a->ip, mapped, sizeof mapped);
	return inet_pton(AF_INET, text, a->ip + 12) == 1;
}

bool
resolve_is_v4(const struct ip_address *a)
{
	return a->ip[10] == 0xff && a->ip[11] == 0xff;
}

void
resolve_text(const struct ip_address *a, char out[RESOLVE_TEXT])
{
	bool v4 = resolve_is_v4(a);

	inet_ntop(v4 ? AF_INET : AF_INET6, a->ip + (v4 ? 12 : 0), out,
	    RESOLVE_TEXT);
}

socklen_t
resolve_sockaddr(const struct ip_address *a, unsigned number,
    struct sockaddr_storage *out)
{
	union address *to = (union address *)out;

	memset(out, 0, sizeof *out);
	if (resolve_is_v4(a)) {
		to->in.sin_family = AF_INET;
		to->in.sin_port = htons((uint16_t)number);
		memcpy(&to->in.sin_addr, a->ip + 12, 4);
		return sizeof to->in;
	}
	to->in6.sin6_family = AF_INET6;
	to->in6.sin6_port = htons((uint16_t)number);
	memcpy(&to->in6.sin6_addr, a->ip, 16);
	return sizeof to->in6;
}

int
resolve(const struct resolve_places *where, const char *name,
    struct ip_address out[RESOLVE_MAX], char canonical[RESOLVE_NAME])
{
	int n;

	(void)where, (void)canonical;
	if (strcmp(name, "host") != 0)
		return resolve_literal(name, out) ? 1 : RESOLVE_NO_NAME;
	for (n = 0; answer[n]; n++)
		assert_true(resolve_literal(answer[n], &out[n]));
	return n > 0 ? n : RESOLVE_NO_NAME;
}

static void
resolve_to(const char *const *list)
{
	size_t i;

	for (i = 0; list[i]; i++)
		answer[i] = list[i];
	answer[i] = NULL;
}
#define RESOLVE(...) resolve_to((const char *const[]){ __VA_ARGS__, NULL })

/* --- servers --- */

static unsigned port;			/* of them all */
static int listeners[ADDRESSES], fillers[ADDRESSES * FILLERS];
static size_t nlisteners, nfillers;

static socklen_t
address_of(union address *a, const char *text)
{
	struct sockaddr_storage sa;
	struct ip_address ip;
	socklen_t n;

	assert_true(resolve_literal(text, &ip));
	n = resolve_sockaddr(&ip, port, &sa);
	memcpy(a, &sa, n);
	return n;
}

static bool
try_listen(const char *text, int backlog)
{
	union address a;
	socklen_t n = address_of(&a, text);
	int fd = socket(a.sa.sa_family, SOCK_STREAM, 0), on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (fd < 0 || bind(fd, &a.sa, n) < 0 || listen(fd, backlog) < 0) {
		close(fd);
		return false;
	}
	if (port == 0) {
		assert_int_equal(getsockname(fd, &a.sa, &n), 0);
		port = ntohs(a.in.sin_port);
	}
	listeners[nlisteners++] = fd;
	return true;
}

static void
takes(const char *text)
{
	assert_true(try_listen(text, 8));
}

/* Its queue is full, so that the system lets who comes wait. */
static void
hangs(const char *text)
{
	union address a;
	socklen_t n;
	int i, fd;

	assert_true(try_listen(text, 0));
	n = address_of(&a, text);
	for (i = 0; i < FILLERS; i++) {
		fd = socket(a.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
		(void)!connect(fd, &a.sa, n);
		fillers[nfillers++] = fd;
	}
	usleep(20000);
}

static void
forget(void)
{
	while (nlisteners > 0)
		close(listeners[--nlisteners]);
	while (nfillers > 0)
		close(fillers[--nfillers]);
	port = 0;
}

static size_t
open_files(void)
{
	DIR *d = opendir("/proc/self/fd");
	size_t n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static struct result res;
static int64_t took;

/* Connects to "host"; no descriptor is left behind. */
static int
connects(struct stream *s, const char *source, int64_t seconds)
{
	size_t before = open_files();
	int rc;

	memset(&res, 0, sizeof res);
	took = clock_ms();
	rc = dial(s, "host", port, source, seconds, NULL, &res);
	took = clock_ms() - took;
	assert_int_equal(open_files(), before + (rc == 0));
	return rc;
}

static void
connected_to(const char *text, const char *source, int64_t seconds)
{
	char peer[80];
	struct stream s;

	if (connects(&s, source, seconds) < 0)
		fail_msg("%s", res.text);
	snprintf(peer, sizeof peer, "host[%s]:%u", text, port);
	assert_string_equal(s.peer, peer);
	stream_close(&s);
}

static void
failed_with(const char *text, const char *source, int64_t seconds)
{
	struct stream s;

	assert_int_equal(connects(&s, source, seconds), -1);
	if (strstr(res.text, text) == NULL)
		fail_msg("\"%s\" is not in: %s", text, res.text);
	assert_int_equal(res.outcome, OUT_TEMP);
	assert_true(res.certainly_not_taken);
}

/* --- the tests --- */

static void
the_first_that_takes(void **state)
{
	(void)state;
	takes("127.0.0.1");
	RESOLVE("127.0.0.1", "127.0.0.2");
	connected_to("127.0.0.1", NULL, 5);
	RESOLVE("127.0.0.2", "127.0.0.3", "127.0.0.1");
	connected_to("127.0.0.1", NULL, 5);
	assert_true(took < 450);
	forget();
}

static void
all_refuse(void **state)
{
	(void)state;
	takes("127.0.0.1");
	RESOLVE("127.0.0.2", "127.0.0.3");
	failed_with("cannot connect to host[127.0.0.3]:", NULL, 5);
	assert_non_null(strstr(res.text, "refused"));
	assert_true(took < 450);
	forget();
}

static void
a_slow_one_is_overtaken(void **state)
{
	(void)state;
	hangs("127.0.0.1");
	takes("127.0.0.2");
	RESOLVE("127.0.0.1", "127.0.0.2");
	connected_to("127.0.0.2", NULL, 5);
	assert_in_range(took, 240, 4000);
	/* And one that refuses meanwhile makes no difference. */
	RESOLVE("127.0.0.1", "127.0.0.3", "127.0.0.2");
	connected_to("127.0.0.2", NULL, 5);
	assert_in_range(took, 240, 4000);
	forget();
}

static void
none_comes_in_in_time(void **state)
{
	(void)state;
	hangs("127.0.0.1");
	hangs("127.0.0.2");
	RESOLVE("127.0.0.1", "127.0.0.2");
	failed_with("timed out", NULL, 1);
	assert_in_range(took, 1200, 5000);
	RESOLVE("127.0.0.1", "127.0.0.3");
	failed_with("host[127.0.0.1]", NULL, 1);
	assert_in_range(took, 990, 5000);
	forget();
}

/* The first hangs; another of its family would take, but the other is next. */
static void
the_families_take_turns(void **state)
{
	(void)state;
	hangs("127.0.0.1");
	takes("127.0.0.2");
	if (!try_listen("::1", 8)) {
		forget();
		skip();
	}
	RESOLVE("127.0.0.1", "127.0.0.2", "::1");
	connected_to("::1", NULL, 5);
	assert_true(took >= 240);
	RESOLVE("::1", "127.0.0.1", "127.0.0.2");
	connected_to("::1", NULL, 5);
	forget();
}

/* So many are begun at once, and the next when one of them gives up. */
static void
more_addresses_than_are_tried_at_once(void **state)
{
	static const char *const list[] = { "127.0.0.1", "127.0.0.2",
		"127.0.0.3", "127.0.0.4", "127.0.0.5", "127.0.0.6", "127.0.0.7",
		"127.0.0.8", "127.0.0.9", NULL };
	size_t i;

	(void)state;
	for (i = 0; i < 8; i++)
		hangs(list[i]);
	takes(list[8]);
	resolve_to(list);
	connected_to("127.0.0.9", NULL, 3);
	assert_in_range(took, 2990, 9000);
	forget();
}

static void
from_an_address(void **state)
{
	union address a;
	socklen_t n = sizeof a;
	char text[80] = "";
	int fd;

	(void)state;
	takes("127.0.0.1");
	RESOLVE("::1", "127.0.0.1");
	connected_to("127.0.0.1", "127.0.0.77", 5);
	fd = accept(listeners[0], &a.sa, &n);
	assert_true(fd >= 0);
	inet_ntop(AF_INET, &a.in.sin_addr, text, sizeof text);
	assert_string_equal(text, "127.0.0.77");
	close(fd);
	snprintf(text, sizeof text, "from 192.0.2.1: %s",
	    strerror(EADDRNOTAVAIL));
	failed_with(text, "192.0.2.1", 5);
	RESOLVE("127.0.0.1", "127.0.0.2");
	failed_with("cannot resolve host to connect from ::1: the name has no "
	    "address", "[::1]", 5);
	failed_with("cannot resolve host to connect from ::1", "::1", 5);
	answer[0] = NULL;
	failed_with("cannot resolve host: the name does not exist", NULL, 5);
	failed_with("cannot resolve host: the name", "::1", 5);
	forget();
}

static void
a_socket_in_the_file_system(void **state)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	char dir[] = "/tmp/test_dial.XXXXXX", host[200];
	struct stream s;
	int fd;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(sun.sun_path, sizeof sun.sun_path, "%s/s", dir);
	snprintf(host, sizeof host, "unix:%s", sun.sun_path);
	assert_int_equal(dial(&s, host, 0, NULL, 5, NULL, &res), -1);
	assert_non_null(strstr(res.text, host));
	assert_non_null(strstr(res.text, "No such file"));
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof sun), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(dial(&s, host, 0, NULL, 5, NULL, &res), 0);
	assert_string_equal(s.peer, host);
	stream_close(&s);
	close(fd);
	unlink(sun.sun_path);
	rmdir(dir);
	memset(host + 5, '/', 110);
	host[115] = '\0';
	assert_int_equal(dial(&s, host, 0, NULL, 5, NULL, &res), -1);
	assert_non_null(strstr(res.text, "too long"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_that_takes),
		cmocka_unit_test(all_refuse),
		cmocka_unit_test(a_slow_one_is_overtaken),
		cmocka_unit_test(none_comes_in_in_time),
		cmocka_unit_test(the_families_take_turns),
		cmocka_unit_test(more_addresses_than_are_tried_at_once),
		cmocka_unit_test(from_an_address),
		cmocka_unit_test(a_socket_in_the_file_system)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
