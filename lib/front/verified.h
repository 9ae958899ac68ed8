/*
 * What an SES account may send (AWS: "GetAccount", "ListEmailIdentities"), and
 * --list-verified, which makes a sender list of it.
 */
#ifndef SENDROUTE_VERIFIED_H
#define SENDROUTE_VERIFIED_H

#include <stdio.h>
#include <time.h>

#include "lib/config/config.h"
#include "ses.h"

struct account {
	bool sending, production;
	char enforcement[20];		/* HEALTHY, PROBATION, SHUTDOWN or "" */
	long long most, sent, rate;	/* in 24 h (-1: no limit), a second */
	time_t date;			/* of the reply; 0: it has none */
};

/* account_get(s, a, res): 0, or -1 with res filled. */
int account_get(struct ses *s, struct account *a, struct result *res);

/* An identity that is verified for sending: a domain, or an address. */
struct verified { char *name; bool listed; };

struct verified_list { struct verified *v; size_t n, room; };

/*
 * verified_get(s, l, res): all of them are added to l, sorted, each once. 0, or -1
 * with res filled. The caller frees l with verified_free(), in either case.
 */
int verified_get(struct ses *s, struct verified_list *l, struct result *res);
void verified_free(struct verified_list *l);

/*
 * verified_write(c, env, log, file, res): those of all ses routes as a sender list,
 * to standard output or, when it is not NULL, in place of file, whose mode and owner
 * are kept. It is not touched when a route cannot be asked or when there are none. 0;
 * or -1 with res filled.
 */
int verified_write(const struct config *c, env_lookup env, struct log *log,
    const char *file, struct result *res);

#endif
