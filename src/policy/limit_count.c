#include "policy/limit_count.h"

#include "run/loop.h"

static struct limit_rule share_of(const struct limit_part *part)
{
    const struct limit *limit = part->limit;
    return limit_share_of(limit->algorithm, &part->plan->rule, limit->shared.store->gateways);
}

static void take_here(struct limit_part *part, const struct limit_rule *rule)
{
    part->decision =
        limit_table_take(part->limit->state->table, part->key, rule, part->cost, loop_now());
}

/* What is decided while the store cannot be asked. */
static enum status take_alone(struct limit_part *part, const struct exchange *x)
{
    const struct limit *limit = part->limit;
    metric_add(limit->shards[x->worker], limit->alone, 1);
    if (limit->if_unavailable == LIMIT_REFUSE)
        return STORE_UNAVAILABLE;
    if (limit->if_unavailable == LIMIT_LOCAL) {
        struct limit_rule share = share_of(part);
        take_here(part, &share);
        part->place = part->decision.allowed ? LIMIT_HERE_IN_PART : LIMIT_NOWHERE;
        return OK;
    }
    part->decision = limit_unasked(limit->algorithm, &part->plan->rule, part->cost);
    return OK;
}

enum status limit_take(struct limit_part *part, struct exchange *x)
{
    const struct limit_shared *shared = &part->limit->shared;
    part->is_decided = true;
    if (!shared->store) {
        take_here(part, &part->plan->rule);
        part->place = part->decision.allowed ? LIMIT_HERE : LIMIT_NOWHERE;
        return OK;
    }
    enum status e = limit_shared_take(
        shared, x->worker, part->key, &part->plan->rule, part->cost, x->deadline, &part->decision);
    if (e && e != CANCELLED)
        return take_alone(part, x);
    if (!e && part->decision.allowed)
        part->place = LIMIT_IN_STORE;
    return e;
}

static void give_back_here(const struct limit_part *part, const struct limit_rule *rule)
{
    struct limit_state *state = part->limit->state;
    limit_table_settle(state->table, part->key, rule, -part->cost, part->decision.at, loop_now());
    limit_lines_stir(state->lines, part->key);
}

static void give_back_there(const struct limit_part *part, const struct exchange *x)
{
    struct limit_decision ignored;
    fiber_shield();
    (void)limit_shared_settle(&part->limit->shared, x->worker, part->key, &part->plan->rule,
        -part->cost, part->decision.at, NEVER, &ignored);
    fiber_unshield();
    limit_lines_stir(part->limit->state->lines, part->key);
}

void limit_give_back(struct limit_part *part, struct exchange *x)
{
    enum limit_place place = part->place;
    part->place = LIMIT_NOWHERE;
    switch (place) {
    case LIMIT_NOWHERE:
        return;
    case LIMIT_HERE:
        give_back_here(part, &part->plan->rule);
        break;
    case LIMIT_HERE_IN_PART: {
        struct limit_rule share = share_of(part);
        give_back_here(part, &share);
        break;
    }
    case LIMIT_IN_STORE:
        give_back_there(part, x);
        break;
    }
    part->decision.remaining += part->cost;
}

bool limit_peek(struct limit_part *part)
{
    const struct limit *limit = part->limit;
    if (limit->shared.store)
        return false;
    part->decision = limit_table_look(
        limit->state->table, part->key, &part->plan->rule, part->cost, clock_now());
    return true;
}
