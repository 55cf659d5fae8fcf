#include "base/base64.h"

static const char standard[65] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url[65] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

size_t base64_encoded_size(size_t size)
{
    return size > SIZE_MAX / 4 * 3 - 3 ? SIZE_MAX : (size + 2) / 3 * 4;
}

size_t base64_decoded_size(size_t size)
{
    return size / 4 * 3 + 3;
}

size_t base64_encode(struct slice bytes, unsigned options, char *text)
{
    const char *letters = options & BASE64_URL ? url : standard;
    char *p = text;
    for (size_t i = 0; i < bytes.size; i += 3) {
        size_t count = bytes.size - i < 3 ? bytes.size - i : 3;
        uint32_t group = 0;
        for (size_t j = 0; j < 3; j++)
            group = group << 8 | (j < count ? (unsigned char)bytes.data[i + j] : 0);
        for (size_t j = 0; j <= count; j++)
            *p++ = letters[group >> (18 - 6 * j) & 63];
        for (size_t j = count; j < 3 && !(options & BASE64_UNPADDED); j++)
            *p++ = '=';
    }
    return (size_t)(p - text);
}

/* What each letter stands for, with a bit that tells it from all that are none. A table, since
 * letters come as if by chance, which no processor foresees. */
#define IS_LETTER        0x40
#define L(letter, value) [letter] = IS_LETTER | (value)
#define COMMON                                                                              \
    L('A', 0), L('B', 1), L('C', 2), L('D', 3), L('E', 4), L('F', 5), L('G', 6), L('H', 7), \
        L('I', 8), L('J', 9), L('K', 10), L('L', 11), L('M', 12), L('N', 13), L('O', 14),   \
        L('P', 15), L('Q', 16), L('R', 17), L('S', 18), L('T', 19), L('U', 20), L('V', 21), \
        L('W', 22), L('X', 23), L('Y', 24), L('Z', 25), L('a', 26), L('b', 27), L('c', 28), \
        L('d', 29), L('e', 30), L('f', 31), L('g', 32), L('h', 33), L('i', 34), L('j', 35), \
        L('k', 36), L('l', 37), L('m', 38), L('n', 39), L('o', 40), L('p', 41), L('q', 42), \
        L('r', 43), L('s', 44), L('t', 45), L('u', 46), L('v', 47), L('w', 48), L('x', 49), \
        L('y', 50), L('z', 51), L('0', 52), L('1', 53), L('2', 54), L('3', 55), L('4', 56), \
        L('5', 57), L('6', 58), L('7', 59), L('8', 60), L('9', 61)
static const unsigned char standard_values[256] = {COMMON, L('+', 62), L('/', 63)};
static const unsigned char url_values[256] = {COMMON, L('-', 62), L('_', 63)};
#undef COMMON
#undef L

static const unsigned char *values_of(unsigned options)
{
    return options & BASE64_URL ? url_values : standard_values;
}

int base64_value(char c, unsigned options)
{
    unsigned char value = values_of(options)[(unsigned char)c];
    return value & IS_LETTER ? value ^ IS_LETTER : -1;
}

/* Takes the padding off the end; false when it is not as it has to be. */
static bool strip_padding(struct slice *text, unsigned options)
{
    size_t padding = 0;
    while (padding < 2 && padding < text->size && text->data[text->size - 1 - padding] == '=')
        padding++;
    size_t due = (4 - (text->size - padding) % 4) % 4;
    bool is_right = padding == (options & BASE64_UNPADDED ? 0 : due);
    if (options & BASE64_LENIENT)
        is_right = padding == 0 || padding == due;
    text->size -= padding;
    return is_right && due != 3;
}

/* Four letters are three bytes. False: there is something else among them. */
static bool decode_four(const unsigned char *values, const char *text, char *bytes)
{
    unsigned char a = values[(unsigned char)text[0]], b = values[(unsigned char)text[1]],
                  c = values[(unsigned char)text[2]], d = values[(unsigned char)text[3]];
    bytes[0] = (char)(a << 2 | (b & 63) >> 4);
    bytes[1] = (char)(b << 4 | (c & 63) >> 2);
    bytes[2] = (char)(c << 6 | (d & 63));
    return a & b & c & d & IS_LETTER;
}

/* The two or three letters that are left, as if A's followed. */
static bool decode_rest(struct slice text, unsigned options, char **bytes)
{
    char four[4] = {'A', 'A', 'A', 'A'}, three[3];
    if (!text.size)
        return true;
    memcpy(four, text.data, text.size);
    if (!decode_four(values_of(options), four, three))
        return false;
    memcpy(*bytes, three, text.size - 1);
    *bytes += text.size - 1;
    return three[text.size - 1] == 0 || (options & BASE64_LENIENT);
}

bool base64_decode(struct slice text, unsigned options, char *bytes, size_t *ret_size)
{
    const unsigned char *values = values_of(options);
    char *p = bytes;
    if (!strip_padding(&text, options))
        return false;
    for (; text.size >= 4; text = slice_from(text, 4), p += 3)
        if (!decode_four(values, text.data, p))
            return false;
    if (!decode_rest(text, options, &p))
        return false;
    *ret_size = (size_t)(p - bytes);
    return true;
}
