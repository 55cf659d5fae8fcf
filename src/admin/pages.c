#include "admin/pages.h"

#include <stdlib.h>

#include "base/json.h"
#include "config/unit.h"
#include "run/socket.h"
#include "service/order.h"
#include "service/shift.h"

#define PAGE_LIMIT ((size_t)256 << 20)
#define ORDER_MAX  ((size_t)64 * 1024)

static void free_data(void *data)
{
    free(data);
}

/* Answers with a text that grew on the heap; it dies with the exchange. */
static enum status respond_text(
    struct exchange *x, int status, struct slice type, struct text *text)
{
    if (text->failed || !arena_defer(&x->arena, free_data, text->data)) {
        text_release(text);
        return NO_MEMORY;
    }
    return exchange_respond(x, status, type, text_slice(text));
}

enum status page_livez(struct gateway *gateway, struct exchange *x)
{
    (void)gateway;
    return exchange_respond(x, 200, SLICE("text/plain"), SLICE("ok\n"));
}

enum status page_readyz(struct gateway *gateway, struct exchange *x)
{
    if (gateway_is_ready(gateway))
        return exchange_respond(x, 200, SLICE("text/plain"), SLICE("ready\n"));
    return exchange_respond(x, 503, SLICE("text/plain"), SLICE("not ready\n"));
}

enum status page_metrics(struct gateway *gateway, struct exchange *x)
{
    struct text text = text_growing(PAGE_LIMIT);
    metrics_export(gateway_metrics(gateway), &text);
    return respond_text(x, 200, SLICE("text/plain; version=0.0.4; charset=utf-8"), &text);
}

enum status page_status(struct gateway *gateway, struct exchange *x)
{
    struct text text = text_growing(PAGE_LIMIT);
    struct json_writer writer;
    json_writer_init(&writer, &text, 2);
    gateway_describe(gateway, &writer);
    text_add_char(&text, '\n');
    return respond_text(x, 200, SLICE("application/json"), &text);
}

enum status page_config(struct gateway *gateway, struct exchange *x)
{
    struct text text = text_growing(PAGE_LIMIT);
    text_add(&text, gateway_snapshot(gateway)->text);
    return respond_text(x, 200, SLICE("application/yaml"), &text);
}

enum status page_reload(struct gateway *gateway, struct exchange *x)
{
    struct diagnostics diagnostics;
    struct text text = text_growing(PAGE_LIMIT);
    struct json_writer writer;
    diagnostics_init(&diagnostics, &x->arena);
    enum status e = gateway_reload(gateway, &diagnostics);
    struct text details = text_growing(PAGE_LIMIT);
    diagnostics_print_json(&diagnostics, &details);
    json_writer_init(&writer, &text, 2);
    json_write_object(&writer);
    json_put_bool(&writer, "ok", !e);
    json_put_u64(&writer, "generation", gateway_snapshot(gateway)->generation);
    json_put_double(
        &writer, "build_seconds", (double)gateway_snapshot(gateway)->build_time / (double)SECOND);
    json_put_raw(&writer, "diagnostics", text_slice(&details));
    json_write_object_end(&writer);
    text_add_char(&text, '\n');
    text_release(&details);
    return respond_text(x, e ? 422 : 200, SLICE("application/json"), &text);
}

/* Why an endpoint cannot be told, as a problem document. */
static enum status refuse(struct exchange *x, enum status reason, const char *format,
    struct slice one, struct slice other)
{
    struct slice detail = arena_format(
        &x->arena, format, SLICE_ARG(slice_head(one, 200)), SLICE_ARG(slice_head(other, 200)));
    exchange_respond_problem(x, reason, detail);
    return OK;
}

static const struct service *find_service(const struct snapshot *snapshot, struct slice name)
{
    for (size_t i = 0; i < snapshot->service_count; i++)
        if (slice_equal(service_name(snapshot->services[i]), name))
            return snapshot->services[i];
    return NULL;
}

/* What an operator says. */
struct told {
    struct slice service, endpoint, state;
    enum endpoint_order order;
};

static bool read_told(struct exchange *x, struct told *told)
{
    struct slice body;
    struct json_value *root;
    return !body_read_all(x->request.body, &x->arena, ORDER_MAX, x->deadline, &body) &&
           !json_parse(&x->arena, body, NULL, &root, NULL) &&
           json_get_text(root, SLICE("service"), &told->service) &&
           json_get_text(root, SLICE("endpoint"), &told->endpoint) &&
           json_get_text(root, SLICE("state"), &told->state) && order_of(told->state, &told->order);
}

static enum status respond_told(struct exchange *x, const struct told *told)
{
    struct text text = text_growing(PAGE_LIMIT);
    struct json_writer writer;
    json_writer_init(&writer, &text, 2);
    json_write_object(&writer);
    json_put_text(&writer, "service", told->service);
    json_put_text(&writer, "endpoint", told->endpoint);
    json_put_text(&writer, "state", slice_of_text(order_word(told->order)));
    json_write_object_end(&writer);
    text_add_char(&text, '\n');
    return respond_text(x, 200, SLICE("application/json"), &text);
}

enum status page_endpoints(struct gateway *gateway, struct exchange *x)
{
    struct told told;
    if (!read_told(x, &told))
        return refuse(x, BAD_FIELD,
            "What is wanted is {\"service\": …, \"endpoint\": …, \"state\": \"drain\", "
            "\"maintenance\" or \"ready\"}.%.*s%.*s",
            SLICE(""), SLICE(""));
    const struct service *service = find_service(gateway_snapshot(gateway), told.service);
    if (!service)
        return refuse(x, NO_ROUTE, "There is no service \"%.*s\"%.*s.", told.service, SLICE(""));
    if (service_order(service, told.endpoint, told.order))
        return refuse(
            x, NO_ROUTE, "Service \"%.*s\" has no endpoint \"%.*s\".", told.service, told.endpoint);
    return respond_told(x, &told);
}

/* --- shares of versions */

/* What the caller says of himself, and what the kernel says of him. */
static struct slice who_asks(struct exchange *x, const struct json_value *root)
{
    struct stream *stream = x->hooks->stream ? x->hooks->stream(x) : NULL;
    struct socket_peer peer;
    struct slice by = SLICE("somebody");
    (void)json_get_text(root, SLICE("by"), &by);
    for (size_t i = 0; i < by.size; i++)
        if ((unsigned char)by.data[i] < ' ' || by.data[i] == 127)
            return SLICE_NONE;
    if (!by.size || by.size > SHIFT_WHO - 20)
        return SLICE_NONE;
    if (!stream || !socket_peer(socket_descriptor(stream), &peer))
        return by;
    return arena_format(&x->arena, "%.*s (uid %u)", SLICE_ARG(by), peer.user);
}

/* What stands in the body of POST /v1/shift. */
struct asked {
    struct slice service;
    struct shift_wish wish;
    struct slice bad_share; /* that is none, and why */
    const char *problem;
};

static bool read_shares(const struct json_value *shares, struct asked *asked)
{
    struct shift_wish *wish = &asked->wish;
    if (!shares || shares->type != JSON_OBJECT)
        return false;
    json_each (one, shares) {
        struct shift_share *share = &wish->shares[wish->count];
        if (wish->count++ == VERSIONS_MAX || one->type != JSON_STRING)
            return false;
        asked->bad_share = one->text;
        if (unit_parse_share(one->text, &share->share, &asked->problem))
            return false;
        share->version = one->key;
    }
    return wish->count > 0;
}

static bool read_asked(struct exchange *x, struct asked *asked)
{
    struct slice body;
    struct json_value *root;
    if (body_read_all(x->request.body, &x->arena, ORDER_MAX, x->deadline, &body) ||
        json_parse(&x->arena, body, NULL, &root, NULL) ||
        !json_get_text(root, SLICE("service"), &asked->service))
        return false;
    const struct json_value *shares = json_get(root, SLICE("shares"));
    asked->wish.who = who_asks(x, root);
    (void)json_get_bool(root, SLICE("reset"), &asked->wish.is_reset);
    if (!asked->wish.who.size)
        return false;
    return asked->wish.is_reset ? !shares : read_shares(shares, asked);
}

static enum status refuse_asked(struct exchange *x, const struct asked *asked)
{
    if (asked->problem)
        return refuse(x, BAD_FIELD, "\"%.*s\" is no share of a version: %.*s.", asked->bad_share,
            slice_of_text(asked->problem));
    return refuse(x, BAD_FIELD,
        "What is wanted is {\"service\": …, \"shares\": {\"green\": \"100%%\"}, \"by\": …}, or "
        "\"reset\": true instead of the shares.%.*s%.*s",
        SLICE(""), SLICE(""));
}

enum status page_shift(struct gateway *gateway, struct exchange *x)
{
    struct asked asked = {.problem = NULL};
    struct slice problem;
    if (!read_asked(x, &asked))
        return refuse_asked(x, &asked);
    const struct service *service = find_service(gateway_snapshot(gateway), asked.service);
    if (!service)
        return refuse(x, NO_ROUTE, "There is no service \"%.*s\"%.*s.", asked.service, SLICE(""));
    enum status e = service_shift(service, &asked.wish, &x->arena, &problem);
    if (e)
        return refuse(x, e == NOT_FOUND ? NO_ROUTE : BAD_FIELD, "%.*s%.*s", problem, SLICE(""));
    struct text text = text_growing(PAGE_LIMIT);
    struct json_writer writer;
    json_writer_init(&writer, &text, 2);
    service_describe(service, &writer);
    text_add_char(&text, '\n');
    return respond_text(x, 200, SLICE("application/json"), &text);
}

enum status page_log_reopen(struct gateway *gateway, struct exchange *x)
{
    gateway_reopen_log(gateway);
    return exchange_respond(x, 204, SLICE_NONE, SLICE_NONE);
}
