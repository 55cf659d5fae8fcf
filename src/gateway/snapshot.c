#include "gateway/snapshot.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/must.h"
#include "base/suggest.h"
#include "base/table.h"
#include "gateway/acme_certificates.h"
#include "gateway/chain.h"
#include "gateway/hidden_service.h"
#include "gateway/own_paths.h"

#define SNAPSHOT_BLOCK ((size_t)256 * 1024)

struct building {
    const struct snapshot_context *context;
    struct snapshot *snapshot;
    struct gateway_options *options;
    struct reader reader;
    struct prepare prepare; /* the pattern for each policy and handler */
};

static const struct service *find_service(struct prepare *prepare, struct slice name)
{
    const struct building *building = prepare->loader;
    const struct snapshot *snapshot = building->snapshot;
    for (size_t i = 0; i < snapshot->named_services; i++)
        if (snapshot->services[i] && slice_equal(service_name(snapshot->services[i]), name))
            return snapshot->services[i];
    return NULL;
}

static struct slice similar_service(struct prepare *prepare, struct slice name)
{
    const struct building *building = prepare->loader;
    const struct snapshot *snapshot = building->snapshot;
    struct suggestion suggestion;
    suggest_begin(&suggestion, name);
    for (size_t i = 0; i < snapshot->named_services; i++)
        if (snapshot->services[i])
            suggest_offer(&suggestion, service_name(snapshot->services[i]));
    return suggestion.best;
}

static enum status obtain_service(struct prepare *prepare, struct slice address, struct place place,
    const struct service **ret_service)
{
    const struct building *building = prepare->loader;
    return hidden_service_obtain(
        building->snapshot, building->context->plane, prepare->reader, address, place, ret_service);
}

/* As many as there can be: none has a name yet. */
static size_t count_services(const struct option_map *map)
{
    size_t count = map->count;
    for (size_t i = 0; i < map->count; i++)
        count += service_versions_written(map->entries[i].value);
    return count;
}

/* With its versions, which are found by their own names. */
static enum status add_service(struct building *building, const struct option_map_entry *entry)
{
    struct snapshot *snapshot = building->snapshot;
    const struct service *service;
    enum status e = service_prepare(building->context->plane, &building->reader, entry->key,
        entry->value, &building->options->discovery, &service);
    if (e)
        return e;
    snapshot->services[snapshot->service_count++] = service;
    for (size_t i = 0; i < service_version_count(service); i++)
        snapshot->services[snapshot->service_count++] = service_version(service, i);
    return OK;
}

/* No service may have the name of another one's version. */
static enum status check_names(const struct building *building, const struct option_map *map)
{
    for (size_t i = 0; i < map->count; i++) {
        struct slice name = map->entries[i].key;
        size_t same = 0;
        for (size_t j = 0;
             slice_find(name, '.') < name.size && j < building->snapshot->service_count; j++)
            same += slice_equal(service_name(building->snapshot->services[j]), name);
        if (same > 1 && diagnostics_error(building->reader.diagnostics, map->entries[i].place,
                            SLICE_NONE, "\"%.*s\" is the name of a version, too",
                            SLICE_ARG(slice_head(name, 200))) == NO_MEMORY)
            return NO_MEMORY;
    }
    return OK;
}

static const struct service *find_for_service(void *argument, struct slice name)
{
    const struct snapshot *snapshot = argument;
    for (size_t i = 0; i < snapshot->service_count; i++)
        if (slice_equal(service_name(snapshot->services[i]), name))
            return snapshot->services[i];
    return NULL;
}

static enum status prepare_services(struct building *building)
{
    struct snapshot *snapshot = building->snapshot;
    const struct option_map *map = &building->options->services;
    snapshot->services =
        arena_array(&snapshot->arena, count_services(map) + 1, sizeof *snapshot->services);
    if (!snapshot->services)
        return NO_MEMORY;
    for (size_t i = 0; i < map->count; i++) {
        building->reader.subject =
            arena_format(&snapshot->arena, "service \"%.*s\"", SLICE_ARG(map->entries[i].key));
        if (add_service(building, &map->entries[i]) == NO_MEMORY)
            return NO_MEMORY;
    }
    snapshot->named_services = snapshot->service_count;
    for (size_t i = 0; i < snapshot->service_count; i++)
        service_link(snapshot->services[i], &building->reader, find_for_service, snapshot);
    return check_names(building, map);
}

static enum status prepare_named_policies(struct building *building)
{
    const struct named_policy *policies = building->options->policies.items;
    for (size_t i = 0; i < building->options->policies.count; i++) {
        struct prepare prepare = building->prepare;
        prepare.name = policies[i].name;
        prepare.place = policies[i].place;
        building->reader.subject = policies[i].name;
        if (policies[i].config && policies[i].type->prepare &&
            policies[i].type->prepare(&prepare, policies[i].config) == NO_MEMORY)
            return NO_MEMORY;
    }
    return OK;
}

static enum status prepare_routes(struct building *building)
{
    struct snapshot *snapshot = building->snapshot;
    const struct route_options *options = building->options->routes.items;
    size_t count = building->options->routes.count;
    snapshot->routes = arena_array(&snapshot->arena, count + 1, sizeof *snapshot->routes);
    if (!snapshot->routes)
        return NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        struct route *route = &snapshot->routes[i];
        route->number = (uint32_t)i;
        building->reader.subject =
            arena_format(&snapshot->arena, "route \"%.*s\"", SLICE_ARG(options[i].name));
        enum status e = chain_build(&building->prepare, building->options, &options[i], route);
        if (e == NO_MEMORY)
            return e;
    }
    snapshot->route_count = count;
    return OK;
}

static struct route_rule rule_of(
    const struct gateway_options *options, const struct route_options *from, struct route *route)
{
    const struct option_list *hosts = from->has_hosts ? &from->hosts : &options->hosts;
    struct route_rule rule = {.hosts = hosts->items,
        .host_count = hosts->count,
        .method_count = from->method_count,
        .other_method = from->other_method,
        .path = from->path,
        .place = from->place,
        .when = from->when,
        .condition_weight = from->condition_weight,
        .priority = (int)from->priority,
        .route = route};
    memcpy(rule.methods, from->methods, sizeof rule.methods);
    return rule;
}

static enum status plan_tls(struct building *building)
{
    const struct tls_options *tls = &building->options->tls;
    struct tls_plan_needs needs = {.registry = building->context->registry,
        .tickets = building->context->tickets,
        .answers = building->context->answers,
        .workers = building->context->workers,
        .hosts = &building->options->hosts,
        .has_raw = l4_listen_with_tls(&building->options->listen) != NULL};
    struct tls_plan *plan;
    struct slice *names = NULL;
    enum status e = OK;
    if ((!tls->certificates.count && !tls->acme.is_set) || building->reader.diagnostics->errors)
        return OK;
    if (tls->acme.is_set)
        e = acme_gather_names(
            &building->snapshot->arena, building->options, &names, &needs.name_count);
    needs.names = names;
    if (!e)
        e = tls_plan_new(&building->reader, tls, &needs, &plan);
    if (!e)
        building->snapshot->tls = plan;
    return e == INVALID ? OK : e;
}

static enum status build_router(struct building *building)
{
    struct snapshot *snapshot = building->snapshot;
    struct route_rule *rules =
        arena_array(&snapshot->arena, snapshot->route_count + 1, sizeof *rules);
    if (!rules)
        return NO_MEMORY;
    for (size_t i = 0; i < snapshot->route_count; i++)
        rules[i] = rule_of(building->options, snapshot->routes[i].options, &snapshot->routes[i]);
    building->reader.subject = SLICE("routes");
    return router_build(&building->reader, rules, snapshot->route_count, &snapshot->router);
}

static const struct service *find_for_l4(void *argument, struct slice name)
{
    return find_service(argument, name);
}

static struct slice similar_for_l4(void *argument, struct slice name)
{
    return similar_service(argument, name);
}

static enum status prepare_l4(struct building *building)
{
    struct snapshot *snapshot = building->snapshot;
    struct l4_prepare prepare = {.reader = &building->reader,
        .metrics = building->context->metrics,
        .trusted = &building->options->trusted,
        .tls = snapshot->tls ? snapshot->tls->raw : NULL,
        .find_service = find_for_l4,
        .similar_service = similar_for_l4,
        .argument = &building->prepare};
    return l4_rules_prepare(&prepare, &building->options->listen, &snapshot->l4);
}

static enum status build_pins(struct snapshot *snapshot, unsigned workers)
{
    size_t size = (workers + 1) * sizeof *snapshot->pins;
    snapshot->pins = aligned_alloc(_Alignof(struct snapshot_pin), size);
    if (!snapshot->pins)
        return NO_MEMORY;
    memset(snapshot->pins, 0, size);
    return arena_defer(&snapshot->arena, free, snapshot->pins) ? OK
                                                               : (free(snapshot->pins), NO_MEMORY);
}

static struct server_rules rules_of(const struct gateway_options *options)
{
    struct server_rules rules = {
        .http = &options->http, .limits = H1_LIMITS_DEFAULT, .trusted = &options->trusted};
    rules.limits.line = (size_t)options->http.line_max;
    rules.limits.head = (size_t)options->http.head_max;
    rules.limits.fields = (uint32_t)options->http.fields_max;
    rules.limits.trailers = (size_t)options->http.trailers_max;
    rules.limits.encoded_slash = (enum encoded_slash)options->http.encoded_slash;
    return rules;
}

/* In a rehearsal nobody asks a store, and no file is touched: that there is one is enough. */
static enum status prepare_durable(struct building *building, struct store **ret_store)
{
    const struct state_options *state = &building->options->state;
    if (!state->file.size)
        return OK;
    struct stores *stores = building->context->stores;
    if (stores->plane->options.workers)
        return durable_obtain(stores, &building->reader, state, ret_store);
    *ret_store = memory_store(stores->memory);
    return OK;
}

/* What was complained of makes the whole be refused later, with all else that is wrong. */
static enum status prepare_stores(struct building *building)
{
    const struct redis_options *redis = &building->options->redis;
    const struct postgres_options *postgres = &building->options->postgres;
    struct store_choice *stores = &building->snapshot->stores;
    stores->memory = memory_store(building->context->stores->memory);
    enum status e = OK, durable = OK;
    struct stores *all = building->context->stores;
    if (!building->reader.diagnostics->errors) {
        durable = prepare_durable(building, &stores->durable);
        if (redis->is_set)
            e = redis_obtain(all, &building->reader, redis, &stores->redis);
        if (postgres->is_set && (!e || e == INVALID))
            e = postgres_obtain(all, &building->reader, postgres, &stores->postgres);
    }
    stores->shared = stores->redis ? stores->redis : stores->postgres;
    building->prepare.stores = *stores;
    e = durable && durable != INVALID ? durable : e;
    return e == INVALID ? OK : e;
}

static bool route_has_auth(const struct node *route)
{
    bool has = node_get(route, SLICE("auth")) != NULL;
    for (size_t i = 0; route->kind == NODE_LIST && i < route->count; i++)
        has = has || node_get(route->items[i], SLICE("auth"));
    return has;
}

/* So that who asks for claims where nothing brings them is told, at once. */
static bool has_auth(const struct node *root)
{
    const struct node *routes = node_get(root, SLICE("routes"));
    bool has = node_get(root, SLICE("auth")) != NULL;
    for (size_t i = 0; routes && routes->kind == NODE_MAP && i < routes->count; i++)
        has = has || route_has_auth(routes->entries[i].value);
    return has;
}

static enum status build(struct building *building, const struct node *root)
{
    struct snapshot *snapshot = building->snapshot;
    building->options = arena_zalloc(&snapshot->arena, sizeof *building->options);
    if (!building->options)
        return NO_MEMORY;
    snapshot->options = building->options;
    building->reader.has_claims = has_auth(root);
    enum status e = option_read(&building->reader, &gateway_table, root, building->options);
    if (!e)
        e = prepare_stores(building);
    if (!e)
        e = prepare_services(building);
    if (!e)
        e = prepare_named_policies(building);
    if (!e)
        e = prepare_routes(building);
    if (!e)
        e = build_router(building);
    if (!e && !building->reader.diagnostics->errors)
        e = own_paths_check(&building->reader, snapshot);
    if (!e)
        e = plan_tls(building);
    if (!e)
        e = prepare_l4(building);
    if (!e)
        e = proxy_listen_prepare(
            &building->prepare, building->context->plane, building->options, &snapshot->proxied);
    if (!e)
        e = build_pins(snapshot, building->context->workers);
    snapshot->rules = rules_of(building->options);
    return e ? e : building->reader.diagnostics->errors ? INVALID : OK;
}

/* The snapshot lives in its own arena. */
static struct snapshot *new_snapshot(void)
{
    struct arena arena;
    arena_init(&arena, SNAPSHOT_BLOCK, 0);
    struct snapshot *snapshot = arena_new(&arena, struct snapshot);
    if (snapshot)
        snapshot->arena = arena;
    return snapshot;
}

void snapshot_free(struct snapshot *snapshot)
{
    if (!snapshot)
        return;
    struct arena arena = snapshot->arena;
    arena_release(&arena);
}

/* The texts of the files that a configuration came from. */
struct texts {
    struct table known; /* by the file's name */
    const struct source *last;
    struct text text;
};

static enum status add_source(struct texts *texts, const struct source *source)
{
    if (!source || source == texts->last)
        return OK;
    texts->last = source;
    enum status e = table_put(&texts->known, source->name, (void *)source);
    if (!e)
        text_add(&texts->text, source->text);
    return e == EXISTS ? OK : e;
}

static enum status add_sources_within(struct texts *texts, const struct node *node)
{
    enum status e = OK;
    for (size_t i = 0; i < node->count && !e; i++)
        e = add_source(texts, node->kind == NODE_MAP ? node->entries[i].key_place.source
                                                     : node->items[i]->place.source);
    return e;
}

/* One file after another. A key at the top may hold what several files have under it. */
static enum status keep_text(struct snapshot *snapshot, const struct node *root)
{
    struct texts texts = {.text = text_growing(0)};
    table_init(&texts.known, SIZE_MAX);
    enum status e = add_sources_within(&texts, root);
    for (size_t i = 0; i < root->count && !e; i++)
        e = add_sources_within(&texts, root->entries[i].value);
    if (!e)
        snapshot->text = arena_copy(&snapshot->arena, text_slice(&texts.text));
    bool is_kept = !e && !texts.text.failed && snapshot->text.data;
    table_release(&texts.known);
    text_release(&texts.text);
    return is_kept ? OK : NO_MEMORY;
}

enum status snapshot_load(const struct snapshot_context *context, struct slice path,
    struct diagnostics *diagnostics, struct snapshot **ret_snapshot)
{
    instant began = clock_now();
    struct snapshot *snapshot = new_snapshot();
    if (!snapshot)
        return NO_MEMORY;
    struct building building = {.context = context, .snapshot = snapshot};
    building.reader = (struct reader){
        .arena = &snapshot->arena, .diagnostics = diagnostics, .secrets = &snapshot->secrets};
    building.prepare = (struct prepare){.reader = &building.reader,
        .registry = context->registry,
        .metrics = context->metrics,
        .shards = context->shards,
        .workers = context->workers,
        .plane = context->plane,
        .find_service = find_service,
        .similar_service = similar_service,
        .obtain_service = obtain_service,
        .make_handler = chain_make_handler,
        .loader = &building};
    struct node *root;
    snapshot->path = arena_copy(&snapshot->arena, path);
    enum status e = snapshot->path.data ? OK : NO_MEMORY;
    if (!e)
        e = tree_read_path(&snapshot->arena, snapshot->path, NULL, diagnostics, &root);
    if (!e)
        e = diagnostics->errors ? INVALID : build(&building, root);
    if (!e)
        e = keep_text(snapshot, root);
    if (e) {
        enum status kept = diagnostics_keep_sources(diagnostics);
        snapshot_free(snapshot);
        return kept ? kept : e;
    }
    snapshot->loaded = clock_wall();
    snapshot->build_time = clock_now() - began;
    *ret_snapshot = snapshot;
    return OK;
}

static void come_home(struct message *message)
{
    struct snapshot *snapshot =
        (struct snapshot *)((char *)message - offsetof(struct snapshot, farewell));
    snapshot->retire(snapshot);
}

static void let_go(struct snapshot *snapshot)
{
    if (atomic_fetch_sub(&snapshot->holders, 1) > 1)
        return;
    snapshot->farewell.deliver = come_home;
    mailbox_post(snapshot->home, &snapshot->farewell);
}

void snapshot_enter(struct snapshot *snapshot, unsigned worker)
{
    snapshot->pins[worker].is_current = true;
}

void snapshot_leave(struct snapshot *snapshot, unsigned worker)
{
    struct snapshot_pin *pin = &snapshot->pins[worker];
    pin->is_current = false;
    if (!pin->exchanges)
        let_go(snapshot);
}

void snapshot_pin(struct snapshot *snapshot, unsigned worker)
{
    snapshot->pins[worker].exchanges++;
}

void snapshot_unpin(struct snapshot *snapshot, unsigned worker)
{
    struct snapshot_pin *pin = &snapshot->pins[worker];
    must(pin->exchanges > 0);
    if (--pin->exchanges == 0 && !pin->is_current)
        let_go(snapshot);
}

/* A preflight asks on behalf of a request with another method (Fetch §4.8): it belongs to that
 * request's route, unless the file has an OPTIONS route of its own there. */
static bool is_preflight(const struct http_request *request)
{
    return request->method == METHOD_OPTIONS && fields_has(&request->fields, FIELD_ORIGIN) &&
           fields_has(&request->fields, FIELD_AC_REQUEST_METHOD);
}

enum status snapshot_route(
    const struct snapshot *snapshot, struct exchange *x, const struct route **ret_route)
{
    void *route;
    enum status e = router_find(snapshot->router, x, &route);
    if (e == METHOD_NOT_ALLOWED && is_preflight(&x->request)) {
        struct slice wanted = fields_value(&x->request.fields, FIELD_AC_REQUEST_METHOD);
        enum http_method method = x->request.method;
        struct slice text = x->request.method_text;
        x->request.method = http_method_of(wanted);
        x->request.method_text = wanted;
        fields_remove_known(&x->response.fields, FIELD_ALLOW);
        e = router_find(snapshot->router, x, &route);
        x->request.method = method;
        x->request.method_text = text;
    }
    if (!e)
        *ret_route = route;
    return e;
}
