/* The masters of a cluster that a worker speaks with. All on that worker's thread. */
#include <stdlib.h>

#include "run/loop.h"
#include "service/plane.h"
#include "store/redis_cluster.h"
#include "store/redis_state.h"

#define REDIRECTS_MAX 5
#define MAP_EVERY     (100 * MILLISECOND) /* at most so often it is asked for */
#define NOWHERE       0                   /* else the number of a node, from 1 */

struct redis_node {
    struct redis_place place;
    char host[REDIS_HOST_MAX + 1];
    struct redis_link *link; /* owned by its keeper; NULL: none */
    bool is_in_use;          /* has slots, or was sent to */
};

struct redis_nodes {
    struct redis_seat *seat;
    uint16_t slots[REDIS_SLOTS]; /* NOWHERE, or which node */
    struct redis_node nodes[REDIS_NODES_MAX];
    struct redis_call map; /* the question for it */
    bool is_map_asked;
    instant map_asked;
};

struct redis_nodes *redis_nodes_new(struct redis_seat *seat)
{
    struct redis_nodes *nodes = calloc(1, sizeof *nodes);
    if (nodes)
        nodes->seat = seat;
    return nodes;
}

void redis_nodes_leave(struct redis_nodes *nodes)
{
    for (unsigned i = 0; nodes && i < REDIS_NODES_MAX; i++)
        redis_keep_no_more(nodes->nodes[i].link);
}

/* --- nodes */

static void set_place(
    struct redis_nodes *nodes, struct redis_node *node, struct slice host, uint16_t port)
{
    memcpy(node->host, host.data, host.size);
    struct slice kept = slice_of(node->host, host.size);
    struct slice tls_name = nodes->seat->redis->tls_name;
    node->place = (struct redis_place){
        .shown = kept, .host = kept, .port = port, .tls_name = tls_name.size ? tls_name : kept};
    if (!address_parse_ip(kept, port, &node->place.address))
        node->place.host = SLICE_NONE;
    node->is_in_use = true;
}

/* The number of that node, brought in if it is new; NOWHERE when there are too many. */
static uint16_t find_node(struct redis_nodes *nodes, struct slice host, uint16_t port)
{
    struct redis_node *free_one = NULL;
    for (unsigned i = 0; i < REDIS_NODES_MAX; i++) {
        struct redis_node *node = &nodes->nodes[i];
        if (node->is_in_use && node->place.port == port && slice_equal(node->place.shown, host))
            return (uint16_t)(i + 1);
        if (!node->is_in_use && !node->link && !free_one)
            free_one = node;
    }
    if (!free_one)
        return NOWHERE;
    set_place(nodes, free_one, host, port);
    return (uint16_t)(free_one - nodes->nodes + 1);
}

/* Its connection, made if there is none; NULL when there can be none. */
static struct redis_link *link_of(struct redis_nodes *nodes, uint16_t number)
{
    if (number == NOWHERE)
        return nodes->seat->link;
    struct redis_node *node = &nodes->nodes[number - 1];
    if (!node->link)
        redis_keep(&node->link, nodes->seat, &node->place);
    return node->link;
}

/* --- the map */

static void forget_unused(struct redis_nodes *nodes)
{
    bool is_used[REDIS_NODES_MAX + 1] = {false};
    for (unsigned i = 0; i < REDIS_SLOTS; i++)
        is_used[nodes->slots[i]] = true;
    for (unsigned i = 0; i < REDIS_NODES_MAX; i++)
        if (!is_used[i + 1]) {
            nodes->nodes[i].is_in_use = false;
            redis_keep_no_more(nodes->nodes[i].link);
        }
}

static enum status take_map(struct redis_call *call, struct slice reply)
{
    struct redis_nodes *nodes = list_entry(call, struct redis_nodes, map);
    struct redis_map_reader reader;
    struct redis_range range;
    enum status e = redis_map_begin(reply, &reader);
    while (!e && !(e = redis_map_next(&reader, &range))) {
        uint16_t number = range.host.size ? find_node(nodes, range.host, range.port) : NOWHERE;
        for (unsigned i = range.first; number != NOWHERE && i <= range.last; i++)
            nodes->slots[i] = number;
    }
    if (e == END)
        forget_unused(nodes);
    return e == END ? OK : e;
}

static void ask_for_map(struct redis_nodes *nodes)
{
    static const struct slice words[] = {SLICE_INIT("CLUSTER"), SLICE_INIT("SLOTS")};
    struct redis_link *link = nodes->seat->link;
    if ((nodes->is_map_asked && !nodes->map.is_done) || !link ||
        (nodes->is_map_asked && loop_now() - nodes->map_asked < MAP_EVERY))
        return;
    nodes->map = (struct redis_call){.answer = take_map};
    nodes->is_map_asked = redis_send(link, words, 2, &nodes->map);
    nodes->map_asked = loop_now();
}

/* --- asking */

/* Where a reply sends its question; false when that is nowhere. */
static bool follow(struct redis_nodes *nodes, const struct redis_asking *asking,
    struct redis_link **link, bool *ret_is_ask)
{
    struct redis_redirect redirect = {
        asking->is_ask, asking->slot, slice_of_text(asking->host), asking->port};
    uint16_t number = find_node(nodes, redirect.host, redirect.port);
    metric_add(nodes->seat->redis->stores->plane->options.shards[nodes->seat->worker],
        nodes->seat->redis->stores->redirects, 1);
    if (number == NOWHERE)
        return false;
    *ret_is_ask = redirect.is_ask;
    if (!redirect.is_ask) {
        nodes->slots[redirect.slot] = number;
        ask_for_map(nodes);
    }
    *link = link_of(nodes, number);
    return *link;
}

enum status redis_nodes_ask(struct redis_nodes *nodes, struct redis_command *command,
    struct redis_asking *asking, instant deadline)
{
    struct redis_link *link = link_of(nodes, nodes->slots[redis_slot_of(command->key_word)]);
    bool is_ask = false;
    enum status e = STORE_UNAVAILABLE;
    for (int i = 0; link && i <= REDIRECTS_MAX; i++) {
        asking->is_redirected = false;
        e = redis_command_ask(link, command, asking, is_ask, deadline);
        if (e != INVALID || !asking->is_redirected)
            break;
        e = STORE_UNAVAILABLE; /* who sends on has done nothing */
        if (!follow(nodes, asking, &link, &is_ask))
            break;
    }
    if (e == STORE_UNAVAILABLE || e == CLOSED || e == TIMEOUT)
        ask_for_map(nodes);
    return e;
}
