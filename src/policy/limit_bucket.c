#include "policy/limit_bucket.h"

/* Of a settled bucket: many years. */
#define DEBT_MAX (INT64_MAX / 2)

size_t limit_bucket_words(const struct limit_rule *rule)
{
    (void)rule;
    return 1;
}

static int64_t nanoseconds_up(int64_t ticks)
{
    return ticks / LIMIT_TICKS + (ticks % LIMIT_TICKS != 0);
}

struct limit_decision limit_bucket_refused(
    const struct limit_rule *rule, int64_t debt, int64_t price, int64_t now)
{
    int64_t room = rule->size - debt;
    int64_t missing = price > rule->size ? debt : price - room;
    return (struct limit_decision){.allowed = false,
        .remaining = room > 0 ? room / rule->interval : 0,
        .wait = missing > 0 ? nanoseconds_up(missing) : 1,
        .at = now};
}

void limit_bucket_settle(
    const struct limit_rule *rule, int64_t *record, int64_t difference, int64_t at, int64_t now)
{
    (void)at;
    int64_t debt = limit_debt(record[0], now);
    if (difference < 0) {
        int64_t back = limit_price(rule, difference > -INT64_MAX ? -difference : INT64_MAX);
        debt = debt > back ? debt - back : 0;
    } else {
        int64_t price = limit_price(rule, difference);
        debt = debt > DEBT_MAX - price ? DEBT_MAX : debt + price;
    }
    record[0] = now * LIMIT_TICKS + debt;
}

int64_t limit_bucket_expires(const struct limit_rule *rule, const int64_t *record)
{
    (void)rule;
    return nanoseconds_up(record[0]);
}

/* Of a bucket larger than its rate's count the quota is the whole bucket, and the window how long
 * it takes to fill, so that what remains never exceeds it. */
struct limit_quota limit_bucket_quota(const struct limit_rule *rule)
{
    if (rule->burst <= rule->count)
        return limit_window_quota(rule);
    __int128 time = (__int128)rule->per * rule->burst / rule->count;
    return (struct limit_quota){
        .count = rule->burst, .window = time > INT64_MAX ? INT64_MAX : (int64_t)time};
}
