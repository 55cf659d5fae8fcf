/* The long form of a configuration: what is written short becomes the map that it stands for, right
 * in the text, so that comments and order stay. */
#pragma once

#include "config/option.h"

/* `root` was read with its environment kept. Short forms that cannot be told apart from their
 * surroundings (block scalars, lists in the column of their key), and phrases whose meaning no
 * option can write, stay as they are. The result is YAML, not yet laid out. */
enum status expand_short_forms(struct arena *arena, const struct option_table *table,
    const struct node *root, struct text *text);
