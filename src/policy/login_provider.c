#include "policy/login.h"

#include "base/base64.h"
#include "http/uri.h"

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
               "\"${GOOGLE_SECRET}\", token: \"https://oauth2.googleapis.com/token\"}",
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

enum status login_provider_check(
    struct reader *reader, struct place place, const struct login_provider *provider)
{
    if (!provider->issuer.size || !provider->client.size)
        return diagnostics_error(reader->diagnostics, place,
            SLICE("for example {issuer: \"https://id.shop.example\", client: shop, client-secret: "
                  "\"${CLIENT_SECRET}\"}"),
            "a provider needs an `issuer`, and a `client` that it knows the gateway as");
    return check_parameters(reader, provider);
}

/* --- prepared */

/* "https://id.example" of "https://id.example/realms/shop". */
static struct slice origin_of(struct slice url)
{
    size_t scheme = slice_find_slice(url, SLICE("://"));
    if (scheme == url.size)
        return url;
    size_t end = scheme + 3;
    while (end < url.size && url.data[end] != '/' && url.data[end] != '?')
        end++;
    return slice_head(url, end);
}

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
    add_parameter(arena, &text, "client_id", provider->client);
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

/* RFC 6749 §2.3.1: both ways to show a secret; which one the provider wants, it says later. */
static enum status make_credentials(struct arena *arena, struct login_provider *provider)
{
    struct slice client = uri_encode(arena, provider->client),
                 secret = uri_encode(arena, provider->client_secret);
    if (!client.data || !secret.data)
        return NO_MEMORY;
    provider->credentials = arena_format(arena, "&client_id=%.*s", SLICE_ARG(client));
    if (!provider->client_secret.size)
        return provider->credentials.data ? OK : NO_MEMORY;
    provider->credentials = arena_format(
        arena, "%.*s&client_secret=%.*s", SLICE_ARG(provider->credentials), SLICE_ARG(secret));
    struct slice pair = arena_format(arena, "%.*s:%.*s", SLICE_ARG(client), SLICE_ARG(secret));
    char *room = arena_bytes(arena, base64_encoded_size(pair.size) + 1);
    if (!pair.data || !room || !provider->credentials.data)
        return NO_MEMORY;
    struct slice code = slice_of(room, base64_encode(pair, 0, room));
    provider->authorization = arena_format(arena, "Basic %.*s", SLICE_ARG(code));
    return provider->authorization.data ? OK : NO_MEMORY;
}

static enum status prepare_keys(
    struct prepare *prepare, const struct login *login, struct login_provider *provider)
{
    const struct keyring_options wanted = {.issuer = provider->issuer,
        .ca = provider->ca,
        .place = provider->issuer_place,
        .ca_place = provider->ca_place,
        .patience = login->timeout,
        .cooldown = 10 * SECOND};
    return keyring_obtain(prepare, &wanted, &provider->ring);
}

static enum status prepare_token(struct prepare *prepare, struct login_provider *provider)
{
    if (!provider->token.text.size) {
        provider->origin = origin_of(provider->issuer);
        provider->token.text = provider->origin;
        provider->token.place = provider->issuer_place;
    }
    return inquiry_prepare(prepare, &provider->token);
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
        e = make_credentials(arena, provider);
    if (!e)
        e = prepare_keys(prepare, login, provider);
    return e ? e : prepare_token(prepare, provider);
}

enum status login_discover(const struct login *login, const struct login_provider *provider,
    struct exchange *x, struct oidc_provider *ret_found)
{
    enum status e = keyring_provider(provider->ring, x, login->timeout, ret_found);
    if (e == CANCELLED || e == NO_MEMORY)
        return e;
    if (!e && ret_found->authorization_endpoint.size && ret_found->token_endpoint.size)
        return OK;
    x->facts.trouble = e ? SLICE("its discovery document could not be fetched")
                         : SLICE("its discovery document has no endpoints for logins");
    return LOGIN_UNAVAILABLE;
}
