#include "service/breaker.h"

#include <stdio.h>

#define RELAXED    memory_order_relaxed
#define STATE_MASK 3
#define RAMP_LEAST                                                                                 \
    0.1                 /* as much of the requests as at least passes, or a quiet service had none \
                         */
#define RAMP_FAILURES 3 /* in a row, while half-open */

/* --- the word */

static uint64_t word_of(enum breaker_state state, instant when)
{
    return ((uint64_t)when & ~(uint64_t)STATE_MASK) | state;
}

static enum breaker_state state_in(uint64_t word)
{
    return (enum breaker_state)(word & STATE_MASK);
}

static instant when_in(uint64_t word)
{
    return (instant)(word & ~(uint64_t)STATE_MASK);
}

static uint64_t look(const struct breaker *breaker)
{
    return atomic_load_explicit(&breaker->word, RELAXED);
}

/* True for the one who changes it. */
static bool change(struct breaker *breaker, uint64_t from, uint64_t to)
{
    return atomic_compare_exchange_strong_explicit(&breaker->word, &from, to, RELAXED, RELAXED);
}

static void forget(struct breaker *breaker)
{
    window_clear(&breaker->failed);
    window_clear(&breaker->slow);
    atomic_store_explicit(&breaker->in_row, 0, RELAXED);
    atomic_store_explicit(&breaker->good, 0, RELAXED);
}

/* --- changes */

static int64_t open_time(const struct breaker_options *options, uint32_t times)
{
    int64_t longest = options->longest > options->open ? options->longest : options->open;
    int64_t time = options->open;
    for (uint32_t i = 0; i < times && time < longest; i++)
        time = time > longest / 2 ? longest : time * 2;
    return time;
}

static void open_it(struct breaker *breaker, const struct breaker_options *options, uint64_t from,
    instant now, struct breaker_change *ret_change)
{
    int64_t time = open_time(options, atomic_load_explicit(&breaker->times, RELAXED));
    if (!change(breaker, from, word_of(BREAKER_IS_OPEN, now + time)))
        return;
    atomic_fetch_add_explicit(&breaker->times, 1, RELAXED);
    ret_change->has_changed = true;
    ret_change->to = BREAKER_IS_OPEN;
    ret_change->duration = time;
}

static void half_open(struct breaker *breaker, const struct breaker_options *options, uint64_t from,
    instant now, struct breaker_change *ret_change)
{
    enum breaker_state to =
        options->half_open == BREAKER_BY_TRIAL ? BREAKER_IN_TRIAL : BREAKER_IN_RAMP;
    if (!change(breaker, from, word_of(to, to == BREAKER_IN_TRIAL ? 0 : now)))
        return;
    forget(breaker);
    ret_change->has_changed = true;
}

static void close_it(struct breaker *breaker, uint64_t from, struct breaker_change *ret_change)
{
    if (!change(breaker, from, word_of(BREAKER_IS_CLOSED, 0)))
        return;
    atomic_store_explicit(&breaker->times, 0, RELAXED);
    forget(breaker);
    ret_change->has_changed = true;
    ret_change->to = BREAKER_IS_CLOSED;
}

/* --- time */

static double ramp_share(const struct breaker_options *options, uint64_t word, instant now)
{
    int64_t since = now - when_in(word);
    if (since >= options->ramp)
        return 1;
    double share = since > 0 ? (double)since / (double)options->ramp : 0;
    return share > RAMP_LEAST ? share : RAMP_LEAST;
}

/* A ramp that nobody went up says nothing: then it stays. */
static bool is_over_the_ramp(const struct breaker *breaker, const struct breaker_options *options,
    uint64_t word, instant now)
{
    return state_in(word) == BREAKER_IN_RAMP && now - when_in(word) >= options->ramp &&
           atomic_load_explicit(&breaker->good, RELAXED) > 0;
}

/* --- admission */

/* A trial is one request's; when nothing is heard of it for as long as the breaker was open at
 * first, another one's. */
static bool is_trial_free(uint64_t word, const struct breaker_options *options, instant now)
{
    return when_in(word) == 0 || now - when_in(word) >= options->open;
}

bool breaker_claim(struct breaker *breaker, const struct breaker_options *options, instant now)
{
    uint64_t word = look(breaker);
    if (state_in(word) == BREAKER_IS_OPEN)
        return false;
    return state_in(word) != BREAKER_IN_TRIAL ||
           (is_trial_free(word, options, now) &&
               change(breaker, word, word_of(BREAKER_IN_TRIAL, now)));
}

bool breaker_admit_half(struct breaker *breaker, const struct breaker_options *options, instant now,
    struct random *random, int64_t *ret_wait, struct breaker_change *ret_change)
{
    breaker_turn(breaker, options, now, ret_change);
    uint64_t word = look(breaker);
    double draw = (double)(random_next(random) >> 11) * 0x1p-53;
    *ret_wait = state_in(word) == BREAKER_IS_OPEN ? when_in(word) - now : 0;
    switch (state_in(word)) {
    case BREAKER_IS_CLOSED:
        return true;
    case BREAKER_IS_OPEN:
        return false;
    case BREAKER_IN_RAMP:
        return draw < ramp_share(options, word, now);
    case BREAKER_IN_TRIAL:
        return breaker_claim(breaker, options, now);
    }
    return true;
}

void breaker_turn(struct breaker *breaker, const struct breaker_options *options, instant now,
    struct breaker_change *ret_change)
{
    uint64_t word = look(breaker);
    ret_change->has_changed = false;
    if (state_in(word) == BREAKER_IS_OPEN && now >= when_in(word))
        half_open(breaker, options, word, now, ret_change);
    else if (state_in(word) == BREAKER_IN_TRIAL && when_in(word) &&
             is_trial_free(word, options, now))
        ret_change->has_changed = change(breaker, word, word_of(BREAKER_IN_TRIAL, 0));
    else if (is_over_the_ramp(breaker, options, word, now))
        close_it(breaker, word, ret_change);
    ret_change->to = breaker_state(breaker);
}

/* --- results */

static bool is_slow(const struct breaker_options *options, const struct breaker_result *result)
{
    return options->above && result->took > options->above;
}

static void count(struct breaker *breaker, const struct breaker_options *options,
    const struct breaker_result *result)
{
    window_add(&breaker->failed, options->window, result->now, result->is_failure);
    if (options->above)
        window_add(&breaker->slow, options->window, result->now, is_slow(options, result));
    if (result->is_failure)
        atomic_fetch_add_explicit(&breaker->in_row, 1, RELAXED);
    else if (atomic_load_explicit(&breaker->in_row, RELAXED))
        atomic_store_explicit(&breaker->in_row, 0, RELAXED);
}

static bool fails_too_often(const struct breaker *breaker, const struct breaker_options *options,
    instant now, struct breaker_change *ret_change)
{
    struct window_sum sum = window_sum(&breaker->failed, options->window, now);
    if (options->share <= 0 || sum.all < options->volume || window_share(sum) < options->share)
        return false;
    snprintf(
        ret_change->why, sizeof ret_change->why, "%u of %u requests failed", sum.hits, sum.all);
    return true;
}

static bool fails_in_a_row(const struct breaker *breaker, const struct breaker_options *options,
    bool is_half, struct breaker_change *ret_change)
{
    uint32_t in_row = atomic_load_explicit(&breaker->in_row, RELAXED);
    int64_t most = options->in_a_row;
    if (is_half && (most == 0 || most > RAMP_FAILURES))
        most = RAMP_FAILURES;
    if (most == 0 || in_row < most)
        return false;
    snprintf(ret_change->why, sizeof ret_change->why, "%u requests in a row failed", in_row);
    return true;
}

static bool is_slow_too_often(const struct breaker *breaker, const struct breaker_options *options,
    instant now, struct breaker_change *ret_change)
{
    struct window_sum sum = window_sum(&breaker->slow, options->window, now);
    double allowed =
        (1 - options->quantile) * sum.all + 1e-6; /* one of ten, as a double, is less */
    if (!options->above || sum.all < options->volume || sum.hits <= allowed)
        return false;
    snprintf(ret_change->why, sizeof ret_change->why, "%u of %u answers took more than %lld ms",
        sum.hits, sum.all, (long long)(options->above / MILLISECOND));
    return true;
}

static void judge_trial(struct breaker *breaker, const struct breaker_options *options,
    uint64_t word, const struct breaker_result *result, struct breaker_change *ret_change)
{
    if (when_in(word) == 0)
        return; /* it began before anybody tried */
    if (!result->is_failure && !is_slow(options, result)) {
        close_it(breaker, word, ret_change);
        return;
    }
    snprintf(ret_change->why, sizeof ret_change->why, "the trial failed");
    open_it(breaker, options, word, result->now, ret_change);
}

static void judge(struct breaker *breaker, const struct breaker_options *options, uint64_t word,
    const struct breaker_result *result, struct breaker_change *ret_change)
{
    bool is_half = state_in(word) == BREAKER_IN_RAMP;
    bool is_bad = result->is_failure || is_slow(options, result);
    count(breaker, options, result);
    if (is_half && !is_bad)
        atomic_fetch_add_explicit(&breaker->good, 1, RELAXED);
    if (!is_bad && is_over_the_ramp(breaker, options, word, result->now))
        close_it(breaker, word, ret_change);
    else if (is_bad && (fails_in_a_row(breaker, options, is_half, ret_change) ||
                           fails_too_often(breaker, options, result->now, ret_change) ||
                           is_slow_too_often(breaker, options, result->now, ret_change)))
        open_it(breaker, options, word, result->now, ret_change);
}

void breaker_report(struct breaker *breaker, const struct breaker_options *options,
    const struct breaker_result *result, struct breaker_change *ret_change)
{
    uint64_t word = look(breaker);
    ret_change->has_changed = false;
    switch (state_in(word)) {
    case BREAKER_IS_OPEN:
        return; /* it began before */
    case BREAKER_IN_RAMP:
        if (result->began < when_in(word))
            return;
        break;
    case BREAKER_IN_TRIAL:
        if (result->began >= when_in(word))
            judge_trial(breaker, options, word, result, ret_change);
        return;
    case BREAKER_IS_CLOSED:
        break;
    }
    judge(breaker, options, word, result, ret_change);
}

/* --- looking */

enum breaker_state breaker_state(const struct breaker *breaker)
{
    return state_in(look(breaker));
}

int64_t breaker_remaining(const struct breaker *breaker, instant now)
{
    uint64_t word = look(breaker);
    return state_in(word) == BREAKER_IS_OPEN && when_in(word) > now ? when_in(word) - now : 0;
}

bool breaker_is_out(const struct breaker *breaker)
{
    uint64_t word = look(breaker);
    return state_in(word) == BREAKER_IS_OPEN ||
           (state_in(word) == BREAKER_IN_TRIAL && when_in(word));
}

instant breaker_due(const struct breaker *breaker, const struct breaker_options *options)
{
    uint64_t word = look(breaker);
    switch (state_in(word)) {
    case BREAKER_IS_OPEN:
        return when_in(word);
    case BREAKER_IN_RAMP:
        return is_over_the_ramp(breaker, options, word, NEVER) ? when_in(word) + options->ramp
                                                               : NEVER;
    case BREAKER_IN_TRIAL:
        return when_in(word) ? when_in(word) + options->open : NEVER;
    case BREAKER_IS_CLOSED:
        break;
    }
    return NEVER;
}

void breaker_reset(struct breaker *breaker)
{
    if (!look(breaker))
        return;
    atomic_store_explicit(&breaker->word, 0, RELAXED);
    atomic_store_explicit(&breaker->times, 0, RELAXED);
    forget(breaker);
}

double breaker_share(
    const struct breaker *breaker, const struct breaker_options *options, instant now)
{
    uint64_t word = look(breaker);
    if (state_in(word) == BREAKER_IN_RAMP)
        return ramp_share(options, word, now);
    return state_in(word) == BREAKER_IS_CLOSED;
}

const char *breaker_word(enum breaker_state state)
{
    static const char *const words[] = {[BREAKER_IS_CLOSED] = "closed",
        [BREAKER_IS_OPEN] = "open",
        [BREAKER_IN_RAMP] = "half-open",
        [BREAKER_IN_TRIAL] = "half-open"};
    return words[state];
}
