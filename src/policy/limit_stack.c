#include "policy/limit_stack.h"

#include "policy/limit_answer.h"
#include "policy/limit_cost.h"
#include "policy/limit_wait.h"
#include "run/loop.h"

struct limit_stack {
    struct limit_part *parts; /* in the exchange's arena */
    size_t count;
    const struct handler *rest; /* behind the last limit */
    const struct limit_part *refused_by;
};

static size_t count_behind(const struct handler *next)
{
    const struct policy_link *link;
    size_t count = 0;
    for (; (link = limit_link_of(next)); next = &link->next)
        count++;
    return count;
}

static enum status collect(struct limit_stack *stack, const struct limit *limit, struct exchange *x,
    const struct handler *next)
{
    size_t count = 1 + count_behind(next);
    const struct policy_link *link = NULL;
    *stack = (struct limit_stack){.parts = arena_array(&x->arena, count, sizeof *stack->parts)};
    if (!stack->parts)
        return NO_MEMORY;
    do {
        if (link) {
            limit = link->config;
            next = &link->next;
        }
        stack->parts[stack->count++] = (struct limit_part){.limit = limit,
            .plan = limit_plan_of(limit, x),
            .key = expression_text(limit->per, x),
            .cost = limit_cost_before(limit, x)};
    } while ((link = limit_link_of(next)));
    stack->rest = next;
    return OK;
}

/* --- one of them */

static enum status stand_in_line(struct limit_part *part, struct exchange *x)
{
    bool is_queue = part->limit->over.action == LIMIT_OVER_QUEUE;
    enum status e = limit_wait(part, x);
    if (!e)
        part->outcome = is_queue ? LIMIT_OUTCOME_QUEUED : LIMIT_OUTCOME_DELAYED;
    return e;
}

/* There is no room. */
static enum status exceed(struct limit_part *part, struct exchange *x)
{
    switch ((enum limit_action)part->limit->over.action) {
    case LIMIT_OVER_DELAY:
    case LIMIT_OVER_QUEUE:
        return stand_in_line(part, x);
    case LIMIT_OVER_LOG:
        part->outcome = LIMIT_OUTCOME_LOGGED;
        return OK;
    case LIMIT_OVER_DEGRADE:
        if (!x->facts.route.size)
            break; /* a forward proxy has no other service to go to */
        part->outcome = LIMIT_OUTCOME_DEGRADED;
        return OK;
    case LIMIT_OVER_REFUSE:
    case LIMIT_OVER_TARPIT:
        break;
    }
    return LIMIT_EXCEEDED;
}

static enum status try_shadow(struct limit_part *part, struct exchange *x)
{
    enum status e = limit_take(part, x);
    if (e == CANCELLED)
        return e;
    part->outcome = !e && part->decision.allowed && !part->decision.delay ? LIMIT_OUTCOME_PASSED
                                                                          : LIMIT_OUTCOME_SHADOWED;
    return OK;
}

static enum status try(struct limit_part *part, struct exchange *x)
{
    const struct limit *limit = part->limit;
    if (limit->is_shadow)
        return try_shadow(part, x);
    if (limit_over_waits(&limit->over) && limit_lines_has(limit->state->lines, part->key)) {
        (void)limit_peek(part); /* nobody overtakes those in line */
        part->is_decided = true;
        return stand_in_line(part, x);
    }
    enum status e = limit_take(part, x);
    if (e)
        return e;
    if (!part->decision.allowed)
        return exceed(part, x);
    part->outcome = part->decision.delay ? LIMIT_OUTCOME_DELAYED : LIMIT_OUTCOME_PASSED;
    return part->decision.delay ? limit_hold_back(part, x) : OK;
}

/* --- all of them */

static bool is_late(const struct limit *limit)
{
    return !limit->is_shadow && limit_over_waits(&limit->over);
}

static enum status try_all(struct limit_stack *stack, struct exchange *x)
{
    for (int late = 0; late < 2; late++)
        for (size_t i = 0; i < stack->count; i++) {
            struct limit_part *part = &stack->parts[i];
            enum status e = is_late(part->limit) == late ? try(part, x) : OK;
            if (!e)
                continue;
            part->outcome = e == CANCELLED ? LIMIT_OUTCOME_ABANDONED : LIMIT_OUTCOME_REFUSED;
            stack->refused_by = part;
            return e;
        }
    return OK;
}

/* What the others have counted does not count. */
static void give_all_back(struct limit_stack *stack, struct exchange *x)
{
    for (size_t i = 0; i < stack->count; i++) {
        struct limit_part *part = &stack->parts[i];
        if (part != stack->refused_by)
            part->outcome = LIMIT_OUTCOME_RETURNED;
        limit_give_back(part, x);
    }
}

static void count_outcomes(const struct limit_stack *stack, const struct exchange *x)
{
    for (size_t i = 0; i < stack->count; i++)
        if (stack->parts[i].is_decided)
            limit_count_outcome(stack->parts[i].limit, x->worker, stack->parts[i].outcome);
}

static void add_fields(struct limit_stack *stack, struct exchange *x)
{
    for (size_t i = 0; i < stack->count; i++) {
        struct limit_part *part = &stack->parts[i];
        const struct limit *limit = part->limit;
        if (limit->has_fields && !limit->is_shadow && (part->is_decided || limit_peek(part)))
            limit_add_fields(x, &part->plan->words, &part->decision);
    }
}

static enum status refuse(struct limit_stack *stack, struct exchange *x)
{
    struct limit_part *part = (struct limit_part *)stack->refused_by;
    const struct limit *limit = part->limit;
    give_all_back(stack, x);
    if (limit->over.action == LIMIT_OVER_TARPIT) {
        enum status e = limit_hold(limit, x);
        if (e != FULL)
            part->outcome = e ? LIMIT_OUTCOME_ABANDONED : LIMIT_OUTCOME_TARPITTED;
        if (e && e != FULL) {
            count_outcomes(stack, x);
            return e;
        }
    }
    count_outcomes(stack, x);
    (void)limit_refuse(x, limit->name, &part->plan->quota, &part->decision);
    add_fields(stack, x);
    return OK;
}

/* --- what passes */

/* What the log says of an answer that is none of ours. */
static void note(struct exchange *x, const struct limit_part *part, enum status reason)
{
    if (x->facts.reason)
        return;
    x->facts.reason = reason;
    x->facts.trouble = part->limit->label;
}

static void note_outcomes(const struct limit_stack *stack, struct exchange *x)
{
    for (size_t i = 0; i < stack->count; i++) {
        const struct limit_part *part = &stack->parts[i];
        if (part->outcome == LIMIT_OUTCOME_DEGRADED)
            note(x, part, LIMIT_DEGRADED);
        else if (part->outcome == LIMIT_OUTCOME_LOGGED)
            note(x, part, LIMIT_LOGGED);
        else if (part->outcome == LIMIT_OUTCOME_SHADOWED)
            note(x, part, LIMIT_SHADOWED);
    }
}

static enum status pass(struct limit_stack *stack, struct exchange *x)
{
    for (size_t i = 0; i < stack->count; i++)
        if (stack->parts[i].outcome == LIMIT_OUTCOME_DEGRADED)
            x->instead = &stack->parts[i].limit->over.instead;
    for (size_t i = 0; i < stack->count; i++)
        limit_cost_begin(&stack->parts[i], x);
    enum status e = handler_serve(stack->rest, x);
    if (!e)
        note_outcomes(stack, x);
    for (size_t i = 0; !e && i < stack->count; i++)
        limit_cost_after(&stack->parts[i], x);
    add_fields(stack, x);
    return e;
}

enum status limit_stack_serve(
    const struct limit *limit, struct exchange *x, const struct handler *next)
{
    struct limit_stack stack;
    enum status e = collect(&stack, limit, x, next);
    if (e)
        return e;
    e = try_all(&stack, x);
    if (e == LIMIT_EXCEEDED)
        return refuse(&stack, x);
    if (e)
        give_all_back(&stack, x);
    count_outcomes(&stack, x);
    return e ? e : pass(&stack, x);
}
