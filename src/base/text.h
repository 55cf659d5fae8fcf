/* Text under construction.
 *
 * A `struct text` appends into memory that it was given (fixed), or into memory that it owns and
 * grows (growing). Appending never fails in the middle: what does not fit sets `failed`, and
 * everything after is dropped; look once, at the end. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/slice.h"

struct text {
    char *data;      /* owned if growing, else borrowed */
    size_t size;     /* bytes used */
    size_t capacity; /* bytes there are */
    size_t limit;    /* growing: most bytes it may take; fixed: 0 */
    bool failed;
};

/* Appends into `data`; never frees it. */
struct text text_fixed(char *data, size_t capacity);

/* Starts empty, grows to at most `limit` bytes (0: 1 GiB). Free with text_release. */
struct text text_growing(size_t limit);
void text_release(struct text *text);

/* Out of line part of appending: makes room for `more` bytes or sets `failed`. */
bool text_reserve(struct text *text, size_t more);

/* `s` does not lie in the text itself, which may move. */
static inline void text_add(struct text *text, struct slice s)
{
    if (s.size == 0)
        return;
    if ((s.size <= text->capacity - text->size && !text->failed) || text_reserve(text, s.size)) {
        bytes_put(text->data + text->size, s);
        text->size += s.size;
    }
}

static inline void text_add_char(struct text *text, char c)
{
    text_add(text, slice_of(&c, 1));
}

#define text_add_literal(text, literal) text_add((text), SLICE(literal))

void text_add_u64(struct text *text, uint64_t value);
void text_add_i64(struct text *text, int64_t value);
void text_add_hex(struct text *text, uint64_t value);
void text_format(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The inside of a JSON string: quotes, backslashes and control bytes escaped; bytes that are not
 * UTF-8 become U+FFFD. */
void text_add_json(struct text *text, struct slice s);

/* The inside of an HTML element or of an attribute in double quotes. */
void text_add_html(struct text *text, struct slice s);

/* How many bytes at the front stand for themselves in a JSON string: printable ASCII but quotes and
 * backslashes. */
size_t text_plain_json(struct slice s);

static inline struct slice text_slice(const struct text *text)
{
    return slice_of(text->data, text->size);
}

/* Forgets what was appended; keeps the memory. */
static inline void text_clear(struct text *text)
{
    text->size = 0;
    text->failed = false;
}
