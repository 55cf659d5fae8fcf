/* Where clients connect: the addresses of `listen:` and `admin:`. An address is a table, so that
 * what holds for it alone stands beside it; short, it is its text.
 *
 * To add an option of listeners: a member here, a row in listen_options.c. */
#pragma once

#include "config/option.h"
#include "gateway/proxy_listen.h"
#include "run/address.h"

/* What is spoken there. */
enum listen_kind { LISTEN_HTTP, LISTEN_TCP, LISTEN_UDP };

/* True when both want the same kind of socket: ports of TCP and of UDP are different things. */
static inline bool listen_is_alike(enum listen_kind a, enum listen_kind b)
{
    return (a == LISTEN_UDP) == (b == LISTEN_UDP);
}

/* HTTP Strict Transport Security (RFC 6797). */
struct hsts_options {
    int64_t max_age; /* nanoseconds */
    bool is_set;
    bool has_subdomains;
    bool is_preloaded;
};

struct listen_address {
    struct slice text; /* as written: the name in logs and metrics */
    struct address address;
    struct place place; /* of the text */
    enum listen_kind kind;
    bool is_tls;              /* a handshake comes first */
    bool is_private;          /* a unix path for its owner alone */
    bool proxy_protocol;      /* a PROXY header comes first */
    bool http2;               /* HTTP/2 without TLS is understood too */
    bool redirects;           /* of `http`: to HTTPS */
    int64_t redirect_port;    /* 0: that of the first of `https` */
    struct hsts_options hsts; /* of `https` */
    struct proxy_listen_options proxy;
};

struct listen_options {
    struct option_list http, https; /* of struct listen_address */
    struct option_map tcp;          /* of struct tcp_options, by address */
    struct option_map udp;          /* of struct udp_options, by address */
    struct listen_address *all;     /* those of all lists */
    size_t count;
};

extern const struct option_table listen_table;

/* One address of `admin:`, a struct listen_address. */
extern const struct option_table admin_address_table;
