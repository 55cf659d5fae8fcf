/* Where the server is, and a connection to it. */
#include "run/loop.h"
#include "run/resolver.h"
#include "service/connect.h"
#include "store/redis_state.h"

#include <stdio.h>

static enum status connect_to_address(struct redis_link *link, const struct redis_place *place,
    const struct address *address, instant deadline, struct stream **ret_stream)
{
    const char *trouble = "";
    struct redis *redis = link->redis;
    struct tls_client *tls = place->is_sentinel ? redis->sentinel_tls : redis->tls;
    enum status e = connect_address(address, tls, place->tls_name, SLICE_NONE, NULL,
        (struct connect_time){deadline, 0}, ret_stream, &trouble);
    if (e)
        redis_complain(link->redis, slice_of_text(*trouble ? trouble : status_word(e)));
    return e;
}

/* All addresses of its name in turn. */
static enum status connect_to(struct redis_link *link, const struct redis_place *place,
    instant deadline, struct stream **ret_stream)
{
    if (!place->host.size)
        return connect_to_address(link, place, &place->address, deadline, ret_stream);
    struct resolver *resolver =
        service_plane_worker_resolver(link->redis->stores->plane, link->worker);
    struct resolved resolved;
    enum status e = resolver ? resolver_resolve(resolver, place->host, place->port, &link->scratch,
                                   deadline, &resolved)
                             : NO_MEMORY;
    if (e) {
        redis_complain(link->redis, SLICE("its name has no address"));
        return e;
    }
    e = NOT_FOUND;
    for (size_t i = 0; e && e != CANCELLED && i < resolved.count; i++)
        e = connect_to_address(link, place, &resolved.addresses[i], deadline, ret_stream);
    return e;
}

static struct redis_greeting *new_greeting(
    struct redis_link *link, struct stream *stream, instant deadline)
{
    struct redis_greeting *greeting = arena_new(&link->scratch, struct redis_greeting);
    if (greeting) {
        greeting->link = link;
        greeting->stream = stream;
        greeting->deadline = deadline;
    }
    return greeting;
}

static enum status connect_and_greet(struct redis_link *link, const struct redis_place *place,
    instant deadline, struct stream **ret_stream)
{
    struct stream *stream;
    enum status e = connect_to(link, place, deadline, &stream);
    if (e)
        return e;
    struct redis_greeting *greeting = new_greeting(link, stream, deadline);
    e = greeting ? redis_greet(greeting) : NO_MEMORY;
    if (e)
        stream_close(stream);
    else
        *ret_stream = stream;
    return e;
}

/* --- Sentinels */

/* An address, or a name where Sentinels are told to say names. In the scratch arena. */
static enum status place_of_answer(
    struct redis_link *link, struct redis_greeting *greeting, struct redis_place *ret_place)
{
    const struct redis *redis = link->redis;
    struct resp_token host, port;
    uint64_t number;
    if (greeting->token.kind != RESP_LIST || greeting->token.number != 2 ||
        resp_read(&greeting->rest, &host) || resp_read(&greeting->rest, &port) ||
        !slice_to_u64(port.text, &number) || number == 0 || number > 65535 || !host.text.size) {
        redis_complain(link->redis, SLICE("no Sentinel knows a master of that name"));
        return NOT_FOUND;
    }
    struct redis_place place = {.port = (uint16_t)number};
    place.host = arena_copy(&link->scratch, host.text);
    place.tls_name = redis->tls_name.size ? redis->tls_name : place.host;
    place.shown =
        arena_format(&link->scratch, "%.*s:%u", SLICE_ARG(slice_head(host.text, 100)), place.port);
    if (!place.host.data || !place.shown.data)
        return NO_MEMORY;
    if (!address_parse_ip(host.text, place.port, &place.address))
        place.host = SLICE_NONE;
    *ret_place = place;
    return OK;
}

static enum status ask_sentinel(struct redis_link *link, const struct redis_place *sentinel,
    instant deadline, struct redis_place *ret_place)
{
    const struct slice words[] = {
        SLICE_INIT("SENTINEL"), SLICE_INIT("get-master-addr-by-name"), link->redis->master};
    struct stream *stream;
    enum status e = connect_to(link, sentinel, deadline, &stream);
    if (e)
        return e;
    struct redis_greeting *greeting = new_greeting(link, stream, deadline);
    e = greeting ? redis_greet_sentinel(greeting) : NO_MEMORY;
    if (!e)
        e = redis_insist(greeting, words, 3);
    if (!e)
        e = place_of_answer(link, greeting, ret_place);
    stream_close(stream);
    return e;
}

/* Who answered last is asked first; each has a part of the time that is left. */
static enum status find_master(
    struct redis_link *link, instant deadline, struct redis_place *ret_place)
{
    struct redis *redis = link->redis;
    size_t first = atomic_load_explicit(&redis->sentinel_first, memory_order_relaxed);
    enum status e = NOT_FOUND;
    for (size_t i = 0; e && e != CANCELLED && i < redis->sentinel_count; i++) {
        size_t at = (first + i) % redis->sentinel_count;
        int64_t left = deadline - loop_now();
        instant until = loop_now() + left / (int64_t)(redis->sentinel_count - i + 1);
        e = ask_sentinel(link, &redis->sentinels[at], until, ret_place);
        if (!e)
            atomic_store_explicit(&redis->sentinel_first, at, memory_order_relaxed);
    }
    return e;
}

static void note_current(struct redis *redis, struct slice shown)
{
    pthread_mutex_lock(&redis->mutex);
    snprintf(redis->current, sizeof redis->current, "%.*s", SLICE_ARG(shown));
    pthread_mutex_unlock(&redis->mutex);
}

/* To one of a cluster's nodes, which tells where all are. The next one is asked first the next
 * time: this one may have failed, or be cut off from the others. */
static enum status connect_to_any(
    struct redis_link *link, instant deadline, struct stream **ret_stream)
{
    struct redis *redis = link->redis;
    size_t first = atomic_fetch_add_explicit(&redis->sentinel_first, 1, memory_order_relaxed);
    enum status e = NOT_FOUND;
    for (size_t i = 0; e && e != CANCELLED && i < redis->sentinel_count; i++) {
        const struct redis_place *place = &redis->sentinels[(first + i) % redis->sentinel_count];
        int64_t left = deadline - loop_now();
        instant until = loop_now() + left / (int64_t)(redis->sentinel_count - i);
        e = connect_and_greet(link, place, until, ret_stream);
        if (!e)
            note_current(redis, place->shown);
    }
    return e;
}

enum status redis_connect(struct redis_link *link, struct stream **ret_stream)
{
    struct redis *redis = link->redis;
    instant deadline = loop_now() + redis->connect_timeout;
    struct redis_place place = link->place ? *link->place : redis->server;
    enum status e = OK;
    arena_init(&link->scratch, 0, 0);
    if (!link->place && redis->is_cluster) {
        e = connect_to_any(link, deadline, ret_stream);
    } else {
        if (!link->place && redis->sentinel_count)
            e = find_master(link, deadline, &place);
        if (!e)
            e = connect_and_greet(link, &place, deadline, ret_stream);
        if (!e && !link->place)
            note_current(redis, place.shown);
    }
    arena_release(&link->scratch);
    return e;
}
