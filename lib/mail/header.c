#include "lib/mail/header.h"

#include <string.h>

#include "lib/mail/added.h"
#include "lib/mail/lines.h"
#include "lib/mail/spool.h"

enum { LINE_END = 2 };		/* CRLF, with which every field ends */

enum field_kind {
	FIELD_OTHER, FIELD_DROP, FIELD_RETURN_PATH, FIELD_BCC, FIELD_RCPT, FIELD_FROM,
	FIELD_SENDER, FIELD_REPLY_TO, FIELD_DATE, FIELD_MESSAGE_ID,
	FIELD_DKIM, FIELD_CONTENT_TYPE, FIELD_TRACE
};

struct field_name {
	const char *name;
	enum field_kind kind;
	bool resent;
};

/* The index of a resent name is its bit in header.resent_names. */
static const struct field_name names[] = {
	{ "Resent-To", FIELD_RCPT, true },
	{ "Resent-Cc", FIELD_RCPT, true },
	{ "Resent-Bcc", FIELD_BCC, true },
	{ "Resent-From", FIELD_REPLY_TO, true },
	{ "Resent-Sender", FIELD_REPLY_TO, true },
	{ "Resent-Date", FIELD_OTHER, true },
	{ "Resent-Message-ID", FIELD_OTHER, true },
	{ "To", FIELD_RCPT, false },
	{ "Cc", FIELD_RCPT, false },
	{ "Bcc", FIELD_BCC, false },
	{ "From", FIELD_FROM, false },
	{ "Sender", FIELD_SENDER, false },
	{ "Reply-To", FIELD_REPLY_TO, false },
	{ "Date", FIELD_DATE, false },
	{ "Message-ID", FIELD_MESSAGE_ID, false },
	{ "Return-Path", FIELD_RETURN_PATH, false },
	{ "Content-Length", FIELD_DROP, false },
	{ "Received", FIELD_TRACE, false },
	{ "DKIM-Signature", FIELD_DKIM, false },
	{ "Content-Type", FIELD_CONTENT_TYPE, false }
};

void
header_init(struct header *h, const struct header_policy *policy,
    int (*sink)(void *, const void *, size_t, struct result *), void *ctx)
{
	memset(h, 0, sizeof *h);
	h->policy = policy;
	h->sink = sink;
	h->ctx = ctx;
	h->first = true;
}

void
header_free(struct header *h)
{
	addr_list_free(&h->identities);
	addr_list_free(&h->rcpts);
	addr_list_free(&h->plain);
	addr_list_free(&h->resent);
	buf_free(&h->line);
	buf_free(&h->field);
	buf_free(&h->all);
	buf_free(&h->old_from);
	buf_free(&h->private);
}

static int
no_memory(struct result *res)
{
	return result_fail(res, EXIT_OS, "out of memory");
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/*
 * Length of the name that a field begins with (RFC 5322 section 2.2; blanks
 * before the colon are the obsolete syntax of 4.5), *colon behind it. 0: none.
 */
static size_t
field_name_length(const char *p, size_t n, size_t *colon)
{
	size_t i = 0, len;

	while (i < n && p[i] > ' ' && p[i] < 0x7F && p[i] != ':')
		i++;
	len = i;
	while (i < n && is_blank(p[i]))
		i++;
	if (len == 0 || i == n || p[i] != ':')
		return 0;
	*colon = i + 1;
	return len;
}

static const struct field_name *
known_field(const char *p, size_t len)
{
	size_t i;

	for (i = 0; i < sizeof names / sizeof names[0]; i++)
		if (strlen(names[i].name) == len &&
		    mem_iequal(names[i].name, p, len))
			return &names[i];
	return NULL;
}

/*
 * Where to break a line of which `room` bytes fit: before the last blank that
 * leaves something on the line, else anywhere.
 */
static size_t
break_point(const char *p, size_t room)
{
	size_t at = room;

	while (at > room / 2 && !is_blank(p[at]))
		at--;
	return is_blank(p[at]) ? at : room;
}

/* Write one line with its CRLF, folded when it is too long. */
static int
put_line(struct header *h, const char *p, size_t n, struct result *res)
{
	bool high = !mem_is_ascii(p, n);
	/* 8-bit text may yet be encoded, without a blank inside: mime.c folds. */
	bool may_fold = !h->policy->pristine && !h->is_signed && !high;
	size_t room = LINE_MAX_BYTES, at;

	h->has_8bit |= high;

	while (may_fold && n > room + LINE_END) {
		at = break_point(p, room);
		if (h->sink(h->ctx, p, at, res) < 0 ||
		    h->sink(h->ctx, "\r\n", 2, res) < 0)
			return -1;
		p += at;
		n -= at;
		/* Without a blank to fold at, one is put in. */
		room = is_blank(*p) ? LINE_MAX_BYTES : LINE_MAX_BYTES - 1;
		if (!is_blank(*p) && h->sink(h->ctx, " ", 1, res) < 0)
			return -1;
	}
	return h->sink(h->ctx, p, n, res);
}

static int
put_field(struct header *h, const char *p, size_t n, struct result *res)
{
	const char *lf;
	size_t k;

	while (n > 0) {
		lf = memchr(p, '\n', n);
		k = lf ? (size_t)(lf - p) + 1 : n;
		if (put_line(h, p, k, res) < 0)
			return -1;
		p += k;
		n -= k;
	}
	return 0;
}

/*
 * The first Resent block alone counts (RFC 5322 section 3.6.6): it ends where one
 * of its names comes a second time, or at a trace field.
 */
static bool
in_first_resent_block(struct header *h, const struct field_name *name)
{
	unsigned bit = 1u << (name - names);

	h->seen.resent = true;
	if (h->resent_names & bit)
		h->resent_over = true;
	h->resent_names |= bit;
	return !h->resent_over;
}

/* Recipients of a To, Cc or Bcc field, or of their Resent kin. */
static int
take_rcpts(struct header *h, const struct field_name *name, const char *value,
    size_t n, struct result *res)
{
	struct addr_list *list = name->resent ? &h->resent : &h->plain;
	struct result *why = name->resent ? res : &h->plain_error;

	if (!h->policy->take_rcpts || (name->resent && h->resent_over) ||
	    (!name->resent && (h->seen.resent || h->plain_error.exit != 0)))
		return 0;
	/* A bad To counts only when no Resent block takes its place. */
	if (address_parse(value, n - LINE_END, h->policy->domain, list,
	    why) < 0 && name->resent)
		return -1;
	return 0;
}

/* Multipart/signed and S/MIME must reach the recipient as they are. */
static bool
is_signed_type(const char *value, size_t n)
{
	static const char *const types[] = { "multipart/signed",
		"application/pkcs7-mime", "application/x-pkcs7-mime" };
	size_t i, len;

	while (n > 0 && (is_blank(*value) || *value == '\r' ||
	    *value == '\n')) {
		value++;
		n--;
	}
	for (i = 0; i < sizeof types / sizeof types[0]; i++) {
		len = strlen(types[i]);
		if (n >= len && mem_iequal(value, types[i], len))
			return true;
	}
	return false;
}

/* Write a field of addresses, its bare names completed. */
static int
put_addresses(struct header *h, size_t colon, struct result *res)
{
	struct buf out = { 0 };
	int rc;

	buf_add(&out, h->field.p, colon);
	if (h->policy->pristine || h->is_signed ||
	    address_complete(h->field.p + colon, h->field.len - colon,
	    h->policy->domain, &out) <= 0) {
		buf_free(&out);
		return put_field(h, h->field.p, h->field.len, res);
	}
	rc = out.failed ? no_memory(res) : put_field(h, out.p, out.len, res);
	buf_free(&out);
	return rc;
}

/*
 * From with override-from: the address is replaced, the name kept; the old text
 * is kept for a Reply-To.
 */
static int
put_overridden(struct header *h, size_t colon, struct result *res)
{
	const char *value = h->field.p + colon;
	size_t n = h->field.len - colon, start, end;
	struct buf out = { 0 };
	int rc;

	if (h->old_from.len == 0 && address_complete(value, n,
	    h->policy->domain, &h->old_from) <= 0) {
		buf_reset(&h->old_from);
		buf_add(&h->old_from, value, n);
	}
	buf_adds(&out, "From:");
	if (address_find_spec(value, n, &start, &end)) {
		buf_add(&out, value, start);
		buf_adds(&out, h->policy->override_from);
		buf_add(&out, value + end, n - end);
	} else
		buf_addf(&out, " %s\r\n", h->policy->override_from);
	rc = out.failed ? no_memory(res) : put_field(h, out.p, out.len, res);
	buf_free(&out);
	return rc;
}

/* The mailboxes of From and Sender decide over the route. */
static int
take_identities(struct header *h, const char *value, size_t n,
    struct result *res)
{
	if (address_parse(value, n - LINE_END, h->policy->domain,
	    &h->identities, res) == 0)
		return 0;
	/*
	 * A name alone is poor but harmless: it matches no list but "*". Rather
	 * than guess at anything more, the message is refused.
	 */
	if (res->exit == EXIT_OS || (!h->policy->pristine &&
	    memchr(value, '@', n)))
		return -1;
	return addr_list_add(&h->identities, "", 0) < 0 ? no_memory(res) : 0;
}

static int
take_from(struct header *h, size_t colon, struct result *res)
{
	size_t before = h->identities.n;
	const char *override = h->policy->override_from;

	if (take_identities(h, h->field.p + colon, h->field.len - colon,
	    res) < 0)
		return -1;
	if (h->policy->pristine)
		return put_field(h, h->field.p, h->field.len, res);
	if (h->identities.n == before)
		return 0;	/* holds no mailbox: as good as missing */
	h->seen.from = true;
	if (override == NULL)
		return put_addresses(h, colon, res);
	while (h->identities.n > before)
		addr_list_pop(&h->identities);
	if (addr_list_add(&h->identities, override, strlen(override)) < 0)
		return no_memory(res);
	return put_overridden(h, colon, res);
}

/* One whole field, by its kind. */
static int
known(struct header *h, const struct field_name *name, size_t colon,
    struct result *res)
{
	const char *value = h->field.p + colon;
	size_t n = h->field.len - colon;

	switch (name->kind) {
	case FIELD_BCC:
		if (take_rcpts(h, name, value, n, res) < 0)
			return -1;
		/* Never leaves this machine; qmail's message is kept. */
		return h->policy->pristine ?
		    put_field(h, h->field.p, h->field.len, res) : 0;
	case FIELD_RCPT:
		h->seen.recipient = true;
		return take_rcpts(h, name, value, n, res) < 0 ? -1 :
		    put_addresses(h, colon, res);
	case FIELD_FROM:
		return take_from(h, colon, res);
	case FIELD_SENDER:
		return take_identities(h, value, n, res) < 0 ? -1 :
		    put_addresses(h, colon, res);
	case FIELD_REPLY_TO:
		h->seen.reply_to |= !name->resent;
		return put_addresses(h, colon, res);
	case FIELD_DROP:
	case FIELD_RETURN_PATH:
		if (!h->policy->pristine)
			return 0;
		break;
	case FIELD_DATE:
		h->seen.date = true;
		break;
	case FIELD_MESSAGE_ID:
		h->seen.message_id = true;
		break;
	case FIELD_DKIM:
	case FIELD_CONTENT_TYPE:
	case FIELD_TRACE:
		h->resent_over |= h->seen.resent;
		break;
	case FIELD_OTHER:
		break;
	}
	return put_field(h, h->field.p, h->field.len, res);
}

/*
 * The collected field, if any, is complete. It waits for the others: whether the
 * message is signed, and must not be altered, may be said by the last.
 */
static int
end_field(struct header *h, struct result *res)
{
	const struct field_name *name;
	size_t colon, len;

	if (h->field.len == 0)
		return 0;
	len = field_name_length(h->field.p, h->field.len, &colon);
	name = known_field(h->field.p, len);
	if (name && (name->kind == FIELD_DKIM ||
	    (name->kind == FIELD_CONTENT_TYPE && is_signed_type(
	    h->field.p + colon, h->field.len - colon))))
		h->is_signed = true;
	buf_add(&h->all, h->field.p, h->field.len);
	buf_reset(&h->field);
	return h->all.failed ? no_memory(res) : 0;
}

/* Length of the field at p: up to a line end that no blank follows. */
static size_t
field_length(const char *p, size_t n)
{
	const char *lf = p;

	do {
		lf = memchr(lf, '\n', n - (size_t)(lf - p));
		if (lf == NULL)
			return n;
		lf++;
	} while (lf < p + n && is_blank(*lf));
	return (size_t)(lf - p);
}

/* In qmail's message a field is where it was: n bytes from `at`. */
static void
note_private(struct header *h, const struct field_name *name, size_t at,
    size_t n)
{
	struct spool_span span = { (off_t)at, (off_t)n };

	if (name && (name->kind == FIELD_BCC ||
	    name->kind == FIELD_RETURN_PATH))
		buf_add(&h->private, &span, sizeof span);
}

/* All fields are known: each is dropped, changed or handed on. */
static int
put_fields(struct header *h, struct result *res)
{
	const struct field_name *name;
	size_t at, n, colon, len;
	int rc = 0;

	for (at = 0; rc == 0 && at < h->all.len; at += n) {
		n = field_length(h->all.p + at, h->all.len - at);
		buf_reset(&h->field);
		buf_add(&h->field, h->all.p + at, n);
		if (h->field.failed)
			return no_memory(res);
		len = field_name_length(h->field.p, n, &colon);
		name = known_field(h->field.p, len);
		if (name && name->resent)
			in_first_resent_block(h, name);
		if (h->policy->pristine)
			note_private(h, name, at, n);
		rc = name ? known(h, name, colon, res) :
		    put_field(h, h->field.p, n, res);
	}
	buf_free(&h->all);
	buf_reset(&h->field);
	return h->private.failed ? no_memory(res) : rc;
}

/* Everything that the header must have and has not. */
static int
add_missing(struct header *h, struct result *res)
{
	const struct header_policy *p = h->policy;
	const char *from = p->override_from ? p->override_from : p->from;
	struct buf out = { 0 };
	int rc;

	if (p->pristine)
		return 0;
	if (!h->seen.date)
		added_date(&out, p->now);
	if (!h->seen.message_id)
		added_message_id(&out, p->now, p->hostname);
	if (!h->seen.from) {
		added_from(&out, from, p->full_name);
		if (addr_list_add(&h->identities, from, strlen(from)) < 0)
			out.failed = true;
	}
	if (h->old_from.len > 0 && !h->seen.reply_to) {
		buf_adds(&out, "Reply-To:");
		buf_add(&out, h->old_from.p, h->old_from.len);
	}
	if (!h->seen.recipient)
		buf_adds(&out, "To: undisclosed-recipients:;\r\n");
	rc = out.failed ? no_memory(res) : put_field(h, out.p, out.len, res);
	buf_free(&out);
	return rc;
}

/* The header is complete: what is missing, the blank line, the recipients. */
static int
end_header(struct header *h, struct result *res)
{
	struct addr_list *list;

	if (end_field(h, res) < 0 || put_fields(h, res) < 0 ||
	    add_missing(h, res) < 0)
		return -1;
	h->done = true;
	list = h->seen.resent ? &h->resent : &h->plain;
	if (!h->seen.resent && h->plain_error.exit != 0) {
		*res = h->plain_error;
		return -1;
	}
	h->rcpts = *list;
	*list = (struct addr_list){ 0 };
	return h->sink(h->ctx, "\r\n", 2, res);
}

/* The line can be no header line: the body begins with it. */
static int
begin_body(struct header *h, struct result *res)
{
	int rc;

	if (h->policy->pristine) {
		if (end_field(h, res) < 0 || put_fields(h, res) < 0)
			return -1;
		h->done = true;
	} else if (end_header(h, res) < 0)
		return -1;
	rc = h->sink(h->ctx, h->line.p, h->line.len, res);
	buf_reset(&h->line);
	return rc;
}

/* The separator of an mbox; "From :" is a field with obsolete blanks. */
static bool
is_mbox_line(const char *p, size_t n)
{
	size_t colon;

	if (n >= 5 && memcmp(p, "From ", 5) == 0)
		return field_name_length(p, n, &colon) == 0;
	return n >= 6 && memcmp(p, ">From ", 6) == 0;
}

/*
 * Can the line so far not become a header line any more? A name ends within
 * LINE_MAX_BYTES or is none.
 */
static bool
cannot_be_header(const struct header *h)
{
	const char *p = h->line.p;
	size_t n = h->line.len, colon, i = 0;
	bool whole = n > 0 && p[n - 1] == '\n';

	if (is_blank(*p))
		return h->field.len == 0;
	if (field_name_length(p, n, &colon) > 0)
		return false;
	if (whole || n >= LINE_MAX_BYTES)
		return true;
	while (i < n && p[i] > ' ' && p[i] < 0x7F && p[i] != ':')
		i++;
	while (i < n && is_blank(p[i]))
		i++;
	return i < n;
}

static int
whole_line(struct header *h, struct result *res)
{
	const char *p = h->line.p;
	size_t n = h->line.len;
	bool first = h->first;

	h->first = false;
	if (n == 2) {
		buf_reset(&h->line);
		return end_header(h, res);
	}
	if (first && !h->policy->pristine && is_mbox_line(p, n)) {
		buf_reset(&h->line);
		return 0;
	}
	if (!is_blank(*p) && end_field(h, res) < 0)
		return -1;
	buf_add(&h->field, p, n);
	buf_reset(&h->line);
	return h->field.failed ? no_memory(res) : 0;
}

int
header_add(struct header *h, const void *data, size_t n, struct result *res)
{
	bool whole;

	if (h->done)
		return h->sink(h->ctx, data, n, res);
	h->total += n;
	buf_add(&h->line, data, n);
	if (h->line.failed)
		return no_memory(res);
	whole = h->line.p[h->line.len - 1] == '\n';
	if (h->total > HEADER_MAX)
		return result_fail(res, EXIT_DATA,
		    "the header is larger than 256 KiB");
	if (h->first && is_mbox_line(h->line.p, h->line.len) &&
	    !h->policy->pristine)
		return whole ? whole_line(h, res) : 0;
	if (h->line.len == 2 && whole)
		return whole_line(h, res);
	if (h->line.len > 2 && cannot_be_header(h))
		return begin_body(h, res);
	return whole ? whole_line(h, res) : 0;
}

int
header_finish(struct header *h, struct result *res)
{
	if (h->done)
		return 0;
	if (h->line.len > 0)
		return begin_body(h, res);
	h->done = true;
	if (!h->policy->pristine)
		return end_header(h, res);
	return end_field(h, res) < 0 ? -1 : put_fields(h, res);
}
