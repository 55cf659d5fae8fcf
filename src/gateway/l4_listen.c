#include "gateway/l4_listen.h"

static bool parse_address(struct slice text, enum listen_kind kind, struct address *ret_address)
{
    return !address_parse(text, ret_address) &&
           (kind != LISTEN_UDP || ret_address->any.sa_family != AF_UNIX);
}

static void add_address(struct reader *reader, const struct option_map_entry *entry,
    enum listen_kind kind, struct listen_options *listen)
{
    struct listen_address at = {.text = entry->key, .place = entry->place, .kind = kind};
    if (parse_address(entry->key, kind, &at.address))
        listen->all[listen->count++] = at;
    else
        (void)diagnostics_error(reader->diagnostics, entry->place,
            SLICE("write \":5432\", \"127.0.0.1:5432\", \"[::1]:5432\" or, for TCP, "
                  "\"unix:/run/weir.sock\""),
            "\"%.*s\" is not an address to listen on", SLICE_ARG(slice_head(entry->key, 200)));
}

enum status l4_listen_join(struct reader *reader, struct listen_options *listen)
{
    const struct listen_address *before = listen->all;
    size_t more = listen->tcp.count + listen->udp.count;
    if (more == 0)
        return OK;
    listen->all = arena_array(reader->arena, listen->count + more, sizeof *listen->all);
    if (!listen->all)
        return NO_MEMORY;
    for (size_t i = 0; i < listen->count; i++)
        listen->all[i] = before[i];
    for (size_t i = 0; i < listen->tcp.count; i++)
        add_address(reader, &listen->tcp.entries[i], LISTEN_TCP, listen);
    for (size_t i = 0; i < listen->udp.count; i++)
        add_address(reader, &listen->udp.entries[i], LISTEN_UDP, listen);
    return OK;
}

const struct option_map_entry *l4_listen_with_tls(const struct listen_options *listen)
{
    for (size_t i = 0; i < listen->tcp.count; i++) {
        const struct tcp_options *options = listen->tcp.entries[i].value;
        if (options->tls)
            return &listen->tcp.entries[i];
    }
    return NULL;
}

static enum status prepare_tcp(
    const struct l4_prepare *prepare, const struct option_map *map, struct l4_rules *rules)
{
    struct arena *arena = prepare->reader->arena;
    rules->tcp = arena_array(arena, map->count + 1, sizeof *rules->tcp);
    enum status e = rules->tcp ? OK : NO_MEMORY;
    for (size_t i = 0; !e && i < map->count; i++) {
        prepare->reader->subject =
            arena_format(arena, "TCP listener \"%.*s\"", SLICE_ARG(map->entries[i].key));
        e = tcp_rules_prepare(
            prepare, map->entries[i].key, map->entries[i].value, &rules->tcp[rules->tcp_count++]);
    }
    return e;
}

static enum status prepare_udp(
    const struct l4_prepare *prepare, const struct option_map *map, struct l4_rules *rules)
{
    struct arena *arena = prepare->reader->arena;
    rules->udp = arena_array(arena, map->count + 1, sizeof *rules->udp);
    enum status e = rules->udp ? OK : NO_MEMORY;
    for (size_t i = 0; !e && i < map->count; i++) {
        prepare->reader->subject =
            arena_format(arena, "UDP listener \"%.*s\"", SLICE_ARG(map->entries[i].key));
        e = udp_rules_prepare(
            prepare, map->entries[i].key, map->entries[i].value, &rules->udp[rules->udp_count++]);
    }
    return e;
}

enum status l4_rules_prepare(const struct l4_prepare *prepare, const struct listen_options *listen,
    struct l4_rules *ret_rules)
{
    struct l4_rules rules = {0};
    enum status e = prepare_tcp(prepare, &listen->tcp, &rules);
    if (!e)
        e = prepare_udp(prepare, &listen->udp, &rules);
    if (!e)
        *ret_rules = rules;
    return e;
}

const struct tcp_rules *l4_rules_of_tcp(const struct l4_rules *rules, struct slice listener)
{
    for (size_t i = 0; i < rules->tcp_count; i++)
        if (slice_equal(rules->tcp[i]->listener, listener))
            return rules->tcp[i];
    return NULL;
}

const struct udp_rules *l4_rules_of_udp(const struct l4_rules *rules, struct slice listener)
{
    for (size_t i = 0; i < rules->udp_count; i++)
        if (slice_equal(rules->udp[i]->listener, listener))
            return rules->udp[i];
    return NULL;
}
