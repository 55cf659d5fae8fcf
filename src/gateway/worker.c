#include "gateway/worker.h"

#include <stdlib.h>

#include "base/must.h"
#include "gateway/acme_follow.h"
#include "gateway/door.h"
#include "gateway/https.h"
#include "http/deadline.h"
#include "http/forwarded.h"
#include "http/request_id.h"
#include "http/websocket_handshake.h"
#include "run/loop.h"
#include "run/sharing.h"

#define STOP_GRACE (1 * SECOND) /* for connections that have not sent their first request yet */

static struct worker *worker_of(struct server *server)
{
    return (struct worker *)server;
}

static const struct server_rules *current_rules(struct server *server)
{
    return &worker_of(server)->snapshot->rules;
}

static const struct server_rules *begin(struct server *server, struct exchange *x)
{
    struct worker *worker = worker_of(server);
    snapshot_pin(worker->snapshot, worker->index);
    x->pinned = worker->snapshot;
    return &worker->snapshot->rules;
}

static void abandon(struct server *server, struct exchange *x)
{
    snapshot_unpin(x->pinned, worker_of(server)->index);
}

static void finish(struct server *server, struct exchange *x)
{
    struct worker *worker = worker_of(server);
    request_metrics_count(&worker->requests, x, x->facts.route.data);
    access_log_add(worker->log, worker->index, x, loop_wall() + (x->facts.ended - loop_now()));
    snapshot_unpin(x->pinned, worker->index);
}

static struct tls_server *tls(struct server *server)
{
    const struct worker *worker = worker_of(server);
    return worker->snapshot->tls ? worker->snapshot->tls->servers[worker->index] : NULL;
}

static void refused(struct server *server, const struct entrance *entrance, struct stream *stream,
    enum status reason)
{
    struct worker *worker = worker_of(server);
    handshakes_refuse(&worker->handshakes, worker->log, entrance, stream, reason);
}

static void handshaken(struct server *server, const struct entrance *entrance,
    struct stream *stream, enum status result)
{
    struct worker *worker = worker_of(server);
    handshakes_count(&worker->handshakes, worker->log, entrance, stream, result);
}

void worker_connection_closed(struct worker *worker)
{
    share_done(worker->member);
    wait_queue_wake_all(&worker->changed);
}

static void closed(struct server *server)
{
    worker_connection_closed(worker_of(server));
}

/* What the service will see of the client and of us. What the client's Connection names goes first,
 * so that it cannot name what is added here. */
static enum status prepare_request(struct exchange *x, const struct http_options *http)
{
    x->is_websocket = websocket_is_asked_for(&x->request);
    enum status e = fields_strip_hop_by_hop(&x->request.fields);
    if (!e && x->is_websocket)
        e = websocket_check_request(x);
    if (!e)
        e = request_id_assign(x);
    if (!e)
        e = forwarded_write(x, (enum forwarded_style)http->forwarded);
    if (!e && http->deadline)
        e = deadline_read(x);
    if (!e && http->via)
        e = via_add(&x->request.fields, x->request.version);
    return e;
}

#define METHODS SLICE("GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS")

static enum status answer_options(struct exchange *x)
{
    enum status e = exchange_respond(x, 204, SLICE_NONE, SLICE_NONE);
    return e ? e : fields_set_known(&x->response.fields, FIELD_ALLOW, METHODS);
}

/* A request that asks about the way (RFC 9110 §7.6.2): says how many steps are left for it; false
 * when it has no such limit. */
static bool steps_left(const struct exchange *x, uint64_t *ret_steps)
{
    enum http_method method = x->request.method;
    if (method != METHOD_OPTIONS && method != METHOD_TRACE)
        return false;
    return slice_to_u64(fields_value(&x->request.fields, FIELD_MAX_FORWARDS), ret_steps);
}

static enum status count_step(struct exchange *x, uint64_t steps)
{
    struct slice left = arena_format(&x->arena, "%llu", (unsigned long long)(steps - 1));
    return left.data ? fields_set_known(&x->request.fields, FIELD_MAX_FORWARDS, left) : NO_MEMORY;
}

/* Its way ends here. TRACE would show what only the gateway is to see. */
static enum status answer_last_step(struct exchange *x)
{
    if (x->request.method == METHOD_OPTIONS)
        return answer_options(x);
    enum status e = fields_set_known(&x->response.fields, FIELD_ALLOW, METHODS);
    return e ? e : METHOD_NOT_ALLOWED;
}

static enum status serve_proxied(const struct snapshot *snapshot, struct exchange *x)
{
    uint64_t steps;
    if (!steps_left(x, &steps))
        return proxy_listen_serve(snapshot, x);
    if (steps == 0)
        return answer_last_step(x);
    enum status e = count_step(x, steps);
    return e ? e : proxy_listen_serve(snapshot, x);
}

static enum status serve(struct server *server, struct exchange *x)
{
    const struct snapshot *snapshot = x->pinned;
    const struct route *route;
    uint64_t steps = 1;
    if (x->entrance->is_proxy && proxy_listen_is_asked(snapshot, x))
        return serve_proxied(snapshot, x);
    enum status e = grpc_begin(x);
    if (!e)
        e = https_admit(snapshot, x);
    if (!e && acme_answer(worker_of(server)->answers, x, &e))
        return e;
    if (!e && https_is_elsewhere(x))
        return https_redirect(snapshot, x);
    if (!e)
        e = prepare_request(x, snapshot->rules.http);
    if (!e && steps_left(x, &steps) && steps)
        e = count_step(x, steps);
    if (e)
        return e;
    if (steps == 0)
        return answer_last_step(x);
    if (slice_equal(x->request.path, SLICE("*")))
        return answer_options(x);
    e = snapshot_route(snapshot, x, &route);
    if (e)
        return e;
    x->facts.route = route->name;
    x->facts.service = route->service;
    if (route->timeout)
        exchange_limit(x, clock_after(x->facts.started, route->timeout), ROUTE_TIMEOUT);
    if (route->options->is_grpc && !x->grpc && x->request.method == METHOD_POST)
        return NOT_GRPC;
    return handler_serve(&route->chain, x);
}

static const struct server_ops ops = {.begin = begin,
    .serve = serve,
    .finish = finish,
    .abandon = abandon,
    .tls = tls,
    .handshaken = handshaken,
    .refused = refused,
    .closed = closed,
    .rules = current_rules};

static void use_snapshot(struct worker *worker, struct snapshot *snapshot)
{
    struct snapshot *old = worker->snapshot;
    snapshot_enter(snapshot, worker->index);
    worker->snapshot = snapshot;
    stores_join(&snapshot->stores, worker->index);
    request_metrics_forget(&worker->requests);
    doors_renew(worker);
    if (old)
        snapshot_leave(old, worker->index);
}

static void reply_delivered(struct message *message)
{
    struct order *order = (struct order *)((char *)message - offsetof(struct order, reply));
    order->done(order);
}

static void reply(struct order *order, enum status result)
{
    order->result = result;
    order->reply.deliver = reply_delivered;
    mailbox_post(order->sender, &order->reply);
}

/* The last ones still have time to close. */
static int64_t spread_of(const struct worker *worker)
{
    if (!worker->snapshot)
        return 0;
    const struct drain_options *drain = &worker->snapshot->options->drain;
    int64_t most = drain->time / 3 * 2;
    return drain->spread < most ? drain->spread : most;
}

void worker_update(struct order *order)
{
    struct worker *worker = order->worker;
    enum status e = OK;
    if (order->has_log)
        worker->log = order->log;
    if (order->snapshot)
        use_snapshot(worker, order->snapshot);
    for (struct listener *const *l = order->open; !e && l && *l; l++)
        e = door_open(worker, *l);
    if (worker->snapshot)
        entrances_update(&worker->entrances, &worker->snapshot->options->listen);
    for (struct listener *const *l = order->shut; l && *l; l++)
        doors_shut(worker, *l, order->drains);
    if (order->is_patient)
        server_drain_patiently(&worker->server, spread_of(worker));
    reply(order, e);
}

static bool has_connections(const struct worker *worker)
{
    return worker->server.connection_count + worker->tcp.session_count > 0;
}

static void stop_on_fiber(void *argument)
{
    struct order *order = argument;
    struct worker *worker = order->worker;
    fiber_shield();
    while (has_connections(worker) && loop_now() < order->deadline)
        if (wait_queue_wait(&worker->changed, order->deadline) == TIMEOUT)
            break;
    server_cut(&worker->server);
    tcp_server_cut(&worker->tcp);
    while (has_connections(worker))
        (void)wait_queue_wait(&worker->changed, NEVER);
    if (worker->stores) /* none when the start failed before */
        stores_leave_worker(worker->stores, worker->index);
    if (worker->plane) /* the same */
        service_plane_leave_worker(worker->plane, worker->index);
    fiber_unshield();
    loop_stop(worker->loop);
    reply(order, OK);
}

void worker_stop(struct order *order)
{
    struct worker *worker = order->worker;
    must(list_is_empty(&worker->doors));
    tcp_server_drain(&worker->tcp);
    if (order->is_patient)
        server_drain_patiently(&worker->server, spread_of(worker));
    else
        server_drain(&worker->server, clock_sooner(loop_now() + STOP_GRACE, order->deadline),
            spread_of(worker));
    must(!scope_start(loop_scope(worker->loop), stop_on_fiber, order));
}

static void order_delivered(struct message *message)
{
    struct order *order = (struct order *)((char *)message - offsetof(struct order, message));
    order->carry_out(order);
}

void worker_order(struct worker *worker, struct order *order)
{
    order->worker = worker;
    order->sender = loop_current();
    order->message.deliver = order_delivered;
    mailbox_post(worker->loop, &order->message);
}

struct start {
    struct worker *worker;
    const struct loop_options *options;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool is_done;
    enum status result;
};

static void *run_worker(void *argument)
{
    struct start *start = argument;
    struct worker *worker = start->worker;
    enum status e = loop_new(start->options, &worker->loop);
    struct loop *loop = worker->loop;
    if (!e && (e = share_join(worker->group, &worker->member)))
        loop_free(loop);
    pthread_mutex_lock(&start->mutex);
    start->is_done = true;
    start->result = e;
    pthread_cond_signal(&start->changed);
    pthread_mutex_unlock(&start->mutex);
    if (e)
        return NULL;
    loop_run(loop);
    if (worker->snapshot)
        snapshot_leave(worker->snapshot, worker->index);
    /* Whoever sent the last message may still be inside mailbox_post. */
    while (sem_wait(&worker->may_end))
        continue;
    loop_free(loop);
    return NULL;
}

enum status worker_start(struct worker *worker, const struct loop_options *options)
{
    struct start start = {
        worker, options, PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, OK};
    server_init(&worker->server, &ops, worker->index);
    doors_init(worker);
    list_init(&worker->entrances);
    wait_queue_init(&worker->changed);
    worker->handshakes = (struct handshakes){
        .metrics = worker->metrics, .shard = worker->shard, .worker = worker->index};
    enum status e = request_metrics_init(&worker->requests, worker->metrics, worker->shard);
    if (e)
        return e;
    sem_init(&worker->may_end, 0, 0);
    if (pthread_create(&worker->thread, NULL, run_worker, &start)) {
        request_metrics_release(&worker->requests);
        return NO_MEMORY;
    }
    pthread_mutex_lock(&start.mutex);
    while (!start.is_done)
        pthread_cond_wait(&start.changed, &start.mutex);
    pthread_mutex_unlock(&start.mutex);
    if (start.result)
        worker_join(worker);
    return start.result;
}

void worker_join(struct worker *worker)
{
    sem_post(&worker->may_end);
    pthread_join(worker->thread, NULL);
    sem_destroy(&worker->may_end);
    doors_release(worker);
    entrances_release(&worker->entrances);
    request_metrics_release(&worker->requests);
}
