/* For a build without this part: nothing here is reached. See Makefile. */
#include "lib/front/keygen.h"
#include "lib/mail/dkim.h"
#include "lib/mail/verify.h"

const struct message *
dkim_message(const struct message *m, const struct route *r,
    struct message *adapted, struct result *res)
{
	(void)r;
	(void)adapted;
	(void)res;
	return m;
}

int
keygen_run(const char *dir, const char *domain, FILE *out, struct result *res)
{
	(void)dir;
	(void)domain;
	(void)out;
	(void)res;
	return -1;
}

const char *
verify_published(const char *domain, const char *selector,
    const struct private_key *key, bool *certain)
{
	(void)domain;
	(void)selector;
	(void)key;
	(void)certain;
	return NULL;
}

int
verify_run(int fd, const char *keys, FILE *out, struct result *res)
{
	(void)fd;
	(void)keys;
	(void)out;
	(void)res;
	return -1;
}
