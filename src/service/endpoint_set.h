/* The endpoints of a service at one moment, and the slates among which requests are balanced: all
 * of them, and each subset by label. Does not change; shared by all workers. */
#pragma once

#include "balance/slate.h"
#include "service/endpoint.h"
#include "service/sticky.h"

struct roster;

/* A slate, and where its state is in a worker's view. */
struct set_slate {
    uint64_t subset;     /* which: subset_id of the label's value; 0: all endpoints */
    struct slate *slate; /* owned */
    size_t state_offset;
};

/* What is counted of each request that an endpoint is chosen for; METRIC_OVERFLOW: nothing. */
struct set_series {
    uint32_t zone, spilled;
};

/* Which place has an endpoint of that id. */
struct set_id {
    uint64_t id;
    uint32_t place;
};

struct endpoint_set {
    uint32_t users; /* views; of the control thread */
    uint32_t count;
    uint32_t limit;      /* requests in flight that each may have, as configured; 0: any number */
    enum status trouble; /* with a source: why it found nobody (UPSTREAM_DNS…), INCOMPLETE: not
                            yet; else OK */
    struct endpoint_entry **entries; /* owned, counted */
    struct endpoint **endpoints;     /* owned array, borrowed items */
    struct found **founds;           /* owned, counted: as which a source has found it, or NULL */
    struct slate_member *members;    /* owned: by place, as those above */
    float *weights;                  /* owned: by place, as configured; members have what counts */
    uint64_t *labels;                /* owned: the subset of each; 0: none */
    struct set_slate *slates;        /* owned: the first of all endpoints */
    uint32_t *begins; /* owned: the first place of each item under `at`, and behind the last */
    uint32_t slate_count;
    struct set_series *series; /* owned: by place; NULL: there are neither tiers nor zones */
    struct set_id *ids;        /* owned: in order of the ids */
    char (*cookies)[STICKY_COOKIE_SIZE]; /* owned: by place; NULL: nobody is sticky by cookie */
    size_t state_size;                   /* of a view's state for all slates */
};

/* The endpoints as they are known now. What an older set of the roster (NULL: there is none) has
 * and is still there is taken from it. On the control thread. */
enum status endpoint_set_build(
    struct roster *roster, const struct endpoint_set *old, struct endpoint_set **ret_set);

/* The same endpoints as in the other set, by their grades of now. */
enum status endpoint_set_regrade(
    struct roster *roster, const struct endpoint_set *old, struct endpoint_set **ret_set);

void endpoint_set_free(struct endpoint_set *set);

/* What a value of the label is known by; not 0. */
uint64_t subset_id(struct slice value);

/* The slate of a subset; 0: there is none. */
uint32_t endpoint_set_subset(const struct endpoint_set *set, uint64_t subset);

/* The place of the endpoint with that id, or PICK_NONE; by its upper half alone when `is_half`. */
uint32_t endpoint_set_find(const struct endpoint_set *set, uint64_t id, bool is_half);

/* Readies a worker's state for all slates. */
void endpoint_set_begin(const struct endpoint_set *set, char *state, struct random *random);
