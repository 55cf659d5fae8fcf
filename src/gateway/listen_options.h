/* Where clients connect: the addresses of `listen:` and `admin:`. An address is a table, so that
 * what holds for it alone stands beside it; short, it is its text.
 *
 * To add an option of listeners: a member here, a row in listen_options.c. */
#pragma once

#include "config/option.h"
#include "run/address.h"

/* What is spoken there. */
enum listen_kind { LISTEN_HTTP, LISTEN_TCP };

struct listen_address {
    struct slice text; /* as written: the name in logs and metrics */
    struct address address;
    struct place place; /* of the text */
    bool is_tls;        /* a handshake comes first */
    bool is_private;    /* a unix path for its owner alone */
    enum listen_kind kind;
};

struct listen_options {
    struct option_list http;    /* of struct listen_address */
    struct option_map tcp;      /* of struct tcp_options, by address */
    struct listen_address *all; /* those of all lists */
    size_t count;
};

extern const struct option_table listen_table;

/* One address of `admin:`, a struct listen_address. */
extern const struct option_table admin_address_table;
