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

/* The claims and a member more, in front; what was given stays as it is. NULL: no memory. */
const struct json_value *claims_with_text(
    struct arena *arena, const struct json_value *claims, const char *key, struct slice text);

/* The claims with "scopes", a list: what "scope" says with blanks between (RFC 8693 §4.2,
 * RFC 9068 §2.2.3), or "scp", as other issuers call it, or either as a list. The same claims when
 * they say nothing of it, or have "scopes" already. NULL: no memory. */
const struct json_value *claims_with_scopes(struct arena *arena, const struct json_value *claims);
