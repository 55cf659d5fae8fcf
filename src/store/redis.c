#include "store/redis.h"

#include <stdio.h>
#include <stdlib.h>

#include "run/loop.h"
#include "run/mailbox.h"
#include "service/service_tls.h"
#include "store/redis_state.h"
#include "store/store_ops.h"

/* --- its life */

static void wipe(struct slice secret)
{
    if (secret.size)
        explicit_bzero((char *)(uintptr_t)secret.data, secret.size);
}

void redis_let_go(struct redis *redis)
{
    if (atomic_fetch_sub(&redis->holders, 1) > 1)
        return;
    tls_client_unref(redis->tls);
    tls_client_unref(redis->sentinel_tls);
    wipe(redis->server_identity.password);
    wipe(redis->sentinel_identity.password);
    arena_release(&redis->arena);
    redis_listen_release(redis);
    pthread_mutex_destroy(&redis->mutex);
    for (unsigned i = 0; i < redis->workers; i++)
        free(redis->seats[i].nodes);
    free(redis->seats);
    free(redis);
}

static void leave_delivered(struct message *message)
{
    struct redis_seat *seat = list_entry(message, struct redis_seat, farewell);
    redis_keep_no_more(seat->link);
    if (seat->worker == REDIS_SPOKESMAN) {
        redis_keep_no_more(seat->redis->ear);
        redis_presence_end(seat->redis);
    }
    redis_nodes_leave(seat->nodes);
    redis_let_go(seat->redis);
}

/* The last snapshot that has it is gone. */
static void retire(struct redis *redis)
{
    list_remove(&redis->node);
    for (unsigned i = 0; i < redis->workers; i++) {
        struct redis_seat *seat = &redis->seats[i];
        seat->farewell.deliver = leave_delivered;
        atomic_fetch_add(&redis->holders, 1);
        if (!plane_post(redis->stores->plane, i, &seat->farewell))
            atomic_fetch_sub(&redis->holders, 1);
    }
    redis_let_go(redis);
}

static bool make_seats(struct redis *redis, unsigned workers)
{
    size_t size = (workers + 1) * sizeof *redis->seats;
    redis->seats = aligned_alloc(_Alignof(struct redis_seat), size);
    if (!redis->seats)
        return false;
    memset(redis->seats, 0, size);
    redis->workers = workers;
    bool is_whole = true;
    for (unsigned i = 0; i < workers; i++) {
        redis->seats[i].redis = redis;
        redis->seats[i].worker = i;
        if (redis->is_cluster)
            redis->seats[i].nodes = redis_nodes_new(&redis->seats[i]);
        is_whole = is_whole && (redis->seats[i].nodes || !redis->is_cluster);
    }
    return is_whole;
}

/* What a store is made of. */
struct recipe {
    struct stores *stores;
    const struct redis_options *options;
    struct tls_client *tls, *sentinel_tls; /* borrowed; or NULL */
};

static bool keep_text(struct redis *redis, struct slice *text)
{
    *text = arena_copy(&redis->arena, *text);
    return text->data;
}

static bool keep_identity(struct redis *redis, struct redis_identity *identity)
{
    return keep_text(redis, &identity->user) && keep_text(redis, &identity->password);
}

/* Its certificate is for `tls_name`, or for its host when that is empty. */
static bool keep_place(struct redis *redis, const struct endpoint_place *from,
    struct slice tls_name, struct redis_place *place)
{
    char room[ADDRESS_TEXT_MAX];
    struct text text = text_fixed(room, sizeof room);
    *place = (struct redis_place){.shown = from->text,
        .host = from->name,
        .port = from->port,
        .tls_name = tls_name.size ? tls_name : from->name};
    address_copy(&place->address, &from->address);
    if (!place->tls_name.size) {
        address_format_ip(&from->address, &text);
        place->tls_name = text_slice(&text);
    }
    return keep_text(redis, &place->shown) && keep_text(redis, &place->host) &&
           keep_text(redis, &place->tls_name);
}

static bool keep_sentinels(struct redis *redis, const struct redis_options *options)
{
    struct slice tls_name =
        options->sentinel.tls.is_set ? options->sentinel.tls.name : redis->tls_name;
    redis->is_cluster = options->cluster.count > 0;
    const struct option_list *list = redis->is_cluster ? &options->cluster : &options->sentinels;
    const struct endpoint_place *sentinels = list->items;
    redis->sentinel_count = list->count;
    redis->sentinels = arena_array(&redis->arena, list->count + 1, sizeof *redis->sentinels);
    if (!redis->sentinels)
        return false;
    for (size_t i = 0; i < list->count; i++) {
        if (!keep_place(redis, &sentinels[i], tls_name, &redis->sentinels[i]))
            return false;
        redis->sentinels[i].is_sentinel = !redis->is_cluster;
    }
    redis->shown = redis->server.shown;
    if (options->sentinels.count)
        redis->shown = arena_format(&redis->arena, "master %.*s", SLICE_ARG(options->master));
    if (redis->is_cluster)
        redis->shown = arena_format(&redis->arena, "cluster of %.*s", SLICE_ARG(sentinels[0].text));
    return redis->shown.data;
}

static bool keep_texts(struct redis *redis, const struct recipe *recipe)
{
    const struct redis_options *options = recipe->options;
    redis->tls_name = options->tls.name;
    redis->server_identity = (struct redis_identity){options->user, options->password};
    redis->sentinel_identity =
        (struct redis_identity){options->sentinel.user, options->sentinel.password};
    redis->prefix = options->prefix;
    redis->master = options->master;
    return keep_text(redis, &redis->tls_name) && keep_identity(redis, &redis->server_identity) &&
           keep_identity(redis, &redis->sentinel_identity) && keep_text(redis, &redis->prefix) &&
           keep_text(redis, &redis->master) &&
           keep_place(redis, &options->server, redis->tls_name, &redis->server) &&
           keep_sentinels(redis, options);
}

static const struct store_ops redis_ops;

static enum status redis_new(const struct recipe *recipe, struct redis **ret_redis)
{
    const struct redis_options *options = recipe->options;
    struct redis *redis = calloc(1, sizeof *redis);
    if (!redis)
        return NO_MEMORY;
    redis->store = (struct store){.ops = &redis_ops,
        .gateways = options->gateways ? options->gateways : 1,
        .bus = &recipe->stores->bus};
    redis->stores = recipe->stores;
    redis->counts_gateways = options->gateways == 0;
    redis->holders = 1;
    redis->database = options->database;
    redis->timeout = options->timeout;
    redis->connect_timeout = options->connect_timeout;
    redis->pending = (uint32_t)options->pending;
    arena_init(&redis->arena, 0, 0);
    pthread_mutex_init(&redis->mutex, NULL);
    list_init(&redis->node);
    list_init(&redis->channels);
    if (recipe->tls)
        redis->tls = tls_client_ref(recipe->tls);
    if (recipe->sentinel_tls)
        redis->sentinel_tls = tls_client_ref(recipe->sentinel_tls);
    if (!redis_programs_init(redis->programs) || !keep_texts(redis, recipe) ||
        !make_seats(redis, recipe->stores->plane->options.workers)) {
        redis_let_go(redis);
        return NO_MEMORY;
    }
    list_push_back(&recipe->stores->servers, &redis->node);
    *ret_redis = redis;
    return OK;
}

/* --- the registry's */

struct redis_holder {
    struct redis *redis;
};

static enum status init_holder(void *object, void *context)
{
    return redis_new(context, &((struct redis_holder *)object)->redis);
}

static void release_holder(void *object)
{
    retire(((struct redis_holder *)object)->redis);
}

static const struct registry_kind redis_kind = {
    "redis", sizeof(struct redis_holder), init_holder, release_holder};

/* The same name for what makes the same store. It holds digests of the passwords. */
static enum status name_recipe(
    struct arena *arena, const struct recipe *recipe, struct slice *ret_name)
{
    const struct redis_options *options = recipe->options;
    const struct endpoint_place *sentinels = options->sentinels.items;
    char password[TLS_DIGEST_SIZE], sentinel_password[TLS_DIGEST_SIZE];
    struct text text = text_growing(0);
    if (tls_digest(options->password, password) ||
        tls_digest(options->sentinel.password, sentinel_password))
        return NO_MEMORY;
    text_format(&text, "%.*s %p %.*s %.*s %s %lld %lld %lld %lld %lld %.*s %.*s",
        SLICE_ARG(options->server.text), (void *)recipe->tls, SLICE_ARG(options->tls.name),
        SLICE_ARG(options->user), password, (long long)options->database,
        (long long)options->timeout, (long long)options->connect_timeout,
        (long long)options->pending, (long long)options->gateways, SLICE_ARG(options->prefix),
        SLICE_ARG(options->master));
    text_format(&text, " %p %.*s %.*s %s", (void *)recipe->sentinel_tls,
        SLICE_ARG(options->sentinel.tls.name), SLICE_ARG(options->sentinel.user),
        sentinel_password);
    for (size_t i = 0; i < options->sentinels.count; i++)
        text_format(&text, " %.*s", SLICE_ARG(sentinels[i].text));
    for (size_t i = 0; i < options->cluster.count; i++)
        text_format(&text, " cluster %.*s",
            SLICE_ARG(((const struct endpoint_place *)options->cluster.items)[i].text));
    *ret_name = text.failed ? SLICE_NONE : arena_copy(arena, text_slice(&text));
    text_release(&text);
    return ret_name->data ? OK : NO_MEMORY;
}

enum status redis_obtain(struct stores *stores, struct reader *reader,
    const struct redis_options *options, struct store **ret_store)
{
    struct recipe recipe = {.stores = stores, .options = options};
    struct slice name = SLICE_NONE;
    void *object;
    enum status e = OK;
    if (options->is_tls)
        e = service_tls_client_obtain(stores->plane, reader, &options->tls, &recipe.tls);
    recipe.sentinel_tls = options->sentinel.is_clear ? NULL : recipe.tls;
    if (!e && options->sentinel.tls.is_set)
        e = service_tls_client_obtain(
            stores->plane, reader, &options->sentinel.tls, &recipe.sentinel_tls);
    if (!e)
        e = name_recipe(reader->arena, &recipe, &name);
    if (!e)
        e = registry_obtain(stores->plane->options.registry, &redis_kind, name, &recipe, &object);
    if (e)
        return e;
    if (arena_own(reader->arena, registry_release, object))
        return NO_MEMORY;
    *ret_store = &((struct redis_holder *)object)->redis->store;
    return OK;
}

/* --- how it does */

unsigned redis_count(const struct redis *redis, enum redis_state state)
{
    unsigned count = 0;
    for (unsigned i = 0; i < redis->workers; i++)
        count += atomic_load_explicit(&redis->seats[i].state, memory_order_relaxed) == (int)state;
    return count;
}

void redis_complain(struct redis *redis, struct slice why)
{
    pthread_mutex_lock(&redis->mutex);
    snprintf(redis->trouble, sizeof redis->trouble, "%.*s", SLICE_ARG(why));
    pthread_mutex_unlock(&redis->mutex);
}

/* A text that workers write. */
static void read_note(const struct redis *redis, const char *note, char *room, size_t size)
{
    pthread_mutex_t *mutex = (pthread_mutex_t *)(uintptr_t)&redis->mutex;
    pthread_mutex_lock(mutex);
    memcpy(room, note, size);
    pthread_mutex_unlock(mutex);
}

void redis_tell(struct redis *redis)
{
    const struct service_plane_options *plane = &redis->stores->plane->options;
    bool is_down = redis_count(redis, REDIS_DOWN) > 0;
    char trouble[REDIS_TROUBLE_SIZE], text[REDIS_TROUBLE_SIZE + ADDRESS_TEXT_MAX + 128];
    if (is_down == redis->is_told || !plane->notice)
        return;
    redis->is_told = is_down;
    read_note(redis, redis->trouble, trouble, sizeof trouble);
    if (is_down)
        snprintf(text, sizeof text, "redis %.*s cannot be asked: %s",
            SLICE_ARG(slice_head(redis->shown, 100)), trouble);
    else
        snprintf(text, sizeof text, "redis %.*s can be asked again",
            SLICE_ARG(slice_head(redis->shown, 100)));
    plane->notice(plane->notice_argument, text);
}

/* Whether what others publish is heard, if anybody listens; true: it is not. */
static bool describe_ear(const struct redis *redis, struct json_writer *writer)
{
    int state = atomic_load_explicit(&redis->ear_state, memory_order_relaxed);
    static const char *const words[] = {
        [REDIS_CONNECTING] = "connecting", [REDIS_UP] = "up", [REDIS_DOWN] = "down"};
    pthread_mutex_t *mutex = (pthread_mutex_t *)(uintptr_t)&redis->mutex;
    pthread_mutex_lock(mutex);
    bool is_wanted = !list_is_empty(&redis->channels);
    pthread_mutex_unlock(mutex);
    json_write_key(writer, SLICE("messages"));
    if (is_wanted)
        json_write_string(writer, slice_of_text(words[state]));
    else
        json_write_null(writer);
    return is_wanted && state == REDIS_DOWN;
}

static void describe(const struct store *store, struct json_writer *writer)
{
    const struct redis *redis = (const struct redis *)store;
    unsigned up = redis_count(redis, REDIS_UP), down = redis_count(redis, REDIS_DOWN);
    char trouble[REDIS_TROUBLE_SIZE], current[ADDRESS_TEXT_MAX];
    read_note(redis, redis->trouble, trouble, sizeof trouble);
    read_note(redis, redis->current, current, sizeof current);
    json_write_object(writer);
    json_put_text(writer, "at", redis->shown);
    json_put_text(writer, "server", slice_of_text(current));
    json_put_i64(writer, "database", redis->database);
    json_put_text(writer, "state", down ? SLICE("down") : up ? SLICE("up") : SLICE("connecting"));
    json_put_u64(writer, "connections", up);
    json_put_i64(writer, "gateways", redis->store.gateways);
    bool is_deaf = describe_ear(redis, writer);
    if (down || is_deaf)
        json_put_text(writer, "trouble", slice_of_text(trouble));
    else
        json_put_null(writer, "trouble");
    json_write_object_end(writer);
}

/* --- what it is asked */

static void join(struct store *store, unsigned worker)
{
    struct redis *redis = (struct redis *)store;
    struct redis_seat *seat = &redis->seats[worker];
    if (!seat->link)
        redis_keep(&seat->link, seat, NULL);
    if (worker == REDIS_SPOKESMAN)
        redis_presence_begin(redis);
}

static const struct store_ops redis_ops = {
    .ask = redis_answer, .listen = redis_listen, .join = join, .describe = describe};
