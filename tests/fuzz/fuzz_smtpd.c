/*
 * -bs: a session of any bytes. Replies are replies; a message is delivered only
 * behind a 354, whole, to addresses, and its text has no line end but CRLF.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/front/smtpd.h"
#include "tests/fuzz/fuzz.h"

struct talk {
	struct delivery delivery;	/* first: deliver() finds us by it */
	unsigned messages, how;
};

static void
check_address(const char *a)
{
	struct result res;
	char *again = address_parse_one(a, "h.example", &res);

	CHECK(again && strcmp(again, a) == 0 && is_clean(a));
	free(again);
}

static void
check_text(const struct spool *sp)
{
	char block[1000], last = '\n';
	off_t at = 0;
	ssize_t n, i;

	while ((n = spool_read(sp, block, sizeof block, at)) > 0) {
		for (i = 0; i < n; i++) {
			CHECK(block[i] != '\0');
			CHECK((block[i] == '\n') == (last == '\r'));
			last = block[i];
		}
		at += n;
	}
	CHECK(n == 0 && last == '\n' && at == sp->size);
}

static void
deliver_one(const struct delivery *d, struct message *m)
{
	struct talk *t = (struct talk *)(uintptr_t)d;
	size_t i;

	t->messages++;
	CHECK(m->env.nrcpts > 0);
	if (*m->env.from)
		check_address(m->env.from);
	for (i = 0; i < m->env.nrcpts; i++) {
		check_address(m->env.rcpts[i].addr);
		if (m->env.rcpts[i].dsn_orcpt)
			CHECK(is_clean(m->env.rcpts[i].dsn_orcpt));
		result_set(&m->env.rcpts[i].res, t->how & 1 ? OUT_TEMP :
		    t->how & 2 ? OUT_PERM : OUT_DONE, CAUSE_ROUTE, "so");
	}
	if (m->env.dsn_envid)
		CHECK(is_clean(m->env.dsn_envid));
	check_text(&m->spool);
}

/* Returns how many replies begin so. */
static unsigned
check_replies(const char *p, size_t n, const char *code)
{
	const char *end = p + n, *lf;
	unsigned found = 0;

	for (; p < end; p = lf + 1) {
		lf = memchr(p, '\n', (size_t)(end - p));
		CHECK(lf != NULL && lf - p >= 5 && lf[-1] == '\r');
		CHECK(lf - p <= 513);
		CHECK(p[0] >= '2' && p[0] <= '5' && p[1] >= '0' && p[1] <= '5');
		CHECK(p[3] == ' ' || p[3] == '-');
		CHECK(memchr(p, '\r', (size_t)(lf - p - 1)) == NULL);
		found += strncmp(p, code, 4) == 0;
	}
	return found;
}

FUZZ(smtpd)
{
	static char here[] = "h.example";
	struct config c = { .hostname = here, .domain = here };
	struct log log = { .target = LOG_TO_NONE, .fd = -1 };
	struct talk t = { .how = in_byte(in),
		.delivery = { .config = &c, .log = &log } };
	struct aliases aliases;
	char *out = NULL;
	size_t size;
	struct smtpd d = { .delivery = &t.delivery, .deliver = deliver_one,
		.aliases = &aliases, .sender = "me@h.example",
		.patience = 1000 };
	int status;

	c.max_size = t.how & 4 ? 1024 : 0;
	aliases_init(&aliases, &c);
	d.in = file_of(in->p, in->n);
	d.out = open_memstream(&out, &size);
	CHECK(d.out != NULL);
	status = smtpd_run(&d);
	fclose(d.out);
	CHECK(status == 0 || status == EXIT_TEMP);
	CHECK(check_replies(out, size, "220 ") >= 1);
	CHECK(check_replies(out, size, "354 ") >= t.messages);
	free(out);
	close(d.in);
}
