#include "lib/mail/message.h"

#include <stdlib.h>
#include <string.h>

#include "bearssl-glue.h"
#include "lib/base/buf.h"

void
message_id_make(char id[24], time_t t)
{
	static const char digit[] = "0123456789abcdefghijklmnopqrstuv";
	unsigned char random[12];
	uint64_t v = (uint64_t)t;
	int i;

	if (random_bytes(random, sizeof random) < 0)
		memset(random, 0, sizeof random);
	for (i = 7; i >= 0; i--, v >>= 5)
		id[i] = digit[v & 31];
	for (i = 0; i < (int)sizeof random; i++)
		id[8 + i] = digit[random[i] & 31];
	id[20] = '\0';
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
