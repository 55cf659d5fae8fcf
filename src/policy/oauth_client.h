/* Being a client of an OAuth 2.0 authorization server (RFC 6749 §2.3.1): the gateway says who it is
 * to the endpoints that it asks for tokens and about tokens.
 *
 *     struct oauth_client client;                rows of an option table: OAUTH_CLIENT_OPTIONS
 *     e = oauth_client_prepare(prepare, &client);
 *     struct text form = oauth_form(&x->arena);
 *     oauth_form_add(&form, "token", token);
 *     e = oauth_ask(&client, &target, x, &form, timeout, &arena, &answer); */
#pragma once

#include "policy/inquiry.h"

enum oauth_client_method { OAUTH_CLIENT_BASIC, OAUTH_CLIENT_POST };

struct oauth_client {
    struct slice id, secret;
    int method;         /* enum oauth_client_method */
    struct slice basic; /* made by prepare: the value of Authorization */
};

extern const char *const oauth_client_methods[];

#define OAUTH_CLIENT_OPTIONS(type, member)                                                 \
    {"client", OPTION_TEXT, offsetof(type, member.id), .is_required = true,                \
        .help = "Who the gateway is there: its client id."},                               \
        {"secret", OPTION_TEXT, offsetof(type, member.secret), .is_required = true,        \
            .help = "Its secret, best from the environment: \"${CLIENT_SECRET}\"."},       \
    {                                                                                      \
        "client-auth", OPTION_CHOICE, offsetof(type, member.method),                       \
            .fallback = "basic", .choices = oauth_client_methods,                          \
            .help = "How it shows them: basic (client_secret_basic, in Authorization) or " \
                    "post (client_secret_post, in the body)."                              \
    }

enum status oauth_client_prepare(struct prepare *prepare, struct oauth_client *client);

/* Adds "name=value", encoded, to a form (a growing text). */
void oauth_form_add(struct text *form, const char *name, struct slice value);

/* Sends the form, with what says who the gateway is, and reads the answer, which should be JSON. As
 * inquiry_ask. */
enum status oauth_ask(const struct oauth_client *client, const struct inquiry_target *target,
    const struct exchange *x, struct text *form, int64_t timeout, struct arena *arena,
    struct inquiry_answer *ret_answer);
