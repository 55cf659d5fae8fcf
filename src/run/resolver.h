/* Names to addresses through c-ares, on the loop that owns the resolver (the control thread's),
 * without blocking it.
 *
 * The hosts file is asked first, then the servers of /etc/resolv.conf with its search domains. An
 * IP address is its own answer. Nothing is cached here: whoever asks keeps the answer for its TTL.
 */
#pragma once

#include "base/arena.h"
#include "run/address.h"
#include "run/fiber.h"

struct resolver;

struct resolved {
    struct address *addresses; /* owned by the caller's arena, in the server's order */
    size_t count;
    int64_t ttl; /* nanoseconds, the least of the records', at least RESOLVED_TTL_LEAST */
};

/* What the hosts file says has no TTL, and some servers say 0: both are good for so long. */
#define RESOLVED_TTL_LEAST SECOND

enum status resolver_new(struct resolver **ret_resolver);

/* Questions that are still open end with CANCELLED. */
void resolver_free(struct resolver *resolver);

/* Asks these servers instead of those of /etc/resolv.conf: "10.0.0.1,10.0.0.2:5353,[::1]:53".
 * INVALID, NO_MEMORY. No question may be open. */
enum status resolver_use_servers(struct resolver *resolver, struct slice servers);

/* The DNS message that answers a question of any type (33: SRV, RFC 2782), as it came. Statuses as
 * below. */
enum status resolver_query(struct resolver *resolver, struct slice name, int type,
    struct arena *arena, instant deadline, struct slice *ret_message);

/* A and AAAA of `name`, each with `port`. NOT_FOUND: the name has no address; TIMEOUT; CANCELLED;
 * IO_ERROR: no server answered; NO_MEMORY. */
enum status resolver_resolve(struct resolver *resolver, struct slice name, uint16_t port,
    struct arena *arena, instant deadline, struct resolved *ret_resolved);

/* Connects to a name, at the first of its addresses that takes it, or to an IP address, for which
 * the resolver may be NULL. Statuses as above, and of socket_connect; but for CANCELLED
 * `*ret_trouble` says in words what went wrong. What is resolved is kept in the arena. */
struct stream;
enum status resolver_connect(struct resolver *resolver, struct slice host, uint16_t port,
    struct arena *arena, instant deadline, struct stream **ret_stream, const char **ret_trouble);

/* What it says of a connection that was not made. */
const char *resolver_connect_trouble(enum status e);
