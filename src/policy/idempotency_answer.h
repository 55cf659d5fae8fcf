/* What `idempotent` says to clients: refusals, and results that are said again.
 *
 *     Idempotent-Replayed: true        the request was not done again
 *     Idempotency-Expires: <date>      how long its result is kept */
#pragma once

#include "http/exchange.h"
#include "policy/idempotency_record.h"

/* Answers with a problem document. `wait`: nanoseconds for Retry-After; 0: none. `docs`: where
 * clients can read about it, or empty. Always OK. */
enum status idempotency_refuse(
    struct exchange *x, enum status reason, struct slice detail, int64_t wait, struct slice docs);

/* How long a client had better wait for a request that is running: as long as that has been under
 * way, since nobody knows better, but not past its lease; at least a second. */
int64_t idempotency_wait(const struct idempotency_record *running, int64_t wall);

/* Answers as the first time. NO_MEMORY. */
enum status idempotency_replay(struct exchange *x, const struct idempotency_record *record);

/* The first answer was too large to be kept: says so, and what is known of it. Always OK. */
enum status idempotency_refuse_large(
    struct exchange *x, const struct idempotency_record *record, struct slice docs);

/* Adds until when the result is kept (milliseconds since 1970). Without memory it does not. */
void idempotency_say_expiry(struct exchange *x, int64_t expiry);

/* The answer as a record, in the arena. `earlier`: fields that others had put there before. A body
 * of null data was too large. NO_MEMORY. */
enum status idempotency_keep_answer(struct exchange *x, const struct idempotency_record *running,
    int64_t expiry, const struct fields *earlier, struct slice body, struct slice *ret_bytes);
