#include "policy/limit_cost.h"

#include "policy/limit_reading.h"

#include <math.h>

/* What is still to be settled of one request. */
struct limit_bill {
    struct witness witness; /* of the answer's body */
    struct limit_part *part;
    struct exchange *x;
    struct limit_reading *reading; /* NULL: bodies are not read for it */
};

enum status limit_cost_read(struct reader *reader, const struct node *node, void *ret_value)
{
    return expression_compile(reader, node, PHASE_BODIES, ret_value);
}

enum status limit_cost_prepare(struct prepare *prepare, struct limit *limit)
{
    if (!limit->cost)
        return OK;
    limit->is_settled_later = expression_phase_of(limit->cost) != PHASE_REQUEST;
    if (!limit_bodies_find(limit->cost, &limit->bodies))
        return OK;
    return diagnostics_error(prepare->reader->diagnostics, prepare->place, SLICE_NONE,
        "a cost can ask for %d numbers of a body at most", JSON_WATCH_PATHS);
}

/* --- what it is */

static bool find_cost(const struct limit *limit, struct exchange *x, int64_t *ret_cost)
{
    double number;
    if (!expression_number(limit->cost, x, &number))
        return false;
    *ret_cost = number <= 0                        ? 0
                : number < (double)LIMIT_COST_MOST ? (int64_t)ceil(number)
                                                   : LIMIT_COST_MOST;
    return true;
}

int64_t limit_cost_before(const struct limit *limit, struct exchange *x)
{
    int64_t cost = 1;
    if (limit->is_settled_later)
        return limit->reserve;
    if (limit->cost)
        (void)find_cost(limit, x, &cost);
    return cost;
}

/* --- settling it later */

static void pay(void *argument, bool is_whole, uint64_t hash)
{
    struct limit_bill *bill = argument;
    struct limit_part *part = bill->part;
    const struct limit *limit = part->limit;
    int64_t cost = part->cost;
    (void)is_whole;
    (void)hash;
    if (bill->reading)
        limit_reading_show(bill->reading, bill->x);
    if (!find_cost(limit, bill->x, &cost))
        metric_add(limit->shards[bill->x->worker], limit->unknown, 1);
    limit_reading_hide(bill->x);
    limit_settle(part, bill->x, cost - part->cost);
}

void limit_cost_begin(struct limit_part *part, struct exchange *x)
{
    const struct limit *limit = part->limit;
    if (!limit->is_settled_later || part->place == LIMIT_NOWHERE)
        return;
    struct limit_bill *bill = arena_new(&x->arena, struct limit_bill);
    if (!bill)
        return;
    bill->part = part;
    bill->x = x;
    part->bill = bill;
    if (limit_bodies_any(&limit->bodies))
        bill->reading = arena_new(&x->arena, struct limit_reading);
    if (bill->reading)
        limit_reading_begin(bill->reading, &limit->bodies, x);
}

void limit_cost_after(struct limit_part *part, struct exchange *x)
{
    struct limit_bill *bill = part->bill;
    if (!bill || x->tunnel)
        return;
    x->response.body = witness_begin(&bill->witness, x->response.body, false, pay, bill);
    if (bill->reading)
        limit_reading_watch(bill->reading, &part->limit->bodies, x, &bill->witness);
}
