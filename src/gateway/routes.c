/* Reading `routes:`. A key says methods and path, "GET,POST /orders"; its value says what the route
 * does. */
#include "gateway/options.h"

#include "config/expression.h"
#include "handler/handler.h"
#include "route/path_pattern.h"

#define ROUTE(member) offsetof(struct route_options, member)

static const struct option route_rows[] = {
    {"hosts", OPTION_LIST, ROUTE(hosts), .item = &host_option, .item_size = sizeof(struct slice),
        .is_set_offset = ROUTE(has_hosts),
        .help = "Hosts of this route alone, instead of the file's."},
    {"when", OPTION_EXPRESSION, ROUTE(when),
        .help = "A condition besides method and path, such as header.x-canary == \"1\"."},
    {"priority", OPTION_INTEGER, ROUTE(priority), .minimum = -1000, .maximum = 1000,
        .help = "Decides between routes that are equally specific; higher first."},
    {"timeout", OPTION_DURATION, ROUTE(timeout),
        .help = "For a whole exchange on this route; then 504, or the connection ends."},
    {"use", OPTION_LIST, ROUTE(use), .item = &policy_reference_option,
        .item_size = sizeof(struct policy_reference), .is_set_offset = ROUTE(has_use),
        .help = "Named policies of this route, instead of the file's `use`; [] for none."},
    {NULL}};

static enum status set_handler(struct reader *reader, struct route_options *route,
    const struct handler_type *type, const struct node *node, struct place place)
{
    if (route->handler)
        return diagnostics_error(reader->diagnostics, place, SLICE_NONE,
            "%.*s says both `%s` and `%s`: a route does one thing", SLICE_ARG(reader->subject),
            route->handler->name, type->name);
    void *config = arena_zalloc(reader->arena, type->options->size);
    if (!config)
        return NO_MEMORY;
    size_t errors = reader->diagnostics->errors;
    route->handler = type;
    route->handler_place = place;
    enum status e = option_read(reader, type->options, node, config);
    if (!e && reader->diagnostics->errors == errors)
        route->handler_config = config;
    return e;
}

static enum status read_route_key(
    struct reader *reader, const struct node_entry *entry, void *value)
{
    struct route_options *route = value;
    const struct handler_type *handler = handler_type_of(entry->key);
    if (handler)
        return set_handler(reader, route, handler, entry->value, entry->key_place);
    const struct policy_type *policy = policy_type_of(entry->key);
    if (!policy)
        return NOT_FOUND;
    struct named_policy named = {policy, SLICE_NONE, entry->key_place, NULL};
    enum status e =
        policy_config_read(reader, policy, entry->value, reader->subject, &named.config);
    return e ? e : named_policies_add(reader, &route->policies, &named);
}

static const char *route_key_name(size_t i)
{
    for (size_t h = 0; handler_types[h]; h++)
        if (h == i)
            return handler_types[h]->name;
        else if (!handler_types[h + 1])
            i -= h + 1;
    for (size_t p = 0; policy_types[p]; p++)
        if (p == i)
            return policy_types[p]->name;
    return NULL;
}

static bool route_key_option(size_t i, struct option *ret_option)
{
    size_t handlers = 0;
    while (handler_types[handlers])
        handlers++;
    const struct option_table *table =
        i < handlers ? handler_types[i]->options : policy_types[i - handlers]->options;
    *ret_option = (struct option){.kind = OPTION_STRUCT, .table = table, .help = table->help};
    return true;
}

static enum status check_route(struct reader *reader, const struct node *node, void *value)
{
    const struct route_options *route = value;
    if (!route->handler)
        return diagnostics_error(reader->diagnostics, node->place,
            SLICE("say `to: SERVICE`, or redirect, respond or files"),
            "%.*s does not say what to do", SLICE_ARG(reader->subject));
    return OK;
}

const struct option_table route_table = {.name = "route",
    .help = "What a route does: exactly one of `to`, `redirect`, `respond`, `files`; and the "
            "policies around it.",
    .options = route_rows,
    .size = sizeof(struct route_options),
    .shorthand = "to",
    .check = check_route,
    .read_unknown = read_route_key,
    .unknown_name = route_key_name,
    .unknown_option = route_key_option,
    .example = "GET /products/**: {to: catalog, timeout: 2s}"};

static bool is_method_text(struct slice text)
{
    if (!field_name_is_valid(text))
        return false;
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] >= 'a' && text.data[i] <= 'z')
            return false;
    return true;
}

static enum status read_method(struct reader *reader, const struct node_entry *entry,
    struct slice text, struct route_options *route)
{
    enum http_method method = http_method_of(text);
    if (!is_method_text(text))
        return diagnostics_error(reader->diagnostics, entry->key_place,
            SLICE("write for example GET /users/{id}"),
            "\"%.*s\" is not a method in capital letters", SLICE_ARG(text));
    if (method == METHOD_OTHER && route->other_method.size)
        return diagnostics_error(reader->diagnostics, entry->key_place, SLICE_NONE,
            "a route can name one extension method only");
    if (method == METHOD_OTHER)
        route->other_method = text;
    else if (route->method_count < METHOD_COUNT)
        route->methods[route->method_count++] = method;
    return OK;
}

/* A call, such as "shop.Orders/Get"; a star stands for any method, alone for any service too. */
static enum status read_call(struct reader *reader, const struct node_entry *entry,
    struct slice call, struct route_options *route)
{
    size_t slash = slice_find(call, '/');
    bool is_any = slice_equal(call, SLICE("*"));
    bool is_whole = slash > 0 && slash + 1 < call.size &&
                    slice_find(slice_from(call, slash + 1), '/') + slash + 1 == call.size;
    if (!is_any && !is_whole)
        return diagnostics_error(reader->diagnostics, entry->key_place,
            SLICE("write grpc shop.Orders/Get, grpc shop.Orders/* or grpc *"),
            "\"%.*s\" does not name a method of a service", SLICE_ARG(call));
    route->is_grpc = true;
    route->methods[route->method_count++] = METHOD_POST;
    route->path =
        is_any ? SLICE("/*/*") : arena_join(reader->arena, (struct slice[]){SLICE("/"), call}, 2);
    route->name = arena_join(reader->arena, (struct slice[]){SLICE("grpc "), call}, 2);
    return route->path.data && route->name.data ? OK : NO_MEMORY;
}

/* "GET,POST /path" or "/path". */
static enum status read_path(struct reader *reader, const struct node_entry *entry,
    struct slice methods, struct slice path, struct route_options *route)
{
    struct slice method, all = methods;
    if (path.size == 0 || path.data[0] != '/')
        return diagnostics_error(reader->diagnostics, entry->key_place,
            SLICE("write METHOD /path, or /path alone for every method"),
            "\"%.*s\" is not a route: the path has to begin with /",
            SLICE_ARG(slice_trim(entry->key)));
    while (slice_split(&methods, ',', &method)) {
        enum status e = read_method(reader, entry, slice_trim(method), route);
        if (e)
            return e;
    }
    route->path = path;
    route->name =
        all.size ? arena_join(reader->arena, (struct slice[]){all, SLICE(" "), path}, 3) : path;
    return route->name.data ? OK : NO_MEMORY;
}

static enum status read_key(
    struct reader *reader, const struct node_entry *entry, struct route_options *route)
{
    struct slice key = slice_trim(entry->key);
    size_t blank = slice_find(key, ' ');
    struct slice first = blank < key.size ? slice_head(key, blank) : SLICE_NONE;
    struct slice rest = blank < key.size ? slice_trim(slice_from(key, blank)) : key;
    route->place = entry->key_place;
    if (slice_equal(first, SLICE("grpc")))
        return read_call(reader, entry, rest, route);
    return read_path(reader, entry, first, rest, route);
}

/* How many terms a condition has, so that the more demanding route is asked first. */
static unsigned weight_of(const struct expression *when)
{
    if (!when)
        return 0;
    unsigned terms = 1;
    struct slice rest = expression_source(when), word;
    while (slice_split(&rest, ' ', &word))
        terms += slice_equal(word, SLICE("and"));
    return terms;
}

/* A malformed path, which the router complains of, may have too many. */
static struct parameter_names parameters_of(struct slice path, struct slice *names)
{
    size_t count = 0;
    while (count < PATH_PARAMETERS_MAX && path_pattern_next_name(&path, &names[count]))
        count++;
    return (struct parameter_names){names, count};
}

static enum status read_route(struct reader *reader, const struct node_entry *entry,
    const struct node *node, struct route_options *route)
{
    enum status e = read_key(reader, entry, route);
    if (e)
        return e;
    struct slice names[PATH_PARAMETERS_MAX];
    struct parameter_names parameters = parameters_of(route->path, names);
    struct reader inner = *reader;
    inner.parameters = &parameters;
    inner.subject = arena_format(reader->arena, "route \"%.*s\"", SLICE_ARG(route->name));
    e = option_read(&inner, &route_table, node, route);
    route->condition_weight = weight_of(route->when);
    return e;
}

static size_t count_routes(const struct node *node)
{
    size_t count = 0;
    for (size_t i = 0; i < node->count; i++) {
        const struct node *value = node->entries[i].value;
        count += value->kind == NODE_LIST ? value->count : 1;
    }
    return count;
}

enum status routes_read(struct reader *reader, const struct node *node, void *ret_list)
{
    struct option_list *list = ret_list;
    if (node->kind != NODE_MAP)
        return diagnostics_error(reader->diagnostics, node->place,
            SLICE("write METHOD /path: SERVICE below it"), "`routes` is a map, not %s",
            node_kind_name(node));
    struct route_options *routes =
        arena_array(reader->arena, count_routes(node) + 1, sizeof *routes);
    if (!routes)
        return NO_MEMORY;
    list->items = routes;
    for (size_t i = 0; i < node->count; i++) {
        const struct node_entry *entry = &node->entries[i];
        bool is_list = entry->value->kind == NODE_LIST;
        for (size_t j = 0; j < (is_list ? entry->value->count : 1); j++) {
            const struct node *value = is_list ? entry->value->items[j] : entry->value;
            enum status e = read_route(reader, entry, value, &routes[list->count]);
            if (e == NO_MEMORY)
                return e;
            if (!e)
                list->count++;
        }
    }
    return OK;
}
