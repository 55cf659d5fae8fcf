#include "http/uri.h"
#include "policy/login.h"

/* OpenID Connect login as a way to say who one is: a browser without a session is sent to log in,
 * and comes back with one (login.h). All that belongs to a login is under one path of the route:
 *
 *     /oauth2/login[/PROVIDER]?to=/path          begins
 *     /oauth2/callback[/PROVIDER]                where the provider sends the browser to
 *     /oauth2/logout                             ends
 *     /oauth2/backchannel-logout[/PROVIDER]      the provider says that it has ended */

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
    login->attributes_elsewhere =
        arena_format(arena, "; Path=/%.*s; HttpOnly; Secure; SameSite=None", SLICE_ARG(domain));
    login->cookie.attributes = login->attributes;
    return login->cookie.name.data && login->attributes.data && login->attributes_elsewhere.data &&
                   domain.data
               ? OK
               : NO_MEMORY;
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
    login->archive = store_best(&prepare->stores);
    make_series(prepare, login);
    enum status e = make_sealer(prepare, login, SLICE("weir login session"), &login->sessions);
    if (!e)
        e = make_sealer(prepare, login, SLICE("weir login attempt"), &login->attempts);
    if (!e)
        e = make_cookie(arena, login);
    if (!e)
        e = token_memories_new(arena, prepare->workers, &login->memories);
    if (!e)
        e = login_news_prepare(login, prepare);
    if (!e)
        e = prepare_providers(prepare, login);
    return e ? e : login_prepare_paths(arena, login);
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
    if (!e && !x->is_rehearsal)
        e = login_bearer_lend(login, x, *ret_session);
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
    enum status e = login_serve_own(login, x);
    if (e != NOT_FOUND) {
        ret_finding->has_answered = !e;
        return e;
    }
    login_bearer_strip(login, &x->request.fields); /* nobody before this way has asked for it */
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
    .options = &login_table,
    .scheme = "Login", /* RFC 9110 §15.5.2 asks for one; browsers know no such scheme */
    .prepare = prepare_login,
    .identify = identify,
    .invite = invite,
    .own_path = login_own_path,
    .leave = leave,
};
