/* Forward proxies in the gateway's configuration: the option of an HTTP listener, its policies, and
 * which of its requests it is for. */
#pragma once

#include "config/option.h"
#include "policy/policy.h"
#include "proxy/proxy.h"

struct gateway_options;
struct listener;
struct service_plane;
struct snapshot;

/* `forward-proxy` of a listener. */
struct proxy_listen_options {
    struct proxy_options proxy;
    struct option_list use; /* of struct policy_reference */
    bool has_use;
    bool is_set;
};

extern const struct option_table proxy_listen_table;

/* One listener's, ready to serve. */
struct proxied_listener {
    struct slice name;
    bool is_tls;
    struct handler chain;
};

struct proxied_listeners {
    struct proxied_listener *items;
    size_t count;
    struct proxy_own own; /* set by who opens the listeners */
};

/* Of all listeners of a configuration, whose named policies are prepared. Complains through the
 * reader; OK also then. NO_MEMORY. */
enum status proxy_listen_prepare(const struct prepare *prepare, struct service_plane *plane,
    const struct gateway_options *options, struct proxied_listeners *listeners);

/* Before a snapshot is published: what these listeners (ends with NULL) are bound to, and
 * operators' addresses. NO_MEMORY. */
enum status proxy_listen_note_own(struct snapshot *snapshot, struct listener *const *all);

/* True for a request that came in by such a listener and is not for the gateway's own routes.
 * Theirs are those whose target names no place (as "GET /path" does, and with HTTP/2 whatever has
 * the connection's own scheme), or a host that the routes name. */
bool proxy_listen_is_asked(const struct snapshot *snapshot, const struct exchange *x);

/* Answers such a request. */
enum status proxy_listen_serve(const struct snapshot *snapshot, struct exchange *x);
