/* The durable store: a file of this machine (durable_file.h), behind one thread that alone touches
 * it.
 *
 * A fiber hands its question to that thread and waits. The thread carries out all that have come
 * meanwhile as one step, and answers them once that is on the disk: whoever has an answer finds it
 * again after a crash. If the step cannot be made, each is tried by itself, so that only those fail
 * that have to. A question that has run out of time before it was begun is not begun:
 * STORE_UNAVAILABLE. */
#pragma once

#include "config/option.h"
#include "store/state_options.h"
#include "store/store.h"
#include "store/stores.h"

/* The store in the file that the options name, shared with the snapshot before when they are the
 * same; released with the reader's arena. On the control thread. INVALID after a complaint,
 * NO_MEMORY. */
enum status durable_obtain(struct stores *stores, struct reader *reader,
    const struct state_options *options, struct store **ret_store);

/* For stores.c: tells the operator when the file began to fail, or does so no more. */
struct durable;
void durable_tell(struct durable *durable);
int64_t durable_bytes(const struct durable *durable); /* that it takes on the disk */
struct durable *durable_of_node(struct list *node);
