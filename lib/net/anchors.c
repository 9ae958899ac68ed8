#include "lib/net/anchors.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/base64.h"

enum {
	WINDOW = 16384,		/* PEM text looked at at a time */
	HEAD = 384		/* bytes that nearly always reach the subject */
};

static const char begin_mark[] = "-----BEGIN CERTIFICATE-----";
static const char end_mark[] = "-----END";

int
anchors_open(const char *file, const char **used)
{
	static const char *const places[] = {
		"/etc/ssl/certs/ca-certificates.crt",	/* Debian, Alpine */
		"/etc/pki/tls/certs/ca-bundle.crt",	/* Fedora, RHEL */
		"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
		"/etc/ssl/ca-bundle.pem",		/* openSUSE */
		"/etc/ssl/cert.pem",			/* Alpine, BSD */
		"/usr/local/etc/ssl/cert.pem",		/* FreeBSD */
		"/usr/local/share/certs/ca-root-nss.crt"
	};
	size_t i;
	int fd = -1;

	if (file) {
		*used = file;
		return open(file, O_RDONLY | O_CLOEXEC);
	}
	for (i = 0; i < sizeof places / sizeof places[0] && fd < 0; i++) {
		*used = places[i];
		fd = open(places[i], O_RDONLY | O_CLOEXEC);
	}
	return fd;
}

struct scan {
	int fd;
	char *text;		/* WINDOW bytes, of which [at..len) is unread */
	size_t at, len;
	off_t offset;		/* in the file, behind text */
};

/* Move what is unread to the front and fill up. New bytes, or -1. */
static ssize_t
slide(struct scan *s)
{
	size_t before;
	ssize_t got;

	s->len -= s->at;
	memmove(s->text, s->text + s->at, s->len);
	s->at = 0;
	before = s->len;
	while (s->len < WINDOW) {
		got = pread(s->fd, s->text + s->len, WINDOW - s->len,
		    s->offset);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -1;
		if (got == 0)
			break;
		s->len += (size_t)got;
		s->offset += got;
	}
	return (ssize_t)(s->len - before);
}

static const char *
find(const char *text, size_t n, const char *mark)
{
	size_t m = strlen(mark);
	const char *end = text + n, *p = text;

	while ((size_t)(end - p) >= m) {
		p = memchr(p, mark[0], (size_t)(end - p) - m + 1);
		if (p == NULL)
			return NULL;
		if (memcmp(p, mark, m) == 0)
			return p;
		p++;
	}
	return NULL;
}

static bool
wanted(const unsigned char *der, size_t len, const struct der *subjects,
    size_t n, bool *seen)
{
	struct der subject;
	size_t i;

	*seen = x509_subject(der, len, &subject);
	if (*seen)
		for (i = 0; i < n; i++)
			if (subject.n == subjects[i].n &&
			    memcmp(subject.p, subjects[i].p, subject.n) == 0)
				return true;
	return false;
}

/* Look at one certificate's base64 text; decode it in full if it is wanted. */
static void
look(const char *text, size_t len, const struct der *subjects, size_t n,
    void (*found)(void *, const unsigned char *, size_t), void *ctx)
{
	unsigned char head[HEAD], *der;
	bool seen, match;
	ssize_t size;

	match = wanted(head, base64_prefix(head, sizeof head, text, len),
	    subjects, n, &seen);
	if (seen && !match)
		return;
	der = malloc(len);
	if (der == NULL)
		return;
	size = base64_decode(der, len, text, len);
	if (size > 0 && wanted(der, (size_t)size, subjects, n, &seen))
		found(ctx, der, (size_t)size);
	free(der);
}

/*
 * The base64 text of the next certificate: 1 with *text and *n set, 0 when there
 * is none left, -1 with errno set.
 */
static int
next_certificate(struct scan *s, const char **text, size_t *n)
{
	const size_t mark = sizeof begin_mark - 1;
	const char *begin, *end = NULL;
	ssize_t more;

	for (;;) {
		begin = find(s->text + s->at, s->len - s->at, begin_mark);
		if (begin) {
			s->at = (size_t)(begin - s->text);
			end = find(begin + mark, s->len - s->at - mark,
			    end_mark);
		} else if (s->len - s->at >= mark) {
			/* The mark may be cut in two by the window's edge. */
			s->at = s->len - (mark - 1);
		}
		if (end) {
			*text = begin + mark;
			*n = (size_t)(end - *text);
			s->at = (size_t)(end - s->text);
			return 1;
		}
		more = slide(s);
		if (more < 0)
			return -1;
		if (more == 0 && begin == NULL)
			return 0;
		if (more == 0)
			s->at = mark;	/* no end in a whole window: pass over */
	}
}

int
anchors_find(int fd, const struct der *subjects, size_t n,
    void (*found)(void *ctx, const unsigned char *der, size_t len), void *ctx)
{
	struct scan s = { .fd = fd };
	const char *text;
	size_t len;
	int count = 0, rc;

	s.text = malloc(WINDOW);
	if (s.text == NULL)
		return -1;
	while ((rc = next_certificate(&s, &text, &len)) > 0) {
		look(text, len, subjects, n, found, ctx);
		count++;
	}
	free(s.text);
	return rc < 0 ? -1 : count;
}
