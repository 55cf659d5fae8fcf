/* Byte ranges (RFC 9110 §14). */
#pragma once

#include "base/slice.h"
#include "base/status.h"

struct byte_range {
    int64_t first, last; /* both included */
};

#define RANGES_MAX 16

struct byte_ranges {
    struct byte_range items[RANGES_MAX];
    unsigned count;
};

/* Reads a Range field's value for a representation of `size` bytes. OK: at least one range, each
 * within the representation, in the order asked for. RANGE_NOT_SATISFIABLE: none of them lies in
 * it. INVALID: the field is to be ignored, as RFC 9110 §14.2 allows: another unit, malformed, more
 * than RANGES_MAX, more bytes in all than there are (a way to make servers work), or an empty
 * representation. */
enum status byte_ranges_read(struct slice value, int64_t size, struct byte_ranges *ret_ranges);
