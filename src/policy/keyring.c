#include "policy/keyring_state.h"

#include "run/loop.h"
#include "run/tls.h"
#include "service/errand.h"
#include "service/plane.h"

#define CA_MAX ((size_t)4 << 20)

bool keyring_is_url(struct slice text)
{
    return slice_has_prefix(text, SLICE("https://")) || slice_has_prefix(text, SLICE("http://"));
}

/* --- workers */

/* Waits until a fetch has ended that was not over at the time of `turn`. OK: one has; NOT_FOUND:
 * none will be made now; TIMEOUT, CANCELLED. */
static enum status await(
    struct keyring *ring, const struct exchange *x, uint32_t turn, instant deadline)
{
    struct keyring_bench *bench = ring->bench;
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

enum status keyring_provider(struct keyring *ring, const struct exchange *x, int64_t patience,
    struct arena *arena, struct oidc_provider *ret_provider)
{
    instant deadline = x->is_rehearsal ? 0 : deadline_of(x, patience);
    for (;;) {
        uint32_t turn = atomic_load(&ring->bench->turn);
        pthread_mutex_lock(&ring->mutex);
        bool is_there = ring->provider.issuer.size > 0;
        enum status e =
            is_there ? oidc_provider_copy(arena, &ring->provider, ret_provider) : KEYS_UNAVAILABLE;
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

static void release_keyring(void *object)
{
    struct keyring *ring = object;
    errand_stop(&ring->errand);
    keyring_bench_unref(ring->bench);
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
    ring->bench = keyring_bench_new(making->plane ? making->plane->options.workers : 0);
    enum status e = ring->bench ? copy_words(ring, making->options) : NO_MEMORY;
    if (!e && making->authorities)
        e = tls_client_new(&how, &ring->tls);
    if (e)
        release_keyring(ring);
    else if (ring->plane)
        keyring_begin(ring);
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
        KEYRING_KIND, sizeof(struct keyring), init_keyring, release_keyring};
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
