#include "config/option_text.h"

#include <stdlib.h>

#include "config/expression.h"
#include "config/option_number.h"
#include "config/pattern.h"

static bool is_plain(struct slice s)
{
    static const struct slice words[] = {
        SLICE_INIT("null"), SLICE_INIT("Null"), SLICE_INIT("NULL"), SLICE_INIT("~")};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (slice_equal(s, words[i]))
            return false;
    if (s.size == 0 || strchr("-?:&*!|>'\"%@`#,[]{} ", s.data[0]) || s.data[s.size - 1] == ' ' ||
        s.data[s.size - 1] == ':')
        return false;
    for (size_t i = 0; i < s.size; i++) {
        char c = s.data[i], next = i + 1 < s.size ? s.data[i + 1] : '\0';
        if ((unsigned char)c < 0x20 || strchr(",[]{}?", c) || (c == ':' && next == ' ') ||
            (c == ' ' && next == '#'))
            return false;
    }
    return true;
}

void option_text_scalar(struct slice s, struct text *text)
{
    if (is_plain(s)) {
        text_add(text, s);
        return;
    }
    text_add_char(text, '"');
    text_add_json(text, s);
    text_add_char(text, '"');
}

static bool write_list(
    const struct option *option, const struct option_list *list, struct text *text)
{
    size_t size = option->table ? option->table->size : option->item_size;
    if (option->table)
        return false;
    text_add_char(text, '[');
    for (size_t i = 0; i < list->count; i++) {
        if (i)
            text_add_literal(text, ", ");
        if (!option_text_value(option->item, (const char *)list->items + i * size, text))
            return false;
    }
    text_add_char(text, ']');
    return true;
}

static bool write_scalar(struct slice s, struct text *text)
{
    option_text_scalar(s, text);
    return true;
}

bool option_text_value(const struct option *option, const void *value, struct text *text)
{
    switch (option->kind) {
    case OPTION_FLAG:
        text_add(text, *(const bool *)value ? SLICE("true") : SLICE("false"));
        return true;
    case OPTION_INTEGER:
    case OPTION_SIZE:
    case OPTION_DURATION:
    case OPTION_RATE:
    case OPTION_SHARE:
        option_number_format(option, value, text);
        return true;
    case OPTION_TEXT:
        return write_scalar(*(const struct slice *)value, text);
    case OPTION_CHOICE:
        return write_scalar(slice_of_text(option->choices[*(const int *)value]), text);
    case OPTION_PATTERN:
        return *(void *const *)value &&
               write_scalar(pattern_text(*(struct pattern *const *)value), text);
    case OPTION_EXPRESSION:
        return *(void *const *)value &&
               write_scalar(expression_source(*(struct expression *const *)value), text);
    case OPTION_LIST:
        return write_list(option, value, text);
    case OPTION_SECRET:
    case OPTION_TEMPLATE:
    case OPTION_NETWORKS:
    case OPTION_STRUCT:
    case OPTION_MAP:
        break;
    case OPTION_CUSTOM:
        return option->write && option->write(value, text);
    }
    return false;
}

/* Bytes that a kind of option takes in its struct. */
static size_t size_of(const struct option *option)
{
    static const size_t sizes[] = {
        [OPTION_FLAG] = sizeof(bool),
        [OPTION_INTEGER] = sizeof(int64_t),
        [OPTION_SIZE] = sizeof(int64_t),
        [OPTION_DURATION] = sizeof(int64_t),
        [OPTION_RATE] = sizeof(struct rate),
        [OPTION_SHARE] = sizeof(double),
        [OPTION_TEXT] = sizeof(struct slice),
        [OPTION_SECRET] = sizeof(struct slice),
        [OPTION_CHOICE] = sizeof(int),
        [OPTION_PATTERN] = sizeof(void *),
        [OPTION_EXPRESSION] = sizeof(void *),
        [OPTION_TEMPLATE] = sizeof(void *),
        [OPTION_NETWORKS] = sizeof(struct network_list),
        [OPTION_STRUCT] = 0,
        [OPTION_LIST] = sizeof(struct option_list),
        [OPTION_MAP] = sizeof(struct option_map),
        [OPTION_CUSTOM] = 0,
    };
    if (option->kind == OPTION_CUSTOM)
        return option->item_size;
    return option->kind == OPTION_STRUCT ? option->table->size : sizes[option->kind];
}

/* Whether two structs differ in their options alone: what else a hook has set could not be written.
 */
static bool is_told_by_options(
    const struct option_table *table, const void *value, const void *usual)
{
    char *rest = malloc(table->size);
    if (!rest)
        return false;
    memcpy(rest, value, table->size);
    for (const struct option *option = table->options; option->name; option++) {
        memcpy(rest + option->offset, (const char *)usual + option->offset, size_of(option));
        if (option->is_set_offset)
            rest[option->is_set_offset] = ((const char *)usual)[option->is_set_offset];
        if (option->place_offset)
            memcpy(rest + option->place_offset, (const char *)usual + option->place_offset,
                sizeof(struct place));
    }
    bool is_same = memcmp(rest, usual, table->size) == 0;
    free(rest);
    return is_same;
}

/* Lists are the same when their items are, wherever these lie. */
static bool is_same(const struct option *option, const void *mine, const void *usual)
{
    const struct option_list *a = mine, *b = usual;
    if (memcmp(mine, usual, size_of(option)) == 0)
        return true;
    return option->kind == OPTION_LIST && !option->table && a->count == b->count &&
           memcmp(a->items, b->items, a->count * option->item_size) == 0;
}

bool option_text_struct(
    const struct option_table *table, const void *value, const void *usual, struct text *text)
{
    bool is_first = true;
    if (!is_told_by_options(table, value, usual))
        return false;
    text_add_char(text, '{');
    for (const struct option *option = table->options; option->name; option++) {
        const char *mine = (const char *)value + option->offset;
        if (size_of(option) == 0) /* what a hook has filled in is not known */
            return false;
        if (is_same(option, mine, (const char *)usual + option->offset))
            continue;
        if (!is_first)
            text_add_literal(text, ", ");
        is_first = false;
        text_format(text, "%s: ", option->name);
        if (!option_text_value(option, mine, text))
            return false;
    }
    text_add_char(text, '}');
    return true;
}
