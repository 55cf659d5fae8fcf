#include "config/expression.h"
#include "jose/jws.h"
#include "jose/keys.h"
#include "policy/auth_way.h"
#include "policy/token_memory.h"

/* JSON Web Tokens as a way to say who one is (RFC 7519, RFC 8725): what is asked of them, by which
 * keys they are verified. They come as `Authorization: Bearer` (RFC 6750) or wherever `from`
 * says. */

struct auth_jwt {
    /* Options. */
    struct option_list issuers, algorithms, required; /* of struct slice */
    struct slice keys, secret;
    struct place keys_place, secret_place;
    int64_t leeway, age_max; /* nanoseconds */
    bool may_lack_expiry;
    struct expression *from; /* NULL: Authorization */

    /* Made by prepare. */
    unsigned accepted;             /* a bit for each algorithm */
    struct jose_keys *verifiers;   /* counted */
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
        .help = "Who may have signed: what `iss` says, exactly; or a list, of which one."},
    {"keys", OPTION_TEXT, JWT(keys), .place_offset = JWT(keys_place),
        .help = "The public keys: a file with a JWK Set, a JWK, or a key or certificate in PEM; or "
                "the text of one. It is read again with each reload."},
    {"secret", OPTION_TEXT, JWT(secret), .place_offset = JWT(secret_place),
        .help = "For tokens that are signed with a shared secret (HS256 …): at least 32 bytes, "
                "best from the environment: \"${JWT_SECRET}\"."},
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
    {NULL},
};

static const struct option_table table = {
    .name = "jwt",
    .help = "JSON Web Tokens (RFC 7519). A token cannot choose how it is verified: each key is for "
            "the algorithms of its kind, or the one that it names.",
    .options = options,
    .size = sizeof(struct auth_jwt),
    .shorthand = "issuer",
    .example = "jwt: {issuer: \"https://id.shop.example\", keys: keys.json}",
};

/* --- keys */

static enum status complain(struct prepare *prepare, struct place place, const char *why)
{
    return diagnostics_error(
        prepare->reader->diagnostics, place, SLICE_NONE, "these keys cannot be used: %s", why);
}

static bool is_inline(struct slice keys)
{
    return slice_has_prefix(keys, SLICE("{")) || slice_has_prefix(keys, SLICE("-----BEGIN "));
}

/* The text itself, or the file's. */
static enum status read_text(struct prepare *prepare, const struct auth_jwt *jwt,
    struct arena *scratch, struct slice *ret_text)
{
    const struct source *source;
    *ret_text = slice_trim(jwt->keys);
    if (is_inline(*ret_text))
        return OK;
    struct slice path = source_path(scratch, jwt->keys_place.source, jwt->keys);
    enum status e = path.data ? source_read(scratch, path, JOSE_SET_SIZE_MAX, &source) : NO_MEMORY;
    if (e == NO_MEMORY)
        return e;
    if (e)
        return diagnostics_error(prepare->reader->diagnostics, jwt->keys_place, SLICE_NONE,
            "the file \"%.*s\" cannot be read: %s", SLICE_ARG(slice_head(jwt->keys, 200)),
            status_sentence(e));
    *ret_text = slice_trim(source->text);
    return OK;
}

static enum status add_keys(
    struct prepare *prepare, const struct auth_jwt *jwt, struct arena *scratch)
{
    const char *why = NULL;
    struct slice text;
    enum status e = read_text(prepare, jwt, scratch, &text);
    if (e)
        return e;
    e = slice_has_prefix(text, SLICE("-----BEGIN "))
            ? jose_keys_add_pem(jwt->verifiers, text, SLICE_NONE, &why)
            : jose_keys_add_json(jwt->verifiers, text, 0, &why);
    return e && e != NO_MEMORY ? complain(prepare, jwt->keys_place, why) : e;
}

static enum status add_secret(struct prepare *prepare, const struct auth_jwt *jwt)
{
    const char *why = NULL;
    enum status e = jose_keys_add_secret(jwt->verifiers, jwt->secret, SLICE_NONE, &why);
    return e && e != NO_MEMORY ? complain(prepare, jwt->secret_place, why) : e;
}

static void release_keys(void *keys)
{
    jose_keys_unref(keys);
}

static enum status prepare_keys(struct prepare *prepare, struct auth_jwt *jwt)
{
    struct arena scratch;
    if (!jwt->keys.size && !jwt->secret.size)
        return diagnostics_error(prepare->reader->diagnostics, prepare->place,
            SLICE("add `keys: keys.json`"), "a token is verified with `keys` or a `secret`");
    enum status e = jose_keys_new(&jwt->verifiers);
    if (e)
        return e;
    if (!arena_defer(prepare->reader->arena, release_keys, jwt->verifiers)) {
        jose_keys_unref(jwt->verifiers);
        return NO_MEMORY;
    }
    arena_init(&scratch, 0, 0);
    if (jwt->keys.size)
        e = add_keys(prepare, jwt, &scratch);
    if (!e && jwt->secret.size)
        e = add_secret(prepare, jwt);
    arena_release(&scratch);
    return e;
}

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

static void release_memory(void *memory)
{
    token_memory_release(memory);
}

static enum status prepare_memories(struct prepare *prepare, struct auth_jwt *jwt)
{
    struct arena *arena = prepare->reader->arena;
    jwt->memories = arena_array(arena, prepare->workers + 1, sizeof *jwt->memories);
    if (!jwt->memories)
        return NO_MEMORY;
    for (unsigned i = 0; i < prepare->workers; i++) {
        token_memory_init(&jwt->memories[i]);
        if (!arena_defer(arena, release_memory, &jwt->memories[i]))
            return NO_MEMORY;
    }
    return OK;
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
    enum status e = prepare_keys(prepare, jwt);
    return e ? e : prepare_memories(prepare, jwt);
}

/* --- verifying */

static enum status verify(
    const struct auth_jwt *jwt, struct exchange *x, struct known_token *token, int64_t now)
{
    struct jws jws;
    enum status e = jws_read(&x->arena, token->text, &jws);
    if (!e && !(jwt->accepted >> jws.algorithm & 1))
        e = TOKEN_ALGORITHM;
    if (!e)
        e = jws_verify(&jws, jwt->verifiers);
    if (e)
        return e;
    struct slice payload = arena_copy(&token->arena, jws.payload);
    e = payload.data ? jwt_read(&token->arena, payload, &token->claims) : NO_MEMORY;
    return e ? e : jwt_check(token->claims, &jwt->rules, now, &token->until);
}

/* The token stays as long as the exchange asks for its claims. */
static enum status keep(struct exchange *x, struct known_token *token)
{
    if (!arena_defer(&x->arena, known_token_unref, token)) {
        known_token_unref(token);
        return NO_MEMORY;
    }
    x->claims = token->claims;
    return OK;
}

static enum status identify_token(
    const struct auth_jwt *jwt, struct exchange *x, struct slice text, struct auth_finding *finding)
{
    /* A rehearsal runs on another thread than the worker whose memory this is. */
    struct token_memory *memory = x->is_rehearsal ? NULL : &jwt->memories[x->worker];
    int64_t now = clock_wall() / SECOND;
    struct known_token *token = memory ? token_memory_find(memory, text, now) : NULL;
    finding->was_known = token != NULL;
    if (token)
        return keep(x, token);
    enum status e = known_token_new(text, &token);
    if (e)
        return e;
    e = verify(jwt, x, token, now);
    if (e) {
        known_token_unref(token);
        return e;
    }
    if (memory)
        token_memory_add(memory, token);
    return keep(x, token);
}

static enum status identify(
    const void *config, struct exchange *x, struct auth_finding *ret_finding)
{
    const struct auth_jwt *jwt = config;
    struct slice token;
    enum status e = OK;
    if (jwt->from)
        token = expression_text(jwt->from, x);
    else
        e = auth_credentials(x, SLICE("Bearer"), &token);
    if (e)
        return e;
    return token.size ? identify_token(jwt, x, token, ret_finding) : CREDENTIALS_MISSING;
}

const struct auth_way jwt_way = {
    .name = "jwt",
    .options = &table,
    .scheme = "Bearer",
    .says_why = true,
    .prepare = prepare_jwt,
    .identify = identify,
};
