/* Requests to an authority (RFC 8555 §6): HTTPS, a nonce for each, the account's signature.
 *
 * On fibers of the control loop, one at a time. Each request has a connection of its own: there are
 * a dozen of them in two months. */
#pragma once

#include "acme/jws.h"
#include "acme/message.h"
#include "base/clock.h"
#include "run/tls.h"

struct resolver;

struct acme_client {
    struct resolver *resolver;       /* borrowed */
    struct tls_client *tls;          /* borrowed: whom to trust */
    struct acme_directory directory; /* read by acme_client_open */
    const struct acme_key *key;      /* borrowed: the account's */
    struct slice account;            /* its URL; empty: there is none yet */
    struct arena *arena;             /* borrowed: for all that is read */
    struct slice nonce;              /* for the next request; empty: to be fetched */
    /* Of the newest failure. */
    struct acme_problem problem;
    int64_t retry_after; /* seconds to wait, as the authority says; 0: it does not */
};

struct acme_reply {
    int status;
    struct slice body;
    struct slice location; /* URL; or empty */
    int64_t retry_after;   /* seconds; 0: not said */
};

/* Reads the directory. Fails like those below. */
enum status acme_client_open(struct acme_client *client, struct slice directory);

/* Posts a signed payload (null data: asks for what is there, §6.3) and reads the reply. A nonce
 * that is refused is replaced by the one that came with the refusal. REFUSED: the authority says
 * no, and `problem` why; FULL: not now (`retry_after`, rate limits); INVALID: what it says is not
 * ACME; IO_ERROR and others of the way there, TLS_CERTIFICATE among them. */
enum status acme_client_post(struct acme_client *client, struct slice url, struct slice payload,
    struct acme_reply *ret_reply);
