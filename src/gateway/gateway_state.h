/* The inside of the gateway, for this folder only. Touched by the control thread alone. */
#pragma once

#include "gateway/foundation.h"
#include "gateway/gateway.h"

/* How the newest attempt to load went, for metrics and status. */
struct reload_facts {
    bool succeeded;
    uint64_t attempts, failures;
    int64_t when; /* wall-clock nanoseconds */
};

struct gateway {
    struct foundation foundation; /* registry, metrics, shards, plane */
    struct slice path;            /* owned text */
    struct worker *workers;       /* owned */
    struct loop **loops;          /* of the workers */
    unsigned worker_count;
    unsigned started; /* workers whose threads run */
    struct share_group *group;
    struct snapshot *snapshot; /* what the workers serve; they hold it */
    struct access_log *log;
    struct log_options log_options;  /* what `log` was made from; the text is log_target */
    char *log_target;                /* owned */
    struct listener **listeners;     /* owned, ends with NULL */
    struct inheritance *inheritance; /* borrowed; or NULL */
    uint64_t generation;
    instant began;
    bool is_draining;
    bool is_reloading;
    struct wait_queue turn; /* reloads that wait for one another */
    struct reload_facts reload;
    const struct gateway_hooks *hooks; /* borrowed; or NULL */
    void *hooks_argument;
    struct process_metrics *process; /* owned */
    unsigned published;              /* snapshots that somebody still holds */
    struct wait_queue retired;       /* one fewer */
};
