/* For a build without this part: nothing here is reached. See Makefile. */
#include "lib/mail/aliases.h"

void
aliases_init(struct aliases *a, const struct config *c)
{
	(void)a;
	(void)c;
}

int
aliases_open(struct aliases *a, struct result *res)
{
	(void)a;
	(void)res;
	return 0;
}

void
aliases_close(struct aliases *a)
{
	(void)a;
}

bool
aliases_include(const struct aliases *a)
{
	(void)a;
	return false;
}

int
aliases_apply(struct aliases *a, struct addr_list *rcpts, struct result *res)
{
	(void)a;
	(void)rcpts;
	(void)res;
	return 0;
}
