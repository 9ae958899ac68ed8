/*
 * sendroute: takes the place of sendmail on machines that only send mail, and
 * routes each message by its sender. See sendroute(8).
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bearssl-glue.h"
#include "lib/aws/answer.h"
#include "lib/base/without.h"
#include "lib/config/senders.h"
#include "lib/front/accept.h"
#include "lib/front/check_routes.h"
#include "lib/front/handover.h"
#include "lib/front/keygen.h"
#include "lib/front/privilege.h"
#include "lib/front/qmail.h"
#include "lib/front/queue_mode.h"
#include "lib/front/smtpd.h"
#include "lib/front/startup.h"
#include "lib/front/verified.h"
#include "lib/mail/verify.h"
#include "lib/net/roots.h"

#ifndef VERSION
#define VERSION "0"
#endif

extern char **environ;

static int
deliver_mode(struct program *p)
{
	const struct delivery *d = &p->delivery;
	struct result res = { 0 };

	if (program_load(p, &res) < 0 || accept_open(p, &res) < 0 ||
	    accept_message(p, &res) < 0)
		return program_complain(p, &res);
	if (p->options.dry_run || p->options.mode == MODE_VERIFY) {
		if (deliver_dry_run(d, &p->message, stdout, &res) < 0)
			return program_complain(p, &res);
		return EXIT_OK;
	}
	submit_send(&p->submission, &p->message);
	return p->submission.queued ? EXIT_OK : deliver_report(d, &p->message);
}

/* --- what can be asked without sending --- */

static int
check_routes_mode(struct program *p)
{
	struct check k = { .config = &p->config, .env = program_env(p),
		.log = &p->log };
	struct result res = { 0 };
	int rc;

	if (program_load(p, &res) < 0)
		return program_complain(p, &res);
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
	program_confine(p, NULL, NULL);
	confine_say(&p->confine);
	check_all_routes(&k);
	return k.status;
}

static int
list_verified_mode(struct program *p)
{
	struct result res = { 0 };

	if (program_load(p, &res) < 0)
		return program_complain(p, &res);
	program_confine(p, NULL, p->options.value);
	return verified_write(&p->config, program_env(p), &p->log,
	    p->options.value, &res) < 0 ? program_complain(p, &res) : EXIT_OK;
}

/* --- the other modes --- */

/* -bs. A client may look at nothing but the dialogue, so that says it too. */
static int
smtp_mode(struct program *p)
{
	struct smtpd s = { .delivery = &p->delivery,
		.submission = &p->submission, .aliases = &p->aliases,
		.full_name = p->options.full_name,
		.tmpdir = program_variable("TMPDIR"),
		.in = STDIN_FILENO, .out = stdout, .patience = SMTPD_PATIENCE };
	struct result res = { 0 };
	char *sender = NULL;
	int status;

	if (program_load(p, &res) < 0 || accept_open(p, &res) < 0 ||
	    (sender = accept_sender(p, &res)) == NULL) {
		fputs("421 4.3.5 ", stdout);
		fputs(res.text, stdout);
		fputs("\r\n", stdout);
		return program_complain(p, &res);
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

	if (!p->set_id || privilege_drop(&res) == 0) {
		program_confine(p, p->options.value, NULL);
		status = verify_run(STDIN_FILENO, p->options.value, stdout, &res);
	}
	return status < 0 ? program_complain(p, &res) : status;
}

static int
keygen_mode(struct program *p)
{
	const struct options *o = &p->options;
	struct result res = { 0 };

	if ((p->set_id && privilege_drop(&res) < 0) || keygen_run(o->value,
	    o->nrcpts > 0 ? o->rcpts[0] : NULL, stdout, &res) < 0)
		return program_complain(p, &res);
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
		return queue_mode_list(p);
	case MODE_SMTP:
		return smtp_mode(p);
	case MODE_QUEUE_RUN:
		return queue_mode_run(p);
	case MODE_DELETE:
	case MODE_REQUEUE:
		return queue_mode_change(p);
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
		return program_complain(p, &res);
	if (mailq && p->options.mode == MODE_DELIVER)
		p->options.mode = MODE_LIST;
	p->log.trace = p->options.verbose && !p->set_id;
	p->login = accept_login();
	if (p->login == NULL)
		return program_complain(p, &res);
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

	if (program_load(p, res) < 0)
		return -1;
	if (deliver_open(&p->delivery, &p->config, &p->log,
	    program_env(p)) < 0)
		return result_fail(res, EXIT_OS, "out of memory");
	program_confine(p, NULL, NULL);
	return 0;
}

static const struct route *
find_for_qmail(void *ctx, const char *name, struct result *res)
{
	const struct route *r;
	struct program *p = ctx;

	if (program_load(p, res) < 0)
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
		.tmpdir = program_variable("TMPDIR") };

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
	program.set_id = privilege_is_lent();
	/* The caller's counts for nothing then, nor with commands that we run. */
	if (program.set_id)
		environ = safe;
	/* To send what cannot be reported would be to send it again. */
	mute = fcntl(STDOUT_FILENO, F_GETFD) < 0;
	startup();
	if (strcmp(name, "qmail-remote") == 0)
		return mute ? QMAIL_UNTOLD : qmail_main(&program, argc, argv);
	if (strcmp(name, "newaliases") == 0)
		return EXIT_OK;
	return sendmail_main(&program, strcmp(name, "mailq") == 0, argc, argv);
}
