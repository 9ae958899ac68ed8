#include "lib/net/dns.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "bearssl-glue.h"
#include "lib/base/buf.h"
#include "lib/base/clock.h"

enum {
	HEADER = 12,
	UDP_TEXT = 1232,	/* RFC 6891 section 6.2.3: never in pieces */
	TYPE_A = 1, TYPE_CNAME = 5, TYPE_AAAA = 28, CLASS_IN = 1,
	NO_ERROR = 0, FORMAT_ERROR = 1, SERVER_FAILURE = 2, NAME_ERROR = 3
};

/* --- files --- */

bool
dns_lines_next(struct dns_lines *l, char *line, size_t size)
{
	size_t len = 0;
	bool comment = false, any = false;
	ssize_t n;
	char c;

	for (;;) {
		if (l->at == l->n) {
			do
				n = read(l->fd, l->block, sizeof l->block);
			while (n < 0 && errno == EINTR);
			l->at = 0;
			l->n = n > 0 ? (size_t)n : 0;
			if (n <= 0)
				break;
		}
		any = true;
		c = l->block[l->at++];
		if (c == '\n')
			break;
		comment |= c == '#';
		if (!comment && len + 1 < size)
			line[len++] = c;
	}
	line[len] = '\0';
	return any;
}

char *
word_next(char **at)
{
	static const char blanks[] = " \t\r\v\f";
	char *word = *at + strspn(*at, blanks), *end;

	end = word + strcspn(word, blanks);
	*at = *end ? end + 1 : end;
	*end = '\0';
	return end > word ? word : NULL;
}

/* "timeout:3": the number behind the name, but not more than `most`. */
static void
take_option(const char *word, const char *name, unsigned *out, unsigned most)
{
	uint64_t v;

	if (!str_istarts(word, name))
		return;
	word += strlen(name);
	if (number_parse(word, 0, UINT32_MAX, &v) == 0)
		*out = v > most ? most : (unsigned)v;
}

static void
take_options(struct dns *d, char *at)
{
	const char *word;

	while ((word = word_next(&at)) != NULL) {
		take_option(word, "ndots:", &d->ndots, 15);
		take_option(word, "timeout:", &d->timeout, 60);
		take_option(word, "attempts:", &d->attempts, 10);
	}
}

void
dns_load(struct dns *d, const char *file, unsigned port)
{
	struct dns_lines l = { .fd = open(file, O_RDONLY | O_CLOEXEC) };
	char line[512], *at, *word;

	*d = (struct dns){ .port = port, .timeout = 5, .attempts = 2,
		.ndots = 1 };
	while (dns_lines_next(&l, line, sizeof line)) {
		at = line;
		word = word_next(&at);
		if (word == NULL || *word == ';')
			continue;
		if (strcmp(word, "nameserver") == 0) {
			word = word_next(&at);
			if (word && d->nservers < DNS_SERVERS &&
			    resolve_literal(word, &d->servers[d->nservers]))
				d->nservers++;
		} else if (strcmp(word, "options") == 0)
			take_options(d, at);
		else if ((strcmp(word, "search") == 0 ||
		    strcmp(word, "domain") == 0) &&
		    strlen(at) < sizeof d->search)
			memcpy(d->search, at, strlen(at) + 1);
	}
	if (l.fd >= 0)
		close(l.fd);
	if (d->timeout == 0)
		d->timeout = 1;
	if (d->attempts == 0)
		d->attempts = 1;
	d->guessed = d->nservers == 0;
	if (d->guessed && resolve_literal("127.0.0.1", &d->servers[0]))
		d->nservers = 1;
}

/* --- packets --- */

size_t
dns_question(unsigned char out[DNS_PACKET], const char *name, unsigned type,
    unsigned id)
{
	size_t at = HEADER, len, i;

	memset(out, 0, HEADER);
	out[0] = (unsigned char)(id >> 8);
	out[1] = (unsigned char)id;
	out[2] = 1;		/* recursion desired */
	out[5] = 1;		/* one question */
	do {
		len = strcspn(name, ".");
		if (len < 1 || len > 63 || at + len + 1 > HEADER + 254)
			return 0;
		out[at++] = (unsigned char)len;
		/* In small letters, as some servers repeat it so. */
		for (i = 0; i < len; i++, name++)
			out[at++] = (unsigned char)(*name >= 'A' &&
			    *name <= 'Z' ? *name + 32 : *name);
		name += *name == '.';
	} while (*name);
	memcpy(out + at, (unsigned char[]){ 0, 0, (unsigned char)type, 0,
	    CLASS_IN }, 5);
	return at + 5;
}

static unsigned
two(const unsigned char *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

size_t
dns_skip_name(const unsigned char *p, size_t n, size_t at)
{
	while (at < n && p[at] != 0) {
		if (p[at] >= 0xC0)
			return at + 2;
		at += p[at] + 1u;
	}
	return at + 1;
}

/* The name at `at` in text, if it is one of a host; else out is left alone. */
static void
read_name(const unsigned char *p, size_t n, size_t at, char out[RESOLVE_NAME])
{
	char name[RESOLVE_NAME];
	size_t len = 0, i;
	int jumps = 0;

	while (at < n && p[at] != 0) {
		if (p[at] >= 0xC0) {
			if (at + 2 > n || ++jumps > 64)
				return;
			at = two(p + at) & 0x3FFF;
			continue;
		}
		if (len > 0)
			name[len++] = '.';
		for (i = p[at++]; i > 0; i--) {
			if (at >= n || len + 2 >= sizeof name || p[at] <= ' ' ||
			    p[at] >= 0x7F)
				return;
			name[len++] = (char)p[at++];
		}
	}
	if (at >= n || len == 0)
		return;
	name[len] = '\0';
	memcpy(out, name, len + 1);
}

int
dns_read(const unsigned char *p, size_t n, unsigned type,
    struct ip_address out[RESOLVE_MAX], int have, char canonical[RESOLVE_NAME])
{
	size_t at = HEADER, len;
	unsigned questions, answers, t;

	if (n < HEADER)
		return have;
	for (questions = two(p + 4); questions > 0 && at < n; questions--)
		at = dns_skip_name(p, n, at) + 4;
	for (answers = two(p + 6); answers > 0; answers--) {
		at = dns_skip_name(p, n, at) + 10;
		if (at > n)
			break;
		t = two(p + at - 10);
		len = two(p + at - 2);
		if (len > n - at)
			break;
		if (t == TYPE_CNAME)
			read_name(p, n, at, canonical);
		else if (t == type && len == (t == TYPE_A ? 4 : 16) &&
		    have < RESOLVE_MAX) {
			out[have] = (struct ip_address){ .ip = { [10] = 0xFF,
				[11] = 0xFF } };
			memcpy(out[have++].ip + 16 - len, p + at, len);
		}
		at += len;
	}
	return have;
}

/* --- servers --- */

struct query {
	size_t length, extra;	/* extra: of it, what stands behind the question */
	size_t got;		/* 0: no answer yet */
	unsigned type;
	unsigned char question[DNS_PACKET], answer[UDP_TEXT];
};

enum { QUERIES = 2 };

static unsigned
code_of(const unsigned char *answer)
{
	return answer[3] & 15;
}

/*
 * A socket to one server, which takes packets from nobody else; or -1. seconds:
 * the most that one call on it may take.
 */
static int
open_server(const struct ip_address *a, unsigned port, int type,
    unsigned seconds)
{
	struct timeval most = { .tv_sec = seconds };
	struct sockaddr_storage sa;
	socklen_t len = resolve_sockaddr(a, port, &sa);
	int fd = socket(sa.ss_family, type | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &most, sizeof most);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof most);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&sa, len) < 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/*
 * Whether that is the answer to q: the same ID, the same question, which a server
 * that understands nothing need not repeat.
 */
static bool
answers(const struct query *q, const unsigned char *p, size_t n)
{
	size_t length = q->length - q->extra;

	if (n < HEADER || memcmp(p, q->question, 2) != 0 || !(p[2] & 0x80))
		return false;
	return (q->extra > 0 && code_of(p) == FORMAT_ERROR) ||
	    (n >= length && two(p + 4) == 1 && memcmp(p + HEADER,
	    q->question + HEADER, length - HEADER) == 0);
}

/* Everything that has come from a server. */
static void
take_answers(int fd, struct query q[QUERIES], unsigned *patience)
{
	unsigned char p[UDP_TEXT];
	ssize_t n;
	int i;

	while ((n = recv(fd, p, sizeof p, 0)) >= 0)
		for (i = 0; i < QUERIES; i++) {
			if (q[i].got > 0 || !answers(&q[i], p, (size_t)n))
				continue;
			if (code_of(p) == NO_ERROR || code_of(p) == NAME_ERROR ||
			    (q[i].extra > 0 && code_of(p) == FORMAT_ERROR)) {
				memcpy(q[i].answer, p, (size_t)n);
				q[i].got = (size_t)n;
			} else if (code_of(p) == SERVER_FAILURE &&
			    *patience > 0) {
				--*patience;
				send(fd, q[i].question, q[i].length,
				    MSG_NOSIGNAL);
			}
		}
}

/* Whether the last question went out: -1 when nobody takes the one before. */
static ssize_t
ask_all(const struct pollfd *p, size_t n, const struct query q[QUERIES])
{
	ssize_t sent = 0;
	size_t s;
	int i;

	for (i = 0; i < QUERIES; i++)
		for (s = 0; s < n && q[i].got == 0; s++)
			if (p[s].fd >= 0)
				sent = send(p[s].fd, q[i].question, q[i].length,
				    MSG_NOSIGNAL);
	return sent;
}

/* Ask until everything is answered or the time is over. */
static void
converse(const struct dns *d, struct query q[QUERIES])
{
	int64_t now = clock_ms(), end = now + d->timeout * 1000, again = now;
	struct pollfd p[DNS_SERVERS];
	unsigned patience = 0;
	size_t s, ways = 0;

	for (s = 0; s < d->nservers; s++) {
		p[s] = (struct pollfd){ .events = POLLIN,
			.fd = open_server(&d->servers[s], d->port, SOCK_DGRAM |
			    SOCK_NONBLOCK, 0) };
		ways += p[s].fd >= 0;
	}
	while (ways > 0 && (q[0].got == 0 || q[1].got == 0) && now < end) {
		if (now >= again) {
			/* Nobody said that there is a server on this machine. */
			if (ask_all(p, d->nservers, q) < 0 && d->guessed)
				break;
			again = now + d->timeout * 1000 / d->attempts;
			patience = 2 * QUERIES;
		}
		if (poll(p, (nfds_t)d->nservers, (int)((again < end ? again :
		    end) - now)) > 0)
			for (s = 0; s < d->nservers; s++)
				if (p[s].revents)
					take_answers(p[s].fd, q, &patience);
		now = clock_ms();
	}
	for (s = 0; s < d->nservers; s++)
		if (p[s].fd >= 0)
			close(p[s].fd);
}

int
dns_find(const struct dns *d, const char *name,
    struct ip_address out[RESOLVE_MAX], char canonical[RESOLVE_NAME])
{
	static const unsigned types[QUERIES] = { TYPE_A, TYPE_AAAA };
	struct query q[QUERIES] = { { .got = 0 } };
	uint16_t id[QUERIES];
	int i, n = 0, why = RESOLVE_NO_ADDRESS;

	if (random_bytes(id, sizeof id) < 0)
		return RESOLVE_NO_ANSWER;
	for (i = 0; i < QUERIES; i++) {
		q[i].type = types[i];
		q[i].length = dns_question(q[i].question, name, types[i], id[i]);
		if (q[i].length == 0)
			return RESOLVE_NO_NAME;
	}
	converse(d, q);
	for (i = 0; i < QUERIES; i++)
		n = dns_read(q[i].answer, q[i].got, types[i], out, n, canonical);
	if (n > 0)
		return n;
	for (i = 0; i < QUERIES; i++) {
		if (q[i].got == 0)
			return RESOLVE_NO_ANSWER;
		if (code_of(q[i].answer) == NAME_ERROR)
			why = RESOLVE_NO_NAME;
	}
	return why;
}

/* RFC 7766: the answer of that server in `answer`. Its length, or 0. */
static size_t
ask_by_tcp(const struct dns *d, const struct ip_address *server,
    const struct query *q, unsigned char *answer)
{
	unsigned char p[2 + DNS_TEXT];
	int64_t end = clock_ms() + d->timeout * 1000;
	int fd = open_server(server, d->port, SOCK_STREAM, d->timeout);
	size_t have = 0, due = 2;
	ssize_t n;

	p[0] = (unsigned char)(q->length >> 8);
	p[1] = (unsigned char)q->length;
	memcpy(p + 2, q->question, q->length);
	n = fd < 0 ? -1 : send(fd, p, q->length + 2, MSG_NOSIGNAL);
	while (n > 0 && have < due && clock_ms() < end) {
		n = recv(fd, p + have, due - have, 0);
		have += n > 0 ? (size_t)n : 0;
		if (have == 2 && (due += two(p)) > sizeof p)
			break;
	}
	if (fd >= 0)
		close(fd);
	if (have < due || !answers(q, p + 2, due - 2) ||
	    (code_of(p + 2) != NO_ERROR && code_of(p + 2) != NAME_ERROR))
		return 0;
	memcpy(answer, p + 2, due - 2);
	return due - 2;
}

size_t
dns_text(const struct dns *d, const char *name, unsigned char answer[DNS_TEXT])
{
	/* How much we take; a server that does not know that is asked by TCP. */
	static const unsigned char opt[] = { 0, 0, 41, UDP_TEXT >> 8,
		UDP_TEXT & 255, 0, 0, 0, 0, 0, 0 };
	struct query q[QUERIES] = { { .extra = sizeof opt }, { .got = 1 } };
	uint16_t id;
	size_t s, n = 0;

	if (random_bytes(&id, sizeof id) < 0)
		return 0;
	q[0].length = dns_question(q[0].question, name, DNS_TXT, id);
	if (q[0].length == 0)
		return 0;
	memcpy(q[0].question + q[0].length, opt, sizeof opt);
	q[0].question[11] = 1;
	q[0].length += sizeof opt;
	converse(d, q);
	n = q[0].got;
	memcpy(answer, q[0].answer, n);
	if (n == 0 || (!(answer[2] & 2) && code_of(answer) != FORMAT_ERROR))
		return n;
	q[0].question[11] = 0;
	q[0].length -= sizeof opt;
	q[0].extra = 0;
	for (n = s = 0; n == 0 && s < d->nservers; s++)
		n = ask_by_tcp(d, &d->servers[s], &q[0], answer);
	return n;
}
