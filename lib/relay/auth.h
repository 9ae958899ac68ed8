/*
 * AUTH (RFC 4954), by the mechanisms of sasl.h.
 */
#ifndef SENDROUTE_AUTH_H
#define SENDROUTE_AUTH_H

#include "lib/relay/session.h"

/* auth_note(o, list): keep the mechanisms that EHLO's AUTH line names. */
void auth_note(struct offer *o, const char *list);

/*
 * auth_log_in(c, password): by the strongest mechanism that both sides know and
 * the route allows; one that the server then calls unknown is passed over, but a
 * refused password is not tried with a weaker one. password NULL: by the client's
 * certificate. 0; or -1 with c->res filled. No copy of the password stays.
 */
int auth_log_in(struct session *c, const char *password);

#endif
