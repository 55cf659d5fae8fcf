#include "service/overload.h"

/* It would do, but says that it has enough, or may have no more requests than it has. */
static bool is_overloaded(const struct candidate *candidate)
{
    uint32_t down = atomic_load_explicit(&candidate->load->is_down, memory_order_relaxed);
    bool would_do = (down & ~(uint32_t)DOWN_ENOUGH) == 0;
    return would_do && (down || candidate->limit);
}

enum status overload_why_nobody(const struct endpoint_set *set)
{
    enum status e = NO_ENDPOINT;
    for (uint32_t i = 0; i < set->count; i++)
        if (is_overloaded(&set->members[i].candidate))
            return ALL_OVERLOADED;
        else if (endpoint_reasons(set->endpoints[i]) & DOWN_BREAKER)
            e = BREAKER_OPEN;
    return e;
}

static enum status say_when(struct exchange *x, const struct overload_options *options)
{
    int64_t seconds = (options->retry_after + SECOND - 1) / SECOND;
    if (seconds == 0)
        return OK;
    struct slice value = arena_format(&x->arena, "%lld", (long long)seconds);
    return value.data ? fields_set_known(&x->response.fields, FIELD_RETRY_AFTER, value) : NO_MEMORY;
}

enum status overload_answer(struct exchange *x, const struct overload_options *options)
{
    bool is_problem = !options->body.size && options->status == 503;
    enum status e = OK;
    if (is_problem || x->grpc)
        exchange_respond_problem(x, ALL_OVERLOADED, SLICE_NONE);
    else
        e = exchange_respond(x, (int)options->status,
            options->body.size ? SLICE("text/plain; charset=utf-8") : SLICE_NONE, options->body);
    x->facts.reason = ALL_OVERLOADED;
    return e ? e : say_when(x, options);
}
