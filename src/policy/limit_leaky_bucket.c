#include "policy/limit_bucket.h"
#include "policy/limit_cell.h"

/* A leaky bucket: what comes is held and let go at the rate, evenly, one after the other. Who would
 * have to wait for more than `burst` others is refused. Kept as when the last one in it goes. */

/* Of what may be owed: the one that goes now, and those that wait. */
static struct limit_rule deeper(const struct limit_rule *rule)
{
    struct limit_rule deep = *rule;
    if (__builtin_add_overflow(rule->size, rule->interval, &deep.size) || deep.size > INT64_MAX / 2)
        deep.size = INT64_MAX / 2;
    return deep;
}

static void take(const struct limit_rule *rule, int64_t *record, int64_t cost, int64_t now,
    struct limit_decision *ret_decision)
{
    struct limit_rule deep = deeper(rule);
    int64_t debt = limit_debt(record[0], now);
    int64_t price = limit_price(rule, cost);
    if (debt > deep.size - price) {
        *ret_decision = limit_bucket_refused(&deep, debt, price, now);
        return;
    }
    record[0] = now * LIMIT_TICKS + debt + price;
    *ret_decision = limit_bucket_allowed(&deep, debt + price, now);
    ret_decision->delay = cost ? debt / LIMIT_TICKS : 0;
}

const struct limit_algorithm limit_leaky_bucket = {
    .word = "leaky-bucket",
    .is_instant = true,
    .has_burst = true,
    .delays = true,
    .words = limit_bucket_words,
    .take = take,
    .settle = limit_bucket_settle,
    .expires = limit_bucket_expires,
    .quota = limit_bucket_quota,
    .script =
        {
            .lua = LIMIT_BUCKET_LUA(
                1) "local delay = cost > 0 and debt or 0\n"
                   "debt = debt + price\n"
                   "keep(debt)\n"
                   "local left = math.max(math.floor((size - debt + slack) / interval), 0)\n"
                   "return say(1, (left + 1) * interval - (size - debt), delay)\n",
            .arguments = LIMIT_ARGUMENTS,
            .results = LIMIT_RESULTS,
            .run = limit_cell_run,
        },
};
