/* Targets of a forward proxy: where its clients may be taken, as a list of patterns.
 *
 *     api.example.com        that name             10.0.0.0/8      addresses, whatever name leads
 *     *.example.com          any name below it                     to them; also "private",
 *     *                      any name or address                   "loopback"; [fd00::/8]
 *
 * each with ports behind a colon, ":8443", ":8000-8999" or ":*"; without, the usual ones: 443 for
 * tunnels, 80 and 443 for requests.
 *
 * A name lets its clients through to public addresses alone (proxy/special.h), since whoever owns
 * the name says where it leads: others must be in a network of the list. */
#pragma once

#include "config/option.h"
#include "run/address.h"

/* One pattern is a struct proxy_pattern. */
extern const struct option proxy_target_option;

struct proxy_pattern {
    enum proxy_pattern_kind { PROXY_ANY, PROXY_NAME, PROXY_BELOW, PROXY_NETWORKS } kind;
    struct slice name; /* lower case; of PROXY_BELOW what follows "*." */
    struct network_list networks;
    uint16_t first_port, last_port; /* 0: the usual ones */
    struct slice text;              /* as it is written */
};

/* What a client asks for. */
struct proxy_target {
    struct slice host; /* lower case; an address without brackets */
    uint16_t port;
    bool is_tunnel; /* CONNECT */
};

enum proxy_leave {
    PROXY_NEVER,      /* wherever it leads */
    PROXY_BY_ADDRESS, /* to addresses that are in the list */
    PROXY_BY_NAME,    /* to those, and to public ones */
};

/* What the list (of struct proxy_pattern) says before the name is resolved. */
enum proxy_leave proxy_targets_look(
    const struct option_list *targets, const struct proxy_target *target);

/* True when the list's networks have that address. */
bool proxy_targets_have(const struct option_list *targets, const struct proxy_target *target,
    const struct address *address);

/* True when the list has just that address and port, and so means it. */
bool proxy_targets_mean(const struct option_list *targets, const struct address *address);
