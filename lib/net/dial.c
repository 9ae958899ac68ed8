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

enum {
	ADDRESS_MS = 30000,
	EARLY_MS = 250,			/* RFC 8305 section 5 */
	AT_ONCE = 8			/* connections begun and not yet made */
};

/* Connections to the addresses of one host: the first that is made wins. */
struct race {
	const char *host;		/* in texts; a socket's path: see is_unix */
	unsigned port;
	const char *from;		/* source address as text, or NULL */
	struct ip_address source;	/* the same */
	int64_t ms;			/* for each */
	int n, next;
	int running;
	struct log *log;
	struct result *res;		/* of the last that failed */
	struct pollfd polls[AT_ONCE];	/* fd -1: free */
	int64_t ends[AT_ONCE];
	const struct ip_address *begun[AT_ONCE];
	const struct ip_address *order[RESOLVE_MAX];	/* NULL: the socket */
};

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

/* Where a connects; NULL: the socket. Returns the size of *sa. */
static socklen_t
target(const struct race *r, const struct ip_address *a,
    struct sockaddr_storage *sa)
{
	struct sockaddr_un *sun = (struct sockaddr_un *)sa;

	if (a)
		return resolve_sockaddr(a, r->port, sa);
	*sun = (struct sockaddr_un){ .sun_family = AF_UNIX };
	strcpy(sun->sun_path, r->host + 5);
	return sizeof *sun;
}

/* Bind the socket to the route's source address, if there is one. */
static int
bind_source(const struct race *r, int fd)
{
	struct sockaddr_storage sa;
	socklen_t len;

	if (r->from == NULL)
		return 0;
	len = resolve_sockaddr(&r->source, 0, &sa);
	return bind(fd, (struct sockaddr *)&sa, len);
}

/* Begin to connect. A descriptor that can be polled, or -1 with errno set. */
static int
begin(const struct race *r, const struct ip_address *a)
{
	struct sockaddr_storage sa;
	socklen_t len = target(r, a, &sa);
	int fd = socket(sa.ss_family, SOCK_STREAM, 0), on = 1, err;

	if (fd < 0)
		return -1;
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	if (a)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (bind_source(r, fd) == 0 && (connect(fd, (struct sockaddr *)&sa,
	    len) == 0 || errno == EINPROGRESS))
		return fd;
	err = errno;
	close(fd);
	errno = err;
	return -1;
}

/* "host[address]:port", a long host clipped; or "unix:/path". */
static void
describe(const struct race *r, const struct ip_address *a, char *out,
    size_t size)
{
	char text[RESOLVE_TEXT];

	if (a == NULL) {
		snprintf(out, size, "%s", r->host);
		return;
	}
	resolve_text(a, text);
	snprintf(out, size, "%.*s[%s]:%u", (int)(size - strlen(text) - 10),
	    r->host, text, r->port);
}

static void
note(struct race *r, const struct ip_address *a, int err)
{
	char name[330];

	describe(r, a, name, sizeof name);
	result_set(r->res, OUT_TEMP, CAUSE_ROUTE, "cannot connect to %s%s%s: %s",
	    name, r->from ? " from " : "", r->from ? r->from : "",
	    strerror(err));
	log_trace(r->log, "* %s", r->res->text);
}

static bool
is_more(const struct race *r)
{
	return r->next < r->n && r->running < AT_ONCE;
}

/* One more runner. When the next may begin. */
static int64_t
send_off(struct race *r, int64_t now)
{
	const struct ip_address *a = r->order[r->next++];
	int fd = begin(r, a), i = 0;

	if (fd < 0) {
		note(r, a, errno);
		return now;
	}
	while (r->polls[i].fd >= 0)
		i++;
	r->polls[i] = (struct pollfd){ .fd = fd, .events = POLLOUT };
	r->begun[i] = a;
	r->ends[i] = now + r->ms;
	r->running++;
	return now + EARLY_MS;
}

/* Until something happens, or could. */
static void
wait_for(struct race *r, int64_t early)
{
	int64_t until = is_more(r) ? early : INT64_MAX, left;
	nfds_t n = 0, i;

	for (i = 0; i < AT_ONCE; i++) {
		r->polls[i].revents = 0;
		if (r->polls[i].fd < 0)
			continue;
		if (r->ends[i] < until)
			until = r->ends[i];
		/* More than there may be descriptors would be an error. */
		n = i + 1;
	}
	left = until - clock_ms();
	poll(r->polls, n, left > 0 ? (int)left : 0);
}

/*
 * Has runner i come in? 1; 0: it is still running, or there is none; -1: it has
 * given up.
 */
static int
look_at(struct race *r, int i, int64_t now)
{
	int err = 0;
	socklen_t n = sizeof err;

	if (r->polls[i].fd < 0)
		return 0;
	if (r->polls[i].revents)
		getsockopt(r->polls[i].fd, SOL_SOCKET, SO_ERROR, &err, &n);
	else if (now < r->ends[i])
		return 0;
	else
		err = ETIMEDOUT;
	if (err == 0)
		return 1;
	note(r, r->begun[i], err);
	close(r->polls[i].fd);
	r->polls[i].fd = -1;
	r->running--;
	return -1;
}

/* The winner's number, or -1 when nobody comes in. */
static int
run(struct race *r)
{
	int64_t now = clock_ms(), early = now;
	int i, came;

	for (i = 0; i < AT_ONCE; i++)
		r->polls[i].fd = -1;
	for (;;) {
		while (is_more(r) && (r->running == 0 || now >= early))
			early = send_off(r, now);
		if (r->running == 0)
			return -1;
		wait_for(r, early);
		now = clock_ms();
		for (i = 0; i < AT_ONCE; i++) {
			came = look_at(r, i, now);
			if (came > 0)
				return i;
			/* The next need not wait for one that is out. */
			if (came < 0)
				early = now;
		}
	}
}

static int
open_winner(struct stream *s, struct race *r)
{
	int i, won = run(r);

	if (won < 0)
		return -1;
	for (i = 0; i < AT_ONCE; i++)
		if (i != won && r->polls[i].fd >= 0)
			close(r->polls[i].fd);
	if (stream_socket_open(s, r->polls[won].fd) < 0) {
		result_set(r->res, OUT_TEMP, CAUSE_LOCAL, "out of memory");
		return -1;
	}
	describe(r, r->begun[won], s->peer, sizeof s->peer);
	log_trace(r->log, "* connected to %s", s->peer);
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

/*
 * The two families in turn, the first's first (RFC 8305 section 4); or the source
 * address's alone.
 */
static void
set_order(struct race *r, const struct ip_address *found, int n)
{
	bool first = resolve_is_v4(&found[0]);
	int at[2] = { 0, 0 }, turn, *i;

	for (turn = 0; at[0] < n || at[1] < n; turn = !turn) {
		i = &at[turn];
		while (*i < n && resolve_is_v4(&found[*i]) == (first != !turn))
			++*i;
		if (*i < n && (r->from == NULL || resolve_is_v4(&found[*i]) ==
		    resolve_is_v4(&r->source)))
			r->order[r->n++] = &found[*i];
		*i += *i < n;
	}
}

static int
dial_inet(struct stream *s, struct race *r)
{
	struct ip_address found[RESOLVE_MAX];
	int n = resolve(&resolve_system, r->host, found, NULL);

	/* RFC 6761 section 6.3: also where there is no /etc/hosts. */
	if (n < 0 && str_iequal(r->host, "localhost"))
		n = resolve_literal("127.0.0.1", found);
	if (n > 0)
		set_order(r, found, n);
	if (r->n > 0)
		return open_winner(s, r);
	result_set(r->res, OUT_TEMP, CAUSE_ROUTE, "cannot resolve %s%s%s: %s",
	    r->host, n > 0 ? " to connect from " : "", n > 0 ? r->from : "",
	    resolver_text(n > 0 ? RESOLVE_NO_ADDRESS : n));
	return -1;
}

int
dial(struct stream *s, const char *host, unsigned port, const char *source,
    int64_t seconds, struct log *log, struct result *res)
{
	struct race r = { .host = host, .port = port, .log = log, .res = res,
	    .ms = seconds * 1000 < ADDRESS_MS ? seconds * 1000 : ADDRESS_MS };
	char name[256], from[64];

	memset(s, 0, sizeof *s);
	s->fd = -1;
	if (is_unix(host) ? strlen(host + 5) >= sizeof(struct sockaddr_un) -
	    offsetof(struct sockaddr_un, sun_path) :
	    !plain_host(host, name, sizeof name)) {
		result_set(res, OUT_TEMP, CAUSE_OPERATOR,
		    "the host name is too long");
		return -1;
	}
	if (is_unix(host)) {
		r.n = 1;
		return open_winner(s, &r);
	}
	r.host = name;
	if (source && plain_host(source, from, sizeof from) &&
	    resolve_literal(from, &r.source))
		r.from = from;
	return dial_inet(s, &r);
}
