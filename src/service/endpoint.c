#include "service/endpoint.h"

#include "service/agent.h"
#include "service/check.h"
#include "service/order.h"

#include <stdlib.h>

#define MALLOC_WORD sizeof(size_t) /* what malloc keeps before each block */

/* What the registry keeps: endpoints live on for a while after it has let go. */
struct endpoint_entry {
    struct endpoint *endpoint;
};

struct endpoint_recipe {
    struct service_plane *plane;
    const struct endpoint_key *key;
    bool is_new; /* it was made by this */
};

static void free_memory(struct endpoint *endpoint)
{
    history_release(&endpoint->history);
    for (unsigned i = 0; i < endpoint->plane->options.workers; i++)
        tls_session_release(&endpoint->pools[i].session);
    tls_session_release(&endpoint->check_session);
    free(endpoint->breaker);
    free(endpoint);
}

/* Of an address, what address_copy takes. */
static size_t address_room(const struct address *address)
{
    return address->size <= sizeof address->v6 ? offsetof(struct address, v6) + sizeof address->v6
                                               : sizeof *address;
}

/* Moves `room` on behind the copy. */
static struct slice put_slice(char **room, struct slice s)
{
    char *copy = *room;
    if (s.size)
        memcpy(copy, s.data, s.size);
    *room += s.size;
    return slice_of(copy, s.size);
}

/* One block of memory for all of it: there may be very many. */
static struct endpoint *allocate(const struct endpoint_key *key, unsigned workers)
{
    struct endpoint *endpoint;
    size_t size = sizeof *endpoint + workers * sizeof endpoint->pools[0] +
                  address_room(key->address) + key->service_name.size + key->text.size +
                  key->tls_name.size;
    size_t grain = _Alignof(struct endpoint);
    /* With malloc's own word it fills its grains, so that the next one follows without a gap. */
    size = (size + MALLOC_WORD + grain - 1) / grain * grain - MALLOC_WORD;
    void *memory;
    return posix_memalign(&memory, grain, size) ? NULL : memory;
}

static struct endpoint *make(const struct endpoint_recipe *recipe)
{
    unsigned workers = recipe->plane->options.workers;
    const struct endpoint_key *key = recipe->key;
    struct endpoint *endpoint = allocate(key, workers);
    if (!endpoint)
        return NULL;
    *endpoint = (struct endpoint){
        .plane = recipe->plane, .grade = {.said = 1}, .duration_series = NO_SERIES};
    if (history_init(&endpoint->history)) {
        free(endpoint);
        return NULL;
    }
    timer_init(&endpoint->check_timer, NULL);
    timer_init(&endpoint->agent_timer, NULL);
    struct address *address = (struct address *)&endpoint->pools[workers];
    address_copy(address, key->address);
    endpoint->address = address;
    char *room = (char *)address + address_room(key->address);
    endpoint->service_name = put_slice(&room, key->service_name);
    endpoint->text = put_slice(&room, key->text);
    endpoint->tls_name = put_slice(&room, key->tls_name);
    for (unsigned i = 0; i < workers; i++)
        pool_init(&endpoint->pools[i], endpoint, i);
    return endpoint;
}

static enum status init_entry(void *object, void *context)
{
    struct endpoint_entry *entry = object;
    struct endpoint_recipe *recipe = context;
    struct service_plane *plane = recipe->plane;
    struct endpoint *endpoint = make(recipe);
    if (!endpoint)
        return NO_MEMORY;
    pthread_mutex_lock(&plane->mutex);
    endpoint->users = 1;
    for (unsigned i = 0; i < plane->options.workers; i++)
        endpoint->users += !plane->has_left[i];
    list_push_back(&plane->endpoints, &endpoint->node);
    plane->endpoint_count++;
    pthread_mutex_unlock(&plane->mutex);
    entry->endpoint = endpoint;
    recipe->is_new = true;
    if (plane->orders.size)
        orders_apply(endpoint);
    return OK;
}

static void retire_pool(struct message *message)
{
    struct pool *pool = list_entry(message, struct pool, retire);
    pool_close(pool);
    endpoint_unref(pool->endpoint);
}

static void release_entry(void *object)
{
    struct endpoint *endpoint = ((struct endpoint_entry *)object)->endpoint;
    struct service_plane *plane = endpoint->plane;
    check_stop(endpoint);
    agent_leave(endpoint);
    pthread_mutex_lock(&plane->mutex);
    for (unsigned i = 0; i < plane->options.workers; i++) {
        struct pool *pool = &endpoint->pools[i];
        if (plane->has_left[i])
            continue;
        pool->is_retiring = true;
        pool->retire.deliver = retire_pool;
        mailbox_post(plane->options.worker_loops[i], &pool->retire);
    }
    endpoint_unref_locked(endpoint);
    pthread_mutex_unlock(&plane->mutex);
}

static const struct registry_kind endpoint_kind = {
    "endpoint", sizeof(struct endpoint_entry), init_entry, release_entry};

static struct slice registry_name(char *room, size_t size, const struct endpoint_key *key)
{
    struct text name = text_fixed(room, size);
    text_add(&name, key->service_name);
    text_add_char(&name, '\n');
    text_add(&name, key->text);
    text_add_char(&name, '\n');
    text_add(&name, key->tls_name);
    return name.failed ? SLICE_NONE : text_slice(&name);
}

enum status endpoint_obtain(struct service_plane *plane, const struct endpoint_key *key,
    struct endpoint_entry **ret_entry, bool *ret_is_new)
{
    struct endpoint_recipe recipe = {.plane = plane, .key = key};
    char room[1024];
    struct slice name = registry_name(room, sizeof room, key);
    void *object;
    if (!name.data)
        return TOO_LARGE;
    enum status e =
        registry_obtain(plane->options.registry, &endpoint_kind, name, &recipe, &object);
    if (e)
        return e;
    *ret_entry = object;
    *ret_is_new = recipe.is_new;
    return OK;
}

struct endpoint *endpoint_of(struct endpoint_entry *entry)
{
    return entry->endpoint;
}

void endpoint_keep(struct endpoint_entry *entry)
{
    registry_keep(entry);
}

void endpoint_drop(struct endpoint_entry *entry)
{
    registry_release(entry);
}

void endpoint_free(struct endpoint *endpoint)
{
    list_remove(&endpoint->node);
    endpoint->plane->endpoint_count--;
    free_memory(endpoint);
}

void endpoint_ref(struct endpoint *endpoint)
{
    atomic_fetch_add_explicit(&endpoint->users, 1, memory_order_relaxed);
}

void endpoint_unref_locked(struct endpoint *endpoint)
{
    if (atomic_fetch_sub(&endpoint->users, 1) == 1)
        endpoint_free(endpoint);
}

void endpoint_unref(struct endpoint *endpoint)
{
    struct service_plane *plane = endpoint->plane;
    pthread_mutex_lock(&plane->mutex);
    endpoint_unref_locked(endpoint);
    pthread_mutex_unlock(&plane->mutex);
}

enum status endpoint_add_breaker(struct endpoint *endpoint)
{
    if (!endpoint->breaker)
        atomic_store(&endpoint->breaker, calloc(1, sizeof(struct breaker)));
    return endpoint->breaker ? OK : NO_MEMORY;
}

void endpoint_note(struct endpoint *endpoint, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    history_note(&endpoint->history, format, arguments);
    va_end(arguments);
}

void endpoint_note_once(struct endpoint *endpoint, const char *text)
{
    if (!history_is_newest(&endpoint->history, text))
        endpoint_note(endpoint, "%s", text);
}

void endpoint_rise(struct endpoint *endpoint)
{
    instant now = clock_now();
    atomic_store_explicit(&endpoint->load.risen, now, memory_order_relaxed);
    atomic_store_explicit(&endpoint->plane->risen, now, memory_order_relaxed);
}

void endpoint_show_reasons(struct endpoint *endpoint)
{
    uint32_t reasons = atomic_load(&endpoint->reasons);
    bool is_forgiven = reasons & DOWN_FORGIVEN;
    if (is_forgiven)
        reasons &= ~(uint32_t)DOWN_FORGIVABLE;
    reasons &= ~(uint32_t)DOWN_FORGIVEN;
    if (atomic_load_explicit(&endpoint->load.is_down, memory_order_relaxed) == reasons)
        return;
    if (!reasons && !is_forgiven) /* it begins slowly, if it is to */
        endpoint_rise(endpoint);
    atomic_store(&endpoint->load.is_down, reasons);
    atomic_fetch_add_explicit(&endpoint->plane->change, 1, memory_order_relaxed);
    sweep_stir(endpoint->plane);
}

bool endpoint_set_down(struct endpoint *endpoint, uint32_t reason, bool is_down)
{
    uint32_t before = is_down ? atomic_fetch_or(&endpoint->reasons, reason)
                              : atomic_fetch_and(&endpoint->reasons, ~reason);
    endpoint_show_reasons(endpoint);
    return is_down != ((before & reason) != 0);
}
