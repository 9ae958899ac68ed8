#include "lib/front/program.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/config/senders.h"
#include "lib/front/privilege.h"

const char *
program_variable(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : NULL;
}

env_lookup
program_env(const struct program *p)
{
	return p->set_id ? NULL : program_variable;
}

int
program_complain(struct program *p, const struct result *res)
{
	struct result memory;

	if (res->text[0] == '\0') {
		result_fail(&memory, EXIT_OS, "out of memory");
		res = &memory;
	}
	log_error(&p->log, "%s", res->text);
	return result_exit(res);
}

/* Without a clock: what takes its place, where no more than a date is needed. */
static void
note_clock(struct log *log)
{
	char build[CLOCK_TEXT_SIZE], clock[CLOCK_TEXT_SIZE];
	time_t wall = clock_wall(), now = time(NULL);

	if (now >= wall)
		return;
	clock_text(build, wall);
	clock_text(clock, now);
	log_write(log, "the clock says %s, before this program was built: %s is "
	    "taken for certificates, signatures and Date", clock, build);
}

static const char default_config[] = "/etc/sendroute.conf";

static const char *
config_file(const struct program *p)
{
	const char *file = p->options.config;

	if (file == NULL)
		file = program_variable("SENDROUTE_CONF");
	return file ? file : default_config;
}

/* What is compiled in stands in for the usual file alone. */
static bool
uses_builtin(const char *file)
{
	return CONFIG_BUILTIN && file == default_config &&
	    access(file, F_OK) < 0 && errno == ENOENT;
}

bool
program_submits(const struct program *p)
{
	return !p->qmail && !p->options.dry_run &&
	    (p->options.mode == MODE_DELIVER || p->options.mode == MODE_SMTP);
}

bool
program_is_configured(const struct program *p)
{
	const char *file = config_file(p);

	return access(file, F_OK) == 0 || uses_builtin(file);
}

int
program_load(struct program *p, struct result *res)
{
	const char *file = config_file(p);
	struct result unused;

	if (p->options.config && p->set_id && privilege_drop(res) < 0)
		return -1;
	p->uid = getuid();
	p->gid = getgid();
	if ((uses_builtin(file) ? config_parse(&p->config,
	    "the built-in configuration", config_builtin, res) :
	    config_load(&p->config, file, res)) < 0)
		return -1;
	log_open(&p->log, p->config.log_target, p->config.log_file);
	note_clock(&p->log);
	config_open_secrets(&p->config, &p->log);
	aliases_init(&p->aliases, &p->config);
	if (!p->set_id)
		return 0;
	/* Whether it could be had matters only to mail that needs it. */
	if (p->config.aliases)
		aliases_open(&p->aliases, &unused);
	/* Lists, and what aliases include, are read as the caller may. */
	if (p->config.queue == NULL || !program_submits(p))
		return privilege_drop(res);
	return privilege_lower(&p->uid, &p->gid, res);
}

void
program_confine(struct program *p, const char *reads, const char *writes)
{
	p->confine = (struct confine){ .config = &p->config,
		.env = program_env(p), .log = &p->log,
		.aliases = &p->aliases, .tmpdir = program_variable("TMPDIR"),
		.reads = reads, .writes = writes,
		.background = p->options.delivery == 'b' };
#ifndef NO_SANDBOX
	confine(&p->confine);
#endif
}

int
program_open_queue(struct program *p, struct result *res)
{
	if (program_load(p, res) < 0)
		return -1;
	if (p->config.queue == NULL)
		return result_fail(res, EXIT_CONFIGURATION, "there is no mail "
		    "queue: `queue` is not set in %s", p->config.file);
	return queue_open(&p->queue, p->config.queue, p->uid, p->gid, res);
}
