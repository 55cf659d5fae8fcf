/* What the configuration says of layer 4: the entries of `listen: {tcp: …, udp: …}`, each under the
 * address that it is for. */
#pragma once

#include "config/option.h"

/* The name of a service, where it is written. */
struct l4_service_name {
    struct slice name; /* empty: not written */
    struct place place;
};

/* The connections that offer a protocol (ALPN). */
struct l4_protocol_options {
    struct slice protocol; /* empty: all others */
    struct l4_service_name to;
};

/* What is written for one server name: a service, or one for each protocol. */
struct l4_name_options {
    struct l4_protocol_options *items;
    size_t count;
};

struct tcp_options {
    struct l4_service_name to;
    struct option_map sni;   /* of struct l4_name_options, by server name, "*.wildcard" or "else" */
    int64_t idle_timeout;    /* nanoseconds of silence both ways; 0: any */
    int64_t opening_timeout; /* for what has to come first */
    int64_t connections_max; /* of a worker; 0: any number */
    bool tls;                /* TLS ends here; the service gets what is in it */
    bool proxy_protocol;     /* connections begin with a PROXY header */
    struct place proxy_place;
    int send_proxy; /* enum proxy_version */
};

struct udp_options {
    struct l4_service_name to;
    int64_t idle_timeout; /* nanoseconds of silence that end a session */
    int64_t sessions_max; /* further ones take the place of who has been silent longest */
    int64_t replies;      /* that a datagram gets, after which a session ends; 0: any number */
    bool quic;            /* sessions go by connection ids too */
};

/* Of one entry, a struct tcp_options. */
extern const struct option_table tcp_table;

/* The same, a struct udp_options. */
extern const struct option_table udp_table;
