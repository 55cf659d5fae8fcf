#include "base/json.h"

#include <stdlib.h>

/* An object with more members than this is searched by its sorted index. */
#define LARGE_OBJECT 8

/* A container that is still open, and where its next child is to be hung. */
struct open {
    struct open *outer;
    struct json_value *container;
    struct json_value **tail;
};

struct builder {
    struct arena *arena;
    struct json_reader reader;
    struct open *innermost; /* NULL: outside */
    struct open *spare;     /* closed ones, to be used again */
    struct json_value *root;
    struct slice key; /* of the value to come */
    size_t key_offset;
    size_t error_offset; /* of what the reader itself cannot see */
    const char *message;
};

static enum status fail(struct builder *builder, enum status e, size_t offset, const char *message)
{
    builder->error_offset = offset;
    builder->message = message;
    return e;
}

static enum status out_of_memory(struct builder *builder)
{
    return fail(builder, NO_MEMORY, 0, "there is not enough memory for it");
}

static int by_key(const void *a, const void *b)
{
    const struct json_value *const *left = a, *const *right = b;
    return slice_compare((*left)->key, (*right)->key);
}

/* By key; of equal ones the last in the text comes last. */
static int by_key_and_place(const void *a, const void *b)
{
    const struct json_value *const *left = a, *const *right = b;
    int order = by_key(a, b);
    return order ? order
                 : ((*left)->offset > (*right)->offset) - ((*left)->offset < (*right)->offset);
}

static enum status refuse_duplicate(struct builder *builder, const struct json_value *member)
{
    return fail(builder, INVALID, member->key_offset, "this key stands twice in the same object");
}

static enum status check_small(struct builder *builder, const struct json_value *object)
{
    json_each (member, object) {
        for (const struct json_value *other = object->first; other != member; other = other->next)
            if (slice_equal(member->key, other->key))
                return refuse_duplicate(builder, member);
    }
    return OK;
}

/* Sorts the members, so that a hostile object costs n log n, here and in every lookup. */
static enum status index_large(struct builder *builder, struct json_value *object)
{
    object->sorted = arena_array(builder->arena, object->count, sizeof *object->sorted);
    if (!object->sorted)
        return out_of_memory(builder);
    size_t count = 0;
    json_each (member, object)
        object->sorted[count++] = member;
    qsort(object->sorted, count, sizeof *object->sorted, by_key_and_place);
    if (builder->reader.limits.allow_duplicate_keys)
        return OK;
    for (size_t i = 1; i < count; i++)
        if (slice_equal(object->sorted[i - 1]->key, object->sorted[i]->key))
            return refuse_duplicate(builder, object->sorted[i]);
    return OK;
}

static enum status open_container(struct builder *builder, struct json_value *container)
{
    struct open *open = builder->spare;
    if (open)
        builder->spare = open->outer;
    else if (!(open = arena_new(builder->arena, struct open)))
        return out_of_memory(builder);
    *open = (struct open){builder->innermost, container, &container->first};
    builder->innermost = open;
    return OK;
}

static enum status close_container(struct builder *builder)
{
    struct open *open = builder->innermost;
    builder->innermost = open->outer;
    open->outer = builder->spare;
    builder->spare = open;
    struct json_value *container = open->container;
    if (container->type != JSON_OBJECT)
        return OK;
    if (container->count > LARGE_OBJECT)
        return index_large(builder, container);
    return builder->reader.limits.allow_duplicate_keys ? OK : check_small(builder, container);
}

static void hang(struct builder *builder, struct json_value *value)
{
    struct open *open = builder->innermost;
    if (!open) {
        builder->root = value;
        return;
    }
    value->key = builder->key;
    value->key_offset = builder->key_offset;
    *open->tail = value;
    open->tail = &value->next;
    open->container->count++;
}

static enum status add_value(struct builder *builder, const struct json_token *token)
{
    static const enum json_type types[] = {[JSON_EVENT_OBJECT] = JSON_OBJECT,
        [JSON_EVENT_ARRAY] = JSON_ARRAY,
        [JSON_EVENT_STRING] = JSON_STRING,
        [JSON_EVENT_NUMBER] = JSON_NUMBER,
        [JSON_EVENT_TRUE] = JSON_BOOLEAN,
        [JSON_EVENT_FALSE] = JSON_BOOLEAN,
        [JSON_EVENT_NULL] = JSON_NULL};
    struct json_value *value = arena_new(builder->arena, struct json_value);
    if (!value)
        return out_of_memory(builder);
    value->type = types[token->event];
    value->offset = token->offset;
    value->boolean = token->event == JSON_EVENT_TRUE;
    if (value->type == JSON_NUMBER)
        value->text = token->raw;
    if (value->type == JSON_STRING && json_text(token, builder->arena, &value->text))
        return out_of_memory(builder);
    hang(builder, value);
    bool is_container = value->type == JSON_OBJECT || value->type == JSON_ARRAY;
    return is_container ? open_container(builder, value) : OK;
}

static enum status build(struct builder *builder)
{
    struct json_token token;
    for (;;) {
        enum status e = json_next(&builder->reader, &token);
        if (e)
            return e;
        if (token.event == JSON_EVENT_KEY) {
            builder->key_offset = token.offset;
            e = json_text(&token, builder->arena, &builder->key);
            if (e)
                return out_of_memory(builder);
        } else if (token.event == JSON_EVENT_OBJECT_END || token.event == JSON_EVENT_ARRAY_END) {
            e = close_container(builder);
        } else {
            e = add_value(builder, &token);
        }
        if (e)
            return e;
    }
}

enum status json_parse(struct arena *arena, struct slice text, const struct json_limits *limits,
    struct json_value **ret_root, struct json_error *error)
{
    struct builder builder = {.arena = arena};
    json_reader_init(&builder.reader, text, limits);
    enum status e = build(&builder);
    if (e == END) {
        *ret_root = builder.root;
        return OK;
    }
    if (error && builder.message)
        *error = (struct json_error){
            json_position_of(&builder.reader, builder.error_offset), builder.message};
    else if (error)
        *error = (struct json_error){json_reader_position(&builder.reader), builder.reader.message};
    return e;
}

static const struct json_value *find_sorted(const struct json_value *object, struct slice key)
{
    size_t low = 0, high = object->count; /* the first whose key is greater lies in [low, high] */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (slice_compare(object->sorted[middle]->key, key) > 0)
            high = middle;
        else
            low = middle + 1;
    }
    if (low == 0 || !slice_equal(object->sorted[low - 1]->key, key))
        return NULL;
    return object->sorted[low - 1];
}

const struct json_value *json_get(const struct json_value *object, struct slice key)
{
    if (!object || object->type != JSON_OBJECT)
        return NULL;
    if (object->sorted)
        return find_sorted(object, key);
    const struct json_value *last = NULL;
    json_each (member, object) {
        if (slice_equal(member->key, key))
            last = member;
    }
    return last;
}

const struct json_value *json_at(const struct json_value *array, size_t index)
{
    if (!array || array->type != JSON_ARRAY)
        return NULL;
    const struct json_value *item = array->first;
    while (item && index--)
        item = item->next;
    return item;
}

bool json_get_text(const struct json_value *object, struct slice key, struct slice *ret_text)
{
    const struct json_value *member = json_get(object, key);
    if (!member || member->type != JSON_STRING)
        return false;
    *ret_text = member->text;
    return true;
}

bool json_get_i64(const struct json_value *object, struct slice key, int64_t *ret_value)
{
    const struct json_value *member = json_get(object, key);
    return member && member->type == JSON_NUMBER && !json_to_i64(member->text, ret_value);
}

bool json_get_bool(const struct json_value *object, struct slice key, bool *ret_value)
{
    const struct json_value *member = json_get(object, key);
    if (!member || member->type != JSON_BOOLEAN)
        return false;
    *ret_value = member->boolean;
    return true;
}

struct slice json_text_of(const struct json_value *object, const char *key)
{
    struct slice text = SLICE_NONE;
    (void)json_get_text(object, slice_of_text(key), &text);
    return text;
}

int64_t json_number_of(const struct json_value *object, const char *key)
{
    int64_t number = 0;
    (void)json_get_i64(object, slice_of_text(key), &number);
    return number;
}

const struct json_value *json_array_of(const struct json_value *object, const char *key)
{
    const struct json_value *member = json_get(object, slice_of_text(key));
    return member && member->type == JSON_ARRAY ? member : NULL;
}

/* Writes what a value begins with; a container's children follow. */
static void write_head(struct json_writer *writer, const struct json_value *value)
{
    switch (value->type) {
    case JSON_NULL:
        json_write_null(writer);
        break;
    case JSON_BOOLEAN:
        json_write_bool(writer, value->boolean);
        break;
    case JSON_NUMBER:
        json_write_raw(writer, value->text);
        break;
    case JSON_STRING:
        json_write_string(writer, value->text);
        break;
    case JSON_ARRAY:
        json_write_array(writer);
        break;
    case JSON_OBJECT:
        json_write_object(writer);
        break;
    }
}

static void write_tail(struct json_writer *writer, const struct json_value *value)
{
    if (value->type == JSON_OBJECT)
        json_write_object_end(writer);
    else if (value->type == JSON_ARRAY)
        json_write_array_end(writer);
}

/* Without recursion, since a fiber's stack is small. A level too deep for `open` is too deep for
 * the writer, too, which has failed by then. */
void json_write_value(struct json_writer *writer, const struct json_value *value)
{
    const struct json_value *open[JSON_WRITER_DEPTH] = {NULL};
    unsigned depth = 0;
    for (;;) {
        if (depth && open[depth - 1]->type == JSON_OBJECT)
            json_write_key(writer, value->key);
        write_head(writer, value);
        if (value->first && depth < JSON_WRITER_DEPTH) {
            open[depth++] = value;
            value = value->first;
            continue;
        }
        write_tail(writer, value);
        while (depth && !value->next) {
            value = open[--depth];
            write_tail(writer, value);
        }
        if (!depth)
            return;
        value = value->next;
    }
}
