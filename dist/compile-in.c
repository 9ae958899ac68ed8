/*
 * compile-in: looks at what `make CONFIG= SENDERS= CA=` compiles in. It runs when
 * the program is built, on the machine that builds, and stands on the same files
 * of lib/ that would read these things when the program runs.
 *
 *     compile-in config FILE [list]    `list`: a sender list is compiled in too
 *     compile-in senders FILE
 *     compile-in roots FILE all|amazon|system BUILD-TIME
 *
 * One line on stderr a fault, FILE:LINE first where there is one, and exit 1.
 * `roots` writes C on standard output: the roots of a PEM file, decoded.
 * `amazon` takes those five that AWS's own services use; `system` leaves out
 * those that cannot be used, which are faults otherwise.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/base64.h"
#include "lib/config/check.h"
#include "lib/config/parse.h"
#include "lib/config/senders.h"
#include "lib/net/identity.h"
#include "lib/net/roots.h"

enum { FILE_MAX = 32 << 20, ROOTS_MAX = 4000, RSA_KEY_MIN = 256 };

/* lib/config/senders.c wants one. */
const char senders_builtin[] = "";

static char *
read_file(const char *name, size_t *n)
{
	FILE *in = fopen(name, "rb");
	char *text = malloc(FILE_MAX);

	if (in == NULL || text == NULL) {
		fprintf(stderr, "%s: %s\n", name, strerror(errno));
		exit(1);
	}
	*n = fread(text, 1, FILE_MAX - 1, in);
	if (ferror(in) || !feof(in)) {
		fprintf(stderr, "%s: cannot be read, or is too long\n", name);
		exit(1);
	}
	fclose(in);
	text[*n] = '\0';
	return text;
}

/* --- the configuration and the sender list --- */

static int
check_sources(const struct config *c, struct result *res)
{
	const struct route *r;
	size_t i;

	for (r = c->routes; r < c->routes + c->nroutes; r++)
		for (i = 0; i < r->nsources; i++)
			if (r->sources[i].kind == SENDER_BUILTIN)
				return parse_fail(c, r->sources[i].line, res,
				    "senders builtin, but no list is compiled "
				    "in; expected SENDERS=FILE");
	return 0;
}

static int
config(char *name, bool with_list)
{
	struct config c = { .file = name };
	struct result res = { 0 };
	size_t n;
	char *text = read_file(name, &n);

	if (strlen(text) == n && parse_text(&c, text, n, &res) == 0 &&
	    check_routes(&c, &res) == 0 &&
	    (with_list || check_sources(&c, &res) == 0))
		return 0;
	fprintf(stderr, "%s\n", strlen(text) < n ? "a NUL in the configuration" :
	    res.text);
	return 1;
}

static void
pass(void *ctx, const struct pattern *p, const char *text, size_t n)
{
	(void)ctx;
	(void)p;
	(void)text;
	(void)n;
}

static int
senders(char *name)
{
	struct sender_source source = { .kind = SENDER_FILE, .text = name };
	struct route r = { .sources = &source, .nsources = 1 };
	struct result res = { 0 };

	if (senders_each(&r, pass, NULL, &res) == 0)
		return 0;
	fprintf(stderr, "%s\n", res.text);
	return 1;
}

/* --- roots --- */

struct found {
	struct root root;
	struct anchor a;
	char name[100];
	unsigned line;
};

struct bundle {
	const char *file, *which;
	int64_t now;
	struct found *list;
	size_t n;
	int status;
};

static bool
same(struct der a, struct der b)
{
	return a.n == b.n && memcmp(a.p, b.p, a.n) == 0;
}

static bool
is_wanted(const struct bundle *b, const char *name)
{
	static const char *const amazon[] = { "Amazon Root CA 1",
	    "Amazon Root CA 2", "Amazon Root CA 3", "Amazon Root CA 4",
	    "Starfield Services Root Certificate Authority - G2" };
	size_t i;

	if (strcmp(b->which, "amazon") != 0)
		return true;
	for (i = 0; i < sizeof amazon / sizeof amazon[0]; i++)
		if (strcmp(name, amazon[i]) == 0)
			return true;
	return false;
}

static void
refuse(struct bundle *b, const struct found *f, const char *why)
{
	bool left_out = strcmp(b->which, "system") == 0;

	fprintf(stderr, "%s:%u: \"%s\" %s%s\n", b->file, f->line, f->name, why,
	    left_out ? "; left out" : "");
	if (!left_out)
		b->status = 1;
}

/* Why the root is of no use; NULL: it is. */
static const char *
judge(const struct bundle *b, const struct x509_view *v,
    const struct x509_key *k)
{
	if (v->not_after >= 0 && v->not_after < b->now)
		return "has expired";
	if (k->curve == 0 && k->n.n > RSA_KEY_MAX)
		return "has an RSA key of more than 4096 bits";
	if (k->curve == 0 && k->n.n < RSA_KEY_MIN)
		return "has an RSA key of less than 2048 bits";
	return NULL;
}

static void
take(struct bundle *b, const unsigned char *der, size_t n, unsigned line)
{
	struct found *f = &b->list[b->n];
	struct x509_view v;
	const char *why;
	size_t i;

	*f = (struct found){ .name = "?", .line = line };
	if (x509_view(&v, der, n) < 0) {
		refuse(b, f, "is no certificate that is understood");
		return;
	}
	x509_common_name(v.subject, f->name, sizeof f->name);
	if (!is_wanted(b, f->name))
		return;
	why = !x509_key(&v, &f->a.key) ? "has a key that is neither RSA nor of "
	    "the curves P-256, P-384 and P-521" : judge(b, &v, &f->a.key);
	if (why) {
		refuse(b, f, why);
		return;
	}
	f->a.subject = v.subject;
	f->a.ca = x509_is_ca(&v);
	for (i = 0; i < b->n; i++)
		if (same(b->list[i].a.subject, v.subject) &&
		    b->list[i].a.key.curve == f->a.key.curve &&
		    same(b->list[i].a.key.n, f->a.key.n) &&
		    same(b->list[i].a.key.q, f->a.key.q)) {
			fprintf(stderr, "%s:%u: \"%s\" stands in line %u too; "
			    "taken once\n", b->file, line, f->name,
			    b->list[i].line);
			return;
		}
	f->root.hash = roots_hash(v.subject);
	b->n++;
}

static void
read_bundle(struct bundle *b)
{
	static const char begin[] = "-----BEGIN CERTIFICATE-----";
	size_t n;
	char *text = read_file(b->file, &n), *p = text, *end, *at = text;
	unsigned char *der;
	unsigned line = 1;
	ssize_t got;

	while ((p = strstr(p, begin)) != NULL && b->n < ROOTS_MAX) {
		for (; at < p; at++)
			line += *at == '\n';
		p += sizeof begin - 1;
		end = strstr(p, "-----END");
		n = end ? (size_t)(end - p) : 0;
		der = malloc(n + 1);
		got = der ? base64_decode(der, n, p, n) : -1;
		/* What is taken points into it. */
		take(b, der, got > 0 ? (size_t)got : 0, line);
	}
	free(text);
}

static int
compare(const void *one, const void *two)
{
	const struct found *a = one, *b = two;

	return (a->root.hash > b->root.hash) - (a->root.hash < b->root.hash);
}

static size_t
put(struct der d)
{
	size_t i;

	for (i = 0; i < d.n; i++)
		printf("%u,%s", (unsigned)d.p[i], i % 20 == 19 ? "\n" : "");
	putchar('\n');
	return d.n;
}

static void
write_roots(struct bundle *b)
{
	struct found *f, *end = b->list + b->n;
	size_t at = 0;

	qsort(b->list, b->n, sizeof *b->list, compare);
	puts("#include \"lib/net/roots.h\"\n"
	    "static const unsigned char data[] = {");
	for (f = b->list; f < end; f++) {
		f->root.at = (uint32_t)at;
		printf("/* %s */\n", strstr(f->name, "*/") ? "" : f->name);
		at += f->root.subject = (uint16_t)put(f->a.subject);
		at += f->root.key = (uint16_t)put(f->a.key.curve ? f->a.key.q :
		    f->a.key.n);
		at += f->root.exponent = (uint16_t)put(f->a.key.e);
	}
	puts("};\nstatic const struct root list[] = {");
	for (f = b->list; f < end; f++)
		printf("{ %" PRIu32 "U, %" PRIu32 ", %u, %u, %u, %d, %d },\n",
		    f->root.hash, f->root.at, f->root.subject, f->root.key,
		    f->root.exponent, f->a.key.curve, f->a.ca);
	printf("};\nconst struct roots roots_builtin = { list, %zu, data };\n",
	    b->n);
}

static int
roots(const char *file, const char *which, const char *build_time)
{
	struct bundle b = { .file = file, .which = which,
	    .now = strtoll(build_time, NULL, 10) };

	b.list = calloc(ROOTS_MAX + 1, sizeof *b.list);
	if (b.list == NULL)
		return 1;
	read_bundle(&b);
	if (b.status == 0 && b.n == 0) {
		fprintf(stderr, "%s holds no root certificate%s\n", file,
		    strcmp(which, "amazon") == 0 ? " of Amazon's" : "");
		b.status = 1;
	}
	if (b.status == 0)
		write_roots(&b);
	return b.status;
}

int
main(int argc, char **argv)
{
	if (argc >= 3 && strcmp(argv[1], "config") == 0)
		return config(argv[2], argc > 3);
	if (argc == 3 && strcmp(argv[1], "senders") == 0)
		return senders(argv[2]);
	if (argc == 5 && strcmp(argv[1], "roots") == 0)
		return roots(argv[2], argv[3], argv[4]);
	fputs("usage: compile-in config|senders|roots FILE ...\n", stderr);
	return 64;
}
