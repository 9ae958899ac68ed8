/*
 * The queue for people and programs: sendmail -bp, mailq, --json.
 */
#ifndef SENDROUTE_LISTING_H
#define SENDROUTE_LISTING_H

#include <stdbool.h>
#include <stdio.h>

#include "lib/base/log.h"
#include "lib/store/queue.h"

/*
 * listing_print(q, json, out, log, res): every message of queue/ and failed/,
 * oldest first: id, size, age, sender, recipients with their states and last
 * results, and when it is due. json: one array of objects. What cannot be read is
 * named on stderr. Memory: 21 bytes a message. 0; or -1 with exit 71, 74 or 77.
 */
int listing_print(struct queue *q, bool json, FILE *out, struct log *log,
    struct result *res);

#endif
