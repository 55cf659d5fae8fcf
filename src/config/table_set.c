#include "config/table_set.h"

#include "config/option_value.h"

static void add(struct table_set *set, const struct option_table *table)
{
    for (size_t i = 0; i < set->count; i++)
        if (set->tables[i] == table)
            return;
    if (table && set->count < TABLES_MAX)
        set->tables[set->count++] = table;
}

/* An option's own table, or that of its items: a map of lists of structs is two items deep. */
static void add_of_option(struct table_set *set, const struct option *option)
{
    for (; option; option = option->item)
        add(set, option->table);
}

void table_set_collect(struct table_set *set, const struct option_table *top)
{
    set->count = 0;
    add(set, top);
    for (size_t i = 0; i < set->count; i++) {
        const struct option_table *table = set->tables[i];
        for (const struct option *option = table->options; option->name; option++)
            add_of_option(set, option);
        struct option unknown;
        for (size_t j = 0; option_of_unknown(table, j, &unknown); j++)
            add_of_option(set, &unknown);
    }
}

void table_set_name(
    const struct table_set *set, const struct option_table *table, struct text *text)
{
    size_t same = 1;
    for (size_t i = 0; i < set->count && set->tables[i] != table; i++)
        same += strcmp(set->tables[i]->name, table->name) == 0;
    for (const char *c = table->name; *c; c++) /* a blank has no place in a link */
        text_add_char(text, *c == ' ' ? '-' : *c);
    if (same > 1)
        text_format(text, "-%zu", same);
}
