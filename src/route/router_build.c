#include "route/router_state.h"

#include "base/grow.h"
#include "base/hash.h"

#include <stdlib.h>

#define STEPS_WARNED 1000 /* beyond so many nodes in one look-up the file gets a warning */

/* A router under construction. */
struct builder {
    struct reader *reader;
    struct router *router;
    struct placement *placements; /* owned, one for each rule and root */
    size_t count, capacity;
    enum status failure; /* INVALID: a rule was complained about */
};

static void complain_host(struct builder *b, const struct route_rule *rule, struct slice host)
{
    b->failure = diagnostics_error(b->reader->diagnostics, rule->place,
        SLICE("api.example.com, *.example.com or *"), "\"%.*s\" is not a host",
        SLICE_ARG(slice_head(host, 200)));
}

static void note_invalid(struct builder *b, enum status e)
{
    if (e && b->failure != NO_MEMORY)
        b->failure = e;
}

static unsigned count_parameters(const struct path_pattern *path)
{
    unsigned count = 0;
    for (unsigned i = 0; i < path->count; i++)
        count += path->segments[i].name.size > 0;
    return count;
}

/* Which parametric segments the rule wants to keep. */
static enum status list_parameters(struct arena *arena, struct rule *rule)
{
    unsigned capture = 0, count = count_parameters(&rule->path);
    if (count == 0)
        return OK;
    rule->parameters = arena_array(arena, count, sizeof *rule->parameters);
    if (!rule->parameters)
        return NO_MEMORY;
    for (unsigned i = 0; i < rule->path.count; i++) {
        const struct segment *segment = &rule->path.segments[i];
        if (segment->kind == SEGMENT_EXACT || segment->kind == SEGMENT_REST)
            continue;
        if (segment->name.size)
            rule->parameters[rule->parameter_count++] =
                (struct rule_parameter){segment->name, capture};
        capture++;
    }
    return OK;
}

static enum status parse_rule(struct builder *b, struct rule *rule)
{
    const struct route_rule *given = &rule->given;
    enum status e = path_pattern_parse(b->reader, given->place, given->path, &rule->path);
    return e ? e : list_parameters(b->reader->arena, rule);
}

static enum status parse_rules(struct builder *b, const struct route_rule *rules)
{
    struct router *router = b->router;
    for (size_t i = 0; i < router->rule_count; i++) {
        router->rules[i].given = rules[i];
        note_invalid(b, parse_rule(b, &router->rules[i]));
    }
    return b->failure;
}

/* Calls `each` for every host that a rule names; the host is NULL for rules that take any. */
static enum status each_host(
    struct builder *b, enum status (*each)(struct builder *b, uint32_t rule, struct host *host))
{
    struct router *router = b->router;
    enum status e = OK;
    for (uint32_t i = 0; !e && i < router->rule_count; i++) {
        const struct route_rule *rule = &router->rules[i].given;
        if (rule->host_count == 0)
            e = each(b, i, NULL);
        for (size_t j = 0; !e && j < rule->host_count; j++) {
            enum host_kind kind;
            struct slice name;
            struct host *host = NULL;
            e = host_parse(b->reader->arena, rule->hosts[j], &kind, &name);
            if (e == INVALID) {
                complain_host(b, rule, rule->hosts[j]);
                e = OK;
                continue;
            }
            struct host_set *set =
                kind == HOST_EXACT ? &router->hosts.exact : &router->hosts.wildcards;
            if (!e && kind != HOST_ANY && !(host = host_set_add(set, name)))
                e = NO_MEMORY;
            if (!e)
                e = each(b, i, host);
        }
    }
    return e;
}

/* Hosts whose rules are the same come to have the same signature, and then one root. */
static enum status sign_host(struct builder *b, uint32_t rule, struct host *host)
{
    if (host)
        host->signature =
            hash_bytes_seeded(slice_of((char *)&rule, sizeof rule), host->signature + 1);
    else if (b->router->hosts.any_root == 0)
        return trie_add_root(&b->router->trie, &b->router->hosts.any_root);
    return OK;
}

static int compare_signatures(const void *left, const void *right)
{
    const struct host *const *a = left, *const *b = right;
    return (*a)->signature < (*b)->signature ? -1 : (*a)->signature > (*b)->signature;
}

static size_t list_hosts(struct host_set *set, struct host **list)
{
    for (uint32_t i = 0; i < set->count; i++)
        list[i] = &set->items[i];
    return set->count;
}

static enum status make_roots(struct trie *trie, struct hosts *hosts)
{
    struct host **sorted = calloc(hosts->exact.count + hosts->wildcards.count + 1, sizeof *sorted);
    if (!sorted)
        return NO_MEMORY;
    size_t count = list_hosts(&hosts->exact, sorted);
    count += list_hosts(&hosts->wildcards, sorted + count);
    qsort(sorted, count, sizeof *sorted, compare_signatures);
    enum status e = OK;
    for (size_t i = 0; !e && i < count; i++) {
        sorted[i]->leads = i == 0 || sorted[i]->signature != sorted[i - 1]->signature;
        if (sorted[i]->leads)
            e = trie_add_root(trie, &sorted[i]->root);
        else
            sorted[i]->root = sorted[i - 1]->root;
    }
    free(sorted);
    return e;
}

static enum status place_rule(struct builder *b, uint32_t rule, uint32_t root)
{
    if (!grow_for_one(&b->placements, &b->capacity, b->count, sizeof *b->placements))
        return NO_MEMORY;
    struct placement *placement = &b->placements[b->count];
    placement->rule = rule;
    enum status e =
        trie_add(&b->router->trie, root, &b->router->rules[rule].path, &placement->leaf);
    b->count += e == OK;
    return e;
}

static enum status place_at_host(struct builder *b, uint32_t rule, struct host *host)
{
    if (host && !host->leads)
        return OK;
    return place_rule(b, rule, host ? host->root : b->router->hosts.any_root);
}

static enum status warn_of_alternatives(struct builder *b)
{
    uint32_t steps;
    enum status e = trie_worst_steps(&b->router->trie, &steps);
    if (!e && steps > STEPS_WARNED)
        diagnostics_warning(b->reader->diagnostics, b->router->rules[0].given.place,
            SLICE("fewer parameters where exact segments stand in other routes make it cheaper"),
            "so many routes overlap that finding one may take %u steps", steps);
    return e;
}

/* The entries of the leaves; then the trie's leaves get the numbers of their first entries. */
static enum status arrange(struct builder *b)
{
    struct router *router = b->router;
    size_t errors = b->reader->diagnostics->errors;
    uint32_t *first_entries = calloc(router->trie.leaf_count, sizeof *first_entries);
    if (!first_entries)
        return NO_MEMORY;
    enum status e = rules_arrange(
        b->reader, router->rules, b->placements, b->count, first_entries, &router->entries);
    if (!e)
        trie_renumber_leaves(&router->trie, first_entries);
    free(first_entries);
    return !e && b->reader->diagnostics->errors > errors ? INVALID : e;
}

static enum status build(struct builder *b, const struct route_rule *rules)
{
    struct router *router = b->router;
    enum status e = parse_rules(b, rules);
    if (!e)
        e = each_host(b, sign_host);
    if (!e)
        e = b->failure;
    if (!e)
        e = make_roots(&router->trie, &router->hosts);
    if (!e)
        e = each_host(b, place_at_host);
    if (!e)
        e = arrange(b);
    return e ? e : warn_of_alternatives(b);
}

static void release_router(void *argument)
{
    struct router *router = argument;
    trie_release(&router->trie);
    hosts_release(&router->hosts);
}

enum status router_build(struct reader *reader, const struct route_rule *rules, size_t count,
    const struct router **ret_router)
{
    struct router *router = arena_new(reader->arena, struct router);
    if (!router)
        return NO_MEMORY;
    trie_init(&router->trie);
    router->rules = arena_array(reader->arena, count + 1, sizeof *router->rules);
    router->rule_count = count;
    if (!router->rules || count > UINT32_MAX / 2 ||
        !arena_defer(reader->arena, release_router, router))
        return NO_MEMORY;
    struct builder builder = {.reader = reader, .router = router};
    enum status e = build(&builder, rules);
    free(builder.placements);
    if (!e)
        *ret_router = router;
    return e;
}
