#include "http/cookie.h"
#include "policy/login.h"

#define LOGIN(member) offsetof(struct login, member)

static const struct option provider_item = {
    .name = "provider", .kind = OPTION_STRUCT, .table = &login_provider_table};

static const char *const unavailable_words[] = {"local", "refuse", NULL};

static const char *const bearer_words[] = {"none", "access-token", "id-token", NULL};

static const struct option secret_item = {.name = "secret", .kind = OPTION_SECRET};

static const struct option options[] = {
    LOGIN_PROVIDER_ROWS(struct login, own.),
    {"providers", OPTION_MAP, LOGIN(providers), .item = &provider_item,
        .item_size = sizeof(struct login_provider),
        .help = "Several providers, of which people choose one: {google: {issuer: …}}. Instead of "
                "`issuer` and what goes with it."},
    {"secret", OPTION_LIST, LOGIN(secrets), .item = &secret_item, .item_size = sizeof(struct slice),
        .place_offset = LOGIN(secrets_place), .is_required = true,
        .help =
            "What sessions are sealed with in the browser's cookie: at least 32 bytes, best "
            "from the environment, \"${SESSION_SECRET}\", or a file, {file: session.secret}. Of "
            "a list the first seals, and all are accepted."},
    {"url", OPTION_TEXT, LOGIN(url), .place_offset = LOGIN(url_place),
        .help = "Where browsers see the gateway: https://shop.example. By default https and the "
                "host that they ask for. With http:// cookies are not kept from plain "
                "connections, which is for tests only."},
    {"path", OPTION_TEXT, LOGIN(path), .fallback = "/oauth2", .place_offset = LOGIN(path_place),
        .help = "Where the paths of the login begin: /oauth2/callback is what the provider is to "
                "be told, and a route has to lead to each."},
    {"cookie", OPTION_TEXT, LOGIN(cookie_name), .fallback = "weir",
        .place_offset = LOGIN(cookie_place),
        .help = "The session's cookie; its name gets the prefix __Host- (with a `domain`: "
                "__Secure-)."},
    {"domain", OPTION_TEXT, LOGIN(domain),
        .help = "The cookie's Domain, for a session of several hosts. By default the host's own."},
    {"lifetime", OPTION_DURATION, LOGIN(lifetime), .fallback = "12h", .minimum = SECOND,
        .maximum = 365 * DAY, .help = "How long a session lasts at most."},
    {"idle", OPTION_DURATION, LOGIN(idle), .fallback = "1h", .minimum = SECOND,
        .maximum = 365 * DAY, .help = "How long a session lasts that is not used."},
    {"timeout", OPTION_DURATION, LOGIN(timeout), .fallback = "5s", .minimum = MILLISECOND,
        .maximum = MINUTE, .help = "How long the provider has for each answer."},
    {"after-logout", OPTION_TEXT, LOGIN(after_logout), .place_offset = LOGIN(after_logout_place),
        .help = "Where browsers get after a logout: a path, or a URL. The provider has to know it. "
                "By default they stay at the provider, or see a page that says so."},
    {"bearer", OPTION_CHOICE, LOGIN(bearer), .fallback = "none", .choices = bearer_words,
        .help = "What services get as `Authorization: Bearer`, instead of what the browser says "
                "there: nothing, the session's access token, or its ID token. It is renewed before "
                "it ends, and no mirror gets to see it."},
    {"if-unavailable", OPTION_CHOICE, LOGIN(if_unavailable), .fallback = "local",
        .choices = unavailable_words,
        .help = "While the store that gateways share does not answer: go on with what this gateway "
                "knows of sessions that were ended, or refuse with 503."},
    {NULL},
};

static bool is_path(struct slice path)
{
    if (path.size < 2 || path.data[0] != '/' || path.data[path.size - 1] == '/')
        return false;
    for (size_t i = 1; i < path.size; i++) {
        char c = path.data[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!is_letter && !strchr("/-_.", c))
            return false;
        if (c == path.data[i - 1] && (c == '/' || c == '.'))
            return false;
    }
    return true;
}

static bool is_origin(struct slice url)
{
    bool is_tls = slice_has_prefix(url, SLICE("https://"));
    struct slice rest = slice_from(url, is_tls ? 8 : 7);
    return (is_tls || slice_has_prefix(url, SLICE("http://"))) && rest.size &&
           slice_find(rest, '/') == rest.size && slice_find(rest, '?') == rest.size &&
           slice_find(rest, '#') == rest.size && slice_find(rest, ' ') == rest.size;
}

static bool is_domain(struct slice domain)
{
    for (size_t i = 0; i < domain.size; i++) {
        char c = domain.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.'))
            return false;
    }
    return true;
}

static enum status check_texts(struct reader *reader, const struct login *login)
{
    struct diagnostics *diagnostics = reader->diagnostics;
    bool is_plain = slice_has_prefix(login->url, SLICE("http://"));
    if (login->url.size && !is_origin(login->url))
        return diagnostics_error(diagnostics, login->url_place,
            SLICE("for example https://shop.example"), "a `url` of a login has no path");
    if (!is_path(login->path))
        return diagnostics_error(diagnostics, login->path_place, SLICE("for example /oauth2"),
            "a `path` of a login is one of letters, digits, \"-\", \"_\" and \".\"");
    if (!cookie_name_is_valid(login->cookie_name) || login->cookie_name.size > 40)
        return diagnostics_error(diagnostics, login->cookie_place, SLICE("for example weir"),
            "a cookie has a short name without blanks and signs");
    if (!is_domain(login->domain) || (is_plain && login->domain.size))
        return diagnostics_error(diagnostics, login->cookie_place,
            SLICE("for example shop.example"),
            "a `domain` is a host's name in small letters, and needs https");
    if (login->after_logout.size && !slice_has_prefix(login->after_logout, SLICE("https://")) &&
        !(is_plain && slice_has_prefix(login->after_logout, SLICE("http://"))) &&
        !slice_equal(login_safe_path(login->after_logout), login->after_logout))
        return diagnostics_error(diagnostics, login->after_logout_place,
            SLICE("for example /goodbye"), "after a logout a browser gets to a path or a URL");
    return OK;
}

/* Names of providers are parts of paths. */
static enum status check_providers(
    struct reader *reader, const struct node *node, const struct login *login)
{
    bool has_own = login->own.issuer.size || login->own.client.id.size;
    if (login->providers.count == 0)
        return login_provider_check(reader, node->place, &login->own);
    if (has_own)
        return diagnostics_error(reader->diagnostics, node->place, SLICE_NONE,
            "a login has either `providers`, or an `issuer` of its own");
    for (size_t i = 0; i < login->providers.count; i++) {
        const struct option_map_entry *entry = &login->providers.entries[i];
        struct slice path = arena_format(reader->arena, "/%.*s", SLICE_ARG(entry->key));
        if (!path.data)
            return NO_MEMORY;
        if (!is_path(path) || slice_find(entry->key, '/') < entry->key.size)
            return diagnostics_error(reader->diagnostics, entry->place, SLICE_NONE,
                "the name of a provider is one of letters, digits, \"-\", \"_\" and \".\"");
    }
    return OK;
}

static enum status check(struct reader *reader, const struct node *node, void *value)
{
    const struct login *login = value;
    enum status e = check_providers(reader, node, login), other = check_texts(reader, login);
    return e ? e : other;
}

const struct option_table login_table = {
    .name = "login",
    .help = "OpenID Connect login for browsers (authorization code with PKCE). Who has no session "
            "is sent to the provider and comes back with one; who is no browser gets 401. Sessions "
            "are sealed in the browser's cookie.",
    .options = options,
    .size = sizeof(struct login),
    .check = check,
    .example = "login: {issuer: \"https://id.shop.example\", client: shop, client-secret: "
               "\"${CLIENT_SECRET}\", secret: \"${SESSION_SECRET}\"}",
};
