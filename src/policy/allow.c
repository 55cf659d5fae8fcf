#include "policy/policy.h"

#include "base/json.h"
#include "config/expression.h"

/* Lets through those of whom an expression is true (`allow: claims.roles has buyer`), or whose
 * token has scopes (`allow: {scope: orders.write}`), or both. Who has not said who he is gets 401,
 * so that he knows how; who has, 403. Of a scope he hears which are needed, so that an honest
 * client can ask for them (RFC 6750 §3.1); of an expression nothing: an attacker learns nothing of
 * the rule. What is missing for an expression makes it false. */

struct allow {
    struct expression *rule;   /* NULL: none */
    struct option_list scopes; /* of struct slice: all of them */
    struct place scopes_place;
    struct slice wanted; /* them, with blanks between; as long as the snapshot */
};

static const struct option scope_item = {.kind = OPTION_TEXT};

static const struct option options[] = {
    {"if", OPTION_EXPRESSION, offsetof(struct allow, rule),
        .help = "What has to be true: claims.roles has buyer."},
    {"scope", OPTION_LIST, offsetof(struct allow, scopes), .item = &scope_item,
        .item_size = sizeof(struct slice), .place_offset = offsetof(struct allow, scopes_place),
        .help = "A scope that the token must have (claims.scopes), orders.write; or a list, all of "
                "which. Who lacks one hears which are needed."},
    {NULL},
};

/* A scope-token of RFC 6749 §3.3, so it can stand in a quoted parameter as it is. */
static bool is_scope(struct slice scope)
{
    for (size_t i = 0; i < scope.size; i++)
        if (scope.data[i] <= ' ' || scope.data[i] > '~' || scope.data[i] == '"' ||
            scope.data[i] == '\\')
            return false;
    return scope.size > 0;
}

static enum status check_scopes(struct reader *reader, struct allow *allow)
{
    const struct slice *scopes = allow->scopes.items;
    if (!reader->has_claims)
        return diagnostics_error(reader->diagnostics, allow->scopes_place,
            SLICE("add an `auth` to the file"), "scopes need an `auth` that brings them");
    for (size_t i = 0; i < allow->scopes.count; i++) {
        if (!is_scope(scopes[i]))
            return diagnostics_error(reader->diagnostics, allow->scopes_place,
                SLICE("scope: [orders.read, orders.write]"),
                "a scope is printable ASCII without blanks, quotes and backslashes");
        allow->wanted = i ? arena_format(reader->arena, "%.*s %.*s", SLICE_ARG(allow->wanted),
                                SLICE_ARG(scopes[i]))
                          : scopes[i];
        if (!allow->wanted.data)
            return NO_MEMORY;
    }
    return OK;
}

static enum status check(struct reader *reader, const struct node *node, void *value)
{
    struct allow *allow = value;
    bool is_said = node_get(node, SLICE("if")) || node->kind != NODE_MAP;
    if (!is_said && !allow->scopes.count)
        return diagnostics_error(reader->diagnostics, node->place,
            SLICE("allow: claims.roles has buyer, or allow: {scope: orders.write}"),
            "an allow needs an `if`, a `scope` or both");
    return allow->scopes.count ? check_scopes(reader, allow) : OK;
}

static const struct option_table table = {
    .name = "allow",
    .help = "Lets through those of whom an expression is true, or whose token has scopes, and "
            "refuses others with 403, or with 401 when an `auth` would let them say who they are.",
    .options = options,
    .size = sizeof(struct allow),
    .shorthand = "if",
    .check = check,
    .example = "allow: claims.roles has buyer",
};

/* --- serving */

static bool has_scope(const struct json_value *scopes, struct slice scope)
{
    if (scopes && scopes->type == JSON_STRING)
        return slice_equal(scopes->text, scope);
    if (scopes && scopes->type == JSON_ARRAY)
        json_each (item, scopes)
            if (item->type == JSON_STRING && slice_equal(item->text, scope))
                return true;
    return false;
}

/* The first scope that is not there; null data: all are. */
static struct slice missing_scope(const struct allow *allow, const struct exchange *x)
{
    const struct json_value *scopes = json_get(x->claims, SLICE("scopes"));
    const struct slice *wanted = allow->scopes.items;
    for (size_t i = 0; i < allow->scopes.count; i++)
        if (!has_scope(scopes, wanted[i]))
            return wanted[i];
    return SLICE_NONE;
}

static bool is_allowed(const struct allow *allow, struct exchange *x)
{
    return !missing_scope(allow, x).data && (!allow->rule || expression_is_true(allow->rule, x));
}

/* RFC 6750 §3.1: "scope" is what the token should have had, all of it. */
static struct slice challenge_of(const struct allow *allow, struct exchange *x)
{
    struct slice missing = missing_scope(allow, x);
    if (!x->challenge.size || !x->claims)
        return x->challenge;
    if (!missing.data)
        return arena_format(
            &x->arena, "%.*s, error=\"insufficient_scope\"", SLICE_ARG(x->challenge));
    x->facts.trouble =
        arena_format(&x->arena, "it lacks the scope %.*s", SLICE_ARG(slice_head(missing, 200)));
    return arena_format(&x->arena, "%.*s, error=\"insufficient_scope\", scope=\"%.*s\"",
        SLICE_ARG(x->challenge), SLICE_ARG(allow->wanted));
}

static enum status refuse(const struct allow *allow, struct exchange *x)
{
    struct slice value = challenge_of(allow, x);
    if (value.size)
        (void)fields_add_known(&x->response.fields, FIELD_WWW_AUTHENTICATE, value);
    return x->challenge.size && !x->claims ? CREDENTIALS_MISSING : NOT_ALLOWED;
}

static enum status serve(const void *config, struct exchange *x, const struct handler *next)
{
    const struct allow *allow = config;
    return is_allowed(allow, x) ? handler_serve(next, x) : refuse(allow, x);
}

/* Whom it lets in is said. */
static bool guards(const void *config)
{
    (void)config;
    return true;
}

static void explain(const void *config, struct exchange *x, struct text *text)
{
    const struct allow *allow = config;
    text_format(text, "%s: ", is_allowed(allow, x) ? "lets in" : "refuses");
    if (allow->rule)
        text_add(text, expression_source(allow->rule));
    if (allow->scopes.count)
        text_format(text, "%sscope %.*s", allow->rule ? " and " : "", SLICE_ARG(allow->wanted));
}

const struct policy_type allow_policy = {
    .name = "allow",
    .plural = "allow",
    .admits = true,
    .options = &table,
    .serve = serve,
    .guards = guards,
    .explain = explain,
};
