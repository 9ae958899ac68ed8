#include "lib/net/dial.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/net/resolve.h"

enum { ADDRESS_MS = 30000 };

static bool
is_unix(const char *host)
{
	return strncmp(host, "unix:", 5) == 0;
}

/* Host without the brackets of an IPv6 literal; false when it does not fit. */
static bool
plain_host(const char *host, char *out, size_t size)
{
	size_t n = strlen(host);

	if (n >= 2 && host[0] == '[' && host[n - 1] == ']') {
		host++;
		n -= 2;
	}
	if (n >= size)
		return false;
	memcpy(out, host, n);
	out[n] = '\0';
	return true;
}

bool
dial_is_address(const char *host)
{
	char name[256];
	struct ip_address a;

	return plain_host(host, name, sizeof name) && resolve_literal(name, &a);
}

bool
dial_is_loopback(const char *host)
{
	static const unsigned char one[16] = { [15] = 1 };
	char name[256];
	struct ip_address a;

	if (is_unix(host) || str_iequal(host, "localhost"))
		return true;
	return plain_host(host, name, sizeof name) && resolve_literal(name, &a) &&
	    (resolve_is_v4(&a) ? a.ip[12] == 127 :
	    memcmp(a.ip, one, sizeof one) == 0);
}

/*
 * A non-blocking connect that may take `ms`. Returns the descriptor, or -1 with
 * errno set.
 */
static int
connect_within(const struct sockaddr *sa, socklen_t len, int64_t ms)
{
	int fd, on = 1, err = 0, n;
	socklen_t errlen = sizeof err;
	int64_t end = clock_ms() + ms, left;
	struct pollfd p;

	fd = socket(sa->sa_family, SOCK_STREAM, 0);
	if (fd < 0)
		return -1;
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	if (sa->sa_family != AF_UNIX)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (connect(fd, sa, len) == 0)
		return fd;
	if (errno != EINPROGRESS)
		goto fail_close;
	p = (struct pollfd){ .fd = fd, .events = POLLOUT };
	do {
		left = end - clock_ms();
		n = poll(&p, 1, left > 0 ? (int)left : 0);
	} while (n < 0 && errno == EINTR);
	if (n == 0)
		errno = ETIMEDOUT;
	if (n <= 0)
		goto fail_close;
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &errlen);
	if (err == 0)
		return fd;
	errno = err;
fail_close:
	err = errno;
	close(fd);
	errno = err;
	return -1;
}

static int
opened(struct stream *s, int fd, struct result *res)
{
	if (stream_socket_open(s, fd) == 0)
		return 0;
	result_set(res, OUT_TEMP, CAUSE_LOCAL, "out of memory");
	return -1;
}

static int
dial_unix(struct stream *s, const char *path, int64_t ms, struct result *res)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(path) >= sizeof sun.sun_path) {
		result_set(res, OUT_TEMP, CAUSE_OPERATOR,
		    "unix:%s: the path is too long for a socket", path);
		return -1;
	}
	memcpy(sun.sun_path, path, strlen(path) + 1);
	fd = connect_within((struct sockaddr *)&sun, sizeof sun,
	    ms);
	if (fd < 0) {
		result_set(res, OUT_TEMP, CAUSE_ROUTE,
		    "cannot connect to unix:%s: %s", path, strerror(errno));
		return -1;
	}
	if (opened(s, fd, res) < 0)
		return -1;
	snprintf(s->peer, sizeof s->peer, "%.79s", path);
	return 0;
}

static const char *
resolver_text(int why)
{
	switch (why) {
	case RESOLVE_NO_NAME:
		return "the name does not exist (check `host` and DNS)";
	case RESOLVE_NO_ADDRESS:
		return "the name has no address (check `host` and DNS)";
	default:
		return "the resolver does not answer";
	}
}

/* Connect to one address; the stream is opened on success. */
static int
dial_address(struct stream *s, const struct ip_address *a, const char *host,
    unsigned port, int64_t ms, struct log *log, struct result *res)
{
	char text[INET6_ADDRSTRLEN] = "?";
	struct sockaddr_storage sa;
	socklen_t len = resolve_sockaddr(a, port, &sa);
	int fd;

	if (resolve_is_v4(a))
		inet_ntop(AF_INET, a->ip + 12, text, sizeof text);
	else
		inet_ntop(AF_INET6, a->ip, text, sizeof text);
	fd = connect_within((struct sockaddr *)&sa, len, ms);
	if (fd < 0) {
		result_set(res, OUT_TEMP, CAUSE_ROUTE,
		    "cannot connect to %s[%s]:%u: %s", host, text, port,
		    strerror(errno));
		log_trace(log, "* %s", res->text);
		return -1;
	}
	if (opened(s, fd, res) < 0)
		return -1;
	/* A long name is clipped so that address and port still show. */
	snprintf(s->peer, sizeof s->peer, "%.*s[%s]:%u",
	    (int)(sizeof s->peer - strlen(text) - 10), host, text, port);
	log_trace(log, "* connected to %s", s->peer);
	return 0;
}

int
dial(struct stream *s, const char *host, unsigned port, int64_t seconds,
    struct log *log, struct result *res)
{
	struct ip_address found[RESOLVE_MAX];
	int64_t ms = seconds * 1000 < ADDRESS_MS ? seconds * 1000 : ADDRESS_MS;
	char name[256];
	int n, i, rc = -1;

	memset(s, 0, sizeof *s);
	s->fd = -1;
	if (is_unix(host))
		return dial_unix(s, host + 5, ms, res);
	if (!plain_host(host, name, sizeof name)) {
		result_set(res, OUT_TEMP, CAUSE_OPERATOR,
		    "the host name is too long");
		return -1;
	}
	n = resolve(&resolve_system, name, found, NULL);
	/* RFC 6761 section 6.3: also where there is no /etc/hosts. */
	if (n < 0 && str_iequal(name, "localhost"))
		n = resolve_literal("127.0.0.1", found);
	if (n < 0) {
		result_set(res, OUT_TEMP, CAUSE_ROUTE, "cannot resolve %s: %s",
		    name, resolver_text(n));
		return -1;
	}
	for (i = 0; i < n && rc < 0; i++)
		rc = dial_address(s, &found[i], name, port, ms, log, res);
	return rc;
}
