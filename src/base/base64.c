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

int base64_value(char c, unsigned options)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == (options & BASE64_URL ? '-' : '+'))
        return 62;
    return c == (options & BASE64_URL ? '_' : '/') ? 63 : -1;
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

bool base64_decode(struct slice text, unsigned options, char *bytes, size_t *ret_size)
{
    uint32_t bits = 0;
    unsigned count = 0; /* how many of them wait */
    char *p = bytes;
    if (!strip_padding(&text, options))
        return false;
    for (size_t i = 0; i < text.size; i++) {
        int value = base64_value(text.data[i], options);
        if (value < 0)
            return false;
        bits = bits << 6 | (uint32_t)value;
        count += 6;
        if (count >= 8) {
            count -= 8;
            *p++ = (char)(bits >> count);
        }
    }
    if (bits & ((1u << count) - 1) && !(options & BASE64_LENIENT))
        return false;
    *ret_size = (size_t)(p - bytes);
    return true;
}
