/*
 * The configuration: /etc/sendroute.conf parsed into plain data that never
 * changes afterwards. Grammar and keywords: sendroute.conf(5).
 */
#ifndef SENDROUTE_CONFIG_H
#define SENDROUTE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bearssl-glue.h"
#include "lib/base/log.h"
#include "lib/base/result.h"
#include "lib/config/secret.h"

enum { DKIM_BITS_MIN = 2048 };

enum route_type {
	ROUTE_SES, ROUTE_SMTP, ROUTE_MAILDIR, ROUTE_QMAIL, ROUTE_LMTP
};
enum route_tls { TLS_STARTTLS, TLS_IMPLICIT, TLS_OFF };
enum route_auth {
	AUTH_AUTO, AUTH_PLAIN, AUTH_LOGIN, AUTH_CRAM_MD5, AUTH_SCRAM_SHA_256,
	AUTH_OAUTHBEARER, AUTH_XOAUTH2, AUTH_OFF
};
enum route_credentials { CRED_AUTO, CRED_ENV, CRED_FILE, CRED_STATIC,
    CRED_CONTAINER, CRED_IMDS };

/* One `senders` or `sender` line, in file order. */
enum sender_kind { SENDER_PATTERN, SENDER_FILE, SENDER_BUILTIN };
struct sender_source {
	enum sender_kind kind;
	char *text;		/* pattern or absolute path; NULL for builtin */
	const char *conf;	/* where it was given: config.file, or NULL */
	unsigned line;
};

struct tag { char *name, *value; };

struct route {
	enum route_type type;
	char *name;
	unsigned line;			/* of its `route` line */
	struct sender_source *sources;
	size_t nsources;
	char *fallback;			/* name, or NULL */
	unsigned fallback_line;
	const struct route *fallback_route;	/* resolved, or NULL */
	unsigned connections;		/* at once in a queue run; default 1 */
	unsigned rate;			/* messages a second; 0: no limit */

	/* DKIM: all three or none */
	char *dkim_domain, *dkim_selector;
	char *dkim_key;			/* path */

	/* URL, perhaps with a password; "": none, whatever the environment says */
	char *proxy;

	/* smtp and lmtp */
	char *host;
	unsigned port;			/* default 587; implicit: 465, off: 25, lmtp: 24 */
	enum route_tls tls;
	enum route_auth auth;
	char *source_address;		/* or NULL: the system chooses */
	char *user;
	char *client_cert, *client_key;	/* paths; client_key NULL: the same */
	char *ca_file;			/* the route's, else the file's, or NULL */
	unsigned char (*pins)[32];	/* SHA-256 of SubjectPublicKeyInfo */
	size_t npins;

	/* ses */
	char *region, *endpoint, *profile;
	enum route_credentials credentials;
	char *access_key_id;
	char *session_token;		/* with access_key_id only */
	char *role_arn, *configuration_set, *from_arn;
	struct tag *tags;
	size_t ntags;

	/* maildir; qmail: the program */
	char *path;

	/* From files: of dkim-key, of client-cert and client-key. */
	struct private_key dkim;	/* empty: see dkim_err */
	struct identity identity;	/* empty: none */
	struct secret password;
	struct secret secret_access_key;
	struct result dkim_err;		/* why it could not be had */
	struct result identity_err;	/* why it could not be had, or "" */
};

struct config {
	char *file;			/* where it came from, for texts */
	unsigned mode;			/* its permission bits; 0: from memory */
	char *hostname, *domain;	/* never NULL after config_load */
	char *from;			/* or NULL */
	char *override_from;		/* or NULL */
	char *aliases;			/* path, or NULL */
	char *queue;			/* path, or NULL: no queue */
	int64_t queue_lifetime, queue_warn;	/* seconds; queue_warn 0: never */
	char *bounce_to;		/* or NULL: the sender */
	char *ca_file;			/* or NULL */
	enum log_target log_target;
	char *log_file;
	int64_t timeout;		/* seconds; 0: RFC 5321's values */
	uint64_t max_size;		/* bytes; 0: no limit */
	enum config_sandbox { SANDBOX_ON, SANDBOX_OFF } sandbox;
	int helper;			/* runs credential_process; 0: we do */
	struct route *routes;		/* in file order */
	size_t nroutes;
};

/*
 * config_load(c, file, res): parse `file`, check it as a whole (routes without a
 * host, fallback loops, a password without TLS, ...) and fill the defaults. The
 * host's FQDN is asked for only when `hostname` is not given. Returns 0; or -1
 * with res->text "FILE:LINE: what was found, what was expected" and res->exit
 * 78, or 77 when the file may not be read. c is then empty.
 */
int config_load(struct config *c, const char *file, struct result *res);

/*
 * The configuration compiled in with `make CONFIG=FILE`: its text, "" when there is
 * none. CONFIG_BUILTIN, from the Makefile: is there one?
 */
#ifndef CONFIG_BUILTIN
#define CONFIG_BUILTIN 0
#endif
extern const char config_builtin[];

/* config_parse(c, name, text, res): the same from memory; name for texts. */
int config_parse(struct config *c, const char *name, const char *text,
    struct result *res);

/*
 * config_open_secrets(c, log): secret_open() for every password-file and
 * secret-access-key-file, the same for client certificates and their keys, and a
 * warning in the log when the configuration itself holds a secret that others can
 * read.
 */
void config_open_secrets(struct config *c, struct log *log);

/* config_is_exposed(c): does it hold a secret that everyone can read? */
bool config_is_exposed(const struct config *c);

/* config_free(c): all memory, secrets wiped first; an empty c is fine. */
void config_free(struct config *c);

/* config_tls(c, r, host): how TLS to host is to be made on route r. */
struct tls_params config_tls(const struct config *c, const struct route *r,
    const char *host);

/* config_route(c, name): the route of that name, or NULL. */
const struct route *config_route(const struct config *c, const char *name);

#endif
