/* Asking an OpenID provider at the endpoints that it names, wherever they are.
 *
 *     e = oidc_issuer_prepare(prepare, &options, &issuer);        once a snapshot
 *     e = keyring_provider(issuer.ring, x, patience, &arena, &found);
 *     e = oidc_issuer_ask(&issuer, found.token_endpoint, x, &inquiry, &arena, &answer); */
#pragma once

#include "policy/inquiry.h"
#include "policy/keyring.h"

struct oidc_issuer {
    struct keyring *ring;        /* what it says of itself, and its keys */
    struct inquiry_target home;  /* its host: "https://id.example" */
    struct service_plane *plane; /* borrowed */
    bool has_own_ca;             /* its authorities are not the system's */
};

/* Finds the issuer of the options, which name no keys. INVALID after a complaint, NO_MEMORY. */
enum status oidc_issuer_prepare(
    struct prepare *prepare, const struct keyring_options *options, struct oidc_issuer *issuer);

/* Asks the endpoint: by a service, if it is at the issuer's own host; else by a connection of its
 * own. Path and query of the inquiry are set here. As inquiry_ask. */
enum status oidc_issuer_ask(const struct oidc_issuer *issuer, struct slice endpoint,
    const struct exchange *x, struct inquiry *inquiry, struct arena *arena,
    struct inquiry_answer *ret_answer);
