/* Stapling: what a certificate's authority says about it (OCSP, RFC 6960) is fetched from the
 * responder that the certificate names, in the background, and shown to clients in the handshake,
 * so that they need not ask. Without an answer nothing is stapled, and that is counted. */
#pragma once

#include "gateway/tls_plan.h"

struct loop;

/* A plan is served from now on: begins to ask about the certificates that want it, and no longer
 * about others. On the control thread. */
void stapling_follow(const struct tls_plan *plan, struct loop *loop);
