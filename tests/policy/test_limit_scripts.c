/* The algorithms of limits as scripts: in Redis and in a store of this process they decide as they
 * do on a record of their own. What the time is, is told to them. */
#include "policy/limit_algorithm.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/random.h"
#include "support/on_loop.h"
#include "support/store_rig.h"
#include "support/unit.h"

#define NOON (INT64_C(1795262400) * SECOND)

/* One argument more: the time in microseconds since 1970. */
#define MOMENT LIMIT_ARGUMENTS

static const char fake_clock[] = "local real, moment = redis, tonumber(ARGV[6])\n"
                                 "local redis = {call = function(name, ...)\n"
                                 "  if name == 'TIME' then\n"
                                 "    return {math.floor(moment / 1000000), moment % 1000000}\n"
                                 "  end\n"
                                 "  return real.call(name, ...)\n"
                                 "end}\n";

static struct store_rig *rig;
static const struct limit_algorithm *algorithm;

static void run(const struct store_script *script, struct store_cell *cell,
    const int64_t *arguments, int64_t *ret_results)
{
    cell->now = arguments[MOMENT] * MICROSECOND;
    (void)script;
    algorithm->script.run(&algorithm->script, cell, arguments, ret_results);
}

/* A key in a store, and the record that it has to agree with. */
struct pair {
    struct store *store;
    struct store_script script;
    struct store_program program;
    char lua[8192], key[64];
    struct limit_rule rule;
    int64_t *record; /* owned */
};

static void begin(struct pair *pair, struct store *store, int number, struct limit_rule rule)
{
    *pair = (struct pair){.store = store, .rule = rule};
    snprintf(pair->lua, sizeof pair->lua, "%s%s", fake_clock, algorithm->script.lua);
    snprintf(pair->key, sizeof pair->key, "%s:%d", algorithm->word, number);
    pair->script = (struct store_script){
        .lua = pair->lua, .arguments = MOMENT + 1, .results = LIMIT_RESULTS, .run = run};
    assert_ok(store_program_init(&pair->program, &pair->script));
    pair->record = calloc(algorithm->words(&rule), sizeof *pair->record);
    assert_non_null(pair->record);
}

static struct limit_decision ask(struct pair *pair, int64_t cost, int64_t at, int64_t now)
{
    int64_t results[LIMIT_RESULTS];
    const int64_t arguments[] = {
        cost, at, pair->rule.count, pair->rule.per, pair->rule.burst, now / MICROSECOND};
    assert_ok(store_run(
        pair->store, 0, &pair->program, slice_of_text(pair->key), arguments, NEVER, results));
    return (struct limit_decision){.allowed = results[LIMIT_ALLOWED],
        .remaining = results[LIMIT_REMAINING],
        .wait = results[LIMIT_WAIT],
        .delay = results[LIMIT_DELAY],
        .at = results[LIMIT_WHEN]};
}

static bool is_near(int64_t a, int64_t b)
{
    return llabs(a - b) <= 3 * MICROSECOND;
}

static void check_same(
    const struct pair *pair, int step, struct limit_decision theirs, struct limit_decision ours)
{
    if (theirs.allowed != ours.allowed || theirs.remaining != ours.remaining ||
        !is_near(theirs.wait, ours.wait) || !is_near(theirs.delay, ours.delay))
        fail_msg("%s, step %d, %lld in %lld, burst %lld: %d %lld %lld %lld, not %d %lld %lld %lld",
            pair->key, step, (long long)pair->rule.count, (long long)pair->rule.per,
            (long long)pair->rule.burst, theirs.allowed, (long long)theirs.remaining,
            (long long)theirs.wait, (long long)theirs.delay, ours.allowed,
            (long long)ours.remaining, (long long)ours.wait, (long long)ours.delay);
}

static struct limit_rule some_rule(struct random *random)
{
    static const int64_t times[] = {MINUTE, HOUR, DAY, RATE_MONTH};
    int64_t count = 1 + (int64_t)random_below(random, 30);
    return limit_rule_of(
        count, times[random_below(random, 4)], 1 + (int64_t)random_below(random, 2) * (count - 1));
}

/* By the clock that the record goes by. */
static int64_t own_time(int64_t now)
{
    return algorithm->is_by_calendar ? now : now - NOON + DAY;
}

/* Takes at random times, and now and then settles what was taken last. */
static void go_together(struct pair *pair, struct random *random)
{
    int64_t now = NOON, ours_at = 0, theirs_at = 0;
    for (int step = 0; step < 60; step++) {
        struct limit_decision ours, theirs;
        int64_t cost = (int64_t)random_below(random, 5);
        now += (int64_t)random_below(random, (uint64_t)(pair->rule.per / MILLISECOND / 8)) *
               MILLISECOND;
        if (ours_at && random_below(random, 4) == 0) {
            int64_t difference = (int64_t)random_below(random, 6) - 3;
            algorithm->settle(&pair->rule, pair->record, difference, ours_at, own_time(now));
            (void)ask(pair, difference, theirs_at, now);
            algorithm->take(&pair->rule, pair->record, 0, own_time(now), &ours);
            check_same(pair, step, ask(pair, 0, 0, now), ours);
            continue;
        }
        algorithm->take(&pair->rule, pair->record, cost, own_time(now), &ours);
        theirs = ask(pair, cost, 0, now);
        check_same(pair, step, theirs, ours);
        ours_at = ours.at;
        theirs_at = theirs.at;
    }
}

static void agree(struct store *store, int rounds)
{
    struct random random = {{7, 2, 3, 4}};
    for (int a = 0; limit_algorithms[a]; a++)
        for (int round = 0; !limit_algorithms[a]->is_held && round < rounds; round++) {
            struct pair pair;
            algorithm = limit_algorithms[a];
            begin(&pair, store, round, some_rule(&random));
            go_together(&pair, &random);
            free(pair.record);
        }
}

/* --- what is held */

enum { HOLDERS = 12, HELD_STEPS = 80 };

/* Who holds something of a key, as it should be. */
struct model {
    struct {
        int64_t until, cost;
    } holders[HOLDERS];
};

static int64_t held_by_all(const struct model *model, int64_t now)
{
    int64_t sum = 0;
    for (int i = 0; i < HOLDERS; i++)
        sum += model->holders[i].until > now ? model->holders[i].cost : 0;
    return sum;
}

/* One does something that anybody might, also what makes no sense: gives back what has run out, or
 * takes twice. */
static void hold_something(
    struct pair *pair, struct model *model, struct random *random, int64_t now)
{
    int who = (int)random_below(random, HOLDERS);
    int64_t id = INT64_MAX / 2 + who; /* more than a double tells apart */
    bool has = model->holders[who].until > now;
    int64_t cost = has ? model->holders[who].cost : (int64_t)random_below(random, 4);
    bool returns = random_below(random, 3) == 0 && cost;
    int64_t room = pair->rule.count - held_by_all(model, now);
    bool allowed = returns || has || (room >= 0 && cost <= room);
    struct limit_decision said = ask(pair, returns ? -cost : cost, id, now);
    if (returns)
        model->holders[who].until = 0;
    else if (allowed && cost)
        model->holders[who].cost = cost, model->holders[who].until = now + pair->rule.per;
    room = pair->rule.count - held_by_all(model, now);
    if (said.allowed != allowed || said.remaining != (room > 0 ? room : 0) || said.wait)
        fail_msg("%s: %d %lld, not %d %lld", pair->key, said.allowed, (long long)said.remaining,
            allowed, (long long)room);
}

static void hold(struct store *store, int rounds)
{
    struct random random = {{3, 1, 4, 1}};
    algorithm = &limit_concurrency;
    for (int round = 0; round < rounds; round++) {
        struct pair pair;
        struct model model = {0};
        int64_t now = NOON;
        begin(&pair, store, round, limit_rule_of(1 + (int64_t)random_below(&random, 9), MINUTE, 1));
        for (int step = 0; step < HELD_STEPS; step++) {
            now += (int64_t)random_below(&random, 20) * SECOND;
            hold_something(&pair, &model, &random, now);
        }
        free(pair.record);
    }
}

/* Who says that he is still there is never refused, be it that his lease has run out. */
static void who_renews_is_not_refused(struct store *store)
{
    struct pair pair;
    algorithm = &limit_concurrency;
    begin(&pair, store, 2000, limit_rule_of(1, MINUTE, 1));
    assert_true(ask(&pair, 1, 7, NOON).allowed);
    assert_false(ask(&pair, 1, 8, NOON + MINUTE - MICROSECOND).allowed);
    assert_true(ask(&pair, 1, 8, NOON + MINUTE).allowed);
    pair.rule.count = 100;
    assert_int_equal(ask(&pair, 1, 7, NOON + MINUTE).remaining, 98);
    pair.rule.count = 1;
    assert_false(ask(&pair, 0, 9, NOON + MINUTE).allowed);
    assert_int_equal(ask(&pair, -1, 7, NOON + MINUTE).remaining, 0);
    assert_int_equal(ask(&pair, -1, 7, NOON + MINUTE).remaining, 0); /* once */
    assert_int_equal(ask(&pair, -1, 8, NOON + MINUTE).remaining, 1);
    assert_true(ask(&pair, 0, 9, NOON + MINUTE).allowed);
    free(pair.record);
}

static int set_up(void **state)
{
    (void)state;
    rig = store_rig_new();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    store_rig_free(rig);
    return 0;
}

static void redis_decides_as_a_record_does(void **state)
{
    (void)state;
    struct store *store = store_rig_redis(rig);
    agree(store, 40);
    hold(store, 40);
    who_renews_is_not_refused(store);
}

static void a_file_decides_as_a_record_does(void **state)
{
    (void)state;
    struct store *store = store_rig_durable(rig);
    agree(store, 6); /* each question waits for the disk */
    hold(store, 6);
    who_renews_is_not_refused(store);
}

static void a_store_in_memory_decides_as_a_record_does(void **state)
{
    (void)state;
    struct store *store = memory_store(rig->stores->memory);
    agree(store, 40);
    hold(store, 200);
    who_renews_is_not_refused(store);
}

/* Something else is under the key, as another kind of limit leaves it. */
static void what_cannot_be_read_is_as_nothing(void **state)
{
    (void)state;
    struct store *store = memory_store(rig->stores->memory);
    for (int a = 0; limit_algorithms[a]; a++) {
        struct pair pair;
        algorithm = limit_algorithms[a];
        begin(&pair, store, 1000, limit_rule_of(5, HOUR, 5));
        struct limit_decision fresh = ask(&pair, 1, 0, NOON);
        assert_ok(store_set(store, 0, slice_of_text(pair.key), SLICE("odd"), HOUR, NEVER));
        assert_int_equal(ask(&pair, 1, 0, NOON).remaining, fresh.remaining);
        free(pair.record);
    }
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

static int run_all(void)
{
    const struct CMUnitTest tests[] = {
        EACH(redis_decides_as_a_record_does),
        EACH(a_file_decides_as_a_record_does),
        EACH(a_store_in_memory_decides_as_a_record_does),
        EACH(what_cannot_be_read_is_as_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    return run_tests_on_loop(run_all);
}
