#include "service/written.h"

#include "base/json_writer.h"
#include "service/service.h"

static const char *const shown_elsewhere[] = {"at", "versions", "share", "when", NULL};
static const char *const hidden[] = {"secret", "headers", "env", NULL};

static bool is_listed(const char *const *names, struct slice name)
{
    for (; *names; names++)
        if (slice_equal(slice_of_text(*names), name))
            return true;
    return false;
}

/* Sources have options of their own, passwords among them. */
static bool is_of_services(struct slice name)
{
    for (const struct option *option = service_table.options; option->name; option++)
        if (slice_equal(slice_of_text(option->name), name))
            return !is_listed(shown_elsewhere, name);
    return false;
}

static void add_node(struct text *text, const struct node *node);

static void add_entries(struct text *text, const struct node *map)
{
    for (size_t i = 0; i < map->count; i++) {
        const struct node_entry *entry = &map->entries[i];
        text_format(text, "%s%.*s: ", i ? ", " : "", SLICE_ARG(entry->key));
        if (is_listed(hidden, entry->key))
            text_add_literal(text, "…");
        else
            add_node(text, entry->value);
    }
}

static void add_node(struct text *text, const struct node *node)
{
    if (node->kind == NODE_LIST) {
        text_add_char(text, '[');
        for (size_t i = 0; i < node->count; i++) {
            text_add(text, i ? SLICE(", ") : SLICE_NONE);
            add_node(text, node->items[i]);
        }
        text_add_char(text, ']');
    } else if (node->kind == NODE_MAP) {
        text_add_char(text, '{');
        add_entries(text, node);
        text_add_char(text, '}');
    } else if (node->is_from_environment)
        text_add_literal(text, "…");
    else
        text_add(text, node->text);
}

enum status written_keep(
    struct arena *arena, const struct node *service, struct written *ret_written)
{
    size_t count = service->kind == NODE_MAP ? service->count : 0;
    struct written_option *items = arena_array(arena, count + 1, sizeof *items);
    struct written written = {items, 0};
    struct text text = text_growing(0);
    if (!items)
        return NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        const struct node_entry *entry = &service->entries[i];
        if (!is_of_services(entry->key))
            continue;
        text_clear(&text);
        add_node(&text, entry->value);
        struct slice copy = arena_copy(arena, text_slice(&text));
        if (copy.data)
            items[written.count++] = (struct written_option){entry->key, copy};
    }
    text_release(&text);
    *ret_written = written;
    return OK;
}

void written_print(const struct written *written, struct text *text)
{
    for (size_t i = 0; i < written->count; i++)
        text_format(text, "%s%.*s: %.*s", i ? "; " : "", SLICE_ARG(written->items[i].name),
            SLICE_ARG(written->items[i].text));
}

void written_describe(const struct written *written, struct json_writer *writer)
{
    json_write_object(writer);
    for (size_t i = 0; i < written->count; i++) {
        json_write_key(writer, written->items[i].name);
        json_write_string(writer, written->items[i].text);
    }
    json_write_object_end(writer);
}
