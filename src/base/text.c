#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/utf8.h"

#define DEFAULT_LIMIT ((size_t)1 << 30)
#define FIRST_SIZE    256

struct text text_fixed(char *data, size_t capacity)
{
    return (struct text){.data = data, .capacity = capacity};
}

struct text text_growing(size_t limit)
{
    return (struct text){.limit = limit ? limit : DEFAULT_LIMIT};
}

void text_release(struct text *text)
{
    if (text->limit)
        free(text->data);
    *text = (struct text){.limit = text->limit};
}

static bool grow(struct text *text, size_t need)
{
    size_t capacity = text->capacity ? text->capacity * 2 : FIRST_SIZE;
    if (capacity < need)
        capacity = need;
    if (capacity > text->limit)
        capacity = text->limit;
    char *data = need <= text->limit ? realloc(text->data, capacity) : NULL;
    if (!data)
        return false;
    text->data = data;
    text->capacity = capacity;
    return true;
}

bool text_reserve(struct text *text, size_t more)
{
    if (text->failed)
        return false;
    if (more <= text->capacity - text->size)
        return true;
    size_t need;
    text->failed = __builtin_add_overflow(text->size, more, &need) || !grow(text, need);
    return !text->failed;
}

/* Two digits a division. */
void text_add_u64(struct text *text, uint64_t value)
{
    static const char pairs[201] = "00010203040506070809101112131415161718192021222324"
                                   "25262728293031323334353637383940414243444546474849"
                                   "50515253545556575859606162636465666768697071727374"
                                   "75767778798081828384858687888990919293949596979899";
    char digits[20];
    size_t at = sizeof digits;
    for (; value >= 100; value /= 100) {
        at -= 2;
        memcpy(digits + at, pairs + value % 100 * 2, 2);
    }
    if (value >= 10)
        digits[--at] = pairs[value * 2 + 1];
    digits[--at] = value >= 10 ? pairs[value * 2] : (char)('0' + value);
    text_add(text, slice_of(digits + at, sizeof digits - at));
}

void text_add_i64(struct text *text, int64_t value)
{
    if (value < 0)
        text_add_char(text, '-');
    text_add_u64(text, value < 0 ? -(uint64_t)value : (uint64_t)value);
}

void text_add_hex(struct text *text, uint64_t value)
{
    char digits[16];
    size_t at = sizeof digits;
    do
        digits[--at] = "0123456789abcdef"[value & 15];
    while (value >>= 4);
    text_add(text, slice_of(digits + at, sizeof digits - at));
}

void text_format(struct text *text, const char *format, ...)
{
    char line[512];
    va_list args;
    va_start(args, format);
    int size = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (size < 0) {
        text->failed = true;
        return;
    }
    if ((size_t)size < sizeof line) {
        text_add(text, slice_of(line, (size_t)size));
        return;
    }
    char *whole = malloc((size_t)size + 1);
    if (!whole) {
        text->failed = true;
        return;
    }
    va_start(args, format);
    vsnprintf(whole, (size_t)size + 1, format, args);
    va_end(args);
    text_add(text, slice_of(whole, (size_t)size));
    free(whole);
}

static bool is_plain_json(unsigned char c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

/* Is one of these eight bytes not plain? A byte that subtracting makes borrow, or has its top bit
 * set, is one. */
static bool has_special_json(uint64_t word)
{
    const uint64_t ones = 0x0101010101010101u, tops = ones << 7;
    uint64_t quote = word ^ ones * '"', backslash = word ^ ones * '\\', del = word ^ ones * 0x7f;
    return (word | (word - ones * 0x20) | (quote - ones) | (backslash - ones) | (del - ones)) &
           tops;
}

/* How many bytes from `i` on stand for themselves. Logs are written by this, so it takes eight at a
 * time. */
static size_t plain_json_size(struct slice s, size_t i)
{
    size_t begin = i;
    for (; s.size - i >= 8; i += 8) {
        uint64_t word;
        memcpy(&word, s.data + i, 8);
        if (has_special_json(word))
            break;
    }
    while (i < s.size && is_plain_json((unsigned char)s.data[i]))
        i++;
    return i - begin;
}

static void add_json_escape(struct text *text, unsigned char c)
{
    static const char shorthand[128] = {['"'] = '"',
        ['\\'] = '\\',
        ['\b'] = 'b',
        ['\f'] = 'f',
        ['\n'] = 'n',
        ['\r'] = 'r',
        ['\t'] = 't'};
    if (shorthand[c]) {
        text_add(text, slice_of((char[]){'\\', shorthand[c]}, 2));
        return;
    }
    text_add_literal(text, "\\u00");
    text_add_char(text, "0123456789abcdef"[c >> 4]);
    text_add_char(text, "0123456789abcdef"[c & 15]);
}

/* Fewer than eight bytes as a word: the first and the last ones, which may be the same ones, and
 * blanks. */
static uint64_t short_word(struct slice s)
{
    uint32_t four[2];
    uint16_t two[4] = {0x2020, 0x2020, 0x2020, 0x2020};
    uint64_t word;
    if (s.size >= 4) {
        memcpy(&four[0], s.data, 4);
        memcpy(&four[1], s.data + s.size - 4, 4);
        memcpy(&word, four, 8);
        return word;
    }
    if (s.size >= 2) {
        memcpy(&two[0], s.data, 2);
        memcpy(&two[1], s.data + s.size - 2, 2);
    } else if (s.size) {
        memcpy(two, s.data, 1);
    }
    memcpy(&word, two, 8);
    return word;
}

/* The short ones too, which are the usual ones, without looking at single bytes: the last eight are
 * looked at as they lie. */
static bool is_all_plain_json(struct slice s)
{
    uint64_t word;
    if (s.size < 8)
        return !has_special_json(short_word(s));
    for (size_t i = 0; i + 8 < s.size; i += 8) {
        memcpy(&word, s.data + i, 8);
        if (has_special_json(word))
            return false;
    }
    memcpy(&word, s.data + s.size - 8, 8);
    return !has_special_json(word);
}

size_t text_plain_json(struct slice s)
{
    return is_all_plain_json(s) ? s.size : plain_json_size(s, 0);
}

static void add_json_slowly(struct text *text, struct slice s)
{
    for (size_t i = 0; i < s.size;) {
        size_t plain = plain_json_size(s, i);
        text_add(text, slice_of(s.data + i, plain));
        i += plain;
        if (i == s.size)
            break;
        unsigned char c = (unsigned char)s.data[i];
        size_t size = c < 0x80 ? 1 : utf8_size(slice_from(s, i));
        if (c < 0x80)
            add_json_escape(text, c);
        else if (size)
            text_add(text, slice_of(s.data + i, size));
        else
            text_add_literal(text, "\xef\xbf\xbd");
        i += size ? size : 1;
    }
}

void text_add_json(struct text *text, struct slice s)
{
    if (is_all_plain_json(s))
        text_add(text, s);
    else
        add_json_slowly(text, s);
}

void text_add_html(struct text *text, struct slice s)
{
    for (size_t i = 0; i < s.size; i++) {
        switch (s.data[i]) {
        case '&':
            text_add_literal(text, "&amp;");
            break;
        case '<':
            text_add_literal(text, "&lt;");
            break;
        case '>':
            text_add_literal(text, "&gt;");
            break;
        case '"':
            text_add_literal(text, "&quot;");
            break;
        default:
            text_add_char(text, s.data[i]);
        }
    }
}
