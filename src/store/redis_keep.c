/* The fiber that keeps a worker's connection: makes it, speaks, and makes it anew. */
#include "run/loop.h"
#include "run/stream.h"
#include "service/plane.h"
#include "store/redis_state.h"

#define PAUSE_LEAST (50 * MILLISECOND)
#define PAUSE_MOST  (5 * SECOND)

static void set_state(struct redis_link *link, enum redis_state state)
{
    struct redis *redis = link->redis;
    struct redis_seat *seat = &redis->seats[link->worker];
    link->state = state;
    if (link->home == &seat->link)
        atomic_store_explicit(&seat->state, (int)state, memory_order_relaxed);
    else if (redis_is_ear(link))
        atomic_store_explicit(&redis->ear_state, (int)state, memory_order_relaxed);
}

static void count(const struct redis_link *link, uint32_t series)
{
    metric_add(link->redis->stores->plane->options.shards[link->worker], series, 1);
}

/* Until the connection has ended. True when it was a good one. */
static bool connect_and_converse(struct redis_link *link)
{
    const struct stores *stores = link->redis->stores;
    enum status e = redis_connect(link, &link->stream);
    count(link, e ? stores->failed_connects : stores->connects);
    if (e)
        return false;
    uint64_t before = link->answered;
    set_state(link, REDIS_UP);
    if (redis_is_ear(link))
        redis_listen_begin(link);
    (void)redis_converse(link);
    bool was_good = link->answered > before;
    set_state(link, REDIS_DOWN);
    stream_close(link->stream);
    link->stream = NULL;
    return was_good;
}

static void keep(void *argument)
{
    struct redis_link *link = argument;
    struct redis *redis = link->redis;
    unsigned failures = 0;
    link->keeper = fiber_current();
    if (link->is_over)
        fiber_cancel(link->keeper);
    do {
        failures = connect_and_converse(link) ? 1 : failures + 1;
        set_state(link, REDIS_DOWN);
        redis_link_fail(link);
    } while (!fiber_sleep_until(
        loop_now() + random_pause(loop_random(), PAUSE_LEAST, PAUSE_MOST, failures)));
    *link->home = NULL;
    redis_link_free(link);
    redis_let_go(redis);
}

void redis_keep_no_more(struct redis_link *link)
{
    if (!link)
        return;
    link->is_over = true;
    if (link->keeper)
        fiber_cancel(link->keeper);
}

void redis_keep(struct redis_link **home, struct redis_seat *seat, const struct redis_place *place)
{
    struct scope *scope = &seat->redis->stores->scopes[seat->worker];
    struct redis_link *link = redis_link_new(seat->redis, seat->worker, place);
    if (!link)
        return;
    if (scope_start(scope, keep, link)) {
        redis_link_free(link);
        return;
    }
    link->home = home;
    *home = link;
    atomic_fetch_add(&seat->redis->holders, 1);
    set_state(link, REDIS_CONNECTING);
}
