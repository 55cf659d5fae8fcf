#include "base/metrics_core.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/must.h"
#include "base/utf8.h"

#define SERIES_DEFAULT 65536
#define CACHE_LINE     64

const struct bucket metrics_buckets[BUCKETS] = {
    {500000, "0.0005"},
    {1000000, "0.001"},
    {2500000, "0.0025"},
    {5000000, "0.005"},
    {10000000, "0.01"},
    {25000000, "0.025"},
    {50000000, "0.05"},
    {100000000, "0.1"},
    {250000000, "0.25"},
    {500000000, "0.5"},
    {1000000000, "1"},
    {2500000000, "2.5"},
    {5000000000, "5"},
    {10000000000, "10"},
    {30000000000, "30"},
    {60000000000, "60"},
};

static uint32_t index_size(uint32_t series_max)
{
    uint32_t size = 64;
    while (size / 2 < series_max)
        size *= 2;
    return size;
}

enum status metrics_new(uint32_t series_max, struct metrics **ret_metrics)
{
    struct metrics *metrics = calloc(1, sizeof *metrics);
    if (!metrics)
        return NO_MEMORY;
    metrics->max = series_max ? series_max : SERIES_DEFAULT;
    must(metrics->max <= 1u << 24);
    uint32_t slots = index_size(metrics->max);
    metrics->index_mask = slots - 1;
    metrics->index = calloc(slots, sizeof *metrics->index);
    metrics->series = calloc(metrics->max, sizeof *metrics->series);
    if (!metrics->index || !metrics->series) {
        free(metrics->index);
        free(metrics->series);
        free(metrics);
        return NO_MEMORY;
    }
    pthread_mutex_init(&metrics->lock, NULL);
    pthread_mutex_init(&metrics->exporting, NULL);
    arena_init(&metrics->arena, 16384, 0);
    metrics->labels = text_growing(0);
    /* METRIC_OVERFLOW is as wide as a histogram, so that any series may turn out to be it. */
    metrics->next_cell = HISTOGRAM_CELLS;
    uint64_t usable = CHUNK_CELLS - HISTOGRAM_CELLS + 1;
    metrics->chunk_count = (uint32_t)((metrics->max + 1) * (uint64_t)HISTOGRAM_CELLS / usable) + 1;
    *ret_metrics = metrics;
    return OK;
}

static void free_shard(const struct metrics *metrics, struct metrics_shard *shard)
{
    for (uint32_t i = 0; i < metrics->chunk_count; i++)
        free(atomic_load_explicit(&shard->chunks[i], memory_order_relaxed));
    free(shard);
}

void metrics_free(struct metrics *metrics)
{
    if (!metrics)
        return;
    struct metrics_shard *shard = atomic_load(&metrics->shards);
    while (shard) {
        struct metrics_shard *next = shard->next;
        free_shard(metrics, shard);
        shard = next;
    }
    text_release(&metrics->labels);
    arena_release(&metrics->arena);
    pthread_mutex_destroy(&metrics->lock);
    pthread_mutex_destroy(&metrics->exporting);
    free(metrics->series);
    free(metrics->index);
    free(metrics);
}

static struct chunk *add_chunk(struct metrics_shard *shard, uint32_t at)
{
    struct chunk *chunk = aligned_alloc(CACHE_LINE, sizeof *chunk);
    if (!chunk)
        return NULL;
    for (uint32_t i = 0; i < CHUNK_CELLS; i++)
        atomic_init(&chunk->cells[i], 0);
    atomic_store_explicit(&shard->chunks[at], chunk, memory_order_release);
    return chunk;
}

enum status metrics_shard_new(struct metrics *metrics, struct metrics_shard **ret_shard)
{
    struct metrics_shard *shard =
        calloc(1, sizeof *shard + metrics->chunk_count * sizeof shard->chunks[0]);
    if (!shard)
        return NO_MEMORY;
    if (!add_chunk(shard, 0)) {
        free(shard);
        return NO_MEMORY;
    }
    pthread_mutex_lock(&metrics->lock);
    shard->next = atomic_load_explicit(&metrics->shards, memory_order_relaxed);
    atomic_store_explicit(&metrics->shards, shard, memory_order_release);
    pthread_mutex_unlock(&metrics->lock);
    *ret_shard = shard;
    return OK;
}

/* --- registration */

/* How much of it stands for itself: nearly always all. */
static size_t plain_size(struct slice value)
{
    size_t size = 0;
    while (size < value.size && value.data[size] >= ' ' && value.data[size] != '"' &&
           value.data[size] != '\\')
        size++;
    return size;
}

/* A label value as Prometheus reads it; bytes that are not UTF-8 become U+FFFD. */
static void add_label_value(struct text *text, struct slice value)
{
    while (value.size) {
        size_t plain = plain_size(value);
        text_add(text, slice_head(value, plain));
        value = slice_from(value, plain);
        if (!value.size)
            return;
        char c = value.data[0];
        size_t size = utf8_size(value);
        if (c == '\\' || c == '"') {
            text_add_char(text, '\\');
            text_add_char(text, c);
        } else if (c == '\n') {
            text_add_literal(text, "\\n");
        } else if (size) {
            text_add(text, slice_head(value, size));
        } else {
            text_add_literal(text, "\xEF\xBF\xBD");
        }
        value = slice_from(value, size ? size : 1);
    }
}

void metrics_add_labels(
    struct text *text, const struct metric_family *family, const struct slice *values)
{
    for (int i = 0; i < METRIC_LABELS_MAX && family->labels[i]; i++) {
        if (i)
            text_add_char(text, ',');
        text_add(text, slice_of_text(family->labels[i]));
        text_add_literal(text, "=\"");
        add_label_value(text, values[i]);
        text_add_char(text, '"');
    }
}

/* The slot of the index where that series is, or where it would go. */
static uint32_t *find_slot(
    struct metrics *metrics, const struct metric_family *family, struct slice labels)
{
    uint64_t at = hash_bytes_seeded(labels, (uint64_t)(uintptr_t)family);
    for (;; at++) {
        uint32_t *slot = &metrics->index[at & metrics->index_mask];
        if (*slot == 0)
            return slot;
        const struct series *series = metrics->series[*slot - 1];
        if (series->family == family && slice_equal(series->labels, labels))
            return slot;
    }
}

static uint32_t take_cells(struct metrics *metrics, enum metric_kind kind)
{
    uint32_t size = kind == METRIC_HISTOGRAM ? HISTOGRAM_CELLS : 1;
    uint32_t left = CHUNK_CELLS - metrics->next_cell % CHUNK_CELLS;
    if (size > left)
        metrics->next_cell += left;
    uint32_t cell = metrics->next_cell;
    metrics->next_cell += size;
    return cell;
}

static uint32_t add_series(struct metrics *metrics, uint32_t *slot,
    const struct metric_family *family, struct slice labels)
{
    if (metrics->count == metrics->max)
        return METRIC_OVERFLOW;
    struct series *series = arena_new(&metrics->arena, struct series);
    struct slice copy = arena_copy(&metrics->arena, labels);
    if (!series || !copy.data)
        return METRIC_OVERFLOW;
    *series = (struct series){family, copy, take_cells(metrics, family->kind)};
    metrics->series[metrics->count++] = series;
    *slot = metrics->count;
    return series->cell;
}

uint32_t metrics_series(
    struct metrics *metrics, const struct metric_family *family, const struct slice *values)
{
    uint32_t cell = METRIC_OVERFLOW;
    pthread_mutex_lock(&metrics->lock);
    text_clear(&metrics->labels);
    metrics_add_labels(&metrics->labels, family, values);
    if (!metrics->labels.failed) {
        struct slice labels = text_slice(&metrics->labels);
        uint32_t *slot = find_slot(metrics, family, labels);
        cell = *slot ? metrics->series[*slot - 1]->cell : add_series(metrics, slot, family, labels);
    }
    metrics->dropped += cell == METRIC_OVERFLOW;
    pthread_mutex_unlock(&metrics->lock);
    return cell;
}

void metrics_add_collector(struct metrics *metrics,
    void (*collect)(void *argument, struct metrics *metrics), void *argument)
{
    pthread_mutex_lock(&metrics->lock);
    struct collector *collector = arena_new(&metrics->arena, struct collector);
    if (collector) {
        *collector = (struct collector){collect, argument, metrics->collectors};
        metrics->collectors = collector;
    }
    pthread_mutex_unlock(&metrics->lock);
}

void metrics_add_reader(struct metrics *metrics, const struct metric_family *family,
    metric_reader *read, void *argument)
{
    pthread_mutex_lock(&metrics->exporting);
    pthread_mutex_lock(&metrics->lock);
    struct reader_of_family *reader = arena_new(&metrics->arena, struct reader_of_family);
    if (reader) {
        struct reader_of_family **at = &metrics->readers;
        while (*at && strcmp((*at)->family->name, family->name) < 0)
            at = &(*at)->next;
        *reader = (struct reader_of_family){family, read, argument, *at};
        *at = reader;
    }
    pthread_mutex_unlock(&metrics->lock);
    pthread_mutex_unlock(&metrics->exporting);
}

/* --- writing: the shard's thread alone, so a load and a store do instead of a locked add */

static _Atomic uint64_t *cells_of(struct metrics_shard *shard, uint32_t series)
{
    uint32_t at = series / CHUNK_CELLS;
    struct chunk *chunk = atomic_load_explicit(&shard->chunks[at], memory_order_relaxed);
    if (__builtin_expect(!chunk, 0)) {
        chunk = add_chunk(shard, at);
        if (!chunk) /* counts where nothing is shown */
            return atomic_load_explicit(&shard->chunks[0], memory_order_relaxed)->cells;
    }
    return &chunk->cells[series % CHUNK_CELLS];
}

static void cell_set(_Atomic uint64_t *cell, uint64_t value)
{
    atomic_store_explicit(cell, value, memory_order_relaxed);
}

static uint64_t cell_get(const _Atomic uint64_t *cell)
{
    return atomic_load_explicit(cell, memory_order_relaxed);
}

void metric_add(struct metrics_shard *shard, uint32_t series, uint64_t n)
{
    _Atomic uint64_t *cell = cells_of(shard, series);
    cell_set(cell, cell_get(cell) + n);
}

void metric_set(struct metrics_shard *shard, uint32_t series, int64_t value)
{
    cell_set(cells_of(shard, series), (uint64_t)value);
}

/* The first bucket that holds it, or BUCKETS: a binary search without a branch to mispredict. */
static unsigned bucket_of(int64_t nanoseconds)
{
    _Static_assert(BUCKETS == 16, "the steps below are for sixteen");
    unsigned at = 8 * (nanoseconds > metrics_buckets[7].bound);
    at += 4 * (nanoseconds > metrics_buckets[at + 3].bound);
    at += 2 * (nanoseconds > metrics_buckets[at + 1].bound);
    at += nanoseconds > metrics_buckets[at].bound;
    return at + (nanoseconds > metrics_buckets[15].bound);
}

void metric_observe(struct metrics_shard *shard, uint32_t series, int64_t nanoseconds)
{
    _Atomic uint64_t *cells = cells_of(shard, series);
    if (nanoseconds < 0)
        nanoseconds = 0;
    unsigned at = bucket_of(nanoseconds);
    cell_set(&cells[CELL_COUNT], cell_get(&cells[CELL_COUNT]) + 1);
    cell_set(&cells[CELL_SUM], cell_get(&cells[CELL_SUM]) + (uint64_t)nanoseconds);
    if (at < BUCKETS)
        cell_set(&cells[CELL_BUCKETS + at], cell_get(&cells[CELL_BUCKETS + at]) + 1);
}

/* --- reading */

void metrics_sum(const struct metrics *metrics, uint32_t cell, uint64_t *sums, unsigned count)
{
    memset(sums, 0, count * sizeof *sums);
    const struct metrics_shard *shard =
        atomic_load_explicit(&metrics->shards, memory_order_acquire);
    for (; shard; shard = shard->next) {
        const struct chunk *chunk =
            atomic_load_explicit(&shard->chunks[cell / CHUNK_CELLS], memory_order_acquire);
        for (unsigned i = 0; chunk && i < count; i++)
            sums[i] += cell_get(&chunk->cells[cell % CHUNK_CELLS + i]);
    }
}

uint64_t metrics_value(const struct metrics *metrics, uint32_t series)
{
    uint64_t sum;
    metrics_sum(metrics, series, &sum, 1);
    return sum;
}
