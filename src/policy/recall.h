/* Recalls: what somebody else was asked for under a key (who a token is of, whether a client may),
 * remembered for a while, for all workers and across reloads.
 *
 *     e = recall_obtain(prepare, name, size, &recall);           once; as long as the snapshot
 *     e = recall_get(recall, x, key, ask, context, &recalled, &was_known);
 *     ... recalled->value ...
 *     recalled_unref(recalled);
 *
 * Of those who want the same key at a time one asks, on its own fiber; the others wait for what it
 * brings, on whatever worker, and share its failure too. When the one that asks is given up by its
 * own client, another asks.
 *
 * Memory is bounded: when it is full, what was used longest ago goes. A lock for each of a few
 * parts guards it, held only to look and to link, never while somebody is asked. */
#pragma once

#include <stdatomic.h>

#include "base/list.h"
#include "policy/policy.h"

#define RECALL_KIND "recall" /* in the registry */

struct json_writer;
struct recall;

/* One answer. It does not change once recall_get has returned it, and stays while it is counted. */
struct recalled {
    struct list node; /* in its part's list; alone when it is forgotten */
    _Atomic unsigned users;
    struct arena arena; /* owned: all of it, and what the asker puts there */
    struct slice key;
    instant until; /* it is remembered until then; 0: for nobody who comes later */
    void *value;   /* the asker's, in the arena */
    bool is_known; /* by the memory; under its lock */
};

/* Asks, and sets `until` and `value` of what is to be remembered. A failure is not remembered. */
typedef enum status recall_asker(
    void *context, const struct exchange *x, struct recalled *ret_recalled);

/* The one of that name, which says all that its answers depend on: in the first line what asks, in
 * the second whom, which `weir status` shows, then the rest. `size` is of all of it, bytes. */
enum status recall_obtain(
    struct prepare *prepare, struct slice name, size_t size, struct recall **ret_recall);

/* The answer under `key`, counted for the caller; asks when it is not known. What `ask` says,
 * TIMEOUT at the exchange's deadline, CANCELLED, NO_MEMORY. On a fiber. */
enum status recall_get(struct recall *recall, const struct exchange *x, struct slice key,
    recall_asker *ask, void *context, struct recalled **ret_recalled, bool *ret_was_known);

/* The same, but what is known already does not do: it is replaced when a new answer is there. */
enum status recall_renew(struct recall *recall, const struct exchange *x, struct slice key,
    recall_asker *ask, void *context);

/* It is not true any more: nobody gets it from now on. */
void recall_forget(struct recall *recall, struct recalled *recalled);

/* Counts once less; as arena_defer wants it. NULL is fine. */
void recalled_unref(void *argument);

/* For `weir status` (registry_view.h): of what and whom, and how much of it there is. */
void recall_describe(const void *object, struct json_writer *writer);
