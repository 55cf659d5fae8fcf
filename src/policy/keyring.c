#include "policy/keyring.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "policy/keyring_fetch.h"
#include "run/loop.h"
#include "run/tls.h"
#include "run/wait.h"
#include "service/errand.h"
#include "service/plane.h"

#define FETCH_PATIENCE (10 * SECOND) /* for one fetch, from the name to the last byte */
#define LIFE_USUAL     (10 * MINUTE) /* where nobody says how long keys are fresh */
#define LIFE_LEAST     MINUTE        /* whatever the issuer says */
#define LIFE_MOST      DAY
#define RETRY_FIRST    SECOND /* after a failure; longer after each further one */
#define RETRY_MOST     MINUTE
#define CA_MAX         ((size_t)4 << 20)
#define TROUBLE_SIZE   200

/* One worker's waiting requests, and the message that wakes them. */
struct seat {
    _Alignas(64) struct wait_queue waiting; /* of the worker's fibers */
    struct message message;
    struct bench *bench;
    _Atomic bool is_posted;
};

/* What workers wait at. It is counted, since a message may still be on its way to a worker when the
 * keyring goes: the keyring and each such message count. */
struct bench {
    _Atomic unsigned users;
    _Atomic uint32_t turn; /* moves when a fetch begins (becomes odd) and when it ends (even) */
    unsigned workers;
    struct seat seats[];
};

struct keyring {
    struct service_plane *plane; /* borrowed; NULL: nothing is ever fetched */
    struct bench *bench;         /* counted */
    _Atomic uint32_t epoch;
    _Atomic instant may_ask; /* when a token may cause a fetch again */
    _Atomic bool is_asked;   /* the message is on its way */
    struct message question; /* from a worker, to fetch */

    pthread_mutex_t mutex;
    struct jose_keys *keys;        /* guarded, counted; NULL: there never were any */
    struct arena provider_arena;   /* guarded, as the next */
    struct oidc_provider provider; /* of a keyring by discovery, once there are keys */

    /* Of the control thread alone. */
    struct slice issuer, url, source; /* owned by `arena`; `source` is how people call it */
    struct arena arena;
    struct tls_client *tls; /* counted */
    int64_t refresh, cooldown;
    struct errand *errand;
    struct fiber *fiber; /* the errand's, once it runs */
    bool is_resting;
    unsigned failures;          /* in a row */
    char trouble[TROUBLE_SIZE]; /* that was told last */
    uint32_t fetched, failed, count_series, time_series;
};

static const struct metric_family fetches_family = {"weir_auth_key_fetches_total",
    "How often the keys of an issuer of tokens were fetched.", METRIC_COUNTER, {"source", "result"},
    0};
static const struct metric_family keys_family = {"weir_auth_keys",
    "Keys of an issuer that tokens are verified with.", METRIC_GAUGE, {"source"}, 0};
static const struct metric_family time_family = {"weir_auth_keys_timestamp_seconds",
    "When the keys of an issuer were last fetched; 0: never.", METRIC_GAUGE, {"source"}, 0};

bool keyring_is_url(struct slice text)
{
    return slice_has_prefix(text, SLICE("https://")) || slice_has_prefix(text, SLICE("http://"));
}

/* --- the bench */

static struct bench *bench_new(unsigned workers)
{
    size_t size = sizeof(struct bench) + workers * sizeof(struct seat);
    struct bench *bench = aligned_alloc(_Alignof(struct seat), (size + 63) / 64 * 64);
    if (!bench)
        return NULL;
    memset(bench, 0, size);
    atomic_init(&bench->users, 1);
    bench->workers = workers;
    for (unsigned i = 0; i < workers; i++) {
        wait_queue_init(&bench->seats[i].waiting);
        bench->seats[i].bench = bench;
    }
    return bench;
}

static void bench_unref(struct bench *bench)
{
    if (bench && atomic_fetch_sub(&bench->users, 1) == 1)
        free(bench);
}

/* On the worker. */
static void wake_seat(struct message *message)
{
    struct seat *seat = list_entry(message, struct seat, message);
    atomic_store(&seat->is_posted, false);
    wait_queue_wake_all(&seat->waiting);
    bench_unref(seat->bench);
}

static void wake_all(struct bench *bench, struct service_plane *plane)
{
    for (unsigned i = 0; i < bench->workers; i++) {
        struct seat *seat = &bench->seats[i];
        if (atomic_exchange(&seat->is_posted, true))
            continue; /* it comes after this, and so is good for this, too */
        seat->message.deliver = wake_seat;
        atomic_fetch_add(&bench->users, 1);
        if (!plane_post(plane, i, &seat->message))
            bench_unref(bench);
    }
}

/* --- keeping it fresh: the errand, on the control thread */

static void say(const struct keyring *ring, const char *what, const char *why)
{
    const struct service_plane_options *plane = &ring->plane->options;
    char room[TROUBLE_SIZE + OIDC_URL_MAX];
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
    metric_set(shard, ring->time_series, clock_wall() / SECOND);
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
    struct bench *bench = ring->bench;
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
    wake_all(bench, ring->plane);
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

/* --- workers */

/* Waits until a fetch has ended that was not over at the time of `turn`. OK: one has; NOT_FOUND:
 * none will be made now; TIMEOUT, CANCELLED. */
static enum status await(
    struct keyring *ring, const struct exchange *x, uint32_t turn, instant deadline)
{
    struct bench *bench = ring->bench;
    uint32_t end = (turn | 1) + 1;
    enum status e = OK;
    if (x->is_rehearsal || !ring->plane)
        return NOT_FOUND;
    if (!(turn & 1)) {
        if (atomic_load(&bench->turn) != turn)
            return OK;
        if (clock_now() < atomic_load(&ring->may_ask))
            return NOT_FOUND;
        if (!atomic_exchange(&ring->is_asked, true))
            mailbox_post(ring->plane->options.control_loop, &ring->question);
    }
    while (!e && (int32_t)(atomic_load(&bench->turn) - end) < 0)
        e = wait_queue_wait(&bench->seats[x->worker].waiting, deadline);
    return e;
}

static struct jose_keys *newest_keys(struct keyring *ring)
{
    pthread_mutex_lock(&ring->mutex);
    struct jose_keys *keys = ring->keys ? jose_keys_ref(ring->keys) : NULL;
    pthread_mutex_unlock(&ring->mutex);
    return keys;
}

/* Could newer keys make it good? A token that names no key is tried with some. */
static bool may_be_newer(enum status e, const struct jws *jws)
{
    return e == KEYS_UNAVAILABLE || e == TOKEN_KEY || (e == TOKEN_SIGNATURE && !jws->id.size);
}

static instant deadline_of(const struct exchange *x, int64_t patience)
{
    return clock_sooner(x->deadline, clock_after(loop_now(), patience));
}

enum status keyring_verify(
    struct keyring *ring, struct exchange *x, const struct jws *jws, int64_t patience)
{
    instant deadline = x->is_rehearsal ? 0 : deadline_of(x, patience);
    for (;;) {
        uint32_t turn = atomic_load(&ring->bench->turn);
        struct jose_keys *keys = newest_keys(ring);
        enum status e = keys ? jws_verify(jws, keys) : KEYS_UNAVAILABLE;
        jose_keys_unref(keys);
        if (!may_be_newer(e, jws))
            return e;
        enum status waited = await(ring, x, turn, deadline);
        if (waited)
            return waited == CANCELLED ? waited : e;
    }
}

uint32_t keyring_epoch(const struct keyring *ring)
{
    return atomic_load_explicit(&ring->epoch, memory_order_relaxed);
}

enum status keyring_provider(
    struct keyring *ring, struct exchange *x, int64_t patience, struct oidc_provider *ret_provider)
{
    instant deadline = x->is_rehearsal ? 0 : deadline_of(x, patience);
    for (;;) {
        uint32_t turn = atomic_load(&ring->bench->turn);
        pthread_mutex_lock(&ring->mutex);
        bool is_there = ring->provider.issuer.size > 0;
        enum status e = is_there ? oidc_provider_copy(&x->arena, &ring->provider, ret_provider)
                                 : KEYS_UNAVAILABLE;
        pthread_mutex_unlock(&ring->mutex);
        if (is_there)
            return e;
        enum status waited = await(ring, x, turn, deadline);
        if (waited)
            return waited == CANCELLED ? waited : e;
    }
}

struct tls_client *keyring_tls(const struct keyring *ring)
{
    return ring->tls;
}

/* --- its life */

struct making {
    const struct keyring_options *options;
    struct service_plane *plane; /* NULL: only looked at */
    struct tls_authorities *authorities;
};

static enum status copy_words(struct keyring *ring, const struct keyring_options *options)
{
    ring->issuer = arena_copy(&ring->arena, options->keys.size ? SLICE("") : options->issuer);
    ring->url = arena_copy(&ring->arena, options->keys);
    ring->source = options->keys.size ? ring->url : ring->issuer;
    return ring->issuer.data && ring->url.data ? OK : NO_MEMORY;
}

static void begin(struct keyring *ring)
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

static void release_keyring(void *object)
{
    struct keyring *ring = object;
    errand_stop(&ring->errand);
    bench_unref(ring->bench);
    jose_keys_unref(ring->keys);
    tls_client_unref(ring->tls);
    arena_release(&ring->provider_arena);
    arena_release(&ring->arena);
    pthread_mutex_destroy(&ring->mutex);
}

static enum status init_keyring(void *object, void *context)
{
    static const struct slice protocol = SLICE_INIT("http/1.1");
    const struct making *making = context;
    struct keyring *ring = object;
    const struct tls_client_options how = {
        .authorities = making->authorities, .protocols = &protocol, .protocol_count = 1};
    arena_init(&ring->arena, 1024, 0);
    arena_init(&ring->provider_arena, 1024, 0);
    pthread_mutex_init(&ring->mutex, NULL);
    ring->plane = making->plane;
    ring->refresh = making->options->refresh;
    ring->cooldown = making->options->cooldown;
    ring->bench = bench_new(making->plane ? making->plane->options.workers : 0);
    enum status e = ring->bench ? copy_words(ring, making->options) : NO_MEMORY;
    if (!e && making->authorities)
        e = tls_client_new(&how, &ring->tls);
    if (e)
        release_keyring(ring);
    else if (ring->plane)
        begin(ring);
    return e;
}

/* Whom to trust, and the digest of the file that says it. */
static enum status read_authorities(struct prepare *prepare, const struct keyring_options *options,
    struct making *making, char ret_digest[TLS_DIGEST_SIZE])
{
    const struct source *file;
    const char *problem = "";
    struct reader *reader = prepare->reader;
    *ret_digest = '\0';
    if (!options->ca.size) {
        struct tls_authorities *system = making->plane ? plane_authorities(making->plane) : NULL;
        making->authorities = system ? tls_authorities_ref(system) : NULL;
        return OK;
    }
    struct slice path = source_path(reader->arena, options->ca_place.source, options->ca);
    enum status e = path.data ? source_read(reader->arena, path, CA_MAX, &file) : NO_MEMORY;
    if (!e)
        e = tls_authorities_new(file->text, &making->authorities, &problem);
    if (!e)
        e = tls_digest(file->text, ret_digest);
    if (e && e != NO_MEMORY)
        return diagnostics_error(reader->diagnostics, options->ca_place, SLICE_NONE, "\"%.*s\": %s",
            SLICE_ARG(slice_head(path, 200)), *problem ? problem : status_sentence(e));
    return e;
}

static enum status check_url(struct prepare *prepare, const struct keyring_options *options)
{
    struct slice url = options->keys.size ? options->keys : options->issuer;
    const char *problem = oidc_url_problem(prepare->reader->arena, url, true);
    if (!problem && !options->keys.size && slice_find(url, '?') < url.size)
        problem = "has a query";
    if (!problem)
        return OK;
    return diagnostics_error(prepare->reader->diagnostics, options->place,
        SLICE("https://id.shop.example; http:// is for 127.0.0.1 only"),
        "keys cannot be fetched from \"%.*s\": it %s", SLICE_ARG(slice_head(url, 200)), problem);
}

enum status keyring_obtain(
    struct prepare *prepare, const struct keyring_options *options, struct keyring **ret_ring)
{
    static const struct registry_kind kind = {
        "keyring", sizeof(struct keyring), init_keyring, release_keyring};
    struct service_plane *plane = prepare->plane;
    struct making making = {
        .options = options, .plane = plane && plane->options.control_loop ? plane : NULL};
    char digest[TLS_DIGEST_SIZE];
    void *object;
    enum status e = check_url(prepare, options);
    if (!e)
        e = read_authorities(prepare, options, &making, digest);
    if (e)
        return e;
    struct slice name = arena_format(prepare->reader->arena, "%.*s %.*s %s %lld %lld",
        SLICE_ARG(options->issuer), SLICE_ARG(options->keys), digest, (long long)options->refresh,
        (long long)options->cooldown);
    e = name.data ? registry_obtain(prepare->registry, &kind, name, &making, &object) : NO_MEMORY;
    tls_authorities_unref(making.authorities);
    if (e)
        return e;
    if (arena_own(prepare->reader->arena, registry_release, object))
        return NO_MEMORY;
    *ret_ring = object;
    return OK;
}
