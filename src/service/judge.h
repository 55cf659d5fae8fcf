/* The judge: whether a new version of a service does worse than the old one, by more than a margin,
 * and not by chance. Free of I/O and of state: figures in, a verdict out.
 *
 * Errors. The difference of the two shares of failures has a lower bound (Newcombe's, of Wilson's
 * bounds for each share). When even that is above the margin, the new version is worse.
 *
 * Times. The old version's 99th percentile has an upper bound and the new one's a lower bound, both
 * by rank: how many of n answers are slower than the 99th percentile is binomial, whatever the
 * times are distributed like. When the lower bound of the new is above the upper one of the old and
 * the margin, it is slower.
 *
 * Who looks again and again sees chance do anything at some time. So the looks share one risk out,
 * 1/(k(k+1)) of it to the k-th, which is all of it for all looks together: a version that is as
 * good as the old one is taken out with a probability of at most JUDGE_RISK, however long it runs
 * and however often one looks. */
#pragma once

#include "base/histogram.h"
#include "base/text.h"
#include "service/judge_options.h"

#define JUDGE_RISK     0.001
#define JUDGE_HITS_MIN 10 /* failures, or slow answers, without which there is no verdict */

/* Of one version, within the window. */
struct judge_record {
    uint32_t all, failed;              /* requests */
    uint32_t times[HISTOGRAM_BUCKETS]; /* answers, by how long they took */
};

enum judge_verdict { JUDGE_NOTHING, JUDGE_ERRORS, JUDGE_TIMES };

/* True when it is time for a look: the window has enough of both, and a quarter of what it has of
 * the new version has come since the last look, or some at least and `is_late` (a while has
 * passed). */
bool judge_is_due(const struct judge_options *options, const struct judge_record *old,
    const struct judge_record *new, uint64_t since_last, bool is_late);

/* The k-th look, from 1. A verdict is put into words with its figures. `old_name` is for these. */
enum judge_verdict judge_look(const struct judge_options *options, const struct judge_record *old,
    const struct judge_record *new, uint64_t k, struct slice old_name, struct text *why);

/* The time, nanoseconds, that `share` of the answers do not exceed; 0: there are none. */
int64_t judge_quantile(const struct judge_record *record, double share);

/* --- for its tests */

/* The normal deviate that is exceeded with that probability, below 0.5. */
double judge_deviate(double risk);

/* Newcombe's lower bound of the second share less the first one. */
double judge_difference(const struct judge_record *old, const struct judge_record *new, double z);

/* The probability that at least, or at most, k of n happen, each with p; 1 for k on the likely
 * side.
 */
double judge_at_least(uint64_t k, uint64_t n, double p);
double judge_at_most(uint64_t k, uint64_t n, double p);

/* "errors", "p99". */
const char *judge_word(enum judge_verdict verdict);
