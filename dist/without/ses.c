/* For a build without this part: nothing here is reached. See Makefile. */
#include "ses.h"

#include "lib/aws/answer.h"
#include "lib/aws/process.h"
#include "lib/aws/profile.h"
#include "lib/front/verified.h"

struct ses *
ses_open(const struct route *r, const struct config *c, env_lookup env,
    struct log *log)
{
	(void)r;
	(void)c;
	(void)env;
	(void)log;
	return NULL;
}

void
ses_close(struct ses *s)
{
	(void)s;
}

void
ses_hurry(struct ses *s)
{
	(void)s;
}

void
ses_deliver(struct ses *s, const struct message *m, struct rcpt *const *rcpts,
    size_t n)
{
	(void)s;
	(void)m;
	(void)rcpts;
	(void)n;
}

const struct result *
ses_down(const struct ses *s)
{
	(void)s;
	return NULL;
}

const struct credentials *
ses_credentials(struct ses *s, const char **host, struct result *res)
{
	(void)s;
	(void)host;
	(void)res;
	return NULL;
}

const char *
ses_via(const struct ses *s)
{
	(void)s;
	return "";
}

const char *
answer_library(void)
{
	return "no SES";
}

int
account_get(struct ses *s, struct account *a, struct result *res)
{
	(void)s;
	(void)a;
	(void)res;
	return -1;
}

int
verified_get(struct ses *s, struct verified_list *l, struct result *res)
{
	(void)s;
	(void)l;
	(void)res;
	return -1;
}

void
verified_free(struct verified_list *l)
{
	(void)l;
}

int
verified_write(const struct config *c, env_lookup env, struct log *log,
    const char *file, struct result *res)
{
	(void)c;
	(void)env;
	(void)log;
	(void)file;
	(void)res;
	return -1;
}

const char *
aws_variable(env_lookup env, const char *name)
{
	(void)env;
	(void)name;
	return NULL;
}

const char *
profile_value(const struct profile *p, enum item i)
{
	(void)p;
	(void)i;
	return NULL;
}

void
process_profiles(const struct aws *a, bool (*see)(void *ctx,
    const struct profile *p), void *ctx)
{
	(void)a;
	(void)see;
	(void)ctx;
}

int
process_run(const char *line, int quiet, char *out, size_t size, long *n)
{
	(void)line;
	(void)quiet;
	(void)out;
	(void)size;
	(void)n;
	return -1;
}
