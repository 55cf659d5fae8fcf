/* Hosts of the router: from a request's host to the roots of the tries that may answer, the most
 * specific first.
 *
 * Hosts that the same rules name share one root, so that a file with many hosts and many routes
 * stays small. */
#pragma once

#include "route/router.h"

struct host {
    struct slice name;  /* lower case; of "*.example.com" what follows "*." */
    uint64_t signature; /* of the rules that name it, while building */
    uint32_t root;      /* in the trie */
    bool leads;         /* the first of those that share the root, while building */
};

struct host_set {
    struct host *items; /* owned */
    uint32_t *slots;    /* owned: 1 + number of the item; 0: free */
    uint32_t count, capacity, slot_count;
};

struct hosts {
    struct host_set exact, wildcards;
    uint32_t any_root; /* 0: there are no rules for any host */
};

void hosts_release(struct hosts *hosts);

enum host_kind { HOST_EXACT, HOST_WILDCARD, HOST_ANY };

/* What a pattern means: "*" any, "*.example.com" a wildcard; `ret_name` in the arena. INVALID for
 * anything that no request's host can be. */
enum status host_parse(
    struct arena *arena, struct slice text, enum host_kind *ret_kind, struct slice *ret_name);

/* The host of that name, new if it was not there; NULL without memory. Valid until the next is
 * added. */
struct host *host_set_add(struct host_set *set, struct slice name);

/* The root for a name, or 0. */
uint32_t host_set_find(const struct host_set *set, struct slice name);

/* Walks the roots for a request's host, best first; 0 after the last. `*state` begins as 0. */
uint32_t hosts_next_root(const struct hosts *hosts, struct slice host, size_t *state);
