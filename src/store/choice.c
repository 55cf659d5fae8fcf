#include "store/choice.h"

const char *const store_place_words[] = {"auto", "memory", "disk", "redis", "postgres", NULL};

static const struct missing {
    const char *problem;
    struct slice hint;
} missing[] = {
    [STORE_IN_BEST] = {"there is no store", SLICE_INIT("")},
    [STORE_IN_MEMORY] = {"there is no store in memory", SLICE_INIT("")},
    [STORE_ON_DISK] = {"`store: disk` needs `state`, a file to keep things in",
        SLICE_INIT("add state: /var/lib/weir/state.db")},
    [STORE_IN_REDIS] = {"`store: redis` needs `redis`, a server that gateways share",
        SLICE_INIT("add redis: 10.0.0.5:6379")},
    [STORE_IN_POSTGRES] = {"`store: postgres` needs `postgres`, a server that gateways share",
        SLICE_INIT("add postgres: 10.0.0.5:5432")},
};

enum status store_choose(struct reader *reader, const struct store_choice *stores, int where,
    struct place place, struct store **ret_store)
{
    struct store *const by_word[] = {[STORE_IN_BEST] = store_best(stores),
        [STORE_IN_MEMORY] = stores->memory,
        [STORE_ON_DISK] = stores->durable,
        [STORE_IN_REDIS] = stores->redis,
        [STORE_IN_POSTGRES] = stores->postgres};
    if (!by_word[where] && stores->memory)
        return diagnostics_error(
            reader->diagnostics, place, missing[where].hint, "%s", missing[where].problem);
    *ret_store = by_word[where];
    return OK;
}
