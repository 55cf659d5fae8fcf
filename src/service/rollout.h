/* Rollouts: what is said of a service's versions at run time, by operators and by the judge, over
 * what the file says. By the service's name, in its guard; so it is kept across reloads, and handed
 * to a successor with the other orders (order.h).
 *
 * The file's shares have a print. What was said is said of these: it ends with a configuration that
 * has others. All snapshots that still have memory follow a change, so that nobody who goes on with
 * an older one sees other shares. Of the control thread, but for what versions.h calls shared. */
#pragma once

#include "service/shift.h"
#include "service/versions.h"

#define ROLLOUT_WHY 104

struct rollout_version {
    char name[65];
    double share;   /* as operators say, while they say something */
    int64_t judged; /* wall clock: since when the judge keeps it out; 0: it is in */
    char why[ROLLOUT_WHY];
};

struct rollout {
    struct list versions;    /* struct versions, of all snapshots */
    struct versions *active; /* the one that is served; NULL: none is */
    uint64_t print;          /* of the file's shares; 0: there was no file yet */
    int64_t shifted;         /* wall clock: when operators said so; 0: the file's shares hold */
    char who[SHIFT_WHO + 1];
    size_t count;
    struct rollout_version items[VERSIONS_MAX];
};

/* The guard's, made if there is none, of what a predecessor has handed over. NULL: no memory. */
struct rollout *rollout_obtain(struct guard *guard);

/* New versions, which are not in use yet: their shares are what they will be. */
void rollout_join(struct versions *versions);
void rollout_leave(struct versions *versions);

/* The versions are what is served from now on. */
void rollout_adopt(struct versions *versions);

/* The judge's verdict: the version gets nothing any more, and its conditions bring it nobody. */
void rollout_condemn(struct versions *versions, size_t i, const char *why);

/* What is known of a version beyond the file; NULL: nothing. */
const struct rollout_version *rollout_find(const struct rollout *rollout, struct slice name);

/* For a successor, as lines of orders_save. */
void rollouts_save(const struct service_plane *plane, struct text *text);
