/* The first worker says for all that this gateway is there. */
#include "run/loop.h"
#include "service/plane.h"
#include "store/redis_state.h"

#define KEY   SLICE("gateways")

#define AGAIN (PRESENCE_EVERY / 4) /* after a failure: it may have been the beginning alone */

/* False when it could not be said. */
static bool say(struct redis *redis)
{
    struct store_question question = {.verb = STORE_RUN,
        .worker = REDIS_SPOKESMAN,
        .key = KEY,
        .program = &redis->programs[REDIS_PRESENCE],
        .arguments = (const int64_t[]){redis->stores->number, PRESENCE_LASTS / MILLISECOND},
        .deadline = NEVER};
    int64_t known = atomic_load_explicit(&redis->store.gateways, memory_order_relaxed);
    if (redis_answer_uncounted(redis, &question)) {
        presence_fail(&redis->presence);
        return false;
    }
    atomic_store_explicit(&redis->store.gateways,
        presence_take(&redis->presence, loop_now(), known, question.results[0]),
        memory_order_relaxed);
    return true;
}

static void be_present(void *argument)
{
    struct redis *redis = argument;
    redis->spokesman = fiber_current();
    if (redis->is_left)
        fiber_cancel(redis->spokesman);
    while (!fiber_sleep_until(loop_now() + (say(redis) ? PRESENCE_EVERY : AGAIN)))
        ;
    redis->spokesman = NULL;
    redis_let_go(redis);
}

void redis_presence_begin(struct redis *redis)
{
    if (redis->is_present || !redis->counts_gateways)
        return;
    atomic_fetch_add(&redis->holders, 1);
    redis->is_present = !scope_start(&redis->stores->scopes[REDIS_SPOKESMAN], be_present, redis);
    if (!redis->is_present)
        atomic_fetch_sub(&redis->holders, 1);
}

void redis_presence_end(struct redis *redis)
{
    redis->is_left = true;
    if (redis->spokesman)
        fiber_cancel(redis->spokesman);
}
