#include "lib/store/bounce.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "bearssl-glue.h"
#include "lib/base/base64.h"
#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/mail/idn.h"

enum {
	BLOCK = 8192,
	FOLD_AT = 78,
	LINE_SIZE = 990,	/* even unfolded below 998; the rest is cut */
	WHOLE_MAX = 65536	/* without RET, larger mail is not returned */
};

struct report {
	const struct bounce *b;
	struct spool *out;
	struct result *res;
	bool failed;		/* res says why; nothing more is written */
	bool whole;		/* the body is returned, too */
	off_t end;		/* of what is returned; -1: it cannot be read */
	bool original_8bit;	/* what is returned is */
	bool global;		/* RFC 6533: UTF-8 wherever we write */
	char random[33];
};

/* --- writing --- */

static void
put(struct report *r, const char *p, size_t n)
{
	if (r->failed)
		return;
	if (!mem_is_ascii(p, n))
		r->out->has_8bit = true;
	if (spool_add(r->out, p, n, r->res) != 0)
		r->failed = true;
}

static void
blank(struct report *r)
{
	put(r, "\r\n", 2);
}

/* Controls, and what is no UTF-8 or may not be here, become '?' in place. */
static void
clean(char *s, bool utf8)
{
	const char *end = s + strlen(s);
	char *to = s;
	unsigned cp;
	size_t k;

	for (; s < end; s += k) {
		k = utf8_next(s, end, &cp);
		if (k > 0 && cp >= ' ' &&
		    (cp < 0x7F || (utf8 && cp >= 0xA0))) {
			memmove(to, s, k);
			to += k;
			continue;
		}
		*to++ = '?';
		k += k == 0;
	}
	*to = '\0';
}

/*
 * One line of our own, clean and folded at blanks. A line that is indented (by
 * four blanks) goes on so; else what follows is a header field's continuation.
 */
static void __attribute__((format(printf, 2, 3)))
line(struct report *r, const char *fmt, ...)
{
	char text[LINE_SIZE];
	const char *p = text;
	size_t column = 0, blanks, n;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	clean(text, r->global);
	for (; p[blanks = strspn(p, " ")]; p += n) {
		n = blanks + strcspn(p + blanks, " ");
		if (column > 0 && column + n > FOLD_AT) {
			column = *text == ' ' ? 3 : 0;
			put(r, "\r\n   ", 2 + column);
		}
		put(r, p, n);
		column += n;
	}
	blank(r);
}

static void
dated(struct report *r, const char *name, time_t t)
{
	char date[CLOCK_RFC5322_SIZE];

	clock_rfc5322(date, t);
	line(r, "%s: %s", name, date);
}

static void
encoding(struct report *r, bool is_8bit)
{
	if (is_8bit)
		line(r, "Content-Transfer-Encoding: 8bit");
}

/* A field of xtext (+XX: RFC 3461 section 4); none when that is not given. */
static void
decoded(struct report *r, const char *name, const char *xtext)
{
	char text[LINE_SIZE], pair[3] = "";
	const char *p = xtext;
	unsigned char byte;
	size_t n;

	if (xtext == NULL)
		return;
	for (n = 0; *p && n < sizeof text - 1; p++) {
		byte = (unsigned char)*p;
		if (*p == '+' && p[1] != '\0') {
			memcpy(pair, p + 1, 2);
			if (hex_decode(&byte, 1, pair) == 0)
				p += 2;
		}
		/* A NUL would end it: as every control it becomes '?'. */
		text[n++] = byte ? (char)byte : '?';
	}
	text[n] = '\0';
	line(r, "%s: %s", name, text);
}

/* The line before ends the part, or the header, that was written last. */
static void
part(struct report *r, const char *type, bool is_8bit)
{
	blank(r);
	line(r, "--=_%s", r->random);
	line(r, "Content-Type: %s", type);
	encoding(r, is_8bit);
	blank(r);
}

/* --- what is known of a recipient --- */

/* As ASCII, if need be: utf-8-addr-xtext of RFC 6533 section 3. */
static const char *
shown(const struct report *r, const char *addr, char out[LINE_SIZE])
{
	const char *end = addr + strlen(addr);
	size_t n = 0, k;
	unsigned cp;

	if (r->global || is_ascii(addr))
		return addr;
	for (; addr < end && n < LINE_SIZE - 12; addr += k) {
		k = utf8_next(addr, end, &cp);
		if (k == 0) {
			cp = 0xFFFD;
			k = 1;
		}
		n += (size_t)snprintf(out + n, LINE_SIZE - n, cp > ' ' &&
		    cp < 0x7F && !strchr("+=\\", (int)cp) ? "%c" : "\\x{%X}",
		    cp);
	}
	return out;
}

static bool
is_from_ses(const struct result *res)
{
	return strncmp(res->text, "SES: ", 5) == 0;
}

/* Is the code an SMTP server's refusal (and not HTTP's)? None is over 599. */
static bool
is_reply(const struct result *res)
{
	return res->code >= 400 && !is_from_ses(res);
}

/* RFC 3463. Expired is 4.4.7 for a failure, too: it might have worked later. */
static const char *
status(const struct result *res, bool delayed)
{
	char class = res->enhanced[0];

	if (delayed)
		return class == '4' ? res->enhanced : "4.0.0";
	if (is_reply(res) ? res->code < 500 :
	    class != '5' && res->outcome != OUT_PERM)
		return "4.4.7";
	return class == '5' ? res->enhanced : "5.0.0";
}

/* Length of the host at the start of "host[address]:port: ...", or 0. */
static size_t
host_length(const char *text)
{
	size_t n = strcspn(text, " [:;,()<>\"\\/@"), end;

	if (text[n] != '[')
		return 0;
	end = n + strcspn(text + n, " ]");
	return strncmp(text + end, "]:", 2) == 0 ? n : 0;
}

/* What follows the code in "peer: doing: 550 5.1.1 ...", or all of it. */
static const char *
reply_text(const struct result *res)
{
	char mark[16];
	const char *p;

	snprintf(mark, sizeof mark, ": %d", res->code);
	p = strstr(res->text, mark);
	if (p == NULL)
		return res->text;
	p += strlen(mark);
	return p + strspn(p, " ");
}

/* --- the parts --- */

static void
write_header(struct report *r)
{
	const struct bounce *b = r->b;

	line(r, "From: Mail Delivery System <MAILER-DAEMON@%s>", b->hostname);
	line(r, "To: %s", b->to);
	line(r, "Subject: %s", b->delayed ? "Delayed mail (still being tried)" :
	    "Undelivered mail (delivery failed)");
	dated(r, "Date", b->now);
	line(r, "Message-ID: <%s@%s>", r->random, b->hostname);
	line(r, "Auto-Submitted: auto-replied");
	line(r, "MIME-Version: 1.0");
	line(r, "Content-Type: multipart/report; report-type=delivery-status; "
	    "boundary=\"=_%s\"", r->random);
	encoding(r, r->global || r->original_8bit);
}

static void
write_text(struct report *r)
{
	const struct bounce *b = r->b;
	const struct result *res;
	char addr[LINE_SIZE];
	size_t i;

	part(r, "text/plain; charset=utf-8", r->global);
	line(r, "This is the mail system of %s.", b->hostname);
	blank(r);
	line(r, "The message below %s:", b->delayed ?
	    "is still being tried for" : "could not be delivered to");
	for (i = 0; i < b->n; i++) {
		res = &b->rcpts[i]->res;
		blank(r);
		line(r, "<%s>", shown(r, b->rcpts[i]->addr, addr));
		line(r, "    %s%s", b->delayed || *status(res, false) == '5' ?
		    "" : "the time is up; last try: ",
		    *res->text ? res->text : "no reason is known");
	}
	blank(r);
	if (b->delayed)
		dated(r, "You need do nothing. It is tried until", b->until);
	else
		line(r, "Check the addresses, or show this report to your "
		    "postmaster.");
	line(r, "The id of the message is %s.", b->m->id);
}

static void
write_diagnostic(struct report *r, const struct result *res)
{
	const char *type = "X-Sendroute", *text = res->text;

	if (is_reply(res)) {
		line(r, "Diagnostic-Code: smtp; %d %s", res->code,
		    reply_text(res));
		return;
	}
	if (is_from_ses(res)) {
		type = "X-SES";
		text += 5;
	}
	if (*text)
		line(r, "Diagnostic-Code: %s; %s", type, text);
}

static void
write_recipient(struct report *r, const struct rcpt *rcpt)
{
	const struct bounce *b = r->b;
	const struct result *res = &rcpt->res;
	size_t host = host_length(res->text);
	char addr[LINE_SIZE];

	blank(r);
	decoded(r, "Original-Recipient", rcpt->dsn_orcpt);
	line(r, "Final-Recipient: %s;%s", is_ascii(rcpt->addr) ? "rfc822" :
	    "utf-8", shown(r, rcpt->addr, addr));
	line(r, "Action: %s", b->delayed ? "delayed" : "failed");
	line(r, "Status: %s", status(res, b->delayed));
	if (host > 0)
		line(r, "Remote-MTA: dns; %.*s", (int)host, res->text);
	write_diagnostic(r, res);
	dated(r, "Last-Attempt-Date", b->now);
	if (b->delayed)
		dated(r, "Will-Retry-Until", b->until);
}

static void
write_status(struct report *r)
{
	const struct message *m = r->b->m;
	size_t i;

	part(r, r->global ? "message/global-delivery-status" :
	    "message/delivery-status", r->global);
	line(r, "Reporting-MTA: dns; %s", r->b->hostname);
	decoded(r, "Original-Envelope-Id", m->env.dsn_envid);
	dated(r, "Arrival-Date", m->born);
	for (i = 0; i < r->b->n; i++)
		write_recipient(r, r->b->rcpts[i]);
}

static int
unreadable(struct result *res)
{
	return result_fail(res, EXIT_IO, "cannot read the message: %s",
	    strerror(errno));
}

static void
copy_original(struct report *r)
{
	char block[BLOCK];
	ssize_t n;
	off_t at;

	for (at = 0; at < r->end && !r->failed; at += n) {
		n = spool_read(&r->b->m->spool, block, r->end - at < BLOCK ?
		    (size_t)(r->end - at) : BLOCK, at);
		if (n < 0) {
			unreadable(r->res);
			r->failed = true;
			return;
		}
		put(r, block, (size_t)n);
	}
}

static void
write_original(struct report *r)
{
	part(r, r->whole ?
	    r->global ? "message/global" : "message/rfc822" :
	    r->global ? "message/global-headers" : "text/rfc822-headers",
	    r->original_8bit);
	copy_original(r);
	blank(r);
	line(r, "--=_%s--", r->random);
}

/* --- the whole --- */

static bool
returns_whole(const struct bounce *b)
{
	const char *ret = b->m->env.dsn_ret;

	return !b->delayed && (ret ? str_iequal(ret, "FULL") :
	    b->m->spool.size <= WHOLE_MAX);
}

/* Bytes of the header, without the blank line. -1: it cannot be read. */
static off_t
header_size(const struct spool *in)
{
	static const char end[] = "\r\n\r\n";
	char block[BLOCK];
	ssize_t n, i;
	off_t at;
	int seen = 2;

	for (at = 0; (n = spool_read(in, block, sizeof block, at)) > 0;
	    at += n) {
		for (i = 0; i < n; i++) {
			seen = block[i] == end[seen] ? seen + 1 : 0;
			if (seen == 4)
				return at + i - 1;
		}
	}
	return n < 0 ? -1 : at;
}

/* What each part is, before the first byte is written. */
static void
look(struct report *r)
{
	const struct bounce *b = r->b;
	const struct spool *in = &b->m->spool;

	r->whole = returns_whole(b);
	r->end = r->whole ? in->size : header_size(in);
	r->original_8bit = r->whole ? in->has_8bit : in->has_8bit_header;
	r->global = !is_ascii(b->to);
}

int
bounce_write(const struct bounce *b, struct spool *out, struct result *res)
{
	const struct spool *in = &b->m->spool;
	struct report r = { .b = b, .out = out, .res = res };
	unsigned char random[(sizeof r.random - 1) / 2];
	char last;

	if (random_bytes(random, sizeof random) != 0)
		return result_fail(res, EXIT_OS, "no random numbers");
	hex_encode(r.random, random, sizeof random);
	look(&r);
	/* What is missing must not show half-way, nor stay unseen. */
	if (r.end < 0 || (in->size > 0 &&
	    spool_read(in, &last, 1, in->size - 1) < 0))
		return unreadable(res);
	write_header(&r);
	out->has_8bit_header |= out->has_8bit;
	write_text(&r);
	write_status(&r);
	write_original(&r);
	out->has_dot_line |= in->has_dot_line;
	out->has_long |= in->has_long;
	return r.failed ? -1 : 0;
}

bool
bounce_wanted(const struct rcpt *r, bool delayed)
{
	const char *word = delayed ? "DELAY" : "FAILURE";
	const char *p = r->dsn_notify;
	size_t n;

	if (p == NULL || *p == '\0')
		return true;
	for (;; p += n + 1) {
		n = strcspn(p, ",");
		if (n == strlen(word) && mem_iequal(p, word, n))
			return true;
		if (p[n] == '\0')
			return false;
	}
}
