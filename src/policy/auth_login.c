#include "config/expression.h"
#include "http/cookie.h"
#include "http/uri.h"
#include "policy/login.h"

/* OpenID Connect login as a way to say who one is: a browser without a session is sent to log in,
 * and comes back with one (login.h). All that belongs to a login is under one path of the route:
 *
 *     /oauth2/login[/PROVIDER]?to=/path          begins
 *     /oauth2/callback[/PROVIDER]                where the provider sends the browser to
 *     /oauth2/logout                             ends
 *     /oauth2/backchannel-logout[/PROVIDER]      the provider says that it has ended */

#define LOGIN(member) offsetof(struct login, member)

static const struct option provider_item = {
    .name = "provider", .kind = OPTION_STRUCT, .table = &login_provider_table};

static const char *const unavailable_words[] = {"local", "refuse", NULL};

static const struct option options[] = {
    LOGIN_PROVIDER_ROWS(struct login, own.),
    {"providers", OPTION_MAP, LOGIN(providers), .item = &provider_item,
        .item_size = sizeof(struct login_provider),
        .help = "Several providers, of which people choose one: {google: {issuer: …}}. Instead of "
                "`issuer` and what goes with it."},
    {"secret", OPTION_LIST, LOGIN(secrets), .item = &login_text_item,
        .item_size = sizeof(struct slice), .place_offset = LOGIN(secrets_place),
        .is_required = true,
        .help = "What sessions are sealed with in the browser's cookie: at least 32 bytes, best "
                "from the environment: \"${SESSION_SECRET}\". Of a list the first seals, and all "
                "are accepted."},
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
    {"if-unavailable", OPTION_CHOICE, LOGIN(if_unavailable), .fallback = "local",
        .choices = unavailable_words,
        .help = "While the store that gateways share does not answer: go on with what this gateway "
                "knows of sessions that were ended, or refuse with 503."},
    {NULL},
};

/* --- what the file says */

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
    bool has_own = login->own.issuer.size || login->own.client.size;
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

static const struct option_table table = {
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

/* --- prepared */

static enum status make_sealer(struct prepare *prepare, const struct login *login,
    struct slice purpose, struct sealer **ret_sealer)
{
    const char *why;
    struct sealer *sealer = arena_new(prepare->reader->arena, struct sealer);
    if (!sealer || !arena_defer(prepare->reader->arena, sealer_release, sealer))
        return NO_MEMORY;
    enum status e = sealer_init(sealer, login->secrets.items, login->secrets.count, purpose, &why);
    if (e == INVALID)
        return diagnostics_error(prepare->reader->diagnostics, login->secrets_place,
            SLICE("for example what `openssl rand -base64 32` prints"),
            "this cannot seal sessions: %s", why);
    *ret_sealer = sealer;
    return e;
}

/* RFC 6265 §4.1.2; the prefixes are those of RFC 6265bis. */
static enum status make_cookie(struct arena *arena, struct login *login)
{
    bool is_plain = slice_has_prefix(login->url, SLICE("http://"));
    const char *prefix = is_plain ? "" : login->domain.size ? "__Secure-" : "__Host-";
    struct slice domain = SLICE("");
    if (login->domain.size)
        domain = arena_format(arena, "; Domain=%.*s", SLICE_ARG(login->domain));
    login->cookie.name = arena_format(arena, "%s%.*s", prefix, SLICE_ARG(login->cookie_name));
    login->attributes = arena_format(arena, "; Path=/%.*s; HttpOnly%s; SameSite=Lax",
        SLICE_ARG(domain), is_plain ? "" : "; Secure");
    login->cookie.attributes = login->attributes;
    return login->cookie.name.data && login->attributes.data && domain.data ? OK : NO_MEMORY;
}

static enum status prepare_providers(struct prepare *prepare, struct login *login)
{
    size_t count = login->providers.count;
    login->used = arena_array(prepare->reader->arena, count + 1, sizeof(struct login_provider *));
    if (!login->used)
        return NO_MEMORY;
    login->count = count ? count : 1;
    login->used[0] = &login->own;
    for (size_t i = 0; i < count; i++) {
        login->used[i] = login->providers.entries[i].value;
        login->used[i]->name = login->providers.entries[i].key;
    }
    enum status outcome = OK;
    for (size_t i = 0; i < login->count && outcome != NO_MEMORY; i++) {
        enum status e = login_provider_prepare(prepare, login, login->used[i]);
        outcome = e ? e : outcome;
    }
    return outcome;
}

static void make_series(struct prepare *prepare, struct login *login)
{
    static const struct metric_family family = {.name = "weir_login_total",
        .help = "Steps of browsers' logins, and what came of them.",
        .kind = METRIC_COUNTER,
        .labels = {"auth", "outcome"}};
    static const char *const words[LOGIN_OUTCOMES] = {[LOGIN_BEGUN] = "begun",
        [LOGIN_COMPLETED] = "completed",
        [LOGIN_DENIED_BY_PROVIDER] = "denied",
        [LOGIN_STRAYED] = "stray",
        [LOGIN_BROKEN] = "failed",
        [LOGIN_UNANSWERED] = "unavailable",
        [LOGIN_RENEWED] = "renewed",
        [LOGIN_NOT_RENEWED] = "not-renewed",
        [LOGIN_ENDED_BY_PROVIDER] = "ended-by-provider",
        [LOGIN_LOGGED_OUT] = "logged-out",
        [LOGIN_LOGGED_OUT_BY_PROVIDER] = "logged-out-by-provider",
        [LOGIN_LOGOUT_REFUSED] = "logout-refused"};
    login->shards = prepare->shards;
    for (size_t i = 0; i < LOGIN_OUTCOMES; i++)
        login->series[i] = metrics_series(prepare->metrics, &family,
            (const struct slice[]){prepare->name, slice_of_text(words[i])});
}

static enum status prepare_login(
    struct prepare *prepare, const struct auth_terms *terms, void *config)
{
    struct login *login = config;
    struct arena *arena = prepare->reader->arena;
    login->name = terms->name;
    login->memory = prepare->stores.memory;
    login->store = prepare->stores.shared ? prepare->stores.shared : login->memory;
    make_series(prepare, login);
    enum status e = make_sealer(prepare, login, SLICE("weir login session"), &login->sessions);
    if (!e)
        e = make_sealer(prepare, login, SLICE("weir login attempt"), &login->attempts);
    if (!e)
        e = make_cookie(arena, login);
    if (!e)
        e = token_memories_new(arena, prepare->workers, &login->memories);
    return e ? e : prepare_providers(prepare, login);
}

/* --- for the parts */

const struct login_provider *login_provider_of(const struct login *login, struct slice name)
{
    for (size_t i = 0; i < login->count; i++)
        if (slice_equal(login->used[i]->name, name))
            return login->used[i];
    return NULL;
}

struct slice login_origin(const struct login *login, struct exchange *x)
{
    if (login->url.size)
        return login->url;
    return arena_format(&x->arena, "https://%.*s", SLICE_ARG(x->request.authority));
}

struct slice login_safe_path(struct slice path)
{
    struct slice root = SLICE("/");
    if (path.size == 0 || path.size > LOGIN_TEXT_MAX || path.data[0] != '/')
        return root;
    if (path.size > 1 && path.data[1] == '/')
        return root;
    for (size_t i = 0; i < path.size; i++)
        if (path.data[i] <= ' ' || path.data[i] > '~' || strchr("\\\"<>", path.data[i]))
            return root;
    return path;
}

enum status login_redirect(struct exchange *x, int status, struct slice location)
{
    enum status e = exchange_respond(x, status, SLICE(""), SLICE(""));
    if (!e)
        e = fields_add(&x->response.fields, FIELD_LOCATION, SLICE("Location"), location);
    if (!e)
        e = fields_add_made(&x->response.fields, FIELD_CACHE_CONTROL, SLICE("no-store"));
    return e == INVALID ? LOGIN_FAILED : e;
}

enum status login_problem(struct exchange *x, enum status reason, const char *detail)
{
    struct slice text = arena_format(&x->arena, "%s (%s)", status_sentence(reason), detail);
    if (!text.data)
        return NO_MEMORY;
    exchange_respond_problem(x, reason, text);
    x->facts.trouble = slice_of_text(detail);
    return fields_add_made(&x->response.fields, FIELD_CACHE_CONTROL, SLICE("no-store"));
}

/* --- serving */

/* Whether people are behind it, who can log in. */
static bool is_navigation(const struct exchange *x)
{
    const struct fields *fields = &x->request.fields;
    struct slice mode = fields_value_named(fields, SLICE("Sec-Fetch-Mode")),
                 with = fields_value_named(fields, SLICE("X-Requested-With")),
                 accept = fields_value(fields, FIELD_ACCEPT), one;
    if (x->request.method != METHOD_GET && x->request.method != METHOD_HEAD)
        return false;
    if (x->is_websocket || x->grpc || (mode.data && !slice_equal(mode, SLICE("navigate"))) ||
        slice_equal_nocase(with, SLICE("XMLHttpRequest")))
        return false;
    while (field_list_next(&accept, &one))
        if (slice_equal_nocase(
                slice_trim(slice_head(one, slice_find(one, ';'))), SLICE("text/html")))
            return true;
    return false;
}

/* Where the browser is, to come back to. */
static struct slice place_of(struct exchange *x)
{
    struct slice path = x->request.path;
    if (x->request.query.size)
        path = arena_format(&x->arena, "%.*s?%.*s", SLICE_ARG(path), SLICE_ARG(x->request.query));
    return login_safe_path(path);
}

/* To the page where people choose. */
static enum status send_to_choose(const struct login *login, struct exchange *x, struct slice to)
{
    struct slice encoded = uri_encode(&x->arena, to), page = SLICE_NONE;
    if (encoded.data)
        page = arena_format(
            &x->arena, "%.*s/login?to=%.*s", SLICE_ARG(login->path), SLICE_ARG(encoded));
    return page.data ? login_redirect(x, 302, page) : NO_MEMORY;
}

static enum status invite(const void *config, struct exchange *x)
{
    const struct login *login = config;
    if (!is_navigation(x))
        return NOT_FOUND;
    if (login->count > 1 || x->is_rehearsal) /* which asks nobody */
        return send_to_choose(login, x, place_of(x));
    return login_begin(login, login->used[0], x, place_of(x));
}

static enum status serve_login(
    const struct login *login, const struct login_provider *provider, struct exchange *x)
{
    struct slice to = login_safe_path(uri_query_value(&x->arena, x->request.query, SLICE("to")));
    if (provider)
        return login_begin(login, provider, x, to);
    return login_page_choose(login, x, to);
}

/* What the provider has written into the URL, codes above all, is not for logs. */
static enum status serve_return(
    const struct login *login, const struct login_provider *provider, struct exchange *x)
{
    enum status e = login_return(login, provider, x);
    x->request.query = SLICE_NONE;
    x->request.target = x->request.path;
    return e;
}

/* One of the login's own paths. NOT_FOUND: it is none. */
static enum status serve_own(const struct login *login, struct exchange *x)
{
    struct slice rest = slice_from(x->request.path, login->path.size), word;
    if (!slice_has_prefix(x->request.path, login->path) || !slice_has_prefix(rest, SLICE("/")))
        return NOT_FOUND;
    rest = slice_from(rest, 1);
    word = slice_head(rest, slice_find(rest, '/'));
    rest = slice_from(rest, word.size + 1);
    bool is_get = x->request.method == METHOD_GET || x->request.method == METHOD_HEAD;
    const struct login_provider *provider = login_provider_of(login, rest);
    bool is_begin = is_get && slice_equal(word, SLICE("login")) && (provider || !rest.size);
    bool is_return = is_get && slice_equal(word, SLICE("callback")) && provider;
    bool is_logout = (is_get || x->request.method == METHOD_POST) &&
                     slice_equal(word, SLICE("logout")) && !rest.size;
    bool is_message = x->request.method == METHOD_POST &&
                      slice_equal(word, SLICE("backchannel-logout")) && provider;
    if (!is_begin && !is_return && !is_logout && !is_message)
        return NOT_FOUND;
    if (x->is_rehearsal)
        return exchange_respond(x, 200, SLICE(""), SLICE(""));
    if (is_begin)
        return serve_login(login, provider, x);
    if (is_return)
        return serve_return(login, provider, x);
    return is_message ? login_hear_logout(login, provider, x) : login_logout(login, x);
}

/* The browser's session as it is now. */
static enum status find_session(const struct login *login, struct exchange *x,
    struct auth_finding *finding, struct login_session **ret_session)
{
    bool is_new = false;
    enum status e = login_session_find(login, x, &finding->was_known, ret_session);
    if (!e && !x->is_rehearsal)
        e = login_renew(login, x, ret_session, &is_new);
    if (!e && !x->is_rehearsal)
        e = login_check_ended(login, x, *ret_session);
    if (!e) /* who has a session could be imitated by it */
        e = split_cookie_strip(&login->cookie, &x->request.fields, &x->arena);
    /* An eighth of the time that it may be idle is near enough to when it was used last. */
    if (e || (!is_new && (login_now() - (*ret_session)->used) * SECOND <= login->idle / 8))
        return e;
    struct login_session *given = arena_new(&x->arena, struct login_session);
    if (!given)
        return NO_MEMORY;
    *given = **ret_session;
    given->used = login_now();
    finding->note = given;
    return OK;
}

static enum status identify(
    const void *config, struct exchange *x, struct auth_finding *ret_finding)
{
    const struct login *login = config;
    struct login_session *session;
    enum status e = serve_own(login, x);
    if (e != NOT_FOUND) {
        ret_finding->has_answered = !e;
        return e;
    }
    e = find_session(login, x, ret_finding, &session);
    if (!e)
        x->claims = session->claims;
    return e;
}

static enum status leave(const void *config, struct exchange *x, void *note)
{
    enum status e = note ? login_session_give(config, x, note) : OK;
    return e == TOO_LARGE ? OK : e;
}

const struct auth_way login_way = {
    .name = "login",
    .options = &table,
    .scheme = "Login", /* RFC 9110 §15.5.2 asks for one; browsers know no such scheme */
    .prepare = prepare_login,
    .identify = identify,
    .invite = invite,
    .leave = leave,
};
