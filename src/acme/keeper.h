/* The keeper: sees to it that there is a good certificate for each name, and tells when a new one
 * is there. Has a fiber for each name, on the control loop; all calls on fibers there. */
#pragma once

#include "acme/answers.h"
#include "acme/options.h"
#include "acme/store.h"

struct acme_keeper;

struct acme_keeper_owner {
    /* New certificates are in the store. On a fiber of the keeper's. */
    void (*changed)(void *argument);
    /* What operators should know, a sentence without full stop. */
    void (*noticed)(void *argument, struct slice text);
    void *argument;
    struct acme_answers *answers; /* borrowed */
};

struct acme_keeper *acme_keeper_new(const struct acme_keeper_owner *owner); /* NULL: no memory */
void acme_keeper_free(struct acme_keeper *keeper);                          /* NULL is fine */

/* From now on: these names (lower case), got in that way. What is under way for names that stay
 * goes on, unless another authority or account is wanted. `options` NULL: nothing any more.
 * `can_http`: somebody listens for plain HTTP. INVALID with a static text. */
enum status acme_keeper_use(struct acme_keeper *keeper, const struct acme_options *options,
    const struct slice *names, size_t count, bool can_http, const char **ret_problem);

/* What is known of a name. */
enum acme_phase {
    ACME_PHASE_WAITING, /* its turn has not come, or somebody else sees to it */
    ACME_PHASE_ORDERING,
    ACME_PHASE_GOOD,
    ACME_PHASE_FAILED /* and tried again */
};
struct acme_view {
    struct slice name;
    enum acme_phase phase;
    int64_t until; /* of the certificate that is there, seconds since 1970; 0: none */
    int64_t next;  /* when it is renewed, or tried again; seconds since 1970; 0: not known */
    uint64_t issued, failed; /* in the life of this process */
    struct slice problem;    /* why it failed last; empty: it did not */
};
const char *acme_phase_word(enum acme_phase phase);
size_t acme_keeper_count(const struct acme_keeper *keeper); /* NULL: 0 */
void acme_keeper_look(const struct acme_keeper *keeper, size_t index, struct acme_view *ret_view);

/* Whom to trust about the directory. INVALID with a static text. */
enum status acme_read_authorities(const struct acme_options *options,
    struct tls_authorities **ret_authorities, const char **ret_problem);

/* Where things are kept, and what is kept there for a name: key and chain as one PEM text. */
enum status acme_storage_open(const struct acme_options *options, struct acme_store **ret_store);
enum status acme_storage_read(
    struct acme_store *store, struct slice name, struct arena *arena, struct slice *ret_pem);
