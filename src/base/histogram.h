/* Latency histograms: how often a duration came up, from 1 µs to 1000 s, to within about 3 %.
 *
 * The buckets are log-linear: each doubling of the duration is cut into 16 equal parts. What is
 * shorter or longer falls into the first or the last bucket. One thread records; any other may read
 * at the same time and sees each counter whole, though not all of them at one instant. It takes 4
 * KiB and no other memory. */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#define HISTOGRAM_PARTS_LOG 4
#define HISTOGRAM_PARTS     (1 << HISTOGRAM_PARTS_LOG)
#define HISTOGRAM_FIRST_LOG 10 /* 2^10 ns = 1.02 µs */
#define HISTOGRAM_LAST_LOG  40 /* 2^40 ns = 1100 s */
#define HISTOGRAM_BUCKETS   ((HISTOGRAM_LAST_LOG - HISTOGRAM_FIRST_LOG) * HISTOGRAM_PARTS + 2)

struct histogram {
    _Atomic uint64_t sum; /* nanoseconds */
    _Atomic uint64_t counts[HISTOGRAM_BUCKETS];
};

void histogram_init(struct histogram *histogram);

/* The bucket of a duration in nanoseconds. */
static inline unsigned histogram_bucket(int64_t duration)
{
    if (duration < (int64_t)1 << HISTOGRAM_FIRST_LOG)
        return 0;
    if (duration >= (int64_t)1 << HISTOGRAM_LAST_LOG)
        return HISTOGRAM_BUCKETS - 1;
    int log = 63 - __builtin_clzll((unsigned long long)duration);
    unsigned part = (unsigned)(duration >> (log - HISTOGRAM_PARTS_LOG)) & (HISTOGRAM_PARTS - 1);
    return 1 + (unsigned)(log - HISTOGRAM_FIRST_LOG) * HISTOGRAM_PARTS + part;
}

/* The duration in the middle of a bucket, nanoseconds. */
int64_t histogram_middle(unsigned bucket);

/* The shortest duration in a bucket, nanoseconds. */
int64_t histogram_lowest(unsigned bucket);

/* The writer's own counter needs no locked instruction. */
static inline void histogram_raise(_Atomic uint64_t *counter, uint64_t by)
{
    uint64_t old = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, old + by, memory_order_relaxed);
}

/* Counts one duration, nanoseconds; a negative one counts as 0. Only the writer's thread. */
static inline void histogram_record(struct histogram *histogram, int64_t duration)
{
    histogram_raise(&histogram->counts[histogram_bucket(duration)], 1);
    histogram_raise(&histogram->sum, duration > 0 ? (uint64_t)duration : 0);
}

/* Adds what `from` counted; `into` is the caller's. */
void histogram_add(struct histogram *into, const struct histogram *from);

/* How many were recorded, and their sum in nanoseconds. */
uint64_t histogram_count(const struct histogram *histogram);
uint64_t histogram_sum(const struct histogram *histogram);

/* The duration, nanoseconds, which `percent` (0 to 100) of those recorded do not exceed: the middle
 * of the bucket it falls in. 0 when nothing was recorded. */
int64_t histogram_percentile(const struct histogram *histogram, double percent);

/* How many lasted at most `duration`: whole buckets, so that a longer duration never counts fewer.
 * What lasted longer than 1100 s is only in histogram_count. */
uint64_t histogram_count_within(const struct histogram *histogram, int64_t duration);
