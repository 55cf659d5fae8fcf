#include "gateway/own_paths.h"

#include <stdlib.h>

/* A request for such a path, as far as routing looks at it. */
struct probe {
    const struct snapshot *snapshot;
    struct reader *reader;
    struct exchange x;
};

static bool has_policy(const struct route *route, const void *config)
{
    for (size_t i = 0; i < route->link_count; i++)
        if (route->links[i].config == config)
            return true;
    return false;
}

/* Some host that the name of a route's host stands for. */
static struct slice host_for(struct arena *arena, struct slice name)
{
    if (slice_equal(name, SLICE("*")))
        return SLICE("");
    if (!slice_has_prefix(name, SLICE("*.")))
        return name;
    return arena_format(arena, "any%.*s", SLICE_ARG(slice_from(name, 1)));
}

/* Whether a request of that host would come to a route with the policy. */
static bool leads_there(struct probe *probe, struct slice host, enum http_method method,
    struct slice path, const void *config)
{
    struct exchange *x = &probe->x;
    const struct route *route;
    arena_init(&x->arena, 0, 0);
    fields_init(&x->request.fields, &x->arena);
    fields_init(&x->response.fields, &x->arena);
    (void)address_parse_ip(SLICE("127.0.0.1"), 0, &x->client);
    x->peer = x->client;
    x->is_rehearsal = true;
    x->request.method = method;
    x->request.method_text = http_method_name(method);
    x->request.host = x->request.authority = host_for(&x->arena, host);
    x->request.path = x->request.target = path;
    bool leads = snapshot_route(probe->snapshot, x, &route) == OK && has_policy(route, config);
    arena_release(&x->arena);
    return leads;
}

static bool some_host_leads_there(struct probe *probe, const struct route *route,
    enum http_method method, struct slice path, const void *config)
{
    const struct option_list *hosts =
        route->options->has_hosts ? &route->options->hosts : &probe->snapshot->options->hosts;
    const struct slice *names = hosts->items;
    if (!hosts->count)
        return leads_there(probe, SLICE(""), method, path, config);
    for (size_t i = 0; i < hosts->count; i++)
        if (leads_there(probe, names[i], method, path, config))
            return true;
    return false;
}

/* What a condition will say nobody knows: it is taken to hold. */
static bool is_reached(
    struct probe *probe, enum http_method method, struct slice path, const void *config)
{
    const struct snapshot *snapshot = probe->snapshot;
    for (size_t i = 0; i < snapshot->route_count; i++) {
        const struct route *route = &snapshot->routes[i];
        if (has_policy(route, config) &&
            (route->options->when || some_host_leads_there(probe, route, method, path, config)))
            return true;
    }
    return false;
}

/* Where the policy stands: at the top of the file, or on the route. */
static const struct named_policy *find_policy(
    const struct snapshot *snapshot, const struct route *route, const void *config)
{
    const struct option_list *lists[] = {&snapshot->options->policies, &route->options->policies};
    for (size_t k = 0; k < sizeof lists / sizeof *lists; k++) {
        const struct named_policy *policies = lists[k]->items;
        for (size_t i = 0; i < lists[k]->count; i++)
            if (policies[i].config == config)
                return &policies[i];
    }
    return NULL;
}

static enum status complain(struct probe *probe, const struct route *route, const void *config,
    enum http_method method, struct slice path)
{
    const struct named_policy *policy = find_policy(probe->snapshot, route, config);
    struct slice name = policy && policy->name.size ? policy->name : route->name,
                 verb = http_method_name(method);
    return diagnostics_error(probe->reader->diagnostics,
        policy ? policy->place : route->options->place,
        SLICE("a route that leads there has to have it, as \"/**\" with `use` does"),
        "no route leads to %.*s %.*s, which \"%.*s\" is to answer itself", SLICE_ARG(verb),
        SLICE_ARG(path), SLICE_ARG(name));
}

static enum status check_policy(
    struct probe *probe, const struct route *route, const struct policy_link *link)
{
    enum http_method method;
    struct slice path;
    for (size_t i = 0; link->type->own_path(link->config, i, &method, &path); i++)
        if (!is_reached(probe, method, path, link->config) &&
            complain(probe, route, link->config, method, path) == NO_MEMORY)
            return NO_MEMORY;
    return OK;
}

/* Whether a route before this one has it, too. */
static bool is_known(const struct snapshot *snapshot, size_t routes, const void *config)
{
    for (size_t i = 0; i < routes; i++)
        if (has_policy(&snapshot->routes[i], config))
            return true;
    return false;
}

static bool has_own_path(const struct policy_link *link)
{
    enum http_method method;
    struct slice path;
    return link->config && link->type->own_path &&
           link->type->own_path(link->config, 0, &method, &path);
}

enum status own_paths_check(struct reader *reader, const struct snapshot *snapshot)
{
    enum status e = OK;
    struct probe *probe = calloc(1, sizeof *probe);
    if (!probe)
        return NO_MEMORY;
    *probe = (struct probe){.snapshot = snapshot, .reader = reader};
    for (size_t i = 0; i < snapshot->route_count && !e; i++) {
        const struct route *route = &snapshot->routes[i];
        for (size_t k = 0; k < route->link_count && !e; k++)
            if (has_own_path(&route->links[k]) && !is_known(snapshot, i, route->links[k].config))
                e = check_policy(probe, route, &route->links[k]);
    }
    free(probe);
    return e;
}
