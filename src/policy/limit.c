#include "policy/policy.h"

#include "config/expression.h"
#include "policy/limit_answer.h"
#include "policy/limit_shared.h"
#include "policy/limit_table.h"
#include "run/loop.h"

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

struct plan {
    struct slice name;
    struct rate rate;
    struct limit_rule rule;
    struct limit_quota quota;
};

/* One that is written as a rate alone is a list of one. */
struct plans {
    struct plan *items; /* in the snapshot's arena */
    size_t count;
    const struct plan *otherwise; /* the one called "else", or the only one */
};

struct limit {
    struct plans plans;
    struct expression *per;
    struct expression *by; /* or NULL */
    int algorithm_index;   /* of limit_algorithms */
    const struct limit_algorithm *algorithm;
    int64_t burst; /* 0: as many as the rate's count */
    int64_t keys;
    bool has_fields;
    bool is_shared;
    int if_unavailable; /* enum limit_if_unavailable */
    struct limit_shared shared;
    struct slice name;         /* as answers call it */
    struct limit_table *table; /* shared, counted by the registry */
    struct metrics_shard *const *shards;
    uint32_t passed, refused, alone; /* series */
};

static enum status read_rate(struct reader *reader, const struct node *node, struct plan *plan)
{
    static const struct option rate = {.name = "rate", .kind = OPTION_RATE};
    enum status e = option_read_value(reader, &rate, node, &plan->rate);
    if (e)
        return e;
    if (plan->rate.count < 1 || plan->rate.per < 1)
        return diagnostics_error(reader->diagnostics, node->place, SLICE("at least 1 of something"),
            "a rate of nothing lets nobody pass");
    return OK;
}

static enum status read_plans(struct reader *reader, const struct node *node, void *ret_value)
{
    struct plans *plans = ret_value;
    size_t count = node->kind == NODE_MAP ? node->count : 1;
    plans->items = arena_array(reader->arena, count + 1, sizeof *plans->items);
    if (!plans->items)
        return NO_MEMORY;
    plans->count = count;
    if (node->kind != NODE_MAP) {
        plans->otherwise = &plans->items[0];
        return read_rate(reader, node, &plans->items[0]);
    }
    enum status outcome = OK;
    for (size_t i = 0; i < count; i++) {
        plans->items[i].name = node->entries[i].key;
        enum status e = read_rate(reader, node->entries[i].value, &plans->items[i]);
        if (slice_equal(plans->items[i].name, SLICE("else")))
            plans->otherwise = &plans->items[i];
        outcome = e ? e : outcome;
    }
    if (!plans->otherwise)
        return diagnostics_error(reader->diagnostics, node->place, SLICE("add \"else: 30/min\""),
            "rates by plan need an \"else\" for whoever has none of them");
    return outcome;
}

static const char *const if_unavailable_words[] = {"local", "pass", "refuse", NULL};

static const struct option options[] = {
    {"rate", OPTION_CUSTOM, offsetof(struct limit, plans), .is_required = true, .read = read_plans,
        .form = "60/min, or {free: 60/min, pro: 1000/min, else: 30/min}",
        .schema =
            "{\"type\":[\"string\",\"object\"],\"additionalProperties\":{\"type\":\"string\"}}",
        .help = "How many requests may pass in the long run; as a map, by the value of `by`."},
    {"by", OPTION_EXPRESSION, offsetof(struct limit, by),
        .help = "Which of the rates counts, when there are several."},
    {"per", OPTION_EXPRESSION, offsetof(struct limit, per), .fallback = "client.ip",
        .help = "What is counted together; requests that lack it share one count."},
    {"algorithm", OPTION_CHOICE, offsetof(struct limit, algorithm_index),
        .fallback = "token-bucket", .choices = limit_algorithm_words, .help = "How it is counted."},
    {"burst", OPTION_INTEGER, offsetof(struct limit, burst), .minimum = 0, .maximum = 1000000000,
        .help = "How many may come at once; 0: as many as the rate counts."},
    {"keys", OPTION_INTEGER, offsetof(struct limit, keys), .fallback = "65536", .minimum = 64,
        .maximum = 1 << 28, .help = "How many keys are remembered at a time, 16 bytes each."},
    {"shared", OPTION_FLAG, offsetof(struct limit, is_shared), .fallback = "true",
        .help = "Whether all gateways count together, where there is a `redis`."},
    {"if-unavailable", OPTION_CHOICE, offsetof(struct limit, if_unavailable), .fallback = "local",
        .choices = if_unavailable_words,
        .help = "While Redis does not answer: each gateway counts its own part of the rate "
                "(`gateways` of `redis` says how many there are), or all pass, or all are refused "
                "with 503."},
    {"fields", OPTION_FLAG, offsetof(struct limit, has_fields), .fallback = "true",
        .help = "Whether answers carry RateLimit and RateLimit-Policy."},
    {NULL},
};

static enum status check(struct reader *reader, const struct node *node, void *value)
{
    const struct limit *limit = value;
    if (limit->plans.count > 1 && !limit->by)
        return diagnostics_error(reader->diagnostics, node->place, SLICE("add \"by: claims.plan\""),
            "several rates need a \"by\" that says which one counts");
    if (limit->plans.count == 1 && limit->by)
        return diagnostics_error(reader->diagnostics, node->place,
            SLICE("for example {free: 60/min, else: 30/min}"),
            "\"by\" has nothing to choose from: there is one rate");
    return OK;
}

static const struct option_table table = {
    .name = "limit",
    .help = "Limits how often something may happen. Whoever comes too often gets 429 and a "
            "Retry-After.",
    .options = options,
    .size = sizeof(struct limit),
    .shorthand = "rate",
    .check = check,
    .example = "limit: {rate: 5/min, burst: 10, per: client.ip}",
};

/* --- state that survives reloads */

struct limit_state {
    struct limit_table *table; /* owned */
};

static enum status init_state(void *object, void *context)
{
    struct limit_state *state = object;
    const struct limit *limit = context;
    return limit_table_new(limit->algorithm, (size_t)limit->keys, &state->table);
}

static void release_state(void *object)
{
    limit_table_free(((struct limit_state *)object)->table);
}

static const struct registry_kind limit_kind = {
    "limit", sizeof(struct limit_state), init_state, release_state};

/* Tables of different sizes or algorithms are different tables: after a reload that changes it
 * counting begins anew. */
static enum status obtain_table(struct prepare *prepare, struct limit *limit)
{
    struct arena *arena = prepare->reader->arena;
    struct slice key = arena_format(arena, "%.*s/%s/%lld", SLICE_ARG(prepare->name),
        limit->algorithm->word, (long long)limit->keys);
    if (!key.data)
        return NO_MEMORY;
    void *object;
    enum status e = registry_obtain(prepare->registry, &limit_kind, key, limit, &object);
    if (e)
        return e;
    if (!arena_defer(arena, registry_release, object)) {
        registry_release(object);
        return NO_MEMORY;
    }
    limit->table = ((struct limit_state *)object)->table;
    return OK;
}

static void make_rules(struct limit *limit)
{
    for (size_t i = 0; i < limit->plans.count; i++) {
        struct plan *plan = &limit->plans.items[i];
        plan->rule = limit_rule_of(
            plan->rate.count, plan->rate.per, limit->burst ? limit->burst : plan->rate.count);
        plan->quota = limit->algorithm->quota(&plan->rule);
    }
}

static enum status prepare(struct prepare *prepare, void *config)
{
    static const struct metric_family decisions = {.name = "weir_limit_decisions_total",
        .help = "Requests that a limit let pass or refused.",
        .kind = METRIC_COUNTER,
        .labels = {"limit", "decision"}};
    static const struct metric_family fallbacks = {.name = "weir_limit_unavailable_total",
        .help = "Decisions of a shared limit that were made without the store.",
        .kind = METRIC_COUNTER,
        .labels = {"limit"}};
    struct limit *limit = config;
    limit->name = slice_has_prefix(prepare->name, SLICE("limits.")) ? slice_from(prepare->name, 7)
                                                                    : SLICE("route");
    limit->shards = prepare->shards;
    limit->passed = metrics_series(
        prepare->metrics, &decisions, (const struct slice[]){prepare->name, SLICE("passed")});
    limit->refused = metrics_series(
        prepare->metrics, &decisions, (const struct slice[]){prepare->name, SLICE("refused")});
    limit->alone = metrics_series(prepare->metrics, &fallbacks, &prepare->name);
    limit->algorithm = limit_algorithms[limit->algorithm_index];
    make_rules(limit);
    enum status e = limit_shared_init(&limit->shared, limit->algorithm,
        limit->is_shared ? prepare->stores.shared : NULL, prepare->name);
    if (e)
        return e;
    return obtain_table(prepare, limit);
}

/* --- serving */

static const struct plan *plan_of(const struct limit *limit, struct exchange *x)
{
    if (!limit->by)
        return limit->plans.otherwise;
    struct slice name = expression_text(limit->by, x);
    for (size_t i = 0; i < limit->plans.count; i++)
        if (slice_equal(limit->plans.items[i].name, name))
            return &limit->plans.items[i];
    return limit->plans.otherwise;
}

/* What is decided while the store cannot be asked. */
static enum status take_alone(const struct limit *limit, const struct exchange *x, struct slice key,
    const struct limit_rule *rule, struct limit_decision *ret_decision)
{
    metric_add(limit->shards[x->worker], limit->alone, 1);
    if (limit->if_unavailable == LIMIT_REFUSE)
        return STORE_UNAVAILABLE;
    if (limit->if_unavailable == LIMIT_LOCAL) {
        struct limit_rule share =
            limit_share_of(limit->algorithm, rule, limit->shared.store->gateways);
        *ret_decision = limit_table_take(limit->table, key, &share, 1, loop_now());
        return OK;
    }
    *ret_decision = limit_unasked(limit->algorithm, rule, 1);
    return OK;
}

static enum status take(const struct limit *limit, const struct exchange *x, struct slice key,
    const struct limit_rule *rule, struct limit_decision *ret_decision)
{
    if (!limit->shared.store) {
        *ret_decision = limit_table_take(limit->table, key, rule, 1, loop_now());
        return OK;
    }
    enum status e =
        limit_shared_take(&limit->shared, x->worker, key, rule, 1, x->deadline, ret_decision);
    return e && e != CANCELLED ? take_alone(limit, x, key, rule, ret_decision) : e;
}

static enum status serve(const void *config, struct exchange *x, const struct handler *next)
{
    const struct limit *limit = config;
    if (x->is_rehearsal)
        return handler_serve(next, x);
    const struct plan *plan = plan_of(limit, x);
    struct slice key = expression_text(limit->per, x);
    struct limit_decision decision;
    enum status e = take(limit, x, key, &plan->rule, &decision);
    if (e)
        return e;
    metric_add(limit->shards[x->worker], decision.allowed ? limit->passed : limit->refused, 1);
    if (!decision.allowed)
        return limit_refuse(x, limit->name, &plan->quota, &decision, limit->has_fields);
    e = handler_serve(next, x);
    if (limit->has_fields)
        limit_add_fields(x, limit->name, &plan->quota, &decision);
    return e;
}

static void explain(const void *config, struct exchange *x, struct text *text)
{
    const struct limit *limit = config;
    const struct plan *plan = plan_of(limit, x);
    struct slice key = expression_text(limit->per, x);
    if (limit->shared.store) {
        text_format(text, "asks redis for %.*s = \"%.*s\"",
            SLICE_ARG(expression_source(limit->per)), SLICE_ARG(key));
        return;
    }
    struct limit_decision decision =
        limit_table_look(limit->table, key, &plan->rule, 1, clock_now());
    text_format(text, "%s, %lld left for %.*s = \"%.*s\"", decision.allowed ? "passes" : "refuses",
        (long long)decision.remaining, SLICE_ARG(expression_source(limit->per)), SLICE_ARG(key));
}

const struct policy_type limit_policy = {
    .name = "limit",
    .plural = "limits",
    .admits = true,
    .options = &table,
    .prepare = prepare,
    .serve = serve,
    .explain = explain,
};
