#include "config/expression.h"
#include "policy/auth_asking.h"
#include "policy/auth_way.h"
#include "policy/claims.h"
#include "policy/oauth_client.h"
#include "policy/recall.h"

/* Token introspection as a way to say who one is (RFC 7662): the authorization server that has made
 * a token is asked what it is worth. Its answers are remembered, good ones until the token ends and
 * `remember` at most, the others shortly; so a token that is revoked is good for so long still.
 *
 * `claims.scopes` is the list of what `scope` says with blanks between; a token of a client that
 * acts for itself has no `sub`, and gets that of the client (RFC 9068 §5). */

#define MEMORY_SIZE ((size_t)16 << 20)

struct auth_introspection {
    /* Options. */
    struct inquiry_target target;
    struct oauth_client client;
    struct expression *from;                             /* NULL: Authorization */
    struct option_list issuers, types, required;         /* of struct slice */
    int64_t leeway, remember, remember_refused, timeout; /* nanoseconds */

    /* Made by prepare. */
    struct auth_asking asking;
    struct recall *recall; /* counted */
    struct jwt_rules rules;
};

#define INTROSPECTION(member) offsetof(struct auth_introspection, member)

static const struct option word_item = {.kind = OPTION_TEXT};

static const struct option options[] = {
    {"at", OPTION_TEXT, INTROSPECTION(target.text), .is_required = true,
        .place_offset = INTROSPECTION(target.place),
        .help = "Whom to ask: a URL, https://id.example/introspect, or a service of the file and a "
                "path, id/introspect."},
    OAUTH_CLIENT_OPTIONS(struct auth_introspection, client),
    {"from", OPTION_EXPRESSION, INTROSPECTION(from),
        .help = "Where the token is: cookie.session, query.access_token. By default in "
                "Authorization, behind Bearer."},
    {"issuer", OPTION_LIST, INTROSPECTION(issuers), .item = &word_item,
        .item_size = sizeof(struct slice),
        .help = "What `iss` of the answer must say; or a list, of which one. By default whatever."},
    {"token-type", OPTION_LIST, INTROSPECTION(types), .item = &word_item,
        .item_size = sizeof(struct slice),
        .help = "What `token_type` of the answer may say, if it says anything: so a refresh token "
                "is no access token. By default Bearer or access_token."},
    {"required", OPTION_LIST, INTROSPECTION(required), .item = &word_item,
        .item_size = sizeof(struct slice), .help = "Claims that the answer must have."},
    {"leeway", OPTION_DURATION, INTROSPECTION(leeway), .fallback = "30s", .minimum = 0,
        .maximum = 10 * MINUTE, .help = "How far clocks may be apart, for `exp`, `nbf`, `iat`."},
    {"remember", OPTION_DURATION, INTROSPECTION(remember), .fallback = "1m", .minimum = 0,
        .maximum = DAY,
        .help = "How long a good token is not asked about again, until its `exp` at most: it may "
                "have been revoked meanwhile. 0s: each request asks."},
    {"remember-refused", OPTION_DURATION, INTROSPECTION(remember_refused), .fallback = "10s",
        .minimum = 0, .maximum = HOUR, .help = "The same of one that is not good."},
    {"timeout", OPTION_DURATION, INTROSPECTION(timeout), .fallback = "2s", .minimum = MILLISECOND,
        .maximum = MINUTE,
        .help = "How long the answer may take. Without one the request gets 503."},
    {NULL},
};

static const struct option_table table = {
    .name = "introspection",
    .help = "Tokens that say nothing by themselves: the authorization server is asked what they "
            "are worth (RFC 7662).",
    .options = options,
    .size = sizeof(struct auth_introspection),
    .example = "introspection: {at: \"https://id.shop.example/introspect\", client: gateway, "
               "secret: \"${SECRET}\"}",
};

/* What was answered about one token. */
struct report {
    const struct json_value *claims; /* NULL: it is not active */
};

static struct jwt_words words_of(const struct option_list *list)
{
    return (struct jwt_words){list->items, list->count};
}

/* Reloads keep what is remembered as long as this stays the same. */
static struct slice memory_name(struct arena *arena, const struct auth_introspection *introspection)
{
    return arena_format(arena, "introspection\n%.*s\n%.*s\n%lld\n%lld",
        SLICE_ARG(introspection->target.text), SLICE_ARG(introspection->client.id),
        (long long)introspection->remember, (long long)introspection->remember_refused);
}

static enum status prepare_introspection(
    struct prepare *prepare, const struct auth_terms *terms, void *config)
{
    struct auth_introspection *introspection = config;
    introspection->rules = (struct jwt_rules){.issuers = words_of(&introspection->issuers),
        .audiences = terms->audiences,
        .required = words_of(&introspection->required),
        .leeway = introspection->leeway / SECOND,
        .may_lack_expiry = true};
    auth_asking_prepare(prepare, &introspection->asking);
    enum status e = inquiry_prepare(prepare, &introspection->target);
    if (!e)
        e = oauth_client_prepare(prepare, &introspection->client);
    struct slice name = e ? SLICE_NONE : memory_name(prepare->reader->arena, introspection);
    if (e)
        return e;
    return name.data ? recall_obtain(prepare, name, MEMORY_SIZE, &introspection->recall)
                     : NO_MEMORY;
}

/* --- reading the answer */

/* The answer's members, and those that are made of others. */
static enum status make_claims(
    struct arena *arena, const struct json_value *answer, const struct json_value **ret_claims)
{
    struct slice client;
    if (!json_get(answer, SLICE("sub")) && json_get_text(answer, SLICE("client_id"), &client))
        answer = claims_with_text(arena, answer, "sub", client);
    answer = claims_with_scopes(arena, answer);
    if (answer)
        *ret_claims = answer;
    return answer ? OK : NO_MEMORY;
}

/* RFC 7662 §2.2: `active` says it; all else is only there when that is true. */
static enum status read_report(struct arena *arena, struct slice body, struct report *ret_report)
{
    const struct json_value *answer;
    bool is_active;
    struct slice copy = arena_copy(arena, body);
    enum status e = copy.data ? jwt_read(arena, copy, &answer) : NO_MEMORY;
    if (e)
        return e == NO_MEMORY ? e : UPSTREAM_PROTOCOL;
    if (!json_get_bool(answer, SLICE("active"), &is_active))
        return UPSTREAM_PROTOCOL;
    ret_report->claims = NULL;
    return is_active ? make_claims(arena, answer, &ret_report->claims) : OK;
}

/* --- asking */

struct asked {
    const struct auth_introspection *introspection;
    struct slice token;
};

static instant forget_after(int64_t time)
{
    return time ? clock_after(clock_now(), time) : 0;
}

/* Until the token ends, but not longer than is said. */
static instant forget_at(
    const struct auth_introspection *introspection, const struct report *report)
{
    const struct jwt_rules rules = {.leeway = introspection->rules.leeway, .may_lack_expiry = true};
    int64_t until, now = clock_wall() / SECOND;
    if (!report->claims || jwt_check(report->claims, &rules, now, &until))
        return forget_after(introspection->remember_refused);
    bool is_sooner = until - now < introspection->remember / SECOND;
    return forget_after(is_sooner ? (until - now) * SECOND : introspection->remember);
}

static enum status ask(void *context, const struct exchange *x, struct recalled *recalled)
{
    const struct asked *asked = context;
    const struct auth_introspection *introspection = asked->introspection;
    struct report *report = arena_new(&recalled->arena, struct report);
    struct text form = text_growing(0);
    struct inquiry_answer answer;
    struct arena scratch;
    arena_init(&scratch, 0, 0);
    oauth_form_add(&form, "token", asked->token);
    oauth_form_add(&form, "token_type_hint", SLICE("access_token"));
    enum status e = report ? oauth_ask(&introspection->client, &introspection->target, x, &form,
                                 introspection->timeout, &scratch, &answer)
                           : NO_MEMORY;
    if (!e && answer.status != 200) /* the gateway's own credentials are wrong, or all is */
        e = answer.status == 401 || answer.status == 403 ? NOT_ALLOWED : UPSTREAM_PROTOCOL;
    if (!e)
        e = read_report(&recalled->arena, answer.body, report);
    if (!e) {
        recalled->value = report;
        recalled->until = forget_at(introspection, report);
    }
    text_release(&form);
    arena_release(&scratch);
    return e;
}

/* --- judging */

static bool is_type_good(
    const struct auth_introspection *introspection, const struct json_value *claims)
{
    static const struct slice usual[] = {SLICE_INIT("Bearer"), SLICE_INIT("access_token")};
    const struct slice *types = introspection->types.items;
    size_t count = introspection->types.count;
    const struct json_value *type = json_get(claims, SLICE("token_type"));
    if (!type || type->type == JSON_NULL)
        return true;
    if (!count) {
        types = usual;
        count = sizeof usual / sizeof *usual;
    }
    for (size_t i = 0; i < count; i++)
        if (type->type == JSON_STRING && slice_equal_nocase(type->text, types[i]))
            return true;
    return false;
}

static enum status judge(
    const struct auth_introspection *introspection, const struct json_value *claims)
{
    int64_t until;
    if (!claims)
        return TOKEN_INACTIVE;
    if (!is_type_good(introspection, claims))
        return TOKEN_TYPE;
    return jwt_check(claims, &introspection->rules, clock_wall() / SECOND, &until);
}

static enum status identify(
    const void *config, struct exchange *x, struct auth_finding *ret_finding)
{
    const struct auth_introspection *introspection = config;
    struct asked asked = {.introspection = introspection};
    struct recalled *recalled;
    enum status e = auth_token(x, introspection->from, &asked.token);
    if (e)
        return e;
    if (x->is_rehearsal)
        return AUTH_UNAVAILABLE;
    e = recall_get(
        introspection->recall, x, asked.token, ask, &asked, &recalled, &ret_finding->was_known);
    if (e)
        return auth_asking_fail(&introspection->asking, x, &introspection->target, e, false);
    if (arena_own(&x->arena, recalled_unref, recalled))
        return NO_MEMORY;
    const struct report *report = recalled->value;
    e = judge(introspection, report->claims);
    if (!e)
        x->claims = report->claims;
    return e;
}

static void explain(const void *config, struct text *text)
{
    const struct auth_introspection *introspection = config;
    text_format(text, "asks %.*s what the token is worth", SLICE_ARG(introspection->target.text));
}

const struct auth_way introspection_way = {
    .name = "introspection",
    .options = &table,
    .scheme = "Bearer",
    .says_why = true,
    .prepare = prepare_introspection,
    .identify = identify,
    .explain = explain,
};
