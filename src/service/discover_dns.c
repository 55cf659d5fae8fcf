/* Names with a port: A and AAAA records, asked for again when their time is over. */
#include "service/dns_source.h"

#include "run/loop.h"

struct dns_options {
    struct dns_source_options dns;
    struct slice name;
    uint16_t port;
};

static const struct option rows[] = {DNS_SOURCE_ROWS, {NULL}};

static const struct option_table table = {.name = "dns",
    .help = "A host name with a port, `user.internal:8080`, which stands for all its addresses; "
            "`dns://` before it says the same. It is asked for again by the records' TTL.",
    .options = rows,
    .size = sizeof(struct dns_options),
    .example = "{resolver: 127.0.0.1:8600}"};

static enum status prepare(
    struct finder *finder, struct reader *reader, struct place place, void *value)
{
    struct dns_options *options = value;
    struct slice rest = finder_rest(finder);
    size_t colon = slice_find(rest, ':');
    uint64_t port;
    if (colon == 0 || colon == rest.size || !slice_to_u64(slice_from(rest, colon + 1), &port) ||
        port == 0 || port > 65535)
        return diagnostics_error(reader->diagnostics, place, SLICE("dns://user.internal:8080"),
            "a name needs its port, from 1 to 65535");
    options->name = slice_head(rest, colon);
    options->port = (uint16_t)port;
    return dns_source_check(reader, place, &options->dns);
}

static void report(struct finder *finder, const struct dns_options *options,
    const struct resolved *resolved, struct arena *arena)
{
    struct findings findings = {.arena = arena};
    struct finding finding = {.name = options->name, .weight = 1};
    for (size_t i = 0; i < resolved->count; i++) {
        finding.address = resolved->addresses[i];
        if (findings_add(&findings, &finding))
            return; /* without memory the old ones stay */
    }
    (void)finder_report(finder, &findings);
}

static enum status resolve(struct finder *finder, const struct dns_options *options,
    struct resolver *resolver, instant *ret_next)
{
    struct resolved resolved = {0};
    struct arena arena;
    arena_init(&arena, 0, 0);
    enum status e = resolver_resolve(
        resolver, options->name, options->port, &arena, loop_now() + DNS_SOURCE_TIMEOUT, &resolved);
    if (!e && fiber_is_cancelled(fiber_current()))
        e = CANCELLED;
    if (!e) {
        // cppcheck-suppress uninitStructMember
        *ret_next = dns_source_next(resolved.ttl);
        report(finder, options, &resolved, &arena);
    }
    arena_release(&arena);
    return e;
}

static enum status follow(struct finder *finder, void *value)
{
    const struct dns_options *options = value;
    struct resolver *resolver;
    instant next;
    enum status e = dns_source_enter(finder, &options->dns, &resolver);
    if (e)
        return dns_source_failed(finder, e);
    do
        e = resolve(finder, options, resolver, &next);
    while (!e && !(e = fiber_sleep_until(next)));
    dns_source_leave(&options->dns, resolver);
    return dns_source_failed(finder, e);
}

const struct discovery dns_discovery = {.scheme = "dns",
    .form = "dns://NAME:PORT",
    .help = "Names with a port.",
    .table = &table,
    .prepare = prepare,
    .follow = follow};
