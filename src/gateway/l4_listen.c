#include "gateway/l4_listen.h"

static enum status add_address(struct reader *reader, const struct option_map_entry *entry,
    enum listen_kind kind, struct listen_options *listen)
{
    struct listen_address at = {.text = entry->key, .place = entry->place, .kind = kind};
    if (address_parse(entry->key, &at.address))
        return diagnostics_error(reader->diagnostics, entry->place,
            SLICE("write \":5432\", \"127.0.0.1:5432\", \"[::1]:5432\" or \"unix:/run/weir.sock\""),
            "\"%.*s\" is not an address to listen on", SLICE_ARG(slice_head(entry->key, 200)));
    listen->all[listen->count++] = at;
    return OK;
}

enum status l4_listen_join(struct reader *reader, struct listen_options *listen)
{
    const struct listen_address *before = listen->all;
    if (listen->tcp.count == 0)
        return OK;
    listen->all =
        arena_array(reader->arena, listen->count + listen->tcp.count, sizeof *listen->all);
    if (!listen->all)
        return NO_MEMORY;
    for (size_t i = 0; i < listen->count; i++)
        listen->all[i] = before[i];
    for (size_t i = 0; i < listen->tcp.count; i++)
        (void)add_address(reader, &listen->tcp.entries[i], LISTEN_TCP, listen);
    return OK;
}

enum status l4_rules_prepare(const struct l4_prepare *prepare, const struct listen_options *listen,
    struct l4_rules *ret_rules)
{
    const struct option_map *map = &listen->tcp;
    struct l4_rules rules = {
        .tcp = arena_array(prepare->reader->arena, map->count + 1, sizeof *rules.tcp)};
    enum status e = rules.tcp ? OK : NO_MEMORY;
    for (size_t i = 0; !e && i < map->count; i++) {
        prepare->reader->subject = arena_format(
            prepare->reader->arena, "TCP listener \"%.*s\"", SLICE_ARG(map->entries[i].key));
        e = tcp_rules_prepare(
            prepare, map->entries[i].key, map->entries[i].value, &rules.tcp[rules.tcp_count++]);
    }
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
