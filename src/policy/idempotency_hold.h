/* Holding a key while its request runs: what is done with the store, and in which order, so that of
 * all who come with the same key one has it.
 *
 * The owner puts a *running* record there (idempotency_record.h), which says until when its lease
 * lasts, and which nobody changes until the end: store_swap from it to the result, which is refused
 * when somebody else has come in its place. So who was slow never overwrites who came later. A
 * request that takes long renews its lease under a name of its own, in which the record's token is;
 * when neither lasts any more the key is *unknown*: nobody can say what became of the request.
 *
 * Leases begin with a time of day: gateways that share a store have clocks that agree to a part of
 * the lease. All of it on fibers; waits as long as the deadlines say. */
#pragma once

#include "base/arena.h"
#include "policy/idempotency_record.h"
#include "store/store.h"

struct idempotency_hold {
    struct store *store; /* borrowed */
    unsigned worker;
    struct arena *arena; /* borrowed: the exchange's */
    struct slice name;
    int64_t keep;  /* nanoseconds that a result is there */
    int64_t lease; /* the same, of a lease; a record of a running request is there for a day, or
                      for as long as a result */

    /* Of the owner. */
    struct idempotency_record running;
    struct slice bytes; /* the same, as it is in the store */
    bool has_renewed;
};

/* What became of a wish to have a key. */
enum idempotency_taken {
    IDEMPOTENCY_MINE,
    IDEMPOTENCY_THEIRS,  /* somebody works on it */
    IDEMPOTENCY_UNKNOWN, /* somebody did, and its lease is over */
    IDEMPOTENCY_RESULT   /* there is a result */
};

/* Wants the key for a request of that fingerprint. With another result than MINE `*ret_there` is
 * what is there, for as long as the arena. Statuses of store.h; INVALID also when what is there
 * cannot be read. */
enum status idempotency_hold_take(struct idempotency_hold *hold, struct slice fingerprint,
    instant deadline, enum idempotency_taken *ret_taken, struct idempotency_record *ret_there);

/* Takes a key that is unknown; `there` is its record, which gave the token before. CONFLICT:
 * somebody was faster. */
enum status idempotency_hold_take_over(struct idempotency_hold *hold,
    const struct idempotency_record *there, struct slice fingerprint, instant deadline);

/* The lease lasts from now on, also when it was over. */
enum status idempotency_hold_renew(struct idempotency_hold *hold, instant deadline);

/* Puts a result in the place of the running record, or, with null data, nothing. Tries until the
 * deadline. CONFLICT: the key was taken over. */
enum status idempotency_hold_end(
    struct idempotency_hold *hold, struct slice result, instant deadline);

/* When what is kept from now on is gone, milliseconds since 1970. */
int64_t idempotency_hold_expiry(const struct idempotency_hold *hold);
