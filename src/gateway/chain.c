#include "gateway/chain.h"

#include "base/must.h"
#include "base/suggest.h"
#include "handler/handler.h"
#include "service/service.h"

struct handler_call {
    const struct handler_type *type;
    const void *config;
};

static enum status serve_call(const void *state, struct exchange *x)
{
    const struct handler_call *call = state;
    return call->type->serve(call->config, x);
}

/* At the end of a route. */
static enum status serve_end(const void *state, struct exchange *x)
{
    return x->instead ? handler_serve(x->instead, x) : serve_call(state, x);
}

static const struct named_policy *find_policy(
    const struct gateway_options *options, struct slice name)
{
    const struct named_policy *policies = options->policies.items;
    for (size_t i = 0; i < options->policies.count; i++)
        if (slice_equal(policies[i].name, name))
            return &policies[i];
    return NULL;
}

static enum status complain_unknown(struct reader *reader, const struct gateway_options *options,
    const struct policy_reference *reference)
{
    const struct named_policy *policies = options->policies.items;
    struct slice *names = arena_array(reader->arena, options->policies.count + 1, sizeof *names);
    if (!names)
        return NO_MEMORY;
    for (size_t i = 0; i < options->policies.count; i++)
        names[i] = policies[i].name;
    struct slice best = suggest_among(reference->name, names, options->policies.count);
    struct slice hint =
        best.data ? arena_format(reader->arena, "did you mean \"%.*s\"?", SLICE_ARG(best))
                  : SLICE("policies with a name stand at the top of the file: `limits: {NAME: …}`");
    return diagnostics_error(reader->diagnostics, reference->place, hint,
        "%.*s uses \"%.*s\", which is not defined", SLICE_ARG(reader->subject),
        SLICE_ARG(reference->name));
}

static enum status collect_used(struct reader *reader, const struct gateway_options *options,
    const struct option_list *use, struct policy_link *links, size_t *count)
{
    const struct policy_reference *references = use->items;
    for (size_t i = 0; i < use->count; i++) {
        const struct named_policy *policy = find_policy(options, references[i].name);
        if (policy)
            links[(*count)++] =
                (struct policy_link){.type = policy->type, .config = policy->config};
        else if (complain_unknown(reader, options, &references[i]) == NO_MEMORY)
            return NO_MEMORY;
    }
    return OK;
}

static enum status collect_own(const struct prepare *prepare, const struct route_options *from,
    struct policy_link *links, size_t *count)
{
    const struct named_policy *own = from->policies.items;
    struct reader *reader = prepare->reader;
    for (size_t i = 0; i < from->policies.count; i++) {
        struct prepare mine = *prepare;
        mine.place = own[i].place;
        mine.name =
            arena_format(reader->arena, "%s of %.*s", own[i].type->name, SLICE_ARG(from->name));
        if (own[i].config && own[i].type->prepare &&
            own[i].type->prepare(&mine, own[i].config) == NO_MEMORY)
            return NO_MEMORY;
        links[(*count)++] = (struct policy_link){.type = own[i].type, .config = own[i].config};
    }
    return OK;
}

static size_t rank_of(const struct policy_type *type)
{
    size_t rank = 0;
    while (policy_types[rank] != type)
        rank++;
    return rank;
}

/* Few and mostly sorted already; equal ones keep their order. */
static void sort_by_rank(struct policy_link *links, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct policy_link link = links[i];
        size_t at = i;
        for (; at > 0 && rank_of(links[at - 1].type) > rank_of(link.type); at--)
            links[at] = links[at - 1];
        links[at] = link;
    }
}

static struct handler link_all(struct policy_link *links, size_t count, struct handler inner)
{
    struct handler handler = inner;
    for (size_t i = count; i-- > 0;) {
        links[i].next = handler;
        handler = policy_handler(&links[i]);
    }
    return handler;
}

static enum status make_call(struct prepare *prepare, const struct handler_type *type, void *config,
    struct handler_call **ret_call)
{
    struct handler_call *call = arena_new(prepare->reader->arena, struct handler_call);
    if (!call)
        return NO_MEMORY;
    *call = (struct handler_call){type, config};
    enum status e = type->prepare ? type->prepare(prepare, config) : OK;
    if (!e)
        *ret_call = call;
    return e;
}

static enum status prepare_handler(const struct prepare *prepare, const struct route_options *from,
    struct route *route, struct handler *ret_handler)
{
    struct handler_call *call;
    if (!from->handler_config) /* not there, or half read: complained of already */
        return INVALID;
    struct prepare mine = *prepare;
    mine.place = from->handler_place;
    mine.name = from->name;
    enum status e = make_call(&mine, from->handler, from->handler_config, &call);
    if (e)
        return e;
    const struct service *service =
        from->handler->service ? from->handler->service(from->handler_config) : NULL;
    if (service)
        route->service = service_name(service);
    *ret_handler = (struct handler){serve_end, call};
    return OK;
}

enum status chain_make_handler(struct prepare *prepare, struct slice key, const struct node *value,
    struct handler *ret_handler)
{
    const struct handler_type *type = handler_type_of(key);
    must(type);
    struct reader *reader = prepare->reader;
    struct handler_call *call;
    size_t errors = reader->diagnostics->errors;
    void *config = arena_zalloc(reader->arena, type->options->size);
    enum status e = config ? option_read(reader, type->options, value, config) : NO_MEMORY;
    if (!e && reader->diagnostics->errors > errors)
        e = INVALID;
    struct prepare mine = *prepare;
    mine.place = value->place;
    if (!e)
        e = make_call(&mine, type, config, &call);
    if (!e)
        *ret_handler = (struct handler){serve_call, call};
    return e;
}

/* --- deny by default */

static enum status deny(const void *config, struct exchange *x, const struct handler *next)
{
    (void)config;
    (void)x;
    (void)next;
    return DENIED_BY_DEFAULT;
}

static void explain_denial(const void *config, struct exchange *x, struct text *text)
{
    (void)config;
    (void)x;
    text_add_literal(text, "refuses: the route has no `auth`, `allow` or `webhook`");
}

static const struct policy_type denial = {
    .name = "deny-by-default", .serve = deny, .explain = explain_denial};

static bool is_guarded(const struct route *route)
{
    for (size_t i = 0; i < route->link_count; i++) {
        const struct policy_link *link = &route->links[i];
        if (link->config && link->type->guards && link->type->guards(link->config))
            return true;
    }
    return false;
}

/* In front of all others, which are not to act on what is refused. */
static void put_denial(struct policy_link *links, size_t *count)
{
    memmove(links + 1, links, (*count)++ * sizeof *links);
    links[0] = (struct policy_link){.type = &denial};
}

enum status chain_build(const struct prepare *prepare, const struct gateway_options *options,
    const struct route_options *from, struct route *route)
{
    struct reader *reader = prepare->reader;
    const struct option_list *use = from->has_use ? &from->use : &options->use;
    struct policy_link *links =
        arena_array(reader->arena, use->count + from->policies.count + 1, sizeof *links);
    if (!links)
        return NO_MEMORY;
    route->name = from->name;
    route->options = from;
    route->timeout = from->timeout;
    route->links = links;
    struct handler inner = {NULL, NULL};
    enum status e = prepare_handler(prepare, from, route, &inner);
    if (e != NO_MEMORY)
        e = collect_used(reader, options, use, links, &route->link_count);
    if (!e)
        e = collect_own(prepare, from, links, &route->link_count);
    if (e)
        return e;
    sort_by_rank(links, route->link_count);
    if (options->denies_by_default && !is_guarded(route))
        put_denial(links, &route->link_count);
    route->chain = link_all(links, route->link_count, inner);
    return OK;
}

static enum status complain_unfit(struct reader *reader, const struct policy_reference *reference)
{
    return diagnostics_error(reader->diagnostics, reference->place,
        SLICE("policies of `ip`, `limits` and `body-limits` do"),
        "%.*s cannot use \"%.*s\", which does not say who is let through",
        SLICE_ARG(reader->subject), SLICE_ARG(reference->name));
}

enum status chain_admit(struct reader *reader, const struct gateway_options *options,
    const struct option_list *use, struct handler inner, struct handler *ret_handler)
{
    const struct option_list *all = use ? use : &options->use;
    const struct policy_reference *references = all->items;
    struct policy_link *links = arena_array(reader->arena, all->count + 1, sizeof *links);
    size_t count = 0, kept = 0;
    enum status e = links ? OK : NO_MEMORY;
    if (!e)
        e = collect_used(reader, options, all, links, &count);
    for (size_t i = 0; !e && i < count; i++)
        if (links[i].type->admits)
            links[kept++] = links[i];
        else if (use && count == all->count)
            (void)complain_unfit(reader, &references[i]);
    if (e)
        return e == NO_MEMORY ? e : OK;
    sort_by_rank(links, kept);
    *ret_handler = link_all(links, kept, inner);
    return OK;
}
