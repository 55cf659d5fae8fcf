#include "service/fallback.h"

#include "service/outcome.h"
#include "service/overload.h"

#include <stddef.h>

#define FALLBACK(member) offsetof(struct fallback_options, member)
#define CHAIN_MOST       8 /* services, one behind the other */

static const struct metric_family fallback_family = {"weir_fallbacks_total",
    "Requests that were answered by a fallback, by why the service did not.", METRIC_COUNTER,
    {"service", "reason"}};

/* --- options */

static const char *const causes[] = {"breaker-open", "no-endpoint", "failed", "busy", NULL};

static const struct option cause_item = {
    .name = "cause", .kind = OPTION_CHOICE, .choices = causes, .help = "What a fallback is for."};

static const struct option header_item = {
    .name = "value", .kind = OPTION_TEXT, .help = "The field's value."};

static const struct option fallback_rows[] = {
    {"to", OPTION_TEXT, FALLBACK(to), .place_offset = FALLBACK(to_place),
        .help = "Another service, which answers instead: if the request may be sent twice, or the "
                "first has surely not begun with it, and its body was kept (`keep` of `retry`). It "
                "gets connections and datagrams of layer 4 too."},
    {"status", OPTION_INTEGER, FALLBACK(status), .fallback = "200", .minimum = 200, .maximum = 599,
        .help = "Of the fixed answer, which calls of gRPC do not get."},
    {"body", OPTION_TEXT, FALLBACK(body), .help = "The same."},
    {"headers", OPTION_MAP, FALLBACK(headers), .item = &header_item,
        .item_size = sizeof(struct slice), .help = "The same."},
    {"on", OPTION_LIST, FALLBACK(on), .item = &cause_item, .item_size = sizeof(int),
        .help = "When: breaker-open, no-endpoint, failed (no try has brought an answer), busy (no "
                "place in the queue, or every endpoint is overloaded). By default all of these."},
    {NULL}};

static enum status check_headers(struct reader *reader, const struct fallback_options *fallback)
{
    enum status e = OK;
    for (size_t i = 0; i < fallback->headers.count; i++) {
        const struct option_map_entry *entry = &fallback->headers.entries[i];
        enum field_id id = field_id_of(entry->key);
        bool is_framing = id == FIELD_CONTENT_LENGTH || id == FIELD_TRANSFER_ENCODING ||
                          id == FIELD_CONNECTION || id == FIELD_TRAILER || id == FIELD_UPGRADE;
        if (is_framing || !field_name_is_valid(entry->key) ||
            !field_value_is_valid(*(const struct slice *)entry->value))
            e = diagnostics_error(reader->diagnostics, entry->place, SLICE_NONE,
                "\"%.*s\" cannot be a field of a fixed answer",
                SLICE_ARG(slice_head(entry->key, 100)));
    }
    return e;
}

static enum status check_fallback(struct reader *reader, const struct node *node, void *value)
{
    struct fallback_options *fallback = value;
    fallback->is_set = true;
    if (fallback->to.size && (fallback->body.size || fallback->headers.count))
        return diagnostics_error(reader->diagnostics, node->place, SLICE_NONE,
            "a fallback is either another service or a fixed answer");
    return check_headers(reader, fallback);
}

const struct option_table fallback_table = {.name = "fallback",
    .help = "What clients get when the service cannot answer: another service's answer, or a fixed "
            "one.",
    .options = fallback_rows,
    .size = sizeof(struct fallback_options),
    .shorthand = "to",
    .check = check_fallback,
    .example = "fallback: {status: 200, body: \"[]\", headers: {Content-Type: application/json}}"};

/* --- linking */

static bool comes_back(const struct service *service,
    const struct service *(*find)(void *argument, struct slice name), void *argument)
{
    const struct service *next = service;
    for (int i = 0; i < CHAIN_MOST && next; i++) {
        struct slice to = next->options->fallback.to;
        next = to.size ? find(argument, to) : NULL;
        if (next == service)
            return true;
    }
    return next != NULL;
}

void fallback_link(struct service *service, struct reader *reader,
    const struct service *(*find)(void *argument, struct slice name), void *argument)
{
    const struct fallback_options *options = &service->options->fallback;
    if (!options->to.size)
        return;
    service->fallback = find(argument, options->to);
    if (!service->fallback)
        (void)diagnostics_error(reader->diagnostics, options->to_place,
            SLICE("add it under \"services\""), "there is no service \"%.*s\"",
            SLICE_ARG(slice_head(options->to, 100)));
    else if (comes_back(service, find, argument))
        (void)diagnostics_error(reader->diagnostics, options->to_place, SLICE_NONE,
            "fallbacks go round in a circle from here, or through more than %d services",
            CHAIN_MOST);
}

/* --- answering */

/* -1: what clients or the gateway itself did wrong. */
static int cause_of(enum status e)
{
    if (e == BREAKER_OPEN)
        return FALLBACK_BREAKER_OPEN;
    if (e == NO_ENDPOINT || e == UPSTREAM_DNS || e == UPSTREAM_DNS_TIMEOUT ||
        e == UPSTREAM_DISCOVERY || e == UPSTREAM_DISCOVERY_TIMEOUT)
        return FALLBACK_NO_ENDPOINT;
    if (e == LOAD_SHED || e == SERVICE_BUSY || e == QUEUE_FULL || e == QUEUE_TIMEOUT ||
        e == ALL_OVERLOADED || e == UPSTREAM_CONNECTIONS)
        return FALLBACK_BUSY;
    return outcome_is_failure(e) ? FALLBACK_FAILED : -1;
}

static bool is_for(const struct fallback_options *options, int cause)
{
    const int *on = options->on.items;
    bool is_listed = options->on.count == 0;
    for (size_t i = 0; i < options->on.count; i++)
        is_listed = is_listed || on[i] == cause;
    return cause >= 0 && is_listed;
}

static enum status answer_fixed(const struct fallback_options *options, struct exchange *x)
{
    enum status e = exchange_respond(x, (int)options->status, SLICE_NONE, options->body);
    for (size_t i = 0; !e && i < options->headers.count; i++) {
        const struct option_map_entry *entry = &options->headers.entries[i];
        e = fields_add(&x->response.fields, field_id_of(entry->key), entry->key,
            *(const struct slice *)entry->value);
    }
    return e;
}

static void count(const struct service *service, unsigned worker, enum status reason)
{
    struct slice labels[] = {service->name, slice_of_text(status_word(reason))};
    struct metrics *metrics = service->plane->options.metrics;
    if (metrics)
        metric_add(plane_shard(service->plane, worker),
            metrics_series(metrics, &fallback_family, labels), 1);
}

const struct service *fallback_instead(
    const struct service *service, enum status e, unsigned worker)
{
    if (!service->fallback || !is_for(&service->options->fallback, cause_of(e)))
        return NULL;
    count(service, worker, e);
    return service->fallback;
}

static enum status fail(const struct service *service, struct exchange *x, enum status e)
{
    return e == ALL_OVERLOADED ? overload_answer(x, &service->options->agent.overload) : e;
}

enum status fallback_answer(const struct service *service, struct exchange *x, enum status e)
{
    const struct fallback_options *options = &service->options->fallback;
    bool can_answer = options->to.size ? service->fallback && !x->is_spent : !x->grpc;
    if (!is_for(options, cause_of(e)) || !can_answer)
        return fail(service, x, e);
    count(service, x->worker, e);
    if (options->to.size) {
        fields_init(&x->response.fields, &x->arena); /* Retry-After was the other's */
        enum status outcome = service_call(service->fallback, x);
        if (outcome)
            return outcome;
    } else {
        enum status outcome = answer_fixed(options, x);
        if (outcome)
            return outcome;
    }
    x->facts.reason = e;
    x->facts.trouble =
        arena_format(&x->arena, "answered by the fallback of %.*s", SLICE_ARG(service->name));
    return OK;
}
