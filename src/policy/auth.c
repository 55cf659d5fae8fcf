#include "policy/policy.h"

#include "config/expression.h"
#include "policy/auth_way.h"
#include "policy/reserved_fields.h"

/* Says who the client is, or refuses it, by one or several ways (auth_way.h): a JSON Web Token, an
 * API key … What is known of it then is there for expressions (claims.sub) and, by `send`, for the
 * service.
 *
 * The fields of `send` are the gateway's word, so what a client writes into them never gets
 * through: they are taken out of every request first, also under names that differ in case or in
 * "_" for "-", which services may take for the same. */

struct sent_field {
    struct slice name;
    enum field_id id;
    const struct expression *value;
};

/* A way with what the configuration says of it. */
struct used_way {
    const struct auth_way *way;
    void *config;
    struct slice challenge; /* for WWW-Authenticate; empty: it has none */
};

#define WAYS_MAX 32 /* of one `auth` */

struct auth {
    struct used_way *ways; /* in the order of auth_ways.def, those of one kind in the file's */
    size_t way_count;
    struct option_list audiences; /* of struct slice */
    struct option_map send;       /* of struct expression * */
    struct slice realm;
    bool is_optional;

    struct auth_terms terms;
    struct sent_field *sent; /* `send`, to be walked */
    struct slice challenge;  /* of all ways, for who has shown nothing */
    struct metrics_shard *const *shards;
    uint32_t known, verified, answered, missing, refused, unavailable; /* series */
};

static const struct option audience_item = {.kind = OPTION_TEXT};
static const struct option sent_item = {.name = "value", .kind = OPTION_EXPRESSION};

static const struct option options[] = {
    {"audience", OPTION_LIST, offsetof(struct auth, audiences), .item = &audience_item,
        .item_size = sizeof(struct slice),
        .help = "Whom a token must be for: what `aud` says or has among others; or a list, of "
                "which one."},
    {"send", OPTION_MAP, offsetof(struct auth, send), .item = &sent_item,
        .item_size = sizeof(struct expression *),
        .help = "Fields that tell the service who it is: {X-User: claims.sub}. A client's own "
                "fields of these names are always taken out."},
    {"realm", OPTION_TEXT, offsetof(struct auth, realm), .fallback = "weir",
        .help = "What a client that says nothing of itself is told that it needs credentials for."},
    {"optional", OPTION_FLAG, offsetof(struct auth, is_optional), .fallback = "false",
        .help = "Whether who brings no credentials may pass, without claims. Ones that are not "
                "good are refused all the same."},
    {NULL},
};

/* --- ways */

static size_t ways_count(void)
{
    size_t count = 0;
    while (auth_ways[count])
        count++;
    return count;
}

static const struct auth_way *way_of(struct slice name)
{
    for (size_t i = 0; auth_ways[i]; i++)
        if (slice_equal(name, slice_of_text(auth_ways[i]->name)))
            return auth_ways[i];
    return NULL;
}

static size_t rank_of(const struct auth_way *way)
{
    size_t rank = 0;
    while (auth_ways[rank] != way)
        rank++;
    return rank;
}

/* Into its place in the order. */
static enum status add_way(struct reader *reader, struct auth *auth, const struct used_way *used)
{
    if (!auth->ways)
        auth->ways = arena_array(reader->arena, WAYS_MAX, sizeof *auth->ways);
    if (!auth->ways)
        return NO_MEMORY;
    size_t at = auth->way_count++;
    for (; at > 0 && rank_of(auth->ways[at - 1].way) > rank_of(used->way); at--)
        auth->ways[at] = auth->ways[at - 1];
    auth->ways[at] = *used;
    return OK;
}

static enum status read_way(struct reader *reader, const struct node_entry *entry, void *value)
{
    struct auth *auth = value;
    const struct auth_way *way = way_of(entry->key);
    struct node *const *nodes = &entry->value;
    size_t count = 1;
    if (!way)
        return NOT_FOUND;
    if (way->may_be_several && entry->value->kind == NODE_LIST) {
        nodes = entry->value->items;
        count = entry->value->count;
    }
    if (auth->way_count + count > WAYS_MAX)
        return diagnostics_error(reader->diagnostics, entry->key_place, SLICE_NONE,
            "an auth has up to %d ways", WAYS_MAX);
    for (size_t i = 0; i < count; i++) {
        struct used_way used = {way, arena_zalloc(reader->arena, way->options->size), SLICE_NONE};
        if (!used.config)
            return NO_MEMORY;
        enum status e = option_read(reader, way->options, nodes[i], used.config);
        if (!e)
            e = add_way(reader, auth, &used);
        if (e)
            return e;
    }
    return OK;
}

static const char *way_name(size_t i)
{
    return i < ways_count() ? auth_ways[i]->name : NULL;
}

static bool way_option(size_t i, struct option *ret_option)
{
    const struct auth_way *way = auth_ways[i];
    *ret_option = (struct option){.name = way->name,
        .kind = way->may_be_several ? OPTION_LIST : OPTION_STRUCT,
        .table = way->options,
        .help = way->options->help};
    return true;
}

static enum status check_sent(struct reader *reader, struct auth *auth)
{
    enum status outcome = OK;
    auth->sent = arena_array(reader->arena, auth->send.count + 1, sizeof *auth->sent);
    if (!auth->sent)
        return NO_MEMORY;
    for (size_t i = 0; i < auth->send.count; i++) {
        const struct option_map_entry *entry = &auth->send.entries[i];
        const char *problem = reserved_field_problem(entry->key);
        auth->sent[i] = (struct sent_field){
            entry->key, field_id_of(entry->key), *(struct expression *const *)entry->value};
        if (problem)
            outcome = diagnostics_error(reader->diagnostics, entry->place, SLICE_NONE,
                "the field \"%.*s\" cannot be sent: %s", SLICE_ARG(entry->key), problem);
    }
    return outcome;
}

static bool is_printable(struct slice s)
{
    for (size_t i = 0; i < s.size; i++)
        if (s.data[i] < 0x20 || s.data[i] > 0x7e || s.data[i] == '"' || s.data[i] == '\\')
            return false;
    return true;
}

static enum status check(struct reader *reader, const struct node *node, void *value)
{
    struct auth *auth = value;
    const struct node *realm = node_get(node, SLICE("realm"));
    if (!auth->way_count)
        return diagnostics_error(reader->diagnostics, node->place,
            SLICE("for example {jwt: {issuer: \"https://id.shop.example\", keys: keys.json}}"),
            "an auth needs a way to say who somebody is");
    if (realm && !is_printable(auth->realm))
        return diagnostics_error(reader->diagnostics, realm->place, SLICE_NONE,
            "a realm is printable ASCII without quotes");
    return check_sent(reader, auth);
}

static const struct option_table table = {
    .name = "auth",
    .help = "Says who the client is, or refuses it with 401: by one way or several, of which the "
            "first whose credentials came decides; a token that is not of one way goes on to the "
            "next. What is known then can be asked for by expressions: claims.sub.",
    .options = options,
    .size = sizeof(struct auth),
    .check = check,
    .read_unknown = read_way,
    .unknown_name = way_name,
    .unknown_option = way_option,
    .example = "auth: {jwt: {issuer: \"https://id.shop.example\", keys: keys.json}, send: {X-User: "
               "claims.sub}}",
};

static void make_series(struct prepare *prepare, struct auth *auth)
{
    static const struct metric_family requests = {.name = "weir_auth_requests_total",
        .help =
            "Requests by what came of asking who they are from: known (their credentials were "
            "remembered), verified, answered (by the way itself: a login's page, an authorizer's "
            "no), missing (none came), refused, unavailable (nobody could tell).",
        .kind = METRIC_COUNTER,
        .labels = {"auth", "outcome"}};
    const struct {
        const char *word;
        uint32_t *series;
    } outcomes[] = {{"known", &auth->known}, {"verified", &auth->verified},
        {"answered", &auth->answered}, {"missing", &auth->missing}, {"refused", &auth->refused},
        {"unavailable", &auth->unavailable}};
    auth->shards = prepare->shards;
    for (size_t i = 0; i < sizeof outcomes / sizeof *outcomes; i++)
        *outcomes[i].series = metrics_series(prepare->metrics, &requests,
            (const struct slice[]){prepare->name, slice_of_text(outcomes[i].word)});
}

static bool has_scheme(const struct auth *auth, const char *scheme, size_t before)
{
    for (size_t i = 0; i < before; i++)
        if (auth->ways[i].way->scheme && strcmp(auth->ways[i].way->scheme, scheme) == 0)
            return true;
    return false;
}

/* RFC 9110 §11.6.1: a list of challenges, each once. */
static enum status make_challenges(struct arena *arena, struct auth *auth)
{
    for (size_t i = 0; i < auth->way_count; i++) {
        struct used_way *used = &auth->ways[i];
        if (!used->way->scheme)
            continue;
        used->challenge =
            arena_format(arena, "%s realm=\"%.*s\"", used->way->scheme, SLICE_ARG(auth->realm));
        if (has_scheme(auth, used->way->scheme, i))
            continue;
        auth->challenge = auth->challenge.size
                              ? arena_format(arena, "%.*s, %.*s", SLICE_ARG(auth->challenge),
                                    SLICE_ARG(used->challenge))
                              : used->challenge;
        if (!auth->challenge.data)
            return NO_MEMORY;
    }
    return OK;
}

static enum status prepare(struct prepare *prepare, void *config)
{
    struct auth *auth = config;
    auth->terms = (struct auth_terms){.name = prepare->name,
        .audiences = {auth->audiences.items, auth->audiences.count},
        .realm = auth->realm};
    make_series(prepare, auth);
    enum status outcome = make_challenges(prepare->reader->arena, auth);
    for (size_t i = 0; outcome != NO_MEMORY && i < auth->way_count; i++) {
        const struct used_way *used = &auth->ways[i];
        enum status e =
            used->way->prepare ? used->way->prepare(prepare, &auth->terms, used->config) : OK;
        outcome = e ? e : outcome;
    }
    return outcome;
}

/* --- serving */

static void strip(const struct auth *auth, struct fields *fields)
{
    for (size_t i = 0; i < auth->send.count; i++)
        auth_strip(fields, auth->sent[i].name);
    for (size_t i = 0; i < auth->way_count; i++)
        if (auth->ways[i].way->strip)
            auth->ways[i].way->strip(auth->ways[i].config, fields);
}

/* Asks the ways; `ret_used` is the one that decided, or NULL. Of foreign credentials that nobody
 * takes the first that saw them has the last word. */
static enum status identify(const struct auth *auth, struct exchange *x,
    const struct used_way **ret_used, struct auth_finding *ret_finding)
{
    enum status outcome = CREDENTIALS_MISSING;
    *ret_used = NULL;
    *ret_finding = (struct auth_finding){.was_known = false};
    if (x->claims) /* a test says who it is */
        return OK;
    for (size_t i = 0; i < auth->way_count; i++) {
        const struct used_way *used = &auth->ways[i];
        *ret_finding = (struct auth_finding){.was_known = false};
        enum status e = used->way->identify(used->config, x, ret_finding);
        if (e == CREDENTIALS_MISSING)
            continue;
        if (!e || !ret_finding->is_foreign) {
            *ret_used = used;
            return e;
        }
        if (!*ret_used) {
            *ret_used = used;
            outcome = e;
        }
    }
    return outcome;
}

static void count(const struct auth *auth, const struct exchange *x, enum status e,
    const struct auth_finding *finding)
{
    uint32_t series = e == CREDENTIALS_MISSING ? auth->missing
                      : status_http(e) == 503  ? auth->unavailable
                      : e                      ? auth->refused
                      : finding->has_answered  ? auth->answered
                      : finding->was_known     ? auth->known
                                               : auth->verified;
    if (!x->is_rehearsal)
        metric_add(auth->shards[x->worker], series, 1);
}

/* OK: a way has answered who has shown nothing. */
static enum status invite(const struct auth *auth, struct exchange *x)
{
    for (size_t i = 0; i < auth->way_count; i++) {
        const struct used_way *used = &auth->ways[i];
        enum status e = used->way->invite ? used->way->invite(used->config, x) : NOT_FOUND;
        if (e != NOT_FOUND)
            return e;
    }
    return CREDENTIALS_MISSING;
}

/* RFC 6750 §3: who has shown nothing is told nothing but what to show. */
static enum status refuse(
    const struct auth *auth, struct exchange *x, enum status e, const struct used_way *used)
{
    struct slice value = used ? used->challenge : auth->challenge;
    if (status_http(e) != 401)
        return e;
    if (used && used->way->says_why)
        value = arena_format(&x->arena, "%.*s, error=\"invalid_token\", error_description=\"%s\"",
            SLICE_ARG(used->challenge), status_sentence(e));
    if (value.size)
        (void)fields_add_known(&x->response.fields, FIELD_WWW_AUTHENTICATE, value);
    return e;
}

/* A value that no field may have is not sent, and the client's own is gone already. */
static enum status send_claims(const struct auth *auth, struct exchange *x)
{
    for (size_t i = 0; i < auth->send.count; i++) {
        const struct sent_field *sent = &auth->sent[i];
        struct slice value = expression_text(sent->value, x);
        if (value.size && fields_add(&x->request.fields, sent->id, sent->name, value) == NO_MEMORY)
            return NO_MEMORY;
    }
    return OK;
}

/* Lets it in, as whom it is. */
static enum status admit(const struct auth *auth, struct exchange *x, const struct used_way *used,
    struct auth_finding *finding, const struct handler *next)
{
    if (used)
        x->claims_source = auth->terms.name;
    enum status e = send_claims(auth, x);
    if (!e)
        e = handler_serve(next, x);
    if (e || !used || !used->way->leave)
        return e;
    return used->way->leave(used->config, x, finding->note);
}

static enum status serve(const void *config, struct exchange *x, const struct handler *next)
{
    const struct auth *auth = config;
    const struct used_way *used;
    struct auth_finding finding;
    const struct json_value *earlier = x->claims;
    if (!x->is_rehearsal)
        x->claims = NULL; /* an `auth` before this one knows them, which is nothing to this one */
    strip(auth, &x->request.fields);
    enum status e = identify(auth, x, &used, &finding);
    count(auth, x, e, &finding);
    if (!e && finding.has_answered)
        return OK;
    x->challenge = !used ? auth->challenge : used->way->says_why ? used->challenge : SLICE_NONE;
    if (e == CREDENTIALS_MISSING && auth->is_optional) {
        x->claims = earlier;
        e = OK;
    }
    if (e == CREDENTIALS_MISSING) {
        e = invite(auth, x);
        if (!e)
            return OK;
    }
    return e ? refuse(auth, x, e, used) : admit(auth, x, used, &finding, next);
}

static bool guards(const void *config)
{
    const struct auth *auth = config;
    return !auth->is_optional;
}

/* Those of one way after those of another. */
static bool own_path(
    const void *config, size_t i, enum http_method *ret_method, struct slice *ret_path)
{
    const struct auth *auth = config;
    for (size_t w = 0; w < auth->way_count; w++) {
        const struct used_way *used = &auth->ways[w];
        for (size_t k = 0; used->way->own_path; k++) {
            if (!used->way->own_path(used->config, k, ret_method, ret_path))
                break;
            if (i-- == 0)
                return true;
        }
    }
    return false;
}

static void explain(const void *config, struct exchange *x, struct text *text)
{
    const struct auth *auth = config;
    struct slice subject = SLICE_NONE;
    const struct used_way *used;
    struct auth_finding finding;
    enum status e = identify(auth, x, &used, &finding);
    if (e == CREDENTIALS_MISSING && auth->is_optional)
        text_add_literal(text, "lets pass without credentials");
    else if (e == AUTH_UNAVAILABLE && used->way->explain)
        used->way->explain(used->config, text);
    else if (e)
        text_format(text, "refuses: %s", status_word(e));
    else if (json_get_text(x->claims, SLICE("sub"), &subject))
        text_format(text, "knows \"%.*s\"", SLICE_ARG(slice_head(subject, 100)));
    else
        text_add_literal(text, "accepts the credentials");
}

const struct policy_type auth_policy = {
    .name = "auth",
    .plural = "auth",
    .options = &table,
    .prepare = prepare,
    .serve = serve,
    .guards = guards,
    .own_path = own_path,
    .explain = explain,
};
