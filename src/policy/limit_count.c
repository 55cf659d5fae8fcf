#include "policy/limit_count.h"

#include "policy/limit_held.h"
#include "policy/limit_ledger.h"
#include "run/loop.h"

static struct limit_rule share_of(const struct limit_part *part)
{
    const struct limit *limit = part->limit;
    return limit_share_of(limit->algorithm, &part->plan->rule, store_gateways(limit->shared.store));
}

/* Another worker may have counted at a time that is ahead of this one's, so that a unit is not
 * there yet by the old time: before somebody is refused the clock itself is asked. */
static void take_here(struct limit_part *part, const struct limit_rule *rule)
{
    struct limit_table *table = part->limit->state->table;
    part->decision = limit_table_take(table, part->key, rule, part->cost, loop_now());
    if (!part->decision.allowed)
        part->decision = limit_table_take(table, part->key, rule, part->cost, clock_now());
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

/* Settled with the store now and then. While that cannot be asked, each request tries it again. */
static enum status take_ahead(struct limit_part *part, struct exchange *x)
{
    bool is_alone = limit_ledger_is_alone(part->limit->state->ledger);
    enum status e = OK;
    if (is_alone) {
        e = take_alone(part, x);
    } else {
        take_here(part, &part->plan->rule);
        part->place = part->decision.allowed ? LIMIT_HERE : LIMIT_NOWHERE;
    }
    if (is_alone || part->decision.allowed)
        limit_ledger_note(part, x);
    return e;
}

static bool is_in_doubt(enum status e)
{
    return e == TIMEOUT || e == CLOSED || e == CANCELLED;
}

static enum status count(struct limit_part *part, struct exchange *x)
{
    const struct limit_shared *shared = &part->limit->shared;
    if (part->limit->state->ledger)
        return take_ahead(part, x);
    if (!shared->store) {
        take_here(part, &part->plan->rule);
        part->place = part->decision.allowed ? LIMIT_HERE : LIMIT_NOWHERE;
        return OK;
    }
    enum status e = limit_shared_decide(shared, x->worker, part->key, &part->plan->rule, part->cost,
        part->held ? part->held->holder : 0, x->deadline, &part->decision);
    if (part->held && is_in_doubt(e))
        limit_held_doubt(part);
    if (e && e != CANCELLED)
        return take_alone(part, x);
    if (!e && part->decision.allowed)
        part->place = LIMIT_IN_STORE;
    return e;
}

enum status limit_take(struct limit_part *part, struct exchange *x)
{
    part->is_decided = true;
    if (!part->limit->algorithm->is_held)
        return count(part, x);
    enum status e = limit_held_prepare(part, x);
    if (!e)
        e = count(part, x);
    if (!e)
        limit_held_begin(part);
    return e;
}

static void settle_here(
    const struct limit_part *part, const struct limit_rule *rule, int64_t difference)
{
    limit_table_settle(
        part->limit->state->table, part->key, rule, difference, part->decision.at, loop_now());
    if (part->limit->state->ledger)
        limit_ledger_correct(part, difference);
}

static void settle_there(
    const struct limit_part *part, const struct exchange *x, int64_t difference)
{
    struct limit_decision ignored;
    fiber_shield();
    (void)limit_shared_decide(&part->limit->shared, x->worker, part->key, &part->plan->rule,
        difference, part->decision.at, NEVER, &ignored);
    fiber_unshield();
}

void limit_settle(struct limit_part *part, struct exchange *x, int64_t difference)
{
    struct limit_rule share;
    if (difference == 0)
        return;
    switch (part->place) {
    case LIMIT_NOWHERE:
        return;
    case LIMIT_HERE:
        settle_here(part, &part->plan->rule, difference);
        break;
    case LIMIT_HERE_IN_PART:
        share = share_of(part);
        settle_here(part, &share, difference);
        break;
    case LIMIT_IN_STORE:
        settle_there(part, x, difference);
        break;
    }
    if (difference < 0)
        limit_lines_stir(part->limit->state->lines, part->key);
}

void limit_give_back(struct limit_part *part, struct exchange *x)
{
    if (part->place == LIMIT_NOWHERE)
        return;
    if (part->held)
        limit_held_return(part);
    else
        limit_settle(part, x, -part->cost);
    part->decision.remaining += part->cost;
    part->place = LIMIT_NOWHERE;
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
