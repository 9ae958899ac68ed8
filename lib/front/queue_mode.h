/*
 * The modes that look after the queue: listing, --delete and --requeue, and queue
 * runs, once or for as long as the process lives.
 */
#ifndef SENDROUTE_QUEUE_MODE_H
#define SENDROUTE_QUEUE_MODE_H

#include "lib/front/program.h"

/*
 * Each returns the exit status, what went wrong having been told.
 *
 * queue_mode_list(p): mailq, -bp. Without a queue it says so, with status 0.
 * queue_mode_change(p): --delete or --requeue of p->options.value.
 * queue_mode_run(p): -q. With an interval it goes on until SIGTERM or SIGINT, and
 * reads the configuration again upon SIGHUP; one that is wrong leaves the one before
 * in force.
 */
int queue_mode_list(struct program *p);
int queue_mode_change(struct program *p);
int queue_mode_run(struct program *p);

#endif
