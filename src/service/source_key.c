#include "service/source_key.h"

enum status loose_options_add(
    struct arena *arena, struct loose_options *loose, const struct node_entry *entry)
{
    struct node_entry *entries = arena_array(arena, loose->count + 1, sizeof *entries);
    if (!entries)
        return NO_MEMORY;
    if (loose->count)
        memcpy(entries, loose->entries, loose->count * sizeof *entries);
    entries[loose->count++] = *entry;
    loose->entries = entries;
    return OK;
}

enum status source_key_merge(
    struct arena *arena, const struct node *const *maps, size_t count, struct node **ret_map)
{
    size_t most = 0;
    for (size_t i = 0; i < count; i++)
        most += maps[i] && maps[i]->kind == NODE_MAP ? maps[i]->count : 0;
    struct node *map = arena_new(arena, struct node);
    if (!map)
        return NO_MEMORY;
    map->kind = NODE_MAP;
    map->entries = arena_array(arena, most + 1, sizeof *map->entries);
    if (!map->entries)
        return NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; maps[i] && maps[i]->kind == NODE_MAP && j < maps[i]->count; j++)
            if (!node_get(map, maps[i]->entries[j].key))
                map->entries[map->count++] = maps[i]->entries[j];
    *ret_map = map;
    return OK;
}

static enum status copy_items(struct arena *arena, const struct node *node, struct node *copy)
{
    copy->items = arena_array(arena, node->count + 1, sizeof *copy->items);
    enum status e = copy->items ? OK : NO_MEMORY;
    for (size_t i = 0; !e && i < node->count; i++)
        e = source_key_copy(arena, node->items[i], &copy->items[i]);
    return e;
}

static enum status copy_entries(struct arena *arena, const struct node *node, struct node *copy)
{
    copy->entries = arena_array(arena, node->count + 1, sizeof *copy->entries);
    enum status e = copy->entries ? OK : NO_MEMORY;
    for (size_t i = 0; !e && i < node->count; i++) {
        copy->entries[i].key_place = node->entries[i].key_place;
        copy->entries[i].key = arena_copy(arena, node->entries[i].key);
        e = copy->entries[i].key.data
                ? source_key_copy(arena, node->entries[i].value, &copy->entries[i].value)
                : NO_MEMORY;
    }
    return e;
}

enum status source_key_copy(struct arena *arena, const struct node *node, struct node **ret_copy)
{
    static const struct node empty = {.kind = NODE_MAP};
    struct node *copy = arena_new(arena, struct node);
    if (!copy)
        return NO_MEMORY;
    node = node ? node : &empty;
    *copy = *node;
    copy->text = arena_copy(arena, node->text);
    copy->raw = arena_copy(arena, node->raw);
    enum status e = copy->text.data && copy->raw.data ? OK : NO_MEMORY;
    if (!e && node->kind == NODE_LIST)
        e = copy_items(arena, node, copy);
    if (!e && node->kind == NODE_MAP)
        e = copy_entries(arena, node, copy);
    if (!e)
        *ret_copy = copy;
    return e;
}

/* Lengths go before texts, so that none can pass for another's beginning. */
static void write_text(struct text *text, struct slice value)
{
    text_add_u64(text, value.size);
    text_add_char(text, ':');
    text_add(text, value);
}

static void write_node(struct text *text, const struct node *node)
{
    static const char kinds[] = {
        [NODE_NULL] = 'n', [NODE_SCALAR] = 's', [NODE_LIST] = 'l', [NODE_MAP] = 'm'};
    text_add_char(text, kinds[node->kind]);
    if (node->kind == NODE_SCALAR)
        write_text(text, node->text);
    for (size_t i = 0; node->kind == NODE_LIST && i < node->count; i++)
        write_node(text, node->items[i]);
    for (size_t i = 0; node->kind == NODE_MAP && i < node->count; i++) {
        write_text(text, node->entries[i].key);
        write_node(text, node->entries[i].value);
    }
    text_add_char(text, ';');
}

void source_key_write(struct slice source, const struct node *options, struct text *text)
{
    write_text(text, source);
    if (options)
        write_node(text, options);
}
