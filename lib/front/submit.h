/*
 * Submission: from where a new message is stored to its first try. The same for
 * the command line and for -bs, with and without a queue.
 */
#ifndef SENDROUTE_SUBMIT_H
#define SENDROUTE_SUBMIT_H

#include "lib/front/deliver.h"
#include "lib/store/queue.h"

struct submission {
	struct delivery *delivery;
	struct queue *queue;		/* NULL: there is none */
	/*
	 * -odX: 'i' now, and directly when it cannot be queued; 'b' in the
	 * background; 'q' by a later queue run; 0: now.
	 */
	char when;
	const char *tmpdir;		/* or NULL */

	struct ticket ticket;		/* of the message in hand */
	bool queued;			/* it is safe: see submit_end */
	struct result no_queue;		/* exit: why the queue cannot be used */
};

/*
 * submit_begin(s, m, res): the envelope is known; open m->spool, in the queue if
 * there is one. 0; or -1 with exit 71, 73 or 74.
 */
int submit_begin(struct submission *s, struct message *m, struct result *res);

/*
 * submit_end(s, m, res): the message has been stored. With s->queued it is safe,
 * whatever happens to us; else it must be sent now. 0; or -1: exit 74.
 */
int submit_end(struct submission *s, struct message *m, struct result *res);

/* submit_abandon(s): after submit_begin, nothing is left of the message. */
void submit_abandon(struct submission *s);

/*
 * submit_send(s, m): the first try, when it is due now. What is queued has its
 * results there; else they are in m.
 */
void submit_send(struct submission *s, struct message *m);

#endif
