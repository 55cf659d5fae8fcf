/* The options of a source as a tree: gathered from where they may stand, copied, and written as the
 * name under which the registry knows the source. */
#pragma once

#include "base/text.h"
#include "config/tree.h"

/* Options that were written beside others, to be read when it is known whose they are. */
struct loose_options {
    struct node_entry *entries; /* in the reader's arena */
    size_t count;
};

/* NO_MEMORY. */
enum status loose_options_add(
    struct arena *arena, struct loose_options *loose, const struct node_entry *entry);

/* One map of several: what stands in an earlier one goes before the same in a later one. NULL: an
 * empty one. NO_MEMORY. */
enum status source_key_merge(
    struct arena *arena, const struct node *const *maps, size_t count, struct node **ret_map);

/* A copy whose texts are in the arena too; of NULL an empty map. Its places are those of the
 * original. */
enum status source_key_copy(struct arena *arena, const struct node *node, struct node **ret_copy);

/* The same text for the same source. */
void source_key_write(struct slice source, const struct node *options, struct text *text);
