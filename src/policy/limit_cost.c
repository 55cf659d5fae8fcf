#include "policy/limit_cost.h"

#include "service/witness.h"

#include <math.h>

enum status limit_cost_read(struct reader *reader, const struct node *node, void *ret_value)
{
    return expression_compile(reader, node, PHASE_END, ret_value);
}

static int64_t cost_of(const struct limit *limit, struct exchange *x, int64_t otherwise)
{
    double number;
    if (!expression_number(limit->cost, x, &number))
        return otherwise;
    if (number <= 0)
        return 0;
    return number < (double)LIMIT_COST_MOST ? (int64_t)ceil(number) : LIMIT_COST_MOST;
}

int64_t limit_cost_before(const struct limit *limit, struct exchange *x)
{
    if (!limit->cost)
        return 1;
    return limit->is_settled_later ? limit->reserve : cost_of(limit, x, 1);
}

struct bill {
    struct witness witness;
    struct limit_part *part;
    struct exchange *x;
};

static void pay(void *argument, bool is_whole, uint64_t hash)
{
    struct bill *bill = argument;
    struct limit_part *part = bill->part;
    (void)is_whole;
    (void)hash;
    int64_t cost = cost_of(part->limit, bill->x, part->cost);
    limit_settle(part, bill->x, cost - part->cost);
}

void limit_cost_after(struct limit_part *part, struct exchange *x)
{
    if (!part->limit->is_settled_later || part->place == LIMIT_NOWHERE || x->tunnel)
        return;
    struct bill *bill = arena_new(&x->arena, struct bill);
    if (!bill)
        return;
    bill->part = part;
    bill->x = x;
    x->response.body = witness_begin(&bill->witness, x->response.body, false, pay, bill);
}
