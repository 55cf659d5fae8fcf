/* Layer 4 in the gateway's configuration: its addresses among those that are listened on, and its
 * rules in the snapshot. */
#pragma once

#include "gateway/listen_options.h"
#include "l4/rules.h"

/* The rules of all layer 4 listeners of a snapshot. */
struct l4_rules {
    const struct tcp_rules **tcp;
    const struct udp_rules **udp;
    size_t tcp_count, udp_count;
};

/* Adds the addresses of layer 4 to those that are listened on. */
enum status l4_listen_join(struct reader *reader, struct listen_options *listen);

/* The first TCP listener that ends TLS, or NULL. */
const struct option_map_entry *l4_listen_with_tls(const struct listen_options *listen);

/* Complains through the reader; OK also then. NO_MEMORY. */
enum status l4_rules_prepare(const struct l4_prepare *prepare, const struct listen_options *listen,
    struct l4_rules *ret_rules);

/* NULL when the listener is not in the configuration any more. */
const struct tcp_rules *l4_rules_of_tcp(const struct l4_rules *rules, struct slice listener);
const struct udp_rules *l4_rules_of_udp(const struct l4_rules *rules, struct slice listener);
