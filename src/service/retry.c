#include "service/retry.h"

#include "run/loop.h"
#include "service/call.h"
#include "service/connect.h"
#include "service/retry_budget.h"

void retry_begin(struct retry *retry, const struct call *call)
{
    const struct retry_rule *route = call->x->retry;
    retry->rule = route ? route : &call->service->options->retry.rule;
    retry_budget_note(call->service->budget, loop_now());
}

static void give_slot(struct retry *retry, const struct call *call)
{
    if (retry->has_slot)
        retry_budget_return(call->service->budget);
    retry->has_slot = false;
}

void retry_end(struct retry *retry, const struct call *call)
{
    give_slot(retry, call);
}

/* --- what happened */

static uint32_t kind_of(const struct attempt *attempt, enum status e)
{
    if (attempt->transport->is_unseen(attempt, e))
        return RETRY_REFUSED;
    switch ((int)e) {
    case UPSTREAM_CLOSED:
        return attempt->is_answered ? RETRY_PROTOCOL : RETRY_CLOSED;
    case UPSTREAM_RESET:
        return attempt->is_answered ? RETRY_PROTOCOL : RETRY_RESET;
    case UPSTREAM_TIMEOUT:
    case UPSTREAM_TRY_TIMEOUT:
    case UPSTREAM_WRITE_TIMEOUT:
        return RETRY_TIMEOUT;
    case UPSTREAM_PROTOCOL:
    case UPSTREAM_HEAD_TOO_LARGE:
        return RETRY_PROTOCOL;
    default:
        return connect_is_failure(e) ? RETRY_CONNECT : 0;
    }
}

/* A call of gRPC that ends in the answer's head, so that there are no messages, with a status that
 * is listed: then who lists it has said that the call may be made again. */
static bool is_listed_call(const struct call *call, const struct http_response *response)
{
    uint64_t status = 0;
    return call->x->grpc && call->retry.rule->conditions.grpc &&
           slice_to_u64(fields_value(&response->fields, FIELD_GRPC_STATUS), &status) &&
           status < 32 && call->retry.rule->conditions.grpc >> status & 1;
}

/* --- what is safe */

bool retry_has_key(const struct call *call)
{
    return fields_has(&call->x->request.fields, FIELD_IDEMPOTENCY_KEY);
}

bool retry_is_harmless(const struct call *call)
{
    return http_method_is_idempotent(call->x->request.method) ||
           (call->retry.rule->is_keyed && retry_has_key(call));
}

/* Listed, and safe. */
static bool is_wanted(const struct call *call, const struct attempt *attempt, enum status e)
{
    const struct retry_conditions *conditions = &call->retry.rule->conditions;
    if (!e)
        return is_listed_call(call, &attempt->response) ||
               (retry_has_status(conditions, attempt->response.status) && retry_is_harmless(call));
    uint32_t kind = kind_of(attempt, e);
    if (!(conditions->kinds & kind))
        return false;
    return kind == RETRY_CONNECT || kind == RETRY_REFUSED || retry_is_harmless(call);
}

bool retry_is_safe(const struct call *call, enum status e)
{
    const struct attempt *attempt = call->attempt;
    return !attempt->is_connected || attempt->transport->is_unseen(attempt, e) ||
           retry_is_harmless(call);
}

/* --- when */

int64_t retry_backoff_bound(const struct backoff_options *backoff, int64_t n)
{
    int64_t max = backoff->max ? backoff->max : 10 * backoff->base;
    int64_t times = ((int64_t)1 << n) - 1;
    return times > max / backoff->base ? max : times * backoff->base;
}

int64_t retry_after_parse(struct slice value, int64_t wall)
{
    uint64_t seconds = 0;
    int64_t date = 0;
    if (slice_to_u64(value, &seconds))
        return seconds < (uint64_t)(DAY / SECOND) ? (int64_t)seconds * SECOND : DAY;
    if (!clock_parse_http_date(value, &date) || date <= wall / SECOND)
        return 0;
    return date - wall / SECOND < DAY / SECOND ? date * SECOND - wall : DAY;
}

/* From `least` to `most`. */
static int64_t draw(int64_t least, int64_t most)
{
    return least + (int64_t)random_below(loop_random(), (uint64_t)(most - least) + 1);
}

static int64_t draw_pause(const struct call *call, const struct attempt *attempt, enum status e)
{
    const struct retry_rule *rule = call->retry.rule;
    int64_t asked = 0;
    if (!e && fields_has(&attempt->response.fields, FIELD_RETRY_AFTER))
        asked = retry_after_parse(
            fields_value(&attempt->response.fields, FIELD_RETRY_AFTER), loop_wall());
    if (asked > 0 && asked <= rule->retry_after)
        return draw(asked, asked + asked / 2);
    return draw(0, retry_backoff_bound(&rule->backoff, call->retry.made + 1));
}

/* --- all of it */

bool retry_wanted(struct call *call, const struct attempt *attempt, enum status e)
{
    struct retry *retry = &call->retry;
    if (retry->made >= retry->rule->times || !is_wanted(call, attempt, e))
        return false;
    retry->pause = draw_pause(call, attempt, e);
    return clock_after(loop_now(), retry->pause) < call->x->deadline;
}

bool retry_take(struct call *call)
{
    const struct service *service = call->service;
    struct retry *retry = &call->retry;
    if (!parcel_rewind(call->attempt))
        return false;
    give_slot(retry, call);
    retry->has_slot =
        retry_budget_take(service->budget, &service->options->retry.budget, loop_now());
    if (retry->has_slot)
        retry->made++;
    else
        metric_add(
            plane_shard(service->plane, call->x->worker), service->budget_exhausted_series, 1);
    return retry->has_slot;
}
