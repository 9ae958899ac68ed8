/*
 * The certificate that a server is shown when it asks for one.
 */
#ifndef SENDROUTE_TLS_SHOWN_H
#define SENDROUTE_TLS_SHOWN_H

#include <bearssl.h>

#include "lib/net/identity.h"

struct shown {
	const br_ssl_client_certificate_class *vtable;
	const struct identity *id;
	br_x509_certificate chain[IDENTITY_CERTS];
	const br_ec_impl *ec;
};

/*
 * shown_set(s, cc, id): before the handshake of cc, whose profile is set. s and
 * id must outlive it.
 */
void shown_set(struct shown *s, br_ssl_client_context *cc,
    const struct identity *id);

#endif
