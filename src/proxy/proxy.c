#include "proxy/proxy.h"

#include <stdlib.h>

#include "http/target.h"
#include "proxy/forward.h"
#include "proxy/reach.h"
#include "proxy/tunnel.h"

/* --- what is counted */

static const struct metric_family open_connections = {"weir_proxy_open_connections",
    "Tunnels, and requests under way, of a listener's forward proxy.", METRIC_GAUGE, {"listener"},
    0};
static const struct metric_family received_bytes = {"weir_proxy_received_bytes_total",
    "Bytes from clients through tunnels, while they move.", METRIC_COUNTER, {"listener"}, 0};
static const struct metric_family sent_bytes = {"weir_proxy_sent_bytes_total",
    "Bytes to clients through tunnels, while they move.", METRIC_COUNTER, {"listener"}, 0};
static const struct metric_family spliced_bytes = {"weir_proxy_spliced_bytes_total",
    "Bytes through tunnels, both ways, that moved inside the kernel.", METRIC_COUNTER, {"listener"},
    0};

struct loads {
    struct proxy_load *items; /* owned, one a worker */
};

struct recipe {
    const struct proxy_prepare *prepare;
    struct slice listener;
};

static enum status init_loads(void *object, void *context)
{
    struct loads *loads = object;
    const struct recipe *recipe = context;
    const struct proxy_prepare *prepare = recipe->prepare;
    size_t size = (prepare->workers + 1) * sizeof *loads->items;
    loads->items = aligned_alloc(_Alignof(struct proxy_load), size);
    if (!loads->items)
        return NO_MEMORY;
    memset(loads->items, 0, size);
    for (unsigned i = 0; prepare->metrics && i < prepare->workers; i++) {
        struct proxy_load *load = &loads->items[i];
        load->open_series = metrics_series(prepare->metrics, &open_connections, &recipe->listener);
        load->received_series =
            metrics_series(prepare->metrics, &received_bytes, &recipe->listener);
        load->sent_series = metrics_series(prepare->metrics, &sent_bytes, &recipe->listener);
        load->spliced_series = metrics_series(prepare->metrics, &spliced_bytes, &recipe->listener);
    }
    return OK;
}

static void release_loads(void *object)
{
    struct loads *loads = object;
    free(loads->items);
}

static const struct registry_kind loads_kind = {
    "forward proxy", sizeof(struct loads), init_loads, release_loads};

enum status proxy_new(const struct proxy_prepare *prepare, struct slice listener,
    const struct proxy_options *options, const struct proxy **ret_proxy)
{
    struct recipe recipe = {prepare, listener};
    struct proxy *proxy = arena_new(prepare->arena, struct proxy);
    void *loads;
    if (!proxy)
        return NO_MEMORY;
    enum status e = registry_obtain(prepare->registry, &loads_kind, listener, &recipe, &loads);
    if (e)
        return e;
    if (arena_own(prepare->arena, registry_release, loads))
        return NO_MEMORY;
    proxy->options = options;
    proxy->own = prepare->own;
    proxy->plane = prepare->plane;
    proxy->shards = prepare->shards;
    proxy->loads = ((struct loads *)loads)->items;
    *ret_proxy = proxy;
    return OK;
}

static void show_open(const struct proxy *proxy, unsigned worker)
{
    const struct proxy_load *load = &proxy->loads[worker];
    metric_set(proxy->shards[worker], load->open_series, load->open);
}

bool proxy_enter(const struct proxy *proxy, unsigned worker)
{
    struct proxy_load *load = &proxy->loads[worker];
    int64_t most = proxy->options->connections_max;
    if (most && load->open >= (uint64_t)most)
        return false;
    load->open++;
    show_open(proxy, worker);
    return true;
}

void proxy_leave(const struct proxy *proxy, unsigned worker)
{
    proxy->loads[worker].open--;
    show_open(proxy, worker);
}

/* --- serving */

bool proxy_is_tunnel(const struct exchange *x)
{
    return x->request.method == METHOD_CONNECT && x->request.path.size == 0;
}

static enum status read_target(struct exchange *x, struct proxy_target *ret_target)
{
    struct target_place place;
    bool is_tunnel = proxy_is_tunnel(x);
    if (!is_tunnel && !slice_equal_nocase(x->request.target_scheme, SLICE("http")))
        return NOT_IMPLEMENTED;
    enum status e = target_read_place(&x->arena, x->request.authority, &place);
    if (!e)
        *ret_target = (struct proxy_target){.host = place.host,
            .port = place.port ? place.port : PORT_HTTP,
            .is_tunnel = is_tunnel};
    return e;
}

static enum status begin_tunnel(
    const struct proxy *proxy, struct exchange *x, struct stream *upstream)
{
    enum status e = proxy_tunnel_new(proxy, x, upstream, &x->tunnel);
    if (e) {
        proxy_leave(proxy, x->worker);
        return e;
    }
    x->response.status = 200;
    x->response.body = body_init_slice(&x->answer, SLICE_NONE);
    return OK;
}

/* `weir test` and `weir explain` want to know whether it would be tried. */
static enum status rehearse(
    const struct proxy *proxy, struct exchange *x, const struct proxy_target *target)
{
    if (proxy_targets_look(&proxy->options->to, target) == PROXY_NEVER)
        return TARGET_DENIED;
    return exchange_respond(x, 200, SLICE_NONE, SLICE_NONE);
}

enum status proxy_serve(const void *state, struct exchange *x)
{
    const struct proxy *proxy = state;
    struct proxy_target target;
    struct stream *upstream;
    enum status e = read_target(x, &target);
    if (e)
        return e;
    if (x->is_rehearsal)
        return rehearse(proxy, x, &target);
    if (!proxy_enter(proxy, x->worker))
        return OVERLOADED;
    e = proxy_reach(proxy, x, &target, &upstream);
    if (e) {
        proxy_leave(proxy, x->worker);
        return e;
    }
    return target.is_tunnel ? begin_tunnel(proxy, x, upstream) : proxy_forward(proxy, x, upstream);
}
