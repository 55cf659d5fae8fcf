/* From tokens as written to what they mean. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "base/json_reader.h"
#include "base/json_scan.h"

enum status json_text(const struct json_token *token, struct arena *arena, struct slice *ret_text)
{
    if (!token->has_escapes) {
        *ret_text = token->raw;
        return OK;
    }
    char *text = arena_bytes(arena, token->raw.size); /* an escape is longer than what it means */
    if (!text)
        return NO_MEMORY;
    size_t size = 0;
    for (size_t at = 0; at < token->raw.size;) {
        char decoded[4];
        struct slice piece = json_unescape(token->raw, &at, decoded);
        memcpy(text + size, piece.data, piece.size);
        size += piece.size;
    }
    *ret_text = slice_of(text, size);
    return OK;
}

bool json_text_equal(const struct json_token *token, struct slice text)
{
    if (!token->has_escapes)
        return slice_equal(token->raw, text);
    for (size_t at = 0; at < token->raw.size;) {
        char decoded[4];
        struct slice piece = json_unescape(token->raw, &at, decoded);
        if (!slice_has_prefix(text, piece))
            return false;
        text = slice_from(text, piece.size);
    }
    return text.size == 0;
}

enum status json_to_i64(struct slice number, int64_t *ret_value)
{
    bool is_negative = number.size && number.data[0] == '-';
    struct slice digits = slice_from(number, is_negative);
    uint64_t value, most = (uint64_t)INT64_MAX + is_negative;
    for (size_t i = 0; i < digits.size; i++)
        if (digits.data[i] < '0' || digits.data[i] > '9')
            return INVALID;
    if (!digits.size)
        return INVALID;
    if (!slice_to_u64(digits, &value) || value > most)
        return TOO_LARGE;
    *ret_value = is_negative ? (int64_t)-value : (int64_t)value;
    return OK;
}

enum status json_to_double(struct slice number, double *ret_value)
{
    char usual[64];
    char *text = number.size < sizeof usual ? usual : malloc(number.size + 1);
    if (!text)
        return NO_MEMORY;
    if (number.size)
        memcpy(text, number.data, number.size);
    text[number.size] = '\0';
    char *end;
    double value = strtod(text, &end);
    bool is_whole = number.size && end == text + number.size;
    if (text != usual)
        free(text);
    if (!is_whole)
        return INVALID;
    if (!isfinite(value))
        return TOO_LARGE;
    *ret_value = value;
    return OK;
}
