#include "route/router_state.h"
#include "route/search.h"

#include "http/uri.h"

#define OTHERS_MAX 8 /* methods without a number that Allow names; there may be more */

/* A look-up, and what it has seen besides the route. */
struct lookup {
    const struct router *router;
    struct exchange *x;
    const struct rule_entry *found;
    uint32_t allowed; /* bits of the methods that rules for this path name */
    bool has_refused; /* a rule fits but for its condition */
    struct slice others[OTHERS_MAX];
    unsigned other_count;
};

static enum method_match match_method(
    const struct rule_entry *entry, const struct http_request *request)
{
    if (entry->methods == 0)
        return METHOD_ANY;
    if (entry->methods >> request->method & 1 &&
        (request->method != METHOD_OTHER ||
            slice_equal(entry->rule->given.other_method, request->method_text)))
        return METHOD_NAMED;
    if (request->method == METHOD_HEAD && entry->methods >> METHOD_GET & 1)
        return METHOD_IMPLIED;
    return METHOD_NONE;
}

static void note_allowed(struct lookup *lookup, const struct rule_entry *entry)
{
    struct slice other = entry->rule->given.other_method;
    lookup->allowed |= entry->methods & ~(1u << METHOD_OTHER);
    if (other.size == 0 || lookup->other_count == OTHERS_MAX)
        return;
    for (unsigned i = 0; i < lookup->other_count; i++)
        if (slice_equal(lookup->others[i], other))
            return;
    lookup->others[lookup->other_count++] = other;
}

/* The first of a leaf's entries that takes the method so, and whose condition holds. */
static bool take_at_level(
    struct lookup *lookup, const struct rule_entry *entry, enum method_match level)
{
    for (;; entry++) {
        if (match_method(entry, &lookup->x->request) == level) {
            if (rule_condition_holds(entry->when, lookup->x)) {
                lookup->found = entry;
                return true;
            }
            lookup->has_refused = true;
        }
        if (entry->is_last)
            return false;
    }
}

static bool visit_leaf(struct search *search, uint32_t number)
{
    struct lookup *lookup = search->argument;
    const struct rule_entry *entry = &lookup->router->entries[number];
    if (take_at_level(lookup, entry, METHOD_NAMED))
        return true;
    if (lookup->x->request.method == METHOD_HEAD && take_at_level(lookup, entry, METHOD_IMPLIED))
        return true;
    if (take_at_level(lookup, entry, METHOD_ANY))
        return true;
    do
        note_allowed(lookup, entry);
    while (!entry++->is_last);
    return false;
}

static enum status keep_parameter(
    struct exchange *x, const struct search *search, const struct rule_parameter *from)
{
    struct slice text = search->captures[from->capture];
    struct path_parameter *parameter = &x->parameters[x->parameter_count++];
    *parameter = (struct path_parameter){from->name, text};
    if (slice_find(text, '%') == text.size)
        return OK;
    return uri_decode(&x->arena, text, false, &parameter->value) == NO_MEMORY ? NO_MEMORY : OK;
}

static enum status keep_parameters(
    struct exchange *x, const struct search *search, const struct rule_entry *entry)
{
    x->parameter_count = 0;
    if (entry->parameter_count == 0)
        return OK;
    enum status e = keep_parameter(x, search, &entry->first);
    for (unsigned i = 1; !e && i < entry->parameter_count; i++)
        e = keep_parameter(x, search, &entry->rule->parameters[i]);
    return e;
}

static enum status add_allow(struct lookup *lookup)
{
    char room[512];
    struct text text = text_fixed(room, sizeof room);
    uint32_t allowed = lookup->allowed;
    if (allowed & 1u << METHOD_GET)
        allowed |= 1u << METHOD_HEAD;
    for (enum http_method method = METHOD_GET; method < METHOD_COUNT; method++) {
        if (!(allowed & 1u << method))
            continue;
        if (text.size)
            text_add_literal(&text, ", ");
        text_add(&text, http_method_name(method));
    }
    for (unsigned i = 0; i < lookup->other_count; i++)
        text_format(&text, "%s%.*s", text.size ? ", " : "", SLICE_ARG(lookup->others[i]));
    struct slice value = arena_copy(&lookup->x->arena, text_slice(&text));
    if (!value.data)
        return NO_MEMORY;
    return fields_set_known(&lookup->x->response.fields, FIELD_ALLOW, value);
}

enum status router_find(const struct router *router, struct exchange *x, void **ret_route)
{
    struct lookup lookup;
    struct search search;
    lookup.router = router;
    lookup.x = x;
    lookup.found = NULL;
    lookup.allowed = lookup.other_count = 0;
    lookup.has_refused = false;
    search.trie = &router->trie;
    search.arena = &x->arena;
    search.visit = visit_leaf;
    search.argument = &lookup;
    size_t state = 0;
    for (uint32_t root; (root = hosts_next_root(&router->hosts, x->request.host, &state)) != 0;) {
        if (!search_path(&search, root, x->request.path))
            continue;
        enum status e = keep_parameters(x, &search, lookup.found);
        if (!e)
            *ret_route = lookup.found->route;
        return e;
    }
    if (lookup.has_refused || !(lookup.allowed || lookup.other_count))
        return NO_ROUTE;
    enum status e = add_allow(&lookup);
    return e ? e : METHOD_NOT_ALLOWED;
}

bool router_names(const struct router *router, struct slice host)
{
    size_t state = 0;
    uint32_t root = hosts_next_root(&router->hosts, host, &state);
    return root && state != SIZE_MAX;
}
