#include "config/option.h"

#include "base/must.h"
#include "base/suggest.h"
#include "config/option_value.h"

#define OPTIONS_MAX      64 /* of one table */
#define OPTIONS_LISTABLE 12 /* as many are named when nothing resembles what was written */

static void *at_offset(void *value, size_t offset)
{
    return (char *)value + offset;
}

static bool is_named(const struct option *option, struct slice name)
{
    return strncmp(option->name, name.data, name.size) == 0 && option->name[name.size] == '\0';
}

static const struct option *find_option(const struct option_table *table, struct slice name)
{
    for (const struct option *option = table->options; option->name; option++)
        if (is_named(option, name))
            return option;
    return NULL;
}

/* INVALID means that it was complained of: the reading goes on behind it. */
static enum status go_on(enum status e)
{
    return e == INVALID ? OK : e;
}

static enum status read_into(
    struct reader *reader, const struct option *option, const struct node *node, void *value)
{
    enum status e = option_read_value(reader, option, node, at_offset(value, option->offset));
    if (!e && option->is_set_offset)
        *(bool *)at_offset(value, option->is_set_offset) = true;
    if (option->place_offset)
        *(struct place *)at_offset(value, option->place_offset) = node->place;
    return go_on(e);
}

/* --- defaults */

/* A default that is a list or a map, as a user would write it. */
static enum status read_flow(struct reader *reader, struct slice text, struct node **ret_node)
{
    struct source *source = arena_new(reader->arena, struct source);
    if (!source)
        return NO_MEMORY;
    *source = (struct source){SLICE("<default>"), text};
    return tree_read(reader->arena, source, NULL, reader->diagnostics, ret_node);
}

static enum status read_fallback(struct reader *reader, const struct option *option, void *value)
{
    struct slice text = slice_of_text(option->fallback);
    struct node scalar = {.kind = NODE_SCALAR, .text = text, .raw = text}, *node = &scalar;
    if (text.size && (text.data[0] == '[' || text.data[0] == '{') && option->kind != OPTION_TEXT &&
        option->kind != OPTION_TEMPLATE) {
        enum status e = read_flow(reader, text, &node);
        if (e)
            return e;
    }
    return go_on(option_read_value(reader, option, node, at_offset(value, option->offset)));
}

enum status option_defaults(struct reader *reader, const struct option_table *table, void *value)
{
    enum status e = OK;
    for (const struct option *option = table->options; option->name && !e; option++) {
        if (option->fallback)
            e = read_fallback(reader, option, value);
        else if (option->kind == OPTION_STRUCT)
            e = option_defaults(reader, option->table, at_offset(value, option->offset));
    }
    return e;
}

/* --- names that are not there */

static struct slice list_names(struct arena *arena, const struct option_table *table)
{
    struct slice parts[2 * OPTIONS_LISTABLE + 1] = {SLICE("the options are: ")};
    size_t count = 1;
    for (const struct option *option = table->options; option->name; option++) {
        if (count + 2 > sizeof parts / sizeof *parts)
            return SLICE_NONE;
        if (count > 1)
            parts[count++] = SLICE(", ");
        parts[count++] = slice_of_text(option->name);
    }
    return arena_join(arena, parts, count);
}

static struct slice suggest(
    struct arena *arena, const struct option_table *table, struct slice written)
{
    struct suggestion suggestion;
    suggest_begin(&suggestion, written);
    for (const struct option *option = table->options; option->name; option++)
        suggest_offer(&suggestion, slice_of_text(option->name));
    const char *name;
    for (size_t i = 0; table->unknown_name && (name = table->unknown_name(i)); i++)
        suggest_offer(&suggestion, slice_of_text(name));
    if (suggestion.best.size)
        return arena_format(arena, "did you mean \"%.*s\"?", SLICE_ARG(suggestion.best));
    return table->unknown_name ? SLICE_NONE : list_names(arena, table);
}

static enum status complain_of_unknown(
    struct reader *reader, const struct option_table *table, const struct node_entry *entry)
{
    struct slice subject = reader->subject;
    return diagnostics_error(reader->diagnostics, entry->key_place,
        suggest(reader->arena, table, entry->key), "unknown option \"%.*s\"%s%.*s",
        SLICE_ARG(entry->key), subject.size ? " for " : "", SLICE_ARG(subject));
}

static enum status read_unknown(struct reader *reader, const struct option_table *table,
    const struct node_entry *entry, void *value)
{
    enum status e = table->read_unknown ? table->read_unknown(reader, entry, value) : NOT_FOUND;
    if (e == NOT_FOUND)
        e = complain_of_unknown(reader, table, entry);
    return go_on(e);
}

static void complain_of_missing(
    struct reader *reader, const struct option *option, const struct node *node)
{
    struct slice subject = reader->subject.size ? reader->subject : SLICE("the configuration");
    diagnostics_error(reader->diagnostics, node->place,
        slice_of_text(option->help ? option->help : ""), "%.*s needs \"%s\"", SLICE_ARG(subject),
        option->name);
}

/* --- a struct */

/* `seen` has a bit for each option that was written. */
static void check_required(
    struct reader *reader, const struct option_table *table, const struct node *node, uint64_t seen)
{
    for (const struct option *option = table->options; option->name; option++)
        if (option->is_required && !(seen >> (option - table->options) & 1))
            complain_of_missing(reader, option, node);
}

static enum status read_map(
    struct reader *reader, const struct option_table *table, const struct node *node, void *value)
{
    uint64_t seen = 0;
    for (size_t i = 0; i < node->count; i++) {
        const struct node_entry *entry = &node->entries[i];
        const struct option *option = find_option(table, entry->key);
        enum status e = option ? read_into(reader, option, entry->value, value)
                               : read_unknown(reader, table, entry, value);
        if (e)
            return e;
        if (option) {
            must(option - table->options < OPTIONS_MAX);
            seen |= (uint64_t)1 << (option - table->options);
        }
    }
    check_required(reader, table, node, seen);
    return OK;
}

static enum status complain_of_form(
    struct reader *reader, const struct option_table *table, const struct node *node)
{
    struct slice subject = reader->subject.size ? reader->subject : slice_of_text(table->name);
    struct slice hint = slice_of_text(table->example ? table->example : "");
    if (node->kind == NODE_NULL)
        return diagnostics_error(
            reader->diagnostics, node->place, hint, "%.*s has no value", SLICE_ARG(subject));
    return diagnostics_error(reader->diagnostics, node->place, hint, "%.*s is a map, not %s",
        SLICE_ARG(subject), node_kind_name(node));
}

/* What is no map: a phrase, or the value of the option that the short form stands for. */
static enum status read_short(
    struct reader *reader, const struct option_table *table, const struct node *node, void *value)
{
    enum status e = NOT_FOUND;
    if (table->read_phrase && node->kind != NODE_NULL)
        e = table->read_phrase(reader, node, value);
    if (e != NOT_FOUND)
        return e;
    if (!table->shorthand || node->kind == NODE_NULL)
        return complain_of_form(reader, table, node);
    struct slice name = slice_of_text(table->shorthand);
    const struct option *option = find_option(table, name);
    uint64_t seen = option ? (uint64_t)1 << (option - table->options) : 0;
    struct node_entry entry = {name, node->place, (struct node *)node};
    e = option ? read_into(reader, option, node, value)
               : read_unknown(reader, table, &entry, value);
    if (!e)
        check_required(reader, table, node, seen);
    return e;
}

enum status option_read(
    struct reader *reader, const struct option_table *table, const struct node *node, void *value)
{
    size_t errors = reader->diagnostics->errors;
    enum status e = option_defaults(reader, table, value);
    if (!e)
        e = node->kind == NODE_MAP ? read_map(reader, table, node, value)
                                   : read_short(reader, table, node, value);
    /* A check of what is half read would only find what was complained of already. */
    if (!e && table->check && reader->diagnostics->errors == errors)
        e = go_on(table->check(reader, node, value));
    return e;
}
