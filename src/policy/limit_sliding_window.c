#include "policy/limit_cell.h"

/* A sliding window, told from two counters: what came in this window counts whole, what came in the
 * one before by the part of it that the last `per` still covers, as if it had come evenly. Little
 * memory, no burst at the turn of windows, and near to what a log would say. */

enum { BEGIN, CURRENT, PREVIOUS, LENGTH, WORDS };

static size_t words(const struct limit_rule *rule)
{
    (void)rule;
    return WORDS;
}

static void turn(const struct limit_rule *rule, int64_t *record, int64_t now)
{
    int64_t begin = now - now % rule->per;
    bool is_set_back = record[BEGIN] - begin > rule->per;
    if (record[LENGTH] != rule->per || is_set_back) { /* another plan's, or nobody's */
        record[LENGTH] = rule->per;
        record[CURRENT] = record[PREVIOUS] = 0;
        record[BEGIN] = begin;
    }
    if (begin <= record[BEGIN])
        return;
    record[PREVIOUS] = begin - record[BEGIN] == rule->per ? record[CURRENT] : 0;
    record[CURRENT] = 0;
    record[BEGIN] = begin;
}

static int64_t elapsed(const int64_t *record, int64_t now)
{
    return now > record[BEGIN] ? now - record[BEGIN] : 0;
}

/* What is left of the rule, in parts of which `per` are one. */
static __int128 room_of(const struct limit_rule *rule, const int64_t *record, int64_t now)
{
    return (__int128)rule->count * rule->per - (__int128)record[CURRENT] * rule->per -
           (__int128)record[PREVIOUS] * (rule->per - elapsed(record, now));
}

/* From a window's beginning: when of `before`, which came evenly in the one before it, no more than
 * `most` counts. */
static int64_t time_until(int64_t before, int64_t most, int64_t per)
{
    if (before <= most || before == 0)
        return 0;
    return per - (int64_t)((__int128)most * per / before);
}

/* Nanoseconds until so much more may pass. */
static int64_t wait_for(
    const struct limit_rule *rule, const int64_t *record, int64_t cost, int64_t now)
{
    int64_t past = elapsed(record, now), left = rule->per - past, wait;
    if (cost <= rule->count && record[CURRENT] <= rule->count - cost) {
        wait = time_until(record[PREVIOUS], rule->count - cost - record[CURRENT], rule->per) - past;
        return wait > 0 ? wait : 1;
    }
    int64_t most = cost > rule->count ? 0 : rule->count - cost;
    if (__builtin_add_overflow(left, time_until(record[CURRENT], most, rule->per), &wait))
        return INT64_MAX;
    return wait > 0 ? wait : 1;
}

static void take(const struct limit_rule *rule, int64_t *record, int64_t cost, int64_t now,
    struct limit_decision *ret_decision)
{
    turn(rule, record, now);
    __int128 room = room_of(rule, record, now), price = (__int128)cost * rule->per;
    bool allowed = price <= room;
    if (allowed) {
        record[CURRENT] += cost;
        room -= price;
    }
    int64_t remaining = room > 0 ? (int64_t)(room / rule->per) : 0;
    *ret_decision = (struct limit_decision){.allowed = allowed,
        .remaining = remaining,
        .wait = wait_for(rule, record, allowed ? remaining + 1 : cost, now),
        .at = now};
}

static void settle(
    const struct limit_rule *rule, int64_t *record, int64_t difference, int64_t at, int64_t now)
{
    turn(rule, record, now);
    if (at < record[BEGIN] - rule->per)
        return;
    int64_t *counter = &record[at < record[BEGIN] ? PREVIOUS : CURRENT];
    if (__builtin_add_overflow(*counter, difference, counter))
        *counter = INT64_MAX;
    if (*counter < 0)
        *counter = 0;
}

static int64_t expires(const struct limit_rule *rule, const int64_t *record)
{
    (void)rule;
    int64_t end;
    return __builtin_mul_overflow(record[LENGTH], 2, &end) ||
                   __builtin_add_overflow(record[BEGIN], end, &end)
               ? INT64_MAX - 1
               : end;
}

const struct limit_algorithm limit_sliding_window = {
    .word = "sliding-window",
    .is_by_calendar = true,
    .can_settle = true,
    .words = words,
    .take = take,
    .settle = settle,
    .expires = expires,
    .quota = limit_window_quota,
    .script =
        {
            .lua = LIMIT_LUA
            "local begin, current, previous = now - (t[1] * 1000000 + t[2]) % per, 0, 0\n"
            "local b, c, p, l = string.match(redis.call('GET', KEYS[1]) or '',\n"
            "  '^(%S+) (%S+) (%S+) (%S+)$')\n"
            "if l == ARGV[4] then\n"
            "  b = tonumber(b)\n"
            "  if math.abs(begin - b) < 0.5 or (b > begin and b - begin < per * 1.5) then\n"
            "    begin, current, previous = b, tonumber(c), tonumber(p)\n"
            "  elseif b < begin and begin - b < per * 1.5 then\n"
            "    previous = tonumber(c)\n"
            "  end\n"
            "end\n"
            "local past = math.max(now - begin, 0)\n"
            "local slack = 1e-9 * count\n"
            "local function room()\n"
            "  return count - current - previous * (per - past) / per + slack\n"
            "end\n"
            "local function after(before, most)\n"
            "  return before <= most and 0 or per - most * per / before\n"
            "end\n"
            "local function wait(cost)\n"
            "  local w\n"
            "  if cost > count then\n"
            "    w = per - past + after(current, 0)\n"
            "  elseif current <= count - cost then\n"
            "    w = after(previous, count - cost - current) - past\n"
            "  else\n"
            "    w = per - past + after(current, count - cost)\n"
            "  end\n"
            "  return math.max(math.ceil(w * 1000), 1)\n"
            "end\n"
            "if at == 0 and cost > room() then\n"
            "  return {0, math.max(math.floor(room()), 0), wait(cost), 0, now}\n"
            "end\n"
            "if at == 0 or at >= begin then\n"
            "  current = math.max(current + cost, 0)\n"
            "elseif at >= begin - per then\n"
            "  previous = math.max(previous + cost, 0)\n"
            "end\n"
            "redis.call('SET', KEYS[1], string.format('%.4f %.0f %.0f %s', begin, current,\n"
            "  previous, ARGV[4]), 'PX',\n"
            "  string.format('%.0f', math.min(math.ceil((begin + 2 * per - now) / 1000) + 1, "
            "4e15)))\n"
            "local left = math.max(math.floor(room()), 0)\n"
            "return {1, left, wait(left + 1), 0, now}\n",
            .arguments = LIMIT_ARGUMENTS,
            .results = LIMIT_RESULTS,
            .run = limit_cell_run,
        },
};
