#include "config/option_value.h"

#include "base/must.h"
#include "base/suggest.h"
#include "config/expression.h"
#include "config/option_number.h"
#include "config/pattern.h"
#include "config/secret.h"
#include "run/address.h"

/* --- words */

static const struct {
    const char *noun, *example;
} kinds[] = {
    [OPTION_FLAG] = {"true or false", "true"},
    [OPTION_INTEGER] = {"a whole number", "10"},
    [OPTION_SIZE] = {"a size", "10MiB"},
    [OPTION_DURATION] = {"a duration", "5s"},
    [OPTION_RATE] = {"a rate", "100/min"},
    [OPTION_SHARE] = {"a share", "20%"},
    [OPTION_TEXT] = {"text", ""},
    [OPTION_SECRET] = {"text, or {file: path}", "{file: secret.txt}"},
    [OPTION_CHOICE] = {"a word", ""},
    [OPTION_PATTERN] = {"a regular expression", ""},
    [OPTION_EXPRESSION] = {"an expression", "header.x-plan"},
    [OPTION_TEMPLATE] = {"text", ""},
    [OPTION_NETWORKS] = {"a network", "10.0.0.0/8"},
    [OPTION_STRUCT] = {"a map", ""},
    [OPTION_LIST] = {"a list", "[]"},
    [OPTION_MAP] = {"a map", "{}"},
    [OPTION_CUSTOM] = {"a value", ""},
};

const char *option_kind_noun(const struct option *option)
{
    return option->kind == OPTION_CUSTOM && option->form ? option->form : kinds[option->kind].noun;
}

const char *option_kind_example(const struct option *option)
{
    return option->form ? option->form : kinds[option->kind].example;
}

const struct option *option_shape(const struct option *option)
{
    return option->kind == OPTION_CUSTOM && option->item ? option->item : option;
}

bool option_of_unknown(const struct option_table *table, size_t i, struct option *ret_option)
{
    const char *name = table->unknown_name ? table->unknown_name(i) : NULL;
    if (!name)
        return false;
    if (!table->unknown_option || !table->unknown_option(i, ret_option))
        *ret_option = (struct option){.kind = OPTION_CUSTOM};
    ret_option->name = name;
    return true;
}

bool option_of_shorthand(const struct option_table *table, struct option *ret_option)
{
    if (!table->shorthand)
        return false;
    for (const struct option *option = table->options; option->name; option++)
        if (strcmp(option->name, table->shorthand) == 0) {
            *ret_option = *option;
            return true;
        }
    for (size_t i = 0; option_of_unknown(table, i, ret_option); i++)
        if (strcmp(ret_option->name, table->shorthand) == 0)
            return true;
    return false;
}

/* --- complaints */

static struct slice name_of(const struct reader *reader, const struct option *option)
{
    if (!option->name)
        return reader->subject.size ? reader->subject : SLICE("the value");
    if (!reader->subject.size)
        return arena_format(reader->arena, "\"%s\"", option->name);
    return arena_format(reader->arena, "\"%s\" of %.*s", option->name, SLICE_ARG(reader->subject));
}

static enum status complain(const struct reader *reader, const struct option *option,
    struct place place, struct slice hint, const char *problem)
{
    struct slice name = name_of(reader, option);
    return diagnostics_error(
        reader->diagnostics, place, hint, "%.*s: %s", SLICE_ARG(name), problem);
}

static enum status complain_of_kind(
    const struct reader *reader, const struct option *option, const struct node *node)
{
    struct slice name = name_of(reader, option);
    struct slice hint = slice_of_text(option_kind_example(option));
    if (node->kind == NODE_NULL)
        return diagnostics_error(
            reader->diagnostics, node->place, hint, "%.*s has no value", SLICE_ARG(name));
    return diagnostics_error(reader->diagnostics, node->place, hint, "%.*s is %s, not %s",
        SLICE_ARG(name), option_kind_noun(option), node_kind_name(node));
}

/* --- single values */

static enum status read_flag(const struct reader *reader, const struct option *option,
    const struct node *node, bool *ret_flag)
{
    bool is_true = slice_equal(node->text, SLICE("true"));
    if (!is_true && !slice_equal(node->text, SLICE("false")))
        return complain(reader, option, node->place, SLICE("true, or false"),
            "only true and false are understood here");
    if (node->is_quoted)
        return complain(reader, option, node->place, SLICE("leave the quotes out"),
            "this is text, not true or false");
    *ret_flag = is_true;
    return OK;
}

static enum status read_number(const struct reader *reader, const struct option *option,
    const struct node *node, void *ret_value)
{
    const char *problem;
    if (option_number_read(option, node->text, ret_value, &problem))
        return complain(reader, option, node->place, SLICE_NONE, problem);
    struct text bounds = text_growing(0);
    bool is_within = option_number_check(option, ret_value, &bounds);
    enum status e = OK;
    if (!is_within) {
        text_add_char(&bounds, '\0');
        e = complain(
            reader, option, node->place, SLICE_NONE, bounds.failed ? "out of bounds" : bounds.data);
    }
    text_release(&bounds);
    return e;
}

static struct slice list_choices(struct arena *arena, const char *const *choices)
{
    struct text text = text_growing(0);
    text_add_literal(&text, "one of: ");
    for (size_t i = 0; choices[i]; i++) {
        if (i)
            text_add_literal(&text, ", ");
        text_add(&text, slice_of_text(choices[i]));
    }
    struct slice copy = arena_copy(arena, text_slice(&text));
    text_release(&text);
    return copy;
}

static enum status read_choice(const struct reader *reader, const struct option *option,
    const struct node *node, int *ret_choice)
{
    struct suggestion suggestion;
    suggest_begin(&suggestion, node->text);
    for (int i = 0; option->choices[i]; i++) {
        struct slice choice = slice_of_text(option->choices[i]);
        if (slice_equal(choice, node->text)) {
            *ret_choice = i;
            return OK;
        }
        suggest_offer(&suggestion, choice);
    }
    struct slice hint = suggestion.best.size ? arena_format(reader->arena, "did you mean \"%.*s\"?",
                                                   SLICE_ARG(suggestion.best))
                                             : list_choices(reader->arena, option->choices);
    struct slice name = name_of(reader, option);
    return diagnostics_error(reader->diagnostics, node->place, hint, "%.*s cannot be \"%.*s\"",
        SLICE_ARG(name), SLICE_ARG(node->text));
}

static enum status read_pattern(const struct reader *reader, const struct option *option,
    const struct node *node, struct pattern **ret_pattern)
{
    const char *problem;
    size_t offset;
    enum status e = pattern_compile(reader->arena, node->text, ret_pattern, &problem, &offset);
    if (e != INVALID)
        return e;
    return complain(reader, option, node_place_at(node, offset, 1), SLICE_NONE, problem);
}

static enum expression_phase phase_of(const struct option *option)
{
    return option->sees_response ? PHASE_RESPONSE : PHASE_REQUEST;
}

static enum status read_scalar(
    struct reader *reader, const struct option *option, const struct node *node, void *ret_value)
{
    if (node->kind != NODE_SCALAR)
        return complain_of_kind(reader, option, node);
    switch ((int)option->kind) {
    case OPTION_FLAG:
        return read_flag(reader, option, node, ret_value);
    case OPTION_TEXT:
        *(struct slice *)ret_value = node->text;
        return OK;
    case OPTION_CHOICE:
        return read_choice(reader, option, node, ret_value);
    case OPTION_PATTERN:
        return read_pattern(reader, option, node, ret_value);
    case OPTION_EXPRESSION:
        return expression_compile(reader, node, phase_of(option), ret_value);
    case OPTION_TEMPLATE:
        return template_compile(reader, node, phase_of(option), ret_value);
    default:
        return read_number(reader, option, node, ret_value);
    }
}

/* --- networks */

static const struct {
    struct slice word;
    const char *networks[8];
} network_words[] = {
    {SLICE_INIT("private"), {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16",
                                "fc00::/7", "fe80::/10"}},
    {SLICE_INIT("loopback"), {"127.0.0.0/8", "::1/128"}},
};
#define NETWORKS_OF_WORD_MAX 8

static size_t parse_networks(struct slice text, struct network ret_networks[NETWORKS_OF_WORD_MAX])
{
    for (size_t i = 0; i < sizeof network_words / sizeof *network_words; i++) {
        if (!slice_equal(text, network_words[i].word))
            continue;
        size_t count = 0;
        for (const char *const *name = network_words[i].networks; *name; name++, count++)
            must(network_parse(slice_of_text(*name), &ret_networks[count]) == OK);
        return count;
    }
    return network_parse(text, ret_networks) ? 0 : 1;
}

static enum status read_networks(const struct reader *reader, const struct option *option,
    const struct node *node, struct network_list *ret_list)
{
    struct node *const *nodes = node->kind == NODE_LIST ? node->items : (struct node *const *)&node;
    size_t count = node->kind == NODE_LIST ? node->count : 1;
    struct network_list list = {
        arena_array(reader->arena, count * NETWORKS_OF_WORD_MAX, sizeof(struct network)), 0};
    if (!list.items)
        return NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        if (nodes[i]->kind != NODE_SCALAR) {
            complain_of_kind(reader, option, nodes[i]);
            continue;
        }
        size_t found = parse_networks(nodes[i]->text, list.items + list.count);
        if (!found)
            complain(reader, option, nodes[i]->place,
                SLICE("10.0.0.0/8, 192.0.2.7, fd00::/8, private, loopback"), "this is no network");
        list.count += found;
    }
    *ret_list = list;
    return OK;
}

/* --- lists and maps */

struct items {
    const struct option *option;
    struct option item; /* how each is read; without a name of its own it has the list's */
    size_t size;
};

static struct items items_of(const struct option *option)
{
    struct items items = {.option = option};
    if (option->table) {
        items.item = (struct option){.kind = OPTION_STRUCT, .table = option->table};
        items.size = option->table->size;
        return items;
    }
    items.item = *option->item;
    items.size = option->item_size;
    if (!items.item.name)
        items.item.name = option->name;
    return items;
}

static enum status read_list(
    struct reader *reader, const struct option *option, const struct node *node, void *ret_value)
{
    struct items items = items_of(option);
    struct node *const *nodes = node->kind == NODE_LIST ? node->items : (struct node *const *)&node;
    size_t count = node->kind == NODE_LIST ? node->count : 1;
    struct option_list list = {arena_array(reader->arena, count, items.size), 0};
    if (node->kind == NODE_NULL)
        return complain_of_kind(reader, option, node);
    if (!list.items)
        return NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        char *item = (char *)list.items + list.count * items.size;
        enum status e = option_read_value(reader, &items.item, nodes[i], item);
        if (e && e != INVALID)
            return e;
        list.count += !e;
    }
    *(struct option_list *)ret_value = list;
    return OK;
}

static enum status read_map_item(
    struct reader *reader, const struct items *items, const struct node_entry *entry, void *value)
{
    struct slice outer = reader->subject;
    if (items->item.table) {
        struct slice parts[] = {
            slice_of_text(items->item.table->name), SLICE(" \""), entry->key, SLICE("\"")};
        reader->subject = arena_join(reader->arena, parts, 4);
    }
    enum status e = items->item.table
                        ? option_read(reader, items->item.table, entry->value, value)
                        : option_read_value(reader, &items->item, entry->value, value);
    reader->subject = outer;
    return e;
}

/* A struct that could not be read stays in the map, empty, so that its name is known to what refers
 * to it. */
static enum status read_map(
    struct reader *reader, const struct option *option, const struct node *node, void *ret_value)
{
    if (node->kind != NODE_MAP)
        return complain_of_kind(reader, option, node);
    struct items items = items_of(option);
    struct option_map map = {
        arena_array(reader->arena, node->count, sizeof(struct option_map_entry)), 0};
    char *values = arena_array(reader->arena, node->count, items.size);
    if (!map.entries || !values)
        return NO_MEMORY;
    for (size_t i = 0; i < node->count; i++) {
        const struct node_entry *entry = &node->entries[i];
        enum status e = read_map_item(reader, &items, entry, values);
        if (e && e != INVALID)
            return e;
        if (e && !items.item.table)
            continue;
        map.entries[map.count++] = (struct option_map_entry){entry->key, entry->key_place, values};
        values += items.size;
    }
    *(struct option_map *)ret_value = map;
    return OK;
}

/* --- the rest */

static enum status read_struct(
    struct reader *reader, const struct option *option, const struct node *node, void *value)
{
    struct slice outer = reader->subject, name = slice_of_text(option->table->name);
    struct slice parts[] = {name, SLICE(" of "), outer};
    reader->subject = outer.size ? arena_join(reader->arena, parts, 3) : name;
    enum status e = option_read(reader, option->table, node, value);
    reader->subject = outer;
    return e;
}

/* A hook that refuses without a word is spoken for. */
static enum status read_custom(
    struct reader *reader, const struct option *option, const struct node *node, void *ret_value)
{
    size_t errors = reader->diagnostics->errors;
    enum status e = option->read(reader, node, ret_value);
    if ((e == INVALID || e == NOT_FOUND) && reader->diagnostics->errors == errors)
        return complain_of_kind(reader, option, node);
    return e == NOT_FOUND ? INVALID : e;
}

static enum status read_secret(struct reader *reader, const struct option *option,
    const struct node *node, struct slice *ret_secret)
{
    enum status e = secret_read(reader, node, ret_secret);
    return e == NOT_FOUND ? complain_of_kind(reader, option, node) : e;
}

enum status option_read_value(
    struct reader *reader, const struct option *option, const struct node *node, void *ret_value)
{
    switch ((int)option->kind) {
    case OPTION_SECRET:
        return read_secret(reader, option, node, ret_value);
    case OPTION_NETWORKS:
        return read_networks(reader, option, node, ret_value);
    case OPTION_STRUCT:
        return read_struct(reader, option, node, ret_value);
    case OPTION_LIST:
        return read_list(reader, option, node, ret_value);
    case OPTION_MAP:
        return read_map(reader, option, node, ret_value);
    case OPTION_CUSTOM:
        return read_custom(reader, option, node, ret_value);
    default:
        return read_scalar(reader, option, node, ret_value);
    }
}
