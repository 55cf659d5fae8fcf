/* Names of endpoints, resolved again and again by their TTL on the control loop.
 *
 * A name with its port is resolved once for all services that use it, and outlives reloads. Whoever
 * watches it is told when its addresses change. While a name cannot be resolved its last addresses
 * stay good. All on the control thread. */
#pragma once

#include "service/plane.h"

struct name_entry;
struct roster;

struct name_watch {
    struct list node;        /* in the roster's list */
    struct list name_node;   /* in the name's list */
    struct name_entry *name; /* counted */
    struct roster *roster;   /* told by roster_update */
};

/* The roster watches a name from now on. */
enum status name_watch_add(struct roster *roster, struct slice name, uint16_t port);

/* All that a roster watches. */
void name_watch_remove_all(struct roster *roster);

/* Begins to resolve what the roster watches, as far as nobody has. When the service begins to be
 * used. */
void name_watch_start_all(struct roster *roster);

/* What is known of a name: its addresses, borrowed until the next change. The outcome of the newest
 * try: OK, UPSTREAM_DNS, UPSTREAM_DNS_TIMEOUT, INCOMPLETE before the first. */
enum status name_watch_look(const struct roster *roster, struct slice name, uint16_t port,
    const struct address **ret_addresses, size_t *ret_count);
