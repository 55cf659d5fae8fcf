/* Ways to say who one is: what an `auth` can have under the way's name. One file a way, listed in
 * auth_ways.def.
 *
 *     auth: {shop: {jwt: {issuer: ...}, basic: users.htpasswd}}
 *
 * A way looks for its own credentials in a request. The first that finds some decides: what they
 * say becomes x->claims, or the request is refused. One that finds none says CREDENTIALS_MISSING,
 * and the next is asked.
 *
 * Several ways may look in the same place: a JWT and an opaque token both come behind Bearer. What
 * a way finds there and can tell to be another's (its form, or the issuer that it names) it calls
 * foreign; then the next ways are asked, and when none of them takes it, it is refused for the
 * reason that the first has given. What a way knows for its own and finds bad is refused there and
 * then, and never tried elsewhere: so nobody can choose by whom he is judged. */
#pragma once

#include "jose/jwt.h"
#include "policy/policy.h"

struct expression;

/* What all ways of one `auth` have in common. Borrowed from the snapshot. */
struct auth_terms {
    struct slice name; /* of the auth, for messages and metrics: "auth.shop" */
    struct jwt_words audiences;
    struct slice realm;
};

/* What comes of asking a way. */
struct auth_finding {
    bool was_known;    /* it was verified before and remembered */
    bool has_answered; /* with OK: x->response is the answer, nobody else is asked */
    bool is_foreign;   /* with an error: these may be another way's credentials */
    void *note;        /* of the way, for its `leave`; in the exchange's arena */
};

struct auth_way {
    const char *name; /* the option's */
    const struct option_table *options;

    /* What WWW-Authenticate asks for: "Bearer". NULL: there is no scheme to ask with. */
    const char *scheme;
    bool says_why;       /* the scheme has a parameter for what is wrong (RFC 6750 §3) */
    bool may_be_several; /* an `auth` may have a list of them, which tell their credentials apart */

    /* Once, on the control thread. Complains through the reader. Or NULL. */
    enum status (*prepare)(struct prepare *prepare, const struct auth_terms *terms, void *config);

    /* Takes out of every request, before any way is asked, what only this way may write there
     * (auth_strip). Or NULL. */
    void (*strip)(const void *config, struct fields *fields);

    /* Looks for credentials and sets x->claims: an object with at least "sub", as long as the
     * exchange. CREDENTIALS_MISSING: none of this way came; others: they are not good, or nobody
     * could tell. The finding is cleared before. */
    enum status (*identify)(
        const void *config, struct exchange *x, struct auth_finding *ret_finding);

    /* Who has shown nothing, by any way, is answered by this one (a login's page). NOT_FOUND: not
     * this one; others: it would be, but cannot. Or NULL. */
    enum status (*invite)(const void *config, struct exchange *x);

    /* The answer's head is there: adds to it what the client is to keep. Or NULL. */
    enum status (*leave)(const void *config, struct exchange *x, void *note);

    /* As a policy's (policy.h). Or NULL. */
    bool (*own_path)(
        const void *config, size_t i, enum http_method *ret_method, struct slice *ret_path);

    /* Of a way that asks somebody else, which no rehearsal does (AUTH_UNAVAILABLE): says whom. Or
     * NULL. */
    void (*explain)(const void *config, struct text *text);
};

/* All of auth_ways.def in order, ends with NULL. */
extern const struct auth_way *const auth_ways[];

/* What the request's Authorization says behind that scheme (RFC 9110 §11.4). Null data: there is
 * none of that scheme; TOKEN_MALFORMED: there are several fields. */
enum status auth_credentials(const struct exchange *x, struct slice scheme, struct slice *ret_rest);

/* A token: what the expression finds, or without one what stands behind "Bearer" (RFC 6750 §2.1).
 * CREDENTIALS_MISSING: there is none; TOKEN_MALFORMED. */
enum status auth_token(struct exchange *x, const struct expression *from, struct slice *ret_token);

/* Takes out a field, also under names that services may take for it: in another case, or with "_"
 * for "-". */
void auth_strip(struct fields *fields, struct slice name);
