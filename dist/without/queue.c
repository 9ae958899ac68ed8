/* For a build without this part: nothing here is reached. See Makefile. */
#include "lib/front/listing.h"
#include "lib/front/outcome.h"
#include "lib/front/runner.h"
#include "lib/store/queue.h"
#include "lib/store/rate.h"

int
queue_open(struct queue *q, const char *path, uid_t uid, gid_t gid,
    struct result *res)
{
	(void)q;
	(void)path;
	(void)uid;
	(void)gid;
	(void)res;
	return -1;
}

void
queue_close(struct queue *q)
{
	(void)q;
}

int
queue_create(struct queue *q, struct ticket *t, struct message *m,
    struct result *res)
{
	(void)q;
	(void)t;
	(void)m;
	(void)res;
	return -1;
}

int
queue_commit(struct ticket *t, struct result *res)
{
	(void)t;
	(void)res;
	return -1;
}

int
queue_remove(struct ticket *t)
{
	(void)t;
	return -1;
}

int
queue_delete(struct queue *q, const char *id, struct result *res)
{
	(void)q;
	(void)id;
	(void)res;
	return -1;
}

int
queue_requeue(struct queue *q, const char *id, struct result *res)
{
	(void)q;
	(void)id;
	(void)res;
	return -1;
}

int
listing_print(struct queue *q, bool json, FILE *out, struct log *log,
    struct result *res)
{
	(void)q;
	(void)json;
	(void)out;
	(void)log;
	(void)res;
	return -1;
}

bool
outcome_apply(const struct delivery *d, struct ticket *t)
{
	(void)d;
	(void)t;
	return false;
}

int
rate_wait(const struct queue *q, const char *route, unsigned rate, int seconds)
{
	(void)q;
	(void)route;
	(void)rate;
	(void)seconds;
	return 0;
}

int
run_options_parse(const char *text, struct run_options *o, struct result *res)
{
	(void)text;
	(void)o;
	(void)res;
	return -1;
}

int
run_once(struct delivery *d, const struct run_options *o,
    const volatile sig_atomic_t *stop, struct result *res)
{
	(void)d;
	(void)o;
	(void)stop;
	(void)res;
	return -1;
}
