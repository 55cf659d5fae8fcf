#include "policy/limit_choice.h"

#include "policy/limit_cost.h"

static enum status read_rate(
    struct reader *reader, const struct node *node, struct limit_plan *plan)
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

#define PLACES_MOST 65536

static enum status read_places(
    struct reader *reader, const struct node *node, struct limit_plan *plan)
{
    static const struct option places = {
        .name = "concurrency", .kind = OPTION_INTEGER, .minimum = 1, .maximum = PLACES_MOST};
    enum status e = option_read_value(reader, &places, node, &plan->rate.count);
    plan->rate.per = 1; /* until the lease is known */
    return e;
}

typedef enum status plan_reader(
    struct reader *reader, const struct node *node, struct limit_plan *plan);

static enum status read_each(struct reader *reader, const struct node *node,
    struct limit_plans *plans, plan_reader *read, struct slice hint)
{
    size_t count = node->kind == NODE_MAP ? node->count : 1;
    if (plans->items)
        return diagnostics_error(reader->diagnostics, node->place,
            SLICE("make two limits of it: \"use: [limits.rate, limits.places]\""),
            "a limit has a rate or a concurrency, not both");
    plans->items = arena_array(reader->arena, count + 1, sizeof *plans->items);
    if (!plans->items)
        return NO_MEMORY;
    plans->count = count;
    if (node->kind != NODE_MAP) {
        plans->otherwise = &plans->items[0];
        return read(reader, node, &plans->items[0]);
    }
    enum status outcome = OK;
    for (size_t i = 0; i < count; i++) {
        plans->items[i].name = node->entries[i].key;
        enum status e = read(reader, node->entries[i].value, &plans->items[i]);
        if (slice_equal(plans->items[i].name, SLICE("else")))
            plans->otherwise = &plans->items[i];
        outcome = e ? e : outcome;
    }
    if (!plans->otherwise)
        return diagnostics_error(reader->diagnostics, node->place, hint,
            "rates by plan need an \"else\" for whoever has none of them");
    return outcome;
}

static enum status read_rates(struct reader *reader, const struct node *node, void *ret_value)
{
    return read_each(reader, node, ret_value, read_rate, SLICE("add \"else: 30/min\""));
}

static enum status read_concurrency(struct reader *reader, const struct node *node, void *ret_value)
{
    struct limit_plans *plans = ret_value;
    enum status e = read_each(reader, node, plans, read_places, SLICE("add \"else: 1\""));
    plans->is_concurrency = true;
    return e;
}

static const char *const if_unavailable_words[] = {"local", "pass", "refuse", NULL};

static const struct option options[] = {
    {"rate", OPTION_CUSTOM, offsetof(struct limit, plans), .read = read_rates,
        .form = "60/min, or {free: 60/min, pro: 1000/min, else: 30/min}",
        .schema =
            "{\"type\":[\"string\",\"object\"],\"additionalProperties\":{\"type\":\"string\"}}",
        .help = "How many requests may pass in the long run; as a map, by the value of `by`."},
    {"concurrency", OPTION_CUSTOM, offsetof(struct limit, plans), .read = read_concurrency,
        .form = "10, or {free: 2, pro: 20, else: 1}",
        .schema =
            "{\"type\":[\"integer\",\"object\"],\"additionalProperties\":{\"type\":\"integer\"}}",
        .help = "Instead of a rate: how many requests may be under way at once, up to 65536; a "
                "call of gRPC or a WebSocket for as long as it lasts."},
    {"by", OPTION_EXPRESSION, offsetof(struct limit, by),
        .help = "Which of the rates counts, when there are several."},
    {"per", OPTION_EXPRESSION, offsetof(struct limit, per), .fallback = "client.ip",
        .help = "What is counted together; requests that lack it share one count."},
    {"algorithm", OPTION_CHOICE, offsetof(struct limit, algorithm_index),
        .is_set_offset = offsetof(struct limit, has_algorithm), .choices = limit_algorithm_words,
        .help = "How it is counted; if it is not said: rates by the day or month, without a burst, "
                "as a fixed-window, all others as a token-bucket."},
    {"burst", OPTION_INTEGER, offsetof(struct limit, burst), .minimum = 0, .maximum = 1000000000,
        .help = "How many may come at once, of a token-bucket, or wait, of a leaky-bucket; 0: as "
                "many as the rate counts."},
    {"hold", OPTION_DURATION, offsetof(struct limit, hold), .fallback = "1m",
        .is_set_offset = offsetof(struct limit, has_hold), .minimum = MILLISECOND, .maximum = DAY,
        .help = "How long a leaky-bucket holds a request at most; who would have to wait longer is "
                "refused at once."},
    {"held", OPTION_INTEGER, offsetof(struct limit, held_max), .fallback = "10000",
        .is_set_offset = offsetof(struct limit, has_held_max), .minimum = 1, .maximum = 1000000,
        .help = "How many requests a leaky-bucket holds at a time, of all keys; the others are "
                "refused at once."},
    {"cost", OPTION_CUSTOM, offsetof(struct limit, cost), .read = limit_cost_read,
        .form = "header.x-items, response.header.x-tokens, request.size, "
                "response.body.usage.total_tokens, …",
        .schema = "{\"type\": [\"string\", \"integer\"]}",
        .help = "How much of the rate a request takes: 1 by default, and where this is no number. "
                "What is known only when the answer is sent is settled then."},
    {"reserve", OPTION_INTEGER, offsetof(struct limit, reserve), .fallback = "1", .minimum = 0,
        .maximum = 1000000000,
        .help = "What a request takes until its cost is known, when that is settled later."},
    {"keys", OPTION_INTEGER, offsetof(struct limit, keys), .fallback = "65536", .minimum = 64,
        .maximum = 1 << 28,
        .help = "How many keys are remembered at a time: 16 bytes each for buckets, about 60 for "
                "windows, and for a log 20 more for each request that the rate lets pass."},
    {"shared", OPTION_FLAG, offsetof(struct limit, is_shared), .fallback = "true",
        .help = "Whether all gateways count together, where there is a `redis`. Without, what "
                "counts by the day or month is kept in `state`, where there is one."},
    {"lease", OPTION_DURATION, offsetof(struct limit, lease), .fallback = "30s",
        .is_set_offset = offsetof(struct limit, has_lease), .minimum = SECOND, .maximum = HOUR,
        .help =
            "Of a concurrency: for how long Redis believes that a request is under way of whose "
            "gateway it hears no more. Gateways renew three times as often."},
    {"settle", OPTION_DURATION, offsetof(struct limit, settle), .fallback = "0s", .minimum = 0,
        .maximum = MINUTE,
        .help =
            "How often a gateway tells Redis what it has counted, and hears what others have; "
            "0s: with each request, which waits for it. Meanwhile each of them may let through "
            "what its own bucket or window holds. Not of a leaky-bucket, nor of a sliding-log."},
    {"if-unavailable", OPTION_CHOICE, offsetof(struct limit, if_unavailable), .fallback = "local",
        .choices = if_unavailable_words,
        .help = "While Redis does not answer: each gateway counts its own part of the rate "
                "(`gateways` of `redis` says how many there are), or all pass, or all are refused "
                "with 503."},
    {"over", OPTION_STRUCT, offsetof(struct limit, over), .table = &limit_over_table,
        .help = "What becomes of requests above the limit: 429 by default."},
    {"shadow", OPTION_FLAG, offsetof(struct limit, is_shadow), .fallback = "false",
        .help =
            "Whether it is only tried out: it counts, and says in metrics and in the access "
            "log whom it would not have let pass, but lets all pass and tells clients nothing."},
    {"fields", OPTION_FLAG, offsetof(struct limit, has_fields), .fallback = "true",
        .help = "Whether answers carry RateLimit and RateLimit-Policy."},
    {NULL},
};

static enum status check(struct reader *reader, const struct node *node, void *value)
{
    struct limit *limit = value;
    if (!limit->plans.items)
        return diagnostics_error(reader->diagnostics, node->place,
            SLICE("add \"rate: 60/min\", or \"concurrency: 10\""),
            "a limit without a rate limits nothing");
    for (size_t i = 0; limit->plans.is_concurrency && i < limit->plans.count; i++)
        limit->plans.items[i].rate.per = limit->lease;
    if (limit->plans.count > 1 && !limit->by)
        return diagnostics_error(reader->diagnostics, node->place, SLICE("add \"by: claims.plan\""),
            "several rates need a \"by\" that says which one counts");
    if (limit->plans.count == 1 && limit->by)
        return diagnostics_error(reader->diagnostics, node->place,
            SLICE("for example {free: 60/min, else: 30/min}"),
            "\"by\" has nothing to choose from: there is one rate");
    return limit->plans.otherwise ? limit_choose(reader, node, limit) : OK;
}

const struct option_table limit_options = {
    .name = "limit",
    .help = "Limits how often something may happen. Whoever comes too often gets 429 and a "
            "Retry-After.",
    .options = options,
    .size = sizeof(struct limit),
    .shorthand = "rate",
    .check = check,
    .example = "limit: {rate: 5/min, burst: 10, per: client.ip}",
};
