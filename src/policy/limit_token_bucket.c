#include "policy/limit_bucket.h"
#include "policy/limit_cell.h"

/* A token bucket: it holds `burst` tokens and is refilled at the rate. At once as many may come as
 * it holds, in the long run as many as the rate says. Kept as what is missing from it. */

static void take(const struct limit_rule *rule, int64_t *record, int64_t cost, int64_t now,
    struct limit_decision *ret_decision)
{
    int64_t debt = limit_debt(record[0], now);
    int64_t price = limit_price(rule, cost);
    if (debt > rule->size - price) {
        *ret_decision = limit_bucket_refused(rule, debt, price, now);
        return;
    }
    record[0] = now * LIMIT_TICKS + debt + price;
    *ret_decision = limit_bucket_allowed(rule, debt + price, now);
}

const struct limit_algorithm limit_token_bucket = {
    .word = "token-bucket",
    .is_instant = true,
    .has_burst = true,
    .can_settle = true,
    .words = limit_bucket_words,
    .take = take,
    .settle = limit_bucket_settle,
    .expires = limit_bucket_expires,
    .quota = limit_bucket_quota,
    .script =
        {
            .lua = LIMIT_BUCKET_LUA(
                0) "debt = debt + price\n"
                   "keep(debt)\n"
                   "local left = math.max(math.floor((size - debt + slack) / interval), 0)\n"
                   "return say(1, (left + 1) * interval - (size - debt), 0)\n",
            .arguments = LIMIT_ARGUMENTS,
            .results = LIMIT_RESULTS,
            .run = limit_cell_run,
        },
};
