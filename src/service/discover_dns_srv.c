/* SRV records (RFC 2782): where a service is, with priorities and weights. */
#include "service/dns_source.h"

#include "run/dns_message.h"
#include "run/loop.h"

#include <stdlib.h>

#define TYPE_SRV 33

struct srv_options {
    struct dns_source_options dns;
};

static const struct option rows[] = {DNS_SOURCE_ROWS, {NULL}};

static const struct option_table table = {.name = "dns+srv",
    .help =
        "SRV records (RFC 2782): `dns+srv://cart.internal`, `dns+srv://_http._tcp.shop.example`. "
        "The lowest priority is tier 0, the next one tier 1, and so on; weights are kept in "
        "proportion, where 0 beside others means next to nothing. Asked for again by the TTL.",
    .options = rows,
    .size = sizeof(struct srv_options),
    .example = "{resolver: 127.0.0.1:8600}"};

static enum status prepare(
    struct finder *finder, struct reader *reader, struct place place, void *value)
{
    const struct srv_options *options = value;
    struct slice name = finder_rest(finder);
    if (slice_find(name, ':') < name.size || slice_find(name, '/') < name.size)
        return diagnostics_error(reader->diagnostics, place, SLICE("dns+srv://cart.internal"),
            "SRV records say the port: a name alone is wanted");
    return dns_source_check(reader, place, &options->dns);
}

/* --- what the records mean */

/* The records of one priority. */
struct group {
    const struct dns_srv *records;
    size_t count;
    uint32_t tier;
    uint64_t least, most; /* of their weights */
};

static int by_priority(const void *one, const void *other)
{
    const struct dns_srv *a = one, *b = other;
    return a->priority < b->priority ? -1 : a->priority > b->priority;
}

/* The one that begins there, of records in order. */
static struct group group_at(const struct dns_srv_answer *answer, size_t begin)
{
    struct group group = {.records = &answer->records[begin], .least = UINT16_MAX};
    while (begin + group.count < answer->count &&
           group.records[group.count].priority == group.records->priority) {
        uint16_t weight = group.records[group.count++].weight;
        group.most = weight > group.most ? weight : group.most;
        group.least = weight < group.least ? weight : group.least;
    }
    return group;
}

/* Ours are from 1 to FOUND_WEIGHT_MAX. A 0 is to be chosen hardly ever, unless all are 0. */
static uint32_t weight_of(const struct group *group, const struct dns_srv *record)
{
    if (group->most == 0)
        return 1;
    if (group->least > 0 && group->most <= FOUND_WEIGHT_MAX)
        return record->weight;
    uint64_t scaled = (record->weight * (uint64_t)FOUND_WEIGHT_MAX + group->most / 2) / group->most;
    return scaled ? (uint32_t)scaled : 1;
}

/* --- addresses */

struct asking {
    struct finder *finder;
    struct resolver *resolver;
    struct arena *arena;
    struct dns_srv_answer answer;
    struct group group; /* the one that is looked at */
    struct findings findings;
    int64_t ttl;      /* the least of all */
    instant deadline; /* for all */
};

static void note_ttl(struct asking *asking, int64_t ttl)
{
    asking->ttl = ttl < asking->ttl ? ttl : asking->ttl;
}

static enum status add(struct asking *asking, const struct dns_srv *record, struct address address)
{
    struct finding finding = {.address = address,
        .name = record->target,
        .weight = weight_of(&asking->group, record),
        .tier = asking->group.tier};
    address_set_port(&finding.address, record->port);
    return findings_add(&asking->findings, &finding);
}

/* Those that came along; false: none. */
static enum status add_known(struct asking *asking, const struct dns_srv *record, bool *ret_any)
{
    enum status e = OK;
    *ret_any = false;
    for (size_t i = 0; !e && i < asking->answer.address_count; i++) {
        const struct dns_address *known = &asking->answer.addresses[i];
        if (!slice_equal_nocase(known->name, record->target))
            continue;
        *ret_any = true;
        note_ttl(asking, known->ttl * SECOND);
        e = add(asking, record, known->address);
    }
    return e;
}

/* A target that does not exist is left out; one that cannot be asked for makes the answer void. */
static enum status add_target(struct asking *asking, const struct dns_srv *record)
{
    struct resolved resolved;
    bool any;
    note_ttl(asking, record->ttl * SECOND);
    if (!record->target.size || !record->port)
        return OK;
    enum status e = add_known(asking, record, &any);
    if (e || any)
        return e;
    e = resolver_resolve(
        asking->resolver, record->target, record->port, asking->arena, asking->deadline, &resolved);
    if (e)
        return e == NOT_FOUND ? OK : e;
    note_ttl(asking, resolved.ttl);
    for (size_t i = 0; !e && i < resolved.count; i++)
        e = add(asking, record, resolved.addresses[i]);
    return e;
}

static enum status add_groups(struct asking *asking)
{
    enum status e = OK;
    uint32_t tier = 0;
    for (size_t i = 0; !e && i < asking->answer.count; i += asking->group.count) {
        asking->group = group_at(&asking->answer, i);
        asking->group.tier = tier++;
        for (size_t j = 0; !e && j < asking->group.count; j++)
            e = add_target(asking, &asking->group.records[j]);
    }
    return e;
}

static enum status ask(struct asking *asking)
{
    struct slice message;
    enum status e = resolver_query(asking->resolver, finder_rest(asking->finder), TYPE_SRV,
        asking->arena, asking->deadline, &message);
    if (!e)
        e = dns_read_srv(asking->arena, message, &asking->answer);
    if (e)
        return e;
    qsort(
        asking->answer.records, asking->answer.count, sizeof *asking->answer.records, by_priority);
    e = add_groups(asking);
    return e ? e : finder_report(asking->finder, &asking->findings);
}

static enum status ask_once(struct finder *finder, struct resolver *resolver, instant *ret_next)
{
    struct arena arena;
    arena_init(&arena, 0, 0);
    struct asking asking = {.finder = finder,
        .resolver = resolver,
        .arena = &arena,
        .findings = {.arena = &arena},
        .ttl = DAY,
        .deadline = loop_now() + DNS_SOURCE_TIMEOUT};
    enum status e = ask(&asking);
    *ret_next = dns_source_next(asking.ttl);
    arena_release(&arena);
    return e;
}

static enum status follow(struct finder *finder, void *value)
{
    const struct srv_options *options = value;
    struct resolver *resolver;
    instant next;
    enum status e = dns_source_enter(finder, &options->dns, &resolver);
    if (e)
        return dns_source_failed(finder, e);
    do
        e = ask_once(finder, resolver, &next);
    while (!e && !(e = fiber_sleep_until(next)));
    dns_source_leave(&options->dns, resolver);
    return dns_source_failed(finder, e);
}

const struct discovery dns_srv_discovery = {.scheme = "dns+srv",
    .form = "dns+srv://NAME",
    .help = "SRV records.",
    .table = &table,
    .prepare = prepare,
    .follow = follow};
