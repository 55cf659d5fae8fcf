#include "policy/auth_asking.h"
#include "policy/auth_way.h"
#include "policy/recall.h"
#include "policy/reserved_fields.h"
#include "policy/verdict.h"

/* Forward auth as a way to say who one is: some service of HTTP, the authorizer, is asked about
 * each request. With an answer of 2xx the request goes on, with fields of the answer and as who
 * they say it is; any other is the client's answer: a login page's address, a challenge. It is as
 * nginx' auth_request, Traefik's ForwardAuth and Envoy's ext_authz do it, so what answers those
 * answers this.
 *
 * Everybody brings a request, so this way always decides: it stands behind those that look for
 * credentials. The fields of `copy` are the authorizer's word, and taken out of every request. */

#define MEMORY_SIZE ((size_t)16 << 20)

struct auth_forward {
    struct verdict_options ask; /* first: `to` … */
    struct option_list key;     /* of struct expression * */
    int64_t remember;           /* nanoseconds */
    int if_unavailable;
    struct slice written; /* all that is said here: what answers depend on besides the request */

    /* Made by prepare. */
    struct auth_asking asking;
    struct recall *recall; /* counted; NULL: nothing is remembered */
};

#define FORWARD(member) offsetof(struct auth_forward, member)

static const char *const methods[] = {[VERDICT_GET] = "GET",
    [VERDICT_HEAD] = "HEAD",
    [VERDICT_POST] = "POST",
    [VERDICT_REQUEST] = "request",
    NULL};

enum { REFUSE, PASS };
static const char *const if_unavailable_words[] = {[REFUSE] = "refuse", [PASS] = "pass", NULL};

static const struct option name_item = {.name = "name", .kind = OPTION_TEXT};
static const struct option template_item = {.name = "value", .kind = OPTION_TEMPLATE};
static const struct option key_item = {.name = "key", .kind = OPTION_EXPRESSION};

#define NAMES(name_, member, help_)                                                               \
    {                                                                                             \
        name_, OPTION_LIST, FORWARD(ask.member), .item = &name_item,                              \
                                                 .item_size = sizeof(struct slice), .help = help_ \
    }

static const struct option options[] = {
    {"to", OPTION_TEXT, FORWARD(ask.target.text), .is_required = true,
        .place_offset = FORWARD(ask.target.place),
        .help = "Whom to ask: a URL, http://auth.internal/verify, or a service of the file and a "
                "path, auth/verify."},
    {"method", OPTION_CHOICE, FORWARD(ask.method), .fallback = "GET", .choices = methods,
        .help = "The question's method; `request` is that of the request."},
    NAMES("headers", headers,
        "Fields of the request that the authorizer sees: [Authorization, Cookie]. By default all "
        "that are not about the message itself."),
    {"set", OPTION_MAP, FORWARD(ask.set), .item = &template_item,
        .item_size = sizeof(struct template *),
        .help = "More fields for the authorizer: {X-Original-URL: "
                "\"${scheme}://${host}${path}\"}. It always gets X-Forwarded-Method, -Proto, "
                "-Host, -Uri and -For."},
    NAMES("copy", copy,
        "Fields of a good answer that the service gets: [Remote-User, Remote-Groups]. A client's "
        "own fields of these names are always taken out."),
    {"claims", OPTION_MAP, FORWARD(ask.claims), .item = &name_item,
        .item_size = sizeof(struct slice),
        .help = "Claims, and the fields of a good answer that they are in: {sub: Remote-User}."},
    {"claims-in-body", OPTION_FLAG, FORWARD(ask.has_claims_in_body), .fallback = "false",
        .help = "Whether the body of a good answer is a JSON object, whose members are claims."},
    NAMES("answer", answer,
        "Fields of other answers that the client gets. By default Content-Type, Location, "
        "Set-Cookie, WWW-Authenticate, Cache-Control and Retry-After."),
    NAMES("return", returned,
        "Fields of a good answer that the client gets with the service's answer: [Set-Cookie]. Not "
        "of a remembered one."),
    {"key", OPTION_LIST, FORWARD(key), .item = &key_item, .item_size = sizeof(struct expression *),
        .help = "What a good answer depends on: [header.authorization, method, path]. Requests "
                "that have all of it in common share the answer. By default each request asks."},
    {"remember", OPTION_DURATION, FORWARD(remember), .fallback = "10s", .minimum = 0,
        .maximum = DAY,
        .help = "How long a good answer is remembered under its `key`. 0s: only who comes at the "
                "same time shares it."},
    {"timeout", OPTION_DURATION, FORWARD(ask.timeout), .fallback = "2s", .minimum = MILLISECOND,
        .maximum = MINUTE, .help = "How long the answer may take."},
    {"if-unavailable", OPTION_CHOICE, FORWARD(if_unavailable), .fallback = "refuse",
        .choices = if_unavailable_words,
        .help = "When there is no answer, or one of 5xx: refuse the request with 503, or let it "
                "pass, without claims."},
    {NULL},
};

static enum status check_names(struct reader *reader, const struct node *node,
    const struct option_list *names, const char *what)
{
    const struct slice *items = names->items;
    enum status outcome = OK;
    for (size_t i = 0; i < names->count; i++) {
        const char *problem = reserved_field_problem(items[i]);
        if (problem)
            outcome = diagnostics_error(reader->diagnostics, node->place, SLICE_NONE,
                "the field \"%.*s\" cannot be %s: %s", SLICE_ARG(slice_head(items[i], 100)), what,
                problem);
    }
    return outcome;
}

static enum status check_set(struct reader *reader, const struct option_map *set)
{
    enum status outcome = OK;
    for (size_t i = 0; i < set->count; i++) {
        const char *problem = reserved_field_problem(set->entries[i].key);
        if (problem)
            outcome = diagnostics_error(reader->diagnostics, set->entries[i].place, SLICE_NONE,
                "the field \"%.*s\" cannot be sent: %s",
                SLICE_ARG(slice_head(set->entries[i].key, 100)), problem);
    }
    return outcome;
}

static void write_node(struct text *text, const struct node *node)
{
    text_format(text, "\n%d %zu ", (int)node->kind, node->count);
    text_add(text, node->text);
    for (size_t i = 0; node->kind == NODE_LIST && i < node->count; i++)
        write_node(text, node->items[i]);
    for (size_t i = 0; node->kind == NODE_MAP && i < node->count; i++) {
        text_add(text, node->entries[i].key);
        write_node(text, node->entries[i].value);
    }
}

/* Reloads keep what is remembered as long as all of this stays the same. */
static enum status keep_written(
    struct reader *reader, const struct node *node, struct auth_forward *forward)
{
    struct text text = text_growing(0);
    write_node(&text, node);
    forward->written = arena_copy(reader->arena, text_slice(&text));
    text_release(&text);
    return forward->written.data ? OK : NO_MEMORY;
}

static enum status check(struct reader *reader, const struct node *node, void *value)
{
    static const struct slice usual[] = {SLICE_INIT("Content-Type"), SLICE_INIT("Location"),
        SLICE_INIT("Set-Cookie"), SLICE_INIT("WWW-Authenticate"), SLICE_INIT("Cache-Control"),
        SLICE_INIT("Retry-After")};
    struct verdict_options *ask = &((struct auth_forward *)value)->ask;
    if (!ask->answer.count)
        ask->answer = (struct option_list){(void *)usual, sizeof usual / sizeof *usual};
    const enum status outcomes[] = {check_names(reader, node, &ask->copy, "copied"),
        check_names(reader, node, &ask->answer, "answered"),
        check_names(reader, node, &ask->returned, "returned"), check_set(reader, &ask->set),
        keep_written(reader, node, value)};
    enum status outcome = OK;
    for (size_t i = 0; i < sizeof outcomes / sizeof *outcomes; i++)
        outcome = outcomes[i] ? outcomes[i] : outcome;
    if (ask->has_claims_in_body && ask->method == VERDICT_HEAD)
        outcome = diagnostics_error(reader->diagnostics, node->place, SLICE_NONE,
            "an answer to HEAD has no body with claims");
    return outcome;
}

static const struct option_table table = {
    .name = "forward",
    .help = "Forward auth: a service is asked about each request, and lets it pass with 2xx. Other "
            "answers are the client's.",
    .options = options,
    .size = sizeof(struct auth_forward),
    .shorthand = "to",
    .check = check,
    .example = "forward: {to: \"http://auth.internal/verify\", copy: [Remote-User], claims: {sub: "
               "Remote-User}}",
};

/* --- preparing */

static enum status prepare_forward(
    struct prepare *prepare, const struct auth_terms *terms, void *config)
{
    struct auth_forward *forward = config;
    enum status e = inquiry_prepare(prepare, &forward->ask.target);
    auth_asking_prepare(prepare, &forward->asking);
    if (e || !forward->key.count)
        return e;
    const struct slice parts[] = {SLICE("forward\n"), terms->name, SLICE("\n"), forward->written};
    struct slice name = arena_join(prepare->reader->arena, parts, 4);
    return name.data ? recall_obtain(prepare, name, MEMORY_SIZE, &forward->recall) : NO_MEMORY;
}

/* --- asking */

struct asked {
    const struct auth_forward *forward;
    struct exchange *x;
    bool is_asker; /* the answer is to this very request */
};

static enum status ask(void *context, const struct exchange *x, struct recalled *recalled)
{
    struct asked *asked = context;
    const struct auth_forward *forward = asked->forward;
    struct verdict *verdict = arena_new(&recalled->arena, struct verdict);
    asked->is_asker = true;
    if (!verdict)
        return NO_MEMORY;
    enum status e = verdict_ask(&forward->ask, asked->x, x, &recalled->arena, verdict);
    if (e)
        return e;
    recalled->value = verdict;
    if (verdict_is_good(verdict) && forward->remember)
        recalled->until = clock_after(clock_now(), forward->remember);
    return OK;
}

static enum status ask_alone(
    const struct auth_forward *forward, struct exchange *x, struct verdict **ret_verdict)
{
    struct verdict *verdict = arena_new(&x->arena, struct verdict);
    enum status e = verdict ? verdict_ask(&forward->ask, x, x, &x->arena, verdict) : NO_MEMORY;
    if (!e)
        *ret_verdict = verdict;
    return e;
}

/* Each part with its size, so that no two lists of parts look alike. False: nothing of it is there,
 * so it says nothing of who this is. */
static bool write_key(const struct auth_forward *forward, struct exchange *x, struct text *key)
{
    struct expression *const *parts = forward->key.items;
    bool is_there = false;
    for (size_t i = 0; i < forward->key.count; i++) {
        struct slice part = expression_text(parts[i], x);
        is_there = is_there || part.data;
        text_add_i64(key, part.data ? (int64_t)part.size : -1);
        text_add_char(key, ':');
        if (part.data)
            text_add(key, part);
    }
    return is_there && !key->failed;
}

static enum status ask_together(const struct auth_forward *forward, struct asked *asked,
    struct slice key, struct verdict **ret_verdict, bool *ret_was_known)
{
    struct exchange *x = asked->x;
    struct recalled *recalled;
    enum status e = recall_get(forward->recall, x, key, ask, asked, &recalled, ret_was_known);
    if (e)
        return e;
    if (arena_own(&x->arena, recalled_unref, recalled))
        return NO_MEMORY;
    *ret_verdict = recalled->value;
    return OK;
}

/* A refusal that sends somebody elsewhere is about his own request (it comes back there), so nobody
 * else gets it. */
static bool is_personal(const struct verdict *verdict)
{
    return !verdict_is_good(verdict) && fields_has(&verdict->fields, FIELD_LOCATION);
}

static enum status find_verdict(const struct auth_forward *forward, struct asked *asked,
    struct verdict **ret_verdict, bool *ret_was_known)
{
    struct exchange *x = asked->x;
    struct text key = text_growing(0);
    bool has_key = forward->recall && write_key(forward, x, &key);
    enum status e = OK;
    asked->is_asker = !has_key;
    if (has_key)
        e = ask_together(forward, asked, text_slice(&key), ret_verdict, ret_was_known);
    text_release(&key);
    if (!e && (!has_key || (!asked->is_asker && is_personal(*ret_verdict)))) {
        asked->is_asker = true;
        e = ask_alone(forward, x, ret_verdict);
    }
    return e;
}

/* --- what comes of it */

static enum status refuse(const struct auth_forward *forward, const struct asked *asked,
    const struct verdict *verdict, struct auth_finding *finding)
{
    struct exchange *x = asked->x;
    enum status reason =
        verdict->status == 401 || verdict->status < 400 ? AUTHORIZER_UNKNOWN : AUTHORIZER_REFUSED;
    if (x->grpc)
        return reason;
    enum status e = exchange_respond(x, verdict->status, SLICE_NONE, verdict->body);
    if (!e)
        e = verdict_copy_fields(verdict, &forward->ask.answer,
            asked->is_asker ? FIELD_OTHER : FIELD_SET_COOKIE, &x->response.fields);
    x->facts.reason = reason;
    finding->has_answered = true;
    return e;
}

static enum status admit(const struct auth_forward *forward, const struct asked *asked,
    struct verdict *verdict, struct auth_finding *finding)
{
    struct exchange *x = asked->x;
    x->claims = verdict->claims;
    finding->note = asked->is_asker ? verdict : NULL;
    return verdict_copy_fields(verdict, &forward->ask.copy, FIELD_OTHER, &x->request.fields);
}

static enum status identify(
    const void *config, struct exchange *x, struct auth_finding *ret_finding)
{
    const struct auth_forward *forward = config;
    struct asked asked = {.forward = forward, .x = x};
    struct verdict *verdict;
    if (x->is_rehearsal)
        return AUTH_UNAVAILABLE;
    enum status e = find_verdict(forward, &asked, &verdict, &ret_finding->was_known);
    if (e)
        return auth_asking_fail(
            &forward->asking, x, &forward->ask.target, e, forward->if_unavailable == PASS);
    return verdict_is_good(verdict) ? admit(forward, &asked, verdict, ret_finding)
                                    : refuse(forward, &asked, verdict, ret_finding);
}

static void strip(const void *config, struct fields *fields)
{
    const struct auth_forward *forward = config;
    const struct slice *names = forward->ask.copy.items;
    for (size_t i = 0; i < forward->ask.copy.count; i++)
        auth_strip(fields, names[i]);
}

static enum status leave(const void *config, struct exchange *x, void *note)
{
    const struct auth_forward *forward = config;
    return note
               ? verdict_copy_fields(note, &forward->ask.returned, FIELD_OTHER, &x->response.fields)
               : OK;
}

static void explain(const void *config, struct text *text)
{
    const struct auth_forward *forward = config;
    text_format(text, "asks %.*s whether it may pass", SLICE_ARG(forward->ask.target.text));
}

const struct auth_way forward_way = {
    .name = "forward",
    .options = &table,
    .prepare = prepare_forward,
    .strip = strip,
    .identify = identify,
    .leave = leave,
    .explain = explain,
};
