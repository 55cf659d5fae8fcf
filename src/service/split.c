#include "service/split.h"

#include <string.h>

#define WHOLE ((uint64_t)1 << 53)

void split_init(struct split *split, const uint64_t *seeds, size_t count)
{
    double shares[SPLIT_MAX] = {1};
    memset(split, 0, sizeof *split);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = split->count++;
        for (; at > 0 && split->seeds[at - 1] > seeds[i]; at--) {
            split->seeds[at] = split->seeds[at - 1];
            split->places[at] = split->places[at - 1];
        }
        split->seeds[at] = seeds[i];
        split->places[at] = i;
    }
    split_set(split, shares);
}

static uint32_t find_only(const struct split *split, const double *shares)
{
    uint32_t only = SPLIT_MAX;
    for (uint32_t i = 0; i < split->count; i++) {
        if (shares[i] > 0 && only != SPLIT_MAX)
            return SPLIT_MAX;
        only = shares[i] > 0 ? i : only;
    }
    return only;
}

/* Whoever reads a new bound sees the odd turn before it, and so reads again. */
void split_set(struct split *split, const double *shares)
{
    uint32_t turn = atomic_load_explicit(&split->turn, memory_order_relaxed);
    double left = 0;
    for (uint32_t i = 0; i < split->count; i++)
        left += shares[i];
    atomic_store_explicit(&split->turn, turn + 1, memory_order_relaxed);
    for (uint32_t i = 0; i < split->count; i++) {
        double share = shares[split->places[i]], part = left > 0 ? share / left : 0;
        uint64_t bound = part > 0.999999999 ? WHOLE : (uint64_t)(part * (double)WHOLE);
        atomic_store_explicit(&split->bounds[i], bound, memory_order_release);
        left -= share;
    }
    atomic_store_explicit(&split->only, find_only(split, shares), memory_order_relaxed);
    atomic_store_explicit(&split->turn, turn + 2, memory_order_release);
}

/* The finalizer of a 64-bit hash: every bit of the user and of the seed moves every bit. */
static uint64_t mix(uint64_t user, uint64_t seed)
{
    uint64_t x = user ^ seed;
    x = (x ^ x >> 33) * 0xff51afd7ed558ccdu;
    x = (x ^ x >> 33) * 0xc4ceb9fe1a85ec53u;
    return x ^ x >> 33;
}

static uint32_t pick(const struct split *split, uint64_t user)
{
    uint32_t last = split->places[0];
    for (uint32_t i = 0; i < split->count; i++) {
        uint64_t bound = atomic_load_explicit(&split->bounds[i], memory_order_acquire);
        if (bound == 0)
            continue;
        last = split->places[i];
        if (mix(user, split->seeds[i]) >> 11 < bound)
            return last;
    }
    return last; /* rounding left a hair's breadth */
}

uint32_t split_pick(const struct split *split, uint64_t user)
{
    for (;;) {
        uint32_t turn = atomic_load_explicit(&split->turn, memory_order_acquire);
        uint32_t place = pick(split, user);
        if (!(turn & 1) && atomic_load_explicit(&split->turn, memory_order_relaxed) == turn)
            return place;
    }
}
