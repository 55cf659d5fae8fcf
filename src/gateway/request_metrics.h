/* What is counted for every answer. A worker remembers the series of the combinations that it has
 * seen lately, so that counting is a look-up and a few additions. */
#pragma once

#include "base/metrics.h"
#include "http/exchange.h"

#define REQUEST_SERIES_KEPT 1024 /* a power of two */

struct request_series {
    const void *route, *listener; /* by address: belong to one snapshot */
    uint32_t code;
    uint32_t method;
    uint32_t service; /* its number: of a route to versions there are several */
    uint32_t requests, duration, received, sent; /* series */
    uint32_t reasons;                            /* the series of `reason`, unless that is OK */
    enum status reason;                          /* the newest */
    uint32_t calls;                              /* the series of `call_status`; 0: none yet */
    enum grpc_status call_status;                /* the newest */
};

struct request_metrics {
    struct metrics *metrics;     /* borrowed */
    struct metrics_shard *shard; /* borrowed */
    struct request_series *kept; /* owned: REQUEST_SERIES_KEPT of them */
};

enum status request_metrics_init(
    struct request_metrics *requests, struct metrics *metrics, struct metrics_shard *shard);
void request_metrics_release(struct request_metrics *requests);

/* The addresses in the table are about to mean something else: a new snapshot. */
void request_metrics_forget(struct request_metrics *requests);

/* One exchange is over. `route` identifies the route (any address that is its own), NULL when there
 * was none. */
void request_metrics_count(
    struct request_metrics *requests, const struct exchange *x, const void *route);
