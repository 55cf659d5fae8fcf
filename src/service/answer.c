#include "service/call.h"

#include "run/loop.h"
#include "service/breakers.h"
#include "service/reports.h"

static struct call *call_of(struct body *body)
{
    return list_entry(body, struct call, answer.body);
}

static bool is_draining(const struct exchange *x)
{
    return x->hooks && x->hooks->is_draining && x->hooks->is_draining(x);
}

static bool is_of_grpc(const struct http_response *response)
{
    struct slice rest;
    return grpc_kind_of_type(fields_value(&response->fields, FIELD_CONTENT_TYPE), &rest);
}

/* A call of gRPC that breaks off still ends with a status, in its trailers, so that the caller
 * hears why. Nothing is done when there is nobody to hear it. */
static void end_with_status(struct call *call)
{
    struct exchange *x = call->x;
    struct answer *answer = &call->answer;
    enum status reason = answer->outcome;
    if (reason == CANCELLED && is_draining(x))
        reason = SHUTTING_DOWN;
    if (!x->grpc || !status_http(reason) || !is_of_grpc(&x->response))
        return;
    struct fields *trailers = arena_new(&x->arena, struct fields);
    if (!trailers)
        return;
    fields_init(trailers, &x->arena);
    if (grpc_add_failure(x, trailers, reason, SLICE_NONE))
        return;
    answer->body.trailers = trailers;
    answer->outcome = END;
    x->facts.reason = reason;
}

static void learn_of_failure(const struct call *call)
{
    breakers_learn_of_call(call->service, call->x->worker, call->began, true);
}

/* A call of gRPC that failed in the end, whose head was reported as good. */
static void report_trailers(const struct call *call)
{
    const struct fields *trailers = call->answer.inner->trailers;
    int status = call->x->grpc && trailers
                     ? grpc_http_status(fields_value(trailers, FIELD_GRPC_STATUS))
                     : 200;
    if (status < 500)
        return;
    outcome_report(&(struct outcome){.service = call->service,
        .view = call->view,
        .index = call->attempt->index,
        .status = status,
        .is_connected = true,
        .is_evidence = call->x->evidence && call->x->facts.tries == 1,
        .is_late = true});
    learn_of_failure(call);
}

/* What the endpoint says of its load, in its answer's fields or trailers. */
static void take_report(struct call *call, struct fields *fields)
{
    (void)reports_take(call->attempt->endpoint, &call->service->options->reports, fields,
        plane_shard(call->service->plane, call->x->worker));
}

static bool has_reports(const struct call *call)
{
    return call->service->options->reports.is_on;
}

/* The trailers are known, if there are any. A report in them is taken once; without memory they
 * stay away. */
static void take_trailers(struct call *call)
{
    struct answer *answer = &call->answer;
    const struct fields *trailers = answer->inner->trailers;
    if (!trailers || !has_reports(call))
        answer->body.trailers = trailers;
    if (answer->body.trailers || !trailers)
        return;
    struct fields *own = arena_new(&call->x->arena, struct fields);
    if (!own)
        return;
    *own = *trailers;
    take_report(call, own);
    answer->body.trailers = own;
}

/* The body is over: the connection can serve others while the client still gets the last bytes. */
static void end(struct call *call, enum status e)
{
    struct answer *answer = &call->answer;
    answer->has_ended = true;
    answer->outcome = body_status_of_upstream(e);
    if (answer->outcome == UPSTREAM_BODY_TIMEOUT && loop_now() >= call->x->deadline)
        answer->outcome = exchange_lateness(call->x);
    if (e == END) {
        take_trailers(call);
        report_trailers(call);
        call_finish(call, true);
        return;
    }
    if (status_http(answer->outcome) > 500 && e != NO_MEMORY) {
        attempt_report(call->attempt, answer->outcome, true);
        learn_of_failure(call);
    }
    call_finish(call, false);
    end_with_status(call);
}

static enum status read_answer(struct body *body, instant deadline, struct slice *ret_bytes)
{
    struct call *call = call_of(body);
    if (call->answer.has_ended)
        return call->answer.outcome;
    enum status e = body_read(call->answer.inner, deadline, ret_bytes);
    if (!e)
        return OK;
    end(call, e);
    return call->answer.outcome;
}

static enum status wait_for_answer(struct body *body, instant deadline)
{
    struct call *call = call_of(body);
    return call->answer.has_ended ? OK : body_wait(call->answer.inner, deadline);
}

static enum status splice_answer(
    struct body *body, instant deadline, struct splice **ret_splice, size_t *ret_size)
{
    struct call *call = call_of(body);
    if (call->answer.has_ended)
        return FULL;
    enum status e = body_splice(call->answer.inner, deadline, ret_splice, ret_size);
    if (!e || e == FULL)
        return e;
    end(call, e);
    return call->answer.outcome;
}

static struct slice peek_answer(struct body *body, bool *ret_last)
{
    struct call *call = call_of(body);
    *ret_last = false;
    if (call->answer.has_ended)
        return SLICE_NONE;
    struct slice bytes = body_peek(call->answer.inner, ret_last);
    if (*ret_last)
        take_trailers(call);
    return bytes;
}

static void drop_answer(struct body *body)
{
    struct call *call = call_of(body);
    if (!call->answer.has_ended) {
        report_trailers(call); /* who has peeked has seen them, and does not read to the end */
        call_finish(call, true);
    }
    call->answer.has_ended = true;
    call->answer.outcome = CANCELLED;
}

static const struct body_ops answer_ops = {.read = read_answer,
    .wait = wait_for_answer,
    .splice = splice_answer,
    .peek = peek_answer,
    .drop = drop_answer};

/* What policies have put there before the call stays. */
static enum status keep_earlier_fields(struct exchange *x, struct fields *fields)
{
    return x->response.status ? OK : fields_append(fields, &x->response.fields);
}

enum status answer_begin(struct call *call)
{
    struct exchange *x = call->x;
    struct answer *answer = &call->answer;
    struct attempt *attempt = call->attempt;
    struct http_response *response = &attempt->response;
    bool is_tunnel = response->status == 101;
    enum status e = is_tunnel ? websocket_call_begin(call, &answer->body) : OK;
    if (e)
        return e;
    if (has_reports(call))
        take_report(call, &response->fields);
    e = fields_strip_hop_by_hop(&response->fields);
    if (!e)
        e = keep_earlier_fields(x, &response->fields);
    if (e)
        return e == NO_MEMORY ? e : UPSTREAM_PROTOCOL;
    x->response = *response;
    x->response.body = &answer->body;
    if (is_tunnel)
        return OK;
    bool is_empty = attempt->framing.kind == H1_NO_BODY ||
                    (attempt->framing.kind == H1_LENGTH && attempt->framing.length == 0);
    if (is_empty) {
        body_init_empty(&answer->body);
        call_finish(call, true);
        return OK;
    }
    answer->inner = attempt->transport->body(attempt);
    answer->body = (struct body){.ops = &answer_ops, .length = answer->inner->length};
    return OK;
}
