#include "lib/front/smtpd.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/front/smtpd_parse.h"
#include "lib/mail/intake.h"

enum {
	BLOCK = 16384,			/* of input */
	LINE_SIZE = 2048,		/* of a command with its CRLF */
	REPLY_SIZE = 511,		/* 510 bytes and a NUL */
	RCPTS_MAX = 1000
};

struct session {
	const struct smtpd *d;
	const struct config *config;
	bool greeted;			/* with EHLO or HELO */
	bool over;
	bool begun;			/* the message in hand is submitted */
	bool after_lf;			/* the last line ended in LF alone */
	int status;
	int64_t deadline;
	/*
	 * Behind the NUL of an address stand its NOTIFY and its ORCPT, each
	 * with a NUL: both share its fate when duplicates are dropped.
	 */
	struct addr_list rcpts;
	size_t targets;			/* of their aliases */
	enum smtpd_data state;		/* of DATA */
	size_t at, end;			/* of what is in block */
	char block[BLOCK];
	struct message m;		/* env.from is NULL outside transactions */
};

/* --- both directions --- */

/* One line of a reply: printable, of 510 bytes at most. */
static void reply(struct session *s, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
static void
reply(struct session *s, const char *fmt, ...)
{
	char line[REPLY_SIZE];
	va_list ap;
	char *p;

	va_start(ap, fmt);
	vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	text_clean(line);
	for (p = line; *p; p++)
		if ((unsigned char)*p >= 0x80 && !s->m.env.utf8)
			*p = '?';
	fputs(line, s->d->out);
	fputs("\r\n", s->d->out);
}

static int
end_session(struct session *s, int status)
{
	s->over = true;
	s->status = status;
	return -1;
}

/* What went wrong, for the log and under -v. */
static void
note(const struct session *s, const char *what)
{
	struct log *log = s->d->delivery->log;
	const char *from = s->m.env.from;
	struct buf line = { 0 };

	log_pair(&line, "id", *s->m.id ? s->m.id : "-");
	log_pair(&line, "from", from && *from ? from : "<>");
	log_pair(&line, "reason", what);
	log_write(log, "%s", buf_str(&line));
	log_trace(log, "* %s", what);
	buf_free(&line);
}

static int
flush(struct session *s)
{
	if (fflush(s->d->out) == 0 && !ferror(s->d->out))
		return 0;
	note(s, "-bs: cannot write to standard output");
	return end_session(s, EXIT_IO);
}

/*
 * The next block of input. Replies are held back until now: to a pipelining
 * client they go out together. 0, or -1 when the session is over.
 */
static int
fill(struct session *s)
{
	struct pollfd pfd = { .fd = s->d->in, .events = POLLIN };
	int64_t left;
	ssize_t n = -1;
	int ready;

	if (flush(s) < 0)
		return -1;
	do {
		left = s->deadline - clock_ms();
		ready = poll(&pfd, 1, left > 0 ? (int)left : 0);
		if (ready > 0)
			n = read(s->d->in, s->block, BLOCK);
	} while (ready != 0 && n < 0 && errno == EINTR);
	if (ready == 0) {
		reply(s, "421 4.4.2 %s: no input for too long",
		    s->config->hostname);
		note(s, "-bs: the client was silent for too long");
		return end_session(s, EXIT_TEMP);
	}
	if (n < 0) {
		note(s, "-bs: cannot read standard input");
		return end_session(s, EXIT_IO);
	}
	if (n == 0)
		return end_session(s, EXIT_OK);
	s->at = 0;
	s->end = (size_t)n;
	return 0;
}

/*
 * The next command, without its CRLF. NUL, CR or LF by itself spoil a line, and
 * LF also what follows on it: no client means to send them, so someone may be
 * trying to have it say what it did not mean. 1; 0 when the line was refused;
 * -1 when the session is over.
 */
static int
read_command(struct session *s, char line[LINE_SIZE])
{
	bool bad = s->after_lf;
	size_t n = 0;
	char c = '\0', before;

	s->deadline = clock_ms() + s->d->patience;
	do {
		if (s->at == s->end && fill(s) < 0)
			return -1;
		before = c;
		c = s->block[s->at++];
		line[n < LINE_SIZE ? n : LINE_SIZE - 1] = c;
		n++;
	} while (c != '\n');
	if (n > LINE_SIZE) {
		s->after_lf = before != '\r';
		reply(s, "500 5.5.2 the line is too long");
		return 0;
	}
	s->after_lf = n < 2 || line[n - 2] != '\r';
	n -= s->after_lf ? 1 : 2;
	if (bad || s->after_lf || memchr(line, '\0', n) ||
	    memchr(line, '\r', n)) {
		reply(s, "500 5.5.2 a line ends in CRLF and holds no other CR, "
		    "LF or NUL");
		return 0;
	}
	line[n] = '\0';
	return 1;
}

/* --- the transaction --- */

static void
forget(struct session *s)
{
	message_free(&s->m);
	addr_list_free(&s->rcpts);
	memset(&s->m, 0, sizeof s->m);
	s->m.spool.fd = -1;
	s->targets = 0;
}

static void
hello(struct session *s, char *arg)
{
	(void)arg;
	forget(s);
	s->greeted = true;
	reply(s, "250 %s", s->config->hostname);
}

static void
extended_hello(struct session *s, char *arg)
{
	char size[24] = "";

	(void)arg;
	forget(s);
	s->greeted = true;
	if (s->config->max_size > 0)
		snprintf(size, sizeof size, " %" PRIu64, s->config->max_size);
	reply(s, "250-%s", s->config->hostname);
	reply(s, "250-SIZE%s", size);
	fputs("250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-REQUIRETLS\r\n"
	    "250-ENHANCEDSTATUSCODES\r\n250-DSN\r\n250 HELP\r\n",
	    s->d->out);
}

/* A heap copy, or NULL: none given, or no memory. */
static char *
copy(const char *text)
{
	return text && *text ? mem_dup(text, strlen(text)) : NULL;
}

/* An address in UTF-8 is for those who said so (RFC 6531 section 3.4). */
static bool
needs_utf8(const char *addr)
{
	while (*addr != '\0' && (unsigned char)*addr < 0x80)
		addr++;
	return *addr != '\0';
}

/*
 * "FROM:<path> parameters" or the same with TO. Returns the address, or NULL
 * when a reply has been given.
 */
static char *
parse_envelope(struct session *s, char *arg, bool to,
    struct smtpd_params *params)
{
	const char *key = to ? "TO:" : "FROM:", *bad;
	char *path, *rest = NULL, *addr;
	struct result res;
	int code;

	if (str_istarts(arg, key))
		rest = smtpd_path(arg + strlen(key), &path);
	if (rest == NULL || (to && *path == '\0')) {
		reply(s, "501 5.5.2 expected %s<address>", key);
		return NULL;
	}
	code = smtpd_params(rest, to, params, &bad);
	if (code != 0) {
		reply(s, "%d 5.5.4 parameter %s", code, bad);
		return NULL;
	}
	addr = address_parse_one(path, s->config->domain, &res);
	if (addr == NULL)
		reply(s, "%s %s", res.exit == EXIT_DATA ? "501 5.1.3" :
		    "451 4.3.0", res.text);
	else if (needs_utf8(addr) && !params->utf8 && !s->m.env.utf8) {
		reply(s, "553 5.6.7 this address needs SMTPUTF8");
		free(addr);
		addr = NULL;
	}
	return addr;
}

static void
mail(struct session *s, char *arg)
{
	struct envelope *env = &s->m.env;
	uint64_t max = s->config->max_size;
	struct smtpd_params params;

	if (!s->greeted || env->from) {
		reply(s, "503 5.5.1 %s", s->greeted ? "MAIL was given already" :
		    "EHLO comes first");
		return;
	}
	env->from = parse_envelope(s, arg, false, &params);
	if (env->from == NULL)
		return;
	if (max != 0 && params.size > max) {
		reply(s, "552 5.3.4 the message is larger than %" PRIu64
		    " bytes", max);
		forget(s);
		return;
	}
	env->utf8 = params.utf8;
	env->requiretls = params.requiretls;
	env->dsn_ret = copy(params.ret);
	env->dsn_envid = copy(params.envid);
	reply(s, "250 2.1.0 ok");
}

/* Reply code and enhanced code of what failed before anything was sent. */
static const char *
codes_of(const struct result *res)
{
	switch (res->exit) {
	case EXIT_DATA:
		return strcmp(res->enhanced, "5.3.4") == 0 ? "552 5.3.4" :
		    "554 5.6.0";
	case EXIT_CONFIGURATION:
	case EXIT_NOPERM:
		return "451 4.3.5";
	default:
		return "451 4.3.0";
	}
}

/*
 * Can the mail of a recipient go where his alias leads? An alias that is broken
 * must be no matter to the other recipients. What comes of it is not kept, lest
 * a thousand lists fill the memory: the end of DATA expands them again.
 */
static bool
try_alias(struct session *s, const char *to, bool bare)
{
	struct aliases *a = s->d->aliases;
	struct addr_list one = { 0 };
	struct result res;
	int rc = addr_list_add(&one, to, strlen(to));

	if (rc < 0)
		result_fail(&res, EXIT_OS, "out of memory");
	else {
		one.bare[0] = bare;
		rc = aliases_apply(a, &one, &res);
	}
	addr_list_free(&one);
	if (rc < 0) {
		note(s, res.text);
		reply(s, "%s %s", codes_of(&res), res.text);
	} else if (s->targets + a->targets > ALIASES_TARGETS_MAX) {
		reply(s, "452 4.5.3 too many recipients");
		rc = -1;
	}
	return rc == 0;
}

static void
rcpt(struct session *s, char *arg)
{
	struct smtpd_params params;
	struct buf b = { 0 };
	const char *quote;
	bool bare;
	char *to;

	if (s->m.env.from == NULL) {
		reply(s, "503 5.5.1 MAIL comes first");
		return;
	}
	if (s->rcpts.n >= RCPTS_MAX) {
		reply(s, "452 4.5.3 too many recipients");
		return;
	}
	to = parse_envelope(s, arg, true, &params);
	if (to == NULL)
		return;
	/* The line ends behind the path by now, which has no comments. */
	quote = strrchr(arg, '"');
	bare = strchr(quote ? quote : arg, '@') == NULL;
	if (!try_alias(s, to, bare))
		goto free_all;
	buf_addf(&b, "%s%c%s%c%s", to, '\0', params.notify ? params.notify : "",
	    '\0', params.orcpt ? params.orcpt : "");
	if (b.failed || addr_list_add(&s->rcpts, b.p, b.len) < 0)
		reply(s, "451 4.3.0 out of memory");
	else {
		s->rcpts.bare[s->rcpts.n - 1] = bare;
		s->targets += s->d->aliases->targets;
		reply(s, "250 2.1.5 ok");
	}
free_all:
	buf_free(&b);
	free(to);
}

static bool
same_notify(const struct session *s)
{
	const char *first = s->rcpts.v[0] + strlen(s->rcpts.v[0]) + 1, *v;
	size_t i;

	for (i = 1; i < s->rcpts.n; i++) {
		v = s->rcpts.v[i];
		if (strcmp(v + strlen(v) + 1, first) != 0)
			return false;
	}
	return true;
}

/* DSN parameters go with the recipients that no alias has replaced. */
static void
take_dsn(struct session *s, struct rcpt *r)
{
	const char *asked, *p;
	size_t i;

	for (i = 0; i < s->rcpts.n; i++) {
		asked = s->rcpts.v[i];
		if (!address_equal(asked, r->addr))
			continue;
		p = asked + strlen(asked) + 1;
		r->dsn_notify = copy(p);
		r->dsn_orcpt = copy(p + strlen(p) + 1);
		return;
	}
	/* In an alias's place: a wish that all recipients share holds here too. */
	if (s->rcpts.n > 0 && same_notify(s))
		r->dsn_notify = copy(s->rcpts.v[0] +
		    strlen(s->rcpts.v[0]) + 1);
}

/*
 * The recipients of the transaction, through the aliases, become those of the
 * message: from here on they are final.
 */
static int
settle_rcpts(struct session *s, struct result *res)
{
	struct addr_list final = { 0 };
	const char *addr;
	size_t i;
	int rc = 0;

	for (i = 0; rc == 0 && i < s->rcpts.n; i++) {
		addr = s->rcpts.v[i];
		rc = addr_list_add(&final, addr, strlen(addr));
		if (rc == 0)
			final.bare[i] = s->rcpts.bare[i];
	}
	if (rc < 0)
		result_fail(res, EXIT_OS, "out of memory");
	else
		rc = aliases_apply(s->d->aliases, &final, res);
	if (rc == 0 && message_take_rcpts(&s->m, &final) < 0)
		rc = result_fail(res, EXIT_OS, "out of memory");
	for (i = 0; rc == 0 && i < s->m.env.nrcpts; i++)
		take_dsn(s, &s->m.env.rcpts[i]);
	addr_list_free(&final);
	return rc;
}

/* --- the message --- */

/* What intake reads: the text of DATA, 0 at its end, -1: the session is over. */
static ssize_t
data_source(void *ctx, void *out, size_t n)
{
	struct session *s = ctx;
	size_t done = 0, taken;

	while (done == 0 && s->state != DATA_END) {
		s->deadline = clock_ms() + s->d->patience;
		if (s->at == s->end && fill(s) < 0)
			return -1;
		done = smtpd_unstuff(&s->state, s->block + s->at,
		    s->end - s->at, &taken, out, n);
		s->at += taken;
	}
	return (ssize_t)done;
}

/* The envelope is final; where the message is stored may depend on it. */
static int
begin_message(void *ctx, struct intake *in, struct message *m,
    struct result *res)
{
	struct session *s = ctx;
	const struct config *c = s->config;

	if (*m->env.from && c->override_from) {
		free(m->env.from);
		m->env.from = address_parse_one(c->override_from, c->domain,
		    res);
		if (m->env.from == NULL)
			return -1;
	}
	if (settle_rcpts(s, res) < 0)
		return -1;
	s->begun = s->d->submission != NULL;
	return s->begun ? submit_begin(s->d->submission, m, res) :
	    spool_open(&m->spool, in->tmpdir, res);
}

static int
take_message(struct session *s, struct result *res)
{
	const struct config *c = s->config;
	struct message *m = &s->m;
	struct intake in = {
		.header = {
			.domain = c->domain,
			.hostname = c->hostname,
			.from = *m->env.from ? m->env.from : s->d->sender,
			.full_name = s->d->full_name,
			.override_from = c->override_from,
			.now = clock_wall()
		},
		.dot = DOT_IS_DATA,
		.max_size = c->max_size,
		.tmpdir = s->d->tmpdir,
		.begin = begin_message,
		.begin_ctx = s
	};

	m->born = time(NULL);	/* see schedule.h: clocks jump */
	message_id_make(m->id);
	s->begun = false;
	if (intake_take(&in, data_source, s, m, res) < 0) {
		if (s->begun)
			submit_abandon(s->d->submission);
		return -1;
	}
	intake_note(&in, m, s->d->delivery->log);
	return s->begun ? submit_end(s->d->submission, m, res) : 0;
}

/*
 * A message that cannot be taken, of which more may be to come. Nobody gets it,
 * and each of them is named.
 */
static void
refuse(struct session *s, const struct result *res)
{
	const char *codes = codes_of(res);
	char rest[1024];
	size_t i;

	note(s, s->over ? "-bs: the input ended inside a message, which is "
	    "discarded" : res->text);
	while (!s->over && data_source(s, rest, sizeof rest) > 0)
		continue;
	for (i = 0; !s->over && i < s->rcpts.n; i++)
		reply(s, "%.3s%c%s %s: %s: %s", codes,
		    i + 1 < s->rcpts.n ? '-' : ' ', codes + 4, s->rcpts.v[i],
		    *codes == '4' ? "deferred" : "failed", res->text);
}

/*
 * The reply code: 451 when any failure may pass or is the operator's to mend,
 * else 554; *enhanced goes with it. 250: there was no failure.
 */
static int
judge(const struct envelope *env, const char **enhanced)
{
	const struct result *r;
	int code = 250;
	size_t i;

	for (i = 0; i < env->nrcpts; i++) {
		r = &env->rcpts[i].res;
		if (r->outcome == OUT_TEMP ||
		    (r->outcome == OUT_PERM && r->cause == CAUSE_OPERATOR))
			code = 451;
		else if (r->outcome == OUT_PERM && code == 250)
			code = 554;
	}
	*enhanced = code == 451 ? "4.3.0" : "5.0.0";
	for (i = 0; i < env->nrcpts; i++) {
		r = &env->rcpts[i].res;
		if (r->enhanced[0] == **enhanced)
			*enhanced = r->enhanced;
	}
	return code;
}

/*
 * What became of the message. The client has one answer for all recipients: when
 * it is not the same for all, a person must see who need not get it again.
 */
static void
report(struct session *s)
{
	const struct envelope *env = &s->m.env;
	const struct rcpt *r;
	const char *enhanced;
	size_t i, lines = 0;
	int done, code = judge(env, &enhanced);

	if (code == 250) {
		reply(s, "250 2.0.0 taken as %s", s->m.id);
		return;
	}
	for (done = 0; done <= 1; done++)
		for (i = 0; i < env->nrcpts; i++) {
			r = &env->rcpts[i];
			if ((r->res.outcome == OUT_DONE) != done)
				continue;
			reply(s, "%d%c%s %s: %s: %s", code,
			    ++lines < env->nrcpts ? '-' : ' ', enhanced,
			    r->addr, result_status(&r->res), done ?
			    "do not send it again" : r->res.text);
		}
}

/* What is safe in the queue is answered before anything can go wrong. */
static void
send_message(struct session *s)
{
	struct submission *sub = s->d->submission;

	if (sub && sub->queued) {
		reply(s, "250 2.0.0 queued as %s", s->m.id);
		flush(s);
		submit_send(sub, &s->m);
		return;
	}
	if (sub)
		submit_send(sub, &s->m);
	else
		s->d->deliver(s->d->delivery, &s->m);
	report(s);
}

static void
data(struct session *s, char *arg)
{
	struct result res = { 0 };

	(void)arg;
	if (s->rcpts.n == 0) {
		reply(s, "503 5.5.1 %s comes first",
		    s->m.env.from ? "RCPT" : "MAIL");
		return;
	}
	reply(s, "354 go on; a line with a lone dot ends it");
	s->state = DATA_LINE;
	if (take_message(s, &res) < 0)
		refuse(s, &res);
	else
		send_message(s);
	forget(s);
}

/* --- the session --- */

static void
reset(struct session *s, char *arg)
{
	(void)arg;
	forget(s);
}

static void
quit(struct session *s, char *arg)
{
	(void)arg;
	s->over = true;
}

enum need { NONE, ANY, SOME };		/* of an argument */

static const struct command {
	char name[5];
	unsigned char need;
	void (*run)(struct session *s, char *arg);
	const char *text;		/* replied behind run; or NULL */
} commands[] = {
	{ "EHLO", SOME, extended_hello, NULL },
	{ "HELO", SOME, hello, NULL },
	{ "MAIL", SOME, mail, NULL },
	{ "RCPT", SOME, rcpt, NULL },
	{ "DATA", NONE, data, NULL },
	{ "RSET", NONE, reset, "250 2.0.0 ok" },
	{ "NOOP", ANY, NULL, "250 2.0.0 ok" },
	{ "VRFY", SOME, NULL, "252 2.0.0 send it and see" },
	{ "HELP", ANY, NULL, "214 2.0.0 EHLO HELO MAIL RCPT DATA RSET NOOP VRFY "
	    "HELP QUIT" },
	{ "QUIT", NONE, quit, "221 2.0.0 bye" },
	{ "EXPN", ANY, NULL, "502 5.5.1 not offered" }
};

static void
obey(struct session *s, char *line)
{
	char *arg = line + strcspn(line, " ");
	const struct command *c;
	size_t i;

	if (*arg)
		*arg++ = '\0';
	arg += strspn(arg, " ");
	for (i = 0; i < sizeof commands / sizeof commands[0]; i++) {
		c = &commands[i];
		if (!str_iequal(line, c->name))
			continue;
		if (c->need != ANY && (c->need == SOME) != (*arg != '\0')) {
			reply(s, "501 5.5.4 %s takes %s argument", c->name,
			    c->need == SOME ? "an" : "no");
			return;
		}
		if (c->run)
			c->run(s, arg);
		if (c->text)
			reply(s, "%s", c->text);
		return;
	}
	reply(s, "500 5.5.1 unknown command");
}

int
smtpd_run(const struct smtpd *d)
{
	struct session s = { .d = d, .config = d->delivery->config,
		.m.spool.fd = -1 };
	char line[LINE_SIZE];

	reply(&s, "220 %s ESMTP sendroute", s.config->hostname);
	while (!s.over)
		if (read_command(&s, line) > 0)
			obey(&s, line);
	forget(&s);
	if (s.status != EXIT_IO)
		flush(&s);
	return s.status;
}
