/*
 * What the sources of credentials share: for the files of this room alone.
 *
 * The chain is walked twice when credentials may be kept in a file: first `dry`,
 * when nobody else is asked and only `recipe` is made, the hash of all that decides
 * what the answer would be.
 */
#ifndef SENDROUTE_SOURCES_H
#define SENDROUTE_SOURCES_H

#include "bearssl-glue.h"
#include "lib/aws/credentials.h"
#include "lib/aws/endpoint.h"
#include "lib/aws/fetch.h"
#include "lib/aws/profile.h"

enum found {
	FOUND,
	ABSENT,		/* the next source is asked */
	NOTHING,	/* as ABSENT, but no other source may be asked */
	FAILED		/* f->res tells */
};

struct finder {
	struct aws *a;
	struct credentials *c;
	struct result *res;
	struct profile *top;	/* the route's */
	struct profile *p;	/* the one looked at: top, or a source_profile */
	struct buf answers;	/* of the sources that had nothing */
	bool dry;
	bool remote;		/* who is to be asked is not on this machine */
	struct sha256 recipe;
};

/* A source had nothing, and why. failed(): looking on would be wrong. */
enum found absent(struct finder *f, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
enum found failed(struct finder *f, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Part of the recipe; NULL is a part too. */
void recipe(struct finder *f, const char *text);

/* Where f->c comes from; texts name it. */
void set_source(struct finder *f, const char *fmt, const char *a,
    const char *b);

/*
 * Checked copies into f->c, whose source is set already. names: what texts call
 * them, one behind the other, each with its NUL. token may be NULL.
 */
enum found take_keys(struct finder *f, const char *names, const char *id,
    const char *secret, const char *token);

/* What AWS calls them in JSON and XML; then Expiration, Code, Message. */
extern const char answer_names[];

/* The end of f->c; NULL: none. */
enum found take_end(struct finder *f, const char *text);

/*
 * The keys in a JSON answer, whose member `token` is the session token; one that
 * tells of an error is passed on. f->c's source is set already.
 */
enum found take_json(struct finder *f, const char *text, size_t n,
    const char *token);

/* A small file that holds a token, without the line end if `trim`. */
enum found take_file(struct finder *f, const char *what, const char *path,
    bool trim, struct buf *out);

/* Turn f->c, which signs unless there is a token, into credentials of the role. */
struct role {
	const char *arn, *session, *external, *duration;	/* or NULL */
	const char *token_file;		/* web identity; or NULL */
};
enum found sts_assume(struct finder *f, const struct role *r);

/* The sources. */
enum found from_keys_in_environment(struct finder *f);
enum found from_role(struct finder *f);
enum found from_web_identity(struct finder *f);
enum found from_process(struct finder *f);
enum found from_container(struct finder *f);
enum found from_imds(struct finder *f);

/* All that a source_profile, f->p, may have. */
enum found from_source_profile(struct finder *f);

/*
 * cache_load(f, key): into f->c the credentials that were kept under that key, when
 * they are good for another 5 minutes. cache_save(a, key, c): what cannot be written
 * is not kept. Without a queue, and with set-id privilege, nothing is.
 */
bool cache_load(struct finder *f, const unsigned char key[SHA256_SIZE]);
void cache_save(const struct aws *a, const unsigned char key[SHA256_SIZE],
    const struct credentials *c);

#endif
