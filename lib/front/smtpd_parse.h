/*
 * What a line of the SMTP dialogue means, and where DATA ends. Pure text.
 */
#ifndef SENDROUTE_SMTPD_PARSE_H
#define SENDROUTE_SMTPD_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where the text of DATA stands; zero is its beginning. */
enum smtpd_data {
	DATA_LINE,		/* at the start of a line: behind CRLF */
	DATA_TEXT,
	DATA_CR,		/* behind a CR in a line */
	DATA_DOT,		/* behind a dot that began a line */
	DATA_DOT_CR,
	DATA_END		/* behind CRLF.CRLF */
};

/*
 * smtpd_unstuff(state, in, n, taken, out, room): undo dot-stuffing. Only CRLF
 * ends a line here, so that nothing but CRLF.CRLF ends the data; a CR or LF by
 * itself is passed on as text. Returns the bytes written, at most room; *taken
 * of n are used up: fewer only when room or the data ended.
 */
size_t smtpd_unstuff(enum smtpd_data *state, const char *in, size_t n,
    size_t *taken, char *out, size_t room);

/*
 * smtpd_path(text, path): the path in <> that text begins with (RFC 5321 section
 * 4.1.2); *path becomes what is in the brackets, without a source route. Returns
 * what follows it, or NULL when this is no path. Text is written into.
 */
char *smtpd_path(char *text, char **path);

/* Parameters of MAIL and RCPT as they came; NULL: not given. */
struct smtpd_params {
	uint64_t size;
	bool utf8, requiretls;
	const char *ret, *envid;		/* MAIL */
	const char *notify, *orcpt;		/* RCPT */
};

/*
 * smtpd_params(text, rcpt, p, bad): the parameters of RCPT, or else of MAIL.
 * Returns 0; or the reply code 501 or 555 with *bad the one that is wrong. Text
 * is written into, and p points into it.
 */
int smtpd_params(char *text, bool rcpt, struct smtpd_params *p,
    const char **bad);

/*
 * Values of NOTIFY and ENVID (RFC 3461 sections 4.1 and 4.4); the command line
 * takes the same.
 */
bool smtpd_is_notify(const char *s);
bool smtpd_is_envid(const char *s);

#endif
