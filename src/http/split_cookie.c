#include "http/split_cookie.h"

#include "base/text.h"
#include "http/cookie.h"

/* Which part a cookie of that name is; -1: it is not the owner's, -2: it is, but no part. */
static int part_of(const struct split_cookie *cookie, struct slice name)
{
    if (slice_equal(name, cookie->name))
        return 0;
    struct slice rest = slice_from(name, cookie->name.size);
    if (!slice_has_prefix(name, cookie->name) || !slice_has_prefix(rest, SLICE(".")))
        return -1;
    bool is_part =
        rest.size == 2 && rest.data[1] >= '1' && rest.data[1] < '0' + SPLIT_COOKIE_PARTS_MAX;
    return is_part ? rest.data[1] - '0' : -2;
}

/* The first cookie of each part, or null data. */
static void find_parts(const struct split_cookie *cookie, const struct fields *request,
    struct slice ret_parts[SPLIT_COOKIE_PARTS_MAX])
{
    const struct field *field = NULL;
    memset(ret_parts, 0, SPLIT_COOKIE_PARTS_MAX * sizeof *ret_parts);
    while ((field = fields_next(request, FIELD_COOKIE, field))) {
        struct slice rest = field->value, name, value;
        while (cookie_next(&rest, &name, &value)) {
            int part = part_of(cookie, name);
            if (part >= 0 && !ret_parts[part].data)
                ret_parts[part] = value;
        }
    }
}

enum status split_cookie_value(const struct split_cookie *cookie, const struct fields *request,
    struct arena *arena, struct slice *ret_value)
{
    struct slice parts[SPLIT_COOKIE_PARTS_MAX];
    find_parts(cookie, request, parts);
    if (!parts[0].data)
        return NOT_FOUND;
    size_t count =
        parts[0].size > 1 && parts[0].data[1] == '.' ? (size_t)(parts[0].data[0] - '0') : 0;
    if (count < 1 || count > SPLIT_COOKIE_PARTS_MAX)
        return INVALID;
    parts[0] = slice_from(parts[0], 2);
    for (size_t i = 1; i < count; i++)
        if (!parts[i].size)
            return INVALID;
    struct slice value = count == 1 ? parts[0] : arena_join(arena, parts, count);
    if (count > 1 && !value.data)
        return NO_MEMORY;
    *ret_value = value;
    return OK;
}

static enum status set_part(const struct split_cookie *cookie, size_t part, struct slice head,
    struct slice value, int64_t seconds, struct fields *response)
{
    const char number[] = {part ? '.' : 0, (char)('0' + part), 0};
    struct slice text = arena_format(response->arena, "%.*s%s=%.*s%.*s; Max-Age=%lld%.*s",
        SLICE_ARG(cookie->name), number, SLICE_ARG(head), SLICE_ARG(value), (long long)seconds,
        SLICE_ARG(cookie->attributes));
    return text.data ? fields_add_made(response, FIELD_SET_COOKIE, text) : NO_MEMORY;
}

/* The parts from `first` on. */
static enum status forget_parts(const struct split_cookie *cookie, const struct fields *request,
    size_t first, struct fields *response)
{
    struct slice parts[SPLIT_COOKIE_PARTS_MAX];
    enum status e = OK;
    find_parts(cookie, request, parts);
    for (size_t i = first; i < SPLIT_COOKIE_PARTS_MAX && !e; i++)
        if (parts[i].data)
            e = set_part(cookie, i, SLICE_NONE, SLICE_NONE, 0, response);
    return e;
}

enum status split_cookie_set(const struct split_cookie *cookie, const struct fields *request,
    struct slice value, int64_t seconds, struct fields *response)
{
    size_t count = value.size ? (value.size + SPLIT_COOKIE_PART - 1) / SPLIT_COOKIE_PART : 1;
    if (count > SPLIT_COOKIE_PARTS_MAX)
        return TOO_LARGE;
    const char head[] = {(char)('0' + count), '.'};
    enum status e = OK;
    for (size_t i = 0; i < count && !e; i++)
        e = set_part(cookie, i, i ? SLICE_NONE : slice_of(head, sizeof head),
            slice_head(slice_from(value, i * SPLIT_COOKIE_PART), SPLIT_COOKIE_PART), seconds,
            response);
    return e ? e : forget_parts(cookie, request, count, response);
}

enum status split_cookie_forget(
    const struct split_cookie *cookie, const struct fields *request, struct fields *response)
{
    return forget_parts(cookie, request, 0, response);
}

static bool has_own(const struct split_cookie *cookie, struct slice value)
{
    struct slice name, ignored;
    while (cookie_next(&value, &name, &ignored))
        if (part_of(cookie, name) != -1)
            return true;
    return false;
}

/* What is not the owner's stays as it was written. */
static enum status keep_others(
    const struct split_cookie *cookie, struct slice value, struct arena *arena, struct slice *ret)
{
    size_t size = 2 * value.size + 1; /* a blank behind each separator, too */
    char *room = arena_bytes(arena, size);
    if (!room)
        return NO_MEMORY;
    struct text kept = text_fixed(room, size);
    struct slice part;
    while (slice_split(&value, ';', &part)) {
        struct slice one = slice_trim(part);
        if (!one.size || part_of(cookie, slice_trim(slice_head(one, slice_find(one, '=')))) != -1)
            continue;
        if (kept.size)
            text_add_literal(&kept, "; ");
        text_add(&kept, one);
    }
    *ret = text_slice(&kept);
    return OK;
}

enum status split_cookie_strip(
    const struct split_cookie *cookie, struct fields *request, struct arena *arena)
{
    for (uint32_t i = 0; i < request->count; i++) {
        struct field *field = &request->items[i];
        if (field->id != FIELD_COOKIE || !field->name.size || !has_own(cookie, field->value))
            continue;
        enum status e = keep_others(cookie, field->value, arena, &field->value);
        if (e)
            return e;
        if (!field->value.size)
            field->name = SLICE_NONE;
    }
    return OK;
}
