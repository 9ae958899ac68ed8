/*
 * The header section on its way into the spool: which fields stay, which are
 * dropped, completed or added, and what they tell about the message.
 */
#ifndef SENDROUTE_HEADER_H
#define SENDROUTE_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "lib/base/buf.h"
#include "lib/base/result.h"
#include "lib/mail/address.h"

enum { HEADER_MAX = 256 * 1024 };	/* bytes of all fields together */

struct header_policy {
	bool pristine;		/* qmail-remote: only look, change nothing */
	bool take_rcpts;	/* -t */
	const char *domain;	/* completes bare names */
	const char *hostname;	/* of an added Message-ID */
	const char *from;	/* address of an added From */
	const char *full_name;	/* display name of an added From, or NULL */
	const char *override_from;	/* replaces the address in From; or NULL */
	time_t now;		/* of an added Date */
};

/* The fields of which it matters whether they were there. */
struct header_seen {
	bool from, date, message_id, reply_to, recipient, resent;
};

struct header {
	const struct header_policy *policy;
	int (*sink)(void *ctx, const void *data, size_t n, struct result *res);
	void *ctx;

	/* Results. */
	bool done;			/* the body has begun */
	bool is_signed;			/* must not be altered */
	bool has_8bit;			/* in what was handed on */
	struct addr_list identities;	/* mailboxes of From and Sender */
	struct addr_list rcpts;		/* with take_rcpts */
	struct buf private;		/* with pristine: struct spool_span of
					 * Return-Path and (Resent-)Bcc */

	/* State. */
	struct header_seen seen;
	struct addr_list plain, resent;	/* recipients found, by kind of field */
	unsigned resent_names;		/* which fields the Resent block holds */
	bool resent_over;		/* the first Resent block has ended */
	bool first;			/* no line was seen yet */
	size_t total;
	struct buf line, field, all;	/* all: every field, until the last */
	struct buf old_from;		/* text of a From that was overridden */
	struct result plain_error;	/* of a To, Cc or Bcc; exit 0: none */
};

void header_init(struct header *h, const struct header_policy *policy,
    int (*sink)(void *, const void *, size_t, struct result *), void *ctx);

/*
 * header_add(h, data, n, res): more of the normalised message, up to and never
 * beyond the end of a line. Once h->done, the bytes given were passed on to the
 * sink and the rest of the message belongs there directly. Returns 0; or -1: 65
 * for a header over HEADER_MAX or a bad address, else what
 * the sink said.
 */
int header_add(struct header *h, const void *data, size_t n,
    struct result *res);

/* header_finish(h, res): the input ended; a header without a body is fine. */
int header_finish(struct header *h, struct result *res);

void header_free(struct header *h);

#endif
