#include "policy/policy.h"

#include <stdio.h>

#include "config/expression.h"
#include "run/loop.h"

/* Faults by intent, for users' own tests: how does my system take it when this route is slow, says
 * 503, or breaks off? It ends by itself on a date that must be written, and every load says that it
 * is on, or that it has expired: nobody should find one in a year's time. */

enum { ABORT_NOT = 0, ABORT_RESET = 1 }; /* else a status */

struct fault {
    int64_t delay;
    int64_t abort; /* of the above, or a status */
    double share;
    struct expression *when; /* or NULL: always */
    int64_t until;           /* seconds since 1970 */
    struct slice until_text;
    struct metrics_shard *const *shards;
    uint32_t delayed, aborted; /* series */
};

#define FAULT(member) offsetof(struct fault, member)

static enum status read_abort(struct reader *reader, const struct node *node, void *ret_value)
{
    uint64_t status = 0;
    if (node->kind == NODE_SCALAR && slice_equal(node->text, SLICE("reset")))
        status = ABORT_RESET;
    else if (node->kind != NODE_SCALAR || !slice_to_u64(node->text, &status) || status < 400 ||
             status > 599)
        return diagnostics_error(reader->diagnostics, node->place, SLICE("503, or reset"),
            "a request is aborted by a status from 400 to 599, or by reset");
    *(int64_t *)ret_value = (int64_t)status;
    return OK;
}

static bool write_abort(const void *value, struct text *text)
{
    int64_t abort = *(const int64_t *)value;
    if (abort == ABORT_RESET)
        text_add_literal(text, "reset");
    else
        text_add_i64(text, abort);
    return abort != ABORT_NOT;
}

/* "YYYY-MM-DD", to the end of that day, or with "THH:MM:SSZ" behind it: the form of the calendar is
 * a date's of HTTP, which the clock reads and checks. */
static bool parse_date(struct slice text, int64_t *ret_seconds)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    unsigned year, month, day, hour = 0, minute = 0, second = 0;
    char room[32], date[40], z = 'Z', end;
    bool is_day = text.size == 10;
    if (!is_day && text.size != 20)
        return false;
    memcpy(room, text.data, text.size);
    room[text.size] = 0;
    int count = sscanf(room, "%4u-%2u-%2uT%2u:%2u:%2u%c%c", &year, &month, &day, &hour, &minute,
        &second, &z, &end);
    if (count != (is_day ? 3 : 7) || z != 'Z' || month < 1 || month > 12)
        return false;
    snprintf(date, sizeof date, "Mon, %02u %.3s %04u %02u:%02u:%02u GMT", day % 100,
        months + (month - 1) * 3, year % 10000, hour % 100, minute % 100, second % 100);
    if (!clock_parse_http_date(slice_of_text(date), ret_seconds))
        return false;
    *ret_seconds += is_day ? DAY / SECOND : 0;
    return true;
}

static enum status read_until(struct reader *reader, const struct node *node, void *ret_value)
{
    if (node->kind == NODE_SCALAR && parse_date(node->text, ret_value))
        return OK;
    return diagnostics_error(reader->diagnostics, node->place,
        SLICE("2026-12-31, or 2026-12-31T18:00:00Z"), "this is not a date");
}

static const struct option options[] = {
    {"delay", OPTION_DURATION, FAULT(delay), .minimum = 0, .maximum = HOUR,
        .help = "How long the request waits before it goes on."},
    {"abort", OPTION_CUSTOM, FAULT(abort), .read = read_abort, .write = write_abort,
        .item_size = sizeof(int64_t), .form = "503, or reset",
        .schema = "{\"type\": [\"integer\", \"string\"]}",
        .help = "What it is answered instead, after the delay: a status, or by a reset of its "
                "connection (of its stream in HTTP/2). A call of gRPC is told UNAVAILABLE."},
    {"share", OPTION_SHARE, FAULT(share), .fallback = "100%", .minimum = 0, .maximum = 100,
        .help = "The part of the requests that it happens to."},
    {"when", OPTION_EXPRESSION, FAULT(when),
        .help = "Only to requests for which this holds, such as header.x-fault == \"1\"."},
    {"until", OPTION_CUSTOM, FAULT(until), .is_required = true, .read = read_until,
        .form = "2026-12-31, or 2026-12-31T18:00:00Z", .schema = "{\"type\": \"string\"}",
        .help = "When it ends by itself: a day (its end, UTC) or a moment."},
    {NULL},
};

static enum status check(struct reader *reader, const struct node *node, void *value)
{
    const struct fault *fault = value;
    if (!fault->delay && fault->abort == ABORT_NOT)
        return diagnostics_error(reader->diagnostics, node->place, SLICE("delay: 200ms"),
            "a fault needs \"delay\" or \"abort\"");
    return OK;
}

static const struct option_table table = {
    .name = "fault",
    .help = "Delays or refuses a part of the requests by intent, to try how the system takes it. "
            "Ends by itself; every load says that it is on, or has expired.",
    .options = options,
    .size = sizeof(struct fault),
    .check = check,
    .example =
        "fault: {abort: 503, share: 5%, when: 'header.x-trial == \"1\"', until: \"2099-12-31\"}",
};

static bool has_expired(const struct fault *fault, int64_t wall)
{
    return wall / SECOND >= fault->until;
}

static enum status prepare(struct prepare *prepare, void *config)
{
    static const struct metric_family faults = {.name = "weir_faults_injected_total",
        .help = "Requests that were delayed or aborted by intent.",
        .kind = METRIC_COUNTER,
        .labels = {"fault", "kind"}};
    struct fault *fault = config;
    char date[HTTP_DATE_SIZE];
    fault->shards = prepare->shards;
    fault->delayed = metrics_series(
        prepare->metrics, &faults, (const struct slice[]){prepare->name, SLICE("delay")});
    fault->aborted = metrics_series(
        prepare->metrics, &faults, (const struct slice[]){prepare->name, SLICE("abort")});
    clock_http_date(fault->until, date);
    if (has_expired(fault, clock_wall()))
        diagnostics_warning(prepare->reader->diagnostics, prepare->place, SLICE("take it out"),
            "the fault expired on %.*s and does nothing", HTTP_DATE_SIZE, date);
    else
        diagnostics_warning(prepare->reader->diagnostics, prepare->place,
            SLICE("requests here fail or wait by intent"), "a fault is on until %.*s",
            HTTP_DATE_SIZE, date);
    return OK;
}

static bool happens(const struct fault *fault, struct exchange *x)
{
    double draw = (double)(random_next(loop_random()) >> 11) * 0x1p-53;
    return draw < fault->share && !has_expired(fault, loop_wall()) &&
           (!fault->when || expression_is_true(fault->when, x));
}

/* The reason is said in any case; another status than its own is answered without a document. */
static enum status abort_request(const struct fault *fault, struct exchange *x)
{
    bool is_other = fault->abort != ABORT_RESET && fault->abort != status_http(FAULT_INJECTED);
    metric_add(fault->shards[x->worker], fault->aborted, 1);
    x->breaks_off = fault->abort == ABORT_RESET;
    if (!is_other || x->grpc)
        return FAULT_INJECTED;
    x->facts.reason = FAULT_INJECTED;
    return exchange_respond(
        x, (int)fault->abort, SLICE("text/plain; charset=utf-8"), SLICE("fault-injected\n"));
}

static enum status serve(const void *config, struct exchange *x, const struct handler *next)
{
    const struct fault *fault = config;
    if (x->is_rehearsal || !happens(fault, x))
        return handler_serve(next, x);
    if (fault->delay) {
        metric_add(fault->shards[x->worker], fault->delayed, 1);
        x->facts.trouble = SLICE("delayed by a fault");
        enum status e =
            fiber_sleep_until(clock_sooner(clock_after(loop_now(), fault->delay), x->deadline));
        if (e)
            return e;
    }
    return fault->abort == ABORT_NOT ? handler_serve(next, x) : abort_request(fault, x);
}

static void explain(const void *config, struct exchange *x, struct text *text)
{
    const struct fault *fault = config;
    if (has_expired(fault, clock_wall())) {
        text_add_literal(text, "expired");
        return;
    }
    if (fault->when && !expression_is_true(fault->when, x)) {
        text_add_literal(text, "not for this request");
        return;
    }
    text_format(text, "%.4g %% of such requests:", fault->share * 100);
    if (fault->delay)
        text_format(text, " a delay of %lld ms", (long long)(fault->delay / MILLISECOND));
    if (fault->abort == ABORT_RESET)
        text_add_literal(text, " a reset");
    else if (fault->abort)
        text_format(text, " status %lld", (long long)fault->abort);
}

const struct policy_type fault_policy = {
    .name = "fault",
    .plural = "faults",
    .options = &table,
    .prepare = prepare,
    .serve = serve,
    .explain = explain,
};
