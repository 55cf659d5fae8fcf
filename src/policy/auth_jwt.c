#include "config/expression.h"
#include "policy/auth_way.h"
#include "policy/claims.h"
#include "policy/jwt_keys.h"
#include "policy/token_memory.h"

/* JSON Web Tokens as a way to say who one is (RFC 7519, RFC 8725): what is asked of them, by which
 * keys they are verified. They come as `Authorization: Bearer` (RFC 6750) or wherever `from`
 * says.
 *
 * A token is this way's own if it is a JWS in the compact form with claims of which `iss` names one
 * of the issuers; nothing of that is verified yet, and it decides nothing but whose keys verify it.
 * Any other is foreign (auth_way.h): an opaque token for `introspection`, or that of another issuer
 * with a `jwt` of its own. So no issuer's keys are ever tried on another's tokens, whatever a token
 * calls its key. */

struct auth_jwt {
    /* Options. */
    struct option_list issuers, algorithms, required; /* of struct slice */
    struct jwt_keys keys;
    int64_t leeway, age_max; /* nanoseconds */
    bool may_lack_expiry;
    struct expression *from; /* NULL: Authorization */

    /* Made by prepare. */
    unsigned accepted;             /* a bit for each algorithm */
    struct token_memory *memories; /* one a worker */
    struct jwt_rules rules;
};

#define JWT(member) offsetof(struct auth_jwt, member)

static const struct option issuer_item = {.kind = OPTION_TEXT};

static const char *algorithm_word(unsigned i)
{
    return jose_algorithm_facts((enum jose_algorithm)i)->word.data;
}

/* One of the table's words. */
static enum status read_algorithm(struct reader *reader, const struct node *node, void *ret_value)
{
    struct slice word = node->kind == NODE_SCALAR ? node->text : SLICE_NONE;
    enum jose_algorithm algorithm;
    if (!jose_algorithm_find(word, &algorithm))
        return diagnostics_error(reader->diagnostics, node->place,
            SLICE("HS256, RS256, PS256, ES256, the same with 384 and 512, or EdDSA"),
            "tokens are not signed with \"%.*s\"", SLICE_ARG(slice_head(word, 100)));
    *(struct slice *)ret_value = slice_of_text(algorithm_word(algorithm));
    return OK;
}

static const struct option algorithm_item = {.kind = OPTION_CUSTOM,
    .read = read_algorithm,
    .form = "ES256",
    .schema = "{\"type\":\"string\"}"};

static const struct option options[] = {
    {"issuer", OPTION_LIST, JWT(issuers), .item = &issuer_item, .item_size = sizeof(struct slice),
        .is_required = true,
        .help = "Who may have signed: what `iss` says, exactly; or a list, of which one, if all of "
                "them sign with the same keys."},
    {"keys", OPTION_TEXT, JWT(keys.keys), .place_offset = JWT(keys.keys_place),
        .help = "The public keys: the URL of a JWK Set, which is fetched; a file with one, with a "
                "JWK, or a key or certificate in PEM, read again with each reload; or the text of "
                "that. By default the issuer is asked where they are (OpenID Connect "
                "Discovery)."},
    {"secret", OPTION_SECRET, JWT(keys.secret), .place_offset = JWT(keys.secret_place),
        .help = "For tokens that are signed with a shared secret (HS256 …): at least 32 bytes, "
                "best from the environment, \"${JWT_SECRET}\", or a file, {file: jwt.secret}."},
    {"algorithms", OPTION_LIST, JWT(algorithms), .item = &algorithm_item,
        .item_size = sizeof(struct slice),
        .help = "Only these; by default all that the keys are for."},
    {"from", OPTION_EXPRESSION, JWT(from),
        .help = "Where the token is: cookie.session, query.access_token. By default in "
                "Authorization, behind Bearer."},
    {"required", OPTION_LIST, JWT(required), .item = &issuer_item,
        .item_size = sizeof(struct slice), .help = "Claims that a token must have."},
    {"leeway", OPTION_DURATION, JWT(leeway), .fallback = "30s", .minimum = 0,
        .maximum = 10 * MINUTE, .help = "How far clocks may be apart, for `exp`, `nbf`, `iat`."},
    {"max-age", OPTION_DURATION, JWT(age_max), .fallback = "0s", .minimum = 0,
        .maximum = 3650 * DAY,
        .help = "How long after `iat` a token is good at most; 0s: as long as `exp` says."},
    {"endless", OPTION_FLAG, JWT(may_lack_expiry), .fallback = "false",
        .help = "Whether a token without `exp` is accepted, too."},
    KEYRING_ROWS(struct auth_jwt, keys.remote),
    {NULL},
};

static const struct option_table table = {
    .name = "jwt",
    .help = "JSON Web Tokens (RFC 7519). A token cannot choose how it is verified: each key is for "
            "the algorithms of its kind, or the one that it names. Or a list of them, for several "
            "issuers with keys of their own.",
    .options = options,
    .size = sizeof(struct auth_jwt),
    .shorthand = "issuer",
    .example = "jwt: https://id.shop.example",
};

/* --- what is asked */

static struct jwt_words words_of(const struct option_list *list)
{
    return (struct jwt_words){list->items, list->count};
}

static unsigned accepted_of(const struct option_list *list)
{
    const struct slice *words = list->items;
    unsigned bits = 0;
    for (size_t i = 0; i < list->count; i++) {
        enum jose_algorithm algorithm;
        if (jose_algorithm_find(words[i], &algorithm))
            bits |= 1u << algorithm;
    }
    return list->count ? bits : ~0u;
}

static enum status prepare_jwt(
    struct prepare *prepare, const struct auth_terms *terms, void *config)
{
    struct auth_jwt *jwt = config;
    jwt->accepted = accepted_of(&jwt->algorithms);
    jwt->rules = (struct jwt_rules){.issuers = words_of(&jwt->issuers),
        .audiences = terms->audiences,
        .required = words_of(&jwt->required),
        .leeway = jwt->leeway / SECOND,
        .age_max = jwt->age_max / SECOND,
        .may_lack_expiry = jwt->may_lack_expiry};
    enum status e = jwt_keys_prepare(prepare, &jwt->keys, &jwt->issuers);
    return e ? e : token_memories_new(prepare->reader->arena, prepare->workers, &jwt->memories);
}

/* --- verifying */

/* Takes the token apart. TOKEN_MALFORMED or TOKEN_ISSUER: it is not this way's; NO_MEMORY. */
static enum status recognise(const struct auth_jwt *jwt, struct exchange *x,
    struct known_token *token, struct jws_parts *ret_parts)
{
    enum status e = jws_split(&x->arena, token->text, ret_parts);
    if (e)
        return e;
    struct slice payload = arena_copy(&token->arena, ret_parts->payload);
    e = payload.data ? jwt_read(&token->arena, payload, &token->claims) : NO_MEMORY;
    return !e && !jwt_is_from(token->claims, &jwt->rules.issuers) ? TOKEN_ISSUER : e;
}

static enum status verify(const struct auth_jwt *jwt, struct exchange *x,
    const struct jws_parts *parts, struct known_token *token, int64_t now)
{
    struct jws jws;
    enum status e = jws_of(parts, &jws);
    if (!e && !(jwt->accepted >> jws.algorithm & 1))
        e = TOKEN_ALGORITHM;
    if (!e)
        e = jwt_keys_verify(&jwt->keys, x, &jws);
    if (!e)
        e = jwt_check(token->claims, &jwt->rules, now, &token->until);
    if (e)
        return e;
    token->claims = claims_with_scopes(&token->arena, token->claims);
    return token->claims ? OK : NO_MEMORY;
}

static enum status judge(const struct auth_jwt *jwt, struct exchange *x, struct known_token *token,
    int64_t now, bool *ret_is_foreign)
{
    struct jws_parts parts;
    enum status e = recognise(jwt, x, token, &parts);
    *ret_is_foreign = e != OK && e != NO_MEMORY;
    return e ? e : verify(jwt, x, &parts, token, now);
}

static enum status identify_token(
    const struct auth_jwt *jwt, struct exchange *x, struct slice text, struct auth_finding *finding)
{
    /* A rehearsal runs on another thread than the worker whose memory this is. */
    struct token_memory *memory = x->is_rehearsal ? NULL : &jwt->memories[x->worker];
    int64_t now = clock_wall() / SECOND;
    if (memory)
        token_memory_turn(memory, jwt_keys_epoch(&jwt->keys));
    struct known_token *token = memory ? token_memory_find(memory, text, now) : NULL;
    finding->was_known = token != NULL;
    if (token)
        return known_token_lend(token, &x->arena, &x->claims);
    enum status e = known_token_new(text, &token);
    if (e)
        return e;
    e = judge(jwt, x, token, now, &finding->is_foreign);
    if (e) {
        known_token_unref(token);
        return e;
    }
    if (memory)
        token_memory_add(memory, token);
    return known_token_lend(token, &x->arena, &x->claims);
}

static enum status identify(
    const void *config, struct exchange *x, struct auth_finding *ret_finding)
{
    const struct auth_jwt *jwt = config;
    struct slice token;
    enum status e = auth_token(x, jwt->from, &token);
    return e ? e : identify_token(jwt, x, token, ret_finding);
}

const struct auth_way jwt_way = {
    .name = "jwt",
    .options = &table,
    .scheme = "Bearer",
    .says_why = true,
    .may_be_several = true,
    .prepare = prepare_jwt,
    .identify = identify,
};
