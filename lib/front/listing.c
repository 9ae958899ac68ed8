#include "lib/front/listing.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/json.h"
#include "lib/mail/idn.h"

struct ids {
	char (*v)[MESSAGE_ID_LENGTH + 1];
	size_t n, cap;
};

struct list {
	struct queue *q;
	FILE *out;
	struct log *log;
	bool json;
	int64_t now;
	size_t printed, unreadable;
};

static const char *const folders[QUEUE_FOLDERS] = { "", "queue", "failed" };

/* In the order of enum rcpt_state. */
static const char *const states[] = { "queued", "sent", "refused", "bounced" };

static int
add_id(void *ctx, const char *name)
{
	struct ids *ids = ctx;
	void *bigger;

	if (!message_id_valid(name))
		return 0;
	if (ids->n == ids->cap) {
		bigger = realloc(ids->v, (ids->cap * 2 + 64) * sizeof *ids->v);
		if (bigger == NULL)
			return 1;
		ids->v = bigger;
		ids->cap = ids->cap * 2 + 64;
	}
	memcpy(ids->v[ids->n++], name, sizeof *ids->v);
	return 0;
}

static int
compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* --- as JSON --- */

/* A peer may say anything; JSON is UTF-8. */
static void
add_text(struct buf *b, const char *key, const char *s)
{
	char text[sizeof ((struct result *)0)->text];
	const char *end = s + strlen(s);
	size_t n = 0, k;
	unsigned cp;

	for (; s < end && n + 4 < sizeof text; s += k ? k : 1) {
		k = utf8_next(s, end, &cp);
		if (k == 0)
			text[n++] = '?';
		memcpy(text + n, s, k);
		n += k;
	}
	text[n] = '\0';
	json_text(b, key, text);
}

static void
add_rcpt(struct buf *b, const struct rcpt *r)
{
	json_key(b, NULL);
	buf_addc(b, '{');
	json_text(b, "address", r->addr);
	json_text(b, "state", states[r->state]);
	json_number(b, "code", r->res.code);
	json_text(b, "enhanced", r->res.enhanced);
	add_text(b, "result", r->res.text);
	buf_addc(b, '}');
}

static void
add_message(struct buf *b, const struct ticket *t)
{
	const struct message *m = t->m;
	size_t i;

	buf_addc(b, '{');
	json_text(b, "id", m->id);
	json_text(b, "folder", folders[t->in]);
	json_number(b, "born", t->f.born);
	json_number(b, "next", t->f.next);
	json_number(b, "tries", t->f.tries);
	json_number(b, "size", m->spool.size);
	json_number(b, "uid", (int64_t)t->f.uid);
	json_text(b, "from", m->env.from);
	json_key(b, "recipients");
	buf_addc(b, '[');
	for (i = 0; i < m->env.nrcpts; i++)
		add_rcpt(b, &m->env.rcpts[i]);
	buf_adds(b, "]}");
}

static int
print_json(struct list *l, const struct ticket *t)
{
	struct buf text = { 0 };
	int rc = -1;

	buf_adds(&text, l->printed ? ",\n" : "\n");
	add_message(&text, t);
	if (!text.failed) {
		fputs(buf_str(&text), l->out);
		rc = 0;
	}
	buf_free(&text);
	return rc;
}

/* --- for people --- */

/* "3d", "5h", "12m", "40s": the largest unit. */
static void
add_span(struct buf *b, int64_t seconds)
{
	static const struct { char unit; int seconds; } units[] = {
		{ 'd', 86400 }, { 'h', 3600 }, { 'm', 60 }, { 's', 1 }
	};
	size_t i = 0;

	if (seconds < 0)
		seconds = 0;
	while (i < 3 && seconds < units[i].seconds)
		i++;
	buf_addf(b, "%" PRId64 "%c", seconds / units[i].seconds,
	    units[i].unit);
}

static void
add_due(struct buf *b, const struct list *l, const struct ticket *t)
{
	if (t->in == QUEUE_FAILED)
		buf_adds(b, "failed: see --requeue, --delete");
	else if (t->f.next <= l->now)
		buf_adds(b, "due now");
	else {
		buf_adds(b, "next try in ");
		add_span(b, t->f.next - l->now);
	}
}

static int
print_text(struct list *l, const struct ticket *t)
{
	const struct message *m = t->m;
	const struct rcpt *r;
	struct buf b = { 0 };
	size_t i;
	int rc;

	buf_addf(&b, "%s %8lld bytes  ", m->id, (long long)m->spool.size);
	add_span(&b, l->now - t->f.born);
	buf_addf(&b, " old  %s  (%u tries, ", *m->env.from ? m->env.from : "<>",
	    t->f.tries);
	add_due(&b, l, t);
	buf_adds(&b, ")\n");
	for (i = 0; i < m->env.nrcpts; i++) {
		r = &m->env.rcpts[i];
		buf_addf(&b, "    %s: %s", r->addr, states[r->state]);
		if (*r->res.text)
			buf_addf(&b, ": %s", r->res.text);
		buf_addc(&b, '\n');
	}
	rc = b.failed ? -1 : 0;
	fputs(buf_str(&b), l->out);
	buf_free(&b);
	return rc;
}

/* --- all of it --- */

static int
print_one(struct list *l, enum queue_folder in, const char *id,
    struct result *res)
{
	struct ticket t;
	struct message m;
	int rc = queue_look(l->q, in, id, &t, &m, res);

	if (rc < 0 && res->exit == EXIT_OS)
		return -1;
	if (rc < 0) {
		log_error(l->log, "%s: %s", id, res->text);
		l->unreadable++;
	}
	if (rc <= 0)
		return 0;
	rc = l->json ? print_json(l, &t) : print_text(l, &t);
	l->printed++;
	message_free(&m);
	return rc < 0 ? result_fail(res, EXIT_OS, "out of memory") : 0;
}

static int
print_folder(struct list *l, enum queue_folder in, struct result *res)
{
	struct ids ids = { 0 };
	size_t i;
	int rc = queue_each(l->q, in, add_id, &ids);

	if (rc < 0)
		rc = result_fail(res, errno == EACCES ? EXIT_NOPERM : EXIT_IO,
		    "cannot read the queue %s: %s", l->q->path,
		    strerror(errno));
	else if (rc > 0)
		rc = result_fail(res, EXIT_OS, "out of memory");
	if (ids.n > 0)
		qsort(ids.v, ids.n, sizeof *ids.v, compare);
	for (i = 0; rc == 0 && i < ids.n; i++)
		rc = print_one(l, in, ids.v[i], res);
	free(ids.v);
	return rc;
}

int
listing_print(struct queue *q, bool json, FILE *out, struct log *log,
    struct result *res)
{
	struct list l = { .q = q, .out = out, .log = log, .json = json,
		.now = time(NULL) };

	if (json)
		fputs("[", out);
	if (print_folder(&l, QUEUE_READY, res) < 0 ||
	    print_folder(&l, QUEUE_FAILED, res) < 0)
		return -1;
	if (json)
		fputs(l.printed ? "\n]\n" : "]\n", out);
	else if (l.printed + l.unreadable == 0)
		fputs("the mail queue is empty\n", out);
	return 0;
}
