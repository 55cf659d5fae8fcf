/* Getting a certificate for a name, from the account to the chain (RFC 8555 §7), as one call that
 * reads top to bottom. What has been reached is kept in the store, so that a program that ends in
 * the middle goes on with the same order. */
#pragma once

#include "acme/answers.h"
#include "acme/client.h"
#include "acme/store.h"

enum acme_challenge_kind { ACME_HTTP_01, ACME_TLS_ALPN_01 };

struct acme_wish {
    struct slice name;             /* the DNS name, lower case */
    struct slice directory;        /* the authority's URL */
    struct slice contact;          /* an e-mail address; empty: none */
    struct slice known_as, secret; /* the binding to an account known otherwise; empty: none */
    enum acme_challenge_kind challenge;
    struct acme_store *store; /* borrowed, as all */
    struct acme_answers *answers;
    struct resolver *resolver;
    struct tls_client *tls;
};

/* Where things are in the store. */
#define ACME_PAIR_NAME "certificate/%.*s" /* key and chain, one after the other (PEM) */

struct acme_outcome {
    struct slice problem; /* why it failed, for people; in the arena */
    int64_t retry_after;  /* seconds that the authority wants us to wait; 0: it does not say */
    bool is_refused;      /* asking again at once would change nothing */
};

/* Gets one and puts it with its key into the store. On a fiber of the control loop; takes seconds
 * to minutes. Fails as acme_client_post does, and with TIMEOUT. */
enum status acme_obtain(
    const struct acme_wish *wish, struct arena *arena, struct acme_outcome *ret_outcome);
