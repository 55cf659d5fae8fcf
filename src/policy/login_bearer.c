#include "policy/login.h"

/* A session's token, lent to the service as `Authorization: Bearer` (RFC 6750 §2.1), so that it can
 * ask others in the user's name. It is the gateway's word: what a browser says in its place goes.
 * It is for the service that the request is for, so whoever copies requests leaves it out.
 *
 * Tokens are renewed before they end (login_renew.c). One that has ended all the same is given to
 * nobody: where there can be no other, the session has ended with it. */

void login_bearer_strip(const struct login *login, struct fields *fields)
{
    if (login->bearer != LOGIN_BEARER_NONE)
        fields_remove_known(fields, FIELD_AUTHORIZATION);
}

static struct slice token_of(int bearer, struct slice access_token, struct slice id_token)
{
    return bearer == LOGIN_BEARER_ACCESS ? access_token : id_token;
}

const char *login_bearer_problem(const struct login *login, const struct login_tokens *tokens)
{
    if (login->bearer == LOGIN_BEARER_ACCESS && !tokens->access_token.size)
        return "it gives no access token that can be used";
    return NULL;
}

static int64_t end_of(const struct login *login, const struct login_session *session)
{
    return login->bearer == LOGIN_BEARER_ID ? json_number_of(session->claims, "exp")
                                            : session->fresh;
}

enum status login_bearer_lend(
    const struct login *login, struct exchange *x, const struct login_session *session)
{
    if (login->bearer == LOGIN_BEARER_NONE)
        return OK;
    struct slice token = token_of(login->bearer, session->access_token, session->id_token);
    int64_t end = end_of(login, session);
    if (!token.size) /* of before the option was set */
        return CREDENTIALS_MISSING;
    if (end && login_now() >= end) {
        bool may_be_renewed = session->refresh_token.size && login_now() >= session->due;
        x->facts.trouble = SLICE("the session's token has ended, and could not be renewed");
        return may_be_renewed ? LOGIN_UNAVAILABLE : CREDENTIALS_MISSING;
    }
    struct slice value = arena_join(&x->arena, (const struct slice[]){SLICE("Bearer "), token}, 2);
    if (!value.data)
        return NO_MEMORY;
    x->has_lent_token = true;
    return fields_set_known(&x->request.fields, FIELD_AUTHORIZATION, value);
}
