/* Versions of a service: which one a request goes to. Each is a service of its own by the name
 * SERVICE.VERSION, with its own endpoints, health, metrics and pools; the service above them has
 * none of that and only chooses, before a call begins.
 *
 * Conditions come first, in the file's order; then the shares, by who the user is (split.h): the
 * value of an expression, the number in our cookie, or for who has neither a number drawn here,
 * which the cookie then keeps. */
#pragma once

#include "service/service_state.h"
#include "service/split.h"

struct json_writer;

struct version {
    struct slice name;             /* borrowed from the snapshot: "v2" */
    const struct service *service; /* "order.v2" */
    const struct version_options *options;
    uint32_t when_series, known_series, new_series, only_series;
    uint32_t share_series;  /* set by the control thread */
    _Atomic bool has_share; /* shared: some users are its own; as the next */
    _Atomic bool is_out;    /* shared: the judge has taken it out; its condition brings it nobody */
};

struct versions {
    const struct service *service; /* borrowed: the one above them */
    struct split split;            /* shared */
    struct rollout *rollout;       /* the guard's */
    struct list node;              /* in its list; of the control thread, as the next */
    uint64_t print;                /* of the file's shares */
    double shares[VERSIONS_MAX];   /* that are in use */
    uint64_t salt;                 /* so that users have different luck with different services */
    size_t count;
    struct version items[];
};

/* Why a version was chosen. */
enum version_reason {
    VERSION_ONLY,  /* it has all */
    VERSION_WHEN,  /* its condition holds */
    VERSION_KNOWN, /* the user is known */
    VERSION_NEW    /* the user was drawn */
};

struct version_choice {
    const struct version *version;
    enum version_reason reason;
    bool sets_cookie;
    uint64_t user;
};

/* Makes the versions that the service's options speak of, as services, and `service->versions`. On
 * the control thread. */
enum status versions_prepare(struct service_plane *plane, struct reader *reader,
    const struct discovery_defaults *defaults, struct service *service);

/* The shares are in use now: shows them in the metrics. On the control thread. */
void versions_show(const struct versions *versions);

/* True when what becomes of the request speaks for or against its version (trial.h). */
bool versions_is_evidence(const struct version_choice *choice);

/* Which version the request goes to. In a rehearsal, who is not known goes to the largest share. */
struct version_choice versions_choose(const struct versions *versions, struct exchange *x);

void versions_count(
    const struct versions *versions, const struct version_choice *choice, unsigned worker);

/* The version has answered: a user who was drawn is told the number. */
void versions_keep_user(
    const struct versions *versions, const struct version_choice *choice, struct exchange *x);

/* For protocols that nothing can be asked of: by the shares alone. On a worker. */
const struct service *versions_draw(const struct versions *versions, unsigned worker);

/* The part of the users that the version gets now. */
double versions_share(const struct versions *versions, size_t i);

/* For status and `weir explain`. */
void versions_describe(const struct versions *versions, struct json_writer *writer);
void versions_explain(const struct versions *versions, struct exchange *x, struct text *text);
