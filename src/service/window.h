/* Sliding windows: how many things have happened lately, and how many of them were hits (failures,
 * slow answers, successes). Shared by workers: each slot is one word that is moved on by
 * compare-and-swap, so that no count is ever seen without its time.
 *
 * The window is cut into slots; what is older than `span` goes slot by slot. Every call of one
 * window gives the same `span`; another one, after a reload, begins with counts that do not fit and
 * are gone one span later. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

#include "base/clock.h"

#define WINDOW_SLOTS 16

struct window {
    _Atomic uint64_t slots[WINDOW_SLOTS]; /* when (16 bits), hits (24), all (24) */
};

struct window_sum {
    uint32_t all, hits;
};

/* Counts one more. A slot counts to 16 million and then stays there. */
void window_add(struct window *window, int64_t span, instant now, bool is_hit);

/* What the last `span` nanoseconds have brought, the present slot included. */
struct window_sum window_sum(const struct window *window, int64_t span, instant now);

void window_clear(struct window *window);

static inline double window_share(struct window_sum sum)
{
    return sum.all ? (double)sum.hits / (double)sum.all : 0;
}
