/* Who is remembered by the tables of limits when there are too many, and that many threads count as
 * one does. */
#include "policy/limit_records.h"

#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "policy/limit_instants.h"
#include "support/unit.h"

#define NOON (DAY / 2)

/* The table that an algorithm wants. */
static struct limit_records *records;
static struct limit_instants *instants;

static void make(
    const struct limit_algorithm *algorithm, size_t keys, const struct limit_rule *rule)
{
    limit_records_free(records);
    limit_instants_free(instants);
    records = NULL;
    instants = NULL;
    if (algorithm->is_instant)
        assert_ok(limit_instants_new(algorithm, keys, &instants));
    else
        assert_ok(limit_records_new(algorithm, keys, algorithm->words(rule), &records));
}

static int tear_down(void **state)
{
    (void)state;
    limit_records_free(records);
    limit_instants_free(instants);
    records = NULL;
    instants = NULL;
    return 0;
}

static struct limit_decision take(
    const char *key, const struct limit_rule *rule, int64_t cost, int64_t now)
{
    return instants ? limit_instants_take(instants, slice_of_text(key), rule, cost, now)
                    : limit_records_take(records, slice_of_text(key), rule, cost, now);
}

static void settle(
    const char *key, const struct limit_rule *rule, int64_t difference, int64_t at, int64_t now)
{
    if (instants)
        limit_instants_settle(instants, slice_of_text(key), rule, difference, at, now);
    else
        limit_records_settle(records, slice_of_text(key), rule, difference, at, now);
}

static int64_t left(const char *key, const struct limit_rule *rule, int64_t now)
{
    return limit_records_look(records, slice_of_text(key), rule, 1, now).remaining;
}

static void the_oldest_idle_makes_room(void **state)
{
    (void)state;
    const struct limit_rule rule = limit_rule_of(9, HOUR, 9);
    char key[16];
    make(&limit_fixed_window, 64, &rule);
    for (int i = 0; i < 64; i++) {
        snprintf(key, sizeof key, "k%d", i);
        (void)take(key, &rule, 1, NOON);
    }
    (void)take("k1", &rule, 1, NOON);
    (void)take("new", &rule, 1, NOON);
    assert_int_equal(left("k0", &rule, NOON), 9); /* forgotten */
    assert_int_equal(left("k1", &rule, NOON), 7);
    assert_int_equal(left("k2", &rule, NOON), 8);
    (void)take("newer", &rule, 1, NOON);
    assert_int_equal(left("k1", &rule, NOON), 7); /* has come again */
    assert_int_equal(left("k2", &rule, NOON), 9);
    assert_int_equal(left("new", &rule, NOON), 8);
    assert_int_equal(limit_records_count(records), 64);
    settle("k0", &rule, -1, NOON, NOON); /* there is nothing to give back to */
    assert_int_equal(left("k0", &rule, NOON), 9);
}

static void who_has_come_again_may_be_too_many(void **state)
{
    (void)state;
    const struct limit_rule rule = limit_rule_of(9, HOUR, 9);
    char key[16];
    make(&limit_fixed_window, 64, &rule);
    for (int i = 0; i < 200; i++) {
        snprintf(key, sizeof key, "k%d", i);
        (void)take(key, &rule, 1, NOON);
        (void)take(key, &rule, 1, NOON);
    }
    assert_int_equal(left("k199", &rule, NOON), 7);
    assert_int_equal(left("k136", &rule, NOON), 7);
    assert_int_equal(left("k135", &rule, NOON), 9);
}

/* She is not put before all others each time, but often enough. */
static void who_comes_all_the_time_stays(void **state)
{
    (void)state;
    const struct limit_rule rule = limit_rule_of(1000000, HOUR, 1000000);
    char key[16];
    make(&limit_fixed_window, 64, &rule);
    for (int i = 0; i < 5000; i++) {
        snprintf(key, sizeof key, "k%d", i);
        (void)take(key, &rule, 1, NOON);
        (void)take(key, &rule, 1, NOON);
        if (i % 40 == 0)
            assert_int_equal(take("user", &rule, 1, NOON).remaining, 1000000 - 1 - i / 40);
    }
}

static void keys_that_fit_are_all_remembered(void **state)
{
    (void)state;
    const struct limit_rule rule = limit_rule_of(1, HOUR, 1);
    char key[16];
    make(&limit_sliding_window, 65536, &rule);
    for (int i = 0; i < 65536; i++) {
        snprintf(key, sizeof key, "k%d", i);
        assert_true(take(key, &rule, 1, HOUR).allowed);
    }
    int forgotten = 0;
    for (int i = 0; i < 65536; i++) {
        snprintf(key, sizeof key, "k%d", i);
        forgotten += take(key, &rule, 1, HOUR).allowed;
    }
    assert_int_equal(forgotten, 0);
}

/* --- a flood */

enum { FLOOD = 10 * 1000 * 1000, USERS = 50, PAUSE = 200 };

/* Of all that attackers send, an honest user who comes again before the table was filled anew loses
 * nothing: what remains
 * for her is to the last what one record says that nobody else uses. */
static void flood(const struct limit_algorithm *algorithm)
{
    const struct limit_rule rule = limit_rule_of(1000000, DAY, 1000000);
    int64_t *models[USERS];
    char key[24];
    make(algorithm, 16384, &rule);
    for (int u = 0; u < USERS; u++)
        models[u] = calloc(algorithm->words(&rule), sizeof(int64_t));
    size_t memory = mallinfo2().uordblks;
    for (int i = 0; i < FLOOD; i++) {
        int64_t now = NOON + i;
        snprintf(key, sizeof key, "flood %d", i);
        (void)take(key, &rule, 1, now);
        if (i % PAUSE)
            continue;
        int u = i / PAUSE % USERS;
        snprintf(key, sizeof key, "user %d", u);
        struct limit_decision decision;
        algorithm->take(&rule, models[u], 100, now, &decision);
        assert_int_equal(take(key, &rule, 100, now).remaining, decision.remaining);
    }
    assert_int_equal(mallinfo2().uordblks, memory);
    for (int u = 0; u < USERS; u++)
        free(models[u]);
}

static void ten_million_keys_push_nobody_out_of_windows(void **state)
{
    (void)state;
    flood(&limit_sliding_window);
    assert_in_range(limit_records_count(records), 16384, 16384 * 5 / 4 + 64 * 8);
}

static void ten_million_keys_push_nobody_out_of_buckets(void **state)
{
    (void)state;
    flood(&limit_token_bucket);
}

/* --- what is held */

/* What is under way is known to the last while ten million others come and go. */
static void ten_million_keys_push_nobody_out_who_holds_something(void **state)
{
    (void)state;
    const struct limit_rule rule = limit_rule_of(3, MINUTE, 3);
    char key[24];
    make(&limit_concurrency, 4096, &rule);
    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof key, "held %d", i);
        assert_true(take(key, &rule, 1 + i % 3, NOON).allowed);
    }
    size_t memory = mallinfo2().uordblks;
    for (int i = 0; i < FLOOD; i++) {
        snprintf(key, sizeof key, "flood %d", i);
        (void)take(key, &rule, 1, NOON + i);
        settle(key, &rule, -1, NOON, NOON + i);
    }
    assert_int_equal(mallinfo2().uordblks, memory);
    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof key, "held %d", i);
        assert_int_equal(left(key, &rule, NOON), 2 - i % 3);
    }
}

static void who_is_held_makes_no_room(void **state)
{
    (void)state;
    const struct limit_rule rule = limit_rule_of(1, MINUTE, 1);
    char key[16];
    make(&limit_concurrency, 64, &rule);
    for (int i = 0; i < 64; i++) {
        snprintf(key, sizeof key, "k%d", i);
        assert_true(take(key, &rule, 1, NOON).allowed);
    }
    assert_false(take("new", &rule, 1, NOON).allowed);
    settle("new", &rule, -1, NOON, NOON);
    assert_false(take("new", &rule, 0, NOON).allowed);
    for (int i = 0; i < 64; i++) {
        snprintf(key, sizeof key, "k%d", i);
        assert_int_equal(left(key, &rule, NOON), 0);
    }
    settle("k7", &rule, -1, NOON, NOON);
    assert_true(take("new", &rule, 1, NOON).allowed);
    assert_false(take("k7", &rule, 1, NOON).allowed);
    assert_int_equal(limit_records_count(records), 64);
}

/* --- many threads */

enum { THREADS = 64, KEYS = 5, PHASES = 12, TRIES = 10 };

static struct crowd {
    const struct limit_algorithm *algorithm;
    struct limit_rule rule;
    pthread_barrier_t barrier;
    _Atomic int64_t passed[PHASES][KEYS];
} crowd;

/* In a phase all take at the same instant, and give back every third time. */
static int64_t time_of(int phase)
{
    return NOON + phase * crowd.rule.per / 4;
}

static void *member(void *argument)
{
    (void)argument;
    static const char *const keys[KEYS] = {"a", "b", "c", "d", "e"};
    for (int phase = 0; phase < PHASES; phase++) {
        int64_t now = time_of(phase);
        (void)pthread_barrier_wait(&crowd.barrier);
        for (int i = 0; i < TRIES; i++)
            for (int k = 0; k < KEYS; k++)
                if (take(keys[k], &crowd.rule, 1 + k, now).allowed)
                    atomic_fetch_add(&crowd.passed[phase][k], 1);
        (void)pthread_barrier_wait(&crowd.barrier);
        if (phase % 3 == 0)
            for (int k = 0; k < KEYS; k++)
                settle(keys[k], &crowd.rule, -(1 + k), now, now);
    }
    return NULL;
}

/* The same by one thread with one record. */
static void check_key(int k)
{
    int64_t *record = calloc(crowd.algorithm->words(&crowd.rule), sizeof *record);
    struct limit_decision decision;
    for (int phase = 0; phase < PHASES; phase++) {
        int64_t passed = 0, now = time_of(phase);
        for (int i = 0; i < THREADS * TRIES; i++) {
            crowd.algorithm->take(&crowd.rule, record, 1 + k, now, &decision);
            passed += decision.allowed;
        }
        assert_int_equal(crowd.passed[phase][k], passed);
        if (phase % 3 == 0)
            for (int i = 0; i < THREADS; i++)
                crowd.algorithm->settle(&crowd.rule, record, -(1 + k), now, now);
    }
    free(record);
}

static void sixty_four_threads_count_as_one(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    for (int a = 0; limit_algorithms[a]; a++) {
        crowd = (struct crowd){
            .algorithm = limit_algorithms[a], .rule = limit_rule_of(1000, MINUTE, 1000)};
        make(crowd.algorithm, 64, &crowd.rule);
        pthread_barrier_init(&crowd.barrier, NULL, THREADS);
        for (int i = 0; i < THREADS; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, member, NULL), 0);
        for (int i = 0; i < THREADS; i++)
            pthread_join(threads[i], NULL);
        pthread_barrier_destroy(&crowd.barrier);
        for (int k = 0; k < KEYS; k++)
            check_key(k);
    }
}

/* --- many threads that hold something */

static struct {
    pthread_barrier_t barrier;
    struct limit_rule rule;
    _Atomic int64_t inside[KEYS], most[KEYS], passed;
} room;

static void go_in_and_out(int k)
{
    static const char *const keys[KEYS] = {"a", "b", "c", "d", "e"};
    int64_t cost = 1 + k % 2;
    if (!take(keys[k], &room.rule, cost, NOON).allowed)
        return;
    int64_t inside = atomic_fetch_add(&room.inside[k], cost) + cost, most = room.most[k];
    while (inside > most && !atomic_compare_exchange_weak(&room.most[k], &most, inside))
        continue;
    atomic_fetch_add(&room.passed, 1);
    atomic_fetch_sub(&room.inside[k], cost);
    settle(keys[k], &room.rule, -cost, NOON, NOON);
}

static void *guest(void *argument)
{
    (void)argument;
    (void)pthread_barrier_wait(&room.barrier);
    for (int i = 0; i < 20000; i++)
        go_in_and_out(i % KEYS);
    return NULL;
}

/* Whoever passes is inside until he has given back: never are more than the rule says. */
static void never_more_at_once_than_allowed(void **state)
{
    (void)state;
    static const char *const keys[KEYS] = {"a", "b", "c", "d", "e"};
    pthread_t threads[THREADS];
    room.rule = limit_rule_of(3, MINUTE, 3);
    make(&limit_concurrency, 64, &room.rule);
    pthread_barrier_init(&room.barrier, NULL, THREADS);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, guest, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&room.barrier);
    for (int k = 0; k < KEYS; k++) {
        assert_in_range(room.most[k], 1, 3);
        assert_int_equal(left(keys[k], &room.rule, NOON), 3); /* all have come back */
    }
    assert_true(room.passed > 0);
}

static void a_table_that_cannot_be_is_none(void **state)
{
    (void)state;
    assert_true(limit_records_size((size_t)1 << 31, 1) == SIZE_MAX);
    assert_true(limit_records_size(64, SIZE_MAX / 4) == SIZE_MAX);
    assert_status(limit_records_new(&limit_fixed_window, SIZE_MAX, 3, &records), NO_MEMORY);
    assert_in_range(limit_records_size(65536, 3), 65536 * 48, 65536 * 64);
}

#define EACH(test) cmocka_unit_test_teardown(test, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(the_oldest_idle_makes_room),
        EACH(who_has_come_again_may_be_too_many),
        EACH(who_comes_all_the_time_stays),
        EACH(keys_that_fit_are_all_remembered),
        EACH(ten_million_keys_push_nobody_out_of_windows),
        EACH(ten_million_keys_push_nobody_out_of_buckets),
        EACH(ten_million_keys_push_nobody_out_who_holds_something),
        EACH(who_is_held_makes_no_room),
        EACH(sixty_four_threads_count_as_one),
        EACH(never_more_at_once_than_allowed),
        EACH(a_table_that_cannot_be_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
