/* `redis:` at the top of the file: the server that gateways share things through. */
#pragma once

#include "config/option.h"
#include "service/service_options.h"

/* How Sentinels are asked, where that is not as the master is. */
struct redis_sentinel_options {
    bool is_set;
    struct slice user, password;
    struct service_tls_options tls;
    bool is_clear; /* no TLS, whatever the master speaks */
    struct place place;
};

struct redis_options {
    bool is_set;
    struct slice at;
    struct option_list sentinels; /* of struct endpoint_place; none: `at` is it */
    struct option_list cluster;   /* the same: nodes of one, instead of `at` */
    struct slice master;          /* by which name they know it */
    struct redis_sentinel_options sentinel;
    struct slice user, password;
    int64_t database;
    struct service_tls_options tls;
    int64_t timeout;         /* nanoseconds that a request waits for an answer, at most */
    int64_t connect_timeout; /* of a connection: name, TCP, TLS, and the first words */
    int64_t pending;         /* commands of a worker that may be without an answer at a time */
    int64_t gateways;        /* that share the server; 0: they count each other */
    struct slice prefix;     /* of all keys */
    struct place place, at_place;

    /* Made by redis_options_check. */
    struct endpoint_place server;
    bool is_tls;
};

extern const struct option_table redis_table;

/* Takes "redis://user:password@host:6379/0" apart, "rediss://", "host:6379", "host", "unix:/path";
 * what it does not say stays as it is. INVALID with a static text that says what is wrong and holds
 * no secret; NO_MEMORY. */
enum status redis_options_parse(struct arena *arena, struct slice text,
    struct redis_options *options, const char **ret_problem);
