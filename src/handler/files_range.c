#include "handler/files_range.h"

#include "http/fields.h"

/* A number of any length: what does not fit lies behind every end. */
static bool read_number(struct slice text, int64_t *ret_number)
{
    uint64_t number = 0;
    if (text.size == 0)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        unsigned digit = (unsigned char)text.data[i] - '0';
        if (digit > 9)
            return false;
        if (number <= INT64_MAX / 16)
            number = number * 10 + digit;
        else
            number = INT64_MAX;
    }
    *ret_number = number > INT64_MAX ? INT64_MAX : (int64_t)number;
    return true;
}

/* "0-99", "100-" or "-100". OK, RANGE_NOT_SATISFIABLE, or INVALID when it is malformed. */
static enum status read_range(struct slice text, int64_t size, struct byte_range *ret_range)
{
    size_t dash = slice_find(text, '-');
    struct slice first = slice_head(text, dash), last = slice_from(text, dash + 1);
    struct byte_range range = {0, size - 1};
    if (dash == text.size)
        return INVALID;
    if (first.size == 0) {
        int64_t suffix;
        if (!read_number(last, &suffix))
            return INVALID;
        if (suffix == 0)
            return RANGE_NOT_SATISFIABLE;
        range.first = suffix < size ? size - suffix : 0;
    } else {
        int64_t end = INT64_MAX;
        if (!read_number(first, &range.first) || (last.size && !read_number(last, &end)) ||
            end < range.first)
            return INVALID;
        if (range.first >= size)
            return RANGE_NOT_SATISFIABLE;
        if (end < range.last)
            range.last = end;
    }
    *ret_range = range;
    return OK;
}

enum status byte_ranges_read(struct slice value, int64_t size, struct byte_ranges *ret_ranges)
{
    struct byte_ranges ranges = {.count = 0};
    struct slice unit = SLICE("bytes="), member;
    int64_t bytes = 0;
    unsigned members = 0;
    if (size == 0 || !slice_equal_nocase(slice_head(value, unit.size), unit))
        return INVALID;
    value = slice_from(value, unit.size);
    while (field_list_next(&value, &member)) {
        struct byte_range range;
        enum status e = read_range(member, size, &range);
        if (e == INVALID || members++ == RANGES_MAX)
            return INVALID;
        if (e)
            continue;
        bytes += range.last - range.first + 1;
        ranges.items[ranges.count++] = range;
    }
    if (members == 0 || (ranges.count > 1 && bytes > size))
        return INVALID;
    if (ranges.count == 0)
        return RANGE_NOT_SATISFIABLE;
    *ret_ranges = ranges;
    return OK;
}
