#include "policy/limit_choice.h"

#include "policy/limit_answer.h"
#include "policy/limit_cost.h"
#include "policy/limit_lease.h"
#include "policy/limit_ledger.h"
#include "policy/limit_stack.h"
#include "run/loop.h"
#include "service/plane.h"

/* Limits how often something may happen: counted by one of the algorithms of limit_algorithm.h for
 * each value of an expression, for all workers together and across reloads. What is refused is not
 * counted, so that waiting always helps. A request without the key (no such header, no such claim)
 * shares one count with all others without.
 *
 * The rate can depend on another expression, as a plan that the client has:
 *
 *     rate: {free: 60/min, pro: 1000/min, else: 30/min}
 *     by: claims.plan
 *
 * With `redis:` all gateways count together (limit_shared.h). */

/* --- state that survives reloads */

static void release_state(void *object)
{
    struct limit_state *state = object;
    limit_table_free(state->table);
    limit_lines_free(state->lines);
    limit_ledger_free(state->ledger);
    limit_leases_free(state->leases);
}

static bool has_ledger(const struct limit *limit)
{
    return limit->settle && limit->shared.store;
}

static bool has_leases(const struct limit *limit)
{
    return limit->algorithm->is_held && limit->shared.store && limit->plane;
}

static enum status init_state(void *object, void *context)
{
    struct limit_state *state = object;
    const struct limit *limit = context;
    enum status e =
        limit_table_new(limit->algorithm, (size_t)limit->keys, limit_words(limit), &state->table);
    if (!e)
        e = limit_lines_new(&state->lines);
    if (!e && has_ledger(limit))
        e = limit_ledger_new((size_t)limit->keys, &state->ledger);
    if (!e && has_leases(limit))
        e = limit_leases_new(limit->plane->options.workers, &state->leases);
    if (e)
        release_state(state);
    return e;
}

static const struct registry_kind limit_kind = {
    "limit", sizeof(struct limit_state), init_state, release_state};

/* Tables of different sizes or algorithms are different tables: after a reload that changes it
 * counting begins anew. */
static enum status obtain_state(struct prepare *prepare, struct limit *limit)
{
    struct arena *arena = prepare->reader->arena;
    struct slice key = arena_format(arena, "%.*s/%s/%lld/%zu%s", SLICE_ARG(prepare->name),
        limit->algorithm->word, (long long)limit->keys, limit_words(limit),
        has_ledger(limit)   ? "/settled"
        : has_leases(limit) ? "/leased"
                            : "");
    if (!key.data)
        return NO_MEMORY;
    void *object;
    enum status e = registry_obtain(prepare->registry, &limit_kind, key, limit, &object);
    if (e)
        return e;
    if (arena_own(arena, registry_release, object))
        return NO_MEMORY;
    limit->state = object;
    return OK;
}

/* --- preparing */

static enum status make_rules(struct arena *arena, struct limit *limit)
{
    enum status e = OK;
    for (size_t i = 0; i < limit->plans.count && !e; i++) {
        struct limit_plan *plan = &limit->plans.items[i];
        plan->rule = limit_rule_of(
            plan->rate.count, plan->rate.per, limit->burst ? limit->burst : plan->rate.count);
        plan->quota = limit->algorithm->quota(&plan->rule);
        e = limit_words_make(arena, limit->name, &plan->quota, &plan->words);
    }
    return e;
}

static void make_held_series(struct limit *limit, const struct prepare *prepare)
{
    static const struct metric_family in_use = {.name = "weir_limit_in_use",
        .help = "What requests hold of a concurrency limit now, in this gateway.",
        .kind = METRIC_GAUGE,
        .labels = {"limit"}};
    static const struct metric_family failures = {.name = "weir_limit_lease_failures_total",
        .help = "What was held of a shared concurrency limit and could not be renewed in the "
                "store, or not given back: it ends with its lease.",
        .kind = METRIC_COUNTER,
        .labels = {"limit", "action"}};
    limit->in_use = metrics_series(prepare->metrics, &in_use, &prepare->name);
    limit->not_renewed = metrics_series(
        prepare->metrics, &failures, (const struct slice[]){prepare->name, SLICE("renew")});
    limit->not_returned = metrics_series(
        prepare->metrics, &failures, (const struct slice[]){prepare->name, SLICE("return")});
}

static void make_series(struct limit *limit, const struct prepare *prepare)
{
    static const struct metric_family decisions = {.name = "weir_limit_decisions_total",
        .help = "Requests that met a limit, by what became of them there.",
        .kind = METRIC_COUNTER,
        .labels = {"limit", "decision"}};
    static const struct metric_family fallbacks = {.name = "weir_limit_unavailable_total",
        .help = "Decisions of a shared limit that were made without the store.",
        .kind = METRIC_COUNTER,
        .labels = {"limit"}};
    static const struct metric_family waiting = {.name = "weir_limit_waiting",
        .help = "Requests that wait for a limit to let them pass, or are held by it.",
        .kind = METRIC_GAUGE,
        .labels = {"limit"}};
    static const struct metric_family unknown = {.name = "weir_limit_cost_unknown_total",
        .help = "Requests that cost what was reserved, since nothing said what they cost.",
        .kind = METRIC_COUNTER,
        .labels = {"limit"}};
    static const char *const words[LIMIT_OUTCOMES] = {
        [LIMIT_OUTCOME_PASSED] = "passed",
        [LIMIT_OUTCOME_REFUSED] = "refused",
        [LIMIT_OUTCOME_DELAYED] = "delayed",
        [LIMIT_OUTCOME_QUEUED] = "queued",
        [LIMIT_OUTCOME_TARPITTED] = "tarpitted",
        [LIMIT_OUTCOME_LOGGED] = "logged",
        [LIMIT_OUTCOME_DEGRADED] = "degraded",
        [LIMIT_OUTCOME_SHADOWED] = "shadowed",
        [LIMIT_OUTCOME_RETURNED] = "returned",
        [LIMIT_OUTCOME_ABANDONED] = "abandoned",
    };
    for (int i = 0; i < LIMIT_OUTCOMES; i++)
        limit->outcomes[i] = metrics_series(prepare->metrics, &decisions,
            (const struct slice[]){prepare->name, slice_of_text(words[i])});
    limit->alone = metrics_series(prepare->metrics, &fallbacks, &prepare->name);
    limit->waiting = metrics_series(prepare->metrics, &waiting, &prepare->name);
    limit->unknown = metrics_series(prepare->metrics, &unknown, &prepare->name);
    if (limit->algorithm->is_held)
        make_held_series(limit, prepare);
}

static enum status make_instead(struct prepare *prepare, struct limit_over *over)
{
    const struct node *value;
    struct slice key = limit_over_key(over, &value);
    return key.size ? prepare->make_handler(prepare, key, value, &over->instead) : OK;
}

/* Where it is counted; NULL: in the table. */
static struct store *store_of(const struct prepare *prepare, const struct limit *limit)
{
    if (limit->is_shared && prepare->stores.shared)
        return prepare->stores.shared;
    return limit_is_quota(limit) ? prepare->stores.durable : NULL;
}

static enum status prepare(struct prepare *prepare, void *config)
{
    struct limit *limit = config;
    limit->label = prepare->name;
    limit->name = slice_has_prefix(prepare->name, SLICE("limits.")) ? slice_from(prepare->name, 7)
                                                                    : SLICE("route");
    limit->shards = prepare->shards;
    limit->plane = prepare->plane && prepare->plane->options.workers ? prepare->plane : NULL;
    limit->is_plain = limit->over.action == LIMIT_OVER_REFUSE && !limit->is_shadow &&
                      !limit->algorithm->delays && !limit->cost;
    if (!limit->is_shared || !prepare->stores.shared)
        limit->settle = 0;
    make_series(limit, prepare);
    enum status e = make_rules(prepare->reader->arena, limit);
    if (!e)
        e = limit_cost_prepare(prepare, limit);
    if (!e)
        e = make_instead(prepare, &limit->over);
    if (!e)
        e = limit_shared_init(
            &limit->shared, limit->algorithm, store_of(prepare, limit), prepare->name);
    return e ? e : obtain_state(prepare, limit);
}

/* --- serving */

const struct limit_plan *limit_plan_of(const struct limit *limit, struct exchange *x)
{
    if (!limit->by)
        return limit->plans.otherwise;
    struct slice name = expression_text(limit->by, x);
    for (size_t i = 0; i < limit->plans.count; i++)
        if (slice_equal(limit->plans.items[i].name, name))
            return &limit->plans.items[i];
    return limit->plans.otherwise;
}

/* One limit that passes or refuses, as most do. */
static enum status serve_plain(
    const struct limit *limit, struct exchange *x, const struct handler *next)
{
    struct limit_part part = {.limit = limit,
        .plan = limit_plan_of(limit, x),
        .key = expression_text(limit->per, x),
        .cost = 1};
    enum status e = limit_take(&part, x);
    if (!e && !part.decision.allowed) {
        limit_count_outcome(limit, x->worker, LIMIT_OUTCOME_REFUSED);
        e = limit_refuse(x, limit->name, &part.plan->quota, &part.decision);
    } else if (!e) {
        limit_count_outcome(limit, x->worker, LIMIT_OUTCOME_PASSED);
        e = handler_serve(next, x);
    } else {
        return e;
    }
    if (limit->has_fields)
        limit_add_fields(x, &part.plan->words, &part.decision);
    return e;
}

static enum status serve(const void *config, struct exchange *x, const struct handler *next)
{
    const struct limit *limit = config;
    if (x->is_rehearsal)
        return handler_serve(next, x);
    if (limit->is_plain && !limit_link_of(next))
        return serve_plain(limit, x, next);
    return limit_stack_serve(limit, x, next);
}

static void explain(const void *config, struct exchange *x, struct text *text)
{
    const struct limit *limit = config;
    struct limit_part part = {.limit = limit,
        .plan = limit_plan_of(limit, x),
        .key = expression_text(limit->per, x),
        .cost = limit_cost_before(limit, x)};
    if (limit_peek(&part))
        text_format(text, "%s, %lld left for",
            part.decision.allowed ? "passes" : limit_over_words(&limit->over),
            (long long)part.decision.remaining);
    else
        text_add_literal(text, "asks the store for");
    text_format(
        text, " %.*s = \"%.*s\"", SLICE_ARG(expression_source(limit->per)), SLICE_ARG(part.key));
    if (limit->is_shadow)
        text_add_literal(text, "; only tried out");
}

const struct policy_type limit_policy = {
    .name = "limit",
    .plural = "limits",
    .admits = true,
    .options = &limit_options,
    .prepare = prepare,
    .serve = serve,
    .explain = explain,
};
