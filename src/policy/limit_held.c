#include "policy/limit_held.h"

#include <stdlib.h>
#include <string.h>

#include "policy/limit_lease.h"
#include "run/loop.h"
#include "service/aside.h"

#define RENEWED_COUNT ((int64_t)1 << 40) /* what is held already is not refused */

static struct slice key_of(const struct limit_held *held)
{
    return slice_of(held->key, held->key_size);
}

static void count_in_use(const struct limit_held *held, int64_t change)
{
    metric_add(held->limit->shards[held->worker], held->limit->in_use, (uint64_t)change);
}

/* --- giving back in the store */

/* Something like what is held, that outlives it. */
static struct limit_held *copy_of(const struct limit_held *held)
{
    size_t size = sizeof *held + held->key_size;
    struct limit_held *copy = malloc(size);
    if (copy)
        memcpy(copy, held, size);
    return copy;
}

static void give_back(void *argument)
{
    struct limit_held *held = argument;
    const struct limit *limit = held->limit;
    struct limit_decision ignored;
    fiber_shield();
    enum status e = limit_shared_decide(&limit->shared, held->worker, key_of(held), held->rule,
        -held->cost, held->holder, NEVER, &ignored);
    fiber_unshield();
    if (e)
        metric_add(limit->shards[held->worker], limit->not_returned, 1);
    else
        limit_lines_stir(limit->state->lines, key_of(held));
    free(held);
}

static void begin_to_give_back(const struct limit_held *held)
{
    const struct limit *limit = held->limit;
    struct limit_held *copy = copy_of(held);
    enum status e = copy ? OK : NO_MEMORY;
    if (!e && limit->plane)
        e = aside_start(limit->plane, held->pinned, held->worker, give_back, copy);
    else if (!e)
        give_back(copy); /* a limit by itself has no workers */
    if (!e)
        return;
    free(copy);
    metric_add(limit->shards[held->worker], limit->not_returned, 1);
}

/* --- its life */

static void let_go(struct limit_held *held)
{
    const struct limit *limit = held->limit;
    enum limit_place place = held->place;
    held->place = LIMIT_NOWHERE;
    if (place == LIMIT_NOWHERE)
        return;
    count_in_use(held, -held->cost);
    if (place == LIMIT_IN_STORE) {
        if (limit->plane)
            limit_lease_end(held);
        begin_to_give_back(held);
        return;
    }
    limit_table_settle(limit->state->table, key_of(held), held->rule, -held->cost, 0, loop_now());
    limit_lines_stir(limit->state->lines, key_of(held));
}

static void end(struct exchange_end *end, struct exchange *x)
{
    struct limit_held *held = list_entry(end, struct limit_held, end);
    (void)x;
    let_go(held);
    free(held);
}

static int64_t some_holder(void)
{
    return (int64_t)(random_next(loop_random()) >> 1) | 1;
}

enum status limit_held_prepare(struct limit_part *part, struct exchange *x)
{
    if (!part->held) {
        struct limit_held *held = malloc(sizeof *held + part->key.size);
        if (!held)
            return NO_MEMORY;
        *held = (struct limit_held){.end.run = end,
            .limit = part->limit,
            .rule = &part->plan->rule,
            .pinned = x->pinned,
            .worker = x->worker,
            .cost = part->cost,
            .key_size = part->key.size};
        list_init(&held->node);
        if (part->key.size)
            memcpy(held->key, part->key.data, part->key.size);
        exchange_add_end(x, &held->end);
        part->held = held;
    }
    part->held->holder = some_holder(); /* another one at each try: nobody knows of the last */
    return OK;
}

void limit_held_begin(struct limit_part *part)
{
    struct limit_held *held = part->held;
    held->place = part->place;
    if (held->place == LIMIT_NOWHERE)
        return;
    count_in_use(held, held->cost);
    if (held->place == LIMIT_IN_STORE)
        if (held->limit->plane)
            limit_lease_begin(held);
}

void limit_held_doubt(const struct limit_part *part)
{
    begin_to_give_back(part->held);
}

void limit_held_return(struct limit_part *part)
{
    let_go(part->held);
}

/* The key is not looked at any more once the question is on its way. */
enum status limit_held_renew(const struct limit_held *held)
{
    struct limit_rule rule = *held->rule;
    struct limit_decision ignored;
    rule.count = RENEWED_COUNT;
    return limit_shared_decide(&held->limit->shared, held->worker, key_of(held), &rule, held->cost,
        held->holder, NEVER, &ignored);
}
