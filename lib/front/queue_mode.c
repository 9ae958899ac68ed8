#include "lib/front/queue_mode.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/select.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/child.h"
#include "lib/base/clock.h"
#include "lib/front/listing.h"
#include "lib/front/runner.h"

/* A queue run: to end between messages, to read the configuration. */
static volatile sig_atomic_t stop, reload;

int
queue_mode_list(struct program *p)
{
	struct result res = { 0 };

	/* Without any configuration there is no queue either. */
	if (program_is_configured(p) && program_load(p, &res) < 0)
		return program_complain(p, &res);
	if (p->config.queue == NULL) {
		puts(p->options.json ? "[]" :
		    "there is no mail queue: none is configured");
		return EXIT_OK;
	}
	program_confine(p, NULL, NULL);
	if (queue_open(&p->queue, p->config.queue, p->uid, p->gid, &res) < 0 ||
	    listing_print(&p->queue, p->options.json, stdout, &p->log,
	    &res) < 0)
		return program_complain(p, &res);
	return EXIT_OK;
}

int
queue_mode_change(struct program *p)
{
	struct result res = { 0 };
	int rc = program_open_queue(p, &res);

	program_confine(p, NULL, NULL);
	if (rc == 0 && p->options.mode == MODE_DELETE)
		rc = queue_delete(&p->queue, p->options.value, &res);
	else if (rc == 0)
		rc = queue_requeue(&p->queue, p->options.value, &res);
	return rc < 0 ? program_complain(p, &res) : EXIT_OK;
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
	if (program_open_queue(p, &res) == 0) {
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
	    program_env(p)) < 0)
		return result_fail(res, EXIT_OS, "out of memory");
	p->delivery.queue = &p->queue;
	program_confine(p, NULL, NULL);
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
		_exit(run_queue(p, o, res) < 0 ? program_complain(p, res) : EXIT_OK);
	}
	do
		if (stop)
			kill(pid, SIGTERM);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR);
	return 0;
}

/* Nothing that happens once may stop a run that is to go on for months. */
int
queue_mode_run(struct program *p)
{
	struct run_options o;
	struct result res = { 0 };

	if (run_options_parse(p->options.queue, &o, &res) < 0 ||
	    program_open_queue(p, &res) < 0)
		return program_complain(p, &res);
	watch_signals();
	for (;;) {
		if ((o.interval > 0 ? run_apart(p, &o, &res) :
		    run_queue(p, &o, &res)) < 0) {
			if (o.interval == 0)
				return program_complain(p, &res);
			program_complain(p, &res);
		}
		if (o.interval > 0)
			sleep_until(clock_ms() + 1000 * o.interval);
		if (stop || o.interval == 0)
			return EXIT_OK;
		if (reload)
			reload_config(p);
	}
}
