/* The inside of the gateway, for this folder only. Touched by the control thread alone. */
#pragma once

#include "gateway/foundation.h"
#include "gateway/gateway.h"
#include "gateway/tls_keeper.h"

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
    struct round_order *orders;   /* owned: one for each worker, so that sending them cannot fail */
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
    bool is_open; /* the workers accept */
    bool is_draining;
    bool is_replaced; /* by another process, which has the listeners */
    struct gateway_lineage lineage;
    bool is_reloading;
    struct wait_queue turn; /* reloads that wait for one another */
    struct reload_facts reload;
    const struct gateway_hooks *hooks; /* borrowed; or NULL */
    void *hooks_argument;
    struct text early;               /* notices from before there were hooks, each with its NUL */
    struct process_metrics *process; /* owned */
    struct tls_keeper *keeper;       /* owned */
    struct acme_follow *acme;        /* owned; NULL: no certificates are got */
    unsigned published;              /* snapshots that somebody still holds */
    struct wait_queue retired;       /* one fewer */
};

/* Takes over what is noted in the inheritance, before anything is served. */
void gateway_restore(struct gateway *gateway);
void gateway_restore_knowledge(struct gateway *gateway); /* once there is a plane */

/* Sends `pattern` to all workers and waits until they have done it. It does not heed cancellation.
 */
enum status gateway_order_all(struct gateway *gateway, const struct order *pattern);

/* Closes those in `shut`, which ends with NULL; `kept` is what stays. Whoever connected to a
 * listener that goes away is still served: the last worker to leave takes what waits in its queue.
 */
enum status gateway_shut_listeners(
    struct gateway *gateway, struct listener **shut, struct listener *const *kept);
