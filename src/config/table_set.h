/* All option tables that can be reached from one, each once, with a name that no other has. */
#pragma once

#include "config/option.h"

#define TABLES_MAX 256

struct table_set {
    const struct option_table *tables[TABLES_MAX]; /* the first is the top; breadth first */
    size_t count;
};

/* What is more than TABLES_MAX is left out. */
void table_set_collect(struct table_set *set, const struct option_table *top);

/* Adds "service" (a blank becomes "-"), or "service-2" for the second table of that name. */
void table_set_name(
    const struct table_set *set, const struct option_table *table, struct text *text);
