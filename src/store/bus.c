#include "store/bus.h"

#include <stdlib.h>
#include <string.h>

#define BATCH 256

struct store_bell {
    struct message message;
    struct store_bus *bus; /* borrowed; NULL: it is gone */
};

/* What is on its way, with copies of its texts. */
struct news {
    struct list node;
    const struct store *store; /* whose; only compared */
    struct slice channel, message;
    bool is_begin; /* no message */
    char bytes[];
};

enum status store_bus_init(struct store_bus *bus, struct loop *loop)
{
    *bus = (struct store_bus){.loop = loop, .bell = calloc(1, sizeof *bus->bell)};
    if (!bus->bell)
        return NO_MEMORY;
    bus->bell->bus = bus;
    list_init(&bus->listeners);
    list_init(&bus->queue);
    pthread_mutex_init(&bus->mutex, NULL);
    return OK;
}

void store_bus_release(struct store_bus *bus)
{
    struct list *node;
    while ((node = list_pop_front(&bus->queue)))
        free(list_entry(node, struct news, node));
    bus->bell->bus = NULL;
    if (!bus->is_called)
        free(bus->bell);
    pthread_mutex_destroy(&bus->mutex);
}

/* --- who listens */

void store_bus_add(struct store_bus *bus, struct store_listener *listener)
{
    list_push_back(&bus->listeners, &listener->node);
}

static bool listens(
    const struct store_listener *listener, const struct store *store, struct slice channel)
{
    return listener->store == store && slice_equal(listener->channel, channel);
}

bool store_bus_has(const struct store_bus *bus, const struct store *store, struct slice channel)
{
    bool any = false;
    list_each (node, &bus->listeners)
        any = any || listens(list_entry(node, struct store_listener, node), store, channel);
    return any;
}

/* --- hearing, on the control thread */

/* The oldest; NULL when there is none. Then the bell may be rung again, unless there is a loss to
 * be told of first: what is lost meanwhile is part of the same. */
static struct news *take(struct store_bus *bus, bool *ret_has_lost)
{
    pthread_mutex_lock(&bus->mutex);
    struct list *node = list_pop_front(&bus->queue);
    struct news *news = node ? list_entry(node, struct news, node) : NULL;
    if (news) {
        bus->count--;
        bus->bytes -= news->message.size;
    } else {
        *ret_has_lost = bus->has_lost;
        bus->has_lost = false;
        bus->is_called = *ret_has_lost;
    }
    pthread_mutex_unlock(&bus->mutex);
    return news;
}

static void begin(struct store_listener *listener)
{
    if (listener->begin)
        listener->begin(listener);
}

static void begin_all(struct store_bus *bus)
{
    list_each (node, &bus->listeners)
        begin(list_entry(node, struct store_listener, node));
}

static void tell(struct store_bus *bus, const struct news *news)
{
    bool is_heard = false;
    list_each (node, &bus->listeners) {
        struct store_listener *listener = list_entry(node, struct store_listener, node);
        if (!listens(listener, news->store, news->channel))
            continue;
        is_heard = true;
        if (news->is_begin)
            begin(listener);
        else
            listener->hear(listener, news->message);
    }
    if (is_heard && !news->is_begin)
        atomic_fetch_add_explicit(&bus->heard, 1, memory_order_relaxed);
}

/* Some; the rest when others have had their turn. */
static bool tell_some(struct store_bus *bus, bool *ret_has_lost)
{
    for (int i = 0; i < BATCH; i++) {
        struct news *news = take(bus, ret_has_lost);
        if (!news)
            return false;
        tell(bus, news);
        free(news);
    }
    return true;
}

static void ring(struct message *message)
{
    struct store_bell *bell = list_entry(message, struct store_bell, message);
    struct store_bus *bus = bell->bus;
    if (!bus) {
        free(bell);
        return;
    }
    bool has_lost = false;
    bool has_more = tell_some(bus, &has_lost);
    if (has_lost)
        begin_all(bus);
    if (has_more || has_lost)
        mailbox_post(bus->loop, &bell->message);
}

/* --- saying */

static struct slice keep(char *at, struct slice text)
{
    if (text.size)
        memcpy(at, text.data, text.size);
    return slice_of(at, text.size);
}

static struct news *news_new(
    const struct store *store, struct slice channel, struct slice message, bool is_begin)
{
    struct news *news = malloc(sizeof *news + channel.size + message.size + 1);
    if (!news)
        return NULL;
    news->store = store;
    news->is_begin = is_begin;
    news->channel = keep(news->bytes, channel);
    news->message = keep(news->bytes + channel.size, message);
    return news;
}

/* Under the lock. */
static void call(struct store_bus *bus)
{
    if (bus->is_called)
        return;
    bus->is_called = true;
    bus->bell->message.deliver = ring;
    mailbox_post(bus->loop, &bus->bell->message);
}

/* False: it is lost, and all who listen will be told to begin anew. */
static bool send(struct store_bus *bus, struct news *news)
{
    size_t size = news ? news->message.size : 0;
    pthread_mutex_lock(&bus->mutex);
    bool has_room =
        news && bus->count < STORE_BUS_MESSAGES_MAX && bus->bytes + size <= STORE_BUS_BYTES_MAX;
    if (has_room) {
        list_push_back(&bus->queue, &news->node);
        bus->count++;
        bus->bytes += size;
    }
    bus->has_lost = bus->has_lost || !has_room;
    call(bus);
    pthread_mutex_unlock(&bus->mutex);
    if (!has_room)
        free(news);
    return has_room;
}

void store_bus_say(
    struct store_bus *bus, const struct store *store, struct slice channel, struct slice message)
{
    if (bus->loop && !send(bus, news_new(store, channel, message, false)))
        atomic_fetch_add_explicit(&bus->lost, 1, memory_order_relaxed);
}

void store_bus_begin(struct store_bus *bus, const struct store *store, struct slice channel)
{
    if (bus->loop)
        (void)send(bus, news_new(store, channel, SLICE(""), true));
}
