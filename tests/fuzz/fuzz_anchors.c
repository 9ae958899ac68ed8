/*
 * PEM bundles, scanned for a subject. What is found has that subject; what a whole
 * decoder finds in a well-formed bundle is found. The bundle follows on a letter;
 * who is looked for is the subject of its first or last certificate.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/base64.h"
#include "lib/net/anchors.h"
#include "tests/fuzz/fuzz.h"

static const char begin_mark[] = "-----BEGIN CERTIFICATE-----\n",
    end_mark[] = "\n-----END CERTIFICATE-----\n";

struct search {
	struct der subject;
	unsigned found;
};

static void
found(void *ctx, const unsigned char *der, size_t len)
{
	struct search *s = ctx;
	struct der subject;

	CHECK(x509_subject(der, len, &subject));
	CHECK(subject.n == s->subject.n);
	CHECK(memcmp(subject.p, s->subject.p, subject.n) == 0);
	CHECK(subject.p >= der && subject.p + subject.n <= der + len);
	s->found++;
}

/* The certificate between the marks at text; *next behind it. */
static unsigned char *
decode(const char *text, size_t *n, const char **next)
{
	const char *begin = strstr(text, begin_mark), *end;
	unsigned char *der;
	ssize_t got;

	*next = NULL;
	if (begin == NULL)
		return NULL;
	begin += sizeof begin_mark - 1;
	end = strstr(begin, end_mark);
	if (end == NULL || end - begin > 8000)
		return NULL;
	*next = end + sizeof end_mark - 1;
	der = malloc((size_t)(end - begin) + 3);
	got = base64_decode(der, (size_t)(end - begin) + 3, begin,
	    (size_t)(end - begin));
	*n = got < 0 ? 0 : (size_t)got;
	return der;
}

FUZZ(anchors)
{
	unsigned how = in_byte(in), last = how & 1 ? 100 : 1;
	int fd = file_of(in->p, in->n), n;
	char *text = in_text(in);
	const char *next = text;
	unsigned char *der = NULL, *der2;
	size_t len = 0, len2;
	struct search s = { { 0 }, 0 };

	while (last-- > 0 && next && (der2 = decode(next, &len2, &next))) {
		free(der);
		der = der2;
		len = len2;
	}
	if (der == NULL || !x509_subject(der, len, &s.subject))
		s.subject = (struct der){ (const unsigned char *)"\x30", 2 - 1 };
	n = anchors_find(fd, &s.subject, 1, found, &s);
	CHECK(n >= 0);
	/* Whole and clean, the first of them is found. */
	if (der && s.subject.n > 1 && strncmp(text, begin_mark,
	    sizeof begin_mark - 1) == 0 && !(how & 1))
		CHECK(s.found >= 1 && n >= 1);
	free(der);
	free(text);
	close(fd);
}
