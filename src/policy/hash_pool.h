/* The hash pool: threads that check passwords, since that takes a tenth of a second by design, and
 * a worker must not stand still for as long.
 *
 *     e = hash_pool_verify(pool, x, hash, password, deadline, &fits);
 *
 * One for the process, as long as a snapshot uses it. The request's fiber waits; at most
 * HASH_POOL_QUEUE of them do, so that guessing passwords neither piles up work nor takes more of
 * the machine than HASH_POOL_THREADS processors. */
#pragma once

#include "policy/policy.h"

#define HASH_POOL_THREADS 2
#define HASH_POOL_QUEUE   64

#define HASH_POOL_KIND    "hash pool" /* in the registry */

struct hash_pool;
struct json_writer;

/* For as long as the snapshot. NULL where there are no workers: then passwords are checked by who
 * asks. NO_MEMORY. On the control thread. */
enum status hash_pool_obtain(struct prepare *prepare, struct hash_pool **ret_pool);

/* Is it the hash (htpasswd.h) of that password? FULL: too many wait; TIMEOUT, CANCELLED,
 * NO_MEMORY. On a worker's fiber; in a rehearsal, and without a pool, it is checked at once. */
enum status hash_pool_verify(struct hash_pool *pool, const struct exchange *x, struct slice hash,
    struct slice password, instant deadline, bool *ret_fits);

/* For `weir status` (registry_view.h): its threads, how many are busy, how many requests wait. */
void hash_pool_describe(const void *object, struct json_writer *writer);
