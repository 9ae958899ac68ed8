#include "lib/store/queuefile.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char magic[] = "sendroute queue 1\n";

enum {
	TIME_WIDTH = 20, COUNT_WIDTH = 10, FLAGS = 12,
	/* Offsets of values; each line is KEY, blank, value, LF. */
	AT_BORN = 18 + 5, AT_NEXT = AT_BORN + TIME_WIDTH + 6,
	AT_TRIES = AT_NEXT + TIME_WIDTH + 7, AT_SIZE = AT_TRIES + COUNT_WIDTH + 6,
	AT_FLAGS = AT_SIZE + TIME_WIDTH + 7, AT_UID = AT_FLAGS + FLAGS + 5,

	LAST_ENHANCED = 11, LAST_TEXT = 200,
	/* "last 450 4.2.1       TEXT" */
	LAST_VALUE = 3 + 1 + LAST_ENHANCED + 1 + LAST_TEXT,
	RCPT_KEY = 5,			/* "rcpt " */

	HEAD_MAX = 64 << 20
};

/* Each flag has its place; '-' stands where it is not set. */
static const char flag_letters[] = "8h.lupwt";
enum { FLAG_8BIT, FLAG_8BIT_HEADER, FLAG_DOT, FLAG_LONG, FLAG_UTF8,
	FLAG_PRISTINE, FLAG_WARNED, FLAG_TLS };

/* The order of enum rcpt_state. */
static const char states[] = "-+!x";

/* --- writing --- */

static void
flags_text(const struct queuefile *f, const struct message *m,
    char out[FLAGS + 1])
{
	const bool set[] = { m->spool.has_8bit, m->spool.has_8bit_header,
		m->spool.has_dot_line, m->spool.has_long, m->env.utf8,
		m->pristine, f->warned, m->env.requiretls };
	size_t i;

	memset(out, '-', FLAGS);
	out[FLAGS] = '\0';
	for (i = 0; i < sizeof set / sizeof *set; i++)
		if (set[i])
			out[i] = flag_letters[i];
}

/* The fixed columns of "last", without a NUL. */
static void
last_text(const struct result *r, char out[LAST_VALUE])
{
	const char *enhanced = *r->enhanced ? r->enhanced : "-";
	size_t n = strlen(r->text);
	char code[12];

	memset(out, ' ', LAST_VALUE);
	snprintf(code, sizeof code, "%03d", r->code);
	memcpy(out, code, 3);
	memcpy(out + 4, enhanced, strlen(enhanced));
	/* No character is cut in two. */
	if (n > LAST_TEXT)
		for (n = LAST_TEXT; n > 0 && (r->text[n] & 0xC0) == 0x80; )
			n--;
	memcpy(out + 4 + LAST_ENHANCED + 1, r->text, n);
}

static void
add_rcpt(struct buf *out, struct rcpt *r)
{
	char last[LAST_VALUE];

	last_text(&r->res, last);
	buf_adds(out, "last ");
	buf_add(out, last, LAST_VALUE);
	buf_adds(out, "\nrcpt ");
	r->mark = (off_t)out->len;
	buf_addf(out, "%c %s\n", states[r->state], r->addr);
	if (r->dsn_notify)
		buf_addf(out, "notify %s\n", r->dsn_notify);
	if (r->dsn_orcpt)
		buf_addf(out, "orcpt %s\n", r->dsn_orcpt);
}

void
queuefile_head(const struct queuefile *f, struct message *m, struct buf *out)
{
	char flags[FLAGS + 1];
	size_t i;

	flags_text(f, m, flags);
	buf_addf(out, "%sborn %020" PRId64 "\nnext %020" PRId64
	    "\ntries %010u\nsize %020d\nflags %s\nuid %010lu\nfrom %s\n",
	    magic, f->born, f->next, f->tries, 0, flags, f->uid, m->env.from);
	if (m->env.dsn_ret)
		buf_addf(out, "ret %s\n", m->env.dsn_ret);
	if (m->env.dsn_envid)
		buf_addf(out, "envid %s\n", m->env.dsn_envid);
	for (i = 0; i < m->identities.n; i++)
		buf_addf(out, "identity %s\n", m->identities.v[i]);
	for (i = 0; i < m->env.nrcpts; i++)
		add_rcpt(out, &m->env.rcpts[i]);
	buf_addc(out, '\n');
}

static int
put(int fd, const char *text, size_t n, off_t at)
{
	ssize_t k;

	while (n > 0) {
		k = pwrite(fd, text, n, at);
		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return -1;
		text += k;
		n -= (size_t)k;
		at += k;
	}
	return 0;
}

int
queuefile_put_size(int fd, const struct queuefile *f, const struct message *m)
{
	char flags[FLAGS + 1], text[TIME_WIDTH + 1];

	flags_text(f, m, flags);
	snprintf(text, sizeof text, "%020" PRId64, (int64_t)m->spool.size);
	return put(fd, flags, FLAGS, AT_FLAGS) < 0 ||
	    put(fd, text, TIME_WIDTH, AT_SIZE) < 0 ? -1 : 0;
}

int
queuefile_put_schedule(int fd, const struct queuefile *f,
    const struct message *m)
{
	char text[AT_SIZE], flags[FLAGS + 1];
	int n = snprintf(text, sizeof text, "%020" PRId64 "\nnext %020" PRId64
	    "\ntries %010u", f->born, f->next, f->tries);

	flags_text(f, m, flags);
	return put(fd, text, (size_t)n, AT_BORN) < 0 ||
	    put(fd, flags, FLAGS, AT_FLAGS) < 0 ? -1 : 0;
}

int
queuefile_put_last(int fd, const struct rcpt *r)
{
	char text[LAST_VALUE];

	last_text(&r->res, text);
	return put(fd, text, LAST_VALUE, r->mark - RCPT_KEY - 1 - LAST_VALUE);
}

int
queuefile_put_state(int fd, const struct rcpt *r)
{
	return put(fd, &states[r->state], 1, r->mark);
}

/* --- reading --- */

/* Behind key, `width` digits at the start of text, and the end of the line. */
static int
number(const char *text, const char *key, size_t width, uint64_t max,
    uint64_t *out)
{
	char digits[TIME_WIDTH + 1];
	size_t n = strlen(key);

	if (memcmp(text - n, key, n) != 0 || text[width] != '\n')
		return -1;
	memcpy(digits, text, width);
	digits[width] = '\0';
	return number_parse(digits, 0, max, out);
}

static bool
are_flags(const char *text)
{
	size_t i;

	if (memcmp(text - 7, "\nflags ", 7) != 0 || text[FLAGS] != '\n')
		return false;
	for (i = 0; i < FLAGS; i++)
		if (text[i] != '-' && (i >= sizeof flag_letters - 1 ||
		    text[i] != flag_letters[i]))
			return false;
	return true;
}

int
queuefile_fixed(const char *text, size_t n, struct queuefile *f, off_t *size)
{
	uint64_t born, next, tries, bytes, uid;

	if (n < QUEUEFILE_FIXED || memcmp(text, magic, sizeof magic - 1) != 0 ||
	    number(text + AT_BORN, "\nborn ", TIME_WIDTH, INT64_MAX, &born) ||
	    number(text + AT_NEXT, "\nnext ", TIME_WIDTH, INT64_MAX, &next) ||
	    number(text + AT_TRIES, "\ntries ", COUNT_WIDTH, UINT_MAX,
	    &tries) ||
	    number(text + AT_SIZE, "\nsize ", TIME_WIDTH, INT64_MAX, &bytes) ||
	    !are_flags(text + AT_FLAGS) ||
	    number(text + AT_UID, "\nuid ", COUNT_WIDTH, ULONG_MAX, &uid))
		return -1;
	*f = (struct queuefile){ .born = (int64_t)born, .next = (int64_t)next,
		.tries = (unsigned)tries, .uid = (unsigned long)uid,
		.warned = text[AT_FLAGS + FLAG_WARNED] != '-' };
	*size = (off_t)bytes;
	return 0;
}

/* All bytes up to and with the empty line; NULL with *why set. */
static char *
read_head(int fd, size_t *length, const char **why)
{
	size_t size = 4096, have = 0, seen = 0;
	char *text = NULL, *bigger, *end;
	ssize_t n;

	for (; size <= HEAD_MAX; size *= 4) {
		bigger = realloc(text, size + 1);
		*why = "out of memory";
		if (bigger == NULL)
			break;
		text = bigger;
		/* Most headers come with the first read. */
		do {
			n = pread(fd, text + have, size - have, (off_t)have);
			have += n > 0 ? (size_t)n : 0;
			text[have] = '\0';
			end = n > 0 ? strstr(text + seen, "\n\n") : NULL;
		} while (n > 0 && end == NULL && have < size);
		*why = strerror(errno);
		if (n < 0)
			break;
		if (end) {
			*length = (size_t)(end - text) + 2;
			return text;
		}
		*why = "its header has no end";
		if (have < size)
			break;
		seen = have - 1;
	}
	free(text);
	return NULL;
}

/* Does the line begin with key? Then *value is what follows. */
static bool
value_of(const char *line, const char *key, const char **value)
{
	size_t n = strlen(key);

	if (strncmp(line, key, n) != 0)
		return false;
	*value = line + n;
	return true;
}

static int
keep(char **field, const char *value)
{
	if (*field)
		return -1;
	*field = mem_dup(value, strlen(value));
	return *field ? 0 : -1;
}

/* The fixed columns of "last". */
static int
parse_last(const char *v, struct result *r)
{
	char code[4];
	uint64_t n;
	size_t len = LAST_TEXT;

	if (strlen(v) != LAST_VALUE || v[3] != ' ' || v[4 + LAST_ENHANCED] != ' ')
		return -1;
	memcpy(code, v, 3);
	code[3] = '\0';
	if (number_parse(code, 0, 999, &n) < 0)
		return -1;
	v += 4 + LAST_ENHANCED + 1;
	while (len > 0 && v[len - 1] == ' ')
		len--;
	result_set(r, OUT_TEMP, CAUSE_ROUTE, "%.*s", (int)len, v);
	result_set_enhanced(r, v - LAST_ENHANCED - 1);
	r->code = (int)n;
	return 0;
}

static int
parse_rcpt(struct message *m, const char *v, off_t at,
    const struct result *last)
{
	const char *state = *v ? strchr(states, *v) : NULL;
	struct rcpt *bigger, *r;
	size_t n = m->env.nrcpts;

	if (state == NULL || v[1] != ' ' || v[2] == '\0')
		return -1;
	/* Grown in steps that double, so that a power of two is a full array. */
	if ((n & (n - 1)) == 0) {
		bigger = realloc(m->env.rcpts, (n ? 2 * n : 1) *
		    sizeof *bigger);
		if (bigger == NULL)
			return -1;
		m->env.rcpts = bigger;
	}
	r = &m->env.rcpts[n];
	*r = (struct rcpt){ .mark = at, .res = *last,
		.state = (enum rcpt_state)(state - states) };
	if (r->state == RCPT_REFUSED || r->state == RCPT_CLOSED)
		r->res.outcome = OUT_PERM;
	m->env.nrcpts = n + 1;
	return keep(&r->addr, v + 2);
}

/* One line behind the fixed ones; `at`: its offset in the file. */
static int
parse_line(struct message *m, const char *line, off_t at, struct result *last)
{
	struct rcpt *r = m->env.nrcpts ? &m->env.rcpts[m->env.nrcpts - 1] : NULL;
	const char *v;

	if (value_of(line, "from ", &v))
		return keep(&m->env.from, v);
	if (value_of(line, "ret ", &v))
		return keep(&m->env.dsn_ret, v);
	if (value_of(line, "envid ", &v))
		return keep(&m->env.dsn_envid, v);
	if (value_of(line, "identity ", &v))
		return addr_list_add(&m->identities, v, strlen(v));
	if (value_of(line, "last ", &v))
		return parse_last(v, last);
	if (value_of(line, "rcpt ", &v))
		return parse_rcpt(m, v, at + RCPT_KEY, last);
	if (r && value_of(line, "notify ", &v))
		return keep(&r->dsn_notify, v);
	if (r && value_of(line, "orcpt ", &v))
		return keep(&r->dsn_orcpt, v);
	return -1;
}

static int
parse_lines(struct message *m, char *text, size_t n)
{
	char *line = text + QUEUEFILE_FIXED, *end;
	struct result last = { 0 };
	bool below_last = false;
	const char *v;

	/* A NUL, or a control byte, would be read as something else. */
	for (end = line; end < text + n; end++)
		if ((unsigned char)*end < ' ' && *end != '\n')
			return -1;
	for (; line < text + n - 1; line = end + 1) {
		end = strchr(line, '\n');
		*end = '\0';
		/* queuefile_put_last trusts that `last` stands right above. */
		if (value_of(line, "rcpt ", &v) != below_last ||
		    parse_line(m, line, line - text, &last) < 0)
			return -1;
		below_last = value_of(line, "last ", &v);
	}
	return m->env.from && m->env.nrcpts > 0 && !below_last ? 0 : -1;
}

static void
take_flags(struct message *m, const char *flags)
{
	m->spool.has_8bit = flags[FLAG_8BIT] != '-';
	m->spool.has_8bit_header = flags[FLAG_8BIT_HEADER] != '-';
	m->spool.has_dot_line = flags[FLAG_DOT] != '-';
	m->spool.has_long = flags[FLAG_LONG] != '-';
	m->env.utf8 = flags[FLAG_UTF8] != '-';
	m->pristine = flags[FLAG_PRISTINE] != '-';
	m->env.requiretls = flags[FLAG_TLS] != '-';
}

int
queuefile_read(int fd, struct queuefile *f, struct message *m,
    struct result *res)
{
	const char *why;
	struct stat st;
	size_t n;
	off_t size = 0;
	char *text = read_head(fd, &n, &why);
	int rc = -1;

	if (text)
		why = "it is damaged";
	if (text && strncmp(text, magic, sizeof "sendroute queue") == 0 &&
	    strncmp(text, magic, sizeof magic - 1) != 0)
		why = "another version of sendroute wrote it";
	else if (text && queuefile_fixed(text, n, f, &size) == 0) {
		take_flags(m, text + AT_FLAGS);
		rc = parse_lines(m, text, n);
	}
	if (rc == 0 && (fstat(fd, &st) < 0 || st.st_size - (off_t)n < size)) {
		why = "it is shorter than its size says";
		rc = -1;
	}
	free(text);
	if (rc < 0)
		return result_fail(res, EXIT_IO, "the queue file cannot be used: "
		    "%s", why);
	m->born = (time_t)f->born;
	m->spool.fd = fd;
	m->spool.start = (off_t)n;
	m->spool.size = size;
	return 0;
}
