#include "lib/mail/mime.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/mail/encode.h"
#include "lib/mail/idn.h"
#include "lib/mail/lines.h"

enum {
	UTF8_MAX = 4,
	BLOCK = ENCODE_BASE64 * 144	/* so that base64 has no padding inside */
};

/* In the order of the lists below. */
enum name {
	NAME_TYPE, NAME_DISPOSITION, NAME_ENCODING, NAME_VERSION, NAME_DKIM,
	NAME_FROM = NAME_DKIM + 5, NAME_SUBJECT = NAME_FROM + 6, NAME_OTHER = NAME_SUBJECT + 6
};
enum type { TYPE_SIGNED, TYPE_COMPOSITE = TYPE_SIGNED + 3 };
enum encoding {
	ENCODING_7BIT, ENCODING_8BIT, ENCODING_BINARY, ENCODING_QP,
	ENCODING_BASE64, ENCODING_OTHER
};

static const char names[] = "Content-Type\0" "Content-Disposition\0"
    "Content-Transfer-Encoding\0" "MIME-Version\0" "DKIM-Signature\0"
    "Received\0" "Message-ID\0" "References\0" "In-Reply-To\0"
    "From\0" "To\0" "Cc\0" "Bcc\0" "Reply-To\0" "Sender\0"
    "Subject\0" "Comments\0" "Keywords\0" "Content-Description\0"
    "Organization\0" "Thread-Topic\0";
static const char types[] = "multipart/signed\0" "application/pkcs7-mime\0"
    "application/x-pkcs7-mime\0" "multipart/\0" "message/\0";
static const char encodings[] = "7bit\0" "8bit\0" "binary\0"
    "quoted-printable\0" "base64\0";

/* What becomes of the body. */
enum how { AS_IT_IS, FOLDED, QP, QP_AGAIN, BASE64, BASE64_AGAIN };

struct adapter {
	const struct spool *in;
	const struct mime_peer *peer;

	/* What the header says. */
	bool is_signed, composite, has_type, has_version, header_8bit;
	bool header_long, is_text, has_charset;
	int encoding;
	off_t body;		/* where the body begins */

	/* What the body is like. */
	bool is_long, is_8bit, not_utf8;
	off_t escapes;		/* bytes that quoted-printable writes as =XX */

	/* What is to be done. */
	enum how how;
	bool add_mime, add_charset, encode_header;

	off_t next;		/* of the spool, behind the block */
	size_t pos, len;	/* in the block */
	struct buf field;
	struct encoder e;
	char block[BLOCK];
};

/*
 * The block is filled, but for the last. false: the end, or a failure, which is
 * kept in the encoder.
 */
static bool
fill(struct adapter *a)
{
	ssize_t n = 1;

	a->pos = a->len = 0;
	while (a->len < BLOCK && n != 0 && !a->e.failed) {
		n = spool_read(a->in, a->block + a->len, BLOCK - a->len,
		    a->next);
		if (n < 0) {
			a->e.failed = true;
			result_fail(a->e.res, EXIT_IO, "the stored message "
			    "cannot be read: %s", strerror(errno));
			break;
		}
		a->len += (size_t)n;
		a->next += n;
	}
	return a->len > 0 && !a->e.failed;
}

static void
seek(struct adapter *a, off_t at)
{
	a->next = at;
	a->pos = a->len = 0;
}

static void
check_memory(struct adapter *a)
{
	if (a->field.failed && !a->e.failed) {
		a->e.failed = true;
		result_fail(a->e.res, EXIT_OS, "out of memory");
	}
}

/* Read one field with its folding. false: the blank line, the end, a failure. */
static bool
next_field(struct adapter *a)
{
	struct buf *f = &a->field;
	const char *p, *lf;
	size_t k;

	buf_reset(f);
	while (a->pos < a->len || fill(a)) {
		p = a->block + a->pos;
		if (f->len > 0 && f->p[f->len - 1] == '\n' && *p != ' ' &&
		    *p != '\t')
			return true;
		lf = memchr(p, '\n', a->len - a->pos);
		k = lf ? (size_t)(lf - p) + 1 : a->len - a->pos;
		buf_add(f, p, k);
		a->pos += k;
		check_memory(a);
		if (f->len == 2 && lf != NULL)
			return false;
	}
	return f->len > 0 && !a->e.failed;
}

/* Which string of the list does p begin with? If none, their number. */
static int
find(const char *list, const char *p, size_t n, bool whole)
{
	size_t len;
	int i;

	for (i = 0; (len = strlen(list)) > 0; i++, list += len + 1)
		if ((whole ? n == len : n >= len) && mem_iequal(list, p, len))
			break;
	return i;
}

/* The name of the field at hand, and where its value begins. */
static int
name_of(const struct adapter *a, size_t *value)
{
	const char *p = a->field.p;
	const char *colon = memchr(p, ':', a->field.len);
	size_t n = colon ? (size_t)(colon - p) : 0;

	*value = n + 1;
	while (n > 0 && (p[n - 1] == ' ' || p[n - 1] == '\t'))
		n--;
	if (n > 2 && mem_iequal(p, "X-", 2))
		return NAME_SUBJECT;
	if (n > 7 && mem_iequal(p, "Resent-", 7)) {
		p += 7;
		n -= 7;
	}
	return find(names, p, n, true);
}

/* What the value of the field at hand begins with. */
static int
value_of(const struct adapter *a, size_t value, const char *list)
{
	const char *p = a->field.p;

	while (value < a->field.len && p[value] != '\0' &&
	    strchr(" \t\r\n", p[value]) != NULL)
		value++;
	return find(list, p + value, a->field.len - value, false);
}

static bool
is_long_line(const char *p, size_t n)
{
	size_t column = 0;

	for (; n > 0; n--)
		if (*p++ == '\n')
			column = 0;
		else if (++column > LINE_MAX_BYTES + 1)
			return true;
	return false;
}

static bool
holds(const char *p, size_t n, const char *word)
{
	size_t k = strlen(word);

	for (; n >= k; n--, p++)
		if (mem_iequal(p, word, k))
			return true;
	return false;
}

static void
look_at_header(struct adapter *a)
{
	size_t value;
	int type;

	while (next_field(a)) {
		a->header_8bit |= !mem_is_ascii(a->field.p, a->field.len);
		a->header_long |= is_long_line(a->field.p, a->field.len);
		switch (name_of(a, &value)) {
		case NAME_TYPE:
			type = value_of(a, value, types);
			a->has_type = true;
			a->is_text = value_of(a, value, "text/\0") == 0;
			a->has_charset = holds(a->field.p, a->field.len,
			    "charset");
			a->is_signed |= type < TYPE_COMPOSITE;
			a->composite |= type < TYPE_COMPOSITE + 2;
			break;
		case NAME_ENCODING:
			a->encoding = value_of(a, value, encodings);
			break;
		case NAME_VERSION:
			a->has_version = true;
			break;
		case NAME_DKIM:
			a->is_signed = true;
			break;
		default:
			break;
		}
	}
	a->body = a->next - (off_t)(a->len - a->pos);
}

static void
look_at_body(struct adapter *a)
{
	size_t column = 0, i, k;
	unsigned cp;
	const char *p;

	seek(a, a->body);
	while (fill(a)) {
		for (i = 0; i < a->len; i += k) {
			p = a->block + i;
			k = *p & 0x80 ? utf8_next(p, a->block + a->len, &cp) :
			    1;
			if (k == 0 && i > 0 && a->len - i < UTF8_MAX) {
				/* Perhaps cut in two: see it in one piece. */
				a->next -= (off_t)(a->len - i);
				break;
			}
			a->not_utf8 |= k == 0;
			k = k > 0 ? k : 1;
			column = *p == '\n' ? 0 : column + k;
			a->is_8bit |= (*p & 0x80) != 0;
			a->is_long |= column > LINE_MAX_BYTES + (*p == '\r');
			if (*p != '\r' && *p != '\n' &&
			    encode_escapes((unsigned char)*p))
				a->escapes += (off_t)k;
		}
	}
}

/* What has to be done; false: nothing. */
static bool
decide(struct adapter *a)
{
	bool encode = a->is_long || (a->is_8bit && !a->peer->eightbit);

	if (a->composite || a->encoding == ENCODING_OTHER)
		a->how = a->is_long ? FOLDED : AS_IT_IS;
	else if (a->encoding < ENCODING_QP) {
		/* Three for one against four for three. */
		if (encode)
			a->how = 6 * a->escapes > a->in->size - a->body ?
			    BASE64 : QP;
		a->add_charset = a->is_8bit && a->is_text && !a->has_charset;
		a->add_mime = encode || a->add_charset ||
		    (a->is_8bit && !a->has_type);
	} else if (a->encoding == ENCODING_QP)
		a->how = encode ? QP_AGAIN : AS_IT_IS;
	else
		a->how = a->is_long ? BASE64_AGAIN : AS_IT_IS;
	a->encode_header = a->header_8bit && !a->peer->utf8;
	return a->how != AS_IT_IS || a->add_mime || a->encode_header ||
	    a->header_long;
}

static const char *
charset(const struct adapter *a)
{
	return !a->is_8bit ? "us-ascii" : a->not_utf8 ? "unknown-8bit" : "utf-8";
}

static void
write_field(struct adapter *a, int name, size_t value)
{
	struct buf *f = &a->field;
	char *p;
	size_t n;

	if (name == NAME_TYPE && a->add_charset) {
		f->len -= 2;
		buf_addf(f, ";%s charset=%s\r\n", f->len > 900 ? "\r\n" : "",
		    charset(a));
		check_memory(a);
	}
	p = f->p;
	n = f->len;
	if (!a->encode_header || mem_is_ascii(p + value, n - value) ||
	    (name > NAME_DISPOSITION && name < NAME_FROM))
		encode_fold(&a->e, p, n, LINE_MAX_BYTES, "\r\n ");
	else
		encode_field(&a->e, p, value, n, name < NAME_FROM ?
		    ENCODE_PARAMETERS : name < NAME_SUBJECT ?
		    ENCODE_ADDRESSES : ENCODE_TEXT);
}

static void
write_header(struct adapter *a)
{
	static const char type[] = "Content-Type: text/plain; charset=";
	const char *encoding = a->how == QP ? "quoted-printable" :
	    a->how == BASE64 ? "base64" : "8bit";
	size_t value;
	int name;

	seek(a, 0);
	while (next_field(a)) {
		name = name_of(a, &value);
		if (name != NAME_ENCODING || !a->add_mime)
			write_field(a, name, value);
	}
	if (a->add_mime) {
		if (!a->has_version)
			encode_string(&a->e, "MIME-Version: 1.0\r\n");
		if (!a->has_type) {
			encode_string(&a->e, type);
			encode_string(&a->e, charset(a));
			encode_string(&a->e, "\r\n");
		}
		encode_string(&a->e, "Content-Transfer-Encoding: ");
		encode_string(&a->e, encoding);
		encode_string(&a->e, "\r\n");
	}
	encode_string(&a->e, "\r\n");
}

static void
write_body(struct adapter *a)
{
	struct encoder *e = &a->e;

	seek(a, a->body);
	while (fill(a))
		switch (a->how) {
		case AS_IT_IS:
			encode_raw(e, a->block, a->len);
			break;
		case FOLDED:
			encode_fold(e, a->block, a->len, LINE_MAX_BYTES,
			    "\r\n ");
			break;
		case BASE64_AGAIN:
			encode_fold(e, a->block, a->len, ENCODE_LINE, "\r\n");
			break;
		case BASE64:
			encode_base64(e, a->block, a->len);
			break;
		case QP:
		case QP_AGAIN:
			encode_qp(e, a->block, a->len, a->how == QP_AGAIN);
			break;
		}
	encode_flush(e);
}

static int
write_out(struct adapter *a, const char *tmpdir, struct spool *out)
{
	if (spool_open(out, tmpdir, a->e.res) < 0)
		return -1;
	a->e.to = out;
	write_header(a);
	out->has_8bit_header = a->e.has_8bit;
	write_body(a);
	if (a->e.failed || spool_finish(out, a->e.res) < 0) {
		spool_close(out);
		return -1;
	}
	out->has_8bit = a->e.has_8bit;
	/* Perhaps: lines were broken, and to say so is always safe. */
	out->has_dot_line = true;
	return 1;
}

static int
adapt(struct adapter *a, const char *tmpdir, struct spool *out)
{
	look_at_header(a);
	if (a->is_signed)
		return a->e.failed ? -1 : 0;
	if (a->in->has_long || !a->peer->eightbit || !a->has_type ||
	    (a->is_text && !a->has_charset))
		look_at_body(a);
	if (a->e.failed)
		return -1;
	return decide(a) ? write_out(a, tmpdir, out) : 0;
}

int
mime_adapt(const struct spool *in, const struct mime_peer *peer,
    const char *tmpdir, struct spool *out, struct result *res)
{
	struct adapter *a;
	int rc;

	if (!in->has_8bit && !in->has_long)
		return 0;
	a = calloc(1, sizeof *a);
	if (a == NULL)
		return result_fail(res, EXIT_OS, "out of memory");
	a->in = in;
	a->peer = peer;
	a->e.res = res;
	rc = adapt(a, tmpdir, out);
	buf_free(&a->field);
	free(a);
	return rc;
}

const struct message *
mime_message(const struct message *m, const struct mime_peer *peer,
    struct message *adapted, struct result *res)
{
	int rc;

	*adapted = *m;
	adapted->spool = (struct spool){ .fd = -1 };
	if (m->pristine)
		return m;
	rc = mime_adapt(&m->spool, peer, m->tmpdir, &adapted->spool, res);
	if (rc < 0)
		return NULL;
	return rc > 0 ? adapted : m;
}

void
mime_done(struct message *adapted)
{
	spool_close(&adapted->spool);
}
