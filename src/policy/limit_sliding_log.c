#include <string.h>

#include "policy/limit_cell.h"

/* A sliding log: it is remembered when each of the last `per` came, so what is said is exact at
 * every moment. It costs memory: an entry for each that may pass. */

/* A record: the entries in use lie one behind the other, oldest first, somewhere in the room there
 * is. They are moved to its beginning when as many before them have gone, so that few of them lie
 * in few lines of the cache; and, where they are many, when they reach its end, of which a quarter
 * is spare. So each is moved a few times at most. */
enum { FIRST, COUNT, USED, ENTRIES };

struct entry {
    int64_t time, cost;
};

#define ENTRY_WORDS (sizeof(struct entry) / sizeof(int64_t))

static int64_t room_for(const struct limit_rule *rule)
{
    return rule->count + rule->count / 4 + 1;
}

static size_t words(const struct limit_rule *rule)
{
    return ENTRIES + ENTRY_WORDS * (size_t)room_for(rule);
}

static struct entry *entries_of(int64_t *record)
{
    return (struct entry *)(void *)&record[ENTRIES];
}

static void forget_old(const struct limit_rule *rule, int64_t *record, int64_t now)
{
    const struct entry *entries = entries_of(record);
    while (record[COUNT] &&
           (entries[record[FIRST]].time <= now - rule->per || entries[record[FIRST]].cost == 0)) {
        record[USED] -= entries[record[FIRST]].cost;
        record[FIRST]++;
        record[COUNT]--;
    }
    if (record[COUNT] == 0)
        record[FIRST] = 0;
}

/* Where the next goes; the newest one, if there is no room for another. Times never go back. */
static struct entry *next_entry(const struct limit_rule *rule, int64_t *record, int64_t now)
{
    struct entry *entries = entries_of(record);
    struct entry *newest = record[COUNT] ? &entries[record[FIRST] + record[COUNT] - 1] : NULL;
    if (newest && (newest->time >= now || record[COUNT] >= room_for(rule))) {
        newest->time = newest->time > now ? newest->time : now;
        return newest;
    }
    if (record[FIRST] > record[COUNT] || record[FIRST] + record[COUNT] >= room_for(rule)) {
        memmove(entries, &entries[record[FIRST]], (size_t)record[COUNT] * sizeof *entries);
        record[FIRST] = 0;
    }
    struct entry *next = &entries[record[FIRST] + record[COUNT]++];
    *next = (struct entry){.time = now};
    return next;
}

static void add(const struct limit_rule *rule, int64_t *record, int64_t cost, int64_t now)
{
    struct entry *entry = next_entry(rule, record, now);
    if (cost > INT64_MAX - record[USED]) /* far beyond every rule already */
        cost = INT64_MAX - record[USED];
    record[USED] += cost;
    entry->cost += cost;
}

/* Nanoseconds until so much more may pass. */
static int64_t wait_for(const struct limit_rule *rule, int64_t *record, int64_t cost, int64_t now)
{
    const struct entry *entries = entries_of(record);
    int64_t used = record[USED], until = now + 1;
    if (cost > rule->count)
        cost = rule->count;
    for (int64_t i = 0; i < record[COUNT] && used > rule->count - cost; i++) {
        used -= entries[record[FIRST] + i].cost;
        if (__builtin_add_overflow(entries[record[FIRST] + i].time, rule->per, &until))
            until = INT64_MAX;
    }
    return until > now ? until - now : 1;
}

static void take(const struct limit_rule *rule, int64_t *record, int64_t cost, int64_t now,
    struct limit_decision *ret_decision)
{
    forget_old(rule, record, now);
    bool allowed = cost <= rule->count - record[USED];
    if (allowed && cost)
        add(rule, record, cost, now);
    int64_t room = rule->count - record[USED], remaining = room > 0 ? room : 0;
    *ret_decision = (struct limit_decision){.allowed = allowed,
        .remaining = remaining,
        .wait = wait_for(rule, record, allowed ? remaining + 1 : cost, now),
        .at = now};
}

/* The newest entry that is not later. */
static struct entry *find(int64_t *record, int64_t at)
{
    struct entry *entries = entries_of(record);
    for (int64_t i = record[FIRST] + record[COUNT] - 1; i >= record[FIRST]; i--)
        if (entries[i].time <= at)
            return &entries[i];
    return NULL;
}

/* What is given back is taken from its own entry, and from those before it if that had less. */
static void give_back(int64_t *record, int64_t amount, int64_t at)
{
    const struct entry *first = &entries_of(record)[record[FIRST]];
    for (struct entry *entry = find(record, at); entry && amount > 0; entry--) {
        int64_t part = entry->cost < amount ? entry->cost : amount;
        entry->cost -= part;
        record[USED] -= part;
        amount -= part;
        if (entry == first)
            break;
    }
    while (record[COUNT] && first[record[COUNT] - 1].cost == 0)
        record[COUNT]--;
}

static void settle(
    const struct limit_rule *rule, int64_t *record, int64_t difference, int64_t at, int64_t now)
{
    forget_old(rule, record, now);
    if (difference < 0)
        give_back(record, difference == INT64_MIN ? INT64_MAX : -difference, at);
    else if (difference > 0 && at > now - rule->per)
        add(rule, record, difference, now);
}

static int64_t expires(const struct limit_rule *rule, const int64_t *record)
{
    int64_t *words = (int64_t *)record, end;
    if (!record[COUNT])
        return 0;
    int64_t newest = entries_of(words)[record[FIRST] + record[COUNT] - 1].time;
    return __builtin_add_overflow(newest, rule->per, &end) ? INT64_MAX - 1 : end;
}

/* A sorted set of entries by their time, each a text "time:cost"; and one called "used", whose
 * score is how much all cost together, below 0 so that it is never taken for a time. */
const struct limit_algorithm limit_sliding_log = {
    .word = "sliding-log",
    .words = words,
    .take = take,
    .settle = settle,
    .expires = expires,
    .quota = limit_window_quota,
    .script =
        {
            .lua = LIMIT_LUA
            "local key, entries = KEYS[1], nil\n"
            "local used = -1 - tonumber(redis.call('ZSCORE', key, 'used') or -1)\n"
            "local function cost_of(entry)\n"
            "  return tonumber(string.match(entry, ':(%S+)$'))\n"
            "end\n"
            "local function put(time, cost)\n"
            "  for _, entry in ipairs(redis.call('ZRANGEBYSCORE', key, time, time)) do\n"
            "    cost = cost + cost_of(entry)\n"
            "    redis.call('ZREM', key, entry)\n"
            "  end\n"
            "  redis.call('ZADD', key, time, string.format('%.0f:%.0f', time, cost))\n"
            "end\n"
            "local old = redis.call('ZRANGEBYSCORE', key, 0, now - per)\n"
            "for _, entry in ipairs(old) do used = used - cost_of(entry) end\n"
            "if #old > 0 then redis.call('ZREMRANGEBYSCORE', key, 0, now - per) end\n"
            "local function wait(cost)\n"
            "  local rest, free, from = used, now + 1, 0\n"
            "  cost = math.min(cost, count)\n"
            "  while rest > count - cost do\n"
            "    local page = redis.call('ZRANGEBYSCORE', key, 0, '+inf', 'WITHSCORES',\n"
            "      'LIMIT', from, 16)\n"
            "    if #page == 0 then break end\n"
            "    for i = 1, #page, 2 do\n"
            "      if rest <= count - cost then break end\n"
            "      rest = rest - cost_of(page[i])\n"
            "      free = page[i + 1] + per\n"
            "    end\n"
            "    from = from + 16\n"
            "  end\n"
            "  return math.max(math.ceil((free - now) * 1000), 1)\n"
            "end\n"
            "local allowed = 1\n"
            "if at == 0 then\n"
            "  if cost > count - used then\n"
            "    allowed = 0\n"
            "  elseif cost > 0 then\n"
            "    put(now, cost)\n"
            "    used = used + cost\n"
            "  end\n"
            "elseif cost > 0 and at > now - per then\n"
            "  put(now, cost)\n"
            "  used = used + cost\n"
            "elseif cost < 0 then\n"
            "  local back = -cost\n"
            "  for _, entry in ipairs(redis.call('ZREVRANGEBYSCORE', key, at, 0,\n"
            "      'LIMIT', 0, 64)) do\n"
            "    if back <= 0 then break end\n"
            "    local had = cost_of(entry)\n"
            "    local part = math.min(back, had)\n"
            "    redis.call('ZREM', key, entry)\n"
            "    if had > part then\n"
            "      local time = tonumber(string.match(entry, '^(%S+):'))\n"
            "      redis.call('ZADD', key, time, string.format('%.0f:%.0f', time, had - part))\n"
            "    end\n"
            "    used, back = used - part, back - part\n"
            "  end\n"
            "end\n"
            "redis.call('ZADD', key, -1 - used, 'used')\n"
            "redis.call('PEXPIRE', key, string.format('%.0f',\n"
            "  math.min(math.ceil(per / 1000) + 1, 4e15)))\n"
            "local left = math.max(count - used, 0)\n"
            "return {allowed, left, wait(allowed == 1 and left + 1 or cost), 0, now}\n",
            .arguments = LIMIT_ARGUMENTS,
            .results = LIMIT_RESULTS,
            .run = limit_cell_run,
        },
};
