#include "service/call.h"

#include "run/loop.h"

#define CONTINUE_WAIT SECOND /* for "100 Continue" of an endpoint that may not know it */
#define INTERIM_MAX   32     /* interim answers before one that is final */

const struct h1_limits upstream_limits = H1_LIMITS_DEFAULT;

/* --- reading the answer's head */

static enum status status_of_head(const struct attempt *attempt, enum status e)
{
    switch ((int)e) {
    case END:
    case CLOSED:
    case IO_ERROR:
        return UPSTREAM_CLOSED;
    case TIMEOUT:
        return attempt->upload.is_cut ? UPSTREAM_CLOSED : UPSTREAM_TIMEOUT;
    default:
        return e;
    }
}

static void note(struct upload *upload)
{
    if (upload->waiter)
        fiber_wake(upload->waiter);
}

/* Of two attempts at a time the second keeps what it hears to itself, and the first is not cut
 * short in the middle of what it says. */
static bool tell_client(struct attempt *attempt)
{
    struct exchange *x = attempt->call->x;
    if (attempt->is_second || !x->hooks || !x->hooks->send_interim)
        return true;
    bool may_lose = attempt->call->hedge != NULL;
    if (may_lose)
        fiber_shield();
    enum status e = x->hooks->send_interim(x, &attempt->response);
    if (may_lose)
        fiber_unshield();
    return e == OK;
}

/* 100 asks for the body; 102 and 103 are told the client as they are. 101 was not asked for. */
static enum status pass_on_interim(struct attempt *attempt)
{
    struct exchange *x = attempt->call->x;
    int status = attempt->response.status;
    if (status == 101)
        return UPSTREAM_PROTOCOL;
    if (status == 100) {
        attempt->call->parcel.awaits_continue = false;
        if (attempt->upload.holder)
            fiber_wake(attempt->upload.holder);
        if (!x->expects_continue)
            return OK;
    }
    if (fields_strip_hop_by_hop(&attempt->response.fields))
        return UPSTREAM_PROTOCOL;
    if (!tell_client(attempt))
        return CLIENT_CLOSED;
    if (status == 100)
        x->expects_continue = false;
    return OK;
}

/* The answer to who asked for a WebSocket. */
static bool is_switch(const struct attempt *attempt)
{
    return attempt->response.status == 101 && attempt->call->x->is_websocket;
}

static enum status read_head(struct attempt *attempt, instant deadline)
{
    for (int i = 0; i < INTERIM_MAX; i++) {
        enum status e = attempt->transport->read_head(attempt, deadline);
        if (e)
            return status_of_head(attempt, e);
        attempt->is_answered = true;
        if (attempt->response.status >= 200 || is_switch(attempt))
            return OK;
        e = pass_on_interim(attempt);
        if (e)
            return e;
    }
    return UPSTREAM_PROTOCOL;
}

instant upload_deadline(const struct attempt *attempt)
{
    const struct call *call = attempt->call;
    return call->parcel.kind == PARCEL_STREAM ? call->x->deadline : attempt->deadline;
}

/* --- at once */

static enum status send_at_once(struct attempt *attempt)
{
    struct upload *upload = &attempt->upload;
    const struct parcel *parcel = &attempt->call->parcel;
    bool source_failed = false;
    if (parcel->kind == PARCEL_EMPTY)
        body_init_empty(&upload->memory.body);
    else
        body_init_slice(&upload->memory, parcel->bytes);
    enum status e = attempt->transport->send(attempt, &upload->memory.body, &source_failed);
    upload->has_ended = true;
    upload->ended = loop_now();
    if (e == TIMEOUT)
        return UPSTREAM_WRITE_TIMEOUT;
    upload->is_cut = e != OK;
    return e == CANCELLED || e == NO_MEMORY ? e : OK;
}

static enum status exchange_at_once(struct attempt *attempt)
{
    enum status e = send_at_once(attempt);
    if (!e) {
        instant deadline = clock_after(loop_now(), call_patience(attempt->call));
        e = read_head(attempt, clock_sooner(attempt->deadline, deadline));
    }
    return e;
}

/* --- streamed: one fiber sends, one reads the head, and the exchange's own waits for what happens
 * first */

/* CANCELLED when there is a final answer before: then nobody wants the body any more. */
static enum status wait_for_leave(struct attempt *attempt)
{
    struct upload *upload = &attempt->upload;
    struct parcel *parcel = &attempt->call->parcel;
    instant until = loop_now() + CONTINUE_WAIT;
    upload->holder = fiber_current();
    enum status e = OK;
    while (parcel->awaits_continue && e != CANCELLED && loop_now() < until)
        e = fiber_wait(until);
    upload->holder = NULL;
    parcel->awaits_continue = false;
    return e == CANCELLED ? e : OK;
}

static enum status pump_request(struct attempt *attempt, bool *ret_source_failed)
{
    struct parcel *parcel = &attempt->call->parcel;
    if (parcel->awaits_continue) {
        enum status e = attempt->transport->send_head(attempt);
        if (!e)
            e = wait_for_leave(attempt);
        if (e)
            return e;
    }
    parcel->has_begun = true;
    return attempt->transport->send(attempt, parcel_stream(attempt), ret_source_failed);
}

static void run_pump(void *argument)
{
    struct attempt *attempt = argument;
    struct upload *upload = &attempt->upload;
    bool source_failed = false;
    enum status e = pump_request(attempt, &source_failed);
    upload->has_ended = true;
    upload->ended = loop_now();
    if (source_failed)
        upload->failure = body_status_of_client(e);
    else if (e == TIMEOUT)
        upload->failure = UPSTREAM_WRITE_TIMEOUT;
    else if (e == CANCELLED || e == NO_MEMORY)
        upload->failure = e;
    upload->is_cut = e != OK;
    note(upload);
}

static void run_reader(void *argument)
{
    struct attempt *attempt = argument;
    attempt->upload.head_outcome = read_head(attempt, attempt->deadline);
    attempt->upload.head_is_here = true;
    note(&attempt->upload);
}

/* The endpoint's time for its answer begins when it has the whole request. */
static enum status wait_for_head(struct attempt *attempt)
{
    struct upload *upload = &attempt->upload;
    int64_t first_byte = call_patience(attempt->call);
    while (!upload->head_is_here) {
        if (upload->failure)
            return upload->failure;
        instant until = attempt->deadline;
        if (upload->has_ended)
            until = clock_sooner(until, clock_after(upload->ended, first_byte));
        enum status e = fiber_wait(until);
        if (e == CANCELLED)
            return e;
        if (loop_now() >= until && !upload->head_is_here)
            return status_of_head(attempt, TIMEOUT);
    }
    return upload->head_outcome;
}

static enum status exchange_streamed(struct attempt *attempt)
{
    struct upload *upload = &attempt->upload;
    upload->waiter = fiber_current();
    scope_init(&upload->scope);
    upload->has_scope = true;
    enum status e = scope_start(&upload->scope, run_pump, attempt);
    if (!e)
        e = scope_start(&upload->scope, run_reader, attempt);
    if (!e)
        e = wait_for_head(attempt);
    upload->waiter = NULL;
    if (e || upload->holder)
        upload_stop(upload);
    return e;
}

enum status upload_exchange(struct attempt *attempt)
{
    struct upload *upload = &attempt->upload;
    upload->has_ended = upload->is_cut = upload->head_is_here = false;
    upload->failure = OK;
    enum status e = attempt->transport->prepare ? attempt->transport->prepare(attempt) : OK;
    if (e)
        return e;
    return attempt->call->parcel.kind == PARCEL_STREAM ? exchange_streamed(attempt)
                                                       : exchange_at_once(attempt);
}

/* --- after */

/* Reads what was only looked at, so that the client's connection stands at its next request. */
static void consume_request(struct body *body)
{
    struct slice ignored;
    while (body_read(body, loop_now(), &ignored) == OK)
        ;
}

enum status upload_settle(struct attempt *attempt)
{
    enum status e = OK;
    if (attempt->call->parcel.kind != PARCEL_MEMORY)
        return OK;
    if (attempt->transport->keep_unsent)
        e = attempt->transport->keep_unsent(attempt);
    if (!e)
        consume_request(attempt->call->x->request.body);
    return e;
}

void upload_stop(struct upload *upload)
{
    if (upload->has_scope)
        scope_end(&upload->scope);
    upload->has_scope = false;
}

bool upload_is_complete(const struct upload *upload)
{
    return upload->has_ended && !upload->is_cut;
}

bool upload_left_nothing(const struct attempt *attempt)
{
    const struct upload *upload = &attempt->upload;
    return attempt->call->parcel.kind != PARCEL_STREAM && upload->has_ended && upload->is_cut;
}
