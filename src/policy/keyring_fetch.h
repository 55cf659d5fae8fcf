/* Fetching an issuer's keys, for a keyring: the discovery document, if that is to say where they
 * are, then the JWK Set. On the control thread's fibers.
 *
 * Nothing that a token says is looked at here (no "jku", no "x5u"), and no redirection is followed:
 * the configuration, and the document that it names, say whom to ask. */
#pragma once

#include "base/clock.h"
#include "jose/keys.h"
#include "policy/oidc_provider.h"

struct resolver;
struct tls_client;

/* One fetch, with memory of its own: whoever wanted it may be gone when it ends. */
struct keyring_fetch {
    struct arena arena;  /* owned */
    struct slice issuer; /* in the arena, as the next; empty: the keys' URL is known */
    struct slice url;
    struct resolver *resolver; /* borrowed from the plane */
    struct tls_client *tls;    /* counted */

    /* What came of it. */
    struct oidc_provider provider; /* with an issuer; in the arena */
    struct jose_keys *keys;        /* owned; NULL: none */
    int64_t life;                  /* nanoseconds that they are fresh, as the answer says; 0: it
                                    * does not say */
    const char *trouble;           /* why not, without full stop; static or in the arena */
};

/* NO_MEMORY; it can be released then. */
enum status keyring_fetch_init(struct keyring_fetch *fetch, struct slice issuer, struct slice url,
    struct resolver *resolver, struct tls_client *tls);
void keyring_fetch_release(struct keyring_fetch *fetch);

/* OK, CANCELLED; others: `trouble` says it. */
enum status keyring_fetch_run(struct keyring_fetch *fetch, instant deadline);

/* What a Cache-Control says about how long an answer is fresh: nanoseconds; 0: nothing. */
int64_t keyring_life_of(struct slice cache_control);
