/* JSON as a tree in an arena, for documents that are looked at from several sides: tokens, key
 * sets, small answers. What passes by in bulk is read with json_reader and written with
 * json_writer, which this header brings along.
 *
 *     struct json_value *root;
 *     struct json_error error;
 *     if (json_parse(arena, text, NULL, &root, &error))
 *         ... error.position.line, error.position.column, error.message
 *     struct slice name;
 *     if (json_get_text(root, SLICE("name"), &name)) ...
 *
 * The tree lives as long as the arena and the text, from which it borrows what needed no decoding.
 * It does not change once it is built, so any thread may read it. */
#pragma once

#include "base/json_reader.h"
#include "base/json_writer.h"

enum json_type { JSON_NULL, JSON_BOOLEAN, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json_value {
    enum json_type type;
    bool boolean;                     /* of a boolean */
    size_t offset;                    /* where it begins in the text, bytes */
    struct slice key;                 /* decoded, of a member of an object */
    size_t key_offset;                /* where that begins in the text */
    struct slice text;                /* a string decoded, a number as written */
    size_t count;                     /* members or items of an object or array */
    struct json_value *first;         /* the first of them, in the text's order */
    struct json_value *next;          /* beside this one */
    const struct json_value **sorted; /* of a large object: its members by key */
};

struct json_error {
    struct json_position position;
    const char *message; /* a sentence without full stop; never NULL */
};

/* Reads the whole of `text`, one value. `limits` may be NULL for the defaults. INVALID, TOO_LARGE,
 * or NO_MEMORY; then `error` says where and why, unless it is NULL. */
enum status json_parse(struct arena *arena, struct slice text, const struct json_limits *limits,
    struct json_value **ret_root, struct json_error *error);

/* The lookups take NULL, and a value of another type, for one that has no such member; so they can
 * be nested. */
const struct json_value *json_get(const struct json_value *object, struct slice key);
const struct json_value *json_at(const struct json_value *array, size_t index);

/* A member of the type that the name says; false when it is none. */
bool json_get_text(const struct json_value *object, struct slice key, struct slice *ret_text);
bool json_get_i64(const struct json_value *object, struct slice key, int64_t *ret_value);
bool json_get_bool(const struct json_value *object, struct slice key, bool *ret_value);

/* The same for whom it is all one: an empty text, 0, or NULL when it is none. */
struct slice json_text_of(const struct json_value *object, const char *key);
int64_t json_number_of(const struct json_value *object, const char *key);
const struct json_value *json_array_of(const struct json_value *object, const char *key);

/* Walks the members or items, of NULL none: json_each(item, array) { ... } */
#define json_each(child, parent) \
    for (const struct json_value *child = json_first(parent); child; child = child->next)

static inline const struct json_value *json_first(const struct json_value *parent)
{
    return parent ? parent->first : NULL;
}

/* Writes the tree as one value. */
void json_write_value(struct json_writer *writer, const struct json_value *value);
