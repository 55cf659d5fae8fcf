#include "policy/limit_choice.h"

#include "policy/limit_records.h"

#define MEMORY_MAX ((size_t)1 << 30) /* of a table */
#define LOG_MAX    100000            /* entries of a key */

static bool has_rate_per(const struct limit *limit, int64_t per)
{
    for (size_t i = 0; i < limit->plans.count; i++)
        if (limit->plans.items[i].rate.per == per)
            return true;
    return false;
}

bool limit_is_quota(const struct limit *limit)
{
    return limit->algorithm == &limit_fixed_window &&
           (has_rate_per(limit, DAY) || has_rate_per(limit, RATE_MONTH));
}

static int64_t most_of(const struct limit *limit)
{
    int64_t most = 1;
    for (size_t i = 0; i < limit->plans.count; i++)
        if (limit->plans.items[i].rate.count > most)
            most = limit->plans.items[i].rate.count;
    return most;
}

size_t limit_words(const struct limit *limit)
{
    struct limit_rule rule = limit_rule_of(most_of(limit), 1, 1);
    return limit->algorithm->words(&rule);
}

static const struct limit_algorithm *algorithm_of(const struct limit *limit)
{
    if (limit->plans.is_concurrency)
        return &limit_concurrency;
    if (limit->has_algorithm)
        return limit_algorithms[limit->algorithm_index];
    bool is_quota = has_rate_per(limit, DAY) || has_rate_per(limit, RATE_MONTH);
    return is_quota && !limit->burst ? &limit_fixed_window : &limit_token_bucket;
}

static enum status check_memory(
    struct reader *reader, const struct node *node, const struct limit *limit)
{
    if (limit->algorithm == &limit_sliding_log && most_of(limit) > LOG_MAX)
        return diagnostics_error(reader->diagnostics, node->place,
            SLICE("sliding-window needs the same little memory for any rate"),
            "a sliding-log remembers each request, and at most 100000 of a key");
    if (limit->algorithm->is_instant ||
        limit_records_size((size_t)limit->keys, limit_words(limit)) <= MEMORY_MAX)
        return OK;
    return diagnostics_error(reader->diagnostics, node->place,
        SLICE("fewer \"keys\", a smaller rate, or \"algorithm: sliding-window\""),
        "this would take more than 1 GiB of memory");
}

static enum status check_concurrency(
    struct reader *reader, const struct node *node, const struct limit *limit)
{
    bool is_held = limit->plans.is_concurrency;
    const struct limit_algorithm *said =
        limit->has_algorithm ? limit_algorithms[limit->algorithm_index] : NULL;
    if (said && is_held != said->is_held)
        return diagnostics_error(reader->diagnostics, node->place,
            is_held ? SLICE("take \"algorithm\" out") : SLICE("write \"concurrency: 10\""),
            "a %s counts %s", said->word,
            is_held ? "a rate, not how many are under way" : "how many are under way, not a rate");
    if (limit->has_lease && !is_held)
        return diagnostics_error(reader->diagnostics, node->place, SLICE("take it out"),
            "a lease is for what is held: a rate has none");
    if (is_held && limit->cost && expression_phase_of(limit->cost) != PHASE_REQUEST)
        return diagnostics_error(reader->diagnostics, node->place,
            SLICE("a cost that the request tells, or none"),
            "what is held while a request is under way cannot depend on its answer");
    return OK;
}

enum status limit_choose(struct reader *reader, const struct node *node, struct limit *limit)
{
    limit->algorithm = algorithm_of(limit);
    enum status e = check_concurrency(reader, node, limit);
    if (e)
        return e;
    if (has_rate_per(limit, RATE_MONTH) && limit->algorithm != &limit_fixed_window)
        return diagnostics_error(reader->diagnostics, node->place,
            SLICE("\"algorithm: fixed-window\" without a burst, or a rate such as 1000/30d"),
            "months are not all alike: only a fixed-window counts by them");
    if (limit->burst && !limit->algorithm->has_burst)
        return diagnostics_error(reader->diagnostics, node->place,
            SLICE("leave it out, or use a token-bucket"), "a burst is a bucket's: a %s has none",
            limit->algorithm->word);
    if (limit->settle && !limit->algorithm->can_settle)
        return diagnostics_error(reader->diagnostics, node->place,
            SLICE("take \"settle\" out, or use a token-bucket, a fixed-window or a sliding-window"),
            "a %s keeps its promise at every moment: it cannot be settled now and then",
            limit->algorithm->word);
    if ((limit->has_hold || limit->has_held_max) && !limit->algorithm->delays)
        return diagnostics_error(reader->diagnostics, node->place,
            SLICE("for others there is \"over: delay 2s\""), "only a leaky-bucket holds requests");
    return check_memory(reader, node, limit);
}
