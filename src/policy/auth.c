#include "policy/policy.h"

#include "config/expression.h"
#include "policy/auth_jwt.h"
#include "policy/reserved_fields.h"

/* Says who the client is, or refuses it: by a JSON Web Token, which comes as `Authorization:
 * Bearer` (RFC 6750) or wherever `from` says. What the token claims is there for expressions
 * (claims.sub) and, by `send`, for the service.
 *
 * The fields of `send` are the gateway's word, so what a client writes into them never gets
 * through: they are taken out of every request first, also under names that differ in case or in
 * "_" for
 * "-", which services may take for the same. */

struct sent_field {
    struct slice name;
    enum field_id id;
    const struct expression *value;
};

struct auth {
    struct auth_jwt jwt;
    struct option_list audiences; /* of struct slice */
    struct option_map send;       /* of struct expression * */
    struct expression *from;      /* NULL: Authorization */
    struct slice realm;
    bool is_optional;

    struct sent_field *sent; /* `send`, to be walked */
    struct slice challenge;  /* the value of WWW-Authenticate when nothing came */
    struct metrics_shard *const *shards;
    uint32_t known, verified, missing, refused; /* series */
};

static const struct option audience_item = {.kind = OPTION_TEXT};
static const struct option sent_item = {.name = "value", .kind = OPTION_EXPRESSION};

static const struct option options[] = {
    {"jwt", OPTION_STRUCT, offsetof(struct auth, jwt), .table = &auth_jwt_table,
        .is_set_offset = offsetof(struct auth, jwt.is_set),
        .help = "By a JSON Web Token: who may have signed it."},
    {"audience", OPTION_LIST, offsetof(struct auth, audiences), .item = &audience_item,
        .item_size = sizeof(struct slice),
        .help = "Whom a token must be for: what `aud` says or has among others; or a list, of "
                "which one."},
    {"send", OPTION_MAP, offsetof(struct auth, send), .item = &sent_item,
        .item_size = sizeof(struct expression *),
        .help = "Fields that tell the service who it is: {X-User: claims.sub}. A client's own "
                "fields of these names are always taken out."},
    {"from", OPTION_EXPRESSION, offsetof(struct auth, from),
        .help = "Where the token is: cookie.session, query.access_token. By default in "
                "Authorization, behind Bearer."},
    {"realm", OPTION_TEXT, offsetof(struct auth, realm), .fallback = "weir",
        .help = "What a client without a token is told that it needs one for."},
    {"optional", OPTION_FLAG, offsetof(struct auth, is_optional), .fallback = "false",
        .help = "Whether who brings no token may pass, without claims. One that is not good is "
                "refused all the same."},
    {NULL},
};

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
    if (!auth->jwt.is_set)
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
    .help = "Says who the client is, or refuses it with 401. What its token claims can be asked "
            "for by expressions: claims.sub.",
    .options = options,
    .size = sizeof(struct auth),
    .check = check,
    .example = "auth: {jwt: {issuer: \"https://id.shop.example\", keys: keys.json}, send: {X-User: "
               "claims.sub}}",
};

static enum status prepare(struct prepare *prepare, void *config)
{
    static const struct metric_family requests = {.name = "weir_auth_requests_total",
        .help = "Requests by what came of asking who they are from: known (their token was "
                "remembered), verified, missing (none came), refused.",
        .kind = METRIC_COUNTER,
        .labels = {"auth", "outcome"}};
    struct auth *auth = config;
    const struct {
        const char *word;
        uint32_t *series;
    } outcomes[] = {{"known", &auth->known}, {"verified", &auth->verified},
        {"missing", &auth->missing}, {"refused", &auth->refused}};
    auth->shards = prepare->shards;
    for (size_t i = 0; i < sizeof outcomes / sizeof *outcomes; i++)
        *outcomes[i].series = metrics_series(prepare->metrics, &requests,
            (const struct slice[]){prepare->name, slice_of_text(outcomes[i].word)});
    auth->challenge =
        arena_format(prepare->reader->arena, "Bearer realm=\"%.*s\"", SLICE_ARG(auth->realm));
    return auth->challenge.data ? auth_jwt_prepare(prepare, &auth->jwt, &auth->audiences)
                                : NO_MEMORY;
}

/* --- serving */

/* Is it the field, or one that a service may take for it? */
static bool is_alike(struct slice name, struct slice sent)
{
    if (name.size != sent.size)
        return false;
    for (size_t i = 0; i < name.size; i++) {
        char a = name.data[i] == '_' ? '-' : name.data[i],
             b = sent.data[i] == '_' ? '-' : sent.data[i];
        if (!slice_equal_nocase(slice_of(&a, 1), slice_of(&b, 1)))
            return false;
    }
    return true;
}

static void strip(const struct auth *auth, struct fields *fields)
{
    for (size_t i = 0; i < auth->send.count; i++)
        for (uint32_t f = 0; f < fields->count; f++)
            if (is_alike(fields->items[f].name, auth->sent[i].name))
                fields->items[f].name = SLICE_NONE;
}

/* RFC 6750 §2.1. Null data: there is none; TOKEN_MALFORMED: it cannot be said which one it is. */
static enum status find_bearer(const struct exchange *x, struct slice *ret_token)
{
    const struct fields *fields = &x->request.fields;
    const struct field *field = fields_next(fields, FIELD_AUTHORIZATION, NULL);
    *ret_token = SLICE_NONE;
    if (!field)
        return OK;
    if (fields_next(fields, FIELD_AUTHORIZATION, field))
        return TOKEN_MALFORMED;
    size_t blank = slice_find(field->value, ' ');
    if (slice_equal_nocase(slice_head(field->value, blank), SLICE("Bearer")))
        *ret_token = slice_trim(slice_from(field->value, blank));
    return OK;
}

static enum status find_token(const struct auth *auth, struct exchange *x, struct slice *ret_token)
{
    if (!auth->from)
        return find_bearer(x, ret_token);
    *ret_token = expression_text(auth->from, x);
    return OK;
}

static enum status identify(const struct auth *auth, struct exchange *x, bool *ret_was_known)
{
    struct slice token;
    *ret_was_known = false;
    if (x->claims) /* a test says who it is */
        return OK;
    enum status e = find_token(auth, x, &token);
    if (e)
        return e;
    return token.size ? auth_jwt_identify(&auth->jwt, x, token, ret_was_known)
                      : CREDENTIALS_MISSING;
}

static void count(const struct auth *auth, const struct exchange *x, enum status e, bool was_known)
{
    uint32_t series = e == CREDENTIALS_MISSING ? auth->missing
                      : e                      ? auth->refused
                      : was_known              ? auth->known
                                               : auth->verified;
    if (!x->is_rehearsal)
        metric_add(auth->shards[x->worker], series, 1);
}

/* RFC 6750 §3: who has shown nothing is told nothing but what to show. */
static enum status refuse(const struct auth *auth, struct exchange *x, enum status e)
{
    struct slice value = auth->challenge;
    if (e == NO_MEMORY)
        return e;
    if (e != CREDENTIALS_MISSING)
        value = arena_format(&x->arena, "%.*s, error=\"invalid_token\", error_description=\"%s\"",
            SLICE_ARG(auth->challenge), status_sentence(e));
    if (value.data)
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

static enum status serve(const void *config, struct exchange *x, const struct handler *next)
{
    const struct auth *auth = config;
    bool was_known;
    strip(auth, &x->request.fields);
    enum status e = identify(auth, x, &was_known);
    count(auth, x, e, was_known);
    x->challenge = auth->challenge;
    if (e == CREDENTIALS_MISSING && auth->is_optional)
        e = OK;
    if (e)
        return refuse(auth, x, e);
    e = send_claims(auth, x);
    return e ? e : handler_serve(next, x);
}

static void explain(const void *config, struct exchange *x, struct text *text)
{
    const struct auth *auth = config;
    struct slice subject = SLICE_NONE;
    bool was_known;
    enum status e = identify(auth, x, &was_known);
    if (e == CREDENTIALS_MISSING && auth->is_optional)
        text_add_literal(text, "lets pass without a token");
    else if (e)
        text_format(text, "refuses: %s", status_word(e));
    else if (json_get_text(x->claims, SLICE("sub"), &subject))
        text_format(text, "knows \"%.*s\"", SLICE_ARG(slice_head(subject, 100)));
    else
        text_add_literal(text, "accepts the token");
}

const struct policy_type auth_policy = {
    .name = "auth",
    .plural = "auth",
    .options = &table,
    .prepare = prepare,
    .serve = serve,
    .explain = explain,
};
