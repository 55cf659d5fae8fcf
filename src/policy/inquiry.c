#include "policy/inquiry.h"

#include "http/uri.h"
#include "run/loop.h"
#include "service/aside.h"
#include "service/service.h"

#include <stdlib.h>

#define OUTCOMES 5
#define FAILED   4 /* the last outcome: there was no answer */

static const struct metric_family requests_family = {.name = "weir_inquiries_total",
    .help = "Questions that policies asked a service, by the class of the answer's status, or "
            "failed.",
    .kind = METRIC_COUNTER,
    .labels = {"policy", "service", "outcome"}};

static const struct metric_family duration_family = {.name = "weir_inquiry_duration_seconds",
    .help = "How long policies waited for answers to their questions.",
    .kind = METRIC_HISTOGRAM,
    .labels = {"policy", "service"}};

/* --- preparing */

static enum status complain(
    struct prepare *prepare, const struct inquiry_target *target, const char *problem)
{
    return diagnostics_error(prepare->reader->diagnostics, target->place,
        SLICE("for example https://id.example/introspect, or SERVICE/introspect"),
        "\"%.*s\" cannot be asked: %s", SLICE_ARG(slice_head(target->text, 200)), problem);
}

static bool is_query(struct slice query)
{
    for (size_t i = 0; i < query.size; i++)
        if (query.data[i] <= ' ' || query.data[i] > '~' || query.data[i] == '#')
            return false;
    return true;
}

/* `rest` begins with the path, or is empty. */
static enum status read_path(
    struct prepare *prepare, struct inquiry_target *target, struct slice rest)
{
    size_t mark = slice_find(rest, '?');
    struct slice path = slice_head(rest, mark);
    target->query = mark < rest.size ? slice_from(rest, mark + 1) : SLICE_NONE;
    if (path.size == 0)
        path = SLICE("/");
    enum status e =
        uri_normalise_path(prepare->reader->arena, path, ENCODED_SLASH_KEEP, &target->path);
    if (e == NO_MEMORY)
        return e;
    return e || !is_query(target->query) ? complain(prepare, target, "its path is malformed") : OK;
}

/* "https://id.example:8443/introspect?x=1": up to the path it is the service's address. */
static enum status find_by_url(struct prepare *prepare, struct inquiry_target *target)
{
    size_t start = slice_find_slice(target->text, SLICE("://")) + 3;
    struct slice rest = slice_from(target->text, start);
    size_t end = 0;
    while (end < rest.size && rest.data[end] != '/' && rest.data[end] != '?')
        end++;
    struct slice scheme = slice_head(target->text, start);
    if (!slice_equal(scheme, SLICE("https://")) && !slice_equal(scheme, SLICE("http://")) &&
        !slice_equal(scheme, SLICE("h2c://")))
        return complain(prepare, target, "a URL begins with https:// or http://");
    target->authority = slice_head(rest, end);
    enum status e = read_path(prepare, target, slice_from(rest, end));
    return e ? e
             : prepare->obtain_service(
                   prepare, slice_head(target->text, start + end), target->place, &target->service);
}

/* "id/introspect". */
static enum status find_by_name(struct prepare *prepare, struct inquiry_target *target)
{
    size_t end = 0;
    while (
        end < target->text.size && target->text.data[end] != '/' && target->text.data[end] != '?')
        end++;
    enum status e = prepare_find_service(
        prepare, slice_head(target->text, end), target->place, &target->service);
    if (e)
        return e;
    target->authority = service_own_host(target->service);
    return read_path(prepare, target, slice_from(target->text, end));
}

static void prepare_metrics(struct prepare *prepare, struct inquiry_target *target)
{
    static const char *const words[OUTCOMES] = {"2xx", "3xx", "4xx", "5xx", "failed"};
    struct slice labels[] = {prepare->name, service_name(target->service), SLICE_NONE};
    target->shards = prepare->shards;
    for (size_t i = 0; i < OUTCOMES; i++) {
        labels[2] = slice_of_text(words[i]);
        target->outcomes[i] = metrics_series(prepare->metrics, &requests_family, labels);
    }
    target->durations = metrics_series(prepare->metrics, &duration_family, labels);
}

enum status inquiry_prepare(struct prepare *prepare, struct inquiry_target *target)
{
    bool is_url = slice_find_slice(target->text, SLICE("://")) < target->text.size;
    enum status e = is_url ? find_by_url(prepare, target) : find_by_name(prepare, target);
    if (!e)
        prepare_metrics(prepare, target);
    return e;
}

/* --- asking */

/* A message of its own, in an exchange of its own. */
struct asking {
    struct exchange x;
    struct body_slice body;
};

/* What is borrowed stays as long as the call: the policy waits for it. */
static enum status fill_request(const struct inquiry_target *target, const struct inquiry *inquiry,
    const struct exchange *from, struct asking *asking)
{
    struct http_request *request = &asking->x.request;
    struct slice usual = inquiry->body.data ? SLICE("POST") : SLICE("GET");
    request->method_text = inquiry->method.size ? inquiry->method : usual;
    request->method = http_method_of(request->method_text);
    request->version = HTTP_1_1;
    request->scheme = SLICE("http");
    request->host = request->authority = target->authority;
    request->path = inquiry->path.size ? inquiry->path : target->path;
    request->query = inquiry->query.data ? inquiry->query : target->query;
    request->target = request->path;
    if (inquiry->body.size)
        request->body = body_init_slice(&asking->body, inquiry->body);
    else {
        body_init_empty(&asking->body.body);
        request->body = &asking->body.body;
    }
    enum status e = OK;
    if (inquiry->type.size)
        e = fields_add_known(&request->fields, FIELD_CONTENT_TYPE, inquiry->type);
    if (!e && from->request_id.size)
        e = fields_add_known(&request->fields, FIELD_X_REQUEST_ID, from->request_id);
    for (uint32_t i = 0; !e && inquiry->fields && i < inquiry->fields->count; i++) {
        const struct field *field = &inquiry->fields->items[i];
        if (field->name.size)
            e = fields_add(&request->fields, field->id, field->name, field->value);
    }
    return e;
}

static void begin(struct asking *asking, const struct exchange *from)
{
    exchange_init_for(&asking->x, from);
    asking->x.deadline = from->deadline;
    asking->x.deadline_reason = from->deadline_reason;
    asking->x.importance = from->importance;
}

static enum status read_answer(struct exchange *x, const struct inquiry *inquiry,
    struct arena *arena, struct inquiry_answer *ret_answer)
{
    struct inquiry_answer answer = {.status = x->response.status};
    size_t most = inquiry->body_max ? inquiry->body_max : INQUIRY_BODY_MAX;
    fields_init(&answer.fields, arena);
    enum status e = fields_append_copies(&answer.fields, &x->response.fields);
    if (!e)
        e = body_read_all(x->response.body, arena, most, x->deadline, &answer.body);
    if (!e)
        *ret_answer = answer;
    return e;
}

void inquiry_count(const struct inquiry_target *target, unsigned worker, instant began, int status)
{
    struct metrics_shard *shard = target->shards[worker];
    int outcome = status < 200 || status > 599 ? FAILED : status / 100 - 2;
    metric_add(shard, target->outcomes[outcome], 1);
    metric_observe(shard, target->durations, loop_now() - began);
}

enum status inquiry_ask(const struct inquiry_target *target, const struct exchange *x,
    const struct inquiry *inquiry, struct arena *arena, struct inquiry_answer *ret_answer)
{
    struct asking *asking = malloc(sizeof *asking);
    if (!asking)
        return NO_MEMORY;
    begin(asking, x);
    if (inquiry->timeout)
        exchange_limit(
            &asking->x, clock_after(asking->x.facts.started, inquiry->timeout), UPSTREAM_TIMEOUT);
    enum status e = fill_request(target, inquiry, x, asking);
    if (!e)
        e = service_call(target->service, &asking->x);
    if (!e)
        e = read_answer(&asking->x, inquiry, arena, ret_answer);
    inquiry_count(
        target, asking->x.worker, asking->x.facts.started, e ? 0 : asking->x.response.status);
    exchange_release(&asking->x);
    free(asking);
    return e;
}

/* --- ahead of time */

struct aside_inquiry {
    struct exchange x;
    void (*run)(void *argument, const struct exchange *aside);
    void *argument;
};

static void run_aside(void *argument)
{
    struct aside_inquiry *aside = argument;
    aside->run(aside->argument, &aside->x);
    exchange_release(&aside->x);
    free(aside);
}

enum status inquiry_begin_aside(const struct inquiry_target *target, const struct exchange *x,
    void (*run)(void *argument, const struct exchange *aside), void *argument)
{
    struct aside_inquiry *aside = malloc(sizeof *aside);
    if (!aside)
        return NO_MEMORY;
    exchange_init_for(&aside->x, x);
    aside->run = run;
    aside->argument = argument;
    enum status e =
        aside_start(aside_plane(target->service), x->pinned, x->worker, run_aside, aside);
    if (e) {
        exchange_release(&aside->x);
        free(aside);
    }
    return e;
}
