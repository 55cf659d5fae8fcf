/* What an OpenID provider says of itself (OpenID Connect Discovery 1.0 §3, RFC 8414 §2): a document
 * that lies at "<issuer>/.well-known/openid-configuration".
 *
 * It is believed as far as the issuer is: all that it names is asked by https, too. Plain http is
 * for providers on this machine only, and a provider elsewhere cannot send anybody to this machine
 * by it. */
#pragma once

#include "base/arena.h"
#include "base/status.h"

#define OIDC_DOCUMENT_MAX ((size_t)256 << 10) /* bytes */
#define OIDC_URL_MAX      2048
#define OIDC_WELL_KNOWN   "/.well-known/openid-configuration"

struct oidc_provider {
    struct slice issuer;
    struct slice keys; /* "jwks_uri" */
    /* Empty: it has none. */
    struct slice authorization_endpoint, token_endpoint, end_session_endpoint, userinfo_endpoint;
    bool names_issuer;        /* in answers of the authorization endpoint (RFC 9207 §3) */
    bool wants_posted_secret; /* of a client, in the form: it takes no Basic */
};

/* Reads the document of the provider that calls itself `issuer`, byte for byte. INVALID, with what
 * is wrong as a sentence without full stop; NO_MEMORY. What is read lies in the arena or in the
 * text. */
enum status oidc_provider_read(struct arena *arena, struct slice text, struct slice issuer,
    struct oidc_provider *ret_provider, const char **ret_why);

/* A copy in another arena; NO_MEMORY. */
enum status oidc_provider_copy(
    struct arena *arena, const struct oidc_provider *provider, struct oidc_provider *ret_copy);

/* Is it an https URL, or, `with_plain`, an http URL of this machine? NULL, or what is wrong with it
 * as the end of a sentence: "is not https". `arena` is for scratch. */
const char *oidc_url_problem(struct arena *arena, struct slice url, bool with_plain);

/* Is it http, which only providers on this machine may have? */
bool oidc_url_is_plain(struct slice url);
