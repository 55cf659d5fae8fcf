/* A Redis or Valkey server as a store: a connection for each worker, on which the commands of all
 * its fibers go out together and are answered in turn (pipelining).
 *
 * A worker's connection is kept by a fiber of its own, from when the worker joins to when nobody
 * has the store any more. While it is being made for the first time callers wait for it, within
 * their deadlines; once it has failed nobody does until it stands again. A connection on which the
 * oldest command has waited for longer than the timeout is *stalled*: new callers are told at once,
 * and when nothing comes for `connect-timeout` it is made anew, after pauses that grow. */
#pragma once

#include "config/option.h"
#include "store/redis_options.h"
#include "store/store.h"
#include "store/stores.h"

/* The store that the options say, shared with the snapshot before when they are the same; released
 * with the reader's arena. On the control thread. INVALID after a complaint, NO_MEMORY. */
enum status redis_obtain(struct stores *stores, struct reader *reader,
    const struct redis_options *options, struct store **ret_store);
