/* Logging browsers in at OpenID providers (OpenID Connect Core 1.0 §3.1, RFC 6749 §4.1, RFC 7636,
 * RFC 9700): what the parts of auth's way `login` share.
 *
 *     login_options.c    the options
 *     auth_login.c       the way: whose session a request has, who is sent to log in
 *     login_paths.c      what lies under the login's path, and where browsers are sent to
 *     login_bearer.c     a session's token, for the service
 *     login_attempt.c    sends a browser to the provider, and takes it back
 *     login_ask.c        asks what a provider names
 *     login_userinfo.c   what a provider says of a user besides
 *     login_tokens.c     asks the provider for tokens, and verifies its ID tokens
 *     login_session.c    sessions: sealed in the browser's cookie, remembered while they are used
 *     login_renew.c      refresh tokens
 *     login_ending.c     sessions that were ended before their time
 *     login_logout.c     logging out
 *     login_backchannel.c  the provider says who has logged out
 *     login_notes.c      what gateways agree about, in a store
 *     login_news.c       what they tell each other at once
 *     login_page.c       what people get to see
 *
 * The gateway keeps no sessions: a browser brings all there is in its cookie, and any gateway with
 * the same secret can read it. What gateways have to agree about lies in a store: who renews a
 * session, and which were ended; the latter best in one that outlives gateways. */
#pragma once

#include "http/split_cookie.h"
#include "jose/jws.h"
#include "jose/seal.h"
#include "policy/auth_way.h"
#include "policy/oidc_issuer.h"
#include "policy/oauth_client.h"
#include "policy/token_memory.h"

#define LOGIN_TEXT_MAX 2000 /* bytes of what a browser brings along to be brought back */

enum login_client_auth {
    LOGIN_CLIENT_AUTO, /* as the provider says; without a secret: as a public client */
    LOGIN_CLIENT_BASIC,
    LOGIN_CLIENT_POST,
    LOGIN_CLIENT_KEY,
    LOGIN_CLIENT_NONE
};

enum login_response_mode { LOGIN_BY_QUERY, LOGIN_BY_FORM };

enum login_signed_with { LOGIN_PROVIDER_KEYS, LOGIN_CLIENT_SECRET };

/* A provider, as the configuration has it. */
struct login_provider {
    /* Options. */
    struct slice issuer, title, ca, client_key;
    struct place issuer_place, ca_place, client_key_place, signed_place;
    struct oauth_client client;   /* its method: as made by login_client_method */
    int client_auth;              /* enum login_client_auth */
    int response_mode;            /* enum login_response_mode */
    int signed_with;              /* enum login_signed_with: ID tokens and logout tokens */
    bool userinfo;                /* is asked, too */
    struct option_list scopes;    /* of struct slice */
    struct option_map parameters; /* of struct slice */
    struct inquiry_target token;  /* without text: where the provider says */

    /* Made by login_provider_prepare. */
    struct slice name;        /* among several; empty: it is the only one */
    struct slice step;        /* behind the paths of a login: "/google", or empty */
    struct slice query;       /* what is asked of the authorization endpoint every time */
    struct jose_keys *secret; /* the client's secret, as a key; NULL: keys are the ring's */
    struct oidc_issuer remote;
};

enum login_outcome {
    LOGIN_BEGUN,
    LOGIN_COMPLETED,
    LOGIN_DENIED_BY_PROVIDER,
    LOGIN_STRAYED,
    LOGIN_BROKEN,
    LOGIN_UNANSWERED,
    LOGIN_RENEWED,
    LOGIN_NOT_RENEWED,
    LOGIN_ENDED_BY_PROVIDER,
    LOGIN_LOGGED_OUT,
    LOGIN_LOGGED_OUT_BY_PROVIDER,
    LOGIN_LOGOUT_REFUSED,
    LOGIN_OUTCOMES
};

enum login_if_unavailable { LOGIN_LOCAL, LOGIN_REFUSE };

enum login_bearer { LOGIN_BEARER_NONE, LOGIN_BEARER_ACCESS, LOGIN_BEARER_ID };

struct login {
    /* Options. */
    struct login_provider own;   /* the only one, unless there are `providers` */
    struct option_map providers; /* of struct login_provider */
    struct option_list secrets;  /* of struct slice */
    struct slice url, path, cookie_name, domain, after_logout;
    struct place url_place, path_place, cookie_place, secrets_place, after_logout_place;
    int64_t lifetime, idle, timeout; /* nanoseconds */
    int if_unavailable;              /* enum login_if_unavailable, of the store */
    int bearer;                      /* enum login_bearer: what services get */

    /* Made by prepare. */
    struct slice name;            /* of the auth */
    struct login_provider **used; /* in the file's order */
    size_t count;
    struct slice *callbacks; /* of each, and behind them those to log in and out */
    struct sealer *sessions, *attempts;
    struct split_cookie cookie;
    struct slice attributes;           /* of a cookie that lives and dies with a login */
    struct slice attributes_elsewhere; /* of one that comes with what another site posts */
    struct token_memory *memories;     /* one a worker */
    struct store *store, *memory; /* where gateways agree; this one's own. NULL in rehearsals */
    struct store *archive;        /* the one that lasts longest: for what has ended */
    struct login_news *news;      /* of other gateways; NULL: there are none */
    struct metrics_shard *const *shards;
    uint32_t series[LOGIN_OUTCOMES];
};

/* A browser's session, as it is in the cookie. */
struct login_session {
    struct slice provider;           /* its name */
    struct slice id;                 /* of this session alone */
    int64_t number;                  /* how often it was renewed */
    int64_t begun, used;             /* seconds since 1970 */
    int64_t due, fresh;              /* when its tokens are to be renewed, and until when they are
                                      * good; 0: never, and without end */
    struct slice id_token;           /* as it came */
    struct slice refresh_token;      /* empty: none */
    struct slice access_token;       /* empty: none, or nobody is to have it */
    struct slice userinfo;           /* what it says beyond the ID token, as JSON; empty: nothing */
    const struct json_value *claims; /* of the ID token and userinfo */
    /* Not in the cookie: */
    int64_t looked;       /* when it was last seen not to have been ended */
    struct slice ends[2]; /* the keys of the notes that would say so */
};

/* What the provider has given. */
struct login_tokens {
    struct slice id_token, refresh_token, access_token; /* empty: none */
    struct slice userinfo;                              /* a JSON object; empty: none */
    const struct json_value *claims; /* of the ID token, verified; NULL without one */
    int64_t due, fresh;              /* as in a session */
};

static inline int64_t login_now(void)
{
    return clock_wall() / SECOND;
}

/* Not in rehearsals. */
static inline void login_count(
    const struct login *login, const struct exchange *x, enum login_outcome outcome)
{
    metric_add(login->shards[x->worker], login->series[outcome], 1);
}

/* --- login_options.c */

extern const struct option_table login_table;

/* --- login_paths.c */

/* What browsers have to get to, as own_path of a way wants it. */
bool login_own_path(
    const void *config, size_t i, enum http_method *ret_method, struct slice *ret_path);

/* Makes the paths. NO_MEMORY. */
enum status login_prepare_paths(struct arena *arena, struct login *login);

/* Serves one of the login's own paths. NOT_FOUND: it is none of them. */
enum status login_serve_own(const struct login *login, struct exchange *x);

/* NULL when there is none of that name. */
const struct login_provider *login_provider_of(const struct login *login, struct slice name);

/* Where the browser sees the gateway: "https://shop.example". Null data without memory. */
struct slice login_origin(const struct login *login, struct exchange *x);

/* A path on this host that a browser may be sent to: anything else becomes "/". */
struct slice login_safe_path(struct slice path);

/* Sends the browser to a URL or path, and has nobody keep this answer. NO_MEMORY. */
enum status login_redirect(struct exchange *x, int status, struct slice location);

/* Answers with what is wrong, and why; nothing of that comes from outside. */
enum status login_problem(struct exchange *x, enum status reason, const char *detail);

/* --- login_provider.c */

extern const struct option_table login_provider_table;

/* Rows of a table for a provider that is `member` of a struct. */
#define LOGIN_PROVIDER_ROWS(type, member)                                                          \
    {"issuer", OPTION_TEXT, offsetof(type, member issuer),                                         \
        .place_offset = offsetof(type, member issuer_place),                                       \
        .help = "The provider, as it calls itself: https://id.shop.example. All else about it is " \
                "found by OpenID Connect Discovery."},                                             \
        {"client", OPTION_TEXT, offsetof(type, member client.id),                                  \
            .help = "The client id that the provider has given to this gateway."},                 \
        {"client-secret", OPTION_SECRET, offsetof(type, member client.secret),                     \
            .help = "The client's secret, best from the environment, \"${CLIENT_SECRET}\", or a "  \
                    "file, {file: client.secret}."},                                               \
        {"client-auth", OPTION_CHOICE, offsetof(type, member client_auth), .fallback = "auto",     \
            .choices = login_client_auth_words,                                                    \
            .help = "How the client shows that it is the client: basic or post (with its "         \
                    "secret), private-key (private_key_jwt with `client-key`), none (a public "    \
                    "client, which has PKCE alone). auto: with what it has, and of basic and "     \
                    "post with what the provider takes."},                                         \
        {"client-key", OPTION_TEXT, offsetof(type, member client_key),                             \
            .place_offset = offsetof(type, member client_key_place),                               \
            .help = "The file (PEM) of the private key for private_key_jwt, of P-256: it signs "   \
                    "by ES256."},                                                                  \
        {"client-key-id", OPTION_TEXT, offsetof(type, member client.key_id),                       \
            .help = "What the provider calls that key (`kid`), if it has several of the client."}, \
        {"signed-with", OPTION_CHOICE, offsetof(type, member signed_with),                         \
            .fallback = "provider-keys", .choices = login_signed_with_words,                       \
            .place_offset = offsetof(type, member signed_place),                                   \
            .help = "What the provider signs ID tokens with: provider-keys (which it "             \
                    "publishes), or client-secret (HS256, if it was told so for this client). A "  \
                    "token that is signed in the other way is not accepted."},                     \
        {"scopes", OPTION_LIST, offsetof(type, member scopes), .item = &login_text_item,           \
            .item_size = sizeof(struct slice),                                                     \
            .help = "What is asked for besides `openid`: [profile, email, offline_access]."},      \
        {"parameters", OPTION_MAP, offsetof(type, member parameters), .item = &login_text_item,    \
            .item_size = sizeof(struct slice),                                                     \
            .help = "What else the provider is asked: {prompt: select_account}."},                 \
        {"response-mode", OPTION_CHOICE, offsetof(type, member response_mode),                     \
            .fallback = "query", .choices = login_response_mode_words,                             \
            .help = "How the browser brings the provider's answer: in the URL, or in a form that " \
                    "it posts (form_post), so that no code gets into logs and histories."},        \
        {"userinfo", OPTION_FLAG, offsetof(type, member userinfo), .fallback = "false",            \
            .help = "Whether the provider's userinfo endpoint is asked at each login and "         \
                    "renewal: what it says beyond the ID token are claims, too."},                 \
        {"token", OPTION_TEXT, offsetof(type, member token.text),                                  \
            .place_offset = offsetof(type, member token.place),                                    \
            .help = "The token endpoint: a URL, or a service and a path (id/token). By default "   \
                    "what the provider says, wherever that is."},                                  \
        {"ca", OPTION_TEXT, offsetof(type, member ca),                                             \
            .place_offset = offsetof(type, member ca_place),                                       \
            .help = "The file (PEM) of the authorities that the certificates of the provider "     \
                    "may come from. By default the system's."},                                    \
    {                                                                                              \
        "title", OPTION_TEXT, offsetof(type, member title),                                        \
            .help = "How people call it, where they choose between several."                       \
    }

extern const char *const login_client_auth_words[], *const login_response_mode_words[],
                                                        *const login_signed_with_words[];
extern const struct option login_text_item;

/* Complains about what is missing. */
enum status login_provider_check(
    struct reader *reader, struct place place, const struct login_provider *provider);

/* On the control thread. INVALID after a complaint, NO_MEMORY. */
enum status login_provider_prepare(
    struct prepare *prepare, const struct login *login, struct login_provider *provider);

/* What the provider says of itself, in x's arena. LOGIN_UNAVAILABLE after a note of why in the log,
 * CANCELLED, NO_MEMORY. */
enum status login_discover(const struct login *login, const struct login_provider *provider,
    struct exchange *x, struct oidc_provider *ret_found);

/* --- login_ask.c */

/* Asks an endpoint that the provider names. As oidc_issuer_ask. */
enum status login_ask(const struct login *login, const struct login_provider *provider,
    struct slice url, struct exchange *x, struct inquiry *inquiry,
    struct inquiry_answer *ret_answer);

/* The form in a request's body, in the exchange's arena. TOKEN_MALFORMED: it is none; what reading
 * gives. */
enum status login_read_form(struct exchange *x, struct slice *ret_form);

/* --- login_tokens.c */

/* Asks the provider's token endpoint with a form, without the client's credentials. LOGIN_DENIED:
 * it does not give any (RFC 6749 §5.2: invalid_grant); LOGIN_FAILED: what it says cannot be used;
 * LOGIN_UNAVAILABLE; CANCELLED; NO_MEMORY. `why` is a sentence without full stop then. */
enum status login_ask_tokens(const struct login *login, const struct login_provider *provider,
    const struct oidc_provider *found, struct exchange *x, struct text *form,
    struct login_tokens *ret_tokens, const char **ret_why);

/* Is the token signed as those of this provider for this client are? As keyring_verify. */
enum status login_verify(const struct login *login, const struct login_provider *provider,
    struct exchange *x, const struct jws *jws);

/* --- login_userinfo.c */

/* Asks what else there is to know of the user that the tokens are of, and puts it among them.
 * LOGIN_DENIED: it is another user; LOGIN_FAILED, LOGIN_UNAVAILABLE, CANCELLED, NO_MEMORY; `why` as
 * above. */
enum status login_ask_userinfo(const struct login *login, const struct login_provider *provider,
    const struct oidc_provider *found, struct exchange *x, struct login_tokens *tokens,
    struct slice subject, const char **ret_why);

/* The claims with what userinfo said beyond them, in the arena. INVALID, NO_MEMORY. */
enum status login_add_userinfo(
    struct arena *arena, struct slice userinfo, const struct json_value **claims);

/* --- login_attempt.c */

/* Sends the browser to the provider; afterwards it is to come to the path `to`. */
enum status login_begin(const struct login *login, const struct login_provider *provider,
    struct exchange *x, struct slice to);

/* The browser comes back. */
enum status login_return(
    const struct login *login, const struct login_provider *provider, struct exchange *x);

/* --- login_session.c */

/* A new session of those tokens. */
void login_session_begin(const struct login_provider *provider, struct exchange *x,
    const struct login_tokens *tokens, struct login_session *ret_session);

/* As the cookie has it; in the arena. TOO_LARGE, NO_MEMORY, INTERNAL. */
enum status login_session_seal(const struct login *login, const struct login_session *session,
    struct arena *arena, struct slice *ret_text);

/* In the arena. INVALID: it is none, or not any more; NO_MEMORY, INTERNAL. */
enum status login_session_open(const struct login *login, struct arena *arena, struct slice text,
    struct login_session *ret_session);

/* When it ends if it is not used: seconds since 1970. */
int64_t login_session_end(const struct login *login, const struct login_session *session);

/* The session that the request brings; stays as long as the exchange. CREDENTIALS_MISSING: none;
 * NO_MEMORY. */
enum status login_session_find(const struct login *login, struct exchange *x, bool *ret_was_known,
    struct login_session **ret_session);

/* The same of a text that does not come from the browser. */
enum status login_session_take(const struct login *login, struct exchange *x, struct slice text,
    bool *ret_was_known, struct login_session **ret_session);

/* Has the browser keep it. TOO_LARGE, NO_MEMORY, INTERNAL. */
enum status login_session_give(
    const struct login *login, struct exchange *x, const struct login_session *session);

/* --- login_bearer.c */

/* Takes out what the client says in the place of a session's token. */
void login_bearer_strip(const struct login *login, struct fields *fields);

/* Gives the session's token to the service. CREDENTIALS_MISSING: its time is over, and there will
 * be no other; LOGIN_UNAVAILABLE: nobody could be asked for another; NO_MEMORY. */
enum status login_bearer_lend(
    const struct login *login, struct exchange *x, const struct login_session *session);

/* Why such tokens make no session here, as a sentence without full stop; NULL: they do. */
const char *login_bearer_problem(const struct login *login, const struct login_tokens *tokens);

/* --- login_logout.c */

/* The browser wants to log out. */
enum status login_logout(const struct login *login, struct exchange *x);

/* --- login_backchannel.c */

/* The provider wants somebody to be logged out. */
enum status login_hear_logout(
    const struct login *login, const struct login_provider *provider, struct exchange *x);

/* --- login_renew.c */

/* Renews a session that is due, or finds out how that went: *session is then the newer one, as long
 * as the exchange, and *ret_is_new. CREDENTIALS_MISSING: the provider has ended it;
 * STORE_UNAVAILABLE; CANCELLED; NO_MEMORY. */
enum status login_renew(const struct login *login, struct exchange *x,
    struct login_session **session, bool *ret_is_new);

/* --- login_ending.c */

/* Ends all sessions at that provider that began until now, of a `kind` ("sid" or "sub") and a name.
 * STORE_UNAVAILABLE: not all gateways know; CANCELLED; NO_MEMORY. */
enum status login_end(const struct login *login, const struct login_provider *provider,
    struct exchange *x, const char *kind, struct slice name);

/* Ends that one. */
enum status login_end_session(
    const struct login *login, struct exchange *x, const struct login_session *session);

/* Makes the keys by which it is looked for, in the arena. NO_MEMORY. */
enum status login_prepare_ends(
    const struct login *login, struct arena *arena, struct login_session *session);

/* CREDENTIALS_MISSING: it was ended. STORE_UNAVAILABLE, CANCELLED, NO_MEMORY. */
enum status login_check_ended(
    const struct login *login, struct exchange *x, struct login_session *session);

/* --- login_notes.c */

/* A key of bounded size for what has these names; null data without memory. */
struct slice login_note_key(const struct login *login, struct arena *arena, const char *kind,
    struct slice owner, struct slice name);

/* NOT_FOUND, STORE_UNAVAILABLE, CANCELLED, NO_MEMORY. The value is the exchange's. */
enum status login_note_read(const struct login *login, struct store *store, struct exchange *x,
    struct slice key, struct slice *ret_value);

/* For `ttl` nanoseconds, in this gateway's memory, too. STORE_UNAVAILABLE: it is there alone;
 * CANCELLED; NO_MEMORY. */
enum status login_note_write(const struct login *login, struct store *store, struct exchange *x,
    struct slice key, struct slice value, int64_t ttl);

/* If there is none yet. CONFLICT: there is *ret_there; STORE_UNAVAILABLE, CANCELLED, NO_MEMORY. */
enum status login_note_claim(const struct login *login, struct store *store, struct exchange *x,
    struct slice key, struct slice value, int64_t ttl, struct slice *ret_there);

/* --- login_news.c */

/* On the control thread: hears what other gateways say, as long as the snapshot. NO_MEMORY. */
enum status login_news_prepare(struct login *login, struct prepare *prepare);

/* Tells them of a note. Who does not hear it finds the note. */
void login_news_tell(
    const struct login *login, struct exchange *x, struct slice key, struct slice when);

/* What was not found in the store until that second may be there: seconds since 1970, or 0. */
int64_t login_news_begun(const struct login *login);

/* --- login_page.c */

/* A page to choose a provider on. NO_MEMORY. */
enum status login_page_choose(const struct login *login, struct exchange *x, struct slice to);

/* A page that says that all is over. NO_MEMORY. */
enum status login_page_left(const struct login *login, struct exchange *x);
