#include "config/tree.h"

struct node *node_get(const struct node *map, struct slice key)
{
    for (size_t i = 0; map->kind == NODE_MAP && i < map->count; i++)
        if (slice_equal(map->entries[i].key, key))
            return map->entries[i].value;
    return NULL;
}

const char *node_kind_name(const struct node *node)
{
    static const char *const names[] = {[NODE_NULL] = "nothing",
        [NODE_SCALAR] = "text",
        [NODE_LIST] = "a list",
        [NODE_MAP] = "a map"};
    return names[node->kind];
}

static uint32_t count_characters(struct slice s)
{
    uint32_t count = 0;
    for (size_t i = 0; i < s.size; i++)
        count += ((unsigned char)s.data[i] & 0xc0) != 0x80;
    return count;
}

/* The first `count` characters. */
static struct slice first_characters(struct slice s, uint32_t count)
{
    size_t i = 0;
    for (; i < s.size; i++)
        if (((unsigned char)s.data[i] & 0xc0) != 0x80 && count-- == 0)
            break;
    return slice_head(s, i);
}

/* A place inside a block scalar ("|"): each line of the text is the end of a line of the source. */
static struct place place_in_block(const struct node *node, size_t offset)
{
    struct place place = node->place;
    size_t begin = 0;
    place.line++;
    for (size_t i = 0; i < offset; i++)
        if (node->text.data[i] == '\n') {
            begin = i + 1;
            place.line++;
        }
    struct slice line = source_line(place.source, place.line), text = slice_from(node->text, begin);
    text = slice_head(text, slice_find(text, '\n'));
    if (!slice_has_suffix(line, text))
        return node->place;
    place.column =
        1 + (uint32_t)(line.size - text.size) + count_characters(slice_head(text, offset - begin));
    return place;
}

/* A place in a scalar that stands on one line: counted from its front as long as the source reads
 * like the text, else from its end; in between (escapes, the environment's values) it is the whole
 * scalar. */
static struct place place_in_line(const struct node *node, size_t offset)
{
    struct place place = node->place;
    struct slice raw = first_characters(source_from(&place), place.length);
    if (node->is_quoted && raw.size >= 2 && (raw.data[0] == '"' || raw.data[0] == '\'')) {
        raw = slice_of(raw.data + 1, raw.size - 2);
        place.column++;
    }
    if (slice_has_prefix(raw, slice_head(node->text, offset))) {
        place.column += count_characters(slice_head(raw, offset));
        return place;
    }
    size_t behind = node->text.size - offset;
    if (!slice_has_suffix(raw, slice_from(node->text, offset)))
        return node->place;
    place.column += count_characters(slice_head(raw, raw.size - behind));
    return place;
}

struct place node_place_at(const struct node *node, size_t offset, size_t size)
{
    if (!node->place.source || node->kind != NODE_SCALAR || offset > node->text.size)
        return node->place;
    struct slice raw = source_from(&node->place);
    bool is_block = node->is_quoted && raw.size && (raw.data[0] == '|' || raw.data[0] == '>');
    struct place place = is_block ? place_in_block(node, offset) : place_in_line(node, offset);
    bool is_inside =
        place.column != node->place.column || place.line != node->place.line || !node->is_quoted;
    if (is_inside) {
        uint32_t length = count_characters(slice_head(slice_from(node->text, offset), size));
        place.length = length ? length : 1;
    }
    return place;
}
