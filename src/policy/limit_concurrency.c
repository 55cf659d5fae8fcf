#include <string.h>

#include "policy/limit_algorithm.h"

/* Concurrency: how many are under way at once. What is taken is given back when it is over, and no
 * time mends what is broken. A record is how much is taken, which a gateway that dies takes along.
 * In a store each who has taken something stands for himself, and only for so long as he says that
 * he is still there: the rest of what a gateway held that was killed comes back by itself. */

static size_t words(const struct limit_rule *rule)
{
    (void)rule;
    return 1;
}

static int64_t room_of(const struct limit_rule *rule, int64_t used)
{
    return rule->count > used ? rule->count - used : 0;
}

static void take(const struct limit_rule *rule, int64_t *record, int64_t cost, int64_t now,
    struct limit_decision *ret_decision)
{
    bool allowed = record[0] <= rule->count && cost <= rule->count - record[0];
    if (allowed)
        record[0] += cost;
    *ret_decision = (struct limit_decision){
        .allowed = allowed, .remaining = room_of(rule, record[0]), .at = now};
}

static void settle(
    const struct limit_rule *rule, int64_t *record, int64_t difference, int64_t at, int64_t now)
{
    (void)rule, (void)at, (void)now;
    if (__builtin_add_overflow(record[0], difference, &record[0]))
        record[0] = INT64_MAX;
    if (record[0] < 0)
        record[0] = 0;
}

static int64_t expires(const struct limit_rule *rule, const int64_t *record)
{
    (void)rule;
    return record[0] ? INT64_MAX : 0;
}

static struct limit_quota quota(const struct limit_rule *rule)
{
    return (struct limit_quota){.count = rule->count, .unit = "concurrent-requests"};
}

/* --- in a store: what a key holds is a list of these */

struct holder {
    int64_t who, until, cost;
};

/* Of what the key holds, those whose time has not come. The cell's `next` has room for one more. */
static bool unpack(struct store_cell *cell, size_t *ret_count)
{
    size_t there = cell->value.size % sizeof(struct holder) == 0 ? cell->value.size : 0, count = 0;
    if (!text_reserve(cell->next, there + sizeof(struct holder)))
        return false;
    struct holder *holders = (void *)cell->next->data;
    for (size_t at = 0; at < there; at += sizeof *holders) {
        memcpy(&holders[count], cell->value.data + at, sizeof *holders);
        count += holders[count].until > cell->now && holders[count].cost > 0;
    }
    *ret_count = count;
    return true;
}

static int64_t sum(const struct holder *holders, size_t count)
{
    int64_t used = 0;
    for (size_t i = 0; i < count; i++)
        if (__builtin_add_overflow(used, holders[i].cost, &used))
            used = INT64_MAX;
    return used;
}

static struct holder *find(struct holder *holders, size_t count, int64_t who)
{
    for (size_t i = 0; i < count; i++)
        if (holders[i].who == who)
            return &holders[i];
    return NULL;
}

/* Takes, or says that it is still there, or gives back. */
static bool change(struct store_cell *cell, const int64_t *arguments, size_t *count)
{
    struct holder *holders = (void *)cell->next->data;
    struct holder *own = find(holders, *count, arguments[LIMIT_AT]);
    struct holder wanted = {.who = arguments[LIMIT_AT], .cost = arguments[LIMIT_COST]};
    if (__builtin_add_overflow(cell->now, arguments[LIMIT_PER], &wanted.until))
        wanted.until = INT64_MAX;
    if (own && wanted.cost > 0) {
        own->until = wanted.until;
    } else if (own && wanted.cost < 0) {
        *own = holders[--*count];
    } else if (wanted.cost >= 0) {
        int64_t used = sum(holders, *count);
        bool fits = (*count + 1) * sizeof *holders <= STORE_VALUE_MAX;
        if (!fits || used > arguments[LIMIT_COUNT] || wanted.cost > arguments[LIMIT_COUNT] - used)
            return false;
        if (wanted.cost)
            holders[(*count)++] = wanted;
    }
    return true;
}

static void keep(struct store_cell *cell, size_t count)
{
    const struct holder *holders = (const void *)cell->next->data;
    cell->next->size = count * sizeof *holders;
    cell->ttl = -1;
    for (size_t i = 0; i < count; i++)
        if (holders[i].until - cell->now > cell->ttl)
            cell->ttl = holders[i].until - cell->now;
}

static void run(const struct store_script *script, struct store_cell *cell,
    const int64_t *arguments, int64_t *ret_results)
{
    (void)script;
    size_t count;
    if (!unpack(cell, &count))
        return; /* which the store notices */
    bool allowed = change(cell, arguments, &count);
    int64_t used = sum((const void *)cell->next->data, count);
    int64_t left = arguments[LIMIT_COUNT] > used ? arguments[LIMIT_COUNT] - used : 0;
    const int64_t results[LIMIT_RESULTS] = {[LIMIT_ALLOWED] = allowed, [LIMIT_REMAINING] = left};
    memcpy(ret_results, results, sizeof results);
    if (allowed)
        keep(cell, count);
}

/* A sorted set of holders by until when they are there, each a text "who:cost"; and one called
 * "used", whose score is how much all cost together, below 0 so that it is never taken for a time.
 */
const struct limit_algorithm limit_concurrency = {
    .word = "concurrency",
    .is_held = true,
    .words = words,
    .take = take,
    .settle = settle,
    .expires = expires,
    .quota = quota,
    .script =
        {
            .lua = LIMIT_LUA "local key = KEYS[1]\n"
                             "local used = -1 - tonumber(redis.call('ZSCORE', key, 'used') or -1)\n"
                             "local old = redis.call('ZRANGEBYSCORE', key, 0, now)\n"
                             "for _, entry in ipairs(old) do\n"
                             "  used = used - tonumber(string.match(entry, ':(%S+)$'))\n"
                             "end\n"
                             "if #old > 0 then redis.call('ZREMRANGEBYSCORE', key, 0, now) end\n"
                             "local own = string.format('%s:%.0f', ARGV[2], math.abs(cost))\n"
                             "local is_there = redis.call('ZSCORE', key, own)\n"
                             "local allowed = 1\n"
                             "if is_there and cost > 0 then\n"
                             "  redis.call('ZADD', key, now + per, own)\n"
                             "elseif is_there and cost < 0 then\n"
                             "  redis.call('ZREM', key, own)\n"
                             "  used = used + cost\n"
                             "elseif cost >= 0 then\n"
                             "  if cost > count - used then\n"
                             "    allowed = 0\n"
                             "  elseif cost > 0 then\n"
                             "    redis.call('ZADD', key, now + per, own)\n"
                             "    used = used + cost\n"
                             "  end\n"
                             "end\n"
                             "if used > 0 then\n"
                             "  redis.call('ZADD', key, -1 - used, 'used')\n"
                             "  redis.call('PEXPIRE', key, string.format('%.0f',\n"
                             "    math.max(redis.call('PTTL', key), math.ceil(per / 1000) + 1)))\n"
                             "else\n"
                             "  redis.call('DEL', key)\n"
                             "end\n"
                             "return {allowed, math.max(count - used, 0), 0, 0, 0}\n",
            .arguments = LIMIT_ARGUMENTS,
            .results = LIMIT_RESULTS,
            .run = run,
        },
};
