/* Trials: what becomes of the requests of each version, kept for the judge (judge.h), and the looks
 * that he takes at it.
 *
 * A worker writes into a shard of its own, which nobody else writes. The control thread reads them
 * from time to time, sorts what is new into the slots of a sliding window, and looks.
 *
 * What counts is the first try of each request that came by the version's share; by its condition
 * only if it has no share. Others are other people: testers who ask for it, and who may ask for
 * other things. Copies for mirrors and routes that name the version do not count either. */
#pragma once

#include "service/judge.h"
#include "service/outcome.h"

#define TRIAL_SLOTS 16
#define TRIAL_EVERY SECOND /* how often it is looked after */

struct rollout;
struct versions;

/* A worker's. */
struct trial_shard {
    _Alignas(64) _Atomic uint64_t all, failed;
    struct histogram times;
};

struct trial_slot {
    int64_t step; /* which part of the time it is */
    struct judge_record record;
};

/* Of a version, by its name, in its guard. */
struct trial {
    /* Of the control thread. */
    struct judge_record seen; /* of the shards, as they were when they were last read; it wraps */
    struct trial_slot slots[TRIAL_SLOTS];
    int64_t span;   /* for which the slots are */
    uint64_t since; /* requests since the last look */
    instant looked; /* when that was */
    uint64_t looks; /* since the trial began */
    bool is_over;   /* the judge has spoken; what is known goes when he is overruled */
    unsigned workers;
    struct trial_shard shards[];
};

/* The guard's, made if there is none. NULL: no memory. On the control thread. */
struct trial *trial_obtain(struct guard *guard);

/* One request more: how it went. On a worker. */
void trial_learn(struct trial *trial, const struct outcome *outcome, bool is_failure);

/* Looks after all trials; when to come again. On the control thread. */
instant trials_look(struct service_plane *plane, instant now);

/* What is known of it within the window. On the control thread. */
void trial_sum(const struct trial *trial, struct judge_record *ret_record);
