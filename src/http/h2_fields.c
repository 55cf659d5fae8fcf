#include "http/h2_fields.h"

#include "base/must.h"

#define FIELD_OVERHEAD 32 /* RFC 9113 §6.5.2 */

enum status h2_list_init(struct h2_list *list, struct arena *arena, size_t capacity)
{
    nghttp2_nv *items = arena_alloc(arena, (capacity + 1) * sizeof *items);
    if (!items)
        return NO_MEMORY;
    *list = (struct h2_list){.items = items, .capacity = capacity};
    return OK;
}

void h2_list_add(struct h2_list *list, struct slice name, struct slice value)
{
    must(list->count < list->capacity);
    list->items[list->count++] = (nghttp2_nv){.name = (uint8_t *)name.data,
        .value = (uint8_t *)value.data,
        .namelen = name.size,
        .valuelen = value.size};
}

static bool is_left_out(enum field_id id)
{
    switch ((int)id) {
    case FIELD_CONNECTION:
    case FIELD_CONTENT_LENGTH:
    case FIELD_HOST:
    case FIELD_KEEP_ALIVE:
    case FIELD_PROXY_CONNECTION:
    case FIELD_TRANSFER_ENCODING:
    case FIELD_UPGRADE:
        return true;
    default:
        return false;
    }
}

/* Whether hardly two messages have the same value. In HPACK's table it would push out one that
 * comes again, and nghttp2 looks at all values of a name before it takes a new one. */
static bool is_ever_new(enum field_id id)
{
    switch ((int)id) {
    case FIELD_FORWARDED:
    case FIELD_GRPC_TIMEOUT:
    case FIELD_TRACEPARENT:
    case FIELD_X_FORWARDED_FOR:
    case FIELD_X_REQUEST_ID:
        return true;
    default:
        return false;
    }
}

static bool has_capitals(struct slice name)
{
    for (size_t i = 0; i < name.size; i++)
        if (name.data[i] >= 'A' && name.data[i] <= 'Z')
            return true;
    return false;
}

static struct slice lower(struct arena *arena, struct slice name)
{
    char *copy = arena_bytes(arena, name.size);
    for (size_t i = 0; copy && i < name.size; i++) {
        char c = name.data[i];
        copy[i] = c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
    }
    return slice_of(copy, copy ? name.size : 0);
}

enum status h2_list_add_fields(
    struct h2_list *list, struct arena *arena, const struct fields *fields)
{
    for (uint32_t i = 0; i < fields->count; i++) {
        const struct field *field = &fields->items[i];
        struct slice name = field->name;
        if (name.size == 0 || is_left_out(field->id))
            continue;
        if (field->id != FIELD_OTHER)
            name = field_name(field->id);
        else if (has_capitals(name))
            name = lower(arena, name);
        if (!name.data)
            return NO_MEMORY;
        h2_list_add(list, name, field->value);
        if (is_ever_new(field->id))
            list->items[list->count - 1].flags |= NGHTTP2_NV_FLAG_NO_INDEX;
    }
    return OK;
}

enum status h2_field_take(
    struct fields *fields, struct h2_budget *budget, struct slice name, struct slice value)
{
    size_t size = name.size + value.size + FIELD_OVERHEAD;
    if (budget->fields == 0 || size > budget->bytes)
        return FIELDS_TOO_LARGE;
    budget->fields--;
    budget->bytes -= size;
    enum field_id id = field_id_of(name);
    name = id == FIELD_OTHER ? arena_copy(fields->arena, name) : field_name(id);
    value = arena_copy(fields->arena, value);
    if (!name.data || !value.data)
        return NO_MEMORY;
    enum status e = fields_add(fields, id, name, value);
    return e == INVALID ? BAD_FIELD : e;
}
