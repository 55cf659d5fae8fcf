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

/* --- more of those that somebody has written */

/* They have their members in common; a new one goes in front. What is sorted lacks that one. */
static struct json_value *extend(struct arena *arena, const struct json_value *claims)
{
    struct json_value *more = claims ? arena_new(arena, struct json_value) : NULL;
    if (more) {
        *more = *claims;
        more->sorted = NULL;
    }
    return more;
}

const struct json_value *claims_with_text(
    struct arena *arena, const struct json_value *claims, const char *key, struct slice text)
{
    return claims_add_text(arena, extend(arena, claims), key, text);
}

static size_t count_words(struct slice text)
{
    struct slice word;
    size_t count = 0;
    while (slice_split(&text, ' ', &word))
        count += word.size > 0;
    return count;
}

/* Words with blanks between (RFC 6749 §3.3). */
static struct json_value *add_words(
    struct arena *arena, struct json_value *claims, const char *key, struct slice text)
{
    size_t count = 0;
    struct slice *words = arena_array(arena, count_words(text) + 1, sizeof *words);
    if (!words)
        return NULL;
    while (slice_split(&text, ' ', &words[count]))
        count += words[count].size > 0;
    return claims_add_texts(arena, claims, key, words, count);
}

/* A list stays what it is, under another name. */
static struct json_value *add_list(
    struct arena *arena, struct json_value *claims, const char *key, const struct json_value *list)
{
    struct json_value *member = claims ? arena_new(arena, struct json_value) : NULL;
    if (!member)
        return NULL;
    *member = *list;
    member->key = slice_of_text(key);
    push(claims, member);
    return claims;
}

const struct json_value *claims_with_scopes(struct arena *arena, const struct json_value *claims)
{
    const struct json_value *said = json_get(claims, SLICE("scope"));
    if (!said)
        said = json_get(claims, SLICE("scp"));
    if (!said || json_get(claims, SLICE("scopes")))
        return claims;
    if (said->type == JSON_STRING)
        return add_words(arena, extend(arena, claims), "scopes", said->text);
    return said->type == JSON_ARRAY ? add_list(arena, extend(arena, claims), "scopes", said)
                                    : claims;
}
