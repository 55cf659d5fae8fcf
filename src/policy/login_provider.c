#include "policy/login.h"

#include "http/uri.h"

const char *const login_client_auth_words[] = {[LOGIN_CLIENT_AUTO] = "auto",
    [LOGIN_CLIENT_BASIC] = "basic",
    [LOGIN_CLIENT_POST] = "post",
    [LOGIN_CLIENT_KEY] = "private-key",
    [LOGIN_CLIENT_NONE] = "none",
    NULL};
const char *const login_response_mode_words[] = {
    [LOGIN_BY_QUERY] = "query", [LOGIN_BY_FORM] = "form_post", NULL};
const char *const login_signed_with_words[] = {
    [LOGIN_PROVIDER_KEYS] = "provider-keys", [LOGIN_CLIENT_SECRET] = "client-secret", NULL};

const struct option login_text_item = {.name = "value", .kind = OPTION_TEXT};

static const struct option options[] = {
    LOGIN_PROVIDER_ROWS(struct login_provider, ),
    {NULL},
};

static enum status check(struct reader *reader, const struct node *node, void *value)
{
    return login_provider_check(reader, node->place, value);
}

const struct option_table login_provider_table = {
    .name = "provider",
    .help = "An OpenID provider that browsers can log in at.",
    .options = options,
    .size = sizeof(struct login_provider),
    .check = check,
    .example = "google: {issuer: \"https://accounts.google.com\", client: shop, client-secret: "
               "\"${GOOGLE_SECRET}\"}",
};

/* --- what the file says */

/* What the login itself says, or what it is made of. */
static const char *const own_parameters[] = {"response_type", "response_mode", "client_id",
    "redirect_uri", "scope", "state", "nonce", "code_challenge", "code_challenge_method", NULL};

static enum status check_parameters(struct reader *reader, const struct login_provider *provider)
{
    enum status outcome = OK;
    for (size_t i = 0; i < provider->parameters.count; i++)
        for (size_t k = 0; own_parameters[k]; k++)
            if (slice_equal(provider->parameters.entries[i].key, slice_of_text(own_parameters[k])))
                outcome =
                    diagnostics_error(reader->diagnostics, provider->parameters.entries[i].place,
                        SLICE_NONE, "the parameter \"%s\" is the gateway's own", own_parameters[k]);
    return outcome;
}

/* What a client shows, it has to have. */
static enum status check_client(
    struct reader *reader, struct place place, const struct login_provider *provider)
{
    bool has_secret = provider->client.secret.size > 0, has_key = provider->client_key.size > 0;
    int auth = provider->client_auth;
    if ((auth == LOGIN_CLIENT_BASIC || auth == LOGIN_CLIENT_POST) && !has_secret)
        return diagnostics_error(reader->diagnostics, place, SLICE_NONE,
            "a client without `client-secret` cannot show one: `client-auth: none`");
    if ((auth == LOGIN_CLIENT_KEY) != has_key && (has_key ? auth != LOGIN_CLIENT_AUTO : true))
        return diagnostics_error(reader->diagnostics, place, SLICE_NONE,
            "`client-auth: private-key` and `client-key` go together");
    if (provider->signed_with == LOGIN_CLIENT_SECRET && !has_secret)
        return diagnostics_error(reader->diagnostics, provider->signed_place, SLICE_NONE,
            "there is no `client-secret` that ID tokens could be signed with");
    return OK;
}

enum status login_provider_check(
    struct reader *reader, struct place place, const struct login_provider *provider)
{
    if (!provider->issuer.size || !provider->client.id.size)
        return diagnostics_error(reader->diagnostics, place,
            SLICE("for example {issuer: \"https://id.shop.example\", client: shop, client-secret: "
                  "\"${CLIENT_SECRET}\"}"),
            "a provider needs an `issuer`, and a `client` that it knows the gateway as");
    enum status e = check_client(reader, place, provider),
                other = check_parameters(reader, provider);
    return e ? e : other;
}

/* --- prepared */

static void add_parameter(
    struct arena *arena, struct text *text, const char *name, struct slice value)
{
    text_format(text, "%s%s=", text->size ? "&" : "", name);
    struct slice encoded = uri_encode(arena, value);
    text_add(text, encoded);
    text->failed |= !encoded.data;
}

static enum status make_query(struct arena *arena, struct login_provider *provider)
{
    const struct slice *scopes = provider->scopes.items;
    struct text text = text_growing(0), scope = text_growing(0);
    text_add_literal(&scope, "openid");
    for (size_t i = 0; i < provider->scopes.count; i++)
        if (!slice_equal(scopes[i], SLICE("openid")))
            text_format(&scope, " %.*s", SLICE_ARG(scopes[i]));
    text_add_literal(&text, "response_type=code&code_challenge_method=S256");
    add_parameter(arena, &text, "client_id", provider->client.id);
    if (provider->response_mode == LOGIN_BY_FORM)
        text_add_literal(&text, "&response_mode=form_post");
    add_parameter(arena, &text, "scope", text_slice(&scope));
    for (size_t i = 0; i < provider->parameters.count; i++) {
        const struct option_map_entry *entry = &provider->parameters.entries[i];
        struct slice name = uri_encode(arena, entry->key);
        add_parameter(
            arena, &text, name.data ? arena_text(arena, name) : "", *(struct slice *)entry->value);
    }
    if (!text.failed && !scope.failed)
        provider->query = arena_copy(arena, text_slice(&text));
    text_release(&text);
    text_release(&scope);
    return provider->query.data ? OK : NO_MEMORY;
}

/* --- who the gateway is there */

static void release_keys(void *keys)
{
    jose_keys_unref(keys);
}

static enum status make_secret(struct prepare *prepare, struct login_provider *provider)
{
    struct reader *reader = prepare->reader;
    struct jose_keys *keys;
    const char *why = "";
    enum status e = jose_keys_new(&keys);
    if (e)
        return e;
    if (arena_own(reader->arena, release_keys, keys))
        return NO_MEMORY;
    e = jose_keys_add_secret(keys, provider->client.secret, SLICE(""), &why);
    if (e == INVALID)
        return diagnostics_error(reader->diagnostics, provider->signed_place, SLICE_NONE,
            "nothing is signed with such a `client-secret`: %s", why);
    provider->secret = keys;
    return e;
}

static enum status prepare_client(struct prepare *prepare, struct login_provider *provider)
{
    enum status e = oauth_client_prepare(prepare, &provider->client);
    if (!e && provider->client_key.size)
        e = oauth_client_read_key(
            prepare, &provider->client, provider->client_key, provider->client_key_place);
    if (!e && provider->signed_with == LOGIN_CLIENT_SECRET)
        e = make_secret(prepare, provider);
    return e;
}

static enum status prepare_remote(
    struct prepare *prepare, const struct login *login, struct login_provider *provider)
{
    const struct keyring_options wanted = {.issuer = provider->issuer,
        .ca = provider->ca,
        .place = provider->issuer_place,
        .ca_place = provider->ca_place,
        .patience = login->timeout,
        .cooldown = 10 * SECOND};
    enum status e = oidc_issuer_prepare(prepare, &wanted, &provider->remote);
    if (!e && provider->token.text.size)
        e = inquiry_prepare(prepare, &provider->token);
    return e;
}

enum status login_provider_prepare(
    struct prepare *prepare, const struct login *login, struct login_provider *provider)
{
    struct arena *arena = prepare->reader->arena;
    provider->step =
        provider->name.size ? arena_format(arena, "/%.*s", SLICE_ARG(provider->name)) : SLICE("");
    if (!provider->title.size)
        provider->title = provider->name.size ? provider->name : provider->issuer;
    enum status e = provider->step.data ? make_query(arena, provider) : NO_MEMORY;
    if (!e)
        e = prepare_client(prepare, provider);
    return e ? e : prepare_remote(prepare, login, provider);
}

enum status login_discover(const struct login *login, const struct login_provider *provider,
    struct exchange *x, struct oidc_provider *ret_found)
{
    enum status e =
        keyring_provider(provider->remote.ring, x, login->timeout, &x->arena, ret_found);
    if (e == CANCELLED || e == NO_MEMORY)
        return e;
    if (!e && ret_found->authorization_endpoint.size && ret_found->token_endpoint.size)
        return OK;
    x->facts.trouble = e ? SLICE("its discovery document could not be fetched")
                         : SLICE("its discovery document has no endpoints for logins");
    return LOGIN_UNAVAILABLE;
}
