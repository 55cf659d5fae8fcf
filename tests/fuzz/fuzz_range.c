/* Range fields: whatever is accepted lies in the representation, and is no more work than the whole
 * of it. The first two bytes are the representation's size. */
#include "base/must.h"
#include "handler/files_range.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    int64_t total = data[0] | data[1] << 8, bytes = 0;
    struct byte_ranges ranges = {.count = 0};
    enum status e = byte_ranges_read(slice_of((const char *)data + 2, size - 2), total, &ranges);
    must(e == OK || e == INVALID || e == RANGE_NOT_SATISFIABLE);
    must((ranges.count > 0) == (e == OK) && ranges.count <= RANGES_MAX);
    for (unsigned i = 0; i < ranges.count; i++) {
        const struct byte_range *range = &ranges.items[i];
        must(range->first >= 0 && range->first <= range->last && range->last < total);
        bytes += range->last - range->first + 1;
    }
    must(bytes <= total);
    return 0;
}
