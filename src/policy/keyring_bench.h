/* What requests wait at while the keys of a keyring are fetched: a queue for each worker, woken by
 * a message when a fetch has ended. Part of the keyring.
 *
 * It is counted, since a message may still be on its way to a worker when the keyring goes: the
 * keyring and each such message count. */
#pragma once

#include <stdatomic.h>

#include "run/mailbox.h"
#include "run/wait.h"

struct keyring_bench;
struct service_plane;

/* One worker's waiting requests, and the message that wakes them. */
struct keyring_seat {
    _Alignas(64) struct wait_queue waiting; /* of the worker's fibers */
    struct message message;
    struct keyring_bench *bench;
    _Atomic bool is_posted;
};

struct keyring_bench {
    _Atomic unsigned users;
    _Atomic uint32_t turn; /* moves when a fetch begins (becomes odd) and when it ends (even) */
    unsigned workers;
    struct keyring_seat seats[];
};

struct keyring_bench *keyring_bench_new(unsigned workers); /* NULL: no memory */
void keyring_bench_unref(struct keyring_bench *bench);     /* NULL is fine */

/* Wakes whoever waits, on all workers. On the control thread. */
void keyring_bench_wake(struct keyring_bench *bench, struct service_plane *plane);
