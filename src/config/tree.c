#include "config/tree.h"

#include <stdlib.h>
#include <yaml.h>

#include "base/grow.h"
#include "base/table.h"
#include "config/environment.h"
#include "config/text_check.h"
#include "config/yaml_problem.h"

#define BYTES_MAX          ((size_t)16 << 20)
#define NODES_MAX          4000000
#define DEPTH_MAX          64
#define ANCHORS_MAX        10000
#define ALIAS_SHARE        16 /* one of so many nodes may come from an alias */
#define LINEAR_SEARCH_SIZE 16 /* in larger maps duplicate keys are found by hashing */

/* A value with a name (&name), and how large it is where an alias repeats it. */
struct anchor {
    const struct node *node; /* NULL until it has been read */
    struct place place;
    size_t nodes, depth;
};

/* What has been read of the open maps and lists, the innermost on top: they move into the arena as
 * a whole when their size is known. */
struct stack {
    struct node_entry *entries; /* owned */
    size_t count, capacity;
};

struct builder {
    struct arena *arena;
    const struct source *source;
    struct diagnostics *diagnostics;
    struct tree_limits limits;
    yaml_parser_t parser;
    struct table anchors; /* name to struct anchor */
    struct stack stack;
    size_t nodes, alias_nodes;
    size_t depth, deepest; /* of open maps and lists */
};

static enum status read_node(struct builder *b, yaml_event_t *event, struct node **ret_node);

static struct place place_of(const struct builder *b, const yaml_event_t *event)
{
    struct place place = yaml_problem_place(b->source, &event->start_mark);
    if (event->end_mark.line == event->start_mark.line &&
        event->end_mark.column > event->start_mark.column)
        place.length = (uint32_t)(event->end_mark.column - event->start_mark.column);
    return place;
}

static enum status next_event(struct builder *b, yaml_event_t *event)
{
    if (yaml_parser_parse(&b->parser, event))
        return OK;
    return yaml_problem_report(&b->parser, b->source, b->diagnostics);
}

static enum status complain(
    struct builder *b, struct place place, const char *hint, const char *message)
{
    return diagnostics_error(b->diagnostics, place, slice_of_text(hint), "%s", message);
}

static enum status push(struct builder *b, struct node_entry entry)
{
    struct stack *stack = &b->stack;
    if (!grow_for_one(&stack->entries, &stack->capacity, stack->count, sizeof *stack->entries))
        return NO_MEMORY;
    stack->entries[stack->count++] = entry;
    return OK;
}

/* --- scalars */

static bool is_null_text(struct slice s)
{
    return s.size == 0 || slice_equal(s, SLICE("~")) || slice_equal(s, SLICE("null")) ||
           slice_equal(s, SLICE("Null")) || slice_equal(s, SLICE("NULL"));
}

static enum status expand(struct builder *b, struct node *node)
{
    struct environment_problem problem;
    enum status e = environment_expand(b->arena, node->raw, &node->text, &node->raw, &problem);
    if (e != INVALID)
        return e;
    struct place place = node_place_at(node, problem.offset, problem.size);
    if (problem.name.size)
        diagnostics_error(b->diagnostics, place, SLICE("${NAME:-default} gives it a default"),
            "the environment variable %.*s is not set", SLICE_ARG(problem.name));
    else
        diagnostics_error(b->diagnostics, place,
            SLICE("${NAME}, ${NAME:-default}, or $${ for the text \"${\""),
            "a malformed environment variable");
    return OK;
}

static enum status fill_scalar(struct builder *b, const yaml_event_t *event, struct node *node)
{
    struct slice given =
        slice_of((const char *)event->data.scalar.value, event->data.scalar.length);
    node->kind = NODE_SCALAR;
    node->is_quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    if (!node->is_quoted && is_null_text(given))
        node->kind = NODE_NULL;
    node->text = node->raw = arena_copy(b->arena, given);
    if (!node->text.data)
        return NO_MEMORY;
    if (!b->limits.keeps_environment && memchr(given.data, '$', given.size) &&
        environment_is_used(given)) {
        node->is_from_environment = true;
        return expand(b, node);
    }
    return OK;
}

/* --- maps and lists */

static void complain_of_duplicate(
    struct builder *b, const struct node_entry *first, const struct node_entry *second)
{
    diagnostics_error(b->diagnostics, second->key_place, SLICE(""), "the key \"%.*s\" occurs twice",
        SLICE_ARG(second->key));
    diagnostics_relate(b->diagnostics, first->key_place, "it stands here first");
}

static enum status check_keys_hashed(struct builder *b, const struct node *map)
{
    struct table seen;
    enum status e = OK;
    table_init(&seen, map->count);
    for (size_t i = 0; i < map->count && e != NO_MEMORY; i++) {
        e = table_put(&seen, map->entries[i].key, &map->entries[i]);
        if (e == EXISTS)
            complain_of_duplicate(b, table_get(&seen, map->entries[i].key), &map->entries[i]);
    }
    table_release(&seen);
    return e == NO_MEMORY ? e : OK;
}

static enum status check_keys(struct builder *b, const struct node *map)
{
    if (map->count > LINEAR_SEARCH_SIZE)
        return check_keys_hashed(b, map);
    for (size_t i = 1; i < map->count; i++)
        for (size_t j = 0; j < i; j++)
            if (slice_equal(map->entries[i].key, map->entries[j].key)) {
                complain_of_duplicate(b, &map->entries[j], &map->entries[i]);
                break;
            }
    return OK;
}

/* Takes what lies on the stack above `base` as the items or entries of a node. */
static enum status take_items(struct builder *b, size_t base, struct node *node)
{
    node->count = b->stack.count - base;
    b->stack.count = base;
    if (node->count == 0) /* the stack may have no memory yet */
        return OK;
    const struct node_entry *top = b->stack.entries + base;
    if (node->kind == NODE_MAP) {
        node->entries = arena_array(b->arena, node->count, sizeof *node->entries);
        if (!node->entries)
            return NO_MEMORY;
        memcpy(node->entries, top, node->count * sizeof *top);
        return check_keys(b, node);
    }
    node->items = arena_array(b->arena, node->count, sizeof(struct node *));
    if (!node->items)
        return NO_MEMORY;
    for (size_t i = 0; i < node->count; i++)
        node->items[i] = top[i].value;
    return OK;
}

static enum status check_key(struct builder *b, const struct node *key, bool *ret_is_wanted)
{
    *ret_is_wanted = false;
    if (key->kind == NODE_LIST || key->kind == NODE_MAP) {
        complain(b, key->place, "put it into quotes", "a key is text, not a list or a map");
        return OK;
    }
    if (!key->is_quoted && slice_equal(key->text, SLICE("<<"))) {
        complain(
            b, key->place, "write out the keys that it would merge", "merge keys are not read");
        return OK;
    }
    *ret_is_wanted = true;
    return OK;
}

/* One key and its value. */
static enum status read_entry(struct builder *b, yaml_event_t *event)
{
    struct node *key;
    struct node_entry entry = {0};
    enum status e = read_node(b, event, &key);
    if (e)
        return e;
    bool is_wanted;
    e = check_key(b, key, &is_wanted);
    yaml_event_t value;
    if (!e)
        e = next_event(b, &value);
    if (e)
        return e;
    e = read_node(b, &value, &entry.value);
    yaml_event_delete(&value);
    if (e || !is_wanted)
        return e;
    entry.key = key->text;
    entry.key_place = key->place;
    return push(b, entry);
}

static enum status read_item(struct builder *b, yaml_event_t *event)
{
    struct node_entry entry = {0};
    enum status e = read_node(b, event, &entry.value);
    return e ? e : push(b, entry);
}

static void lengthen_place(struct node *node, const yaml_event_t *end)
{
    uint32_t line = (uint32_t)end->end_mark.line + 1, column = (uint32_t)end->end_mark.column + 1;
    if (line == node->place.line && column > node->place.column)
        node->place.length = column - node->place.column;
}

static enum status fill_collection(
    struct builder *b, enum node_kind kind, yaml_event_type_t end, struct node *node)
{
    node->kind = kind;
    if (++b->depth > b->limits.depth)
        return diagnostics_error(b->diagnostics, node->place, SLICE(""),
            "maps and lists are nested more than %zu deep", b->limits.depth);
    if (b->depth > b->deepest)
        b->deepest = b->depth;
    size_t base = b->stack.count;
    for (;;) {
        yaml_event_t event;
        enum status e = next_event(b, &event);
        if (e)
            return e;
        bool is_end = event.type == end;
        if (is_end)
            lengthen_place(node, &event);
        else
            e = kind == NODE_MAP ? read_entry(b, &event) : read_item(b, &event);
        yaml_event_delete(&event);
        if (e)
            return e;
        if (is_end)
            break;
    }
    b->depth--;
    return take_items(b, base, node);
}

/* --- anchors and aliases */

static struct slice anchor_of(const yaml_event_t *event)
{
    const yaml_char_t *name = event->type == YAML_SCALAR_EVENT ? event->data.scalar.anchor
                              : event->type == YAML_SEQUENCE_START_EVENT
                                  ? event->data.sequence_start.anchor
                                  : event->data.mapping_start.anchor;
    return slice_of_text((const char *)name);
}

static bool has_tag(const yaml_event_t *event)
{
    return event->type == YAML_SCALAR_EVENT           ? event->data.scalar.tag != NULL
           : event->type == YAML_SEQUENCE_START_EVENT ? event->data.sequence_start.tag != NULL
                                                      : event->data.mapping_start.tag != NULL;
}

/* Notes a name before its value is read, so that an alias inside is found out. */
static enum status add_anchor(
    struct builder *b, struct slice name, struct place place, struct anchor **ret_anchor)
{
    struct anchor *anchor = arena_new(b->arena, struct anchor);
    struct slice copy = arena_copy(b->arena, name);
    if (!anchor || !copy.data)
        return NO_MEMORY;
    anchor->place = place;
    enum status e = table_put(&b->anchors, copy, anchor);
    if (e == FULL)
        return complain(b, place, "", "too many anchors");
    if (e == EXISTS) {
        const struct anchor *first = table_get(&b->anchors, name);
        diagnostics_error(
            b->diagnostics, place, SLICE(""), "the anchor \"&%.*s\" occurs twice", SLICE_ARG(name));
        diagnostics_relate(b->diagnostics, first->place, "it stands here first");
        e = OK;
    }
    *ret_anchor = anchor;
    return e;
}

static enum status read_alias(struct builder *b, const yaml_event_t *event, struct node **ret_node)
{
    struct slice name = slice_of_text((const char *)event->data.alias.anchor);
    struct place place = place_of(b, event);
    const struct anchor *anchor = table_get(&b->anchors, name);
    if (!anchor)
        return diagnostics_error(b->diagnostics, place,
            SLICE("text that begins with \"*\" needs quotes"), "there is no anchor \"&%.*s\" above",
            SLICE_ARG(name));
    if (!anchor->node)
        return diagnostics_error(b->diagnostics, place, SLICE(""),
            "the alias \"*%.*s\" stands inside the value that it repeats", SLICE_ARG(name));
    b->nodes += anchor->nodes;
    b->alias_nodes += anchor->nodes;
    if (b->alias_nodes > b->limits.nodes / ALIAS_SHARE)
        return diagnostics_error(b->diagnostics, place, SLICE(""),
            "aliases repeat more than %zu values", b->limits.nodes / ALIAS_SHARE);
    if (b->depth + anchor->depth > b->limits.depth)
        return diagnostics_error(b->diagnostics, place, SLICE(""),
            "maps and lists are nested more than %zu deep by this alias", b->limits.depth);
    if (b->depth + anchor->depth > b->deepest)
        b->deepest = b->depth + anchor->depth;
    *ret_node = (struct node *)anchor->node;
    return OK;
}

/* --- nodes */

static enum status fill_node(struct builder *b, const yaml_event_t *event, struct node *node)
{
    if (event->type == YAML_MAPPING_START_EVENT)
        return fill_collection(b, NODE_MAP, YAML_MAPPING_END_EVENT, node);
    if (event->type == YAML_SEQUENCE_START_EVENT)
        return fill_collection(b, NODE_LIST, YAML_SEQUENCE_END_EVENT, node);
    return fill_scalar(b, event, node);
}

/* A value with a name: measured while it is read, to know what each alias of it adds. */
static enum status fill_anchored(
    struct builder *b, const yaml_event_t *event, struct slice name, struct node *node)
{
    struct anchor *anchor = NULL;
    enum status e = add_anchor(b, name, node->place, &anchor);
    if (e || !anchor)
        return e;
    size_t nodes = b->nodes, deepest = b->deepest;
    b->deepest = b->depth;
    e = fill_node(b, event, node);
    anchor->node = node;
    anchor->nodes = b->nodes - nodes + 1;
    anchor->depth = b->deepest - b->depth;
    if (deepest > b->deepest)
        b->deepest = deepest;
    return e;
}

static enum status read_node(struct builder *b, yaml_event_t *event, struct node **ret_node)
{
    if (event->type == YAML_ALIAS_EVENT)
        return read_alias(b, event, ret_node);
    struct node *node = arena_new(b->arena, struct node);
    if (!node)
        return NO_MEMORY;
    node->place = place_of(b, event);
    if (++b->nodes > b->limits.nodes)
        return diagnostics_error(b->diagnostics, node->place, SLICE(""),
            "there are more than %zu values", b->limits.nodes);
    if (has_tag(event))
        complain(b, node->place, "leave it out; text that begins with \"!\" needs quotes",
            "tags are not read");
    *ret_node = node;
    struct slice name = anchor_of(event);
    return name.data ? fill_anchored(b, event, name, node) : fill_node(b, event, node);
}

/* --- the text as a whole */

static enum status read_document(struct builder *b, struct node **ret_root)
{
    yaml_event_t event;
    enum status e = next_event(b, &event);
    if (e)
        return e;
    e = read_node(b, &event, ret_root);
    yaml_event_delete(&event);
    return e;
}

static enum status read_stream(struct builder *b, struct node **ret_root)
{
    bool has_document = false;
    for (;;) {
        yaml_event_t event;
        enum status e = next_event(b, &event);
        if (e)
            return e;
        yaml_event_type_t type = event.type;
        struct place place = place_of(b, &event);
        yaml_event_delete(&event);
        if (type == YAML_STREAM_END_EVENT || type == YAML_NO_EVENT)
            return OK;
        if (type != YAML_DOCUMENT_START_EVENT)
            continue;
        if (has_document)
            return complain(
                b, place, "put it into a file of its own", "a second document begins here");
        has_document = true;
        e = read_document(b, ret_root);
        if (e)
            return e;
    }
}

static struct tree_limits limits_of(const struct tree_limits *given)
{
    struct tree_limits limits = given ? *given : (struct tree_limits){.bytes = 0};
    limits.bytes = limits.bytes ? limits.bytes : BYTES_MAX;
    limits.nodes = limits.nodes ? limits.nodes : NODES_MAX;
    limits.depth = limits.depth ? limits.depth : DEPTH_MAX;
    return limits;
}

static enum status build(struct builder *b, struct slice text, struct node **ret_root)
{
    struct node *root = arena_new(b->arena, struct node);
    if (!root || !yaml_parser_initialize(&b->parser))
        return NO_MEMORY;
    *root = (struct node){.kind = NODE_MAP, .place = {b->source, 1, 1, 1}};
    struct node *empty = root;
    yaml_parser_set_encoding(&b->parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(
        &b->parser, (const unsigned char *)(text.size ? text.data : ""), text.size);
    table_init(&b->anchors, ANCHORS_MAX);
    enum status e = read_stream(b, &root);
    table_release(&b->anchors);
    yaml_parser_delete(&b->parser);
    free(b->stack.entries);
    if (!e)
        *ret_root = root->kind == NODE_NULL ? empty : root;
    return e;
}

enum status tree_read(struct arena *arena, const struct source *source,
    const struct tree_limits *limits, struct diagnostics *diagnostics, struct node **ret_root)
{
    struct builder b = {
        .arena = arena, .source = source, .diagnostics = diagnostics, .limits = limits_of(limits)};
    struct slice text = source->text;
    if (text.size > b.limits.bytes)
        return diagnostics_error(diagnostics, (struct place){source, 0, 0, 0}, SLICE(""),
            "the file is larger than %zu bytes", b.limits.bytes);
    enum status e = text_check(source, diagnostics, &text);
    return e ? e : build(&b, text, ret_root);
}
