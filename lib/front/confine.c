#include "lib/front/confine.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/aws/process.h"
#include "lib/config/command.h"
#include "lib/config/helper.h"
#include "lib/front/check_routes.h"
#include "lib/net/anchors.h"
#include "lib/net/roots.h"

enum { DEEP = 2 };			/* slashes */

/* --- commands --- */

/* The profile that a request is for, counted down to. */
struct wanted {
	int32_t left;
	int quiet;
	char *out;
	size_t size;
	long *n;
	int status;
};

static bool
run_process(void *ctx, const struct profile *p)
{
	const char *line = profile_value(p, ITEM_PROCESS);
	struct wanted *w = ctx;

	if (w->left-- > 0)
		return true;
	if (line)
		w->status = process_run(line, w->quiet, w->out, w->size, w->n);
	return false;
}

/* In the helper. */
static int
run(void *ctx, const struct helper_request *r, char *out, size_t size, long *n)
{
	const struct confine *c = ctx;
	const struct route *route = c->config->routes + r->route;
	struct aws a = { .route = route, .config = c->config, .env = c->env,
		.log = c->log };
	struct wanted w = { r->profile, !c->log->trace, out, size, n,
		COMMAND_UNUSABLE };

	if (r->route >= c->config->nroutes)
		return w.status;
	if (r->profile >= 0)
		process_profiles(&a, run_process, &w);
	else if (route->password.command)
		w.status = secret_run(route->password.command, out, size, n);
	return w.status;
}

static void
start_helper(struct confine *c)
{
	struct config *conf = c->config;
	uint32_t i;

	conf->helper = helper_start(run, c, c->background, &c->helper);
	for (i = 0; i < conf->nroutes; i++) {
		conf->routes[i].password.helper = conf->helper;
		conf->routes[i].password.route = i;
	}
}

/* --- files --- */

/*
 * One that may be replaced by a new one while we run: so its folder too, unless that
 * is one with much else in it.
 */
static void
allow_file(const struct sandbox *s, const char *path, bool write)
{
	char folder[512];
	const char *p;
	int deep = 0, n = 0;

	if (path == NULL)
		return;
	for (p = path; *p; p++)
		if (*p == '/') {
			n = (int)(p - path);
			deep++;
		}
	snprintf(folder, sizeof folder, "%.*s", n, n > 0 ? path : "/");
	if (write)
		sandbox_allow(s, deep > 0 ? folder : ".", true);
	else
		sandbox_allow(s, path, false);
	if (deep > DEEP)
		sandbox_allow(s, folder, write);
}

/* What profiles name. */
struct seen {
	const struct sandbox *s;
	bool process;
};

static bool
see_profile(void *ctx, const struct profile *p)
{
	struct seen *seen = ctx;

	seen->process |= profile_value(p, ITEM_PROCESS) != NULL;
	allow_file(seen->s, buf_str(&p->shared.path), false);
	allow_file(seen->s, buf_str(&p->config.path), false);
	allow_file(seen->s, profile_value(p, ITEM_WEB), false);
	allow_file(seen->s, profile_value(p, ITEM_CA), false);
	return true;
}

static bool
allow_aws(const struct confine *c, const struct route *r)
{
	static const char names[] = "AWS_CA_BUNDLE\0AWS_WEB_IDENTITY_TOKEN_FILE\0"
	    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE\0";
	struct aws a = { .route = r, .config = c->config, .env = c->env,
		.log = c->log };
	struct seen seen = { .s = &c->in_force };
	const char *name;

	for (name = names; *name; name += strlen(name) + 1)
		allow_file(&c->in_force, aws_variable(c->env, name), false);
	process_profiles(&a, see_profile, &seen);
	return seen.process;
}

/* Returns whether a command may have to be run. */
static bool
allow_route(const struct confine *c, const struct route *r)
{
	const struct sandbox *s = &c->in_force;
	bool command = r->password.command != NULL;
	size_t i;

	for (i = 0; i < r->nsources; i++)
		if (r->sources[i].kind == SENDER_FILE)
			allow_file(s, r->sources[i].text, false);
	allow_file(s, r->ca_file, false);
	if (r->type == ROUTE_SES)
		command = allow_aws(c, r);
	/* A folder that is not there yet is made. */
	if (r->type == ROUTE_MAILDIR && sandbox_allow(s, r->path, true) < 0)
		allow_file(s, r->path, true);
	return command;
}

static void
allow_system(const struct sandbox *s)
{
	/* The resolver; Date fields. */
	static const char *const files[] = { "/etc/resolv.conf", "/etc/hosts",
	    "/etc/localtime", "/usr/share/zoneinfo", "/share/zoneinfo",
	    "/etc/zoneinfo" };
	const char *anchors, *zone = getenv("TZ");
	size_t i;

	for (i = 0; i < sizeof files / sizeof files[0]; i++)
		sandbox_allow(s, files[i], false);
	allow_file(s, zone && *zone == ':' ? zone + 1 : zone, false);
	if (!ROOTS_BUILTIN) {
		close(anchors_open(NULL, &anchors));
		allow_file(s, anchors, false);
	}
	sandbox_allow(s, "/dev/null", true);
}

void
confine(struct confine *c)
{
	const struct config *conf = c->config;
	struct sandbox *s = &c->in_force;
	bool command = false;
	size_t i;

	if (conf->sandbox == SANDBOX_OFF)
		return;
	sandbox_begin(s);
	allow_system(s);
	sandbox_allow(s, c->tmpdir, true);
	sandbox_allow(s, "/tmp", true);
	sandbox_allow(s, "/var/tmp", true);
	sandbox_allow(s, conf->queue, true);
	allow_file(s, c->reads, false);
	allow_file(s, c->writes, true);
	if (c->aliases && c->aliases->file) {
		allow_file(s, c->aliases->file, false);
		/* Only mail shows which files those that it names name. */
		if (aliases_include(c->aliases))
			sandbox_allow(s, "/", false);
	}
	for (i = 0; i < conf->nroutes; i++)
		command |= allow_route(c, &conf->routes[i]);
	if (command)
		start_helper(c);
	sandbox_enter(s);
}

void
confine_say(const struct confine *c)
{
	const struct sandbox *s = &c->in_force;
	char files[32] = "without Landlock";

	if (s->abi > 0)
		snprintf(files, sizeof files, "Landlock ABI %d", s->abi);
	check_note("sandbox", "in force", s->filter && s->abi > 0, "%s, %s",
	    c->config->sandbox == SANDBOX_OFF ? "off" : s->filter ? "seccomp" :
	    "without seccomp", files);
}

void
confine_end(struct confine *c)
{
	if (c->helper <= 0)
		return;
	close(c->config->helper);
	/* In the background it is still needed. */
	if (!c->background)
		waitpid(c->helper, NULL, 0);
	c->helper = 0;
}
