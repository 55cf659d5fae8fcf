/* The `tests:` of a configuration: expectations that `weir test` checks without a network.
 *
 *     tests:
 *       - {get: /users/7, is: user}                                  # a service
 *       - {get: /staff, cert: {subject: "CN=alice"}, is: staff}    # a client with a certificate
 *       - {get: /orders, claims: {sub: u1, roles: [buyer]}, is: order}  # whoever says so
 *       - {post: /login, header: {x-forwarded-for: 1.2.3.4}, is: 429}  # a status that the gateway
 * answers with
 */
#pragma once

#include "gateway/rehearsal.h"

struct proof_options {
    struct place place;
    struct slice method; /* "GET" */
    struct slice target;
    struct slice host;
    struct slice client;
    struct option_map header; /* of struct slice */
    bool has_tls, has_cert;   /* they were written; so the request comes by HTTPS */
    struct proof_tls {
        struct slice version, cipher, sni, alpn;
    } tls;
    struct proof_cert {
        struct slice subject, issuer, serial, fingerprint;
        struct option_list san; /* of struct slice */
    } cert;
    struct slice claims; /* JSON; empty: none */
    struct slice is;
    struct place is_place;
};

extern const struct option_table proof_table;

/* Checks one; `*ret_got` (in `arena`) says what came instead when it does not hold. */
enum status proof_check(const struct snapshot *snapshot, const struct proof_options *proof,
    struct arena *arena, bool *ret_holds, struct slice *ret_got);
