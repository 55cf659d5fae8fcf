#include "policy/limit_algorithm.h"

#include "base/must.h"

const struct limit_algorithm *const limit_algorithms[] = {
#define LIMIT_ALGORITHM(name, word) &limit_##name,
#include "policy/limit_algorithms.def"
#undef LIMIT_ALGORITHM
    NULL,
};

const char *const limit_algorithm_words[] = {
#define LIMIT_ALGORITHM(name, word) word,
#include "policy/limit_algorithms.def"
#undef LIMIT_ALGORITHM
    NULL,
};

/* So that an instant, a whole bucket and one interval more can be added up. */
#define TICKS_MAX (INT64_MAX / 4)

struct limit_rule limit_rule_of(int64_t count, int64_t per, int64_t burst)
{
    must(count > 0 && per > 0 && burst > 0);
    struct limit_rule rule = {.count = count, .per = per, .burst = burst};
    __int128 interval = (__int128)per * LIMIT_TICKS / count;
    rule.interval = interval < 1 ? 1 : interval > TICKS_MAX ? TICKS_MAX : (int64_t)interval;
    if (__builtin_mul_overflow(rule.interval, burst, &rule.size) || rule.size > 2 * TICKS_MAX)
        rule.size = 2 * TICKS_MAX;
    return rule;
}

static int64_t part_of(int64_t whole, int64_t gateways)
{
    return whole / gateways + (whole % gateways != 0);
}

struct limit_rule limit_share_of(
    const struct limit_algorithm *algorithm, const struct limit_rule *rule, int64_t gateways)
{
    if (!algorithm->has_burst)
        return limit_rule_of(
            part_of(rule->count, gateways), rule->per, part_of(rule->burst, gateways));
    int64_t per;
    if (__builtin_mul_overflow(rule->per, gateways, &per))
        per = INT64_MAX;
    return limit_rule_of(rule->count, per, part_of(rule->burst, gateways));
}

struct limit_decision limit_unasked(
    const struct limit_algorithm *algorithm, const struct limit_rule *rule, int64_t cost)
{
    int64_t most = algorithm->has_burst ? rule->burst : rule->count;
    return (struct limit_decision){.allowed = true, .remaining = most > cost ? most - cost : 0};
}

void limit_look(const struct limit_algorithm *algorithm, const struct limit_rule *rule,
    int64_t *copy, int64_t cost, int64_t now, struct limit_decision *ret_decision)
{
    algorithm->take(rule, copy, 0, now, ret_decision);
    if (ret_decision->remaining < cost)
        algorithm->take(rule, copy, cost, now, ret_decision);
}
