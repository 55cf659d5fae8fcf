#include "service/health_options.h"

#include "base/clock.h"
#include "config/pattern.h"
#include "service/load_report.h"

#include <stddef.h>

#define HEALTH(member)  offsetof(struct health_options, member)
#define AGENT(member)   offsetof(struct agent_options, member)
#define OUTLIER(member) offsetof(struct outlier_options, member)
#define REPORT(member)  offsetof(struct report_options, member)

#define DURATION(name_, where, fallback_, least, help_)                                 \
    {                                                                                   \
        .name = name_, .kind = OPTION_DURATION, .offset = where, .fallback = fallback_, \
        .minimum = least, .maximum = DAY, .help = help_                                 \
    }

/* --- factors */

/* "1.9": at most three digits on either side. */
static enum status read_factor(struct reader *reader, const struct node *node, void *ret_value)
{
    struct slice text = node->kind == NODE_SCALAR ? node->text : SLICE_NONE;
    size_t point = slice_find(text, '.');
    struct slice fraction = slice_from(text, point + 1);
    uint64_t whole = 0, parts = 0;
    double scale = 1;
    bool is_read = slice_to_u64(slice_head(text, point), &whole) && whole < 1000;
    if (is_read && point < text.size)
        is_read = fraction.size <= 3 && slice_to_u64(fraction, &parts);
    if (!is_read)
        return diagnostics_error(reader->diagnostics, node->place, SLICE("1.9"),
            "a factor is a number below 1000 with at most three digits behind the point");
    for (size_t i = 0; i < fraction.size; i++)
        scale *= 10;
    *(double *)ret_value = (double)whole + (double)parts / scale;
    return OK;
}

#define FACTOR(name_, where, fallback_, help_)                                        \
    {                                                                                 \
        .name = name_, .kind = OPTION_CUSTOM, .offset = where, .fallback = fallback_, \
        .read = read_factor, .item_size = sizeof(double), .form = fallback_,          \
        .schema = "{\"type\": [\"number\", \"string\"]}", .help = help_               \
    }

/* --- expectations */

static bool parse_range(struct slice text, struct status_range *ret_range)
{
    size_t dash = slice_find(text, '-');
    uint64_t from = 0, to = 0;
    bool is_read = slice_to_u64(slice_head(text, dash), &from);
    if (is_read && dash < text.size)
        is_read = slice_to_u64(slice_from(text, dash + 1), &to);
    else
        to = from;
    *ret_range = (struct status_range){(int64_t)from, (int64_t)to};
    return is_read && from >= 200 && to <= 599 && to >= from;
}

static enum status complain_range(struct reader *reader, struct place place)
{
    return diagnostics_error(reader->diagnostics, place, SLICE("200 or 200-399"),
        "neither a status nor a range of them");
}

static enum status read_range(struct reader *reader, const struct node *node, void *ret_value)
{
    struct status_range range;
    if (node->kind != NODE_SCALAR || !parse_range(node->text, &range))
        return complain_range(reader, node->place);
    *(struct status_range *)ret_value = range;
    return OK;
}

/* "200|204|300-399", as a phrase has it: a comma would end it inside a map. */
static enum status read_ranges(
    struct reader *reader, struct place place, struct slice text, struct option_list *ret_list)
{
    size_t count = 1;
    for (size_t i = 0; i < text.size; i++)
        count += text.data[i] == '|';
    struct status_range *ranges = arena_array(reader->arena, count, sizeof *ranges);
    struct slice part;
    if (!ranges)
        return NO_MEMORY;
    *ret_list = (struct option_list){ranges, 0};
    while (slice_split(&text, '|', &part))
        if (!parse_range(part, &ranges[ret_list->count++]))
            return complain_range(reader, place);
    return OK;
}

/* A text, or between two slashes a pattern. */
static enum status read_expected(struct reader *reader, struct place place, struct slice text,
    struct expectation *ret_expectation)
{
    struct expectation expectation = {.text = text};
    bool is_pattern = text.size > 2 && text.data[0] == '/' && text.data[text.size - 1] == '/';
    struct pattern *pattern;
    const char *problem = "";
    size_t offset = 0;
    if (is_pattern) {
        struct slice inner = slice_of(text.data + 1, text.size - 2);
        enum status e = pattern_compile(reader->arena, inner, &pattern, &problem, &offset);
        if (e)
            return e != INVALID ? e
                                : diagnostics_error(reader->diagnostics, place, SLICE_NONE,
                                      "the pattern is malformed: %s", problem);
        expectation = (struct expectation){.pattern = pattern};
    }
    *ret_expectation = expectation;
    return OK;
}

static bool write_range(const void *value, struct text *text)
{
    const struct status_range *range = value;
    text_add_i64(text, range->from);
    if (range->to != range->from)
        text_format(text, "-%lld", (long long)range->to);
    return true;
}

static bool write_expectation(const void *value, struct text *text)
{
    const struct expectation *expectation = value;
    struct slice wanted = expectation->text;
    text_add_char(text, '"');
    if (expectation->pattern) {
        wanted = pattern_text(expectation->pattern);
        text_add_char(text, '/');
    }
    text_add_json(text, wanted);
    text_add(text, expectation->pattern ? SLICE("/\"") : SLICE("\""));
    return true;
}

static enum status read_expectation(struct reader *reader, const struct node *node, void *ret_value)
{
    if (node->kind != NODE_SCALAR)
        return INVALID;
    return read_expected(reader, node->place, node->text, ret_value);
}

static const struct option range_item = {.name = "status",
    .kind = OPTION_CUSTOM,
    .read = read_range,
    .write = write_range,
    .form = "200 or 200-399",
    .schema = "{\"type\": [\"string\", \"integer\"]}",
    .help = "A status, or a range."};

static const struct option header_item = {.name = "value",
    .kind = OPTION_CUSTOM,
    .read = read_expectation,
    .write = write_expectation,
    .form = "text or /pattern/",
    .schema = "{\"type\": \"string\"}",
    .help = "The whole value, or a pattern that matches in it; empty: any."};

static const struct option argument_item = {"argument", OPTION_TEXT, 0, .help = "An argument."};

/* --- health */

static const char *const health_methods[] = {
    "GET", "HEAD", "grpc", "tcp", "udp", "tls", "command", NULL};

static const struct option health_rows[] = {
    {"path", OPTION_TEXT, HEALTH(path), .is_required = true,
        .help = "What is asked for; begins with a slash. Of grpc: the name of a service, or * for "
                "the server. Of command: the program. Of tcp, udp and tls: *."},
    {"method", OPTION_CHOICE, HEALTH(method), .fallback = "GET", .choices = health_methods,
        .help =
            "How it is asked for; grpc is gRPC's own health checking protocol. tcp only connects; "
            "tls shakes hands besides; udp sends an empty datagram, and only a refusal is a bad "
            "answer; command runs a program on this machine, which says by its exit code."},
    {"arguments", OPTION_LIST, HEALTH(arguments), .item = &argument_item,
        .item_size = sizeof(struct slice), .help = "Of command: what the program is called with."},
    DURATION("every", HEALTH(every), "5s", 10 * MILLISECOND, "Time from one check to the next."),
    DURATION("timeout", HEALTH(timeout), "2s", MILLISECOND,
        "How long the whole answer may take. A command that takes longer is killed with all that "
        "it "
        "has started."),
    DURATION("failing", HEALTH(failing), "0s", 0,
        "The same as `every` while the answers contradict the verdict, so that rise and fall take "
        "less long; 0s: a fifth of `every`."),
    DURATION("idle", HEALTH(idle), "1m", 0,
        "The same as `every` for an endpoint that is well and was asked nothing by clients for so "
        "long; 0s, or less than `every`: as `every`."),
    {"jitter", OPTION_SHARE, HEALTH(jitter), .fallback = "10%", .minimum = 0, .maximum = 50,
        .help = "By how much these times are moved, either way, so that gateways do not march in "
                "step."},
    {"rise", OPTION_INTEGER, HEALTH(rise), .fallback = "2", .minimum = 1, .maximum = 100,
        .help = "Good answers in a row that bring an endpoint back."},
    {"fall", OPTION_INTEGER, HEALTH(fall), .fallback = "3", .minimum = 1, .maximum = 100,
        .help = "Bad answers in a row that take an endpoint out."},
    {"expect", OPTION_LIST, HEALTH(expect), .fallback = "200-399", .item = &range_item,
        .item_size = sizeof(struct status_range),
        .help = "Statuses that are good answers: [200, 204, 300-399]."},
    {"body", OPTION_CUSTOM, HEALTH(body), .read = read_expectation, .write = write_expectation,
        .item_size = sizeof(struct expectation), .form = "text or /pattern/",
        .is_set_offset = HEALTH(has_body), .schema = "{\"type\": \"string\"}",
        .help = "What must be in the answer's first 64 KiB: a text, or between slashes a pattern "
                "(PCRE2)."},
    {"headers", OPTION_MAP, HEALTH(headers), .item = &header_item,
        .item_size = sizeof(struct expectation),
        .help = "Fields that the answer must have, with the whole value or a /pattern/."},
    {NULL}};

static enum status read_health_phrase(struct reader *reader, const struct node *node, void *value)
{
    struct health_options *health = value;
    struct health_phrase more;
    const char *problem = NULL;
    struct slice where = node->text;
    if (node->kind != NODE_SCALAR)
        return NOT_FOUND;
    if (health_phrase_parse(node->text, health, &more, &problem, &where)) {
        size_t offset = where.data ? (size_t)(where.data - node->text.data) : 0;
        return diagnostics_error(reader->diagnostics, node_place_at(node, offset, where.size),
            SLICE_NONE, "%s", problem);
    }
    enum status e = OK;
    if (more.expect.data)
        e = read_ranges(reader, node->place, more.expect, &health->expect);
    if (!e && more.body.data) {
        health->has_body = true;
        e = read_expected(reader, node->place, more.body, &health->body);
    }
    return e;
}

static enum status complain_health(
    struct reader *reader, const struct node *node, const char *hint, const char *problem)
{
    return diagnostics_error(reader->diagnostics, node->place, slice_of_text(hint), "%s", problem);
}

static enum status check_path(
    struct reader *reader, const struct node *node, const struct health_options *health)
{
    bool is_path = health_is_http(health->method);
    bool is_star = slice_equal(health->path, SLICE("*"));
    if (health_is_bare(health->method))
        return is_star ? OK
                       : complain_health(reader, node, "tcp every 5s",
                             "a check by tcp, tls or udp asks for nothing: its path is *");
    if (health->method == HEALTH_COMMAND)
        return health->path.data[0] == '/' && !memchr(health->path.data, 0, health->path.size)
                   ? OK
                   : complain_health(reader, node, "command /usr/lib/shop/check every 10s",
                         "a command is written with its whole path; there is no shell");
    for (size_t i = 0; i < health->path.size; i++) {
        unsigned char c = (unsigned char)health->path.data[i];
        if (!is_path && (c <= ' ' || c >= 0x7f || c == '/'))
            return complain_health(reader, node, "grpc shop.Orders every 5s",
                "a service's name has no blanks and slashes");
        if (is_path && (health->path.data[0] != '/' || c <= ' ' || c >= 0x7f))
            return complain_health(
                reader, node, "/healthz", "a check's path begins with a slash and has no blanks");
    }
    return OK;
}

static enum status check_health(struct reader *reader, const struct node *node, void *value)
{
    struct health_options *health = value;
    if (health->path.size == 0)
        return OK;
    if (health->arguments.count && health->method != HEALTH_COMMAND)
        return complain_health(reader, node, "method: command", "only a command has arguments");
    if ((health->has_body || health->headers.count) && !health_is_http(health->method))
        return complain_health(
            reader, node, "GET /healthz", "only an answer of HTTP has a body and headers");
    if (health->has_body && health->method == HEALTH_HEAD)
        return complain_health(reader, node, "GET /healthz", "an answer to HEAD has no body");
    enum status e = check_path(reader, node, health);
    if (!e)
        health->is_set = true;
    return e;
}

const struct option_table health_table = {.name = "health",
    .help = "Asks every endpoint again and again whether it is well; one that is not gets no "
            "requests. Kept across reloads. Of HTTP, over TLS where the service speaks it.",
    .options = health_rows,
    .size = sizeof(struct health_options),
    .read_phrase = read_health_phrase,
    .check = check_health,
    .example = "GET /healthz every 5s"};

/* --- agent */

static const struct option overload_rows[] = {
    {"status", OPTION_INTEGER, offsetof(struct overload_options, status), .fallback = "503",
        .minimum = 400, .maximum = 599, .help = "The answer's status."},
    DURATION("retry-after", offsetof(struct overload_options, retry_after), "5s", 0,
        "What the field Retry-After says, in whole seconds; 0s: no such field."),
    {"body", OPTION_TEXT, offsetof(struct overload_options, body),
        .help = "The answer's body, as text; by default a problem document with the reason."},
    {NULL}};

static const struct option_table overload_table = {.name = "overloaded",
    .help = "What clients are told while every endpoint is overloaded.",
    .options = overload_rows,
    .size = sizeof(struct overload_options),
    .shorthand = "status",
    .example = "{status: 429, retry-after: 10s}"};

static const char *const agent_methods[] = {"tcp", "GET", NULL};

static const struct option agent_rows[] = {
    {"method", OPTION_CHOICE, AGENT(method), .fallback = "GET", .choices = agent_methods,
        .help =
            "tcp connects and reads a line; GET asks by HTTP. The answer is yes or no (is it "
            "overloaded?) or HAProxy's words: 75% (so much of its weight counts; 0%: "
            "overloaded), maxconn:50 (requests in flight, at most; 0: any number), drain, maint, "
            "ready, down, fail, stopped, up."},
    {"path", OPTION_TEXT, AGENT(path), .help = "Of GET: what is asked for."},
    {"port", OPTION_INTEGER, AGENT(port), .minimum = 0, .maximum = 65535, .fallback = "0",
        .help = "Where the agent listens, on the endpoint's address; 0: where the endpoint does."},
    DURATION("every", AGENT(every), "2s", 10 * MILLISECOND, "Time from one question to the next."),
    DURATION("timeout", AGENT(timeout), "2s", MILLISECOND, "How long the answer may take."),
    DURATION("expires", AGENT(expires), "3m", 10 * MILLISECOND,
        "After so long without an answer what was said is forgotten."),
    {"overloaded", OPTION_STRUCT, AGENT(overload), .table = &overload_table,
        .help = "What clients are told while every endpoint is overloaded."},
    {NULL}};

static enum status read_agent_phrase(struct reader *reader, const struct node *node, void *value)
{
    const char *problem = NULL;
    struct slice where = node->text;
    if (node->kind != NODE_SCALAR)
        return NOT_FOUND;
    if (agent_phrase_parse(node->text, value, &problem, &where) == OK)
        return OK;
    size_t offset = where.data ? (size_t)(where.data - node->text.data) : 0;
    return diagnostics_error(
        reader->diagnostics, node_place_at(node, offset, where.size), SLICE_NONE, "%s", problem);
}

static enum status check_agent(struct reader *reader, const struct node *node, void *value)
{
    struct agent_options *agent = value;
    bool is_path = agent->path.size > 0 && agent->path.data[0] == '/';
    for (size_t i = 0; i < agent->path.size; i++)
        is_path = is_path && agent->path.data[i] > ' ' && agent->path.data[i] < 0x7f;
    if (agent->method == AGENT_GET && !is_path)
        return complain_health(reader, node, "GET /load every 2s",
            "an agent's path begins with a slash and has no blanks");
    if (agent->method == AGENT_TCP && agent->port == 0)
        return complain_health(reader, node, "tcp 9000 every 2s", "an agent by tcp needs a port");
    agent->is_set = true;
    return OK;
}

const struct option_table agent_table = {.name = "agent",
    .help = "Asks every endpoint how loaded it is, on an interval and never in a request's way. "
            "An overloaded one gets no requests.",
    .options = agent_rows,
    .size = sizeof(struct agent_options),
    .read_phrase = read_agent_phrase,
    .check = check_agent,
    .example = "tcp 9000 every 2s"};

/* --- load reports */

static const struct option report_rows[] = {
    {"enabled", OPTION_FLAG, REPORT(is_enabled), .fallback = "true",
        .help = "Whether they are read."},
    {"weights", OPTION_FLAG, REPORT(weighs), .fallback = "true",
        .help = "Whether they take the place of the endpoints' weights: requests a second by "
                "utilization."},
    {"metric", OPTION_TEXT, REPORT(metric),
        .help = "What says the utilization: cpu_utilization, mem_utilization, "
                "application_utilization, utilization.NAME or named_metrics.NAME; by default the "
                "application's, or if there is none the processor's."},
    FACTOR("penalty", REPORT(penalty), "1",
        "By how much errors make a weight smaller: their share of the requests, so many times, is "
        "added to the utilization."),
    DURATION("blackout", REPORT(blackout), "10s", 0,
        "For so long the reports of an endpoint that begins to send them do not count."),
    DURATION("expires", REPORT(expires), "3m", 10 * MILLISECOND,
        "After so long without a report the endpoint has none."),
    DURATION("update", REPORT(update), "1s", 10 * MILLISECOND,
        "Time from one change of the weights to the next."),
    {"overloaded", OPTION_SHARE, REPORT(overloaded), .fallback = "0%", .minimum = 0,
        .maximum = 1000,
        .help = "With this utilization or more an endpoint is overloaded, and gets no requests; "
                "0%: it never is."},
    DURATION("rest", REPORT(rest), "2s", 10 * MILLISECOND,
        "So long after its last report an overloaded endpoint is tried again."),
    {"pass", OPTION_FLAG, REPORT(passes), .fallback = "false",
        .help = "Whether clients see the reports, too."},
    {NULL}};

static enum status check_reports(struct reader *reader, const struct node *node, void *value)
{
    struct report_options *reports = value;
    if (reports->metric.size && !load_report_has_metric(reports->metric))
        return diagnostics_error(reader->diagnostics, node->place,
            SLICE("metric: named_metrics.queue"), "there is no metric \"%.*s\" in load reports",
            SLICE_ARG(slice_head(reports->metric, 100)));
    reports->is_on = reports->is_enabled;
    return OK;
}

const struct option_table report_table = {.name = "load-reports",
    .help = "Reads how loaded an endpoint is from the fields or trailers of its answers, and of "
            "its agent's: endpoint-load-metrics (TEXT, JSON or BIN) and endpoint-load-metrics-bin.",
    .options = report_rows,
    .size = sizeof(struct report_options),
    .shorthand = "enabled",
    .check = check_reports,
    .example = "{overloaded: 90%}"};

/* --- outlier */

static const struct option outlier_rows[] = {
    {"failures", OPTION_INTEGER, OUTLIER(failures), .fallback = "5", .minimum = 0, .maximum = 1000,
        .help = "Failures in a row (no connection, no answer, a status of 500 and above) that "
                "eject an endpoint; 0: none do."},
    {"gateway-failures", OPTION_INTEGER, OUTLIER(gateway_failures), .fallback = "0", .minimum = 0,
        .maximum = 1000,
        .help = "The same, but of statuses only 502, 503 and 504 count; 0: none do."},
    DURATION("eject", OUTLIER(eject), "30s", MILLISECOND,
        "For how long, the first time; then twice, three times as long. An interval in peace takes "
        "one step back."),
    DURATION("longest", OUTLIER(longest), "5m", MILLISECOND, "For how long at most."),
    {"share", OPTION_SHARE, OUTLIER(share), .fallback = "10%", .minimum = 0, .maximum = 100,
        .help = "Of the endpoints that may be ejected at a time; if it is not 0%, one of two or "
                "more always may."},
    DURATION("every", OUTLIER(every), "10s", 100 * MILLISECOND,
        "The interval over which endpoints are compared."),
    {"hosts", OPTION_INTEGER, OUTLIER(hosts), .fallback = "5", .minimum = 2, .maximum = 1000000,
        .help = "Endpoints with enough requests that it takes to compare success rates."},
    {"requests", OPTION_INTEGER, OUTLIER(requests), .fallback = "100", .minimum = 1,
        .maximum = 1000000000, .help = "How many requests in an interval are enough."},
    FACTOR("deviation", OUTLIER(deviation), "1.9",
        "An endpoint whose success rate is below the mean of all by so many standard deviations is "
        "ejected; 0: none is."),
    {"failure-share", OPTION_SHARE, OUTLIER(failure_share), .fallback = "0%", .minimum = 0,
        .maximum = 100,
        .help = "An endpoint where more of its requests than this fail is ejected (from half of "
                "`requests` on), for example 85%; 0%: none is."},
    FACTOR("latency", OUTLIER(latency), "5",
        "An endpoint that was during a whole interval so many times slower than the median of all "
        "is ejected, if it and two others have enough requests; 0: none is."),
    DURATION("slower", OUTLIER(slower), "100ms", 0,
        "By how much it must be slower besides, so that small differences do not count."),
    {NULL}};

static enum status check_outlier(struct reader *reader, const struct node *node, void *value)
{
    const struct outlier_options *outlier = value;
    if (outlier->longest < outlier->eject && outlier->longest != 5 * MINUTE)
        return complain_health(reader, node, "longest: 5m", "`longest` is shorter than `eject`");
    return OK;
}

const struct option_table outlier_table = {.name = "outlier",
    .help = "Takes an endpoint out for a while when requests fail there, or when it does much "
            "worse than the others.",
    .options = outlier_rows,
    .size = sizeof(struct outlier_options),
    .shorthand = "failures",
    .check = check_outlier,
    .example = "{failures: 3, eject: 10s}"};
