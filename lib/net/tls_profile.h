/*
 * What our TLS offers and accepts. Nothing that is not forward
 * secret and AEAD.
 */
#ifndef NET_TLS_PROFILE_H
#define NET_TLS_PROFILE_H

#include <bearssl.h>

/*
 * tls_profile(cc, xc): clear cc and set the versions, suites and algorithms of
 * both, which stay valid as long as the program.
 */
void tls_profile(br_ssl_client_context *cc, br_x509_minimal_context *xc);

#endif
