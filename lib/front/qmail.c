#include "lib/front/qmail.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/child.h"
#include "lib/base/clock.h"
#include "lib/base/write.h"
#include "lib/front/handover.h"
#include "lib/front/report.h"
#include "lib/mail/intake.h"

enum {
	ARGUMENTS = 3,			/* before the recipients */
	MOST_SECONDS = 20 * 60,
	SPARE_SECONDS = 5		/* the child's own alarm comes first */
};

static const char duplicate[] = "Possible duplicate!";

/* --- envelope --- */

/*
 * An address as qmail gives it, its local part not quoted, as the wire takes it.
 * Double bounces have a sender that is no address, and it goes out as it is.
 * NULL with res filled.
 */
static char *
take_address(const char *text, const struct config *c, struct result *res)
{
	const char *at = strrchr(text, '@'), *p;
	struct buf quoted = { 0 };
	char *addr = NULL;

	if (*text == '\0' || strcmp(text, "#@[]") == 0)
		return mem_dup(text, strlen(text));
	if (at == NULL)
		at = text + strlen(text);
	buf_addc(&quoted, '"');
	for (p = text; p < at; p++) {
		if (*p == '"' || *p == '\\')
			buf_addc(&quoted, '\\');
		buf_addc(&quoted, *p);
	}
	buf_addf(&quoted, "\"%s", at);
	if (!quoted.failed)
		addr = address_parse_one(quoted.p, c->domain, res);
	buf_free(&quoted);
	return addr;
}

/* Recipients stay in their order, and twice who is there twice. */
static int
take_rcpts(const struct qmail *q, size_t n, char **argv, struct result *res)
{
	struct envelope *env = &q->message->env;
	struct rcpt *r;

	env->rcpts = calloc(n, sizeof *env->rcpts);
	if (env->rcpts == NULL)
		return result_fail(res, EXIT_OS, "out of memory");
	for (; env->nrcpts < n; env->nrcpts++) {
		r = &env->rcpts[env->nrcpts];
		r->addr = take_address(argv[env->nrcpts], q->delivery->config,
		    &r->res);
		if (r->addr && *r->addr)
			continue;
		if (r->addr)
			result_set(&r->res, OUT_PERM, CAUSE_RCPT, "a recipient's "
			    "address is empty");
		else if (r->res.exit != EXIT_DATA)
			return result_fail(res, EXIT_OS, "out of memory");
		r->state = RCPT_REFUSED;
	}
	return 0;
}

/* --- message --- */

/* What is no file becomes one, on standard input. */
static int
make_file(const struct qmail *q, struct result *res)
{
	struct spool copy = q->copy;
	ssize_t n;
	int rc = copy.fd < 0 ? spool_open(&copy, q->tmpdir, res) : 0;

	while (rc == 0 && (n = read(STDIN_FILENO, copy.out, SPOOL_BUFFER)) != 0)
		if ((n < 0 && errno != EINTR) || (n > 0 &&
		    write_all(copy.fd, copy.out, (size_t)n) < 0))
			rc = result_fail(res, EXIT_IO, "cannot store the message "
			    "in a temporary file: %s", strerror(errno));
	if (rc == 0) {
		dup2(copy.fd, STDIN_FILENO);
		lseek(STDIN_FILENO, 0, SEEK_SET);
	}
	spool_close(&copy);
	return rc;
}

static bool
is_file(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

static int
begin(void *ctx, struct intake *in, struct message *m, struct result *res)
{
	(void)in;
	return spool_over(&m->spool, STDIN_FILENO, *(off_t *)ctx, res);
}

static int
take_message(const struct qmail *q, struct result *res)
{
	struct message *m = q->message;
	off_t start;
	struct intake in = {
		.header = { .pristine = true,
			.domain = q->delivery->config->domain },
		.max_size = q->delivery->config->max_size,
		.begin = begin,
		.begin_ctx = &start
	};

	m->born = time(NULL);
	message_id_make(m->id);
	if (!is_file(STDIN_FILENO) && make_file(q, res) < 0)
		return -1;
	start = lseek(STDIN_FILENO, 0, SEEK_CUR);
	if (intake_read(&in, STDIN_FILENO, m, res) < 0)
		return -1;
	intake_note(&in, m, q->delivery->log);
	/* SES takes no mail without From: to be on no list keeps it away. */
	if (m->identities.n == 0 && addr_list_add(&m->identities, "", 0) < 0)
		return result_fail(res, EXIT_OS, "out of memory");
	return 0;
}

/* --- reports --- */

static void
add_report(struct buf *out, char letter, const struct result *res)
{
	const char *text = res->text, *said = NULL;
	char code[16];

	snprintf(code, sizeof code, ": %d ", res->code);
	if (res->code > 0)
		said = strstr(text, code);
	if (said)
		buf_addf(out, "%c%.*s%s.\nRemote host said: %s", letter,
		    (int)(said - text), text, letter == 'K' ?
		    " accepted message" : "", said + 2);
	else
		buf_addf(out, "%c%s", letter, *text ? text : "no reason was given");
	if (*text && letter == 'Z' && !res->certainly_not_taken &&
	    strstr(text, duplicate) == NULL)
		buf_addf(out, " %s", duplicate);
	buf_add(out, "\n", 2);
}

/* Is the result this recipient's own, and not the message's? */
static bool
is_own(const struct result *res)
{
	/* SES has no other refusals for good than of all recipients. */
	return res->outcome == OUT_DONE || res->cause == CAUSE_RCPT ||
	    (res->outcome == OUT_PERM && strncmp(res->text, "SES: ", 5) == 0);
}

/* Had the recipients been taken when the message met this? */
static bool
came_late(const struct result *res)
{
	if (res->outcome == OUT_TEMP && !res->certainly_not_taken)
		return res->text[0] != '\0';
	return res->cause == CAUSE_CONTENT && res->code > 0 &&
	    strstr(res->text, ": MAIL refused: ") == NULL;
}

/*
 * Each recipient's own result, and what the others have in common as the
 * message's; if they have not all one, and when someone was taken, theirs too.
 */
static void
report_results(const struct qmail *q, struct buf *out)
{
	static const char nobody[] = "DGiving up: no recipient was taken.\n";
	const struct envelope *env = &q->message->env;
	const struct result *taken = NULL, *whole = NULL, *res;
	bool own = false, differ = false, late;
	size_t i;

	for (i = 0; i < env->nrcpts; i++) {
		res = &env->rcpts[i].res;
		if (res->outcome == OUT_DONE && taken == NULL)
			taken = res;
		if (is_own(res))
			own = true;
		else if (whole == NULL)
			whole = res;
		else if (strcmp(res->text, whole->text) != 0)
			differ = true;
	}
	if (differ || taken)
		whole = NULL;
	late = whole && came_late(whole);
	for (i = 0; i < env->nrcpts && (own || late || whole == NULL); i++) {
		res = &env->rcpts[i].res;
		if (res->outcome == OUT_DONE || (late && !is_own(res)))
			buf_add(out, "r", 2);
		else
			add_report(out, res->outcome == OUT_PERM ? 'h' : 's',
			    res);
	}
	if (taken)
		add_report(out, 'K', taken);
	else if (whole)
		add_report(out, whole->outcome == OUT_PERM ? 'D' : 'Z', whole);
	else
		buf_add(out, nobody, sizeof nobody);
}

/* --- the two processes --- */

/* Also what takes our place is killed then. */
static void
limit_time(const struct config *c)
{
	struct itimerval end = { .it_value.tv_sec = MOST_SECONDS };

	if (c->timeout > 0 && c->timeout < MOST_SECONDS / 10)
		end.it_value.tv_sec = 10 * c->timeout;
	setitimer(ITIMER_REAL, &end, NULL);
}

/* All that has to be done. 0, or -1: it is the message's affair. */
static int
work(const struct qmail *q, size_t n, char **argv, struct result *res)
{
	struct message *m = q->message;
	const struct config *c = q->delivery->config;
	pid_t parent = getppid();

	if (q->open(q->ctx, res) < 0)
		return -1;
	child_stay_with(parent);
	limit_time(c);
	q->delivery->whole = true;
	m->env.from = take_address(argv[2], c, res);
	if (m->env.from == NULL ||
	    take_rcpts(q, n, argv + ARGUMENTS, res) < 0 ||
	    take_message(q, res) < 0)
		return -1;
	/* From here on the message may have been sent when we die. */
	if (write_all(STDOUT_FILENO, "!", 1) == 0)
		deliver(q->delivery, m);
	return 0;
}

/* Another program has the last word. -1: it cannot have it. */
static int
hand_over(const struct qmail *q, const char *name, char **argv,
    struct result *res)
{
	pid_t parent = getppid();
	const struct route *r = q->find(q->ctx, name, res);

	if (r == NULL)
		return -1;
	child_stay_with(parent);
	limit_time(q->delivery->config);
	if (q->copy.fd >= 0)
		dup2(q->copy.fd, STDIN_FILENO);
	handover_run(r, argv, res);
	return -1;
}

static void
child(const struct qmail *q, size_t n, char **argv, const char *route)
{
	struct buf out = { 0 };
	struct result res = { 0 };
	int null = open("/dev/null", O_WRONLY);

	if (dup2(null, STDERR_FILENO) < 0)
		close(STDERR_FILENO);
	/* Both are errors of a write. */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	if ((route ? hand_over(q, route, argv, &res) :
	    work(q, n, argv, &res)) < 0)
		add_report(&out, res.exit == EXIT_DATA ? 'D' : 'Z', &res);
	else
		report_results(q, &out);
	/* A piece of a report is none: see report.h. */
	if (!out.failed)
		write_all(STDOUT_FILENO, out.p, out.len);
	_exit(0);
}

/* The child could say nothing, or could not be made. */
static void
report_death(struct report *r, int status)
{
	buf_free(&r->text);
	buf_addf(&r->text, "Zsendroute %s (status %d).%s\n",
	    status == -1 ? "cannot start a process" :
	    status == CHILD_LATE || WTERMSIG(status) == SIGALRM ?
	    "was stopped after its time" : "ended without a report", status,
	    r->begun ? " Possible duplicate!" : "");
	buf_addc(&r->text, '\0');
}

/* Returns its status. */
static int
run_child(const struct qmail *q, struct report *r, char **argv,
    const char *route)
{
	struct child c;
	int rc = child_fork(&c);

	if (rc == 0)
		child(q, r->most, argv, route);
	return rc < 0 ? rc : child_collect(&c, clock_ms() + 1000 *
	    (MOST_SECONDS + SPARE_SECONDS), report_take, r);
}

int
qmail_remote(struct qmail *q, int argc, char **argv)
{
	static const char usage[] =
	    "DI (qmail-remote) was invoked improperly. (#5.3.5)\n";
	struct report r = { .most = (size_t)argc - ARGUMENTS }, first;
	struct result unused;
	int rc = -1;

	/* Made here, it is there too for a program that is to have the message. */
	q->copy.fd = -1;
	if (!is_file(STDIN_FILENO))
		spool_open(&q->copy, q->tmpdir, &unused);
	if (argc <= ARGUMENTS)
		buf_add(&r.text, usage, sizeof usage);
	else {
		rc = run_child(q, &r, argv, NULL);
		if (r.handed_over) {
			first = r;
			r = (struct report){ .most = first.most,
				.begun = true };
			rc = run_child(q, &r, argv, first.text.p + 1);
			buf_free(&first.text);
		}
		if (!report_usable(&r))
			report_death(&r, rc);
	}
	/* Half a report with status 0 would be taken for a refusal. */
	rc = r.text.failed ? -1 : write_all(STDOUT_FILENO, r.text.p,
	    r.text.len);
	buf_free(&r.text);
	return rc < 0 ? QMAIL_UNTOLD : 0;
}
