/*
 * Local delivery into a Maildir (https://cr.yp.to/proto/maildir.html): the
 * transport of routes of type `maildir`.
 */
#ifndef SENDROUTE_MAILDIR_H
#define SENDROUTE_MAILDIR_H

#include <stddef.h>

#include "lib/config/config.h"
#include "lib/mail/message.h"

/*
 * maildir_deliver(r, m, rcpts, n): one file for each recipient, all in
 * r->path, which is created with its three folders (0700) when missing; the
 * folder that it stands in is not. A file begins with Return-Path and
 * Delivered-To, its lines end in LF. It is fsynced in tmp/ before it appears in
 * new/, and new/ is fsynced before it counts as delivered.
 *
 * Fills rcpts[i]->res: OUT_DONE; or OUT_TEMP, CAUSE_LOCAL with the path and the
 * system's reason, and then nothing of the message is left behind.
 */
void maildir_deliver(const struct route *r, const struct message *m,
    struct rcpt *const *rcpts, size_t n);

#endif
