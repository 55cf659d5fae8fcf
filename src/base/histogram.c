#include "base/histogram.h"

static uint64_t load(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

void histogram_init(struct histogram *histogram)
{
    atomic_store_explicit(&histogram->sum, 0, memory_order_relaxed);
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        atomic_store_explicit(&histogram->counts[i], 0, memory_order_relaxed);
}

void histogram_add(struct histogram *into, const struct histogram *from)
{
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        histogram_raise(&into->counts[i], load(&from->counts[i]));
    histogram_raise(&into->sum, load(&from->sum));
}

uint64_t histogram_count(const struct histogram *histogram)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        count += load(&histogram->counts[i]);
    return count;
}

uint64_t histogram_sum(const struct histogram *histogram)
{
    return load(&histogram->sum);
}

int64_t histogram_lowest(unsigned bucket)
{
    if (bucket == 0)
        return 0;
    unsigned log = HISTOGRAM_FIRST_LOG + (bucket - 1) / HISTOGRAM_PARTS;
    int64_t part = (bucket - 1) % HISTOGRAM_PARTS;
    return (HISTOGRAM_PARTS + part) << (log - HISTOGRAM_PARTS_LOG);
}

int64_t histogram_middle(unsigned bucket)
{
    if (bucket == HISTOGRAM_BUCKETS - 1)
        return histogram_lowest(bucket);
    return histogram_lowest(bucket) + (histogram_lowest(bucket + 1) - histogram_lowest(bucket)) / 2;
}

/* The counters move while they are read, so the walk also ends at the last bucket that had any. */
int64_t histogram_percentile(const struct histogram *histogram, double percent)
{
    uint64_t count = histogram_count(histogram), seen = 0;
    double rank = (double)count * (percent < 0 ? 0 : percent > 100 ? 100 : percent) / 100;
    int64_t duration = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        uint64_t here = load(&histogram->counts[i]);
        if (!here)
            continue;
        duration = histogram_middle(i);
        seen += here;
        if ((double)seen >= rank)
            break;
    }
    return duration;
}

uint64_t histogram_count_within(const struct histogram *histogram, int64_t duration)
{
    uint64_t count = 0;
    for (unsigned i = 0; i + 1 < HISTOGRAM_BUCKETS && histogram_lowest(i + 1) - 1 <= duration; i++)
        count += load(&histogram->counts[i]);
    return count;
}
