/* The endpoints of a service at one moment, and the slates among which requests are balanced: all
 * of them, and each subset by label. Does not change; shared by all workers. */
#pragma once

#include "balance/slate.h"
#include "service/endpoint.h"

struct roster;

/* A slate, and where its state is in a worker's view. */
struct set_slate {
    struct slate *slate; /* owned */
    size_t state_offset;
};

struct endpoint_set {
    uint32_t users; /* views; of the control thread */
    uint32_t count;
    enum status trouble; /* with a name: why it was not resolved (UPSTREAM_DNS…), INCOMPLETE: not
                            yet; else OK */
    struct endpoint_entry **entries; /* owned, counted */
    struct endpoint **endpoints;     /* owned array, borrowed items */
    struct slate_member *members;    /* owned: by place, as the two above */
    struct set_slate *slates;        /* owned: the first of all endpoints */
    uint32_t slate_count;
    size_t state_size; /* of a view's state for all slates */
};

/* The endpoints as they are known now. On the control thread. */
enum status endpoint_set_build(struct roster *roster, struct endpoint_set **ret_set);
void endpoint_set_free(struct endpoint_set *set);

/* Readies a worker's state for all slates. */
void endpoint_set_begin(const struct endpoint_set *set, char *state, struct random *random);
