#include "service/overload.h"

/* Why one who is not to be asked is not. */
static enum status why_not(const struct service *service, const struct candidate *candidate)
{
    uint32_t down = atomic_load_explicit(&candidate->load->is_down, memory_order_relaxed);
    if (down == 0 && candidate->weight > 0 && candidate->limit)
        return candidate->limit == service->options->concurrency.endpoint ? SERVICE_BUSY
                                                                          : ALL_OVERLOADED;
    if (down && (down & ~(uint32_t)DOWN_ENOUGH) == 0)
        return ALL_OVERLOADED;
    return down & DOWN_BREAKER ? BREAKER_OPEN : NO_ENDPOINT;
}

/* What gives most hope. */
enum status overload_why_nobody(const struct service *service, const struct endpoint_set *set)
{
    bool is_overloaded = false, is_open = false;
    for (uint32_t i = 0; i < set->count; i++) {
        enum status e = why_not(service, &set->members[i].candidate);
        if (e == SERVICE_BUSY)
            return e;
        is_overloaded = is_overloaded || e == ALL_OVERLOADED;
        is_open = is_open || e == BREAKER_OPEN;
    }
    if (is_overloaded)
        return ALL_OVERLOADED;
    return is_open ? BREAKER_OPEN : NO_ENDPOINT;
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
