/*
 * A log-linear histogram of nanoseconds: every power of two is cut into 64 equal cells, so a value
 * is known to within 1.6 per cent, in constant space and with a few instructions a sample.
 */
#pragma once

#include <stdint.h>

enum { HISTOGRAM_BITS = 6, HISTOGRAM_CELLS = (64 - HISTOGRAM_BITS + 1) << HISTOGRAM_BITS };

struct histogram {
    uint64_t count;
    uint64_t most;
    uint64_t cells[HISTOGRAM_CELLS];
};

static inline unsigned histogram_cell(uint64_t value)
{
    if (value < (1u << HISTOGRAM_BITS))
        return (unsigned)value;
    unsigned shift = 63 - (unsigned)__builtin_clzll(value) - HISTOGRAM_BITS;
    return ((shift + 1) << HISTOGRAM_BITS) + (unsigned)((value >> shift) - (1u << HISTOGRAM_BITS));
}

/* The middle of a cell. */
static inline double histogram_value(unsigned cell)
{
    if (cell < (1u << HISTOGRAM_BITS))
        return cell;
    unsigned shift = (cell >> HISTOGRAM_BITS) - 1;
    uint64_t low = (uint64_t)((1u << HISTOGRAM_BITS) + (cell & ((1u << HISTOGRAM_BITS) - 1)))
                   << shift;
    return (double)low + (double)(1ULL << shift) / 2;
}

static inline void histogram_add(struct histogram *h, uint64_t value)
{
    h->count++;
    h->cells[histogram_cell(value)]++;
    if (value > h->most)
        h->most = value;
}

/* The value below which this share (0 to 1) of the samples lies; 0 if there are none. */
static inline double histogram_at(const struct histogram *h, double share)
{
    uint64_t wanted = (uint64_t)(share * (double)h->count), seen = 0;
    for (unsigned i = 0; i < HISTOGRAM_CELLS; i++) {
        seen += h->cells[i];
        if (h->cells[i] > 0 && seen >= wanted)
            return histogram_value(i);
    }
    return 0;
}
