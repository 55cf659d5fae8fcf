#include "service/hedge_options.h"

#include "base/clock.h"
#include "config/unit.h"

#define LOWEST       50 /* below that most requests would be sent twice, which no budget can stand */
#define HIGHEST      99.99

#define RULE(member) offsetof(struct hedge_rule, member)

static enum status complain(struct reader *reader, const struct node *node, const char *problem)
{
    return diagnostics_error(
        reader->diagnostics, node->place, SLICE("p95, or a time such as 50ms"), "%s", problem);
}

/* "p95", "p99.9" */
static bool parse_percentile(struct slice text, double *ret_share)
{
    char room[16];
    const char *problem;
    struct text percent = text_fixed(room, sizeof room);
    if (text.size < 2 || text.data[0] != 'p')
        return false;
    text_add(&percent, slice_from(text, 1));
    text_add_char(&percent, '%');
    return !percent.failed && !unit_parse_share(text_slice(&percent), ret_share, &problem) &&
           *ret_share * 100 >= LOWEST && *ret_share * 100 <= HIGHEST;
}

static enum status read_after(struct reader *reader, const struct node *node, void *ret_value)
{
    struct hedge_after after = {0};
    const char *problem = NULL;
    if (node->kind != NODE_SCALAR)
        return complain(reader, node, "when a second request goes is one value");
    if (slice_equal(node->text, SLICE("off"))) {
        *(struct hedge_after *)ret_value = after;
        return OK;
    }
    if (node->text.size && node->text.data[0] == 'p') {
        if (!parse_percentile(node->text, &after.share))
            return complain(reader, node, "a percentile is from p50 to p99.99");
    } else if (unit_parse_duration(node->text, &after.time, &problem))
        return complain(reader, node, problem);
    else if (after.time < MILLISECOND || after.time > HOUR)
        return complain(reader, node, "a second request goes after 1ms to 1h");
    *(struct hedge_after *)ret_value = after;
    return OK;
}

static void add_after(const struct hedge_after *after, struct text *text)
{
    char room[32];
    struct text percent = text_fixed(room, sizeof room);
    if (after->time)
        unit_format_duration(after->time, text);
    else if (after->share > 0) {
        unit_format_share(after->share, &percent);
        text_format(text, "p%.*s", SLICE_ARG(slice_head(text_slice(&percent), percent.size - 1)));
    } else
        text_add_literal(text, "off");
}

static bool write_after(const void *value, struct text *text)
{
    add_after(value, text);
    return true;
}

void hedge_explain(const struct hedge_rule *rule, struct text *text)
{
    static const struct hedge_rule off;
    rule = rule ? rule : &off;
    if (hedge_rule_is_on(rule))
        text_add_literal(text, "after ");
    add_after(&rule->after, text);
}

/* --- tables */

#define AFTER_HELP                                                                                 \
    "When the second request goes, if there is no answer: after as long as 95 of 100 requests of " \
    "the same route take (p95; p50 to p99.99), which is measured, or after a time (50ms). off: "   \
    "never."

/* Rows that routes have too. */
#define RULE_ROWS                                                                                  \
    {"after", OPTION_CUSTOM, RULE(after), .fallback = "p95", .read = read_after,                   \
        .write = write_after, .item_size = sizeof(struct hedge_after), .form = "p95, 50ms or off", \
        .schema = "{\"type\": \"string\"}", .help = AFTER_HELP},                                   \
        {"keyed", OPTION_FLAG, RULE(is_keyed), .fallback = "false",                                \
            .help = "The service knows requests that come twice by their Idempotency-Key: those "  \
                    "that have one are hedged whatever their method is."},                         \
    {                                                                                              \
        "grpc", OPTION_FLAG, RULE(has_calls),                                                      \
            .fallback = "false",                                                                   \
            .help = "Calls of gRPC are hedged as well, which say nothing about whether they may "  \
                    "be made twice: say so only where they may."                                   \
    }

#define HEDGE_HELP                                                                                \
    "Sends a request to a second endpoint when the first takes unusually long; the first good "   \
    "answer is taken, and the other request given up. Only what may be sent twice, all of whose " \
    "body is here: GET, HEAD, PUT, DELETE, OPTIONS, TRACE."

static const struct option rule_rows[] = {RULE_ROWS, {NULL}};

const struct option_table hedge_rule_table = {.name = "hedge",
    .help = HEDGE_HELP " Instead of what the service says; the budget stays the service's.",
    .options = rule_rows,
    .size = sizeof(struct hedge_rule),
    .shorthand = "after",
    .example = "hedge: p95"};

static const struct option budget_rows[] = {
    {"share", OPTION_SHARE, offsetof(struct budget_options, share), .fallback = "5%", .minimum = 0,
        .maximum = 100, .help = "Of the requests of the last ten seconds that may be hedged."},
    {"least", OPTION_INTEGER, offsetof(struct budget_options, least), .fallback = "0", .minimum = 0,
        .maximum = 10000, .help = "So many a second may be sent whatever the share says."},
    {NULL}};

static const struct option_table budget_table = {.name = "hedge-budget",
    .help = "How many second requests the service gets, from all routes and workers.",
    .options = budget_rows,
    .size = sizeof(struct budget_options),
    .shorthand = "share",
    .example = "{share: 2%, least: 1}"};

static const struct option hedge_rows[] = {RULE_ROWS,
    {"budget", OPTION_STRUCT, offsetof(struct hedge_options, budget), .table = &budget_table,
        .help = "The bound of all second requests."},
    {NULL}};

const struct option_table hedge_table = {.name = "hedge",
    .help = HEDGE_HELP,
    .options = hedge_rows,
    .size = sizeof(struct hedge_options),
    .shorthand = "after",
    .example = "hedge: p95"};
