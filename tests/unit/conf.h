/*
 * Configurations in the unit tests' words.
 */
#ifndef SENDROUTE_TEST_CONF_H
#define SENDROUTE_TEST_CONF_H

#include "lib/config/config.h"

/* Routes that lack nothing. */
#define SMTP "route r\ntype smtp\nhost h.example\nsender *\n"
#define SES "route s\ntype ses\nsender *\n"
#define BOX "route b\ntype maildir\npath /b\nsender *\n"

/* Pieces of long values. */
#define D10 "1234567890"
#define D60 D10 D10 D10 D10 D10 D10
#define HEX16 "0123456789abcdef"
#define HEX64 HEX16 HEX16 HEX16 HEX16

/* What texts say is expected. */
#define IS_DOMAIN "expected a domain name such as mail.example.com"
#define IS_MAILBOX "expected an address such as alerts@example.com"
#define IS_HOST "expected a name, an address, [IPv6] or unix:/path"
#define IS_PATH "expected an absolute path"
#define IS_TIME "expected a duration from 1s to 1h, such as 5m"
#define IS_SIZE "expected a size from 1k to 2g, such as 40m"
#define IS_AUTH "expected auto, plain, login, cram-md5, scram-sha-256, " \
	"oauthbearer, xoauth2 or off"
#define IS_PORT "expected a number from 1 to 65535"
#define IS_NAME "expected a name of letters, digits, '-', '_' and '.', 64 at most"
#define IS_TAG "expected NAME=VALUE of letters, digits, '-' and '_', 256 at most each"
#define IS_PIN "expected sha256: and 64 hex digits"
#define IS_URL "expected https://HOST[:PORT], or http:// to this machine itself"
#define IS_PATTERN "expected alice@example.com, @example.com, @.example.com, " \
	"*-bounces@lists.example or *"

/* A configuration, and the text behind "f:" that refuses it. */
struct conf_bad {
	const char *in;
	const char *text;
};

/* conf_refused(in, text): fails the test unless `in` is refused with that. */
void conf_refused(const char *in, const char *text);

/* The same for a whole table. */
void conf_all_refused(const struct conf_bad *t, size_t n);
#define CONF_ALL_REFUSED(table) \
	conf_all_refused(table, sizeof (table) / sizeof *(table))

/*
 * conf_accepted(c, in): fills c, to be freed with config_free, or fails the test.
 * A line with `hostname` is put first, so that no resolver is asked.
 */
void conf_accepted(struct config *c, const char *in);

#endif
