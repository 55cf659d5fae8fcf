#include "base/utf8.h"

static bool is_between(struct slice s, size_t i, unsigned char low, unsigned char high)
{
    return i < s.size && (unsigned char)s.data[i] >= low && (unsigned char)s.data[i] <= high;
}

static bool is_tail(struct slice s, size_t i)
{
    return is_between(s, i, 0x80, 0xbf);
}

static bool is_three(struct slice s, unsigned char first)
{
    unsigned char low = first == 0xe0 ? 0xa0 : 0x80, high = first == 0xed ? 0x9f : 0xbf;
    return is_between(s, 1, low, high) && is_tail(s, 2);
}

static bool is_four(struct slice s, unsigned char first)
{
    unsigned char low = first == 0xf0 ? 0x90 : 0x80, high = first == 0xf4 ? 0x8f : 0xbf;
    return is_between(s, 1, low, high) && is_tail(s, 2) && is_tail(s, 3);
}

size_t utf8_size(struct slice s)
{
    if (s.size == 0)
        return 0;
    unsigned char first = (unsigned char)s.data[0];
    if (first < 0x80)
        return 1;
    if (first >= 0xc2 && first <= 0xdf)
        return is_tail(s, 1) ? 2 : 0;
    if (first >= 0xe0 && first <= 0xef)
        return is_three(s, first) ? 3 : 0;
    if (first >= 0xf0 && first <= 0xf4)
        return is_four(s, first) ? 4 : 0;
    return 0;
}

/* How many of the first bytes are ASCII, in eights. */
static size_t ascii_size(struct slice s)
{
    size_t i = 0;
    for (; s.size - i >= 8; i += 8) {
        uint64_t word;
        memcpy(&word, s.data + i, 8);
        if (word & 0x8080808080808080u)
            break;
    }
    return i;
}

bool utf8_is_valid(struct slice s)
{
    while (s.size) {
        size_t size = ascii_size(s);
        if (!size)
            size = utf8_size(s);
        if (!size)
            return false;
        s = slice_from(s, size);
    }
    return true;
}

static char tail_byte(uint32_t code, int shift)
{
    return (char)(0x80 | (code >> shift & 0x3f));
}

size_t utf8_encode(uint32_t code, char text[4])
{
    if (code < 0x80) {
        text[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        text[0] = (char)(0xc0 | code >> 6);
        text[1] = tail_byte(code, 0);
        return 2;
    }
    if (code < 0x10000) {
        text[0] = (char)(0xe0 | code >> 12);
        text[1] = tail_byte(code, 6);
        text[2] = tail_byte(code, 0);
        return 3;
    }
    text[0] = (char)(0xf0 | code >> 18);
    text[1] = tail_byte(code, 12);
    text[2] = tail_byte(code, 6);
    text[3] = tail_byte(code, 0);
    return 4;
}
