#include "policy/policy.h"

#include "base/hash.h"
#include "base/json.h"
#include "policy/oauth_client.h"
#include "policy/recall.h"
#include "run/loop.h"
#include "service/kept_body.h"

/* Says to a service who the gateway is: with a token that an authorization server gives it for its
 * own credentials (RFC 6749 §4.4), as `Authorization: Bearer`. What the client has put there does
 * not get to the service.
 *
 * Where tokens are given, the file says, or the issuer's discovery document, which its keyring
 * keeps.
 *
 * One token serves all workers. It is asked for when the first request needs it, renewed ahead of
 * its end while requests go on with the old one, and by one at a time; a reload keeps it. When the
 * service does not accept it (it was revoked), the request is sent once more with a new one, if its
 * body could be kept; this is done once a second at most, so that a service which accepts none is
 * not asked twice for each request. */

#define MEMORY_SIZE     ((size_t)1 << 20) /* much more than a token takes */
#define RENEWAL_PAUSE   (5 * SECOND)      /* after one that failed */
#define REJECTION_PAUSE SECOND
#define SAFETY          (5 * SECOND) /* before its end a token is not used any more */

struct credentials {
    /* Options. */
    struct inquiry_target target; /* without text: where the issuer says */
    struct slice issuer, ca;
    struct place issuer_place, ca_place;
    struct oauth_client client;
    struct slice scope;
    struct option_map parameters; /* of struct slice */
    int64_t lifetime, early, timeout, keep;
    int if_unavailable;

    /* Made by prepare. */
    struct oidc_issuer remote;       /* with `issuer` */
    struct recall *recall;           /* counted */
    _Atomic instant *next_rejection; /* before that, one that is not accepted stays */
    struct metrics_shard *const *shards;
    uint32_t fetched, failed, rejected; /* series */
};

/* What is remembered. */
struct service_token {
    struct slice authorization; /* "Bearer …" */
    _Atomic instant renewal;    /* from then on somebody asks for the next */
};

#define CREDENTIALS(member) offsetof(struct credentials, member)

enum { REFUSE, PASS };
static const char *const if_unavailable_words[] = {[REFUSE] = "refuse", [PASS] = "pass", NULL};

static const struct option parameter_item = {.name = "value", .kind = OPTION_TEXT};

static const struct option options[] = {
    {"token", OPTION_TEXT, CREDENTIALS(target.text), .place_offset = CREDENTIALS(target.place),
        .help = "Where tokens are given: a URL, https://id.example/token, or a service of the file "
                "and a path, id/token."},
    {"issuer", OPTION_TEXT, CREDENTIALS(issuer), .place_offset = CREDENTIALS(issuer_place),
        .help = "Instead of `token`: whose discovery document says where tokens are given, "
                "https://id.example. It is fetched anew as often as the issuer's keys, and the "
                "last one stays while the issuer is down."},
    {"ca", OPTION_TEXT, CREDENTIALS(ca), .place_offset = CREDENTIALS(ca_place),
        .help = "The file (PEM) of the authorities that the certificates of the `issuer` and its "
                "endpoints may come from. By default the system's."},
    OAUTH_CLIENT_OPTIONS(struct credentials, client),
    {"scope", OPTION_TEXT, CREDENTIALS(scope), .help = "What the token is to be good for."},
    {"parameters", OPTION_MAP, CREDENTIALS(parameters), .item = &parameter_item,
        .item_size = sizeof(struct slice),
        .help = "More that the server wants to hear: {audience: payments}."},
    {"lifetime", OPTION_DURATION, CREDENTIALS(lifetime), .fallback = "5m", .minimum = SECOND,
        .maximum = 365 * DAY,
        .help = "How long a token is taken to be good when the server does not say."},
    {"early", OPTION_DURATION, CREDENTIALS(early), .fallback = "30s", .minimum = 0, .maximum = DAY,
        .help = "How long before its end a token is renewed, while requests go on with it; half "
                "its lifetime at most."},
    {"keep", OPTION_SIZE, CREDENTIALS(keep), .fallback = "64KiB", .minimum = 0, .maximum = 1 << 26,
        .help = "The largest body of a request that is kept, to be sent once more when the service "
                "does not accept the token."},
    {"timeout", OPTION_DURATION, CREDENTIALS(timeout), .fallback = "5s", .minimum = MILLISECOND,
        .maximum = MINUTE, .help = "How long the server may take to give a token."},
    {"if-unavailable", OPTION_CHOICE, CREDENTIALS(if_unavailable), .fallback = "refuse",
        .choices = if_unavailable_words,
        .help = "When there is no token to be had: refuse the request with 503, or send it "
                "without."},
    {NULL},
};

static enum status check(struct reader *reader, const struct node *node, void *value)
{
    const struct credentials *credentials = value;
    if ((credentials->target.text.size > 0) == (credentials->issuer.size > 0))
        return diagnostics_error(reader->diagnostics, node->place,
            SLICE("token: \"https://id.example/token\", or issuer: \"https://id.example\""),
            "where tokens are given says either `token` or `issuer`");
    if (credentials->ca.size && !credentials->issuer.size)
        return diagnostics_error(reader->diagnostics, credentials->ca_place,
            SLICE("a service with TLS of its own, and token: id/token"),
            "`ca` goes with `issuer` only");
    return OK;
}

static const struct option_table table = {
    .name = "credentials",
    .help = "Sends the gateway's own token to the service: OAuth 2.0 client credentials.",
    .options = options,
    .size = sizeof(struct credentials),
    .check = check,
    .example = "credentials: {token: \"https://id.example/token\", client: gateway, secret: "
               "\"${CLIENT_SECRET}\", scope: pay}",
};

/* --- preparing */

/* Who gives tokens, as the file calls it. */
static struct slice server_of(const struct credentials *credentials)
{
    return credentials->issuer.size ? credentials->issuer : credentials->target.text;
}

/* Reloads keep the token as long as this stays the same. */
static void write_memory_name(struct text *text, const struct credentials *credentials)
{
    text_format(text, "credentials\n%.*s\n%s\n%.*s\n%016llx\n%.*s\n%lld",
        SLICE_ARG(server_of(credentials)), credentials->issuer.size ? "issuer" : "token",
        SLICE_ARG(credentials->client.id),
        (unsigned long long)hash_bytes(credentials->client.secret), SLICE_ARG(credentials->scope),
        (long long)credentials->early);
    for (size_t i = 0; i < credentials->parameters.count; i++) {
        const struct option_map_entry *entry = &credentials->parameters.entries[i];
        text_format(text, "\n%.*s=%.*s", SLICE_ARG(entry->key),
            SLICE_ARG(*(const struct slice *)entry->value));
    }
}

static void make_series(struct prepare *prepare, struct credentials *credentials)
{
    static const struct metric_family tokens = {.name = "weir_service_tokens_total",
        .help = "Tokens for services: fetched, failed (none was given), rejected (by the service).",
        .kind = METRIC_COUNTER,
        .labels = {"credentials", "outcome"}};
    const struct {
        const char *word;
        uint32_t *series;
    } outcomes[] = {{"fetched", &credentials->fetched}, {"failed", &credentials->failed},
        {"rejected", &credentials->rejected}};
    credentials->shards = prepare->shards;
    for (size_t i = 0; i < sizeof outcomes / sizeof *outcomes; i++)
        *outcomes[i].series = metrics_series(prepare->metrics, &tokens,
            (const struct slice[]){prepare->name, slice_of_text(outcomes[i].word)});
}

static enum status prepare_server(struct prepare *prepare, struct credentials *credentials)
{
    const struct keyring_options wanted = {.issuer = credentials->issuer,
        .ca = credentials->ca,
        .place = credentials->issuer_place,
        .ca_place = credentials->ca_place,
        .patience = credentials->timeout,
        .cooldown = 10 * SECOND};
    return credentials->issuer.size ? oidc_issuer_prepare(prepare, &wanted, &credentials->remote)
                                    : inquiry_prepare(prepare, &credentials->target);
}

static enum status prepare(struct prepare *prepare, void *config)
{
    struct credentials *credentials = config;
    struct text name = text_growing(0);
    make_series(prepare, credentials);
    credentials->next_rejection = arena_zalloc(prepare->reader->arena, sizeof(_Atomic instant));
    enum status e = credentials->next_rejection ? OK : NO_MEMORY;
    if (!e)
        e = prepare_server(prepare, credentials);
    if (!e)
        e = oauth_client_prepare(prepare, &credentials->client);
    write_memory_name(&name, credentials);
    if (!e)
        e = name.failed
                ? NO_MEMORY
                : recall_obtain(prepare, text_slice(&name), MEMORY_SIZE, &credentials->recall);
    text_release(&name);
    return e;
}

/* --- asking for a token */

static void count(const struct credentials *credentials, const struct exchange *x, uint32_t series)
{
    metric_add(credentials->shards[x->worker], series, 1);
}

/* Nanoseconds; some servers write the number as text. */
static int64_t lifetime_of(const struct credentials *credentials, const struct json_value *answer)
{
    int64_t seconds = 0;
    uint64_t number;
    struct slice text;
    if (json_get_text(answer, SLICE("expires_in"), &text) && slice_to_u64(text, &number) &&
        number < INT32_MAX)
        seconds = (int64_t)number;
    else if (!json_get_i64(answer, SLICE("expires_in"), &seconds))
        return credentials->lifetime;
    if (seconds <= 0)
        return 1;
    return (seconds < 365 * (DAY / SECOND) ? seconds : 365 * (DAY / SECOND)) * SECOND;
}

/* RFC 6749 §5.1. */
static enum status take(const struct credentials *credentials, const struct json_value *answer,
    struct recalled *recalled)
{
    struct slice token;
    struct service_token *made = arena_new(&recalled->arena, struct service_token);
    if (!oauth_access_token(answer, &token))
        return UPSTREAM_PROTOCOL;
    if (!made)
        return NO_MEMORY;
    made->authorization =
        arena_join(&recalled->arena, (struct slice[]){SLICE("Bearer "), token}, 2);
    int64_t lifetime = lifetime_of(credentials, answer), now = clock_now();
    int64_t early = credentials->early < lifetime / 2 ? credentials->early : lifetime / 2;
    int64_t safety = SAFETY < lifetime / 10 ? SAFETY : lifetime / 10;
    atomic_init(&made->renewal, now + lifetime - (early > safety ? early : safety));
    recalled->until = now + lifetime - safety;
    recalled->value = made;
    return made->authorization.data ? OK : NO_MEMORY;
}

static enum status read_answer(const struct credentials *credentials, struct arena *scratch,
    const struct inquiry_answer *answer, struct recalled *recalled)
{
    struct json_value *root;
    if (answer->status != 200) /* the gateway's own credentials are wrong, or all is */
        return answer->status == 400 || answer->status == 401 ? NOT_ALLOWED : UPSTREAM_PROTOCOL;
    enum status e = json_parse(scratch, answer->body, NULL, &root, NULL);
    if (e)
        return e == NO_MEMORY ? e : UPSTREAM_PROTOCOL;
    return take(credentials, root, recalled);
}

/* Finds the endpoint first, in the same time. KEYS_UNAVAILABLE: the document was never there;
 * NOT_FOUND: it names none. */
static enum status ask_issuer(const struct credentials *credentials, const struct exchange *x,
    struct text *form, struct arena *scratch, struct inquiry_answer *ret_answer)
{
    const struct oidc_issuer *remote = &credentials->remote;
    struct oidc_provider found;
    instant end = clock_after(loop_now(), credentials->timeout);
    enum status e = keyring_provider(remote->ring, x, credentials->timeout, scratch, &found);
    if (e)
        return e;
    if (!found.token_endpoint.size)
        return NOT_FOUND;
    int64_t rest = end - loop_now();
    return rest <= 0 ? UPSTREAM_TIMEOUT
                     : oauth_ask_issuer(&credentials->client, remote, found.token_endpoint, x, form,
                           rest, scratch, ret_answer);
}

static enum status ask_server(const struct credentials *credentials, const struct exchange *x,
    struct text *form, struct arena *scratch, struct inquiry_answer *ret_answer)
{
    return credentials->issuer.size ? ask_issuer(credentials, x, form, scratch, ret_answer)
                                    : oauth_ask(&credentials->client, &credentials->target, x, form,
                                          credentials->timeout, scratch, ret_answer);
}

static enum status ask(void *context, const struct exchange *x, struct recalled *recalled)
{
    const struct credentials *credentials = context;
    struct text form = text_growing(0);
    struct inquiry_answer answer;
    struct arena scratch;
    arena_init(&scratch, 0, 0);
    oauth_form_add(&form, "grant_type", SLICE("client_credentials"));
    if (credentials->scope.size)
        oauth_form_add(&form, "scope", credentials->scope);
    for (size_t i = 0; i < credentials->parameters.count; i++)
        oauth_form_add(&form, arena_text(&scratch, credentials->parameters.entries[i].key),
            *(const struct slice *)credentials->parameters.entries[i].value);
    enum status e = ask_server(credentials, x, &form, &scratch, &answer);
    if (!e)
        e = read_answer(credentials, &scratch, &answer, recalled);
    count(credentials, x, e ? credentials->failed : credentials->fetched);
    text_release(&form);
    arena_release(&scratch);
    return e;
}

/* On a fiber of its own; the old token still serves. */
static void renew(void *argument, const struct exchange *aside)
{
    struct credentials *credentials = argument;
    (void)recall_renew(credentials->recall, aside, SLICE(""), ask, credentials);
}

static void look_ahead(
    const struct credentials *credentials, const struct exchange *x, struct service_token *token)
{
    instant now = clock_now();
    instant renewal = atomic_load_explicit(&token->renewal, memory_order_relaxed);
    if (now < renewal ||
        !atomic_compare_exchange_strong(&token->renewal, &renewal, now + RENEWAL_PAUSE))
        return;
    (void)inquiry_begin_aside(
        credentials->issuer.size ? &credentials->remote.home : &credentials->target, x, renew,
        (void *)(uintptr_t)credentials);
}

/* `ret_recalled` stays as long as the exchange. */
static enum status get_token(
    const struct credentials *credentials, struct exchange *x, struct recalled **ret_recalled)
{
    struct recalled *recalled;
    bool was_known;
    enum status e = recall_get(credentials->recall, x, SLICE(""), ask,
        (void *)(uintptr_t)credentials, &recalled, &was_known);
    if (e)
        return e;
    if (arena_own(&x->arena, recalled_unref, recalled))
        return NO_MEMORY;
    look_ahead(credentials, x, recalled->value);
    *ret_recalled = recalled;
    return OK;
}

/* --- serving */

static const char *why_of(const struct credentials *credentials, enum status e)
{
    if (credentials->issuer.size && e == KEYS_UNAVAILABLE)
        return "its discovery document could not be fetched";
    if (credentials->issuer.size && e == NOT_FOUND)
        return "its discovery document has no token endpoint";
    return status_word(e);
}

/* There is none. OK: it goes without. */
static enum status fail(const struct credentials *credentials, struct exchange *x, enum status e)
{
    if (e == NO_MEMORY || e == CANCELLED)
        return e;
    if (loop_now() >= x->deadline)
        return exchange_lateness(x);
    x->facts.trouble = arena_format(
        &x->arena, "%.*s: %s", SLICE_ARG(server_of(credentials)), why_of(credentials, e));
    return credentials->if_unavailable == PASS ? OK : SERVICE_TOKEN_UNAVAILABLE;
}

static enum status show(struct exchange *x, const struct recalled *recalled)
{
    const struct service_token *token = recalled->value;
    return fields_set_known(&x->request.fields, FIELD_AUTHORIZATION, token->authorization);
}

/* A body that is to be sent again if need be, and may be little enough. NULL: it is not kept. */
static struct kept_body *keep_body(const struct credentials *credentials, struct exchange *x)
{
    struct body *body = x->request.body;
    bool is_small = body->length == BODY_LENGTH_UNKNOWN || body->length <= credentials->keep;
    struct kept_body *kept = NULL;
    if (!body_is_empty(body) && !body->ops->rewind && is_small && credentials->keep)
        kept = arena_alloc(&x->arena, sizeof *kept);
    if (kept)
        x->request.body = kept_body_init(kept, body, &x->arena, (size_t)credentials->keep);
    return kept;
}

/* RFC 6750 §3.1; a call of gRPC says it in its own words. */
static bool is_rejected(const struct exchange *x)
{
    return x->response.status == 401 ||
           (x->grpc &&
               slice_equal(fields_value(&x->response.fields, FIELD_GRPC_STATUS), SLICE("16")));
}

static bool may_reject(const struct credentials *credentials)
{
    instant now = clock_now();
    instant next = atomic_load_explicit(credentials->next_rejection, memory_order_relaxed);
    return now >= next && atomic_compare_exchange_strong(
                              credentials->next_rejection, &next, now + REJECTION_PAUSE);
}

static bool can_send_again(const struct exchange *x, const struct kept_body *kept)
{
    const struct body *body = x->request.body;
    return body_is_empty(body) || (kept ? !kept->is_lost : body->ops->rewind != NULL);
}

/* Gives the answer up first: who still sends the body for it stops then. */
static enum status begin_again(struct exchange *x)
{
    struct body *body = x->request.body;
    if (x->response.body)
        body_drop(x->response.body);
    x->response.body = NULL;
    x->response.status = 0;
    fields_init(&x->response.fields, &x->arena);
    return body_is_empty(body) || body->ops->rewind(body) == OK ? OK : UPSTREAM_CLOSED;
}

static enum status send_again(
    const struct credentials *credentials, struct exchange *x, const struct handler *next)
{
    struct recalled *recalled;
    enum status e = begin_again(x);
    if (e)
        return e;
    fields_remove_known(&x->request.fields, FIELD_AUTHORIZATION);
    e = get_token(credentials, x, &recalled);
    e = e ? fail(credentials, x, e) : show(x, recalled);
    return e ? e : handler_serve(next, x);
}

/* Whether another token may do, for which it is worth to send the request once more. */
static bool is_worth_it(const struct credentials *credentials, struct exchange *x,
    struct recalled *recalled, const struct kept_body *kept)
{
    count(credentials, x, credentials->rejected);
    if (!may_reject(credentials))
        return false;
    recall_forget(credentials->recall, recalled);
    return can_send_again(x, kept);
}

static enum status serve(const void *config, struct exchange *x, const struct handler *next)
{
    const struct credentials *credentials = config;
    struct recalled *recalled;
    fields_remove_known(&x->request.fields, FIELD_AUTHORIZATION);
    if (x->is_rehearsal)
        return handler_serve(next, x);
    enum status e = get_token(credentials, x, &recalled);
    if (e) {
        e = fail(credentials, x, e);
        return e ? e : handler_serve(next, x);
    }
    e = show(x, recalled);
    if (e)
        return e;
    const struct kept_body *kept = keep_body(credentials, x);
    e = handler_serve(next, x);
    if (e || !is_rejected(x) || !is_worth_it(credentials, x, recalled, kept))
        return e;
    return send_again(credentials, x, next);
}

static void explain(const void *config, struct exchange *x, struct text *text)
{
    const struct credentials *credentials = config;
    (void)x;
    text_format(text, "sends a token of %.*s", SLICE_ARG(server_of(credentials)));
}

const struct policy_type credentials_policy = {
    .name = "credentials",
    .plural = "credentials",
    .options = &table,
    .prepare = prepare,
    .serve = serve,
    .explain = explain,
};
