/* A PostgreSQL server as a store: one table of keys, values and ends, by the module weir-postgres
 * (store/postgres_driver.h).
 *
 * Each worker has a few connections, each kept by a fiber of its own from when the worker joins to
 * when nobody has the store any more. A question has one of them to itself, for one round trip (a
 * script in C for two: the row is locked, the script runs here, what it leaves is written).
 * Questions that find all busy wait in a line. While the connections are being made for the first
 * time callers wait for them, within their deadlines; once that has failed nobody does until one
 * stands again. A connection on which the answer is missing for longer than the timeout is
 * *stalled*, and counts as none; when nothing comes for `connect-timeout` it is made anew, after
 * pauses that grow.
 *
 * It is the server's clock that says when something has ended: now() at the beginning of a
 * statement, so all gateways agree. Who adds to a key of which the row has ended puts his own in
 * its place. Rows that have ended are taken out by one gateway at a time, a few in a step.
 *
 * Messages (store_publish) are not carried by it: they are heard in this process alone. */
#pragma once

#include "config/option.h"
#include "store/postgres_options.h"
#include "store/store.h"
#include "store/stores.h"

/* The store that the options say, shared with the snapshot before when they are the same; released
 * with the reader's arena. On the control thread. INVALID after a complaint (the module is not
 * installed), NO_MEMORY. */
enum status postgres_obtain(struct stores *stores, struct reader *reader,
    const struct postgres_options *options, struct store **ret_store);
