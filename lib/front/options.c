#include "lib/front/options.h"

#include <string.h>

#include "lib/base/buf.h"
#include "lib/front/smtpd_parse.h"

/* How an option takes its value. */
enum shape {
	FLAG,			/* none; may be combined: -ti */
	VALUE,			/* attached or the next argument */
	ATTACHED		/* attached or none */
};

/*
 * Every letter that some sendmail knows, so that no caller is refused. What has
 * no case in apply() has no effect.
 */
static const struct { char letter; enum shape shape; } letters[] = {
	{ 't', FLAG }, { 'i', FLAG }, { 'v', FLAG }, { 'I', FLAG },
	{ 'n', FLAG }, { 'm', FLAG }, { 'U', FLAG }, { 'G', FLAG },
	{ 'x', FLAG }, { 'c', FLAG }, { 's', FLAG },
	{ 'f', VALUE }, { 'r', VALUE }, { 'F', VALUE }, { 'C', VALUE },
	{ 'N', VALUE }, { 'R', VALUE }, { 'V', VALUE }, { 'B', VALUE },
	{ 'b', VALUE }, { 'O', VALUE }, { 'A', VALUE }, { 'L', VALUE },
	{ 'h', VALUE }, { 'p', VALUE }, { 'X', VALUE }, { 'M', VALUE },
	{ 'o', VALUE }, { 'e', VALUE },
	{ 'd', ATTACHED }, { 'q', ATTACHED }
};

static const struct { const char *name; enum mode mode; bool value; } words[] = {
	{ "check", MODE_CHECK, false },
	{ "list-verified", MODE_LIST_VERIFIED, false },
	{ "delete", MODE_DELETE, true },
	{ "requeue", MODE_REQUEUE, true },
	{ "dkim-keygen", MODE_DKIM_KEYGEN, true },
	{ "verify-dkim", MODE_VERIFY_DKIM, false },
	{ "version", MODE_VERSION, false },
	{ "help", MODE_HELP, false },
	/* These modify another mode. */
	{ "write", MODE_DELIVER, true },
	{ "dkim-keys", MODE_DELIVER, true },
	{ "dry-run", MODE_DELIVER, false },
	{ "json", MODE_DELIVER, false }
};

const char options_help[] =
"usage: sendroute [option...] [recipient...] < message\n"
"  -t            take recipients from To, Cc and Bcc\n"
"  -i, -oi       a line with a lone dot is data\n"
"  -f ADDRESS    envelope sender, or <>\n"
"  -F NAME       name for a From that is added\n"
"  -C FILE       configuration instead of /etc/sendroute.conf\n"
"  -v            show the conversation\n"
"  -bv           print route and envelope for the addresses\n"
"  --dry-run     read the message, print route, reason and envelope\n"
"  -q, -qf       run the queue: what is due, everything; -q15m: again and again\n"
"  -bp           list the queue, as mailq does (--json: as JSON)\n"
"  --check       try every route, send nothing\n"
"  --dkim-keygen DIR, --verify-dkim   make a key; check a message's signatures\n"
"  --version     what is built in\n"
"More: sendroute(8)\n";

static int
usage(struct result *res, const char *what, const char *option)
{
	return result_fail(res, EXIT_USAGE, "%s: %s (try --help)", option, what);
}

static int
set_mode(struct options *o, const char *value, struct result *res)
{
	static const struct { char letter; enum mode mode; } modes[] = {
		{ 'm', MODE_DELIVER }, { 's', MODE_SMTP }, { 'p', MODE_LIST },
		{ 'v', MODE_VERIFY }, { 'i', MODE_ALIASES }
	};
	char option[4] = "-b?";
	size_t i;

	for (i = 0; i < sizeof modes / sizeof modes[0]; i++)
		if (value[0] == modes[i].letter && value[1] == '\0') {
			o->mode = modes[i].mode;
			return 0;
		}
	option[2] = *value;
	return usage(res, "this is no daemon, it only sends mail; modes are "
	    "-bm, -bs, -bp, -bv and -bi", option);
}

/* -oX: only -oi and -od mean something here. */
static void
set_o(struct options *o, const char *value)
{
	if (strcmp(value, "i") == 0)
		o->ignore_dots = true;
	if (value[0] == 'd')
		o->delivery = value[1];
}

static int
apply(struct options *o, char letter, const char *value, struct result *res)
{
	switch (letter) {
	case 't':
		o->take_rcpts = true;
		return 0;
	case 'i':
		o->ignore_dots = true;
		return 0;
	case 'v':
		o->verbose = true;
		return 0;
	case 'I':
		o->mode = MODE_ALIASES;
		return 0;
	case 'f':
	case 'r':
		o->from = value;
		return 0;
	case 'F':
		o->full_name = value;
		return 0;
	case 'C':
		o->config = value;
		return 0;
	case 'N':
		if (!smtpd_is_notify(value))
			return usage(res, "expected never, or a list of failure, "
			    "delay and success", "-N");
		o->dsn_notify = value;
		return 0;
	case 'R':
		if (!str_iequal(value, "full") && !str_iequal(value, "hdrs"))
			return usage(res, "expected full or hdrs", "-R");
		o->dsn_ret = value;
		return 0;
	case 'V':
		if (!smtpd_is_envid(value))
			return usage(res, "expected an envelope id of printable "
			    "characters, '+' and '=' as +2B and +3D", "-V");
		o->dsn_envid = value;
		return 0;
	case 'b':
		return set_mode(o, value, res);
	case 'o':
		set_o(o, value);
		return 0;
	case 'q':
		o->mode = MODE_QUEUE_RUN;
		o->queue = value;
		return 0;
	default:
		return 0;
	}
}

static int
find_letter(char letter)
{
	size_t i;

	for (i = 0; i < sizeof letters / sizeof letters[0]; i++)
		if (letters[i].letter == letter)
			return (int)i;
	return -1;
}

/* "-ti", "-fa@b", "-f" "a@b": *used arguments more than one. */
static int
parse_short(struct options *o, const char *arg, const char *next, int *used,
    struct result *res)
{
	char option[3] = "-?";
	const char *p;
	int i;

	for (p = arg + 1; *p; p++) {
		option[1] = *p;
		i = find_letter(*p);
		if (i < 0)
			return usage(res, "unknown option", option);
		if (letters[i].shape == FLAG) {
			if (apply(o, *p, NULL, res) < 0)
				return -1;
			continue;
		}
		if (letters[i].shape == ATTACHED || p[1] != '\0')
			return apply(o, *p, p + 1, res);
		if (next == NULL)
			return usage(res, "needs a value", option);
		*used = 1;
		return apply(o, *p, next, res);
	}
	return 0;
}

static void
apply_word(struct options *o, size_t i, const char *value)
{
	if (words[i].mode != MODE_DELIVER)
		o->mode = words[i].mode;
	if (words[i].value)
		o->value = value;
	if (strcmp(words[i].name, "dry-run") == 0)
		o->dry_run = true;
	if (strcmp(words[i].name, "json") == 0)
		o->json = true;
}

static int
parse_long(struct options *o, const char *arg, const char *next, int *used,
    struct result *res)
{
	const char *name = arg + 2, *equals = strchr(name, '=');
	size_t n = equals ? (size_t)(equals - name) : strlen(name), i;

	for (i = 0; i < sizeof words / sizeof words[0]; i++)
		if (strlen(words[i].name) == n &&
		    memcmp(words[i].name, name, n) == 0)
			break;
	if (i == sizeof words / sizeof words[0])
		return usage(res, "unknown option", arg);
	if (!words[i].value && equals)
		return usage(res, "takes no value", arg);
	if (words[i].value && equals == NULL) {
		if (next == NULL)
			return usage(res, "needs a value", arg);
		*used = 1;
		equals = next - 1;
	}
	apply_word(o, i, equals ? equals + 1 : NULL);
	return 0;
}

int
options_parse(int argc, char **argv, struct options *o, struct result *res)
{
	int i, used, kept = 1;
	bool ended = false;
	char *arg;

	memset(o, 0, sizeof *o);
	for (i = 1; i < argc; i += 1 + used) {
		arg = argv[i];
		used = 0;
		if (ended || arg[0] != '-') {
			argv[kept++] = arg;	/* kept <= i */
			continue;
		}
		if (strcmp(arg, "--") == 0)
			ended = true;
		else if (arg[1] == '\0')
			return usage(res, "not an option and not an address",
			    "-");
		else if ((arg[1] == '-' ? parse_long : parse_short)(o, arg,
		    i + 1 < argc ? argv[i + 1] : NULL, &used, res) < 0)
			return -1;
	}
	o->rcpts = (const char *const *)argv + 1;
	o->nrcpts = (size_t)(kept > 1 ? kept - 1 : 0);
	/* Whoever gives recipients has a message that must not be passed over. */
	if ((o->mode == MODE_QUEUE_RUN || o->mode == MODE_DELETE ||
	    o->mode == MODE_REQUEUE) && (o->nrcpts > 0 || o->take_rcpts))
		return usage(res, "takes no recipients and no message",
		    o->mode == MODE_QUEUE_RUN ? "-q" : "--delete, --requeue");
	return 0;
}
