/* Copying short pieces. Heads and log lines are made of pieces of a few dozen bytes, for which a
 * call of memcpy costs more than the copying. */
#pragma once

#include "base/slice.h"

/* As memcpy, where `out` has room; returns the end. Neither pointer may be null. The pieces of a
 * constant size in it overlap rather than branch. */
static inline char *bytes_put(char *out, struct slice s)
{
    const char *p = s.data;
    size_t size = s.size;
    if (size >= 16) {
        size_t last = size - 16;
        for (size_t i = 0; i < last; i += 16)
            memcpy(out + i, p + i, 16);
        memcpy(out + last, p + last, 16);
    } else if (size >= 8) {
        memcpy(out, p, 8);
        memcpy(out + size - 8, p + size - 8, 8);
    } else if (size >= 4) {
        memcpy(out, p, 4);
        memcpy(out + size - 4, p + size - 4, 4);
    } else {
        for (size_t i = 0; i < size; i++)
            out[i] = p[i];
    }
    return out + size;
}
