/* How many gateways share a store: each says now and then that it is there, under one key of the
 * store, and is told how many have said so lately. Who has said nothing for PRESENCE_LASTS is gone.
 * For this floor alone. */
#pragma once

#include "store/store.h"

#define PRESENCE_EVERY SECOND
#define PRESENCE_LASTS (5 * SECOND)

/* What is run for the key. Arguments: who says it, a number drawn at random, at least 0; and
 * PRESENCE_LASTS in milliseconds. Result: how many there are. */
extern const struct store_script presence_script;

/* What a gateway believes of what it is told. */
struct presence {
    instant since; /* without a failure; 0: the newest has failed */
};

/* It could not be asked. */
static inline void presence_fail(struct presence *presence)
{
    presence->since = 0;
}

/* The count to go by, when it was `known` and is now said to be `told`. Behind a failure nobody
 * knows how long the others have had to say that they are there: they are not fewer yet. */
int64_t presence_take(struct presence *presence, instant now, int64_t known, int64_t told);
