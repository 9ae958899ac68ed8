#include "lib/mail/message.h"

#include <stdlib.h>
#include <string.h>

#include "bearssl-glue.h"
#include "lib/base/buf.h"

enum { SECONDS_DIGITS = 7, MICROSECONDS_DIGITS = 4, RANDOM_DIGITS = 9 };

static const char digit[] = "0123456789abcdefghijklmnopqrstuv";

static char *
put_digits(char *p, int n, uint64_t v)
{
	int i;

	for (i = n - 1; i >= 0; i--, v >>= 5)
		p[i] = digit[v & 31];
	return p + n;
}

void
message_id_make(char id[24])
{
	unsigned char random[RANDOM_DIGITS];
	struct timespec now = { 0 };
	char *p = id;
	int i;

	if (random_bytes(random, sizeof random) < 0)
		memset(random, 0, sizeof random);
	clock_gettime(CLOCK_REALTIME, &now);
	p = put_digits(p, SECONDS_DIGITS, (uint64_t)now.tv_sec);
	p = put_digits(p, MICROSECONDS_DIGITS, (uint64_t)now.tv_nsec / 1000);
	for (i = 0; i < RANDOM_DIGITS; i++)
		*p++ = digit[random[i] & 31];
	*p = '\0';
}

bool
message_id_valid(const char *id)
{
	return strlen(id) == MESSAGE_ID_LENGTH &&
	    strspn(id, digit) == MESSAGE_ID_LENGTH;
}

void
message_needs_tls(struct result *res, const char *who)
{
	result_set(res, OUT_PERM, CAUSE_ROUTE, "%s: the message asks for "
	    "REQUIRETLS, and that is not offered there", who);
	result_set_enhanced(res, "5.7.30");
}

void
message_settled(const struct message *m, struct rcpt *const *rcpts, size_t n)
{
	if (m->settled)
		m->settled(m->settled_ctx, rcpts, n);
}

int
message_take_rcpts(struct message *m, struct addr_list *list)
{
	size_t i;

	addr_list_dedup(list);
	m->env.rcpts = calloc(list->n > 0 ? list->n : 1,
	    sizeof *m->env.rcpts);
	if (m->env.rcpts == NULL)
		return -1;
	for (i = 0; i < list->n; i++)
		m->env.rcpts[i].addr = list->v[i];
	m->env.nrcpts = list->n;
	free(list->v);
	*list = (struct addr_list){ 0 };
	return 0;
}

void
message_free(struct message *m)
{
	size_t i;

	for (i = 0; i < m->env.nrcpts; i++) {
		free(m->env.rcpts[i].addr);
		free(m->env.rcpts[i].dsn_notify);
		free(m->env.rcpts[i].dsn_orcpt);
	}
	free(m->env.dsn_ret);
	free(m->env.dsn_envid);
	free(m->env.rcpts);
	free(m->env.from);
	addr_list_free(&m->identities);
	spool_close(&m->spool);
	memset(&m->env, 0, sizeof m->env);
}
