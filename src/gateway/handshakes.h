/* TLS handshakes of clients: counted, and those that failed logged, a few a second. A worker's. */
#pragma once

#include "base/metrics.h"
#include "gateway/access_log.h"
#include "gateway/entrance.h"
#include "run/stream.h"

#define FAILED_HANDSHAKES_LOGGED 10 /* a second and worker; others are only counted */

struct handshakes {
    struct metrics *metrics;     /* borrowed */
    struct metrics_shard *shard; /* borrowed: the worker's */
    unsigned worker;
    int64_t second; /* in which `logged` lines were written */
    unsigned logged;
};

/* A connection that could not even begin with one, or with a request. */
void handshakes_refuse(struct handshakes *handshakes, struct access_log *log,
    const struct entrance *entrance, struct stream *stream, enum status reason);

/* One has ended with `result`. `stream` is the connection, on which TLS may not even have begun. */
void handshakes_count(struct handshakes *handshakes, struct access_log *log,
    const struct entrance *entrance, struct stream *stream, enum status result);
