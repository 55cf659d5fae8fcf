/* The top of the configuration file: what a file may say besides services, policies and routes,
 * which bring their own tables. */
#pragma once

#include "config/option.h"
#include "gateway/http2_options.h"
#include "gateway/listen_options.h"
#include "gateway/tls_options.h"
#include "http/forwarded.h"
#include "http/h1.h"
#include "http/uri.h"
#include "service/source_options.h"
#include "store/postgres_options.h"
#include "store/redis_options.h"
#include "store/state_options.h"

struct http_options {
    int64_t head_timeout;    /* nanoseconds for a whole head once its first byte is here */
    int64_t body_timeout;    /* longest silence inside a body, either direction */
    int64_t keep_alive;      /* longest silence between requests */
    int64_t request_timeout; /* for a whole exchange; 0: none */
    int64_t line_max, head_max, fields_max, trailers_max; /* bounds of a request's head */
    int64_t requests_max;    /* requests a connection may carry; 0: any number */
    int64_t connections_max; /* open client connections; 0: any number */
    int encoded_slash;       /* enum encoded_slash */
    int forwarded;           /* enum forwarded_style */
    bool deadline;           /* X-Request-Deadline is read and written */
    bool via;                /* add Via */
    struct http2_options http2;
};

/* A stop, or the old process after an upgrade. */
struct drain_options {
    int64_t time;   /* nanoseconds that exchanges have to end */
    int64_t spread; /* over how long what has no end by itself is ended */
};

enum log_format { LOG_JSON, LOG_COMBINED };

struct log_options {
    struct slice to; /* a path, "stdout", "stderr" or "off" */
    int format;      /* enum log_format */
    int64_t buffer;  /* bytes of lines a worker may hold that are not written yet */
};

struct gateway_options {
    int64_t version;
    struct listen_options listen;
    struct tls_options tls;
    struct http_options http;
    struct log_options log;
    struct option_list
        admin; /* of struct listen_address: metrics and health; empty: the control socket alone */
    int64_t workers; /* 0: one for each processor */
    struct place workers_place;
    struct drain_options drain;
    struct network_list
        trusted; /* proxies whose Forwarded, X-Forwarded-* and X-Request-Id are believed */
    struct option_list hosts;   /* of struct slice */
    struct option_list use;     /* of struct policy_reference */
    bool denies_by_default;     /* routes that do not say whom they let in let nobody in */
    struct option_map services; /* of the services' own options */
    struct slice zone;          /* where this gateway stands: "a", "eu-west/a"; empty: not said */
    struct discovery_defaults discovery;
    struct redis_options redis;
    struct postgres_options postgres;
    struct state_options state;
    struct option_list routes;   /* of struct route_options */
    struct option_list tests;    /* of struct proof_options */
    struct option_list policies; /* of struct named_policy: those under their plurals */
};

/* `use: [limits.login]`. */
struct policy_reference {
    struct slice name; /* "limits.login" */
    struct place place;
};

/* A policy with a name of its own, or one written on a route. */
struct named_policy {
    const struct policy_type *type;
    struct slice name; /* "limits.login"; empty on a route */
    struct place place;
    void *config;
};

/* One route: "GET /users/{id}": what it does. */
struct route_options {
    struct slice name; /* the key as written, in one space: "GET /users/{id}" */
    struct place place;
    enum http_method methods[METHOD_COUNT];
    unsigned method_count;
    struct slice other_method;
    struct slice path;
    bool is_grpc;             /* written as "grpc shop.Orders/Get" */
    struct option_list hosts; /* of struct slice; its own, or the file's */
    bool has_hosts;
    struct expression *when;
    unsigned condition_weight;
    int64_t priority;
    int64_t timeout; /* whole exchange, nanoseconds; 0: the file's */
    struct option_list use;
    bool has_use;
    const struct handler_type *handler;
    struct place handler_place;
    void *handler_config;
    struct option_list policies; /* of struct named_policy, written on the route */
};

extern const struct option_table gateway_table;
extern const struct option_table http_table;
extern const struct option_table route_table;

/* The `routes:` map; a key may hold several routes that conditions tell apart: then its value is a
 * list. */
enum status routes_read(struct reader *reader, const struct node *node, void *ret_list);

/* Reads one policy's options; NULL when there were complaints: its name is known, but nothing may
 * be made of it. */
enum status policy_config_read(struct reader *reader, const struct policy_type *type,
    const struct node *node, struct slice subject, void **ret_config);

/* Appends to a list of named policies; NO_MEMORY. */
enum status named_policies_add(
    struct reader *reader, struct option_list *list, const struct named_policy *policy);

/* A list item for `use`. */
extern const struct option policy_reference_option;

/* A host of `hosts:`. */
extern const struct option host_option;
