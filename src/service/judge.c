#include "service/judge.h"

#include "base/clock.h"

#include <math.h>

#define QUANTILE 0.99
#define SLOW     (1 - QUANTILE)
#define TESTS    2 /* errors and times, which share the risk */

double judge_deviate(double risk)
{
    double low = 0, high = 40;
    for (int i = 0; i < 60; i++) {
        double middle = (low + high) / 2;
        if (erfc(middle / sqrt(2)) / 2 > risk)
            low = middle;
        else
            high = middle;
    }
    return high;
}

/* --- errors */

/* Wilson's bound: the lower one for a negative z. */
static double wilson(double hits, double n, double z)
{
    double p = hits / n, spread = z * sqrt(p * (1 - p) / n + z * z / (4 * n * n));
    return (p + z * z / (2 * n) + spread) / (1 + z * z / n);
}

static double failing(const struct judge_record *record)
{
    return record->all ? (double)record->failed / record->all : 0;
}

double judge_difference(const struct judge_record *old, const struct judge_record *new, double z)
{
    double p = failing(old), q = failing(new);
    double up = wilson(old->failed, old->all, z) - p, down = q - wilson(new->failed, new->all, -z);
    return q - p - sqrt(up * up + down * down);
}

static bool is_worse(const struct judge_options *options, const struct judge_record *old,
    const struct judge_record *new, double risk)
{
    return options->errors > 0 && new->failed >= JUDGE_HITS_MIN &&judge_difference(old, new,
                                                     judge_deviate(risk)) > options->errors;
}

/* --- times */

/* Of exactly k. */
static double probability(uint64_t k, uint64_t n, double p)
{
    int sign;
    double rest = (double)(n - k), ways = lgamma_r((double)n + 1, &sign) -
                                          lgamma_r((double)k + 1, &sign) -
                                          lgamma_r(rest + 1, &sign);
    return exp(ways + (double)k * log(p) + rest * log1p(-p));
}

double judge_at_least(uint64_t k, uint64_t n, double p)
{
    double sum = 0, term;
    if ((double)k <= (double)n * p || k > n)
        return k > n ? 0 : 1;
    term = probability(k, n, p);
    for (; k <= n && term > sum * 1e-12; k++) {
        sum += term;
        term *= (double)(n - k) / (double)(k + 1) * p / (1 - p);
    }
    return sum;
}

double judge_at_most(uint64_t k, uint64_t n, double p)
{
    double sum = 0, term;
    if ((double)k >= (double)n * p)
        return 1;
    term = probability(k, n, p);
    for (;; k--) {
        sum += term;
        term *= (double)k / (double)(n - k + 1) * (1 - p) / p;
        if (k == 0 || term < sum * 1e-12)
            return sum;
    }
}

static uint64_t answered(const struct judge_record *record)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        sum += record->times[i];
    return sum;
}

/* The duration that the 99th percentile hardly exceeds; 0: not enough is known. */
static int64_t highest_quantile(const struct judge_record *record, double risk)
{
    uint64_t n = answered(record), above = n;
    for (unsigned i = 0; i + 1 < HISTOGRAM_BUCKETS; i++) {
        above -= record->times[i];
        if (judge_at_most(above, n, SLOW) <= risk)
            return histogram_lowest(i + 1);
    }
    return 0;
}

static uint64_t count_above(const struct judge_record *record, int64_t duration)
{
    uint64_t sum = 0;
    for (unsigned i = histogram_bucket(duration) + 1; i < HISTOGRAM_BUCKETS; i++)
        sum += record->times[i];
    return sum;
}

/* What the new version's 99th percentile is above of; 0: it is not slower. */
static int64_t slower_than(const struct judge_options *options, const struct judge_record *old,
    const struct judge_record *new, double risk, int64_t *ret_old)
{
    if (options->p99 <= 0)
        return 0;
    int64_t most = highest_quantile(old, risk / 2);
    if (!most)
        return 0;
    int64_t limit = (int64_t)((double)most * (1 + options->p99));
    if (limit < most + options->least)
        limit = most + options->least;
    uint64_t slow = count_above(new, limit);
    if (slow < JUDGE_HITS_MIN || judge_at_least(slow, answered(new), SLOW) > risk / 2)
        return 0;
    *ret_old = most;
    return limit;
}

int64_t judge_quantile(const struct judge_record *record, double share)
{
    double rank = share * (double)answered(record), seen = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += record->times[i];
        if (record->times[i] && seen >= rank)
            return histogram_lowest(i);
    }
    return 0;
}

/* --- both */

bool judge_is_due(const struct judge_options *options, const struct judge_record *old,
    const struct judge_record *new, uint64_t since_last, bool is_late)
{
    if (old->all < options->volume || new->all < options->volume)
        return false;
    return since_last * 4 >= new->all || (is_late && since_last);
}

static double milliseconds(int64_t duration)
{
    return (double)duration / (double)MILLISECOND;
}

enum judge_verdict judge_look(const struct judge_options *options, const struct judge_record *old,
    const struct judge_record *new, uint64_t k, struct slice old_name, struct text *why)
{
    double risk = JUDGE_RISK / TESTS / ((double)k * ((double)k + 1));
    int64_t most = 0, limit;
    if (is_worse(options, old, new, risk)) {
        text_format(why, "errors %.3g%% of %u, %.*s %.3g%% of %u", failing(new) * 100, new->all,
            SLICE_ARG(old_name), failing(old) * 100, old->all);
        return JUDGE_ERRORS;
    }
    limit = slower_than(options, old, new, risk, &most);
    if (!limit)
        return JUDGE_NOTHING;
    text_format(why, "p99 above %.4g ms of %llu, %.*s at most %.4g ms of %llu", milliseconds(limit),
        (unsigned long long)answered(new), SLICE_ARG(old_name), milliseconds(most),
        (unsigned long long)answered(old));
    return JUDGE_TIMES;
}

const char *judge_word(enum judge_verdict verdict)
{
    return verdict == JUDGE_ERRORS ? "errors" : "p99";
}
