/* The question to an authorizer and what it says: of the way `forward` of auth (auth_forward.c).
 *
 * The question is the head of the client's request, without its body: the fields that it is to
 * see, and X-Forwarded-Method, -Proto, -Host, -Uri and -For, which a client's own never get in the
 * way of. */
#pragma once

#include "config/expression.h"
#include "policy/inquiry.h"

struct json_value;

struct verdict_options {
    struct inquiry_target target;
    int method;                  /* enum verdict_method */
    struct option_list headers;  /* of struct slice: fields of the request; none: all */
    struct option_map set;       /* of struct template *: fields of the question alone */
    struct option_list copy;     /* of struct slice: fields of the answer, for the service */
    struct option_map claims;    /* of struct slice: claim to field of the answer */
    bool has_claims_in_body;     /* it is a JSON object of claims */
    struct option_list answer;   /* of struct slice: fields of a refusal, for the client */
    struct option_list returned; /* of struct slice: of a good answer, for the client */
    int64_t timeout;
};

enum verdict_method { VERDICT_GET, VERDICT_HEAD, VERDICT_POST, VERDICT_REQUEST };

struct verdict {
    int status;
    struct fields fields;            /* of the answer, all of them */
    const struct json_value *claims; /* with a status of 2xx: an object */
    struct slice body;
};

static inline bool verdict_is_good(const struct verdict *verdict)
{
    return verdict->status >= 200 && verdict->status < 300;
}

/* Asks about x; all of the verdict lies in the arena. What inquiry_ask says; UPSTREAM_PROTOCOL: it
 * cannot be used, as all answers of 5xx. */
enum status verdict_ask(const struct verdict_options *options, struct exchange *x,
    const struct exchange *asker, struct arena *arena, struct verdict *ret_verdict);

/* Adds the fields of these names (a list of struct slice) to others, as often as they are there;
 * `skipped` is left out. NO_MEMORY. */
enum status verdict_copy_fields(const struct verdict *verdict, const struct option_list *names,
    enum field_id skipped, struct fields *to);
