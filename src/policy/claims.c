#include "policy/claims.h"

static struct json_value *new_value(struct arena *arena, enum json_type type)
{
    struct json_value *value = arena_new(arena, struct json_value);
    if (value)
        value->type = type;
    return value;
}

struct json_value *claims_new(struct arena *arena)
{
    return new_value(arena, JSON_OBJECT);
}

static void push(struct json_value *parent, struct json_value *child)
{
    child->next = parent->first;
    parent->first = child;
    parent->count++;
}

struct json_value *claims_add_text(
    struct arena *arena, struct json_value *claims, const char *key, struct slice text)
{
    struct json_value *member = claims ? new_value(arena, JSON_STRING) : NULL;
    if (!member)
        return NULL;
    member->key = slice_of_text(key);
    member->text = text;
    push(claims, member);
    return claims;
}

struct json_value *claims_add_texts(struct arena *arena, struct json_value *claims, const char *key,
    const struct slice *texts, size_t count)
{
    struct json_value *member = claims ? new_value(arena, JSON_ARRAY) : NULL;
    if (!member)
        return NULL;
    member->key = slice_of_text(key);
    push(claims, member);
    for (size_t i = count; i > 0; i--) {
        struct json_value *item = new_value(arena, JSON_STRING);
        if (!item)
            return NULL;
        item->text = texts[i - 1];
        push(member, item);
    }
    return claims;
}
