#include "policy/keyring_bench.h"

#include <stdlib.h>
#include <string.h>

#include "service/plane.h"

struct keyring_bench *keyring_bench_new(unsigned workers)
{
    size_t size = sizeof(struct keyring_bench) + workers * sizeof(struct keyring_seat);
    struct keyring_bench *bench =
        aligned_alloc(_Alignof(struct keyring_seat), (size + 63) / 64 * 64);
    if (!bench)
        return NULL;
    memset(bench, 0, size);
    atomic_init(&bench->users, 1);
    bench->workers = workers;
    for (unsigned i = 0; i < workers; i++) {
        wait_queue_init(&bench->seats[i].waiting);
        bench->seats[i].bench = bench;
    }
    return bench;
}

void keyring_bench_unref(struct keyring_bench *bench)
{
    if (bench && atomic_fetch_sub(&bench->users, 1) == 1)
        free(bench);
}

/* On the worker. */
static void wake_seat(struct message *message)
{
    struct keyring_seat *seat = list_entry(message, struct keyring_seat, message);
    atomic_store(&seat->is_posted, false);
    wait_queue_wake_all(&seat->waiting);
    keyring_bench_unref(seat->bench);
}

void keyring_bench_wake(struct keyring_bench *bench, struct service_plane *plane)
{
    for (unsigned i = 0; i < bench->workers; i++) {
        struct keyring_seat *seat = &bench->seats[i];
        if (atomic_exchange(&seat->is_posted, true))
            continue; /* it comes after this, and so is good for this, too */
        seat->message.deliver = wake_seat;
        atomic_fetch_add(&bench->users, 1);
        if (!plane_post(plane, i, &seat->message))
            keyring_bench_unref(bench);
    }
}
