/* The other half of structured_field.h: serialising (RFC 9651 §4.1). */
#include <math.h>

#include "base/base64.h"
#include "base/structured_field.h"
#include "base/structured_grammar.h"
#include "base/utf8.h"

#define NUMBER_MAX INT64_C(999999999999999) /* 15 digits, three of them a decimal's fraction */

struct structured_value structured_decimal(double number)
{
    double thousandths = nearbyint(number * 1000);
    bool is_in_range = fabs(thousandths) <= (double)NUMBER_MAX; /* false for what is no number */
    return (struct structured_value){
        .type = STRUCTURED_DECIMAL, .number = is_in_range ? (int64_t)thousandths : INT64_MAX};
}

static bool is_string(struct slice s)
{
    for (size_t i = 0; i < s.size; i++)
        if (!structured_is_printable(s.data[i]))
            return false;
    return true;
}

static bool is_writable(struct structured_value value)
{
    switch (value.type) {
    case STRUCTURED_INTEGER:
    case STRUCTURED_DECIMAL:
    case STRUCTURED_DATE:
        return value.number >= -NUMBER_MAX && value.number <= NUMBER_MAX;
    case STRUCTURED_STRING:
        return is_string(value.text);
    case STRUCTURED_TOKEN:
        return value.text.size && structured_token_size(value.text) == value.text.size;
    case STRUCTURED_DISPLAY:
        return utf8_is_valid(value.text);
    case STRUCTURED_BYTES:
    case STRUCTURED_BOOLEAN:
        return true;
    case STRUCTURED_INNER_LIST:
        break;
    }
    return false;
}

static void write_decimal(struct text *text, int64_t thousandths)
{
    uint64_t size = thousandths < 0 ? -(uint64_t)thousandths : (uint64_t)thousandths;
    unsigned fraction = (unsigned)(size % 1000);
    if (thousandths < 0)
        text_add_char(text, '-');
    text_add_u64(text, size / 1000);
    text_add_char(text, '.');
    do {
        text_add_char(text, (char)('0' + fraction / 100));
        fraction = fraction % 100 * 10;
    } while (fraction);
}

static void write_string(struct text *text, struct slice s)
{
    text_add_char(text, '"');
    for (size_t i = 0; i < s.size; i++) {
        if (s.data[i] == '"' || s.data[i] == '\\')
            text_add_char(text, '\\');
        text_add_char(text, s.data[i]);
    }
    text_add_char(text, '"');
}

static void write_display(struct text *text, struct slice s)
{
    text_add_literal(text, "%\"");
    for (size_t i = 0; i < s.size; i++) {
        unsigned char c = (unsigned char)s.data[i];
        if (structured_is_printable(s.data[i]) && c != '"' && c != '%')
            text_add_char(text, s.data[i]);
        else
            text_format(text, "%%%02x", c);
    }
    text_add_char(text, '"');
}

static void write_bytes(struct text *text, struct slice bytes)
{
    size_t size = base64_encoded_size(bytes.size);
    text_add_char(text, ':');
    if (text_reserve(text, size))
        text->size += base64_encode(bytes, 0, text->data + text->size);
    text_add_char(text, ':');
}

enum status structured_write_value(struct text *text, struct structured_value value)
{
    if (!is_writable(value))
        return INVALID;
    switch (value.type) {
    case STRUCTURED_DATE:
        text_add_char(text, '@');
        text_add_i64(text, value.number);
        break;
    case STRUCTURED_INTEGER:
        text_add_i64(text, value.number);
        break;
    case STRUCTURED_DECIMAL:
        write_decimal(text, value.number);
        break;
    case STRUCTURED_STRING:
        write_string(text, value.text);
        break;
    case STRUCTURED_TOKEN:
        text_add(text, value.text);
        break;
    case STRUCTURED_DISPLAY:
        write_display(text, value.text);
        break;
    case STRUCTURED_BYTES:
        write_bytes(text, value.text);
        break;
    case STRUCTURED_BOOLEAN:
        text_add(text, value.number ? SLICE("?1") : SLICE("?0"));
        break;
    case STRUCTURED_INNER_LIST:
        break;
    }
    return OK;
}

enum status structured_write_key(struct text *text, struct slice key)
{
    if (!key.size || structured_key_size(key) != key.size)
        return INVALID;
    text_add(text, key);
    return OK;
}

static bool is_true(struct structured_value value)
{
    return value.type == STRUCTURED_BOOLEAN && value.number;
}

enum status structured_write_parameter(
    struct text *text, struct slice key, struct structured_value value)
{
    if (!is_writable(value) || !key.size || structured_key_size(key) != key.size)
        return INVALID;
    text_add_char(text, ';');
    text_add(text, key);
    if (is_true(value))
        return OK;
    text_add_char(text, '=');
    return structured_write_value(text, value);
}

static enum status write_parameters(struct text *text, const struct structured_member *member)
{
    enum status e = OK;
    for (struct structured_parameter *p = member->parameters; p && !e; p = p->next)
        e = structured_write_parameter(text, p->key, p->value);
    return e;
}

static enum status write_item(struct text *text, const struct structured_member *item)
{
    enum status e = structured_write_value(text, item->value);
    return e ? e : write_parameters(text, item);
}

static enum status write_inner_list(struct text *text, const struct structured_member *member)
{
    enum status e = OK;
    text_add_char(text, '(');
    for (const struct structured_member *item = member->items; item && !e; item = item->next) {
        if (item != member->items)
            text_add_char(text, ' ');
        e = write_item(text, item);
    }
    text_add_char(text, ')');
    return e ? e : write_parameters(text, member);
}

static enum status write_member(struct text *text, const struct structured_member *member)
{
    bool is_inner_list = member->value.type == STRUCTURED_INNER_LIST;
    return is_inner_list ? write_inner_list(text, member) : write_item(text, member);
}

static enum status write_dictionary_member(
    struct text *text, const struct structured_member *member)
{
    enum status e = structured_write_key(text, member->key);
    if (e)
        return e;
    if (is_true(member->value))
        return write_parameters(text, member);
    text_add_char(text, '=');
    return write_member(text, member);
}

/* What was half written is taken back. */
static enum status finish(struct text *text, size_t before, enum status e)
{
    if (e)
        text->size = before;
    return e;
}

enum status structured_write_item(struct text *text, const struct structured_member *item)
{
    size_t before = text->size;
    return finish(text, before, write_item(text, item));
}

static enum status write_members(struct text *text, const struct structured_member *first,
    enum status (*write)(struct text *text, const struct structured_member *member))
{
    size_t before = text->size;
    enum status e = OK;
    for (const struct structured_member *member = first; member && !e; member = member->next) {
        if (member != first)
            text_add_literal(text, ", ");
        e = write(text, member);
    }
    return finish(text, before, e);
}

enum status structured_write_list(struct text *text, const struct structured_member *first)
{
    return write_members(text, first, write_member);
}

enum status structured_write_dictionary(struct text *text, const struct structured_member *first)
{
    return write_members(text, first, write_dictionary_member);
}
