/* Which endpoint a session is at, shared by all workers: a table of fixed size that never allocates
 * after it was made, and takes no lock.
 *
 * An entry is two words: what it says (the endpoint and when the session was last heard of), and
 * the key, exclusive-ored with that. So whoever reads an entry that is being written by another
 * sees that the two do not fit, and takes it for somebody else's. A key has eight places; when all
 * are taken, the session that was silent for longest makes room.
 *
 * Any thread may call all of these. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct sticky_table;

/* For `keys` sessions, rounded up to a power of two. NO_MEMORY. */
enum status sticky_table_new(size_t keys, struct sticky_table **ret_table);
void sticky_table_free(struct sticky_table *table);

/* The endpoint of a session that was heard of within `timeout` seconds, which hears of it now; 0:
 * none is known. `key` is a hash under a secret; `now` counts seconds from any beginning. */
uint32_t sticky_table_find(
    struct sticky_table *table, uint64_t key, uint32_t timeout, uint32_t now);

/* From now on the session is at this endpoint, which is not 0. */
void sticky_table_put(struct sticky_table *table, uint64_t key, uint32_t endpoint, uint32_t now);

/* The session has ended. */
void sticky_table_drop(struct sticky_table *table, uint64_t key);

/* Sessions that are remembered. */
size_t sticky_table_count(const struct sticky_table *table, uint32_t timeout, uint32_t now);
