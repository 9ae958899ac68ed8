#include "lib/config/keywords.h"

#include <string.h>

#include "lib/config/config.h"

#define C(field) offsetof(struct config, field)
#define R(field) offsetof(struct route, field)
#define RELAY (IN_SMTP | IN_LMTP)
#define NETWORK (IN_SES | RELAY)
#define ONCE 0
#define MANY KW_REPEATS
#define HIDE KW_HIDDEN

#define A_PATH "an absolute path"
#define A_MAILBOX "an address such as alerts@example.com"
#define A_DOMAIN "a domain name such as mail.example.com"
#define A_ROUTE "a name of letters, digits, '-', '_' and '.', 64 at most"
#define A_PATTERN "alice@example.com, @example.com, @.example.com, \
*-bounces@lists.example or *"
#define A_AUTH "auto, plain, login, cram-md5, scram-sha-256, oauthbearer, \
xoauth2 or off"
#define A_TEXT "text of 1024 bytes at most"

/* In the order of the enums that the choices stand for. */
#define TYPES "ses smtp maildir qmail lmtp"
#define AUTHS "auto plain login cram-md5 scram-sha-256 oauthbearer xoauth2 off"
#define CREDENTIALS "auto env file static container imds"

const struct keyword keywords[KEYWORDS] = {
	{ "hostname", IN_FILE, KW_DOMAIN, ONCE, C(hostname), 0, 0, NULL, A_DOMAIN },
	{ "domain", IN_FILE, KW_DOMAIN, ONCE, C(domain), 0, 0, NULL, A_DOMAIN },
	{ "from", IN_FILE, KW_MAILBOX, ONCE, C(from), 0, 0, NULL, A_MAILBOX },
	{ "override-from", IN_FILE, KW_MAILBOX, ONCE, C(override_from), 0, 0, NULL,
	    A_MAILBOX },
	{ "aliases", IN_FILE, KW_PATH, ONCE, C(aliases), 0, 0, NULL, A_PATH },
	{ "queue", IN_FILE, KW_PATH, ONCE, C(queue), 0, 0, NULL, A_PATH },
	{ "queue-lifetime", IN_FILE, KW_DURATION, ONCE, C(queue_lifetime), 60,
	    31536000, NULL, "a duration from 1m to 365d, such as 5d" },
	{ "queue-warn", IN_FILE, KW_DURATION, ONCE, C(queue_warn), 0, 31536000, NULL,
	    "a duration up to 365d, such as 4h, or 0 for never" },
	{ "bounce-to", IN_FILE, KW_MAILBOX, ONCE, C(bounce_to), 0, 0, NULL,
	    A_MAILBOX },
	{ "log", IN_FILE, KW_LOG, ONCE, C(log_file), 0, 0, NULL,
	    "syslog, none or an absolute path" },
	{ "timeout", IN_FILE, KW_DURATION, ONCE, C(timeout), 1, 3600, NULL,
	    "a duration from 1s to 1h, such as 5m" },
	{ "max-size", IN_FILE, KW_SIZE, ONCE, C(max_size), 1024, 2147483648U, NULL,
	    "a size from 1k to 2g, such as 40m" },
	{ "ca-file", IN_FILE, KW_PATH, ONCE, C(ca_file), 0, 0, NULL, A_PATH },
	{ "sandbox", IN_FILE, KW_CHOICE, ONCE, C(sandbox), 0, 0, "on off",
	    "on or off" },

	{ "route", IN_FILE | IN_ROUTE, KW_ROUTE, MANY, 0, 0, 0, NULL, A_ROUTE },
	{ "type", IN_ROUTE, KW_CHOICE, ONCE, R(type), 0, 0, TYPES,
	    "ses, smtp, lmtp, maildir or qmail" },
	{ "senders", IN_ROUTE, KW_SENDERS, MANY, 0, 0, 0, NULL,
	    "the absolute path of a list, builtin or *" },
	{ "sender", IN_ROUTE, KW_PATTERN, MANY, 0, 0, 0, NULL, A_PATTERN },
	{ "fallback", IN_ROUTE, KW_NAME, ONCE, R(fallback), 0, 0, NULL,
	    "the name of a route" },
	{ "dkim-domain", IN_ROUTE, KW_DOMAIN, ONCE, R(dkim_domain), 0, 0, NULL,
	    A_DOMAIN },
	{ "dkim-selector", IN_ROUTE, KW_DOMAIN, ONCE, R(dkim_selector), 0, 0, NULL,
	    "a selector such as mail1" },
	{ "dkim-key", IN_ROUTE, KW_PATH, ONCE, R(dkim_key), 0, 0, NULL, A_PATH },

	{ "host", RELAY, KW_HOST, ONCE, R(host), 0, 0, NULL,
	    "a name, an address, [IPv6] or unix:/path" },
	{ "port", RELAY, KW_PORT, ONCE, R(port), 1, 65535, NULL,
	    "a number from 1 to 65535" },
	{ "tls", RELAY, KW_CHOICE, ONCE, R(tls), 0, 0, "starttls implicit off",
	    "starttls, implicit or off" },
	{ "auth", RELAY, KW_CHOICE, ONCE, R(auth), 0, 0, AUTHS,
	    A_AUTH },
	{ "user", RELAY, KW_TEXT, ONCE, R(user), 0, 1024, NULL, A_TEXT },
	{ "password", RELAY, KW_TEXT, HIDE, R(password.value), 0, SECRET_MAX,
	    NULL, "text of 4096 bytes at most" },
	{ "password-file", RELAY, KW_PATH, ONCE, R(password.file), 0, 0, NULL,
	    A_PATH },
	{ "password-command", RELAY, KW_TEXT, HIDE, R(password.command), 0,
	    SECRET_MAX, NULL, "a command for /bin/sh" },
	{ "client-cert", RELAY, KW_PATH, ONCE, R(client_cert), 0, 0, NULL, A_PATH },
	{ "client-key", RELAY, KW_PATH, ONCE, R(client_key), 0, 0, NULL, A_PATH },
	{ "source-address", RELAY, KW_ADDRESS, ONCE, R(source_address), 0, 0, NULL,
	    "an IPv4 or IPv6 address" },
	{ "connections", RELAY, KW_COUNT, ONCE, R(connections), 1, 100, NULL,
	    "a number from 1 to 100" },

	{ "ca-file", NETWORK, KW_PATH, ONCE, R(ca_file), 0, 0, NULL, A_PATH },
	{ "tls-pin", NETWORK, KW_PIN, MANY, 0, 0, 0, NULL,
	    "sha256: and 64 hex digits" },
	{ "proxy", NETWORK, KW_PROXY, HIDE, R(proxy), 0, 0, NULL,
	    "http://[USER:PASSWORD@]HOST[:PORT], socks5://... or none" },
	{ "rate", NETWORK, KW_COUNT, ONCE, R(rate), 1, 100000, NULL,
	    "a number from 1 to 100000" },

	{ "region", IN_SES, KW_REGION, ONCE, R(region), 0, 64, NULL,
	    "a region such as eu-west-1" },
	{ "endpoint", IN_SES, KW_URL, ONCE, R(endpoint), 0, 0, NULL,
	    "https://HOST[:PORT], or http:// to this machine itself" },
	{ "credentials", IN_SES, KW_CHOICE, ONCE, R(credentials), 0, 0,
	    CREDENTIALS, "auto, env, file, static, container or imds" },
	{ "profile", IN_SES, KW_TEXT, ONCE, R(profile), 0, 256, NULL,
	    "text of 256 bytes at most" },
	{ "access-key-id", IN_SES, KW_WORD, ONCE, R(access_key_id), 0, 128, "-_",
	    "the 16 to 128 letters and digits that AWS shows" },
	{ "secret-access-key", IN_SES, KW_VISIBLE, HIDE,
	    R(secret_access_key.value), 0, SECRET_MAX, "",
	    "the key as AWS showed it" },
	{ "secret-access-key-file", IN_SES, KW_PATH, ONCE,
	    R(secret_access_key.file), 0, 0, NULL, A_PATH },
	{ "session-token", IN_SES, KW_VISIBLE, HIDE, R(session_token), 0, 8192,
	    "", "the token as AWS showed it" },
	{ "role-arn", IN_SES, KW_VISIBLE, ONCE, R(role_arn), 0, 2048, "arn:",
	    "arn:..." },
	{ "configuration-set", IN_SES, KW_WORD, ONCE, R(configuration_set), 0, 64,
	    "-_", "64 letters, digits, '-' and '_' at most" },
	{ "tag", IN_SES, KW_TAG, MANY, 0, 0, 0, NULL, "NAME=VALUE of letters, "
	    "digits, '-' and '_', 256 at most each" },
	{ "from-arn", IN_SES, KW_VISIBLE, ONCE, R(from_arn), 0, 2048, "arn:",
	    "arn:..." },

	{ "path", IN_MAILDIR, KW_PATH, ONCE, R(path), 0, 0, NULL, A_PATH },
	{ "pass-to", IN_QMAIL, KW_PATH, ONCE, R(path), 0, 0, NULL, A_PATH },
};

const struct keyword *
keyword_find(const char *name, size_t n, unsigned where)
{
	const struct keyword *k;

	for (k = keywords; k < keywords + KEYWORDS; k++)
		if ((k->where & where) && strlen(k->name) == n &&
		    memcmp(k->name, name, n) == 0)
			return k;
	return NULL;
}
