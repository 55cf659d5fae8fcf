#include "route/router_state.h"
#include "route/search.h"

#include "http/uri.h"

/* A look-up, and what it has seen besides the route. */
struct lookup {
    const struct router *router;
    struct exchange *x;
    const struct rule *found;
    uint32_t allowed;       /* bits of the methods that rules for this path name */
    bool has_refused;       /* a rule fits but for its condition */
    struct slice others[8]; /* methods without a number; more are not named */
    unsigned other_count;
};

/* A rule of this path and method whose condition holds ends the search. */
static bool take(struct lookup *lookup, const struct rule *rule)
{
    if (rule_condition_holds(&rule->given, lookup->x))
        lookup->found = rule;
    else
        lookup->has_refused = true;
    return lookup->found;
}

static void note_allowed(struct lookup *lookup, const struct route_rule *rule)
{
    for (unsigned i = 0; i < rule->method_count; i++)
        lookup->allowed |= 1u << rule->methods[i];
    if (rule->other_method.size == 0 || lookup->other_count == 8)
        return;
    for (unsigned i = 0; i < lookup->other_count; i++)
        if (slice_equal(lookup->others[i], rule->other_method))
            return;
    lookup->others[lookup->other_count++] = rule->other_method;
}

/* Named methods come first in a leaf, so that one pass suffices for all but HEAD, which GET's rules
 * take only after its own. */
static bool visit_leaf(struct search *search, uint32_t number)
{
    struct lookup *lookup = search->argument;
    const struct http_request *request = &lookup->x->request;
    const struct leaf *leaf = &lookup->router->leaves.items[number];
    const uint32_t *entries = lookup->router->leaves.entries + leaf->first;
    for (enum method_match level = METHOD_NAMED; level <= METHOD_ANY; level++) {
        if (level == METHOD_IMPLIED && request->method != METHOD_HEAD)
            continue;
        for (uint32_t i = 0; i < leaf->count; i++) {
            const struct rule *rule = &lookup->router->rules[entries[i]];
            if (rule_match_method(&rule->given, request->method, request->method_text) == level &&
                take(lookup, rule))
                return true;
        }
    }
    for (uint32_t i = 0; i < leaf->count; i++)
        note_allowed(lookup, &lookup->router->rules[entries[i]].given);
    return false;
}

static enum status fill_parameters(
    struct exchange *x, const struct rule *rule, const struct search *search)
{
    unsigned capture = 0;
    x->parameter_count = 0;
    for (unsigned i = 0; i < rule->path.count; i++) {
        const struct segment *segment = &rule->path.segments[i];
        if (segment->kind == SEGMENT_EXACT || segment->kind == SEGMENT_REST)
            continue;
        struct slice text = search->captures[capture++];
        if (segment->name.size == 0)
            continue;
        struct path_parameter *parameter = &x->parameters[x->parameter_count];
        parameter->name = segment->name;
        parameter->value = text;
        if (slice_find(text, '%') < text.size &&
            uri_decode(&x->arena, text, false, &parameter->value) == NO_MEMORY)
            return NO_MEMORY;
        x->parameter_count++;
    }
    return OK;
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
        enum status e = fill_parameters(x, lookup.found, &search);
        if (!e)
            *ret_route = lookup.found->given.route;
        return e;
    }
    if (lookup.has_refused || !(lookup.allowed || lookup.other_count))
        return NO_ROUTE;
    enum status e = add_allow(&lookup);
    return e ? e : METHOD_NOT_ALLOWED;
}
