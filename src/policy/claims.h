/* Claims that are made here, of what a way of `auth` knows: a JSON object, as expressions ask for
 * it.
 *
 *     struct json_value *claims = claims_new(arena);
 *     claims_add_text(arena, claims, "sub", name);
 *
 * NULL, for claims, is fine and stays NULL; so only the last result need be looked at. Keys and
 * texts must live as long as the arena. */
#pragma once

#include "base/arena.h"
#include "base/json.h"

/* An empty object; NULL: no memory. */
struct json_value *claims_new(struct arena *arena);

/* Adds a member at the front; gives the claims back, or NULL without memory. */
struct json_value *claims_add_text(
    struct arena *arena, struct json_value *claims, const char *key, struct slice text);
struct json_value *claims_add_texts(struct arena *arena, struct json_value *claims, const char *key,
    const struct slice *texts, size_t count);
