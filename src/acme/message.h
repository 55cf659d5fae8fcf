/* What an authority answers (RFC 8555 §7.1): JSON read into structs. Texts lie in the arena. What
 * is missing is empty; what must not be is INVALID. */
#pragma once

#include "base/arena.h"
#include "base/status.h"

struct acme_directory {
    struct slice new_nonce, new_account, new_order; /* URLs */
    bool needs_binding; /* accounts must be bound to one that is known otherwise */
};

/* The states of orders, authorizations and challenges (§7.1.6). */
enum acme_state {
    ACME_PENDING,
    ACME_READY,
    ACME_PROCESSING,
    ACME_VALID,
    ACME_INVALID /* also those that a client can do no more about: expired, revoked, ... */
};

#define ACME_AUTHORIZATIONS_MAX 16
#define ACME_CHALLENGES_MAX     16

/* Why something failed (RFC 7807). */
struct acme_problem {
    struct slice type;   /* without "urn:ietf:params:acme:error:": "badNonce" */
    struct slice detail; /* a sentence */
};

struct acme_order {
    enum acme_state state;
    struct slice finalize, certificate; /* URLs */
    struct slice authorizations[ACME_AUTHORIZATIONS_MAX];
    size_t authorization_count;
    struct acme_problem problem;
};

struct acme_challenge {
    struct slice type; /* "http-01" */
    struct slice url, token;
    enum acme_state state;
    struct acme_problem problem;
};

struct acme_authorization {
    enum acme_state state;
    struct slice name; /* the DNS name that it is about */
    bool is_wildcard;
    struct acme_challenge challenges[ACME_CHALLENGES_MAX];
    size_t challenge_count;
};

enum status acme_read_directory(
    struct arena *arena, struct slice text, struct acme_directory *ret_directory);
enum status acme_read_order(struct arena *arena, struct slice text, struct acme_order *ret_order);
enum status acme_read_authorization(
    struct arena *arena, struct slice text, struct acme_authorization *ret_authorization);

/* Never fails: nonsense is a problem without type and detail. */
void acme_read_problem(struct arena *arena, struct slice text, struct acme_problem *ret_problem);

/* Seconds to wait: a number or a date (RFC 9110 §10.2.3); 0 when it is neither or empty. `now` is
 * the wall clock, nanoseconds. At most a day. */
int64_t acme_read_retry_after(struct slice value, int64_t now);
