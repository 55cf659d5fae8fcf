/* Algorithms of limits as scripts in C (struct store_script), for stores that hold values
 * themselves: the record is the key's value. */
#pragma once

#include "policy/limit_algorithm.h"

/* Takes or settles, as the arguments say. The script is a limit_algorithm's. */
void limit_cell_run(const struct store_script *script, struct store_cell *cell,
    const int64_t *arguments, int64_t *ret_results);
