#include "gateway/request_metrics.h"

#include <stdlib.h>

#include "base/hash.h"

static const struct metric_family requests_total = {"weir_http_requests_total",
    "Requests answered, by what they met.", METRIC_COUNTER,
    {"listener", "route", "service", "method", "code"}, 0};
static const struct metric_family request_duration = {"weir_http_request_duration_seconds",
    "From a request's first byte to the last of its answer.", METRIC_HISTOGRAM,
    {"listener", "route", "service"}, 0};
static const struct metric_family received_bytes = {"weir_http_request_body_bytes_total",
    "Bytes of request bodies received from clients.", METRIC_COUNTER, {"listener", "route"}, 0};
static const struct metric_family sent_bytes = {"weir_http_response_body_bytes_total",
    "Bytes of response bodies sent to clients.", METRIC_COUNTER, {"listener", "route"}, 0};
static const struct metric_family reasons_total = {"weir_http_reasons_total",
    "Answers that the gateway made itself, by reason.", METRIC_COUNTER, {"route", "reason"}, 0};

static const struct metric_family grpc_calls = {"weir_grpc_calls_total",
    "Calls of gRPC that have ended, by their status.", METRIC_COUNTER,
    {"route", "service", "status"}, 0};

static const struct metric_family websocket_messages = {"weir_websocket_messages_total",
    "WebSocket messages that were passed on, by whether they were received from clients or sent to "
    "them.",
    METRIC_COUNTER, {"route", "direction"}, 0};
static const struct metric_family websocket_closes = {"weir_websocket_closes_total",
    "WebSockets that have ended, by the code of the first Close frame; 1006: there was none.",
    METRIC_COUNTER, {"route", "code"}, 0};

enum status request_metrics_init(
    struct request_metrics *requests, struct metrics *metrics, struct metrics_shard *shard)
{
    struct request_series *kept = calloc(REQUEST_SERIES_KEPT, sizeof *kept);
    if (!kept)
        return NO_MEMORY;
    *requests = (struct request_metrics){metrics, shard, kept};
    // cppcheck-suppress memleak
    return OK;
}

void request_metrics_release(struct request_metrics *requests)
{
    free(requests->kept);
    requests->kept = NULL;
}

void request_metrics_forget(struct request_metrics *requests)
{
    memset(requests->kept, 0, REQUEST_SERIES_KEPT * sizeof *requests->kept);
}

static struct slice method_label(const struct http_request *request)
{
    return request->method == METHOD_OTHER ? SLICE("_OTHER") : http_method_name(request->method);
}

static void find_series(
    struct request_metrics *requests, const struct exchange *x, struct request_series *series)
{
    const struct exchange_facts *facts = &x->facts;
    char digits[12];
    struct text code = text_fixed(digits, sizeof digits);
    text_add_u64(&code, series->code);
    struct slice labels[] = {facts->listener, facts->route, facts->service,
        method_label(&x->request), text_slice(&code)};
    series->requests = metrics_series(requests->metrics, &requests_total, labels);
    series->duration = metrics_series(requests->metrics, &request_duration, labels);
    series->received = metrics_series(requests->metrics, &received_bytes, labels);
    series->sent = metrics_series(requests->metrics, &sent_bytes, labels);
}

static struct request_series *series_of(
    struct request_metrics *requests, const struct exchange *x, const void *route)
{
    struct request_series wanted = {.route = route,
        .listener = x->facts.listener.data,
        .service = x->facts.service_id,
        .code = (uint32_t)x->response.status,
        .method = x->request.method};
    uint64_t hash = ((uintptr_t)route ^ (uintptr_t)wanted.listener >> 3) * 0x9e3779b97f4a7c15u;
    uint64_t rest = (uint64_t)wanted.service << 32 | wanted.code << 4 | wanted.method;
    hash ^= rest * 0xd6e8feb86659fd93u;
    struct request_series *kept = &requests->kept[(hash >> 40) & (REQUEST_SERIES_KEPT - 1)];
    bool is_same = kept->route == wanted.route && kept->listener == wanted.listener &&
                   kept->service == wanted.service && kept->code == wanted.code &&
                   kept->method == wanted.method;
    if (!is_same) {
        find_series(requests, x, &wanted);
        *kept = wanted;
    }
    return kept;
}

/* The series is looked up, under the lock of all workers, only when the reason is another one. */
static void count_reason(
    struct request_metrics *requests, const struct exchange *x, struct request_series *series)
{
    struct slice labels[] = {x->facts.route, slice_of_text(status_word(x->facts.reason))};
    if (series->reason != x->facts.reason)
        series->reasons = metrics_series(requests->metrics, &reasons_total, labels);
    series->reason = x->facts.reason;
    metric_add(requests->shard, series->reasons, 1);
}

/* As with reasons: calls end alike, mostly. */
static void count_call(
    struct request_metrics *requests, const struct exchange *x, struct request_series *series)
{
    enum grpc_status status = grpc_outcome(x);
    struct slice labels[] = {x->facts.route, x->facts.service, grpc_status_name(status)};
    if (!series->calls || series->call_status != status)
        series->calls = metrics_series(requests->metrics, &grpc_calls, labels);
    series->call_status = status;
    metric_add(requests->shard, series->calls, 1);
}

/* Rare enough to be looked up. */
static void count_websocket(struct request_metrics *requests, const struct exchange_facts *facts)
{
    char digits[12];
    /* Codes from 3000 are the peers' own, and clients can choose them: they fold. */
    struct text code = text_fixed(digits, sizeof digits);
    text_add_u64(
        &code, facts->close_code < 3000 ? facts->close_code : facts->close_code / 1000 * 1000u);
    struct slice closes[] = {facts->route, text_slice(&code)};
    struct slice received[] = {facts->route, SLICE("received")};
    struct slice sent[] = {facts->route, SLICE("sent")};
    metric_add(requests->shard, metrics_series(requests->metrics, &websocket_closes, closes), 1);
    metric_add(requests->shard, metrics_series(requests->metrics, &websocket_messages, received),
        facts->messages_received);
    metric_add(requests->shard, metrics_series(requests->metrics, &websocket_messages, sent),
        facts->messages_sent);
}

/* Of a WebSocket or a tunnel until it was open: how long it stays open is no matter of speed. */
static int64_t duration_of(const struct exchange *x)
{
    const struct exchange_facts *facts = &x->facts;
    bool was_open =
        facts->close_code || (x->request.method == METHOD_CONNECT && x->response.status == 200);
    return (was_open ? facts->first_byte_sent : facts->ended) - facts->started;
}

void request_metrics_count(
    struct request_metrics *requests, const struct exchange *x, const void *route)
{
    struct request_series *series = series_of(requests, x, route);
    metric_add(requests->shard, series->requests, 1);
    metric_observe(requests->shard, series->duration, duration_of(x));
    if (x->facts.received)
        metric_add(requests->shard, series->received, x->facts.received);
    if (x->facts.sent)
        metric_add(requests->shard, series->sent, x->facts.sent);
    if (x->facts.close_code)
        count_websocket(requests, &x->facts);
    if (x->grpc)
        count_call(requests, x, series);
    if (x->facts.reason != OK)
        count_reason(requests, x, series);
}
