#include "policy/policy.h"

#include "http/whole_body.h"
#include "policy/idempotency_answer.h"
#include "policy/idempotency_fingerprint.h"
#include "policy/idempotency_key.h"
#include "policy/idempotency_options.h"
#include "policy/idempotency_run.h"
#include "run/loop.h"

/* Does a request once, however often it comes with the same Idempotency-Key
 * (draft-ietf-httpapi-idempotency-key-header): who sends it again is given the first one's answer.
 *
 *     idempotency_key          what the field says, and what the store calls it
 *     idempotency_fingerprint  by which another request under the same key is known
 *     idempotency_hold         of all who have the same key, one runs
 *     idempotency_run          ... beside a lease that is renewed
 *     idempotency_answer       refusals, and answers that are given again
 *
 * The answer is sent when it is kept: a client that has it can rely on it. What has surely not
 * begun leaves nothing behind, and may be sent again; what may have, but brought no answer, stays
 * unknown (option `unknown`). A client that goes away does not end what has begun. */

#define FENCE     "Idempotency-Fence" /* the token, for the service: it grows with each owner */
#define TRIES_MAX 3                   /* to have a key that others want, too */

static const char *const outcome_words[IDEMPOTENCY_OUTCOMES] = {
    [IDEMPOTENCY_WITHOUT_KEY] = "without-key",
    [IDEMPOTENCY_MISSING] = "missing",
    [IDEMPOTENCY_MALFORMED] = "malformed",
    [IDEMPOTENCY_STILL_RUNNING] = "running",
    [IDEMPOTENCY_REUSED] = "reused",
    [IDEMPOTENCY_NO_BODY_KEPT] = "too-large",
    [IDEMPOTENCY_NOBODY_KNOWS] = "unknown",
    [IDEMPOTENCY_UNAVAILABLE] = "unavailable",
    [IDEMPOTENCY_REPLAYED] = "replayed",
    [IDEMPOTENCY_KEPT] = "kept",
    [IDEMPOTENCY_HEAD_KEPT] = "head-kept",
    [IDEMPOTENCY_FREED] = "freed",
    [IDEMPOTENCY_LEFT_OPEN] = "left-open",
    [IDEMPOTENCY_NOT_KEPT] = "not-kept",
    [IDEMPOTENCY_LOST] = "lost"};

/* --- preparing */

static enum status choose_store(struct prepare *prepare, struct idempotency_options *options)
{
    const struct store_choice *stores = &prepare->stores;
    options->substitute = options->if_unavailable == IDEMPOTENCY_LOCAL ? stores->memory : NULL;
    return store_choose(prepare->reader, stores, options->store, prepare->place, &options->chosen);
}

static enum status prepare(struct prepare *prepare, void *config)
{
    static const struct metric_family requests = {.name = "weir_idempotency_requests_total",
        .help = "Requests of the methods that a policy is for, by what became of them.",
        .kind = METRIC_COUNTER,
        .labels = {"policy", "outcome"}};
    static const struct metric_family renewals = {.name = "weir_idempotency_renewals_total",
        .help = "Leases that were to be renewed, since their requests take long.",
        .kind = METRIC_COUNTER,
        .labels = {"policy", "outcome"}};
    struct idempotency_options *options = config;
    options->name = prepare->name;
    options->renewed = metrics_series(
        prepare->metrics, &renewals, (const struct slice[]){prepare->name, SLICE("ok")});
    options->not_renewed = metrics_series(
        prepare->metrics, &renewals, (const struct slice[]){prepare->name, SLICE("failed")});
    options->shards = prepare->shards;
    for (int i = 0; i < IDEMPOTENCY_OUTCOMES; i++)
        options->series[i] = metrics_series(prepare->metrics, &requests,
            (const struct slice[]){prepare->name, slice_of_text(outcome_words[i])});
    return choose_store(prepare, options);
}

/* --- what a request is */

/* One on its way through the policy. */
struct passage {
    const struct idempotency_options *options;
    struct exchange *x;
    const struct handler *next;
    struct slice key, body;
    char fingerprint[TLS_DIGEST_SIZE];
    struct idempotency_hold hold;
    bool is_decided; /* the store has said what is to be done */
};

static void count(const struct passage *passage, enum idempotency_outcome outcome)
{
    const struct idempotency_options *options = passage->options;
    metric_add(options->shards[passage->x->worker], options->series[outcome], 1);
}

static enum status refuse(
    struct passage *passage, enum status reason, enum idempotency_outcome outcome, int64_t wait)
{
    count(passage, outcome);
    return idempotency_refuse(passage->x, reason, SLICE_NONE, wait, passage->options->docs);
}

static enum status identify(struct passage *passage)
{
    struct exchange *x = passage->x;
    const struct idempotency_options *options = passage->options;
    /* Before the key is taken: a client that goes away meanwhile has begun nothing. */
    enum status e = whole_body_take(x, (size_t)options->request_max, &passage->body);
    if (e)
        return e;
    struct slice per = options->per ? expression_text(options->per, x) : SLICE_NONE;
    struct slice principal = idempotency_principal(x, per);
    struct idempotency_request request = {
        .body = passage->body, .fields = &options->fields, .is_anonymous = !principal.data};
    e = idempotency_fingerprint(x, &request, passage->fingerprint);
    if (!e)
        e = idempotency_name(x, options->name, principal, passage->key, &passage->hold.name);
    return e;
}

/* --- running */

static instant patience(const struct passage *passage)
{
    return clock_after(loop_now(), passage->options->timeout);
}

/* Puts nothing in the place of the key, so that the request may be sent again. */
static void free_key(struct passage *passage, enum idempotency_outcome outcome)
{
    enum status e = idempotency_hold_end(&passage->hold, SLICE_NONE, patience(passage));
    count(passage, e == CONFLICT ? IDEMPOTENCY_LOST : e ? IDEMPOTENCY_NOT_KEPT : outcome);
}

static bool is_excepted(const struct passage *passage)
{
    const struct exchange *x = passage->x;
    int status = x->response.status;
    if (x->grpc && status == 200)
        status = grpc_http_status(grpc_status_said(x));
    return idempotency_has_status(&passage->options->except, status);
}

static enum status keep(
    struct passage *passage, const struct idempotency_run *run, const struct fields *earlier)
{
    struct exchange *x = passage->x;
    struct idempotency_hold *hold = &passage->hold;
    struct slice bytes, body = run->download->is_whole ? run->download->bytes : SLICE_NONE;
    int64_t expiry = idempotency_hold_expiry(hold);
    enum status e = idempotency_keep_answer(x, &hold->running, expiry, earlier, body, &bytes);
    if (!e)
        e = idempotency_hold_end(hold, bytes, patience(passage));
    if (!e)
        idempotency_say_expiry(x, expiry);
    count(passage, e == CONFLICT ? IDEMPOTENCY_LOST
                   : e           ? IDEMPOTENCY_NOT_KEPT
                   : body.data   ? IDEMPOTENCY_KEPT
                                 : IDEMPOTENCY_HEAD_KEPT);
    return OK;
}

/* What a handler has answered by itself, or a service, is a result. */
static enum status settle(
    struct passage *passage, const struct idempotency_run *run, const struct fields *earlier)
{
    const struct exchange *x = passage->x;
    bool is_result = !run->outcome && !x->facts.reason;
    if (is_result && !is_excepted(passage))
        return keep(passage, run, earlier);
    if (is_result || !x->may_be_done)
        free_key(passage, IDEMPOTENCY_FREED);
    else
        count(passage, IDEMPOTENCY_LEFT_OPEN);
    return run->outcome;
}

static enum status run_owned(struct passage *passage)
{
    struct exchange *x = passage->x;
    const struct fields earlier = x->response.fields;
    struct slice token =
        arena_format(&x->arena, "%llu", (unsigned long long)passage->hold.running.token);
    enum status e = token.data ? fields_set(&x->request.fields, SLICE(FENCE), token) : NO_MEMORY;
    if (!e && fiber_is_cancelled(fiber_current()))
        e = CANCELLED;
    if (e) {
        free_key(passage, IDEMPOTENCY_FREED);
        return e;
    }
    struct idempotency_run run = {.x = x,
        .next = passage->next,
        .hold = &passage->hold,
        .answer_max = (size_t)passage->options->answer_max,
        .patience = passage->options->timeout,
        .shard = passage->options->shards[x->worker],
        .renewed = passage->options->renewed,
        .not_renewed = passage->options->not_renewed};
    idempotency_run(&run);
    return settle(passage, &run, &earlier);
}

/* --- deciding */

static enum status answer_result(struct passage *passage, const struct idempotency_record *there)
{
    if (there->kind == IDEMPOTENCY_LARGE) {
        count(passage, IDEMPOTENCY_NO_BODY_KEPT);
        return idempotency_refuse_large(passage->x, there, passage->options->docs);
    }
    count(passage, IDEMPOTENCY_REPLAYED);
    return idempotency_replay(passage->x, there);
}

/* CONFLICT: somebody was faster, so that there is something else to look at. */
static enum status answer_unknown(struct passage *passage, const struct idempotency_record *there)
{
    if (!passage->options->is_retried)
        return refuse(passage, OUTCOME_UNKNOWN, IDEMPOTENCY_NOBODY_KNOWS, 0);
    enum status e = idempotency_hold_take_over(
        &passage->hold, there, slice_of_text(passage->fingerprint), patience(passage));
    passage->is_decided = !e;
    return e ? e : run_owned(passage);
}

static enum status answer_other(
    struct passage *passage, enum idempotency_taken taken, const struct idempotency_record *there)
{
    if (!slice_equal(there->fingerprint, slice_of_text(passage->fingerprint)))
        return refuse(passage, IDEMPOTENCY_KEY_REUSED, IDEMPOTENCY_REUSED, 0);
    if (taken == IDEMPOTENCY_RESULT)
        return answer_result(passage, there);
    if (taken == IDEMPOTENCY_UNKNOWN)
        return answer_unknown(passage, there);
    return refuse(
        passage, STILL_RUNNING, IDEMPOTENCY_STILL_RUNNING, idempotency_wait(there, loop_wall()));
}

/* Afterwards is_decided says whether the answer, or the failure, is for the client: else the store
 * has failed. From its beginning on nothing is left half done because the client goes. */
static enum status decide(struct passage *passage, struct store *store)
{
    enum idempotency_taken taken = IDEMPOTENCY_MINE;
    struct idempotency_record there;
    enum status e = CONFLICT;
    passage->hold.store = store;
    fiber_shield();
    for (int i = 0; e == CONFLICT && !passage->is_decided && i < TRIES_MAX; i++) {
        e = idempotency_hold_take(
            &passage->hold, slice_of_text(passage->fingerprint), patience(passage), &taken, &there);
        passage->is_decided = !e;
        if (!e)
            e = taken == IDEMPOTENCY_MINE ? run_owned(passage)
                                          : answer_other(passage, taken, &there);
    }
    fiber_unshield();
    return e;
}

static enum status answer_without_store(struct passage *passage)
{
    const struct idempotency_options *options = passage->options;
    count(passage, IDEMPOTENCY_UNAVAILABLE);
    if (options->if_unavailable == IDEMPOTENCY_PASS) {
        passage->is_decided = true;
        return handler_serve(passage->next, passage->x);
    }
    if (!options->substitute || options->substitute == passage->hold.store)
        return STORE_UNAVAILABLE;
    enum status e = decide(passage, options->substitute);
    return passage->is_decided ? e : STORE_UNAVAILABLE;
}

static enum status serve_keyed(struct passage *passage)
{
    const struct idempotency_options *options = passage->options;
    struct exchange *x = passage->x;
    passage->hold.worker = x->worker;
    passage->hold.arena = &x->arena;
    passage->hold.keep = options->keep;
    passage->hold.lease = options->lease;
    enum status e = decide(passage, options->chosen);
    if (passage->is_decided || e == NO_MEMORY)
        return e;
    if (e == CONFLICT) /* others are faster again and again */
        return refuse(passage, STILL_RUNNING, IDEMPOTENCY_STILL_RUNNING, SECOND);
    return answer_without_store(passage);
}

/* Services may believe what the fence says: it never comes from a client. */
static void strip_fence(struct exchange *x)
{
    if (fields_next_named(&x->request.fields, SLICE(FENCE), NULL))
        fields_remove(&x->request.fields, SLICE(FENCE));
}

static enum status serve(const void *config, struct exchange *x, const struct handler *next)
{
    const struct idempotency_options *options = config;
    struct passage passage = {.options = options, .x = x, .next = next};
    strip_fence(x);
    if (!idempotency_is_for(options, x->request.method))
        return handler_serve(next, x);
    enum status e = idempotency_key_of(x, &passage.key);
    if (e == INVALID)
        return refuse(&passage, BAD_IDEMPOTENCY_KEY, IDEMPOTENCY_MALFORMED, 0);
    if (e == NOT_FOUND && options->is_required)
        return refuse(&passage, IDEMPOTENCY_KEY_MISSING, IDEMPOTENCY_MISSING, 0);
    if (e == NOT_FOUND)
        count(&passage, IDEMPOTENCY_WITHOUT_KEY);
    if (e == NOT_FOUND || x->is_rehearsal || !options->chosen)
        return handler_serve(next, x);
    if (!e)
        e = identify(&passage);
    return e ? e : serve_keyed(&passage);
}

static void explain(const void *config, struct exchange *x, struct text *text)
{
    const struct idempotency_options *options = config;
    struct slice key;
    if (!idempotency_is_for(options, x->request.method)) {
        text_format(text, "not for %.*s", SLICE_ARG(x->request.method_text));
        return;
    }
    enum status e = idempotency_key_of(x, &key);
    if (!e)
        text_format(text, "once for the key \"%.*s\"", SLICE_ARG(key));
    else if (e != NOT_FOUND)
        text_add_literal(text, "refuses, the Idempotency-Key is malformed");
    else
        text_format(
            text, "%s, without an Idempotency-Key", options->is_required ? "refuses" : "passes");
}

const struct policy_type idempotent_policy = {
    .name = "idempotent",
    .plural = "idempotency",
    .options = &idempotency_table,
    .prepare = prepare,
    .serve = serve,
    .explain = explain,
};
