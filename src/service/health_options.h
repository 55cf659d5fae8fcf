/* What a service may say about knowing who is well: `health` (active checks), `agent` (asking
 * endpoints how loaded they are) and `outlier` (taking out who fails). Part of the snapshot. */
#pragma once

#include "config/option.h"

struct pattern;

enum health_method {
    HEALTH_GET,
    HEALTH_HEAD,
    HEALTH_GRPC,
    HEALTH_TCP,
    HEALTH_UDP,
    HEALTH_TLS,
    HEALTH_COMMAND
};

/* True when no more is asked than whether somebody is there. */
static inline bool health_is_bare(int method)
{
    return method == HEALTH_TCP || method == HEALTH_UDP || method == HEALTH_TLS;
}

static inline bool health_is_http(int method)
{
    return method == HEALTH_GET || method == HEALTH_HEAD;
}

struct status_range {
    int64_t from, to;
};

/* What a text has to be like. */
struct expectation {
    struct slice text;             /* what has to be in it, or be it */
    const struct pattern *pattern; /* instead: what has to match somewhere; or NULL */
};

struct health_options {
    bool is_set;
    int method; /* enum health_method */
    struct slice path;
    struct option_list arguments; /* of struct slice: of a command */
    int64_t every, timeout;       /* nanoseconds */
    int64_t failing;              /* nanoseconds: `every` while the verdict is in doubt */
    int64_t idle;                 /* nanoseconds: `every` without traffic */
    double jitter;
    int64_t rise, fall;        /* answers in a row that change the verdict */
    struct option_list expect; /* of struct status_range */
    bool has_body;             /* something is expected of it */
    struct expectation body;   /* in it */
    struct option_map headers; /* name to struct expectation: what has to be its value */
};

enum agent_method { AGENT_TCP, AGENT_GET };

/* What clients are told when every endpoint is overloaded. */
struct overload_options {
    int64_t status;
    int64_t retry_after; /* nanoseconds; 0: nothing is said */
    struct slice body;   /* empty: a problem document */
};

struct agent_options {
    bool is_set;
    int method; /* enum agent_method */
    struct slice path;
    int64_t port;                     /* 0: the endpoint's own */
    int64_t every, timeout, expires;  /* nanoseconds */
    struct overload_options overload; /* all overloaded */
};

struct outlier_options {
    int64_t failures;         /* in a row that eject; 0: never */
    int64_t gateway_failures; /* the same, of those that a gateway makes; 0: never */
    int64_t eject;            /* nanoseconds, for the first time */
    int64_t longest;          /* nanoseconds */
    double share;             /* of the endpoints that may be ejected at a time */
    int64_t every;            /* nanoseconds: the interval of the statistics below */
    int64_t hosts, requests;  /* endpoints with so many requests that make statistics */
    double deviation;         /* below the mean success rate, in standard deviations; 0: never */
    double failure_share;     /* of an endpoint's requests, that ejects it; 0: never */
    double latency;           /* times the median of all that ejects; 0: never */
    int64_t slower;           /* nanoseconds by which it must be slower besides */
};

/* Load reports in answers (reports.h). */
struct report_options {
    bool is_set, is_enabled;
    bool is_on;          /* both */
    bool weighs;         /* weights are taken from them */
    bool passes;         /* clients see them too */
    struct slice metric; /* that says the utilization; empty: the application's, or the processor's
                          */
    double penalty;      /* how much errors count */
    int64_t blackout, expires, update; /* nanoseconds */
    double overloaded;                 /* a utilization from which on it is; 0: it never is */
    int64_t rest;                      /* nanoseconds: until it is tried again */
};

extern const struct option_table health_table, agent_table, outlier_table, report_table;

/* What a phrase says beyond the options that it fills: to be read by the tables. */
struct health_phrase {
    struct slice expect, body; /* null: nothing */
};

/* Reads "GET /healthz every 5s"; INVALID with the problem and the part of the text where it is. */
enum status health_phrase_parse(struct slice text, struct health_options *ret_health,
    struct health_phrase *ret_more, const char **ret_problem, struct slice *ret_where);

/* Reads "tcp 9000 every 2s", "GET /load every 2s"; the same. */
enum status agent_phrase_parse(struct slice text, struct agent_options *ret_agent,
    const char **ret_problem, struct slice *ret_where);
