/* Buckets as one 64-bit word, the *theoretical arrival time* of GCRA (the generic cell rate
 * algorithm): the instant, in ticks, at which the bucket will be at rest again. What passes moves
 * it on by one interval for each unit of its cost. How far it lies ahead of now is the *debt*. */
#pragma once

#include "policy/limit_algorithm.h"

static inline int64_t limit_debt(int64_t word, int64_t now)
{
    int64_t present = now * LIMIT_TICKS;
    return word > present ? word - present : 0;
}

/* What so much costs in ticks; never more than can be added to an instant. */
static inline int64_t limit_price(const struct limit_rule *rule, int64_t cost)
{
    int64_t price;
    return __builtin_mul_overflow(rule->interval, cost, &price) || price > INT64_MAX / 2
               ? INT64_MAX / 2
               : price;
}

/* What is said of a bucket with that debt. */
static inline struct limit_decision limit_bucket_allowed(
    const struct limit_rule *rule, int64_t debt, int64_t now)
{
    int64_t room = rule->size - debt;
    struct limit_decision decision = {.allowed = true, .at = now};
    decision.remaining = room / rule->interval;
    int64_t missing = (decision.remaining + 1) * rule->interval - room;
    decision.wait = (missing + LIMIT_TICKS - 1) / LIMIT_TICKS;
    return decision;
}

/* The same where `price` has no room. What never has any may come when the bucket is at rest, to be
 * told the same. */
struct limit_decision limit_bucket_refused(
    const struct limit_rule *rule, int64_t debt, int64_t price, int64_t now);

/* Hooks of struct limit_algorithm. */
size_t limit_bucket_words(const struct limit_rule *rule);
void limit_bucket_settle(
    const struct limit_rule *rule, int64_t *record, int64_t difference, int64_t at, int64_t now);
int64_t limit_bucket_expires(const struct limit_rule *rule, const int64_t *record);
struct limit_quota limit_bucket_quota(const struct limit_rule *rule);

/* How scripts of buckets begin, that let so many more come than the burst says: `debt` in
 * microseconds, without fault of rounding what is less than a microsecond. They end by calling
 * keep(debt). Settling is done here. */
#define LIMIT_BUCKET_LUA(more)                                                                 \
    LIMIT_LUA                                                                                  \
    "local interval = per / count\n"                                                           \
    "local size = interval * (burst + " #more ")\n"                                            \
    "local rest = tonumber(redis.call('GET', KEYS[1]) or now)\n"                               \
    "local debt = math.max(rest - now, 0)\n"                                                   \
    "local slack = math.min(1, interval / 2)\n"                                                \
    "local function keep(debt)\n"                                                              \
    "  local wait = math.min(math.ceil(debt / 1000) + 1, 4e15)\n"                              \
    "  redis.call('SET', KEYS[1], string.format('%.4f', now + debt), 'PX',\n"                  \
    "    string.format('%.0f', wait))\n"                                                       \
    "end\n"                                                                                    \
    "local function say(allowed, wait, delay)\n"                                               \
    "  local room = math.max((size - debt + slack) / interval, 0)\n"                           \
    "  return {allowed, math.floor(math.min(room, 9e15)),\n"                                   \
    "    math.max(math.ceil(math.min(wait * 1000, 9e18)), 1), math.ceil(delay * 1000), now}\n" \
    "end\n"                                                                                    \
    "if at ~= 0 then\n"                                                                        \
    "  debt = math.min(math.max(debt + cost * interval, 0), 2e15)\n"                           \
    "  keep(debt)\n"                                                                           \
    "  return say(1, 0, 0)\n"                                                                  \
    "end\n"                                                                                    \
    "local price = cost * interval\n"                                                          \
    "if debt + price > size + slack then\n"                                                    \
    "  return say(0, price > size and debt or debt + price - size, 0)\n"                       \
    "end\n"
