/* Being a client of an OAuth 2.0 authorization server (RFC 6749 §2.3, RFC 7523 §2.2): the gateway
 * says who it is to the endpoints that it asks for tokens and about tokens.
 *
 *     struct oauth_client client;                rows of an option table: OAUTH_CLIENT_OPTIONS
 *     e = oauth_client_prepare(prepare, &client);
 *     struct text form = oauth_form(&x->arena);
 *     oauth_form_add(&form, "token", token);
 *     e = oauth_ask(&client, &target, x, &form, timeout, &arena, &answer); */
#pragma once

#include "base/json.h"
#include "policy/oidc_issuer.h"

enum oauth_client_method {
    OAUTH_CLIENT_BASIC,
    OAUTH_CLIENT_POST,
    OAUTH_CLIENT_KEY,  /* private_key_jwt, by ES256 */
    OAUTH_CLIENT_NONE, /* a public client: it only has a name */
};

struct acme_key;

struct oauth_client {
    struct slice id, secret;
    int method;         /* enum oauth_client_method */
    struct slice basic; /* made by prepare: the value of Authorization */
    /* Of private_key_jwt; others leave them empty. */
    struct slice key_id;        /* "kid"; empty: not said */
    const struct acme_key *key; /* borrowed from the snapshot */
};

extern const char *const oauth_client_methods[];

#define OAUTH_CLIENT_OPTIONS(type, member)                                                    \
    {"client", OPTION_TEXT, offsetof(type, member.id), .is_required = true,                   \
        .help = "Who the gateway is there: its client id."},                                  \
        {"secret", OPTION_SECRET, offsetof(type, member.secret), .is_required = true,         \
            .help = "Its secret, best from the environment, \"${CLIENT_SECRET}\", or from a " \
                    "file, {file: client.secret}."},                                          \
    {                                                                                         \
        "client-auth", OPTION_CHOICE, offsetof(type, member.method),                          \
            .fallback = "basic", .choices = oauth_client_methods,                             \
            .help = "How it shows them: basic (client_secret_basic, in Authorization) or "    \
                    "post (client_secret_post, in the body)."                                 \
    }

enum status oauth_client_prepare(struct prepare *prepare, struct oauth_client *client);

/* Reads a private key of P-256 (PEM) for private_key_jwt, for as long as the snapshot. INVALID
 * after a complaint about the file, NO_MEMORY. */
enum status oauth_client_read_key(
    struct prepare *prepare, struct oauth_client *client, struct slice file, struct place place);

/* Adds "name=value", encoded, to a form (a growing text). */
void oauth_form_add(struct text *form, const char *name, struct slice value);

/* Adds what says who the gateway is, by a method that may be another than the client's usual one,
 * to the request's fields and form. `audience` is the URL of whom it is said to (RFC 7523 §3); only
 * a private key needs it. NO_MEMORY. */
enum status oauth_client_show(const struct oauth_client *client, enum oauth_client_method method,
    struct slice audience, struct fields *fields, struct text *form);

/* Sends the form, with what says who the gateway is, and reads the answer, which should be JSON. As
 * inquiry_ask. */
enum status oauth_ask(const struct oauth_client *client, const struct inquiry_target *target,
    const struct exchange *x, struct text *form, int64_t timeout, struct arena *arena,
    struct inquiry_answer *ret_answer);

/* The same at an endpoint that an issuer names. */
enum status oauth_ask_issuer(const struct oauth_client *client, const struct oidc_issuer *issuer,
    struct slice endpoint, const struct exchange *x, struct text *form, int64_t timeout,
    struct arena *arena, struct inquiry_answer *ret_answer);

/* The access token that a server has given (RFC 6749 §5.1), which stays as long as the answer.
 * False: there is none that could be shown as `Bearer` (RFC 6750 §2.1). */
bool oauth_access_token(const struct json_value *answer, struct slice *ret_token);
