#include "balance/draw.h"

#include "balance/turns.h"

#include <stdlib.h>

#define DRAWS 8 /* before all are looked at in turn */

uint32_t draw_any(const struct pick *pick)
{
    uint32_t count = pick->group->count;
    if (!count)
        return PICK_NONE;
    uint32_t next = (uint32_t)random_below(pick->random, count);
    return turn_next(&next, pick);
}

uint32_t draw_evenly(const struct pick *pick)
{
    uint32_t count = pick->group->count;
    for (int draws = 0; count && draws < DRAWS; draws++) {
        uint32_t index = (uint32_t)random_below(pick->random, count);
        if (candidate_will_do(pick, index))
            return index;
    }
    return draw_any(pick);
}

/* --- by weight */

struct draw_cell {
    uint32_t keep; /* of 2^32: how often this place's own candidate is meant */
    uint32_t other;
};

struct draw_table {
    uint32_t count;
    struct draw_cell cells[];
};

/* Those with less than an even part are filled up by those with more. */
static void fill(struct draw_table *table, double *parts, uint32_t *stack)
{
    uint32_t count = table->count, small = 0, large = count;
    for (uint32_t i = 0; i < count; i++)
        stack[parts[i] < 1 ? small++ : --large] = i;
    while (small > 0 && large < count) {
        uint32_t less = stack[--small], more = stack[large];
        table->cells[less] = (struct draw_cell){(uint32_t)(parts[less] * 0x1p32), more};
        parts[more] -= 1 - parts[less];
        if (parts[more] < 1) {
            large++;
            stack[small++] = more;
        }
    }
    while (large < count)
        table->cells[stack[large]].other = stack[large], large++;
    while (small > 0)
        small--, table->cells[stack[small]].other = stack[small];
}

enum status draw_table_new(const struct group *group, struct draw_table **ret_table)
{
    uint32_t count = group->count;
    double total = 0;
    for (uint32_t i = 0; i < count; i++)
        total += group->candidates[i].weight;
    struct draw_table *table = calloc(1, sizeof *table + count * sizeof *table->cells);
    double *parts = calloc(count + 1, sizeof *parts);
    uint32_t *stack = calloc(count + 1, sizeof *stack);
    if (table && parts && stack && total > 0) {
        table->count = count;
        for (uint32_t i = 0; i < count; i++)
            parts[i] = (double)group->candidates[i].weight * count / total;
        fill(table, parts, stack);
    }
    free(parts);
    free(stack);
    if (!table || !parts || !stack) {
        free(table);
        return NO_MEMORY;
    }
    *ret_table = table;
    return OK;
}

enum status draw_build(const struct group *group, void **ret_table)
{
    struct draw_table *table;
    enum status e = draw_table_new(group, &table);
    if (!e)
        *ret_table = table;
    return e;
}

uint32_t draw_by_weight(const struct draw_table *table, struct random *random)
{
    if (!table->count)
        return PICK_NONE;
    uint64_t draw = random_next(random);
    uint32_t index = (uint32_t)((draw >> 32) * table->count >> 32);
    const struct draw_cell *cell = &table->cells[index];
    return (uint32_t)draw < cell->keep ? index : cell->other;
}
