/* The environment's values in a configuration: `${NAME}` and `${NAME:-default}` with an upper-case
 * name. */
#pragma once

#include "base/arena.h"
#include "base/status.h"

struct environment_problem {
    size_t offset, size; /* bytes of the text */
    struct slice name;   /* the variable that is not set; empty: `${` is malformed there */
};

/* True when the text has something to replace. */
bool environment_is_used(struct slice text);

/* Replaces the variables. `*ret_text` has "${" where the text has "$${"; `*ret_raw` keeps "$${" and
 * has it for a "${" inside a value, so that a template made of it sees only what was written as a
 * template. INVALID and `*ret_problem` for the first that is malformed or not set; NO_MEMORY. */
enum status environment_expand(struct arena *arena, struct slice text, struct slice *ret_text,
    struct slice *ret_raw, struct environment_problem *ret_problem);
