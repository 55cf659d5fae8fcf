/* The ear: the first worker's second connection, on which the server says what others publish. A
 * connection of its own, since one that listens takes no commands in RESP2, and so that much news
 * holds no answer up. It is made when somebody first listens, and stays as long as the store. */
#include <stdlib.h>

#include "run/loop.h"
#include "service/plane.h"
#include "store/redis_state.h"

/* What is listened to; in the store's list. */
struct redis_channel {
    struct list node;
    struct slice name; /* in `bytes`; as the server knows it, with the prefix */
    char bytes[];
};

/* On its way to the worker. */
struct redis_change {
    struct message message;
    struct redis *redis; /* counted */
    bool is_wanted;
    struct redis_channel *channel; /* owned */
};

/* --- which channels */

static struct redis_channel *channel_new(const struct redis *redis, struct slice name)
{
    size_t size = redis->prefix.size + name.size;
    struct redis_channel *channel = malloc(sizeof *channel + size + 1);
    if (!channel)
        return NULL;
    struct text text = text_fixed(channel->bytes, size + 1);
    text_add(&text, redis->prefix);
    text_add(&text, name);
    channel->name = text_slice(&text);
    list_init(&channel->node);
    return channel;
}

static struct redis_channel *find(const struct redis *redis, struct slice name)
{
    list_each (node, &redis->channels) {
        struct redis_channel *channel = list_entry(node, struct redis_channel, node);
        if (slice_equal(channel->name, name))
            return channel;
    }
    return NULL;
}

/* One may be there already: there are several who listen. */
static void note(struct redis *redis, struct redis_channel *channel, bool is_wanted)
{
    struct redis_channel *old;
    pthread_mutex_lock(&redis->mutex);
    old = find(redis, channel->name);
    if (old)
        list_remove(&old->node);
    if (is_wanted)
        list_push_back(&redis->channels, &channel->node);
    pthread_mutex_unlock(&redis->mutex);
    free(old);
    if (!is_wanted)
        free(channel);
}

void redis_listen_release(struct redis *redis)
{
    list_each (node, &redis->channels)
        free(list_entry(node, struct redis_channel, node));
}

/* --- the connection */

static void say(struct redis_link *link, bool is_wanted, struct slice name)
{
    const struct slice words[] = {is_wanted ? SLICE("SUBSCRIBE") : SLICE("UNSUBSCRIBE"), name};
    redis_write(link, words, 2);
}

void redis_listen_begin(struct redis_link *link)
{
    struct redis *redis = link->redis;
    pthread_mutex_lock(&redis->mutex);
    list_each (node, &redis->channels)
        say(link, true, list_entry(node, struct redis_channel, node)->name);
    pthread_mutex_unlock(&redis->mutex);
}

/* On the worker's thread. While there is no connection it is enough that the channel is in the
 * list. */
static void change_delivered(struct message *message)
{
    struct redis_change *change = list_entry(message, struct redis_change, message);
    struct redis *redis = change->redis;
    if (redis->ear && redis->ear->state == REDIS_UP)
        say(redis->ear, change->is_wanted, change->channel->name);
    if (!redis->ear && change->is_wanted)
        redis_keep(&redis->ear, &redis->seats[REDIS_SPOKESMAN], NULL);
    free(change->channel);
    free(change);
    redis_let_go(redis);
}

static struct redis_change *change_new(struct redis *redis, struct slice channel, bool is_wanted)
{
    struct redis_change *change = malloc(sizeof *change);
    if (!change)
        return NULL;
    *change = (struct redis_change){.message = {.deliver = change_delivered},
        .redis = redis,
        .is_wanted = is_wanted,
        .channel = channel_new(redis, channel)};
    if (change->channel)
        return change;
    free(change);
    return NULL;
}

enum status redis_listen(struct store *store, struct slice name, bool is_wanted)
{
    struct redis *redis = (struct redis *)store;
    if (!redis->workers)
        return OK;
    struct redis_channel *channel = channel_new(redis, name);
    struct redis_change *change = channel ? change_new(redis, name, is_wanted) : NULL;
    if (!change) {
        free(channel);
        return NO_MEMORY;
    }
    note(redis, channel, is_wanted);
    atomic_fetch_add(&redis->holders, 1);
    if (plane_post(redis->stores->plane, REDIS_SPOKESMAN, &change->message))
        return OK;
    atomic_fetch_sub(&redis->holders, 1);
    free(change->channel);
    free(change);
    return OK;
}

/* --- what is heard */

/* ["message", channel, text], ["subscribe", channel, number], … : a push, or a list in RESP2. */
static bool read_news(struct slice reply, struct resp_token news[3])
{
    struct slice rest = reply;
    struct resp_token list;
    if (resp_read(&rest, &list) || (list.kind != RESP_PUSH && list.kind != RESP_LIST) ||
        list.number != 3)
        return false;
    for (int i = 0; i < 3; i++)
        if (resp_read(&rest, &news[i]))
            return false;
    return news[0].kind == RESP_TEXT && news[1].kind == RESP_TEXT;
}

enum status redis_hear(struct redis_link *link, struct slice reply)
{
    struct redis *redis = link->redis;
    struct store_bus *bus = redis->store.bus;
    struct slice rest = reply;
    struct resp_token token, news[3];
    if (!resp_read(&rest, &token) && token.kind == RESP_ERROR) {
        redis_complain(redis, token.text);
        return CLOSED;
    }
    if (!read_news(reply, news) || !slice_has_prefix(news[1].text, redis->prefix))
        return NOT_FOUND;
    struct slice channel = slice_from(news[1].text, redis->prefix.size);
    if (slice_equal(news[0].text, SLICE("subscribe")))
        store_bus_begin(bus, &redis->store, channel);
    else if (slice_equal(news[0].text, SLICE("message")) && news[2].kind == RESP_TEXT)
        store_bus_say(bus, &redis->store, channel, news[2].text);
    return OK;
}
