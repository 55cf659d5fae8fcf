/* The rules of a layer 4 listener: its options made ready to serve, part of a snapshot. Where a
 * connection goes by what its client asks for, and the series that count it. */
#pragma once

#include "base/metrics.h"
#include "base/table.h"
#include "l4/client_hello.h"
#include "l4/facts.h"
#include "l4/options.h"
#include "run/tls.h"
#include "service/service.h"

/* A service as one listener's clients meet it. */
struct l4_target {
    const struct service *service; /* NULL: none, for what finds no way */
    struct slice service_name;
    uint32_t sessions, duration, received, sent; /* series */
    uint32_t spliced;                            /* TCP */
    uint32_t received_datagrams, sent_datagrams; /* UDP */
};

/* Where the clients of one server name go. */
struct l4_choice {
    struct slice protocol; /* empty: whatever the client offers */
    const struct l4_target *target;
};

struct l4_name {
    const struct l4_choice *choices; /* the one without protocol last */
    size_t count;
};

struct tcp_rules {
    struct slice listener;
    const struct tcp_options *options;
    const struct network_list *trusted;
    struct tls_server *const *tls;   /* one a worker; NULL: no TLS ends here */
    const struct l4_target *to;      /* NULL: by name */
    const struct l4_target *nowhere; /* for the account of those that have no service */
    struct table names;              /* of struct l4_name, by exact name */
    struct table wildcards;          /* by what follows "*." */
    const struct l4_name *otherwise; /* `else`, or NULL */
    uint32_t open_series;            /* connections now */
};

struct udp_rules {
    struct slice listener;
    const struct udp_options *options;
    const struct l4_target *to;
    uint32_t open_series;    /* sessions now */
    uint32_t dropped_series; /* datagrams that went nowhere */
};

/* What making them needs. All borrowed. */
struct l4_prepare {
    struct reader *reader;
    struct metrics *metrics;            /* NULL: nothing is counted */
    const struct network_list *trusted; /* who may send PROXY headers */
    struct tls_server *const *tls;      /* one a worker, for listeners that end TLS; or NULL */
    const struct service *(*find_service)(void *argument, struct slice name);
    struct slice (*similar_service)(void *argument, struct slice name); /* empty: none is */
    void *argument;
};

/* The target for a service that is named; `*ret_target` stays NULL when there is none of that name,
 * about which the reader is told. */
enum status l4_target_prepare(const struct l4_prepare *prepare, enum l4_transport transport,
    struct slice listener, const struct l4_service_name *to, const struct l4_target **ret_target);

/* Complains through the reader; OK also then. NO_MEMORY. */
enum status tcp_rules_prepare(const struct l4_prepare *prepare, struct slice listener,
    const struct tcp_options *options, const struct tcp_rules **ret_rules);

enum status udp_rules_prepare(const struct l4_prepare *prepare, struct slice listener,
    const struct udp_options *options, const struct udp_rules **ret_rules);

/* What holds for a server name in lower case (empty: the client names none), or NULL. */
const struct l4_name *tcp_rules_name(const struct tcp_rules *rules, struct slice name);

/* NULL: there is no way for such a client. */
const struct l4_target *tcp_rules_find(
    const struct tcp_rules *rules, const struct client_hello *hello);
