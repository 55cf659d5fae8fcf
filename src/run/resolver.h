/* Names to addresses through c-ares, on the loop that owns the resolver (the control thread's),
 * without blocking it. */
#pragma once

#include "base/arena.h"
#include "run/address.h"
#include "run/fiber.h"

struct resolver;

struct resolved {
    struct address *addresses; /* owned by the caller's arena */
    size_t count;
    int64_t ttl; /* nanoseconds, the least of the records' */
};

enum status resolver_new(struct resolver **ret_resolver);
void resolver_free(struct resolver *resolver);

/* A and AAAA of `name` (/etc/hosts included). NOT_FOUND: the name has no address; TIMEOUT;
 * CANCELLED; IO_ERROR: no server answered. */
enum status resolver_resolve(struct resolver *resolver, struct slice name, uint16_t port,
    struct arena *arena, instant deadline, struct resolved *ret_resolved);
