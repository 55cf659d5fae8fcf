/* Which store a policy takes: the words of its option `store`. */
#pragma once

#include "config/option.h"
#include "store/store.h"

enum store_place {
    STORE_IN_BEST, /* the shared one, else the durable one, else memory */
    STORE_IN_MEMORY,
    STORE_ON_DISK,
    STORE_IN_REDIS,
    STORE_IN_POSTGRES
};

/* Of an option of that kind, "auto" first. */
extern const char *const store_place_words[];
#define STORE_PLACE_HELP                                                                           \
    "Where: `redis` or `postgres`, for all gateways; `disk`, which survives (`state`); `memory`, " \
    "gone with the process. `auto`: the first of these that there is."

/* The one of that word. NULL in a command that only looks at a configuration, which has none.
 * INVALID after a complaint: it is not there. */
enum status store_choose(struct reader *reader, const struct store_choice *stores, int where,
    struct place place, struct store **ret_store);
