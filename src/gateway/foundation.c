#include "gateway/foundation.h"

#include "gateway/snapshot.h"

#include <sched.h>
#include <stdlib.h>

#include "acme/answers.h"
#include "run/loop.h"

#define WORKERS_MAX 1024

unsigned foundation_processor_count(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set))
        return 1;
    return (unsigned)CPU_COUNT(&set);
}

unsigned foundation_worker_count(struct slice path)
{
    struct arena arena;
    struct diagnostics diagnostics;
    struct node *root;
    uint64_t workers = 0;
    arena_init(&arena, 0, 0);
    diagnostics_init(&diagnostics, &arena);
    if (!tree_read_path(&arena, path, NULL, &diagnostics, &root)) {
        const struct node *node = node_get(root, SLICE("workers"));
        if (!node || node->kind != NODE_SCALAR || !slice_to_u64(node->text, &workers))
            workers = 0;
    }
    arena_release(&arena);
    return workers && workers <= WORKERS_MAX ? (unsigned)workers : foundation_processor_count();
}

enum status foundation_init(struct foundation *foundation, unsigned workers)
{
    *foundation = (struct foundation){.workers = workers};
    foundation->registry = registry_new();
    foundation->shards = calloc(workers + 1, sizeof(struct metrics_shard *));
    foundation->tickets = tls_tickets_new();
    foundation->answers = acme_answers_new();
    if (!foundation->registry || !foundation->shards || !foundation->tickets ||
        !foundation->answers)
        return NO_MEMORY;
    enum status e = metrics_new(0, &foundation->metrics);
    for (unsigned i = 0; !e && i <= workers; i++)
        e = metrics_shard_new(foundation->metrics, &foundation->shards[i]);
    return e;
}

static void hold_snapshot(void *pinned, unsigned worker)
{
    snapshot_pin(pinned, worker);
}

static void let_go_of_snapshot(void *pinned, unsigned worker)
{
    snapshot_unpin(pinned, worker);
}

enum status foundation_connect(struct foundation *foundation, struct loop *const *loops,
    void (*notice)(void *argument, const char *text), void *argument)
{
    struct service_plane_options options = {.registry = foundation->registry,
        .metrics = foundation->metrics,
        .workers = loops ? foundation->workers : 0,
        .worker_loops = loops,
        .shards = foundation->shards,
        .control_loop = loops ? loop_current() : NULL,
        .control_shard = foundation->shards[foundation->workers],
        .notice = notice,
        .notice_argument = argument,
        .hold = hold_snapshot,
        .let_go = let_go_of_snapshot};
    enum status e = service_plane_new(&options, &foundation->plane);
    return e ? e : stores_new(foundation->plane, &foundation->stores);
}

void foundation_release(struct foundation *foundation)
{
    stores_free(foundation->stores);
    if (foundation->plane)
        service_plane_free(foundation->plane);
    if (foundation->metrics)
        metrics_free(foundation->metrics);
    if (foundation->registry)
        registry_free(foundation->registry);
    tls_tickets_free(foundation->tickets);
    acme_answers_free(foundation->answers);
    free(foundation->shards);
}

struct snapshot_context foundation_context(const struct foundation *foundation)
{
    return (struct snapshot_context){.registry = foundation->registry,
        .metrics = foundation->metrics,
        .shards = foundation->shards,
        .plane = foundation->plane,
        .stores = foundation->stores,
        .tickets = foundation->tickets,
        .answers = foundation->answers,
        .workers = foundation->workers};
}
