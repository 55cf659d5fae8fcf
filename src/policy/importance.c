#include "policy/policy.h"

#include "config/expression.h"

/* How much a request matters when not all can be served: who matters more goes on first from the
 * queue of a busy service, and is refused last.
 *
 *     importance: high
 *     importance: {by: claims.plan, levels: {pro: high, free: low}, else: normal} */

struct importance {
    int64_t level; /* 0 to 7; 4: as usual */
    struct expression *by;
    struct option_map levels; /* of int64_t; empty: what `by` gives is a level itself */
};

#define USUAL 4

static bool parse_level(struct slice text, int64_t *ret_level)
{
    uint64_t number;
    if (slice_equal(text, SLICE("high")))
        *ret_level = 6;
    else if (slice_equal(text, SLICE("normal")))
        *ret_level = USUAL;
    else if (slice_equal(text, SLICE("low")))
        *ret_level = 2;
    else if (slice_to_u64(text, &number) && number <= 7)
        *ret_level = (int64_t)number;
    else
        return false;
    return true;
}

static enum status read_level(struct reader *reader, const struct node *node, void *ret_value)
{
    if (node->kind == NODE_SCALAR && parse_level(node->text, ret_value))
        return OK;
    return diagnostics_error(reader->diagnostics, node->place, SLICE("high"),
        "an importance is high (6), normal (4), low (2), or a number from 0 to 7");
}

static bool write_level(const void *value, struct text *text)
{
    text_add_i64(text, *(const int64_t *)value);
    return true;
}

static const struct option level_item = {.name = "level",
    .kind = OPTION_CUSTOM,
    .read = read_level,
    .write = write_level,
    .form = "high, normal, low, or 0 to 7",
    .schema = "{\"type\": [\"string\", \"integer\"]}",
    .help = "How much it matters."};

static const struct option options[] = {
    {"else", OPTION_CUSTOM, offsetof(struct importance, level), .fallback = "normal",
        .read = read_level, .write = write_level, .item_size = sizeof(int64_t),
        .form = "high, normal, low, or 0 to 7", .schema = "{\"type\": [\"string\", \"integer\"]}",
        .help = "How much a request matters; with `by`, one of which nothing else is said."},
    {"by", OPTION_EXPRESSION, offsetof(struct importance, by),
        .help = "What decides it for each request."},
    {"levels", OPTION_MAP, offsetof(struct importance, levels), .item = &level_item,
        .item_size = sizeof(int64_t),
        .help = "What the values of `by` mean; nothing: they are high, normal, low or numbers."},
    {NULL},
};

static enum status check(struct reader *reader, const struct node *node, void *value)
{
    const struct importance *importance = value;
    if (importance->levels.count && !importance->by)
        return diagnostics_error(reader->diagnostics, node->place, SLICE("add \"by: claims.plan\""),
            "levels need a \"by\" that says which one counts");
    return OK;
}

static const struct option_table table = {
    .name = "importance",
    .help = "How much a request matters when not all can be served: who matters more leaves the "
            "queue of a busy service first, and is refused last.",
    .options = options,
    .size = sizeof(struct importance),
    .shorthand = "else",
    .check = check,
    .example = "importance: {by: header.x-plan, levels: {pro: high, free: low}}",
};

static int64_t level_of(const struct importance *importance, struct exchange *x)
{
    int64_t level = importance->level;
    if (!importance->by)
        return level;
    struct slice value = expression_text(importance->by, x);
    for (size_t i = 0; i < importance->levels.count; i++)
        if (slice_equal(importance->levels.entries[i].key, value))
            return *(const int64_t *)importance->levels.entries[i].value;
    if (!importance->levels.count)
        (void)parse_level(value, &level);
    return level;
}

static enum status serve(const void *config, struct exchange *x, const struct handler *next)
{
    x->importance = (int8_t)(level_of(config, x) - USUAL);
    return handler_serve(next, x);
}

static void explain(const void *config, struct exchange *x, struct text *text)
{
    text_format(text, "%lld of 7", (long long)level_of(config, x));
}

const struct policy_type importance_policy = {
    .name = "importance",
    .plural = "importances",
    .options = &table,
    .serve = serve,
    .explain = explain,
};
