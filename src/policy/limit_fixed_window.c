#include <time.h>

#include "policy/limit_cell.h"

/* A fixed window: what comes in a window of time is counted, and with the next one counting begins
 * anew. Windows are the calendar's: a rate by the minute is counted from each full minute on, one
 * by the day from midnight, one by the month from its first day, all in UTC. At the turn of a
 * window twice as much as the rate may pass in a short time; that is the price of its being so
 * plain. */

enum { OPEN, CLOSE, USED, WORDS };

static size_t words(const struct limit_rule *rule)
{
    (void)rule;
    return WORDS;
}

static int64_t first_of_month(const struct tm *date, int months_later)
{
    struct tm first = {
        .tm_year = date->tm_year, .tm_mon = date->tm_mon + months_later, .tm_mday = 1};
    return timegm(&first) * SECOND;
}

static void find_window(const struct limit_rule *rule, int64_t now, int64_t *record)
{
    if (rule->per != RATE_MONTH) {
        record[OPEN] = now - now % rule->per;
        if (__builtin_add_overflow(record[OPEN], rule->per, &record[CLOSE]))
            record[CLOSE] = INT64_MAX - 1;
        return;
    }
    time_t seconds = now / SECOND;
    struct tm date;
    (void)gmtime_r(&seconds, &date);
    record[OPEN] = first_of_month(&date, 0);
    record[CLOSE] = first_of_month(&date, 1);
}

/* Whether the record's window is one of this rule's: another plan may have others. */
static bool fits(const struct limit_rule *rule, const int64_t *record)
{
    int64_t length = record[CLOSE] - record[OPEN];
    return rule->per == RATE_MONTH ? length >= 28 * DAY && length % DAY == 0
                                   : length == rule->per || record[CLOSE] == INT64_MAX - 1;
}

/* A clock that is set back a little does not open a window that was closed. */
static bool is_over(const struct limit_rule *rule, const int64_t *record, int64_t now)
{
    return now >= record[CLOSE] || record[OPEN] - now > rule->per || !fits(rule, record);
}

static void turn(const struct limit_rule *rule, int64_t *record, int64_t now)
{
    if (!is_over(rule, record, now))
        return;
    find_window(rule, now, record);
    record[USED] = 0;
}

static void take(const struct limit_rule *rule, int64_t *record, int64_t cost, int64_t now,
    struct limit_decision *ret_decision)
{
    turn(rule, record, now);
    int64_t room = rule->count - record[USED];
    bool allowed = cost <= room;
    if (allowed)
        record[USED] += cost;
    int64_t left = allowed ? room - cost : room;
    *ret_decision = (struct limit_decision){.allowed = allowed,
        .remaining = left > 0 ? left : 0,
        .wait = record[CLOSE] - now,
        .at = now};
}

/* What belongs to a window that is over is settled with it. */
static void settle(
    const struct limit_rule *rule, int64_t *record, int64_t difference, int64_t at, int64_t now)
{
    turn(rule, record, now);
    if (at < record[OPEN] || at >= record[CLOSE])
        return;
    if (__builtin_add_overflow(record[USED], difference, &record[USED]))
        record[USED] = INT64_MAX;
    if (record[USED] < 0)
        record[USED] = 0;
}

static int64_t expires(const struct limit_rule *rule, const int64_t *record)
{
    (void)rule;
    return record[CLOSE];
}

/* The month's first day, and the next one's, as Howard Hinnant's calendar has them: years that
 * begin in March, so that the leap day is the last. */
#define MONTH_LUA                                                                 \
    "local function month(days)\n"                                                \
    "  local floor = math.floor\n"                                                \
    "  local z = days + 719468\n"                                                 \
    "  local era = floor(z / 146097)\n"                                           \
    "  local doe = z - era * 146097\n"                                            \
    "  local year = floor((doe - floor(doe / 1460) + floor(doe / 36524) -\n"      \
    "    floor(doe / 146096)) / 365)\n"                                           \
    "  local day = doe - (365 * year + floor(year / 4) - floor(year / 100))\n"    \
    "  local number = floor((5 * day + 2) / 153)\n"                               \
    "  local first = floor((153 * number + 2) / 5)\n"                             \
    "  local length = floor((153 * number + 155) / 5) - first\n"                  \
    "  if number == 11 then\n"                                                    \
    "    local y = year + 1\n"                                                    \
    "    length = (y % 4 == 0 and (y % 100 ~= 0 or y % 400 == 0)) and 29 or 28\n" \
    "  end\n"                                                                     \
    "  return days - day + first, length\n"                                       \
    "end\n"

const struct limit_algorithm limit_fixed_window = {
    .word = "fixed-window",
    .is_by_calendar = true,
    .can_settle = true,
    .words = words,
    .take = take,
    .settle = settle,
    .expires = expires,
    .quota = limit_window_quota,
    .script =
        {
            .lua = LIMIT_LUA MONTH_LUA
            "local wall = t[1] * 1000000 + t[2]\n"
            "local begin = now - wall % per\n"
            "if ARGV[4] == '2592000000000001' then\n"
            "  local first, length = month(math.floor(t[1] / 86400))\n"
            "  begin = now - (wall - first * 86400000000)\n"
            "  per = length * 86400000000\n"
            "end\n"
            "local used = 0\n"
            "local b, u = string.match(redis.call('GET', KEYS[1]) or '', '^(%S+) (%S+)$')\n"
            "if b and math.abs(tonumber(b) - begin) < 1 then used = tonumber(u) end\n"
            "local wait = math.max(math.ceil((begin + per - now) * 1000), 1)\n"
            "local allowed = 1\n"
            "if at ~= 0 then\n"
            "  if at >= begin then used = math.max(used + cost, 0) end\n"
            "elseif used + cost <= count then\n"
            "  used = used + cost\n"
            "else\n"
            "  allowed = 0\n"
            "end\n"
            "if allowed == 1 then\n"
            "  redis.call('SET', KEYS[1], string.format('%.0f %.0f', begin, used), 'PX',\n"
            "    string.format('%.0f', math.min(math.ceil(wait / 1000000) + 1, 4e15)))\n"
            "end\n"
            "return {allowed, math.max(count - used, 0), wait, 0, now}\n",
            .arguments = LIMIT_ARGUMENTS,
            .results = LIMIT_RESULTS,
            .run = limit_cell_run,
        },
};
