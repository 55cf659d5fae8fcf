/* What metrics are made of. For metrics.c and metrics_export.c only.
 *
 * A series' number is the place of its first *cell* in every shard: so an add looks nothing up.
 * Cells lie in chunks that never move; a shard takes a chunk when its thread first writes there. A
 * counter or gauge has one cell, a histogram HISTOGRAM_CELLS in a row: observations in all, their
 * sum in nanoseconds, and one for each bucket below. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/arena.h"
#include "base/metrics.h"

#define CHUNK_CELLS     4096
#define BUCKETS         16
#define CELL_COUNT      0
#define CELL_SUM        1
#define CELL_BUCKETS    2
#define HISTOGRAM_CELLS (CELL_BUCKETS + BUCKETS)

struct bucket {
    int64_t bound; /* nanoseconds, inclusive */
    const char *text;
};

extern const struct bucket metrics_buckets[BUCKETS];

struct chunk {
    _Atomic uint64_t cells[CHUNK_CELLS];
};

struct metrics_shard {
    struct metrics_shard *next; /* in metrics->shards; set before it is published */
    struct chunk *_Atomic chunks[];
};

struct series {
    const struct metric_family *family; /* borrowed: static */
    struct slice labels;                /* as they are exported: a="b",c="d" */
    uint32_t cell;
};

struct collector {
    void (*collect)(void *argument, struct metrics *metrics);
    void *argument;
    struct collector *next;
};

/* Of a family that is not kept. */
struct reader_of_family {
    const struct metric_family *family; /* borrowed: static */
    metric_reader *read;
    void *argument;
    struct reader_of_family *next;
};

struct metrics {
    pthread_mutex_t lock; /* over what follows, but for the shards */
    pthread_mutex_t
        exporting;          /* one export at a time, so that a collector's shard has one writer */
    struct arena arena;     /* owned: series, labels, collectors */
    struct series **series; /* in the order of their registration */
    uint32_t count, max;
    uint32_t *index; /* owned: hash table of places in `series` + 1; 0: free */
    uint32_t index_mask;
    uint32_t next_cell;
    struct text labels; /* owned: scratch of metrics_series */
    struct collector *collectors;
    struct reader_of_family *readers; /* by the families' names */
    uint64_t dropped;
    uint32_t chunk_count;
    struct metrics_shard *_Atomic shards; /* owned: a list that only grows */
};

/* All labels of a family with these values, as Prometheus reads them: a="b",c="d". */
void metrics_add_labels(
    struct text *text, const struct metric_family *family, const struct slice *values);

/* Adds up the shards' cells, `count` from `cell` on. */
void metrics_sum(const struct metrics *metrics, uint32_t cell, uint64_t *sums, unsigned count);
