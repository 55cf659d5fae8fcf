#include "l4/rules.h"

#include <stdlib.h>

#include "l4/metrics.h"
#include "service/service_state.h"

#define NAMES_MAX 100000 /* server names of a listener */

/* --- services */

static enum status complain_of_service(
    const struct l4_prepare *prepare, const struct l4_service_name *to)
{
    struct slice similar = prepare->similar_service(prepare->argument, to->name), hint = SLICE_NONE;
    if (similar.size)
        hint = arena_format(prepare->reader->arena, "did you mean \"%.*s\"?", SLICE_ARG(similar));
    return diagnostics_error(prepare->reader->diagnostics, to->place, hint,
        "there is no service \"%.*s\"", SLICE_ARG(slice_head(to->name, 100)));
}

static struct l4_target *new_target(
    const struct l4_prepare *prepare, enum l4_transport transport, struct slice listener)
{
    struct l4_target *target = arena_new(prepare->reader->arena, struct l4_target);
    if (target)
        l4_target_register(target, prepare->metrics, transport, listener);
    return target;
}

enum status l4_target_prepare(const struct l4_prepare *prepare, enum l4_transport transport,
    struct slice listener, const struct l4_service_name *to, const struct l4_target **ret_target)
{
    const struct service *service = prepare->find_service(prepare->argument, to->name);
    if (!service) {
        (void)complain_of_service(prepare, to);
        return OK;
    }
    struct l4_target *target = arena_new(prepare->reader->arena, struct l4_target);
    if (!target)
        return NO_MEMORY;
    target->service = service;
    target->service_name = service_name(service);
    l4_target_register(target, prepare->metrics, transport, listener);
    *ret_target = target;
    return OK;
}

/* --- server names */

static void release_names(void *argument)
{
    struct tcp_rules *rules = argument;
    table_release(&rules->names);
    table_release(&rules->wildcards);
}

/* Names are compared in lower case and without the dot that may end them; "*." is taken off. */
static enum status read_name(const struct l4_prepare *prepare, const struct option_map_entry *entry,
    struct slice *ret_name, bool *ret_is_wildcard)
{
    struct slice name = entry->key;
    bool is_wildcard = slice_has_prefix(name, SLICE("*."));
    if (is_wildcard)
        name = slice_from(name, 2);
    name = slice_head(name, name.size - slice_has_suffix(name, SLICE(".")));
    char *copy = arena_bytes(prepare->reader->arena, name.size + 1);
    if (!copy)
        return NO_MEMORY;
    bool is_good = name.size > 0 && name.size <= 253;
    for (size_t i = 0; i < name.size; i++) {
        char c = name.data[i];
        copy[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
        is_good = is_good && c > ' ' && c < 0x7f && !strchr("*/\\?#@,[]{}%:", c);
    }
    if (!is_good)
        return diagnostics_error(prepare->reader->diagnostics, entry->place,
            SLICE("a.example, \"*.a.example\" or else"), "\"%.*s\" is not a server name",
            SLICE_ARG(slice_head(entry->key, 200)));
    *ret_name = slice_of(copy, name.size);
    *ret_is_wildcard = is_wildcard;
    return OK;
}

static enum status make_name(const struct l4_prepare *prepare, const struct tcp_rules *rules,
    const struct l4_name_options *options, const struct l4_name **ret_name)
{
    struct arena *arena = prepare->reader->arena;
    struct l4_choice *choices = arena_array(arena, options->count, sizeof *choices);
    struct l4_name *name = arena_new(arena, struct l4_name);
    enum status e = choices && name ? OK : NO_MEMORY;
    for (int is_else = 0; is_else < 2; is_else++)
        for (size_t i = 0; !e && i < options->count; i++) {
            if ((options->items[i].protocol.size == 0) != is_else)
                continue;
            struct l4_choice *choice = &choices[name->count++];
            choice->protocol = options->items[i].protocol;
            e = l4_target_prepare(
                prepare, L4_TCP, rules->listener, &options->items[i].to, &choice->target);
        }
    if (e)
        return e;
    name->choices = choices;
    *ret_name = name;
    return OK;
}

static enum status add_name(
    const struct l4_prepare *prepare, struct tcp_rules *rules, const struct option_map_entry *entry)
{
    const struct l4_name *made;
    struct slice name = SLICE_NONE;
    bool is_wildcard = false;
    enum status e = make_name(prepare, rules, entry->value, &made);
    if (e)
        return e;
    if (slice_equal(entry->key, SLICE("else"))) {
        rules->otherwise = made;
        return OK;
    }
    e = read_name(prepare, entry, &name, &is_wildcard);
    if (!e)
        e = table_put(is_wildcard ? &rules->wildcards : &rules->names, name, (void *)made);
    if (e == EXISTS)
        (void)diagnostics_error(prepare->reader->diagnostics, entry->place, SLICE_NONE,
            "the server name \"%.*s\" stands here twice", SLICE_ARG(slice_head(name, 200)));
    return e == NO_MEMORY ? e : OK;
}

static enum status check_trust(const struct l4_prepare *prepare, const struct tcp_options *options)
{
    if (!options->proxy_protocol || prepare->trusted->count)
        return OK;
    return diagnostics_error(prepare->reader->diagnostics, options->proxy_place,
        SLICE("name the proxies at the top: trusted: [10.0.0.0/8]"),
        "a PROXY header is read from `trusted` peers only, and there are none");
}

enum status tcp_rules_prepare(const struct l4_prepare *prepare, struct slice listener,
    const struct tcp_options *options, const struct tcp_rules **ret_rules)
{
    struct tcp_rules *rules = arena_new(prepare->reader->arena, struct tcp_rules);
    if (!rules)
        return NO_MEMORY;
    rules->listener = listener;
    rules->options = options;
    rules->trusted = prepare->trusted;
    rules->tls = options->tls ? prepare->tls : NULL;
    rules->open_series = l4_open_series(prepare->metrics, L4_TCP, listener);
    table_init(&rules->names, NAMES_MAX);
    table_init(&rules->wildcards, NAMES_MAX);
    if (!arena_defer(prepare->reader->arena, release_names, rules))
        return NO_MEMORY;
    (void)check_trust(prepare, options);
    rules->nowhere = new_target(prepare, L4_TCP, listener);
    enum status e = rules->nowhere ? OK : NO_MEMORY;
    if (!e && options->to.name.size)
        e = l4_target_prepare(prepare, L4_TCP, listener, &options->to, &rules->to);
    for (size_t i = 0; !e && i < options->sni.count; i++)
        e = add_name(prepare, rules, &options->sni.entries[i]);
    if (!e)
        *ret_rules = rules;
    return e;
}

enum status udp_rules_prepare(const struct l4_prepare *prepare, struct slice listener,
    const struct udp_options *options, const struct udp_rules **ret_rules)
{
    struct udp_rules *rules = arena_new(prepare->reader->arena, struct udp_rules);
    if (!rules)
        return NO_MEMORY;
    rules->listener = listener;
    rules->options = options;
    rules->open_series = l4_open_series(prepare->metrics, L4_UDP, listener);
    rules->dropped_series = l4_dropped_series(prepare->metrics, listener);
    enum status e = l4_target_prepare(prepare, L4_UDP, listener, &options->to, &rules->to);
    bool is_there = !e && rules->to; /* else that was said */
    if (is_there && rules->to->service && rules->to->service->options->send_proxy)
        e = diagnostics_error(prepare->reader->diagnostics, options->to.place, SLICE_NONE,
            "\"%.*s\" wants a PROXY header, which has no place before datagrams",
            SLICE_ARG(options->to.name));
    if (!e)
        *ret_rules = rules;
    return e;
}

/* --- finding */

static const struct l4_target *choose(const struct l4_name *name, const struct client_hello *hello)
{
    for (size_t i = 0; i < name->count; i++) {
        const struct l4_choice *choice = &name->choices[i];
        if (choice->protocol.size == 0 || client_hello_offers(hello, choice->protocol))
            return choice->target;
    }
    return NULL;
}

/* The exact name, then the longest of the wildcards. */
const struct l4_name *tcp_rules_name(const struct tcp_rules *rules, struct slice name)
{
    const struct l4_name *found = name.size ? table_get(&rules->names, name) : NULL;
    while (!found && name.size) {
        name = slice_from(name, slice_find(name, '.') + 1);
        if (name.size)
            found = table_get(&rules->wildcards, name);
    }
    return found ? found : rules->otherwise;
}

const struct l4_target *tcp_rules_find(
    const struct tcp_rules *rules, const struct client_hello *hello)
{
    const struct l4_name *name = tcp_rules_name(rules, client_hello_name(hello));
    return name ? choose(name, hello) : NULL;
}
