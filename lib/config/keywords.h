/*
 * Every keyword of sendroute.conf(5): where it may stand, and what its value is.
 */
#ifndef SENDROUTE_KEYWORDS_H
#define SENDROUTE_KEYWORDS_H

#include <stddef.h>
#include <stdint.h>

/* Where a keyword may stand: the routes' types, and outside of routes. */
enum {
	IN_SES = 1, IN_SMTP = 2, IN_MAILDIR = 4, IN_QMAIL = 8, IN_LMTP = 16,
	IN_ROUTE = IN_SES | IN_SMTP | IN_MAILDIR | IN_LMTP | IN_QMAIL,
	IN_FILE = 32
};

enum {
	KW_REPEATS = 1,		/* may be given more than once */
	KW_HIDDEN = 2		/* the value never shows in a text */
};

enum keyword_type {
	KW_ROUTE,		/* opens a section; a route's name */
	KW_NAME,		/* a route's name */
	KW_TEXT,		/* anything printable, `max` bytes at most */
	KW_WORD,		/* letters, digits and `set`; `max` at most */
	KW_REGION,		/* lower-case letters, digits and - */
	KW_VISIBLE,		/* ASCII without blanks, starting with `set` */
	KW_DOMAIN, KW_HOST, KW_ADDRESS, KW_MAILBOX, KW_PATH,
	KW_URL,			/* http or https; plain http to loopback only */
	KW_PROXY,
	KW_PIN, KW_TAG, KW_SENDERS, KW_PATTERN, KW_LOG,
	KW_CHOICE,		/* `set`: words in the enum's order */
	/* Numbers from `min` to `max`. */
	KW_COUNT, KW_PORT, KW_DURATION, KW_SIZE
};

struct keyword {
	const char *name;
	unsigned char where, type, flags;
	unsigned short at;	/* offset in struct config or struct route */
	uint32_t min, max;
	const char *set;
	const char *expected;	/* for people */
};

enum { KEYWORDS = 52 };
extern const struct keyword keywords[KEYWORDS];

/* keyword_find(name, n, where): the keyword that may stand there, or NULL. */
const struct keyword *keyword_find(const char *name, size_t n, unsigned where);

#endif
