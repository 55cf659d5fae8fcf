#include "policy/policy.h"

#include "http/whole_body.h"
#include "policy/once.h"
#include "policy/webhook_identity.h"
#include "policy/webhook_key.h"

/* Lets webhooks in that the sender has signed: over the bytes of the body as they came, which the
 * service gets unchanged. A form is how a sender signs (webhook_form.h); several secrets are good
 * at a time, so that they can be changed without a message lost.
 *
 * Who is refused hears "webhook-refused" and nothing of why: that is for the log and the metric.
 *
 * A message that the service has taken (2xx) is not given to it again: senders post until they hear
 * of success, so who posts it once more is told just that. One that the service has not taken is as
 * if it had never come. */

/* What becomes of a message besides its faults. */
enum outcome {
    REPEATED = WEBHOOK_FAULT_COUNT, /* the service has taken it before */
    RUNNING,                        /* the service is being asked just now */
    NOT_TAKEN,                      /* the service has answered otherwise, or not at all */
    UNKNOWN,                        /* the store could not say */
    OUTCOMES
};

struct webhook {
    int form;
    struct option_list secrets; /* of struct slice */
    struct place secrets_place;
    int64_t tolerance; /* nanoseconds */
    int64_t body;
    int identity, duplicate;
    struct once_options once_options;

    struct once once;
    const struct webhook_form *rules;
    struct webhook_key *keys;
    size_t key_count;
    struct metrics_shard *const *shards;
    uint32_t outcomes[OUTCOMES]; /* series */
};

static const char *const identity_words[] = {"id", "content", NULL};
static const char *const duplicate_words[] = {"accept", "refuse", NULL};
enum { BY_ID, BY_CONTENT };
enum { ACCEPT_DUPLICATE, REFUSE_DUPLICATE };

static const struct option secret_item = {.name = "secret", .kind = OPTION_SECRET};

static const struct option options[] = {
    {"form", OPTION_CHOICE, offsetof(struct webhook, form), .is_required = true,
        .choices = webhook_form_words,
        .help = "How the sender signs: standard (Standard Webhooks), or as svix, stripe, github, "
                "slack or shopify do."},
    {"secret", OPTION_LIST, offsetof(struct webhook, secrets), .is_required = true,
        .item = &secret_item, .item_size = sizeof(struct slice),
        .place_offset = offsetof(struct webhook, secrets_place),
        .help = "What the sender signs with, best from the environment, \"${GITHUB_SECRET}\", or a "
                "file, {file: github.secret}; or a list, while it is changed. Of Standard Webhooks "
                "a whsec_ or, for Ed25519, a whpk_."},
    {"tolerance", OPTION_DURATION, offsetof(struct webhook, tolerance), .fallback = "5m",
        .minimum = SECOND, .maximum = DAY,
        .help = "How far the time in a message may be from now, back or ahead, where the form has "
                "one."},
    {"body", OPTION_SIZE, offsetof(struct webhook, body), .fallback = "1MiB", .minimum = 1,
        .maximum = (int64_t)64 << 20,
        .help = "The largest body: all of it is read before the service is asked. 413 beyond."},
    {"remember", OPTION_DURATION, offsetof(struct webhook, once_options.remember),
        .fallback = "24h", .minimum = 0, .maximum = 90 * DAY,
        .help = "How long a message that the service has taken is known, so that it is not given "
                "to it again; 0s: not at all."},
    {"identity", OPTION_CHOICE, offsetof(struct webhook, identity), .choices = identity_words,
        .fallback = "id",
        .help = "By what a message is known: by the `id` that its sender gave it (by its content "
                "if there is none), or by its `content`, where ids are not signed."},
    {"duplicate", OPTION_CHOICE, offsetof(struct webhook, duplicate), .choices = duplicate_words,
        .fallback = "accept",
        .help = "What who sends it once more hears: `accept` is 200, as the first time; `refuse` "
                "is 409."},
    ONCE_STORE_ROW(struct webhook, once_options),
    ONCE_UNAVAILABLE_ROW(struct webhook, once_options),
    {NULL},
};

static const struct option_table table = {
    .name = "webhook",
    .help = "Lets webhooks in that are signed by their sender, and refuses others with 401.",
    .options = options,
    .size = sizeof(struct webhook),
    .example = "webhook: {form: github, secret: \"${GITHUB_SECRET}\"}",
};

/* --- preparing */

static void release_key(void *key)
{
    webhook_key_release(key);
}

static enum status add_key(struct prepare *prepare, struct webhook *webhook, struct slice secret)
{
    const char *why = NULL;
    struct webhook_key *key = &webhook->keys[webhook->key_count];
    enum status e = webhook_key_read(webhook->rules, secret, key, &why);
    if (e == INVALID)
        return diagnostics_error(prepare->reader->diagnostics, webhook->secrets_place, SLICE_NONE,
            "this secret cannot be used: %s", why);
    if (e)
        return e;
    if (arena_own(prepare->reader->arena, release_key, key))
        return NO_MEMORY;
    webhook->key_count++;
    return OK;
}

static enum status add_keys(struct prepare *prepare, struct webhook *webhook)
{
    size_t count = webhook->secrets.count;
    const struct slice *secrets = webhook->secrets.items;
    if (count == 0 || count > WEBHOOK_KEYS_MAX)
        return diagnostics_error(prepare->reader->diagnostics, webhook->secrets_place, SLICE_NONE,
            "a webhook has 1 to %d secrets", WEBHOOK_KEYS_MAX);
    webhook->keys = arena_array(prepare->reader->arena, count, sizeof *webhook->keys);
    if (!webhook->keys)
        return NO_MEMORY;
    enum status e = OK;
    for (size_t i = 0; i < count && !e; i++)
        e = add_key(prepare, webhook, secrets[i]);
    return e;
}

static enum status prepare(struct prepare *prepare, void *config)
{
    static const char *const outcome_words[OUTCOMES] = {[REPEATED] = "repeated",
        [RUNNING] = "running",
        [NOT_TAKEN] = "not-taken",
        [UNKNOWN] = "store-unavailable"};
    static const struct metric_family requests = {.name = "weir_webhook_requests_total",
        .help = "Webhooks that came, by what became of them: accepted, or why not.",
        .kind = METRIC_COUNTER,
        .labels = {"webhook", "outcome"}};
    struct webhook *webhook = config;
    webhook->rules = &webhook_forms[webhook->form];
    webhook->shards = prepare->shards;
    for (int i = 0; i < OUTCOMES; i++) {
        const char *word =
            i < WEBHOOK_FAULT_COUNT ? webhook_fault_word((enum webhook_fault)i) : outcome_words[i];
        webhook->outcomes[i] = metrics_series(prepare->metrics, &requests,
            (const struct slice[]){prepare->name, slice_of_text(word)});
    }
    enum status e = once_prepare(prepare, &webhook->once_options, &webhook->once);
    return e ? e : add_keys(prepare, webhook);
}

/* --- serving */

/* RFC 9110 §15.5.2 wants a challenge with a 401; which secret signs is no business of the web's. */
static enum status refuse(struct exchange *x, enum webhook_fault fault)
{
    x->facts.trouble = slice_of_text(webhook_fault_text(fault));
    (void)fields_add_known(&x->response.fields, FIELD_WWW_AUTHENTICATE, SLICE("Webhook"));
    return WEBHOOK_REFUSED;
}

/* What can be said before the body is read, is. */
static enum webhook_fault read_claim(
    const struct webhook *webhook, const struct exchange *x, struct webhook_claim *claim)
{
    enum webhook_fault fault = webhook_claim_read(webhook->rules, &x->request.fields, claim);
    return fault ? fault
                 : webhook_claim_check_time(
                       webhook->rules, claim, clock_wall() / SECOND, webhook->tolerance / SECOND);
}

static enum status verify(const struct webhook *webhook, struct exchange *x,
    const struct webhook_claim *claim, struct slice *ret_body, enum webhook_fault *ret_fault)
{
    size_t key;
    enum status e = whole_body_take(x, (size_t)webhook->body, ret_body);
    if (!e)
        e = webhook_keys_verify(
            webhook->rules, webhook->keys, webhook->key_count, claim, *ret_body, &key);
    if (e && e != NOT_FOUND)
        return e;
    *ret_fault = e ? WEBHOOK_WRONG : WEBHOOK_GOOD;
    return OK;
}

static void count(const struct webhook *webhook, const struct exchange *x, unsigned outcome)
{
    metric_add(webhook->shards[x->worker], webhook->outcomes[outcome], 1);
}

/* 2xx is what senders take for success; whatever else it is, they come again. */
static enum status deliver(const struct webhook *webhook, struct exchange *x,
    const struct once_hold *hold, const struct handler *next)
{
    enum status e = handler_serve(next, x);
    bool is_taken = !e && x->response.status >= 200 && x->response.status < 300;
    count(webhook, x, is_taken ? (unsigned)WEBHOOK_GOOD : (unsigned)NOT_TAKEN);
    if (is_taken)
        once_keep(hold);
    else
        once_free(hold);
    return e;
}

static enum status answer_again(const struct webhook *webhook, struct exchange *x)
{
    count(webhook, x, REPEATED);
    if (webhook->duplicate == REFUSE_DUPLICATE)
        return WEBHOOK_REPEATED;
    x->facts.trouble = SLICE("the service has taken this message before");
    return exchange_respond(x, 200, SLICE_NONE, SLICE_NONE);
}

/* What the first delivery comes to is not known yet: the sender is to ask again. */
static enum status put_off(const struct webhook *webhook, struct exchange *x)
{
    count(webhook, x, RUNNING);
    (void)fields_add_known(&x->response.fields, FIELD_RETRY_AFTER, SLICE("5"));
    return WEBHOOK_RUNNING;
}

static enum status serve_once(const struct webhook *webhook, struct exchange *x,
    const struct webhook_claim *claim, struct slice body, const struct handler *next)
{
    struct slice identity = SLICE_NONE;
    struct once_hold hold;
    enum once_verdict verdict = ONCE_FIRST;
    enum status e = OK;
    if (webhook->once.store)
        e = webhook_identity(
            webhook->rules, claim, body, webhook->identity == BY_CONTENT, &x->arena, &identity);
    if (!e)
        e = once_begin(&webhook->once, x, identity, &hold, &verdict);
    if (e == STORE_UNAVAILABLE)
        count(webhook, x, UNKNOWN);
    if (e)
        return e;
    if (verdict == ONCE_FIRST)
        return deliver(webhook, x, &hold, next);
    return verdict == ONCE_DONE ? answer_again(webhook, x) : put_off(webhook, x);
}

static enum status serve(const void *config, struct exchange *x, const struct handler *next)
{
    const struct webhook *webhook = config;
    struct webhook_claim claim;
    struct slice body = SLICE_NONE;
    enum status e = OK;
    if (x->is_rehearsal) /* nobody has signed what nobody has sent */
        return handler_serve(next, x);
    enum webhook_fault fault =
        x->is_websocket ? WEBHOOK_UNSIGNED : read_claim(webhook, x, &claim); /* it has no body */
    if (!fault)
        e = verify(webhook, x, &claim, &body, &fault);
    if (e)
        return e;
    if (!fault)
        return serve_once(webhook, x, &claim, body, next);
    count(webhook, x, fault);
    return refuse(x, fault);
}

static void explain(const void *config, struct exchange *x, struct text *text)
{
    const struct webhook *webhook = config;
    (void)x;
    text_format(text, "wants a signature of %s in %s", webhook->rules->sender,
        webhook->rules->signature_field);
}

/* Whose secret made the signature is known. */
static bool guards(const void *config)
{
    (void)config;
    return true;
}

const struct policy_type webhook_policy = {
    .name = "webhook",
    .plural = "webhooks",
    .options = &table,
    .prepare = prepare,
    .serve = serve,
    .guards = guards,
    .explain = explain,
};
