/* Regular expressions (PCRE2, JIT where there is one) with match limits, so that no pattern can eat a worker. Compiled at load, matched by any
 * number of workers at once. */
#pragma once

#include "base/arena.h"
#include "base/status.h"

struct pattern;

#define PATTERN_GROUPS_MAX 16

/* Freed with the arena. On failure `ret_problem` and the byte `ret_offset` where. Flags are those inside the text: (?i). */
enum status pattern_compile(struct arena *arena, struct slice text, struct pattern **ret_pattern,
    const char **ret_problem, size_t *ret_offset);

/* OK and the groups (group 0 is the match; unset ones have null data), NOT_FOUND, or TOO_LARGE (match limit reached: treat as no match). */
enum status pattern_match(const struct pattern *pattern, struct slice subject, bool whole,
    struct slice groups[PATTERN_GROUPS_MAX]);

/* Replaces the first (or every) match; "$1", "${name}" and "$$" in the replacement. */
enum status pattern_replace(const struct pattern *pattern, struct slice subject,
    struct slice replacement, bool all, struct arena *arena, struct slice *ret_text);

struct slice pattern_text(const struct pattern *pattern);
