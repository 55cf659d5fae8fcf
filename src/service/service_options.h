/* What one entry under `services:` says: the struct that service_table reads into. Part of the
 * snapshot; what changes while the gateway runs is elsewhere (endpoint.h). */
#pragma once

#include "balance/slate.h"
#include "config/expression.h"
#include "run/address.h"
#include "service/breaker_options.h"
#include "service/concurrency_options.h"
#include "service/fallback.h"
#include "service/health_options.h"
#include "service/hedge_options.h"
#include "service/mirror_options.h"
#include "service/release_options.h"
#include "service/retry_options.h"
#include "service/source_key.h"
#include "service/written.h"

struct discovery; /* service/discovery.h */

/* Where an endpoint is: an address, or a source that says so while the gateway runs. */
struct endpoint_place {
    struct slice text; /* "10.0.0.1:80", "[::1]:80", "unix:/run/x.sock", "user.internal:80",
                          "consul://user" */
    const struct discovery *source; /* NULL: `address` says it all */
    struct slice source_rest;       /* what stands behind "consul://" */
    struct slice name;              /* to be resolved, with `port`; empty: it is no name */
    uint16_t port;
    struct address address;
    bool is_tls;        /* https:// */
    bool is_clear;      /* http:// */
    bool is_h2c;        /* written as h2c://…: HTTP/2 without TLS */
    struct place place; /* in the file */
};

struct endpoint_options {
    struct endpoint_place at;
    int64_t weight, tier;
    bool is_backup;
    struct slice zone;          /* "a", "eu-west/a"; empty: none */
    struct option_map labels;   /* of struct slice */
    struct loose_options loose; /* of the source */
};

struct balance_options {
    int by;                 /* an index of balancer_types */
    struct expression *key; /* what to hash; NULL: the type needs none */
    int hash;               /* enum key_hash */
    int64_t seed;
    struct balance_settings settings; /* but for the slow start */
};

struct slow_start_options {
    bool is_set;  /* written: newcomers start slowly, too */
    int64_t time; /* nanoseconds; 0: none */
    double aggression;
};

struct zone_options {
    struct slice own; /* "a", "eu-west/a"; empty: not known */
    double share, least;
    int64_t at_least;
};

enum subset_else { SUBSET_ELSE_ANY, SUBSET_ELSE_NONE };

struct subset_options {
    bool is_set;
    struct slice label;
    struct expression *by;
    int otherwise; /* enum subset_else */
};

struct sticky_options {
    bool is_set;
    struct expression *by; /* the key of a session; NULL: a cookie of our own */
    struct slice cookie;   /* its name */
    struct slice secret;   /* it is signed with; empty: one drawn when the process begins */
    int64_t timeout;       /* nanoseconds; 0: of a cookie, as long as the browser runs */
    int64_t keys;
    struct expression *logout; /* a condition, or NULL */
    struct expression *learn;  /* of the answer: the key of a session that it begins; or NULL */
};

struct timeout_options { /* nanoseconds */
    int64_t connect, first_byte, idle;
    int64_t tls, attempt, total; /* 0: none of their own */
};

struct connection_options {
    int64_t max;          /* of an endpoint, all workers */
    int64_t idle;         /* kept for an endpoint by each worker */
    int64_t idle_timeout; /* nanoseconds */
    int64_t lifetime;     /* nanoseconds; 0: no end */
    int64_t requests;     /* that one may carry; 0: any number */
};

struct service_http2_options {
    bool is_enabled;
    int64_t streams;            /* requests that one connection carries at a time */
    int64_t window;             /* bytes of an answer that may wait to be read */
    int64_t ping, ping_timeout; /* nanoseconds; ping 0: never */
};

struct service_tls; /* service/service_tls.h */

struct service_tls_options {
    bool is_set; /* written */
    bool verify;
    struct slice ca, name;  /* empty: the system's; the endpoint's host */
    struct slice cert, key; /* what is shown when it is asked for; empty: nothing */
    struct place ca_place, cert_place, key_place;
    const struct slice *protocols; /* offered by ALPN, the best first */
    size_t protocol_count;
    struct service_tls *state; /* NULL: the service speaks no TLS */
};

struct service_options {
    struct option_list at; /* of struct endpoint_options */
    struct balance_options balance;
    struct sticky_options sticky;
    struct subset_options subset;
    struct slow_start_options slow_start;
    struct zone_options zone;
    double spill;
    struct timeout_options timeout;
    struct retry_options retry;
    struct hedge_options hedge;
    struct connection_options connections;
    struct health_options health;
    struct agent_options agent;
    struct report_options reports;
    struct outlier_options outlier;
    struct breaker_options breaker;
    struct concurrency_options concurrency;
    struct queue_options queue;
    struct admission_options shed;
    struct fallback_options fallback;
    double panic; /* when fewer of the endpoints are well, all are asked; 0: never */
    struct service_tls_options tls;
    struct service_http2_options http2;
    bool has_http2;    /* the file says something about it */
    bool speaks_http2; /* `http2`, or h2c:// */
    int send_proxy;    /* enum proxy_version */
    struct place proxy_place;
    struct loose_options loose; /* of its only source */
    struct release_options release;
    struct mirror_options mirror;
    struct slice host;      /* empty: what the client asked for; "endpoint"; or the value itself */
    struct written written; /* all of it, for people */
};

/* How long an endpoint that comes back takes to its whole share: a breaker's ramp is one too. */
static inline int64_t service_rise_time(const struct service_options *options)
{
    const struct breaker_options *breaker = &options->breaker;
    bool is_ramp = breaker->is_set && breaker->per == BREAKER_PER_ENDPOINT &&
                   breaker->half_open == BREAKER_BY_RAMP;
    return is_ramp && breaker->ramp > options->slow_start.time ? breaker->ramp
                                                               : options->slow_start.time;
}

/* How endpoints are chosen. */
static inline const struct balancer_type *service_balancer(const struct service_options *options)
{
    return balancer_types[options->balance.by];
}

/* Reads "host:port" and its kin, "https://host" too; INVALID, with a static text that says what is
 * wrong. Slices are those of `text`. */
enum status endpoint_place_parse(
    struct slice text, struct endpoint_place *ret_place, const char **ret_problem);
