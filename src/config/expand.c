#include "config/expand.h"

#include <stdlib.h>

#include "base/grow.h"
#include "config/option_text.h"
#include "config/option_value.h"

/* What a value stands in, which decides how its map can be written. */
enum holder { IN_BLOCK_MAP, IN_BLOCK_LIST, IN_FLOW };

/* A change of the text. */
struct edit {
    size_t offset, removed;
    struct slice inserted; /* in the arena */
};

struct expansion {
    struct arena *arena;
    const struct source *source;
    struct slice text;
    size_t *lines; /* owned: where each line begins */
    size_t line_count;
    struct edit *edits; /* owned */
    size_t count, capacity;
    enum status status;
};

/* Where a value is held, and in which column its key stands (of IN_BLOCK_MAP). */
struct position {
    enum holder holder;
    uint32_t key_column;
    struct place after; /* of the key or the list: what stands before it was brought by an alias,
                           and is not touched */
};

static void expand_table(struct expansion *x, const struct option_table *table,
    const struct node *node, struct position position);

/* --- the text */

static enum status index_lines(struct expansion *x)
{
    size_t count = 2;
    for (size_t i = 0; i < x->text.size; i++)
        count += x->text.data[i] == '\n';
    x->lines = calloc(count, sizeof *x->lines);
    if (!x->lines)
        return NO_MEMORY;
    x->line_count = 1;
    for (size_t i = 0; i < x->text.size; i++)
        if (x->text.data[i] == '\n')
            x->lines[x->line_count++] = i + 1;
    x->lines[x->line_count] = x->text.size;
    return OK;
}

static bool is_first_byte(char c)
{
    return ((unsigned char)c & 0xc0) != 0x80;
}

/* The bytes from a character of a line on, `count` characters more. */
static size_t skip_characters(struct slice text, size_t offset, uint32_t count)
{
    while (offset < text.size && count) {
        offset++;
        if (offset == text.size || is_first_byte(text.data[offset]))
            count--;
    }
    return offset;
}

/* What a node is written as: on one line, or only its beginning. */
static struct slice span_of(const struct expansion *x, const struct node *node)
{
    const struct place *place = &node->place;
    if (place->source != x->source || place->line == 0 || place->line > x->line_count)
        return SLICE_NONE;
    size_t begin = skip_characters(x->text, x->lines[place->line - 1], place->column - 1);
    size_t end = skip_characters(x->text, begin, place->length);
    return slice_of(x->text.data + begin, end - begin);
}

static size_t offset_of(const struct expansion *x, struct slice span)
{
    return (size_t)(span.data - x->text.data);
}

/* Whether a span is all of a node. */
static bool is_whole(const struct node *node, struct slice span)
{
    char first = span.data[0], last = span.data[span.size - 1];
    if (node->kind == NODE_LIST)
        return first == '[' && last == ']';
    if (node->is_quoted)
        return span.size > 1 && first == last && (first == '"' || first == '\'');
    return slice_equal(span, node->text);
}

static bool is_flow(const struct expansion *x, const struct node *node)
{
    struct slice span = span_of(x, node);
    return span.size && (span.data[0] == '{' || span.data[0] == '[');
}

static void add_edit(struct expansion *x, size_t offset, size_t removed, struct slice inserted)
{
    if (inserted.data && grow_for_one(&x->edits, &x->capacity, x->count, sizeof *x->edits))
        x->edits[x->count++] = (struct edit){offset, removed, inserted};
    else
        x->status = NO_MEMORY;
}

/* --- short forms */

static struct slice blanks(struct arena *arena, size_t count)
{
    char *text = arena_bytes(arena, count);
    if (text)
        memset(text, ' ', count);
    return slice_of(text, text ? count : 0);
}

/* "user: x" becomes "user:" and below it, indented, "at: x". */
static void insert_below(
    struct expansion *x, size_t offset, const char *name, struct position position)
{
    struct slice parts[] = {
        SLICE("\n"), blanks(x->arena, position.key_column + 1), slice_of_text(name), SLICE(": ")};
    add_edit(x, offset, 0, arena_join(x->arena, parts, 4));
}

/* A list with a dash for each item, below its key and deeper: "at:" comes on a line before. */
static void insert_above(struct expansion *x, const struct node *node, size_t offset,
    const char *name, struct position position)
{
    if (position.holder != IN_BLOCK_MAP || node->place.column <= position.key_column)
        return;
    struct slice parts[] = {
        slice_of_text(name), SLICE(":\n"), blanks(x->arena, node->place.column - 1)};
    add_edit(x, offset, 0, arena_join(x->arena, parts, 3));
}

static void insert_around(
    struct expansion *x, const struct node *node, struct slice span, const char *name)
{
    if (!is_whole(node, span))
        return;
    size_t offset = offset_of(x, span);
    add_edit(x, offset, 0, arena_format(x->arena, "{%s: ", name));
    add_edit(x, offset + span.size, 0, SLICE("}"));
}

static void expand_shorthand(struct expansion *x, const struct option_table *table,
    const struct node *node, struct position position)
{
    struct slice span = span_of(x, node);
    if (!span.size || span.data[0] == '|' || span.data[0] == '>' ||
        (span.data[0] == '&' && node->kind == NODE_LIST))
        return;
    size_t offset = offset_of(x, span);
    bool is_dashed = node->kind == NODE_LIST && span.data[0] == '-';
    if (is_dashed)
        insert_above(x, node, offset, table->shorthand, position);
    else if (position.holder == IN_FLOW)
        insert_around(x, node, span, table->shorthand);
    else if (position.holder == IN_BLOCK_LIST)
        add_edit(x, offset, 0, arena_format(x->arena, "%s: ", table->shorthand));
    else
        insert_below(x, offset, table->shorthand, position);
}

/* True when the node is a phrase; then it is replaced by a map in braces, if its options can write
 * what it means. */
static bool expand_phrase(
    struct expansion *x, const struct option_table *table, const struct node *node)
{
    struct diagnostics ignored;
    diagnostics_init(&ignored, x->arena);
    struct reader reader = {.arena = x->arena, .diagnostics = &ignored};
    void *value = arena_zalloc(x->arena, table->size), *usual = arena_zalloc(x->arena, table->size);
    if (!value || !usual || option_defaults(&reader, table, value) ||
        option_defaults(&reader, table, usual)) {
        x->status = NO_MEMORY;
        return true;
    }
    enum status e = table->read_phrase(&reader, node, value);
    if (e == NOT_FOUND)
        return false;
    struct slice span = span_of(x, node);
    struct text map = text_growing(0);
    if (!e && !ignored.errors && span.size && is_whole(node, span) &&
        option_text_struct(table, value, usual, &map))
        add_edit(x, offset_of(x, span), span.size, arena_copy(x->arena, text_slice(&map)));
    text_release(&map);
    return true;
}

/* --- the walk */

static void expand_option(struct expansion *x, const struct option *option, const struct node *node,
    struct position position)
{
    option = option_shape(option);
    if (!option->table)
        return;
    bool in_flow = position.holder == IN_FLOW || is_flow(x, node);
    if (option->kind == OPTION_LIST && node->kind == NODE_LIST) {
        struct position inside = {in_flow ? IN_FLOW : IN_BLOCK_LIST, 0, node->place};
        for (size_t i = 0; i < node->count; i++)
            expand_table(x, option->table, node->items[i], inside);
    } else if (option->kind == OPTION_MAP && node->kind == NODE_MAP) {
        for (size_t i = 0; i < node->count; i++) {
            const struct node_entry *entry = &node->entries[i];
            struct position inside = {
                in_flow ? IN_FLOW : IN_BLOCK_MAP, entry->key_place.column, entry->key_place};
            expand_table(x, option->table, entry->value, inside);
        }
    } else if (option->kind == OPTION_STRUCT || option->kind == OPTION_LIST) {
        expand_table(x, option->table, node, position);
    }
}

static void expand_entry(struct expansion *x, const struct option_table *table,
    const struct node_entry *entry, bool in_flow)
{
    struct position position = {
        in_flow ? IN_FLOW : IN_BLOCK_MAP, entry->key_place.column, entry->key_place};
    for (const struct option *option = table->options; option->name; option++)
        if (slice_equal(slice_of_text(option->name), entry->key)) {
            expand_option(x, option, entry->value, position);
            return;
        }
    struct option unknown;
    for (size_t i = 0; option_of_unknown(table, i, &unknown); i++)
        if (slice_equal(slice_of_text(unknown.name), entry->key))
            expand_option(x, &unknown, entry->value, position);
}

static bool is_behind(const struct place *place, const struct place *other)
{
    return place->line > other->line ||
           (place->line == other->line && place->column >= other->column);
}

static void expand_table(struct expansion *x, const struct option_table *table,
    const struct node *node, struct position position)
{
    if (!is_behind(&node->place, &position.after))
        return;
    if (node->kind == NODE_MAP) {
        bool in_flow = position.holder == IN_FLOW || is_flow(x, node);
        for (size_t i = 0; i < node->count; i++)
            expand_entry(x, table, &node->entries[i], in_flow);
        return;
    }
    if (node->kind == NODE_NULL || (table->read_phrase && expand_phrase(x, table, node)))
        return;
    if (table->shorthand)
        expand_shorthand(x, table, node, position);
}

/* --- the result */

static int compare_edits(const void *a, const void *b)
{
    const struct edit *left = a, *right = b;
    return (left->offset > right->offset) - (left->offset < right->offset);
}

static void apply_edits(struct expansion *x, struct text *text)
{
    size_t done = 0;
    if (x->count)
        qsort(x->edits, x->count, sizeof *x->edits, compare_edits);
    for (size_t i = 0; i < x->count; i++) {
        const struct edit *edit = &x->edits[i];
        if (edit->offset < done) /* inside what was replaced */
            continue;
        text_add(text, slice_of(x->text.data + done, edit->offset - done));
        text_add(text, edit->inserted);
        done = edit->offset + edit->removed;
    }
    text_add(text, slice_from(x->text, done));
}

enum status expand_short_forms(struct arena *arena, const struct option_table *table,
    const struct node *root, struct text *text)
{
    struct expansion x = {.arena = arena, .source = root->place.source};
    x.text = x.source->text;
    if (slice_has_prefix(x.text, SLICE("\xef\xbb\xbf")))
        x.text = slice_from(x.text, 3);
    x.status = index_lines(&x);
    if (!x.status && root->kind == NODE_MAP)
        expand_table(&x, table, root, (struct position){.holder = IN_BLOCK_MAP, .key_column = 1});
    if (!x.status)
        apply_edits(&x, text);
    free(x.lines);
    free(x.edits);
    return x.status ? x.status : text->failed ? NO_MEMORY : OK;
}
