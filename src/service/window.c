#include "service/window.h"

#define RELAXED    memory_order_relaxed
#define COUNT_BITS 24
#define COUNT_MAX  (((uint64_t)1 << COUNT_BITS) - 1)
#define STAMP_AT   (2 * COUNT_BITS)

/* The slots' time goes in steps of a part of the span. */
static uint64_t step_of(int64_t span, instant now)
{
    int64_t step = span / WINDOW_SLOTS;
    return (uint64_t)(now / (step > 0 ? step : 1));
}

static uint64_t stamp_of(uint64_t step)
{
    return (step / WINDOW_SLOTS) << STAMP_AT;
}

static bool is_of(uint64_t word, uint64_t stamp)
{
    return word >> STAMP_AT == stamp >> STAMP_AT;
}

void window_add(struct window *window, int64_t span, instant now, bool is_hit)
{
    uint64_t step = step_of(span, now), stamp = stamp_of(step);
    uint64_t more = 1 + ((uint64_t)is_hit << COUNT_BITS);
    _Atomic uint64_t *slot = &window->slots[step % WINDOW_SLOTS];
    uint64_t old = atomic_load_explicit(slot, RELAXED), new;
    do {
        new = is_of(old, stamp) ? old : stamp;
        if ((new &COUNT_MAX) == COUNT_MAX)
            return;
        new += more;
    } while (!atomic_compare_exchange_weak_explicit(slot, &old, new, RELAXED, RELAXED));
}

struct window_sum window_sum(const struct window *window, int64_t span, instant now)
{
    struct window_sum sum = {0, 0};
    uint64_t last = step_of(span, now);
    for (uint64_t i = 0; i < WINDOW_SLOTS && i <= last; i++) {
        uint64_t step = last - i;
        uint64_t word = atomic_load_explicit(&window->slots[step % WINDOW_SLOTS], RELAXED);
        if (!is_of(word, stamp_of(step)))
            continue;
        sum.all += (uint32_t)(word & COUNT_MAX);
        sum.hits += (uint32_t)(word >> COUNT_BITS & COUNT_MAX);
    }
    return sum;
}

void window_clear(struct window *window)
{
    for (int i = 0; i < WINDOW_SLOTS; i++)
        atomic_store_explicit(&window->slots[i], 0, RELAXED);
}
