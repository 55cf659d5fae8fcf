#include "policy/limit_shared.h"

#include "base/text.h"

#define KEY_MAX 128 /* bytes of a key, or a name, that is kept as it is */

/* Of a token bucket as limit_bucket.h keeps it. For servers alone: gateways that share a store
 * which holds the values itself are one, and have nothing to settle. */
static const struct store_script charge_script = {
    .lua = "local t = redis.call('TIME')\n"
           "local now = (t[1] - 1767225600) * 1000000 + t[2]\n"
           "local rest = tonumber(redis.call('GET', KEYS[1]) or now)\n"
           "local debt = math.max(math.max(rest - now, 0) + ARGV[1] / 1000, 0)\n"
           "debt = math.min(debt, 2e15)\n"
           "if debt > 0 then\n"
           "  redis.call('SET', KEYS[1], string.format('%.4f', now + debt), 'PX',\n"
           "    string.format('%.0f', math.ceil(debt / 1000) + 1))\n"
           "end\n"
           "return {math.floor(debt * 1000)}\n",
    .arguments = 1,
    .results = 1,
};

enum status limit_shared_init(struct limit_shared *shared, const struct limit_algorithm *algorithm,
    struct store *store, struct slice name)
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
    enum status e = store_program_init(&shared->program, &algorithm->script);
    return e ? e : store_program_init(&shared->charge, &charge_script);
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

static enum status run(const struct limit_shared *shared, unsigned worker,
    const struct store_program *program, struct slice key, const int64_t *arguments,
    instant deadline, int64_t *ret_results)
{
    char room[2 * KEY_MAX + 8];
    struct text text = text_fixed(room, sizeof room);
    text_add(&text, shared->name);
    enum status e = add_key(&text, key);
    return e ? e
             : store_run(shared->store, worker, program, text_slice(&text), arguments, deadline,
                   ret_results);
}

enum status limit_shared_charge(const struct limit_shared *shared, unsigned worker,
    struct slice key, int64_t nanoseconds, instant deadline, int64_t *ret_debt)
{
    return run(shared, worker, &shared->charge, key, &nanoseconds, deadline, ret_debt);
}

enum status limit_shared_decide(const struct limit_shared *shared, unsigned worker,
    struct slice key, const struct limit_rule *rule, int64_t cost, int64_t at, instant deadline,
    struct limit_decision *ret_decision)
{
    const int64_t arguments[LIMIT_ARGUMENTS] = {
        [LIMIT_COST] = cost,
        [LIMIT_AT] = at,
        [LIMIT_COUNT] = rule->count,
        [LIMIT_PER] = rule->per,
        [LIMIT_BURST] = rule->burst,
    };
    int64_t results[LIMIT_RESULTS];
    enum status e = run(shared, worker, &shared->program, key, arguments, deadline, results);
    if (!e)
        *ret_decision = (struct limit_decision){
            .allowed = results[LIMIT_ALLOWED] != 0,
            .remaining = results[LIMIT_REMAINING],
            .wait = results[LIMIT_WAIT],
            .delay = results[LIMIT_DELAY],
            .at = results[LIMIT_WHEN],
        };
    return e;
}
