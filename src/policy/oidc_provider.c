#include "policy/oidc_provider.h"

#include "base/json.h"
#include "http/fetch.h"

bool oidc_url_is_plain(struct slice url)
{
    return slice_has_prefix(url, SLICE("http://"));
}

static bool is_this_machine(struct slice host)
{
    struct network loopback[2];
    struct address address;
    if (slice_equal(host, SLICE("localhost")))
        return true;
    if (address_parse_ip(host, 1, &address) || network_parse(SLICE("127.0.0.0/8"), &loopback[0]) ||
        network_parse(SLICE("::1"), &loopback[1]))
        return false;
    return network_contains(&loopback[0], &address) || network_contains(&loopback[1], &address);
}

const char *oidc_url_problem(struct arena *arena, struct slice url, bool with_plain)
{
    struct fetch_place place;
    const char *problem;
    bool is_plain = oidc_url_is_plain(url);
    if (url.size > OIDC_URL_MAX)
        return "is too long";
    if (!is_plain && !slice_has_prefix(url, SLICE("https://")))
        return "is not https";
    if (fetch_place_parse(arena, url, &place, &problem))
        return "is not a URL";
    if (slice_find(url, '#') < url.size)
        return "has a fragment";
    if (is_plain && !(with_plain && is_this_machine(place.host)))
        return "is not https";
    return NULL;
}

/* A member that is a URL, or is not there. */
static enum status read_url(struct arena *arena, const struct json_value *root, const char *name,
    bool with_plain, struct slice *ret_url, const char **why)
{
    const struct json_value *member = json_get(root, slice_of_text(name));
    *ret_url = SLICE_NONE;
    if (!member || member->type == JSON_NULL)
        return OK;
    const char *problem = member->type == JSON_STRING
                              ? oidc_url_problem(arena, member->text, with_plain)
                              : "is not a text";
    if (!problem) {
        *ret_url = member->text;
        return OK;
    }
    struct slice said = arena_format(arena, "its \"%s\" %s", name, problem);
    *why = said.data ? said.data : "out of memory";
    return said.data ? INVALID : NO_MEMORY;
}

/* RFC 8414 §2: what is not said means Basic. */
static bool wants_posted_secret(const struct json_value *root)
{
    bool has_post = false;
    json_each (method, json_array_of(root, "token_endpoint_auth_methods_supported")) {
        if (slice_equal(method->text, SLICE("client_secret_basic")))
            return false;
        has_post |= slice_equal(method->text, SLICE("client_secret_post"));
    }
    return has_post;
}

enum status oidc_provider_read(struct arena *arena, struct slice text, struct slice issuer,
    struct oidc_provider *ret_provider, const char **ret_why)
{
    const struct json_limits limits = {.size = OIDC_DOCUMENT_MAX, .depth = 16};
    struct oidc_provider provider = {.issuer = issuer};
    bool with_plain = oidc_url_is_plain(issuer);
    const struct {
        const char *name;
        struct slice *url;
    } urls[] = {{"jwks_uri", &provider.keys},
        {"authorization_endpoint", &provider.authorization_endpoint},
        {"token_endpoint", &provider.token_endpoint},
        {"end_session_endpoint", &provider.end_session_endpoint},
        {"userinfo_endpoint", &provider.userinfo_endpoint}};
    struct json_value *root;
    struct slice said;
    enum status e = json_parse(arena, text, &limits, &root, NULL);
    if (e == NO_MEMORY)
        return e;
    *ret_why = "its document is not JSON";
    if (e)
        return INVALID;
    *ret_why = "its document is of another issuer";
    if (!json_get_text(root, SLICE("issuer"), &said) || !slice_equal(said, issuer))
        return INVALID;
    for (size_t i = 0; !e && i < sizeof urls / sizeof *urls; i++)
        e = read_url(arena, root, urls[i].name, with_plain, urls[i].url, ret_why);
    if (e)
        return e;
    *ret_why = "its document does not say where its keys are";
    if (!provider.keys.size)
        return INVALID;
    (void)json_get_bool(
        root, SLICE("authorization_response_iss_parameter_supported"), &provider.names_issuer);
    provider.wants_posted_secret = wants_posted_secret(root);
    *ret_provider = provider;
    return OK;
}

enum status oidc_provider_copy(
    struct arena *arena, const struct oidc_provider *provider, struct oidc_provider *ret_copy)
{
    const struct oidc_provider copy = {.issuer = arena_copy(arena, provider->issuer),
        .keys = arena_copy(arena, provider->keys),
        .authorization_endpoint = arena_copy(arena, provider->authorization_endpoint),
        .token_endpoint = arena_copy(arena, provider->token_endpoint),
        .end_session_endpoint = arena_copy(arena, provider->end_session_endpoint),
        .userinfo_endpoint = arena_copy(arena, provider->userinfo_endpoint),
        .names_issuer = provider->names_issuer,
        .wants_posted_secret = provider->wants_posted_secret};
    if (!copy.issuer.data || !copy.keys.data || !copy.authorization_endpoint.data ||
        !copy.token_endpoint.data || !copy.end_session_endpoint.data ||
        !copy.userinfo_endpoint.data)
        return NO_MEMORY;
    *ret_copy = copy;
    return OK;
}
