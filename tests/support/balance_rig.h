/* A rig for balancers: a slate of candidates whose loads the test sets as it likes, and one worker.
 *
 *     struct balance_rig *rig = balance_rig_new("least-requests", (uint32_t[]){1, 2, 1}, 3);
 *     rig->loads[1].in_flight = 7;
 *     uint32_t place = balance_rig_pick(rig);
 *     balance_rig_free(rig);
 *
 * What differs from the defaults is set in rig->options before balance_rig_build, which
 * balance_rig_new calls once. */
#pragma once

#include "balance/mix.h"
#include "balance/slate.h"
#include "support/unit.h"

struct balance_rig {
    uint32_t count;
    struct load *loads; /* owned */
    struct slate_member *members;
    struct slate_options options;
    _Atomic uint32_t change;
    struct slate *slate;
    void *state;
    struct random random;
    struct pick pick;
    uint64_t next_key; /* picks with a hash take one after the other */
};

/* `weights` NULL: 1 each. */
struct balance_rig *balance_rig_new(const char *type, const uint32_t *weights, uint32_t count);
void balance_rig_build(struct balance_rig *rig);
void balance_rig_free(struct balance_rig *rig);

/* A place or PICK_NONE; by a hash of the next key when the balancer needs one. */
uint32_t balance_rig_pick(struct balance_rig *rig);

/* Of that key. */
uint32_t balance_rig_pick_key(struct balance_rig *rig, uint64_t key);

/* How often each place was picked. */
void balance_rig_count(struct balance_rig *rig, uint64_t picks, uint64_t *counts);

/* Chi-square of counts against expected parts (any sum; a part of 0 must have no counts), divided
 * by its degrees of freedom: about 1 when it is chance alone. */
double balance_rig_chi(const uint64_t *counts, const double *parts, uint32_t count);

/* The most that chi-square by degrees of freedom comes to by chance, but once in 100,000. */
double balance_rig_chi_most(uint32_t degrees);
