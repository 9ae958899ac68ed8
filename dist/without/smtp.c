/* For a build without this part: nothing here is reached. See Makefile. */
#include "smtp.h"

#include "lib/relay/session.h"

struct smtp *
smtp_open(const struct route *r, const struct config *c, struct log *log)
{
	(void)r;
	(void)c;
	(void)log;
	return NULL;
}

void
smtp_close(struct smtp *c)
{
	(void)c;
}

void
smtp_deliver(struct smtp *c, const struct parcel *parcels, size_t n)
{
	(void)c;
	(void)parcels;
	(void)n;
}

const struct result *
smtp_down(const struct smtp *c)
{
	(void)c;
	return NULL;
}

int
session_open(struct session *c)
{
	(void)c;
	return -1;
}

void
session_close(struct session *c)
{
	(void)c;
}
