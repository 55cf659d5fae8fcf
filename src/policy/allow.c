#include "policy/policy.h"

#include "config/expression.h"

/* Lets through those of whom an expression is true: `allow: claims.roles has buyer`. Who has not
 * said who he is gets 401, so that he knows how; who has, 403 and no more: an attacker learns
 * nothing of the rule. What is missing for an expression makes it false. */

struct allow {
    struct expression *rule;
};

static const struct option options[] = {
    {"if", OPTION_EXPRESSION, offsetof(struct allow, rule), .is_required = true,
        .help = "What has to be true: claims.roles has buyer."},
    {NULL},
};

static const struct option_table table = {
    .name = "allow",
    .help = "Lets through those of whom an expression is true, and refuses others with 403, or "
            "with 401 when an `auth` would let them say who they are.",
    .options = options,
    .size = sizeof(struct allow),
    .shorthand = "if",
    .example = "allow: claims.roles has buyer",
};

/* RFC 6750 §3.1. */
static enum status refuse(struct exchange *x)
{
    struct slice value = x->challenge;
    if (x->challenge.size && x->claims)
        value =
            arena_format(&x->arena, "%.*s, error=\"insufficient_scope\"", SLICE_ARG(x->challenge));
    if (value.size)
        (void)fields_add_known(&x->response.fields, FIELD_WWW_AUTHENTICATE, value);
    return x->challenge.size && !x->claims ? CREDENTIALS_MISSING : NOT_ALLOWED;
}

static enum status serve(const void *config, struct exchange *x, const struct handler *next)
{
    const struct allow *allow = config;
    return expression_is_true(allow->rule, x) ? handler_serve(next, x) : refuse(x);
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
    text_format(text, "%s: %.*s", expression_is_true(allow->rule, x) ? "lets in" : "refuses",
        SLICE_ARG(expression_source(allow->rule)));
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
