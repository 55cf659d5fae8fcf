#include "service/outcome.h"

#include "service/breakers.h"
#include "service/connect.h"
#include "service/endpoint_metrics.h"
#include "service/mark.h"
#include "service/trial.h"

bool outcome_is_failure(enum status reason)
{
    return connect_is_failure(reason) || reason == UPSTREAM_CLOSED || reason == UPSTREAM_RESET ||
           reason == UPSTREAM_TIMEOUT || reason == UPSTREAM_TRY_TIMEOUT ||
           reason == UPSTREAM_TOTAL_TIMEOUT || reason == ROUTE_TIMEOUT ||
           reason == DEADLINE_PASSED || reason == UPSTREAM_WRITE_TIMEOUT ||
           reason == UPSTREAM_PROTOCOL || reason == UPSTREAM_HEAD_TOO_LARGE ||
           reason == UPSTREAM_BODY_TIMEOUT || reason == UPSTREAM_INCOMPLETE;
}

static bool is_gateway_failure(int status)
{
    return status == 502 || status == 503 || status == 504;
}

static void report_answer(const struct outcome *outcome, struct endpoint *endpoint)
{
    const struct outlier_options *options = &outcome->service->options->outlier;
    if (outcome->took) {
        metric_observe(plane_shard(outcome->service->plane, outcome->view->worker),
            endpoint_duration_series(endpoint), outcome->took);
        if (outcome->status < 500)
            mark_answered(endpoint, outcome->took);
        else
            mark_slow(endpoint, outcome->took);
    }
    if (is_gateway_failure(outcome->status))
        mark_failed(outcome->view, outcome->index, options, "status 502, 503 or 504");
    else if (outcome->status >= 500)
        mark_bad_answer(outcome->view, outcome->index, options, "status 5xx");
    else
        mark_good(endpoint);
}

static void report_failure(const struct outcome *outcome, struct endpoint *endpoint)
{
    if (outcome_is_failure(outcome->reason)) {
        if (outcome->took)
            mark_slow(endpoint, outcome->took);
        mark_failed(outcome->view, outcome->index, &outcome->service->options->outlier,
            status_word(outcome->reason));
    }
    if (status_http(outcome->reason) > 500) /* what the client did is no failure of the service */
        service_count_failure(outcome->service, outcome->view->worker, outcome->reason);
}

void outcome_report(const struct outcome *outcome)
{
    struct endpoint *endpoint = outcome->view->set->endpoints[outcome->index];
    bool is_failure = outcome->reason || outcome->status >= 500;
    if (outcome->is_evidence && outcome->service->trial &&
        (!outcome->reason || outcome_is_failure(outcome->reason)))
        trial_learn(outcome->service->trial, outcome, is_failure);
    if (outcome->is_lost) {
        mark_lasted(endpoint, outcome->took);
        return;
    }
    if (outcome->reason)
        report_failure(outcome, endpoint);
    else
        report_answer(outcome, endpoint);
    if (!outcome->reason || outcome_is_failure(outcome->reason))
        breakers_learn_of_try(outcome, is_failure);
}
