#include "lib/front/accept.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/login.h"
#include "lib/mail/intake.h"

/* --- who is sending --- */

char *
accept_login(void)
{
	char *name = login_name(getuid());
	const char *given = program_variable("LOGNAME");
	char number[32];

	if (name)
		return name;
	if (given)
		return mem_dup(given, strlen(given));
	snprintf(number, sizeof number, "uid%lu", (unsigned long)getuid());
	return mem_dup(number, strlen(number));
}

char *
accept_sender(const struct program *p, struct result *res)
{
	char number[32], *sender;

	if (p->config.from)
		return address_parse_one(p->config.from, p->config.domain, res);
	sender = address_parse_one(p->login, p->config.domain, res);
	if (sender)
		return sender;
	/* A name such as DOMAIN\user is no local part. */
	snprintf(number, sizeof number, "uid%lu", (unsigned long)getuid());
	return address_parse_one(number, p->config.domain, res);
}

/*
 * The envelope sender, and for a From header that is missing *from (the two
 * differ for the null sender). 0, or -1.
 */
static int
find_sender(struct program *p, char **from, struct result *res)
{
	const char *given = p->options.from;
	const char *override = p->config.override_from;
	char *env;

	env = given ? address_parse_one(given, p->config.domain, res) :
	    accept_sender(p, res);
	if (env == NULL)
		return -1;
	*from = *env ? mem_dup(env, strlen(env)) : accept_sender(p, res);
	if (*env != '\0' && override) {
		free(env);
		env = address_parse_one(override, p->config.domain, res);
	}
	p->message.env.from = env;
	return env && *from ? 0 : -1;
}

/* Seconds that a submission waits for a slot of `rate`; then a run has it. */
enum { SUBMIT_PATIENCE = 2 };

int
accept_open(struct program *p, struct result *res)
{
	struct submission *s = &p->submission;

	*s = (struct submission){ .delivery = &p->delivery,
		.when = p->options.delivery, .tmpdir = program_variable("TMPDIR") };
	if (deliver_open(&p->delivery, &p->config, &p->log,
	    program_env(p)) < 0)
		return result_fail(res, EXIT_OS, "out of memory");
	program_confine(p, NULL, NULL);
	if (p->config.queue == NULL || !program_submits(p))
		return 0;
	if (queue_open(&p->queue, p->config.queue, p->uid, p->gid,
	    &s->no_queue) == 0) {
		s->queue = p->delivery.queue = &p->queue;
		p->delivery.patience = SUBMIT_PATIENCE;
		/* One connection that fails is enough for a session of -bs. */
		p->delivery.in_run = true;
		return 0;
	}
	*res = s->no_queue;
	/* -bs says so message by message. */
	return s->when == 'i' || p->options.mode == MODE_SMTP ? 0 : -1;
}

/* --- one message --- */

static int
take_arguments(const struct program *p, struct addr_list *rcpts,
    struct result *res)
{
	size_t i;

	for (i = 0; i < p->options.nrcpts; i++)
		if (address_parse(p->options.rcpts[i],
		    strlen(p->options.rcpts[i]), p->config.domain, rcpts,
		    res) < 0)
			return -1;
	return 0;
}

static enum lone_dot
dot_meaning(const struct options *o)
{
	if (o->ignore_dots)
		return DOT_IS_DATA;
	return isatty(STDIN_FILENO) ? DOT_ENDS : DOT_ENDS_WHEN_LAST;
}

/* Recipients of the header join those of the command line. */
static int
join_rcpts(struct program *p, struct addr_list *rcpts, struct addr_list *more,
    struct result *res)
{
	if (addr_list_join(rcpts, more) < 0)
		return result_fail(res, EXIT_OS, "out of memory");
	if (aliases_apply(&p->aliases, rcpts, res) < 0)
		return -1;
	if (message_take_rcpts(&p->message, rcpts) < 0)
		return result_fail(res, EXIT_OS, "out of memory");
	if (p->message.env.nrcpts == 0)
		return result_fail(res, EXIT_USAGE, "no recipients: give them as "
		    "arguments%s", p->options.take_rcpts ? " or in To, Cc or Bcc"
		    : ", or -t to take them from the header");
	return 0;
}

static char *
copy(const char *text)
{
	return text ? mem_dup(text, strlen(text)) : NULL;
}

/* -N, -R and -V: for every recipient. A copy that fails is a wish not passed on. */
static void
take_dsn(struct program *p)
{
	struct envelope *env = &p->message.env;
	size_t i;

	env->dsn_ret = copy(p->options.dsn_ret);
	env->dsn_envid = copy(p->options.dsn_envid);
	for (i = 0; i < env->nrcpts; i++)
		env->rcpts[i].dsn_notify = copy(p->options.dsn_notify);
}

struct beginning {
	struct program *p;
	struct addr_list *rcpts;	/* of the command line */
	bool begun;
};

/* The envelope is complete: it comes first where the message is stored. */
static int
begin_message(void *ctx, struct intake *in, struct message *m,
    struct result *res)
{
	struct beginning *b = ctx;

	if (join_rcpts(b->p, b->rcpts, &in->rcpts, res) < 0)
		return -1;
	take_dsn(b->p);
	b->begun = true;
	return submit_begin(&b->p->submission, m, res);
}

static int
read_message(struct program *p, const char *from, struct addr_list *rcpts,
    struct result *res)
{
	const struct options *o = &p->options;
	struct message *m = &p->message;
	struct beginning b = { .p = p, .rcpts = rcpts };
	struct intake in = {
		.header = {
			.take_rcpts = o->take_rcpts,
			.domain = p->config.domain,
			.hostname = p->config.hostname,
			.from = from,
			.full_name = o->full_name,
			.override_from = p->config.override_from,
			.now = clock_wall()
		},
		.dot = dot_meaning(o),
		.max_size = p->config.max_size,
		.tmpdir = p->submission.tmpdir,
		.begin = begin_message,
		.begin_ctx = &b
	};

	m->born = time(NULL);	/* see schedule.h: clocks jump */
	message_id_make(m->id);
	if (intake_read(&in, STDIN_FILENO, m, res) < 0) {
		if (b.begun)
			submit_abandon(&p->submission);
		return -1;
	}
	intake_note(&in, m, &p->log);
	return submit_end(&p->submission, m, res);
}

int
accept_message(struct program *p, struct result *res)
{
	struct addr_list rcpts = { 0 }, none = { 0 };
	char *from = NULL;
	int rc = -1;

	if (take_arguments(p, &rcpts, res) < 0 ||
	    find_sender(p, &from, res) < 0)
		goto free_all;
	if (p->options.mode == MODE_VERIFY)
		rc = join_rcpts(p, &rcpts, &none, res);
	else if (rcpts.n == 0 && !p->options.take_rcpts)
		rc = join_rcpts(p, &rcpts, &none, res);
	else
		rc = read_message(p, from, &rcpts, res);
free_all:
	addr_list_free(&rcpts);
	free(from);
	return rc;
}
