/* The inside of durable.h, for its two files: durable.c, what fibers and the control thread do, and
 * durable_writer.c, what the thread does. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/list.h"
#include "run/mailbox.h"
#include "store/durable_file.h"
#include "store/store_ops.h"
#include "store/stores.h"

enum durable_stage {
    DURABLE_WAITING, /* in the queue */
    DURABLE_BEGUN,
    DURABLE_LEFT /* by the fiber, before it was begun */
};

/* A question on its way, with copies of all that it is about: the fiber that asks may be gone. */
struct durable_job {
    struct message message; /* the answer */
    struct list node;       /* in the queue, or a batch */
    _Atomic unsigned users; /* the fiber and the thread */
    _Atomic int stage;      /* enum durable_stage */
    struct fiber *fiber;    /* of the worker; NULL: it has gone on */
    bool is_done;           /* of the worker */
    struct store_question question;
    struct store_program program;
    int64_t arguments[STORE_ARGUMENTS_MAX];
    enum status result;
    char *there; /* owned; NULL: none is told */
    size_t size; /* of `bytes` */
    char bytes[];
};

struct durable {
    struct store store;    /* first */
    struct stores *stores; /* borrowed */
    struct list node;      /* in the stores' list */
    struct store_clock clock;
    char *path; /* owned */
    int64_t timeout, pending_max;
    struct durable_file *file; /* owned; the thread's once that runs */
    pthread_t thread;
    bool is_told; /* of the control thread: the operator knows that it fails */

    pthread_mutex_t mutex; /* of what follows */
    pthread_cond_t changed;
    struct list queue;
    int64_t pending;
    size_t pending_bytes;
    bool is_over;
    bool is_failing;
    char trouble[DURABLE_TROUBLE_SIZE];
};

void durable_job_unref(struct durable_job *job);

/* The thread, until the store is over and nobody waits. */
void *durable_write(void *argument);
