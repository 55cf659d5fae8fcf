#include "service/retry_options.h"

#include "base/clock.h"
#include "http/grpc.h"

#define RULE(member) offsetof(struct retry_rule, member)

/* --- conditions */

static const struct {
    const char *word;
    enum retry_condition kind;
} kinds[] = {{"connect-error", RETRY_CONNECT}, {"refused-stream", RETRY_REFUSED},
    {"reset", RETRY_RESET}, {"closed", RETRY_CLOSED}, {"timeout", RETRY_TIMEOUT},
    {"bad-answer", RETRY_PROTOCOL}};

/* What is denied is denied the next time too, so PERMISSION_DENIED and UNAUTHENTICATED are not
 * here. */
static const struct {
    const char *word;
    enum grpc_status status;
} calls[] = {{"cancelled", GRPC_CANCELLED}, {"unknown", GRPC_UNKNOWN},
    {"deadline-exceeded", GRPC_DEADLINE_EXCEEDED}, {"resource-exhausted", GRPC_RESOURCE_EXHAUSTED},
    {"aborted", GRPC_ABORTED}, {"internal", GRPC_INTERNAL}, {"unavailable", GRPC_UNAVAILABLE},
    {"data-loss", GRPC_DATA_LOSS}};

#define KINDS (sizeof kinds / sizeof *kinds)
#define CALLS (sizeof calls / sizeof *calls)

static void add_status(struct retry_conditions *conditions, unsigned status)
{
    unsigned bit = status - RETRY_STATUS_FIRST;
    conditions->statuses[bit / 64] |= (uint64_t)1 << bit % 64;
}

bool retry_has_status(const struct retry_conditions *conditions, int status)
{
    if (status < RETRY_STATUS_FIRST || status > RETRY_STATUS_LAST)
        return false;
    unsigned bit = (unsigned)status - RETRY_STATUS_FIRST;
    return conditions->statuses[bit / 64] >> bit % 64 & 1;
}

static bool add_word(struct retry_conditions *conditions, struct slice word)
{
    for (size_t i = 0; i < KINDS; i++)
        if (slice_equal(word, slice_of_text(kinds[i].word))) {
            conditions->kinds |= (uint32_t)kinds[i].kind;
            return true;
        }
    for (size_t i = 0; i < CALLS; i++)
        if (slice_equal(word, slice_of_text(calls[i].word))) {
            conditions->grpc |= (uint32_t)1 << calls[i].status;
            return true;
        }
    return false;
}

/* The problem, or NULL. */
static const char *add_condition(struct retry_conditions *conditions, struct slice word)
{
    uint64_t status = 0;
    if (add_word(conditions, word))
        return NULL;
    if (slice_equal(word, SLICE("5xx"))) {
        for (unsigned i = 500; i <= RETRY_STATUS_LAST; i++)
            add_status(conditions, i);
        return NULL;
    }
    if (slice_equal(word, SLICE("gateway-error"))) {
        for (unsigned i = 502; i <= 504; i++)
            add_status(conditions, i);
        return NULL;
    }
    if (!slice_to_u64(word, &status))
        return "no condition: connect-error, refused-stream, reset, closed, timeout, bad-answer, "
               "5xx, gateway-error, a status such as 503, or one of gRPC such as unavailable";
    if (status == 401 || status == 403)
        return "who is refused is refused the next time too: 401 and 403 are not tried again";
    if (status < RETRY_STATUS_FIRST || status > RETRY_STATUS_LAST)
        return "only the statuses 400 to 599 are failures";
    add_status(conditions, (unsigned)status);
    return NULL;
}

/* The next of words with blanks, bars or commas between them; they may be joined by "or". */
static bool next_word(struct slice *rest, struct slice *ret_word)
{
    size_t from = 0, to;
    while (from < rest->size && strchr(" |,", rest->data[from]))
        from++;
    for (to = from; to < rest->size && !strchr(" |,", rest->data[to]); to++)
        ;
    *ret_word = slice_of(rest->data + from, to - from);
    *rest = slice_from(*rest, to);
    return ret_word->size > 0;
}

static enum status complain(
    struct reader *reader, const struct node *node, struct slice where, const char *problem)
{
    size_t offset = where.data ? (size_t)(where.data - node->text.data) : 0;
    return diagnostics_error(reader->diagnostics, node_place_at(node, offset, where.size),
        SLICE("2 if connect-error|503"), "%s", problem);
}

static enum status add_conditions(struct reader *reader, const struct node *node, struct slice rest,
    struct retry_conditions *conditions)
{
    struct slice word;
    while (next_word(&rest, &word)) {
        const char *problem =
            slice_equal(word, SLICE("or")) ? NULL : add_condition(conditions, word);
        if (problem)
            return complain(reader, node, word, problem);
    }
    return OK;
}

static enum status read_conditions(struct reader *reader, const struct node *node, void *ret_value)
{
    struct retry_conditions conditions = {0};
    enum status e = OK;
    if (node->kind == NODE_SCALAR)
        e = add_conditions(reader, node, node->text, &conditions);
    else if (node->kind == NODE_LIST)
        for (size_t i = 0; !e && i < node->count; i++)
            e = node->items[i]->kind == NODE_SCALAR
                    ? add_conditions(reader, node->items[i], node->items[i]->text, &conditions)
                    : INVALID;
    else
        e = INVALID;
    if (!e)
        *(struct retry_conditions *)ret_value = conditions;
    return e;
}

static void add_part(struct text *text, const char *separator, bool *is_first, struct slice part)
{
    if (!*is_first)
        text_add(text, slice_of_text(separator));
    text_add(text, part);
    *is_first = false;
}

static bool has_all_5xx(const struct retry_conditions *conditions)
{
    for (int i = 500; i <= RETRY_STATUS_LAST; i++)
        if (!retry_has_status(conditions, i))
            return false;
    return true;
}

void retry_write_conditions(
    const struct retry_conditions *conditions, const char *separator, struct text *text)
{
    bool is_first = true, has_5xx = has_all_5xx(conditions);
    char number[4];
    for (size_t i = 0; i < KINDS; i++)
        if (conditions->kinds & (uint32_t)kinds[i].kind)
            add_part(text, separator, &is_first, slice_of_text(kinds[i].word));
    for (size_t i = 0; i < CALLS; i++)
        if (conditions->grpc >> calls[i].status & 1)
            add_part(text, separator, &is_first, slice_of_text(calls[i].word));
    if (has_5xx)
        add_part(text, separator, &is_first, SLICE("5xx"));
    for (int i = RETRY_STATUS_FIRST; i <= (has_5xx ? 499 : RETRY_STATUS_LAST); i++) {
        struct text digits = text_fixed(number, sizeof number);
        text_add_i64(&digits, i);
        if (retry_has_status(conditions, i))
            add_part(text, separator, &is_first, text_slice(&digits));
    }
}

void retry_explain(const struct retry_rule *rule, struct text *text)
{
    if (rule->times == 0) {
        text_add_literal(text, "off");
        return;
    }
    text_add_i64(text, rule->times);
    text_add_literal(text, " if ");
    retry_write_conditions(&rule->conditions, "|", text);
}

static bool write_conditions(const void *value, struct text *text)
{
    text_add_char(text, '"');
    retry_write_conditions(value, "|", text);
    text_add_char(text, '"');
    return true;
}

/* --- the phrase */

/* "2", "off", "2 if connect-error|503". */
static enum status read_phrase(struct reader *reader, const struct node *node, void *value)
{
    struct retry_rule *rule = value;
    struct slice rest = node->text, word;
    uint64_t times = 0;
    if (node->kind != NODE_SCALAR)
        return NOT_FOUND;
    if (slice_equal(rest, SLICE("off"))) {
        rule->times = 0;
        return OK;
    }
    if (!next_word(&rest, &word) || !slice_to_u64(word, &times) || times > RETRY_TIMES_MAX)
        return complain(reader, node, word, "how often is a number from 0 to 5, or off");
    rule->times = (int64_t)times;
    if (!next_word(&rest, &word))
        return OK;
    if (!slice_equal(word, SLICE("if")))
        return complain(reader, node, word, "behind the number stands if, and conditions");
    struct retry_conditions conditions = {0};
    enum status e = add_conditions(reader, node, rest, &conditions);
    if (!e)
        rule->conditions = conditions;
    return e;
}

/* --- tables */

static const struct option backoff_rows[] = {
    {"base", OPTION_DURATION, offsetof(struct backoff_options, base), .fallback = "25ms",
        .minimum = MILLISECOND, .maximum = MINUTE,
        .help = "Before the nth try again a time is waited that is drawn between nothing and 2^n - "
                "1 times this."},
    {"max", OPTION_DURATION, offsetof(struct backoff_options, max), .fallback = "0s", .minimum = 0,
        .maximum = 10 * MINUTE, .help = "The most that is waited; 0s: ten times `base`."},
    {NULL}};

static const struct option_table backoff_table = {.name = "backoff",
    .help = "How long is waited before a try again, so that tries of many requests do not come all "
            "at once.",
    .options = backoff_rows,
    .size = sizeof(struct backoff_options),
    .shorthand = "base",
    .example = "{base: 10ms, max: 1s}"};

#define DEFAULT_CONDITIONS "connect-error|refused-stream|reset|closed"

/* Rows that routes have too. */
#define RULE_ROWS                                                                                  \
    {"times", OPTION_INTEGER, RULE(times), .fallback = "2", .minimum = 0,                          \
        .maximum = RETRY_TIMES_MAX, .help = "Tries after the first; 0: none."},                    \
        {"if", OPTION_CUSTOM, RULE(conditions), .fallback = DEFAULT_CONDITIONS,                    \
            .read = read_conditions, .write = write_conditions,                                    \
            .item_size = sizeof(struct retry_conditions), .form = "connect-error|503",             \
            .schema = "{\"type\": [\"string\", \"integer\", \"array\"]}",                          \
            .help = "What has to have happened. connect-error: no connection. refused-stream: "    \
                    "HTTP/2's word for a request that was not begun. reset, closed: the service "  \
                    "gave the request up, or closed the connection, before it answered. timeout: " \
                    "no answer in time. bad-answer: none that can be understood, or half a head. " \
                    "5xx, "                                                                        \
                    "gateway-error (502 503 504), single statuses but 401 and 403, and of gRPC "   \
                    "cancelled, unknown, deadline-exceeded, resource-exhausted, aborted, "         \
                    "internal, unavailable, data-loss."},                                          \
        {"backoff", OPTION_STRUCT, RULE(backoff), .table = &backoff_table,                         \
            .help = "How long is waited before."},                                                 \
        {"retry-after", OPTION_DURATION, RULE(retry_after), .fallback = "5s", .minimum = 0,        \
            .maximum = HOUR,                                                                       \
            .help = "An answer that is not taken may ask for a pause by Retry-After: up to so "    \
                    "long a one is made, and up to half as much on top. A longer one is read "     \
                    "over."},                                                                      \
    {                                                                                              \
        "keyed", OPTION_FLAG, RULE(is_keyed),                                                      \
            .fallback = "false",                                                                   \
            .help = "The service knows requests that come twice by their Idempotency-Key: those "  \
                    "that have one are tried again whatever their method is."                      \
    }

static const struct option rule_rows[] = {RULE_ROWS, {NULL}};

#define RETRY_HELP                                                                                \
    "When a request is sent again, to another endpoint if there is one. Only what may be sent "   \
    "twice is: idempotent methods, what has surely not been begun, and calls of gRPC that ended " \
    "with a status that is listed; and nothing once an answer has begun to go to the client."

const struct option_table retry_rule_table = {.name = "retry",
    .help = RETRY_HELP " Instead of what the service says.",
    .options = rule_rows,
    .size = sizeof(struct retry_rule),
    .read_phrase = read_phrase,
    .example = "retry: 1 if connect-error"};

static const struct option budget_rows[] = {
    {"share", OPTION_SHARE, offsetof(struct budget_options, share), .fallback = "20%", .minimum = 0,
        .maximum = 100, .help = "Of the requests of the last ten seconds."},
    {"least", OPTION_INTEGER, offsetof(struct budget_options, least), .fallback = "3", .minimum = 0,
        .maximum = 10000, .help = "So many a second may be made whatever the share says."},
    {NULL}};

static const struct option_table budget_table = {.name = "budget",
    .help = "How many tries again the service gets, from all routes and workers; beyond that a "
            "request's first failure is its last, so that a service in trouble is not asked more "
            "and more.",
    .options = budget_rows,
    .size = sizeof(struct budget_options),
    .shorthand = "share",
    .example = "{share: 10%, least: 5}"};

static const struct option retry_rows[] = {RULE_ROWS,
    {"budget", OPTION_STRUCT, offsetof(struct retry_options, budget), .table = &budget_table,
        .help = "The bound of all tries again."},
    {"keep", OPTION_SIZE, offsetof(struct retry_options, keep), .fallback = "64KiB", .minimum = 0,
        .maximum = 16 << 20,
        .help = "So much of a request's body is kept while it is sent, so that it can be sent "
                "again; a longer one is not."},
    {NULL}};

const struct option_table retry_table = {.name = "retry",
    .help = RETRY_HELP,
    .options = retry_rows,
    .size = sizeof(struct retry_options),
    .read_phrase = read_phrase,
    .example = "retry: 2 if connect-error|503"};
