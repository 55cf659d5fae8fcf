#include "service/pace.h"

#include <stdlib.h>
#include <string.h>

#define RELAXED   memory_order_relaxed
#define HALF_LIFE (10 * SECOND)
#define LOOK_EACH (100 * MILLISECOND)

struct pace *pace_new(struct slice name, double share)
{
    struct pace *pace = calloc(1, sizeof *pace + name.size);
    if (!pace)
        return NULL;
    if (name.size)
        memcpy(pace + 1, name.data, name.size);
    pace->name = slice_of((const char *)(pace + 1), name.size);
    pace->share = share;
    return pace;
}

/* True for one of those who see that it is time; `*at` is `next` then. */
static bool is_mine(_Atomic int64_t *at, int64_t seen, int64_t next)
{
    return atomic_compare_exchange_strong_explicit(at, &seen, next, RELAXED, RELAXED);
}

static void halve(struct pace *pace, int64_t times)
{
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        uint32_t count = atomic_load_explicit(&pace->counts[i], RELAXED);
        if (count)
            atomic_store_explicit(&pace->counts[i], times < 32 ? count >> times : 0, RELAXED);
    }
}

static void forget(struct pace *pace, instant now)
{
    int64_t halved = atomic_load_explicit(&pace->halved, RELAXED);
    if (now - halved < HALF_LIFE)
        return;
    int64_t times = (now - halved) / HALF_LIFE;
    if (is_mine(&pace->halved, halved, halved + times * HALF_LIFE))
        halve(pace, times);
}

void pace_note(struct pace *pace, instant now, int64_t took)
{
    forget(pace, now);
    atomic_fetch_add_explicit(&pace->counts[histogram_bucket(took)], 1, RELAXED);
}

static int64_t find(const struct pace *pace)
{
    uint32_t counts[HISTOGRAM_BUCKETS];
    uint64_t all = 0, seen = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        all += counts[i] = atomic_load_explicit(&pace->counts[i], RELAXED);
    if (all < PACE_LEAST)
        return 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += counts[i];
        if ((double)seen >= pace->share * (double)all)
            return histogram_middle(i);
    }
    return histogram_middle(HISTOGRAM_BUCKETS - 1);
}

int64_t pace_time(struct pace *pace, instant now)
{
    int64_t looked = atomic_load_explicit(&pace->looked, RELAXED);
    if (now - looked >= LOOK_EACH && is_mine(&pace->looked, looked, now)) {
        forget(pace, now);
        atomic_store_explicit(&pace->time, find(pace), RELAXED);
    }
    return atomic_load_explicit(&pace->time, RELAXED);
}
