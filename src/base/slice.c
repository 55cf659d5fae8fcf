#include "base/slice.h"

static unsigned char lower(char c)
{
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
}

bool slice_equal_nocase(struct slice a, struct slice b)
{
    if (a.size != b.size)
        return false;
    if (slice_equal(a, b)) /* most are spelled as expected */
        return true;
    for (size_t i = 0; i < a.size; i++)
        if (lower(a.data[i]) != lower(b.data[i]))
            return false;
    return true;
}

int slice_compare(struct slice a, struct slice b)
{
    size_t common = a.size < b.size ? a.size : b.size;
    int order = common ? memcmp(a.data, b.data, common) : 0;
    if (order)
        return order;
    return (a.size > b.size) - (a.size < b.size);
}

bool slice_has_prefix(struct slice s, struct slice prefix)
{
    return s.size >= prefix.size && slice_equal(slice_head(s, prefix.size), prefix);
}

bool slice_has_suffix(struct slice s, struct slice suffix)
{
    return s.size >= suffix.size && slice_equal(slice_from(s, s.size - suffix.size), suffix);
}

size_t slice_find(struct slice s, char c)
{
    const char *found = s.size ? memchr(s.data, c, s.size) : NULL;
    return found ? (size_t)(found - s.data) : s.size;
}

size_t slice_find_slice(struct slice s, struct slice needle)
{
    if (needle.size == 0)
        return 0;
    const char *found = s.size ? memmem(s.data, s.size, needle.data, needle.size) : NULL;
    return found ? (size_t)(found - s.data) : s.size;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

struct slice slice_trim(struct slice s)
{
    while (s.size && is_blank(s.data[0]))
        s = slice_from(s, 1);
    while (s.size && is_blank(s.data[s.size - 1]))
        s.size--;
    return s;
}

bool slice_split(struct slice *rest, char separator, struct slice *ret_part)
{
    if (rest->data == NULL)
        return false;
    size_t at = slice_find(*rest, separator);
    *ret_part = slice_head(*rest, at);
    *rest = at < rest->size ? slice_of(rest->data + at + 1, rest->size - at - 1) : SLICE_NONE;
    return true;
}

bool slice_next_word(struct slice *rest, struct slice *ret_word)
{
    while (slice_split(rest, ' ', ret_word))
        if (ret_word->size > 0)
            return true;
    *ret_word = SLICE_NONE;
    return false;
}

bool slice_to_u64(struct slice s, uint64_t *ret_value)
{
    uint64_t value = 0;
    if (s.size == 0)
        return false;
    for (size_t i = 0; i < s.size; i++) {
        unsigned digit = (unsigned char)s.data[i] - '0';
        if (digit > 9 || __builtin_mul_overflow(value, (uint64_t)10, &value) ||
            __builtin_add_overflow(value, (uint64_t)digit, &value))
            return false;
    }
    *ret_value = value;
    return true;
}

bool slice_to_hex_u64(struct slice s, uint64_t *ret_value)
{
    uint64_t value = 0;
    if (s.size == 0)
        return false;
    for (size_t i = 0; i < s.size; i++) {
        int digit = slice_hex_digit(s.data[i]);
        if (digit < 0 || value >> 60)
            return false;
        value = value << 4 | (unsigned)digit;
    }
    *ret_value = value;
    return true;
}
