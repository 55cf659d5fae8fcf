#include "policy/limit_shared.h"

#include "base/text.h"

#define KEY_MAX   128 /* bytes of a key, or a name, that is kept as it is */

#define YEAR_2026 (INT64_C(1767225600) * SECOND) /* in wall-clock time */

/* The same in C; what is kept is when the bucket is full again, in ticks since 2026. */
static void take(struct store_cell *cell, const int64_t *arguments, int64_t *ret_results)
{
    int64_t interval = arguments[0], size = arguments[1];
    int64_t now = (cell->now - YEAR_2026) * LIMIT_TICKS, full = now;
    if (cell->value.size == sizeof full)
        memcpy(&full, cell->value.data, sizeof full);
    int64_t debt = full > now ? full - now : 0;
    if (debt > size)
        debt = size;
    ret_results[0] = debt <= size - interval;
    if (ret_results[0]) {
        debt += interval;
        full = now + debt;
        text_add(cell->next, slice_of((const char *)&full, sizeof full));
        cell->ttl = debt / LIMIT_TICKS + 1;
    }
    ret_results[1] = debt;
}

/* Microseconds, since 2026 so that a double holds their fractions; a double is what a number is
 * there. A microsecond less than an interval will do, for what rounding may have taken. */
static const struct store_script take_script = {
    .lua = "local t = redis.call('TIME')\n"
           "local now = (t[1] - 1767225600) * 1000000 + t[2]\n"
           "local interval, size = ARGV[1] / 16000, ARGV[2] / 16000\n"
           "local full = tonumber(redis.call('GET', KEYS[1]) or now)\n"
           "local debt = math.min(math.max(full - now, 0), size)\n"
           "if debt > size - interval + math.min(1, interval / 2) then\n"
           "  return {0, math.floor(debt * 16000)}\n"
           "end\n"
           "debt = debt + interval\n"
           "local wait = math.min(math.ceil(debt / 1000) + 1, 4e15)\n"
           "redis.call('SET', KEYS[1], string.format('%.4f', now + debt), 'PX',\n"
           "  string.format('%.0f', wait))\n"
           "return {1, math.floor(debt * 16000)}\n",
    .arguments = 2,
    .results = 2,
    .run = take,
};

enum status limit_shared_init(struct limit_shared *shared, struct store *store, struct slice name)
{
    shared->store = store;
    shared->name = name;
    if (!store)
        return OK;
    if (name.size > KEY_MAX) {
        shared->name = slice_of(shared->digest, TLS_DIGEST_SIZE - 1);
        if (tls_digest(name, shared->digest))
            return NO_MEMORY;
    }
    return store_program_init(&shared->program, &take_script);
}

/* A long key, which clients may choose, is kept as its digest. */
static enum status add_key(struct text *text, struct slice key)
{
    char digest[TLS_DIGEST_SIZE];
    if (key.size <= KEY_MAX) {
        text_add_char(text, ':');
        text_add(text, key);
        return OK;
    }
    enum status e = tls_digest(key, digest);
    text_add_char(text, '#');
    text_add(text, slice_of(digest, TLS_DIGEST_SIZE - 1));
    return e;
}

enum status limit_shared_take(const struct limit_shared *shared, unsigned worker, struct slice key,
    const struct limit_rule *rule, instant deadline, struct limit_decision *ret_decision)
{
    struct limit_pace pace = limit_pace_of(rule);
    const int64_t arguments[] = {pace.interval, pace.size};
    int64_t results[2];
    char room[2 * KEY_MAX + 8];
    struct text text = text_fixed(room, sizeof room);
    text_add(&text, shared->name);
    enum status e = add_key(&text, key);
    if (!e)
        e = store_run(shared->store, worker, &shared->program, text_slice(&text), arguments,
            deadline, results);
    if (!e)
        *ret_decision = limit_decide(&pace, results[1], results[0] != 0);
    return e;
}

struct limit_rule limit_share_of(const struct limit_rule *rule, int64_t gateways)
{
    struct limit_rule share = *rule;
    share.burst = (rule->burst + gateways - 1) / gateways;
    if (__builtin_mul_overflow(rule->per, gateways, &share.per))
        share.per = INT64_MAX;
    return share;
}
