/*
 * sendroute: takes the place of sendmail on machines that only send mail, and
 * routes each message by its sender. See sendroute(8).
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bearssl-glue.h"
#include "lib/aws/answer.h"
#include "lib/base/child.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/login.h"
#include "lib/base/without.h"
#include "lib/config/config.h"
#include "lib/config/senders.h"
#include "lib/front/check_routes.h"
#include "lib/front/confine.h"
#include "lib/front/deliver.h"
#include "lib/front/handover.h"
#include "lib/front/keygen.h"
#include "lib/front/listing.h"
#include "lib/front/options.h"
#include "lib/front/qmail.h"
#include "lib/front/runner.h"
#include "lib/front/smtpd.h"
#include "lib/front/submit.h"
#include "lib/front/verified.h"
#include "lib/mail/aliases.h"
#include "lib/mail/intake.h"
#include "lib/mail/verify.h"
#include "lib/net/roots.h"

#ifndef VERSION
#define VERSION "0"
#endif

extern char **environ;

static const char default_config[] = "/etc/sendroute.conf";

/* Seconds that a submission waits for a slot of `rate`; then a run has it. */
enum { SUBMIT_PATIENCE = 2 };

/* Everything that one run of the program stands on. */
struct program {
	struct options options;
	struct config config;
	struct log log;
	struct aliases aliases;
	struct message message;
	struct queue queue;
	struct delivery delivery;
	struct submission submission;
	struct confine confine;
	char *login;			/* of the caller */
	bool qmail;			/* called as qmail-remote */
	bool set_id;			/* started with set-id privilege */
	uid_t uid;			/* what it was started with */
	gid_t gid;
};

/* A queue run: to end between messages, to read the configuration. */
static volatile sig_atomic_t stop, reload;

static const char *
environment(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : NULL;
}

static env_lookup
environment_of(const struct program *p)
{
	return p->set_id ? NULL : environment;
}

/* Say what went wrong; without words, a copy failed. Returns the exit status. */
static int
complain(struct program *p, const struct result *res)
{
	struct result memory;

	if (res->text[0] == '\0') {
		result_fail(&memory, EXIT_OS, "out of memory");
		res = &memory;
	}
	log_error(&p->log, "%s", res->text);
	return result_exit(res);
}

/*
 * Descriptors 0 to 2 must be taken, lest the message be written into our own
 * files. Standard input is made unreadable: to read it is then an error.
 */
static void
hold_standard_files(void)
{
	int fd;

	/* What else the caller has open is his: a lock, the end of a pipe. */
#ifdef SYS_close_range
	if (syscall(SYS_close_range, 3, ~0U, 0) < 0)
#endif
		for (fd = 3; fd < 256; fd++)
			close(fd);
	/* A folder can be neither read nor written: there may be no /dev. */
	for (fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF &&
		    open("/dev/null", O_WRONLY) < 0 && open("/", O_RDONLY) < 0)
			_exit(EXIT_OS);
}

/* --- who is sending --- */

/* The caller's name, on the heap; NULL: no memory. */
static char *
caller_name(void)
{
	char *name = login_name(getuid());
	const char *given = environment("LOGNAME");
	char number[32];

	if (name)
		return name;
	if (given)
		return mem_dup(given, strlen(given));
	snprintf(number, sizeof number, "uid%lu", (unsigned long)getuid());
	return mem_dup(number, strlen(number));
}

static char *
default_sender(const struct program *p, struct result *res)
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
	    default_sender(p, res);
	if (env == NULL)
		return -1;
	*from = *env ? mem_dup(env, strlen(env)) : default_sender(p, res);
	if (*env != '\0' && override) {
		free(env);
		env = address_parse_one(override, p->config.domain, res);
	}
	p->message.env.from = env;
	return env && *from ? 0 : -1;
}

/* --- configuration --- */

/* A file that the caller names must not be read with more rights than his. */
static int
drop_privilege(struct result *res)
{
	/* The saved ids too: nothing must be able to get them back. */
	if (setregid(getgid(), getgid()) == 0 &&
	    setreuid(getuid(), getuid()) == 0)
		return 0;
	return result_fail(res, EXIT_OS, "cannot drop privilege: %s",
	    strerror(errno));
}

/* Mail may be put into the queue with set-id privilege, and nothing else. */
static bool
submits(const struct program *p)
{
	return !p->qmail && !p->options.dry_run &&
	    (p->options.mode == MODE_DELIVER || p->options.mode == MODE_SMTP);
}

/* With a queue the right to it is kept aside, for queue_raise(). */
static int
lower_privilege(struct program *p, struct result *res)
{
	if (p->config.queue == NULL || !submits(p))
		return drop_privilege(res);
	p->uid = geteuid();
	p->gid = getegid();
	/* The group first: without the user's right it may not be changed. */
	if (setegid(getgid()) == 0 && seteuid(getuid()) == 0)
		return 0;
	return result_fail(res, EXIT_OS, "cannot lower privilege: %s",
	    strerror(errno));
}

static const char *
config_file(const struct program *p)
{
	const char *file = p->options.config;

	if (file == NULL)
		file = environment("SENDROUTE_CONF");
	return file ? file : default_config;
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

/* What is compiled in stands in for the usual file alone. */
static bool
uses_builtin(const char *file)
{
	return CONFIG_BUILTIN && file == default_config &&
	    access(file, F_OK) < 0 && errno == ENOENT;
}

static int
load_config(struct program *p, struct result *res)
{
	const char *file = config_file(p);
	struct result unused;

	if (p->options.config && p->set_id && drop_privilege(res) < 0)
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
	return lower_privilege(p, res);
}

/* From here on nothing is opened but what is known by now. */
static void
enter_sandbox(struct program *p, const char *reads, const char *writes)
{
	p->confine = (struct confine){ .config = &p->config,
		.env = environment_of(p), .log = &p->log,
		.aliases = &p->aliases, .tmpdir = environment("TMPDIR"),
		.reads = reads, .writes = writes,
		.background = p->options.delivery == 'b' };
#ifndef NO_SANDBOX
	confine(&p->confine);
#endif
}

/*
 * Where messages are stored and how they are sent. Only with an explicit -odi are
 * they sent without a queue that cannot be used.
 */
static int
open_submission(struct program *p, struct result *res)
{
	struct submission *s = &p->submission;

	*s = (struct submission){ .delivery = &p->delivery,
		.when = p->options.delivery, .tmpdir = environment("TMPDIR") };
	if (deliver_open(&p->delivery, &p->config, &p->log,
	    environment_of(p)) < 0)
		return result_fail(res, EXIT_OS, "out of memory");
	enter_sandbox(p, NULL, NULL);
	if (p->config.queue == NULL || !submits(p))
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

/* Arguments, sender and message: all that comes before delivery. */
static int
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

static int
deliver_mode(struct program *p)
{
	const struct delivery *d = &p->delivery;
	struct result res = { 0 };

	if (load_config(p, &res) < 0 || open_submission(p, &res) < 0 ||
	    accept_message(p, &res) < 0)
		return complain(p, &res);
	if (p->options.dry_run || p->options.mode == MODE_VERIFY) {
		if (deliver_dry_run(d, &p->message, stdout, &res) < 0)
			return complain(p, &res);
		return EXIT_OK;
	}
	submit_send(&p->submission, &p->message);
	return p->submission.queued ? EXIT_OK : deliver_report(d, &p->message);
}

/* --- the queue --- */

/* The queue as the caller himself may use it. */
static int
open_queue(struct program *p, struct result *res)
{
	if (load_config(p, res) < 0)
		return -1;
	if (p->config.queue == NULL)
		return result_fail(res, EXIT_CONFIGURATION, "there is no mail "
		    "queue: `queue` is not set in %s", p->config.file);
	return queue_open(&p->queue, p->config.queue, p->uid, p->gid, res);
}

static int
list_mode(struct program *p)
{
	const char *file = config_file(p);
	struct result res = { 0 };

	/* Without any configuration there is no queue either. */
	if ((access(file, F_OK) == 0 || uses_builtin(file)) &&
	    load_config(p, &res) < 0)
		return complain(p, &res);
	if (p->config.queue == NULL) {
		puts(p->options.json ? "[]" :
		    "there is no mail queue: none is configured");
		return EXIT_OK;
	}
	enter_sandbox(p, NULL, NULL);
	if (queue_open(&p->queue, p->config.queue, p->uid, p->gid, &res) < 0 ||
	    listing_print(&p->queue, p->options.json, stdout, &p->log,
	    &res) < 0)
		return complain(p, &res);
	return EXIT_OK;
}

static int
change_mode(struct program *p)
{
	struct result res = { 0 };
	int rc = open_queue(p, &res);

	enter_sandbox(p, NULL, NULL);
	if (rc == 0 && p->options.mode == MODE_DELETE)
		rc = queue_delete(&p->queue, p->options.value, &res);
	else if (rc == 0)
		rc = queue_requeue(&p->queue, p->options.value, &res);
	return rc < 0 ? complain(p, &res) : EXIT_OK;
}

static void
on_signal(int number)
{
	if (number == SIGHUP)
		reload = 1;
	else
		stop = 1;
}

/* Without SA_RESTART: waiting for a worker ends. */
static void
watch_signals(void)
{
	struct sigaction sa = { .sa_handler = on_signal };

	sigemptyset(&sa.sa_mask);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
	/* Who presses ^C again does not want to wait. */
	sa.sa_flags = (int)SA_RESETHAND;
	sigaction(SIGINT, &sa, NULL);
}

/* Until then, or a signal: blocked before the look, none comes in between. */
static void
sleep_until(int64_t end)
{
	struct timespec wait = { 0 };
	sigset_t all, before;
	int64_t left = 1;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &before);
	while (!stop && !reload && left > 0) {
		left = end - clock_ms();
		wait.tv_sec = (time_t)(left > 0 ? left / 1000 + 1 : 0);
		pselect(0, NULL, NULL, NULL, &wait, &before);
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
}

/* A configuration that cannot be read leaves the one before in force. */
static void
reload_config(struct program *p)
{
	struct config old = p->config;
	struct log old_log = p->log;
	struct queue old_queue = p->queue;
	struct result res = { 0 };
	struct buf line = { 0 };

	reload = 0;
	aliases_close(&p->aliases);
	if (open_queue(p, &res) == 0) {
		queue_close(&old_queue);
		log_close(&old_log);
		config_free(&old);
		return;
	}
	if (p->log.fd != old_log.fd)
		log_close(&p->log);
	config_free(&p->config);
	p->config = old;
	p->log = old_log;
	p->queue = old_queue;
	log_pair(&line, "reason", res.text);
	log_write(&p->log, "%s", buf_str(&line));
	buf_free(&line);
	log_error(&p->log, "the configuration is kept as it was: %s", res.text);
}

static int
run_queue(struct program *p, const struct run_options *o, struct result *res)
{
	int rc;

	/* The folder may have been made anew since the last run. */
	queue_close(&p->queue);
	if (queue_open(&p->queue, p->config.queue, p->uid, p->gid, res) < 0)
		return -1;
	if (deliver_open(&p->delivery, &p->config, &p->log,
	    environment_of(p)) < 0)
		return result_fail(res, EXIT_OS, "out of memory");
	p->delivery.queue = &p->queue;
	enter_sandbox(p, NULL, NULL);
	rc = run_once(&p->delivery, o, &stop, res);
	deliver_close(&p->delivery);
	confine_end(&p->confine);
	return rc;
}

/* Apart from the process that opens what a new configuration names. */
static int
run_apart(struct program *p, const struct run_options *o, struct result *res)
{
	pid_t us = getpid(), pid = fork();
	int status;

	if (pid < 0)
		return result_fail(res, EXIT_OS, "cannot start a process: %s",
		    strerror(errno));
	if (pid == 0) {
		child_stay_with(us);
		_exit(run_queue(p, o, res) < 0 ? complain(p, res) : EXIT_OK);
	}
	do
		if (stop)
			kill(pid, SIGTERM);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR);
	return 0;
}

/* Nothing that happens once may stop a run that is to go on for months. */
static int
queue_mode(struct program *p)
{
	struct run_options o;
	struct result res = { 0 };

	if (run_options_parse(p->options.queue, &o, &res) < 0 ||
	    open_queue(p, &res) < 0)
		return complain(p, &res);
	watch_signals();
	for (;;) {
		if ((o.interval > 0 ? run_apart(p, &o, &res) :
		    run_queue(p, &o, &res)) < 0) {
			if (o.interval == 0)
				return complain(p, &res);
			complain(p, &res);
		}
		if (o.interval > 0)
			sleep_until(clock_ms() + 1000 * o.interval);
		if (stop || o.interval == 0)
			return EXIT_OK;
		if (reload)
			reload_config(p);
	}
}

/* --- what can be asked without sending --- */

static int
check_routes_mode(struct program *p)
{
	struct check k = { .config = &p->config, .env = environment_of(p),
		.log = &p->log };
	struct result res = { 0 };
	int rc;

	if (load_config(p, &res) < 0)
		return complain(p, &res);
	if (p->config.nroutes == 0)
		check_note(p->config.file, "routes", false, "there are none");
	else if (config_is_exposed(&p->config))
		check_note(p->config.file, "secrets", false, "can be read by "
		    "everyone on this machine; chmod o-r is advised");
	if (p->config.queue) {
		rc = queue_open(&p->queue, p->config.queue, p->uid, p->gid, &res);
		check_say(&k, "queue", p->config.queue, rc < 0 ? &res : NULL);
	}
	if (p->config.aliases) {
		rc = aliases_open(&p->aliases, &res);
		check_say(&k, "aliases", p->config.aliases, rc < 0 ? &res : NULL);
	}
	enter_sandbox(p, NULL, NULL);
	confine_say(&p->confine);
	check_all_routes(&k);
	return k.status;
}

static int
list_verified_mode(struct program *p)
{
	struct result res = { 0 };

	if (load_config(p, &res) < 0)
		return complain(p, &res);
	enter_sandbox(p, NULL, p->options.value);
	return verified_write(&p->config, environment_of(p), &p->log,
	    p->options.value, &res) < 0 ? complain(p, &res) : EXIT_OK;
}

/* --- the other modes --- */

/* -bs. A client may look at nothing but the dialogue, so that says it too. */
static int
smtp_mode(struct program *p)
{
	struct smtpd s = { .delivery = &p->delivery,
		.submission = &p->submission, .aliases = &p->aliases,
		.full_name = p->options.full_name,
		.tmpdir = environment("TMPDIR"),
		.in = STDIN_FILENO, .out = stdout, .patience = SMTPD_PATIENCE };
	struct result res = { 0 };
	char *sender = NULL;
	int status;

	if (load_config(p, &res) < 0 || open_submission(p, &res) < 0 ||
	    (sender = default_sender(p, &res)) == NULL) {
		fputs("421 4.3.5 ", stdout);
		fputs(res.text, stdout);
		fputs("\r\n", stdout);
		return complain(p, &res);
	}
	s.sender = sender;
	status = smtpd_run(&s);
	free(sender);
	return status;
}

static int
version_mode(void)
{
	struct buf out = { 0 };
	size_t lines = 0;
	const char *s;

	for (s = senders_builtin; *s; s++)
		lines += *s == '\n';
	buf_addf(&out, "sendroute %s (%s, %s)\n"
	    "built in: %ssender list of %zu lines\n", VERSION, tls_library(),
	    answer_library(), WITHOUT_ANY ? "" :
	    "routes smtp, lmtp, ses, maildir, qmail; ", lines);
	if (WITHOUT_ANY)
		buf_adds(&out, "left out: " WITHOUT "\n");
	if (CONFIG_BUILTIN)
		buf_adds(&out, "built in: a configuration\n");
	if (ROOTS_BUILTIN)
		buf_addf(&out, "built in: %zu root certificates\n",
		    roots_builtin.n);
	fputs(buf_str(&out), stdout);
	buf_free(&out);
	return EXIT_OK;
}

/* Nothing is configured yet, so no configuration is read. */
static int
verify_mode(struct program *p)
{
	struct result res = { 0 };
	int status = -1;

	if (!p->set_id || drop_privilege(&res) == 0) {
		enter_sandbox(p, p->options.value, NULL);
		status = verify_run(STDIN_FILENO, p->options.value, stdout, &res);
	}
	return status < 0 ? complain(p, &res) : status;
}

static int
keygen_mode(struct program *p)
{
	const struct options *o = &p->options;
	struct result res = { 0 };

	if ((p->set_id && drop_privilege(&res) < 0) || keygen_run(o->value,
	    o->nrcpts > 0 ? o->rcpts[0] : NULL, stdout, &res) < 0)
		return complain(p, &res);
	return EXIT_OK;
}

/* The part of the program that a mode is, as WITHOUT calls it; or NULL. */
static const char *
part_of(enum mode mode)
{
	switch (mode) {
	case MODE_SMTP:
		return "bs";
	case MODE_QUEUE_RUN:
	case MODE_DELETE:
	case MODE_REQUEUE:
		return "queue";
	case MODE_CHECK:
		return "check";
	case MODE_LIST_VERIFIED:
		return "ses";
	case MODE_DKIM_KEYGEN:
	case MODE_VERIFY_DKIM:
		return "dkim";
	default:
		return NULL;
	}
}

/* Options that only some modes, or only other builds, can honour. */
static int
check_mode(const struct program *p, struct result *res)
{
	const char *part = WITHOUT_ANY ? part_of(p->options.mode) : NULL;

	if (part && built_without(part, strlen(part)))
		return result_fail(res, EXIT_USAGE, "this program was built "
		    "without %s", part);
	if (p->options.dry_run && p->options.mode == MODE_SMTP)
		return result_fail(res, EXIT_USAGE, "--dry-run: not with -bs, "
		    "whose client is told that the mail was sent");
	return 0;
}

static int
run_mode(struct program *p)
{
	switch (p->options.mode) {
	case MODE_DELIVER:
	case MODE_VERIFY:
		return deliver_mode(p);
	case MODE_VERSION:
		return version_mode();
	case MODE_HELP:
		fputs(options_help, stdout);
		return EXIT_OK;
	case MODE_ALIASES:
		return EXIT_OK;
	case MODE_LIST:
		return list_mode(p);
	case MODE_SMTP:
		return smtp_mode(p);
	case MODE_QUEUE_RUN:
		return queue_mode(p);
	case MODE_DELETE:
	case MODE_REQUEUE:
		return change_mode(p);
	case MODE_CHECK:
		return check_routes_mode(p);
	case MODE_LIST_VERIFIED:
		return list_verified_mode(p);
	case MODE_DKIM_KEYGEN:
		return keygen_mode(p);
	case MODE_VERIFY_DKIM:
		return verify_mode(p);
	}
	return EXIT_SOFTWARE;
}

static int
sendmail_main(struct program *p, bool mailq, int argc, char **argv)
{
	struct result res = { 0 };
	int status;

	if (options_parse(argc, argv, &p->options, &res) < 0 ||
	    check_mode(p, &res) < 0)
		return complain(p, &res);
	if (mailq && p->options.mode == MODE_DELIVER)
		p->options.mode = MODE_LIST;
	p->log.trace = p->options.verbose && !p->set_id;
	p->login = caller_name();
	if (p->login == NULL)
		return complain(p, &res);
	status = run_mode(p);
	confine_end(&p->confine);
	message_free(&p->message);
	deliver_close(&p->delivery);
	queue_close(&p->queue);
	aliases_close(&p->aliases);
	config_free(&p->config);
	log_close(&p->log);
	free(p->login);
	/* A line that could not be written was already tried once. */
	return fflush(stdout) == 0 && !ferror(stdout) ? status : EXIT_IO;
}

static int
open_for_qmail(void *ctx, struct result *res)
{
	struct program *p = ctx;

	if (load_config(p, res) < 0)
		return -1;
	if (deliver_open(&p->delivery, &p->config, &p->log,
	    environment_of(p)) < 0)
		return result_fail(res, EXIT_OS, "out of memory");
	enter_sandbox(p, NULL, NULL);
	return 0;
}

static const struct route *
find_for_qmail(void *ctx, const char *name, struct result *res)
{
	const struct route *r;
	struct program *p = ctx;

	if (load_config(p, res) < 0)
		return NULL;
	r = config_route(&p->config, name);
	if (r && r->type == ROUTE_QMAIL)
		return r;
	result_fail(res, EXIT_CONFIGURATION, "no route %s", name);
	return NULL;
}

static int
qmail_main(struct program *p, int argc, char **argv)
{
	struct qmail q = { .open = open_for_qmail,
		.find = find_for_qmail, .ctx = p,
		.delivery = &p->delivery, .message = &p->message,
		.tmpdir = environment("TMPDIR") };

	p->qmail = p->log.quiet = true;
	p->delivery.config = &p->config;
	return qmail_remote(&q, argc, argv);
}

int
main(int argc, char **argv)
{
	char path[] = "PATH=/usr/bin:/bin", mark[] = HANDOVER_MARK "=1";
	char *safe[] = { path, getenv(HANDOVER_MARK) ? mark : NULL, NULL };
	struct program program = {
		.message.spool.fd = -1,
		.aliases.fd = -1,
		.log = { .target = LOG_TO_NONE, .fd = -1 }
	};
	const char *name = argc > 0 ? strrchr(argv[0], '/') : "/sendroute";
	bool mute;

	name = name ? name + 1 : argv[0];
	program.set_id = getuid() != geteuid() || getgid() != getegid();
	/* Root needs no privilege from us, and has his environment. */
	if (getuid() == 0 && program.set_id && setegid(getgid()) == 0 &&
	    seteuid(0) == 0)
		program.set_id = false;
	/* The caller's counts for nothing then, nor with commands that we run. */
	if (program.set_id)
		environ = safe;
	/* To send what cannot be reported would be to send it again. */
	mute = fcntl(STDOUT_FILENO, F_GETFD) < 0;
	hold_standard_files();
#ifndef NO_SANDBOX
	sandbox_harden();
#endif
	/* Both are errors of a write then, with a line that says so. */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
	if (strcmp(name, "qmail-remote") == 0)
		return mute ? QMAIL_UNTOLD : qmail_main(&program, argc, argv);
	if (strcmp(name, "newaliases") == 0)
		return EXIT_OK;
	return sendmail_main(&program, strcmp(name, "mailq") == 0, argc, argv);
}
