#include "store/presence.h"

/* The value is a line for each gateway: its number, and when it is gone, in milliseconds since
 * 1970. */

static void add_line(struct text *text, int64_t who, int64_t end)
{
    text_format(text, "%lld %lld\n", (long long)who, (long long)end);
}

/* The next line that can be read. */
static bool next_line(struct slice *rest, uint64_t *ret_who, uint64_t *ret_end)
{
    struct slice line, word;
    while (slice_split(rest, '\n', &line))
        if (slice_split(&line, ' ', &word) && slice_to_u64(word, ret_who) &&
            slice_to_u64(line, ret_end))
            return true;
    return false;
}

static void say(const struct store_script *script, struct store_cell *cell,
    const int64_t *arguments, int64_t *ret_results)
{
    int64_t now = cell->now / MILLISECOND, count = 1;
    uint64_t who, end;
    struct slice rest = cell->value;
    (void)script;
    add_line(cell->next, arguments[0], now + arguments[1]);
    while (next_line(&rest, &who, &end))
        if (who != (uint64_t)arguments[0] && end > (uint64_t)now) {
            add_line(cell->next, (int64_t)who, (int64_t)end);
            count++;
        }
    cell->ttl = arguments[1] * MILLISECOND;
    ret_results[0] = count;
}

/* The commands are those of limits, so that a user who may count may be counted. */
const struct store_script presence_script = {
    .lua = "local time = redis.call('TIME')\n"
           "local now = time[1] * 1000 + math.floor(time[2] / 1000)\n"
           "local lines = {string.format('%s %.0f\\n', ARGV[1], now + ARGV[2])}\n"
           "for who, ends in string.gmatch(redis.call('GET', KEYS[1]) or '', '(%d+) (%d+)\\n') do\n"
           "  if who ~= ARGV[1] and tonumber(ends) > now then\n"
           "    lines[#lines + 1] = who .. ' ' .. ends .. '\\n'\n"
           "  end\n"
           "end\n"
           "redis.call('SET', KEYS[1], table.concat(lines), 'PX', ARGV[2])\n"
           "return {#lines}\n",
    .arguments = 2,
    .results = 1,
    .run = say};

int64_t presence_take(struct presence *presence, instant now, int64_t known, int64_t told)
{
    if (!presence->since)
        presence->since = now;
    bool is_settled = now - presence->since >= PRESENCE_LASTS;
    return told > known || is_settled ? told : known;
}
