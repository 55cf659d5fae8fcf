/* Circuit breakers: whether a service, or one endpoint of it, is to be asked at all.
 *
 *     closed ── too many fail ──▶ open ── its time is over ──▶ half-open ── goes well ──▶ closed
 *                                  ▲                               │
 *                                  └──── it fails still: for twice as long, up to a cap ┘
 *
 * Half-open is a ramp: a part of the requests passes, which grows evenly to all of them; or, by
 * option, one single trial. What began before a breaker went half-open says nothing about how the
 * service does now and is not counted.
 *
 * Free of I/O: a clock and results in, decisions out. Shared by workers and kept across reloads:
 * relaxed atomics. The state and its instant are one word, so that who changes it is one, and he
 * alone tells. Counts around a change may be off by what was under way; a breaker can bear that. */
#pragma once

#include "base/random.h"
#include "base/text.h"
#include "service/breaker_options.h"
#include "service/window.h"

enum breaker_state { BREAKER_IS_CLOSED, BREAKER_IS_OPEN, BREAKER_IN_RAMP, BREAKER_IN_TRIAL };

struct breaker {
    _Atomic uint64_t word;   /* the state, and the instant of its end (open) or beginning */
    _Atomic uint32_t times;  /* it opened since it was last closed */
    _Atomic uint32_t in_row; /* failures */
    _Atomic uint32_t good;   /* answers since it is half-open */
    struct window failed;    /* of all results, those that failed */
    struct window slow;      /* of all answers, those that took longer than `above` */
};

/* What has changed, for who tells people; `to` is the new state. */
struct breaker_change {
    bool has_changed;
    enum breaker_state to;
    int64_t duration; /* of BREAKER_IS_OPEN: nanoseconds */
    char why[72];     /* of BREAKER_IS_OPEN */
};

/* One result. `began` is when the request began, `took` how long its answer let wait. */
struct breaker_result {
    instant began, now;
    int64_t took;
    bool is_failure;
};

/* True when a request may pass now. Else `*ret_wait`: nanoseconds until it is worth to ask again; 0
 * when that is at once. A change is told. */
bool breaker_admit_half(struct breaker *breaker, const struct breaker_options *options, instant now,
    struct random *random, int64_t *ret_wait, struct breaker_change *ret_change);
static inline bool breaker_admit(struct breaker *breaker, const struct breaker_options *options,
    instant now, struct random *random, int64_t *ret_wait, struct breaker_change *ret_change)
{
    ret_change->has_changed = false;
    return !atomic_load_explicit(&breaker->word, memory_order_relaxed) ||
           breaker_admit_half(breaker, options, now, random, ret_wait, ret_change);
}

/* The same for who lets a ramp to others (endpoints: the balancer's slow start is theirs): false
 * when it is open, or its trial is somebody else's. */
bool breaker_claim(struct breaker *breaker, const struct breaker_options *options, instant now);

/* How a request that had passed went. */
void breaker_report(struct breaker *breaker, const struct breaker_options *options,
    const struct breaker_result *result, struct breaker_change *ret_change);

/* Goes on where only time has to pass: from open to half-open, from a ramp's end to closed, from a
 * trial of which nothing is heard to the next. For who looks from time to time. */
void breaker_turn(struct breaker *breaker, const struct breaker_options *options, instant now,
    struct breaker_change *ret_change);

enum breaker_state breaker_state(const struct breaker *breaker);

/* Nanoseconds until it lets somebody pass again; 0 unless it is open. */
int64_t breaker_remaining(const struct breaker *breaker, instant now);

/* True while nobody may pass: it is open, or its trial is under way. */
bool breaker_is_out(const struct breaker *breaker);

/* When breaker_turn will have something to do; NEVER: not before a request does. */
instant breaker_due(const struct breaker *breaker, const struct breaker_options *options);

/* Closed, and nothing is known. */
void breaker_reset(struct breaker *breaker);

/* The part of the requests that passes: 0 to 1. */
double breaker_share(
    const struct breaker *breaker, const struct breaker_options *options, instant now);

/* "closed", "open", "half-open". */
const char *breaker_word(enum breaker_state state);
