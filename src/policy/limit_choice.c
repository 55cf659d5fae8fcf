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

enum status limit_choose(struct reader *reader, const struct node *node, struct limit *limit)
{
    limit->algorithm = algorithm_of(limit);
    if (has_rate_per(limit, RATE_MONTH) && limit->algorithm != &limit_fixed_window)
        return diagnostics_error(reader->diagnostics, node->place,
            SLICE("\"algorithm: fixed-window\" without a burst, or a rate such as 1000/30d"),
            "months are not all alike: only a fixed-window counts by them");
    if (limit->burst && !limit->algorithm->has_burst)
        return diagnostics_error(reader->diagnostics, node->place,
            SLICE("leave it out, or use a token-bucket"), "a burst is a bucket's: a %s has none",
            limit->algorithm->word);
    return check_memory(reader, node, limit);
}
