#include <stdio.h>

#include "policy/keyring_fetch.h"
#include "policy/keyring_state.h"
#include "run/loop.h"
#include "service/errand.h"
#include "service/plane.h"

/* Keeping a keyring fresh: the errand, on the control thread. */

#define FETCH_PATIENCE (10 * SECOND) /* for one fetch, from the name to the last byte */
#define LIFE_USUAL     (10 * MINUTE) /* where nobody says how long keys are fresh */
#define LIFE_LEAST     MINUTE        /* whatever the issuer says */
#define LIFE_MOST      DAY
#define RETRY_FIRST    SECOND /* after a failure; longer after each further one */
#define RETRY_MOST     MINUTE

static const struct metric_family fetches_family = {"weir_auth_key_fetches_total",
    "How often the keys of an issuer of tokens were fetched.", METRIC_COUNTER, {"source", "result"},
    0};
static const struct metric_family keys_family = {"weir_auth_keys",
    "Keys of an issuer that tokens are verified with.", METRIC_GAUGE, {"source"}, 0};
static const struct metric_family time_family = {"weir_auth_keys_timestamp_seconds",
    "When the keys of an issuer were last fetched; 0: never.", METRIC_GAUGE, {"source"}, 0};

static void say(const struct keyring *ring, const char *what, const char *why)
{
    const struct service_plane_options *plane = &ring->plane->options;
    char room[KEYRING_TROUBLE_SIZE + OIDC_URL_MAX];
    snprintf(room, sizeof room, "the keys of %.*s %s%s%s", SLICE_ARG(slice_head(ring->source, 300)),
        what, *why ? ": " : "", why);
    if (plane->notice)
        plane->notice(plane->notice_argument, room);
}

/* Each trouble once, as long as it lasts. */
static void tell_failure(struct keyring *ring, const char *trouble)
{
    if (ring->failures && strncmp(trouble, ring->trouble, sizeof ring->trouble - 1) == 0)
        return;
    snprintf(ring->trouble, sizeof ring->trouble, "%s", trouble);
    say(ring, ring->keys ? "cannot be fetched, and stay as they are" : "cannot be fetched",
        ring->trouble);
}

/* A copy of what the provider says, in place of what it has said before. Under the mutex. */
static void take_provider(struct keyring *ring, const struct oidc_provider *provider)
{
    struct arena arena;
    struct oidc_provider copy;
    arena_init(&arena, 1024, 0);
    if (oidc_provider_copy(&arena, provider, &copy)) {
        arena_release(&arena);
        return;
    }
    arena_release(&ring->provider_arena);
    ring->provider_arena = arena;
    ring->provider = copy;
}

static void take_keys(struct keyring *ring, struct keyring_fetch *fetch)
{
    struct jose_keys *old = ring->keys;
    struct metrics_shard *shard = ring->plane->options.control_shard;
    pthread_mutex_lock(&ring->mutex);
    ring->keys = fetch->keys;
    if (ring->issuer.size)
        take_provider(ring, &fetch->provider);
    pthread_mutex_unlock(&ring->mutex);
    fetch->keys = NULL;
    if (old && !jose_keys_cover(ring->keys, old))
        atomic_fetch_add(&ring->epoch, 1);
    jose_keys_unref(old);
    metric_set(shard, ring->count_series, (int64_t)jose_keys_count(ring->keys));
    ring->fetched_at = clock_wall();
    metric_set(shard, ring->time_series, ring->fetched_at / SECOND);
}

static int64_t between(int64_t value, int64_t least, int64_t most)
{
    return value < least ? least : value > most ? most : value;
}

/* How long to rest. Somewhat sooner than needed, so that many gateways do not ask at once. */
static int64_t rest_after(const struct keyring *ring, int64_t life)
{
    if (ring->failures)
        return random_pause(loop_random(), RETRY_FIRST, RETRY_MOST, ring->failures);
    if (ring->refresh)
        life = ring->refresh;
    else
        life = life ? between(life, LIFE_LEAST, LIFE_MOST) : LIFE_USUAL;
    return life - (int64_t)random_below(loop_random(), (uint64_t)(life / 8) + 1);
}

/* How long to rest; -1: the keyring may be gone. */
static int64_t renew(struct keyring *ring)
{
    struct keyring_fetch fetch;
    struct keyring_bench *bench = ring->bench;
    struct metrics_shard *shard = ring->plane->options.control_shard;
    atomic_fetch_add(&bench->turn, 1);
    enum status e =
        keyring_fetch_init(&fetch, ring->issuer, ring->url, plane_resolver(ring->plane), ring->tls);
    if (!e)
        e = keyring_fetch_run(&fetch, loop_now() + FETCH_PATIENCE);
    if (errand_is_stopped()) {
        keyring_fetch_release(&fetch);
        return -1;
    }
    metric_add(shard, e ? ring->failed : ring->fetched, 1);
    if (e) {
        tell_failure(ring, fetch.trouble);
        ring->failures++;
    } else {
        take_keys(ring, &fetch);
        if (ring->failures)
            say(ring, "are there again", "");
        ring->failures = 0;
    }
    int64_t rest = rest_after(ring, fetch.life);
    keyring_fetch_release(&fetch);
    atomic_store(&ring->may_ask,
        clock_now() + (ring->keys || ring->cooldown < RETRY_FIRST ? ring->cooldown : RETRY_FIRST));
    atomic_fetch_add(&bench->turn, 1);
    keyring_bench_wake(bench, ring->plane);
    return rest;
}

static void keep_fresh(void *owner)
{
    struct keyring *ring = owner;
    ring->fiber = fiber_current();
    for (;;) {
        int64_t rest = renew(ring);
        if (rest < 0)
            return;
        ring->is_resting = true;
        (void)fiber_wait(loop_now() + rest);
        if (errand_is_stopped())
            return;
        ring->is_resting = false;
    }
}

/* A worker wants newer keys. The same condition as the worker's: one that has asked just when a
 * fetch ended has what it wants. */
static void hear_question(struct message *message)
{
    struct keyring *ring = list_entry(message, struct keyring, question);
    atomic_store(&ring->is_asked, false);
    if (ring->is_resting && clock_now() >= atomic_load(&ring->may_ask))
        fiber_wake(ring->fiber);
}

void keyring_begin(struct keyring *ring)
{
    struct metrics *metrics = ring->plane->options.metrics;
    const struct slice *source = &ring->source;
    ring->fetched =
        metrics_series(metrics, &fetches_family, (struct slice[]){*source, SLICE("ok")});
    ring->failed =
        metrics_series(metrics, &fetches_family, (struct slice[]){*source, SLICE("failed")});
    ring->count_series = metrics_series(metrics, &keys_family, source);
    ring->time_series = metrics_series(metrics, &time_family, source);
    ring->question.deliver = hear_question;
    errand_start(ring->plane->options.control_loop, keep_fresh, ring, &ring->errand);
}

/* Keys are written by this thread alone, so it may look at them without the mutex. */
void keyring_describe(const void *keyring, struct json_writer *writer)
{
    const struct keyring *ring = keyring;
    json_put_text(writer, "source", ring->source);
    json_put_array(writer, "keys");
    for (const struct jose_key *key = ring->keys ? jose_keys_first(ring->keys) : NULL; key;
         key = key->next)
        json_write_string(writer, key->id);
    json_write_array_end(writer);
    if (ring->fetched_at)
        json_put_time(writer, "fetched", ring->fetched_at);
    else
        json_put_null(writer, "fetched");
    if (ring->failures)
        json_put_text(writer, "trouble", slice_of_text(ring->trouble));
    else
        json_put_null(writer, "trouble");
}
