/* Regular expressions (PCRE2, JIT where there is one) with match limits, so that no pattern can eat
 * a worker. Compiled at load, matched by any number of workers at once. They work on UTF-8; bytes
 * that are none match nothing. */
#pragma once

#include "base/arena.h"
#include "base/status.h"

struct pattern;

#define PATTERN_GROUPS_MAX 16   /* with group 0 */
#define PATTERN_SIZE_MAX   4096 /* bytes of its text */

/* Freed with the arena. INVALID, and then `ret_problem` (in the arena) and the byte `ret_offset`
 * where; NO_MEMORY. Flags are those inside the text: (?i). */
enum status pattern_compile(struct arena *arena, struct slice text, struct pattern **ret_pattern,
    const char **ret_problem, size_t *ret_offset);

/* OK and the groups (group 0 is the match; unset ones have null data), NOT_FOUND, or TOO_LARGE
 * (match limit reached: treat as no match). */
enum status pattern_match(const struct pattern *pattern, struct slice subject, bool whole,
    struct slice groups[PATTERN_GROUPS_MAX]);

/* Replaces the first (or every) match; "$1", "${name}" and "$$" in the replacement, which
 * pattern_check_replacement has seen. NOT_FOUND when nothing matches, TOO_LARGE, NO_MEMORY. */
enum status pattern_replace(const struct pattern *pattern, struct slice subject,
    struct slice replacement, bool all, struct arena *arena, struct slice *ret_text);

/* INVALID when a replacement refers to a group that there is not, or is malformed: a static text
 * and the byte where. */
enum status pattern_check_replacement(const struct pattern *pattern, struct slice replacement,
    const char **ret_problem, size_t *ret_offset);

struct slice pattern_text(const struct pattern *pattern);
