#include "base/json_scan.h"

#include "base/utf8.h"

size_t json_scan_blanks(struct slice text)
{
    size_t i = 0;
    while (i < text.size && (text.data[i] == ' ' || text.data[i] == '\n' || text.data[i] == '\r' ||
                                text.data[i] == '\t'))
        i++;
    return i;
}

/* Eight bytes at a time: the top bit of each byte of the result says that the byte is a control, a
 * quote, a backslash, or not ASCII. A borrow may also mark bytes above a marked one; only the
 * lowest counts. */
static uint64_t special_bytes(uint64_t word)
{
    const uint64_t ones = 0x0101010101010101u, tops = ones << 7;
    uint64_t quote = word ^ ones * '"', backslash = word ^ ones * '\\';
    return (word | (word - ones * 0x20) | (quote - ones) | (backslash - ones)) & tops;
}

/* How many bytes from `i` on stand for themselves and are ASCII. */
static size_t plain_size(struct slice s, size_t i)
{
    size_t begin = i;
    for (; s.size - i >= 8; i += 8) {
        uint64_t word;
        memcpy(&word, s.data + i, 8);
        if (special_bytes(word))
            break;
    }
    while (i < s.size) {
        unsigned char c = (unsigned char)s.data[i];
        if (c < 0x20 || c >= 0x80 || c == '"' || c == '\\')
            break;
        i++;
    }
    return i - begin;
}

/* The number of these four digits, or -1. */
static int32_t hex_code(const char *digits)
{
    int32_t code = 0;
    for (size_t i = 0; i < 4; i++) {
        int digit = slice_hex_digit(digits[i]);
        if (digit < 0)
            return -1;
        code = code << 4 | digit;
    }
    return code;
}

static bool is_high_surrogate(int32_t code)
{
    return code >= 0xd800 && code <= 0xdbff;
}

static bool is_low_surrogate(int32_t code)
{
    return code >= 0xdc00 && code <= 0xdfff;
}

static struct json_scan good(size_t size)
{
    return (struct json_scan){.result = OK, .size = size};
}

static struct json_scan incomplete(size_t size)
{
    return (struct json_scan){.result = INCOMPLETE, .size = size};
}

static struct json_scan invalid(size_t at, const char *message)
{
    return (struct json_scan){.result = INVALID, .size = at, .message = message};
}

/* The escape that `text` begins with; sizes count from there. */
static struct json_scan scan_escape(struct slice text)
{
    if (text.size < 2)
        return incomplete(text.size);
    if (text.data[1] != 'u') {
        if (memchr("\"\\/bfnrt", text.data[1], 8))
            return good(2);
        return invalid(0, "there is no such escape");
    }
    if (text.size < 6)
        return incomplete(text.size);
    int32_t code = hex_code(text.data + 2);
    if (code < 0)
        return invalid(0, "four hexadecimal digits should follow \\u");
    if (!is_high_surrogate(code))
        return is_low_surrogate(code) ? invalid(0, "half a surrogate pair stands alone") : good(6);
    if (text.size < 12)
        return incomplete(text.size);
    if (text.data[6] != '\\' || text.data[7] != 'u' || !is_low_surrogate(hex_code(text.data + 8)))
        return invalid(0, "half a surrogate pair stands alone");
    return good(12);
}

/* Characters that are not ASCII, as many as follow each other; or a control, or nothing at all. */
static struct json_scan scan_odd(struct slice text)
{
    size_t i = 0;
    while (i < text.size && (unsigned char)text.data[i] >= 0x80) {
        size_t size = utf8_size(slice_from(text, i));
        if (!size)
            return text.size - i < 4 ? incomplete(i) : invalid(i, "this is not UTF-8");
        i += size;
    }
    if (i)
        return good(i);
    if (text.size == 0)
        return incomplete(0);
    return invalid(0, "a control character must be escaped");
}

struct json_scan json_scan_string(struct slice text)
{
    bool has_escapes = false;
    size_t i = 1;
    for (;;) {
        i += plain_size(text, i);
        if (i < text.size && text.data[i] == '"')
            return (struct json_scan){.size = i + 1, .has_escapes = has_escapes};
        struct slice rest = slice_from(text, i);
        bool is_escape = rest.size && rest.data[0] == '\\';
        struct json_scan piece = is_escape ? scan_escape(rest) : scan_odd(rest);
        i += piece.size;
        if (piece.result) {
            piece.size = i;
            return piece;
        }
        has_escapes |= is_escape;
    }
}

static size_t digits_size(struct slice text, size_t i)
{
    size_t begin = i;
    while (i < text.size && text.data[i] >= '0' && text.data[i] <= '9')
        i++;
    return i - begin;
}

static bool is_at(struct slice text, size_t i, char a, char b)
{
    return i < text.size && (text.data[i] == a || text.data[i] == b);
}

/* A sign, then digits of which there must be one: `*i` moves past them. */
static bool scan_digits(struct slice text, size_t *i)
{
    size_t size = digits_size(text, *i);
    *i += size;
    return size;
}

struct json_scan json_scan_number(struct slice text, bool is_whole)
{
    size_t i = is_at(text, 0, '-', '-');
    bool is_good = true;
    if (is_at(text, i, '0', '0'))
        i++;
    else
        is_good = scan_digits(text, &i);
    if (is_good && is_at(text, i, '.', '.')) {
        i++;
        is_good = scan_digits(text, &i);
    }
    if (is_good && is_at(text, i, 'e', 'E')) {
        i++;
        i += is_at(text, i, '+', '-');
        is_good = scan_digits(text, &i);
    }
    if (i == text.size && (!is_good || !is_whole))
        return incomplete(i);
    return is_good ? good(i) : invalid(i, "a digit should stand here");
}

struct json_scan json_scan_word(struct slice text, struct slice word)
{
    struct slice head = slice_head(text, word.size);
    if (!slice_has_prefix(word, head))
        return invalid(0, "a value should stand here");
    return (struct json_scan){.result = head.size < word.size ? INCOMPLETE : OK, .size = head.size};
}

struct slice json_unescape(struct slice inside, size_t *at, char decoded[4])
{
    static const char shorthand[128] = {['"'] = '"',
        ['\\'] = '\\',
        ['/'] = '/',
        ['b'] = '\b',
        ['f'] = '\f',
        ['n'] = '\n',
        ['r'] = '\r',
        ['t'] = '\t'};
    const char *p = inside.data + *at;
    size_t plain = slice_find(slice_of(p, inside.size - *at), '\\');
    if (plain) {
        *at += plain;
        return slice_of(p, plain);
    }
    if (p[1] != 'u') {
        *at += 2;
        decoded[0] = shorthand[p[1] & 127];
        return slice_of(decoded, 1);
    }
    int32_t code = hex_code(p + 2);
    *at += 6;
    if (is_high_surrogate(code)) {
        code = 0x10000 + ((code & 0x3ff) << 10) + (hex_code(p + 8) & 0x3ff);
        *at += 6;
    }
    return slice_of(decoded, utf8_encode((uint32_t)code, decoded));
}
