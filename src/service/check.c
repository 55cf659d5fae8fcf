#include "service/check.h"

#include "run/loop.h"
#include "service/check_question.h"
#include "service/connect.h"
#include "service/errand.h"
#include "service/service_tls.h"

#include <stdio.h>

static const struct h1_limits limits = H1_LIMITS_DEFAULT;

static struct slice host_of(const struct endpoint *endpoint, const struct service_options *options)
{
    if (options->host.size && !slice_equal(options->host, SLICE("endpoint")))
        return options->host;
    return endpoint->address.any.sa_family == AF_UNIX ? SLICE("localhost") : endpoint->text;
}

/* Everything that is needed of the service, which may go while the question is asked. */
static void prepare(struct question *q, const struct service_options *options, struct arena *arena)
{
    struct http_request *request = &q->request;
    *request = (struct http_request){.method = q->how.method ? METHOD_HEAD : METHOD_GET,
        .version = HTTP_1_1,
        .path = arena_copy(arena, q->how.path),
        .authority = arena_copy(arena, host_of(q->endpoint, options))};
    request->method_text = http_method_name(request->method);
    size_t query = slice_find(request->path, '?');
    if (query < request->path.size)
        request->query = slice_from(request->path, query + 1);
    request->path = slice_head(request->path, query);
    fields_init(&request->fields, arena);
    (void)fields_add_known(&request->fields, FIELD_USER_AGENT, SLICE("weir-health"));
}

static struct slice write_head(struct question *q)
{
    struct text text = text_fixed(q->head_room, sizeof q->head_room);
    struct h1_framing framing = {.kind = H1_NO_BODY};
    h1_write_request_head(&text, &q->request, &framing);
    return text.failed ? SLICE_NONE : text_slice(&text);
}

static enum status read_answer(struct question *q, struct wire *connection, struct arena *arena)
{
    struct http_response response = {0};
    struct h1_framing framing;
    enum http_method method = q->how.method ? METHOD_HEAD : METHOD_GET;
    enum status e;
    do
        e = h1_read_response(connection, arena, &limits, method, q->deadline, &response, &framing);
    while (!e && response.status < 200);
    if (e)
        return e;
    q->answered = response.status;
    struct h1_body body;
    struct slice ignored;
    struct body *reader = h1_body_init(&body, connection, &limits, &framing, arena, q->how.timeout);
    e = body_read_all(reader, arena, CHECK_BODY_MAX, q->deadline, &ignored);
    body_drop(reader);
    return e == TOO_LARGE ? OK : e;
}

static enum status ask_h1(struct question *q, struct stream *stream, struct arena *arena)
{
    struct wire connection;
    struct slice head = write_head(q);
    wire_init(&connection, stream);
    enum status e =
        head.data ? stream_write(stream, head.data, head.size, q->deadline, NULL) : TOO_LARGE;
    if (!e)
        e = read_answer(q, &connection, arena);
    wire_release(&connection);
    return e;
}

/* Over TLS both sides agree on it. */
static bool is_h2(const struct question *q, const struct stream *stream)
{
    return q->speaks_http2 && (!q->client || q->how.method == HEALTH_GRPC || pool_is_h2(stream));
}

static enum status ask(struct question *q, struct arena *arena)
{
    struct stream *stream;
    const char *trouble = "";
    if (!q->request.path.data || !q->request.authority.data)
        return NO_MEMORY;
    if (q->how.method == HEALTH_UDP)
        return check_ask_udp(q);
    char header[PROXY_HEADER_ROOM];
    size_t size = proxy_header_write(q->send_proxy, NULL, NULL, header);
    enum status e = connect_address(&q->endpoint->address, q->client, q->endpoint->tls_name,
        slice_of(header, size), NULL, q->deadline, &stream, &trouble);
    if (*trouble)
        q->trouble = trouble;
    if (e)
        return e;
    if (q->how.method == HEALTH_TCP) {
        stream_close(stream);
        return OK;
    }
    return is_h2(q, stream) ? check_ask_h2(q, stream, arena) : ask_h1(q, stream, arena);
}

static bool is_good(const struct question *q)
{
    if (q->how.method == HEALTH_GRPC || health_is_bare(q->how.method))
        return !q->failure;
    return !q->failure && q->answered >= q->how.expect.from && q->answered <= q->how.expect.to;
}

/* A good answer also ends an ejection: who answers is there. */
static void count_good(struct endpoint *endpoint, const struct health_options *how)
{
    endpoint->bad = 0;
    if (endpoint->good < how->rise)
        endpoint->good++;
    if (endpoint->good < how->rise)
        return;
    atomic_store_explicit(&endpoint->load.failures_in_row, 0, memory_order_relaxed);
    bool was_down = endpoint_set_down(endpoint, DOWN_CHECK, false);
    bool was_ejected = endpoint_set_down(endpoint, DOWN_EJECTED, false);
    if (was_down || was_ejected)
        endpoint_note(endpoint, "up: %u good answers", (unsigned)how->rise);
}

static void count_bad(struct endpoint *endpoint, const struct question *q)
{
    endpoint->good = 0;
    if (endpoint->bad < q->how.fall)
        endpoint->bad++;
    if (endpoint->bad < q->how.fall || !endpoint_set_down(endpoint, DOWN_CHECK, true))
        return;
    if (q->failure)
        endpoint_note(endpoint, "down: %u × %s%s%s", endpoint->bad, status_word(q->failure),
            *q->trouble ? ", " : "", q->trouble);
    else
        endpoint_note(endpoint, "down: %u × status %d", endpoint->bad, q->answered);
}

/* CANCELLED: the endpoint may have gone. */
static enum status check_once(struct endpoint *endpoint, instant *ret_next)
{
    struct arena arena;
    struct question q;
    q.endpoint = endpoint;
    q.how = endpoint->checked_by->health;
    q.deadline = clock_after(loop_now(), q.how.timeout);
    q.answered = 0;
    q.trouble = "";
    struct tls_client *client = service_tls_client(endpoint->checked_by);
    q.client = client ? tls_client_ref(client) : NULL;
    int64_t jitter = q.how.every / 10;
    *ret_next = loop_now() + q.how.every - jitter +
                (int64_t)random_below(loop_random(), (uint64_t)jitter * 2 + 1);
    arena_init(&arena, 0, 2 * CHECK_BODY_MAX);
    q.speaks_http2 = endpoint->checked_by->speaks_http2;
    q.send_proxy = (enum proxy_version)endpoint->checked_by->send_proxy;
    prepare(&q, endpoint->checked_by, &arena);
    q.failure = ask(&q, &arena);
    arena_release(&arena);
    tls_client_unref(q.client);
    if (errand_is_stopped())
        return CANCELLED;
    if (is_good(&q))
        count_good(endpoint, &q.how);
    else
        count_bad(endpoint, &q);
    return OK;
}

static void keep_checking(void *owner)
{
    struct endpoint *endpoint = owner;
    instant next;
    while (check_once(endpoint, &next) == OK && fiber_sleep_until(next) == OK)
        ;
}

static void stop_check(struct endpoint *endpoint)
{
    errand_stop(&endpoint->check);
    endpoint->checked_by = NULL;
    endpoint->good = endpoint->bad = 0;
    if (endpoint_set_down(endpoint, DOWN_CHECK, false))
        endpoint_note(endpoint, "up: no longer checked");
}

void checks_start(const struct endpoint_set *set, const struct service_options *options)
{
    for (uint32_t i = 0; i < set->count; i++) {
        struct endpoint *endpoint = set->endpoints[i];
        if (!options->health.is_set) {
            stop_check(endpoint);
            continue;
        }
        endpoint->checked_by = options;
        errand_start(
            endpoint->plane->options.control_loop, keep_checking, endpoint, &endpoint->check);
    }
}

void checks_stop(const struct endpoint_set *set, const struct service_options *options)
{
    for (uint32_t i = 0; i < set->count; i++)
        if (set->endpoints[i]->checked_by == options)
            stop_check(set->endpoints[i]);
}
