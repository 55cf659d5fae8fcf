#include "store/memory.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "support/unit.h"

static struct memory *memory;
static struct store *store;
static struct arena arena;

static int set_up(void **state)
{
    (void)state;
    assert_ok(memory_new(MEMORY_LIMIT_MIN, &memory));
    store = memory_store(memory);
    arena_init(&arena, 0, 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_release(&arena);
    memory_free(memory);
    return 0;
}

static char bytes[1 << 16];

static struct slice name(char room[32], const char *kind, int i)
{
    return slice_of(room, (size_t)snprintf(room, 32, "%s%d", kind, i));
}

static enum status set(const char *kind, int i, size_t size)
{
    char room[32];
    return store_set(store, 0, name(room, kind, i), slice_of(bytes, size), HOUR, NEVER);
}

static enum status lease(const char *kind, int i, size_t size)
{
    char room[32];
    struct slice there;
    return store_add(
        store, 0, name(room, kind, i), slice_of(bytes, size), HOUR, NEVER, &arena, &there);
}

static bool has(const char *kind, int i)
{
    char room[32];
    struct slice there;
    return !store_get(store, 0, name(room, kind, i), NEVER, &arena, &there);
}

static void it_never_holds_more_than_it_may(void **state)
{
    (void)state;
    for (int i = 0; i < 100000; i++) {
        assert_ok(set("key", i, (size_t)i % 1000));
        assert_true(memory_read_facts(memory).bytes <= MEMORY_LIMIT_MIN);
    }
    struct memory_facts facts = memory_read_facts(memory);
    assert_true(facts.entries > 1000);
    assert_int_equal(facts.entries + facts.evicted, 100000);
    assert_int_equal(facts.refused, 0);
}

static void all_is_counted_back(void **state)
{
    char room[32];
    (void)state;
    assert_ok(set("a", 1, 100));
    assert_ok(set("a", 1, 5));
    assert_ok(set("a", 1, 5000));
    assert_ok(store_set(store, 0, SLICE("b"), SLICE("x"), 1, NEVER));
    assert_ok(
        store_swap(store, 0, name(room, "a", 1), slice_of(bytes, 5000), SLICE_NONE, 0, NEVER));
    assert_false(has("b", 0));
    assert_ok(store_set(store, 0, SLICE("b"), SLICE("x"), 1, NEVER));
    struct slice there;
    assert_status(store_get(store, 0, SLICE("b"), NEVER, &arena, &there), NOT_FOUND);
    assert_int_equal(memory_read_facts(memory).bytes, 0);
    assert_int_equal(memory_read_facts(memory).entries, 0);
}

static void the_oldest_idle_go_first(void **state)
{
    (void)state;
    for (int i = 0; i < 50; i++)
        assert_ok(set("busy", i, 1000));
    for (int i = 0; i < 5000; i++) {
        assert_ok(set("new", i, 5000));
        assert_true(has("busy", i % 50));
    }
    for (int i = 0; i < 50; i++)
        assert_true(has("busy", i));
    assert_true(has("new", 4999));
    assert_false(has("new", 0));
}

static void what_has_ended_goes_before_what_has_not(void **state)
{
    char room[32];
    (void)state;
    assert_ok(set("old", 0, 1000));
    for (int i = 0; i < 700; i++)
        assert_ok(store_set(store, 0, name(room, "short", i), slice_of(bytes, 5000), 1, NEVER));
    for (int i = 0; i < 500; i++)
        assert_ok(set("new", i, 5000));
    assert_true(has("old", 0));
    assert_int_equal(memory_read_facts(memory).evicted, 0);
}

static void leases_stay(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++)
        assert_ok(lease("lease", i, 100));
    for (int i = 0; i < 5000; i++)
        assert_ok(set("new", i, 5000));
    for (int i = 0; i < 100; i++)
        assert_true(has("lease", i));
    assert_true(memory_read_facts(memory).evicted > 0);
}

/* Whoever holds one can give it back, or be told so, when there is room for nothing else. */
static void where_all_are_leases_nothing_new_comes_in(void **state)
{
    char room[32];
    struct slice there;
    int count = 0;
    (void)state;
    assert_ok(set("set", 0, 10));
    while (!lease("lease", count, 5000))
        count++;
    assert_true(count > 700);
    assert_status(lease("lease", count, 5000), STORE_UNAVAILABLE);
    assert_status(set("set", 1, 5000), STORE_UNAVAILABLE);
    assert_false(has("set", 0));
    assert_false(has("set", 1));
    assert_int_equal(memory_read_facts(memory).refused, 3);
    assert_status(lease("lease", 0, 6000), CONFLICT);
    assert_ok(store_swap(
        store, 0, name(room, "lease", 0), slice_of(bytes, 5000), SLICE("done"), HOUR, NEVER));
    assert_status(store_get(store, 0, name(room, "lease", 0), NEVER, &arena, &there), OK);
    assert_slice(there, "done");
    assert_ok(
        store_swap(store, 0, name(room, "lease", 1), slice_of(bytes, 5000), SLICE_NONE, 0, NEVER));
    assert_ok(lease("lease", count, 5000));
}

static void a_smaller_bound_holds_from_the_next_on(void **state)
{
    (void)state;
    memory_set_limit(memory, 4 * MEMORY_LIMIT_MIN);
    for (int i = 0; i < 2000; i++)
        assert_ok(set("key", i, 5000));
    assert_int_equal(memory_read_facts(memory).evicted, 0);
    memory_set_limit(memory, MEMORY_LIMIT_MIN);
    assert_ok(set("key", 2000, 5000));
    assert_true(memory_read_facts(memory).bytes <= MEMORY_LIMIT_MIN);
    assert_true(has("key", 2000));
}

/* --- threads */

#define THREADS 8
#define ROUNDS  20000

static void *count_along(void *argument)
{
    struct arena own;
    char room[32];
    arena_init(&own, 0, 0);
    for (int i = 0; i < ROUNDS; i++) {
        struct slice there;
        int64_t sum;
        if (store_count(store, 0, SLICE("sum"), 1, HOUR, NEVER, &sum))
            return "store_count";
        enum status e =
            store_add(store, 0, name(room, "lease", i), SLICE("x"), HOUR, NEVER, &own, &there);
        if (!e)
            (*(unsigned *)argument)++;
        else if (e != CONFLICT)
            return "store_add";
        if (store_set(store, 0, name(room, "own", i % 100), slice_of(bytes, 500), HOUR, NEVER))
            return "store_set";
        if (i % 1000 == 0)
            arena_release(&own);
    }
    arena_release(&own);
    return NULL;
}

static void threads_agree(void **state)
{
    pthread_t threads[THREADS];
    unsigned wins[THREADS] = {0}, all = 0;
    struct slice sum;
    (void)state;
    memory_set_limit(memory, 8 * MEMORY_LIMIT_MIN);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_along, &wins[i]), 0);
    for (int i = 0; i < THREADS; i++) {
        void *trouble;
        pthread_join(threads[i], &trouble);
        assert_null(trouble);
        all += wins[i];
    }
    assert_int_equal(all, ROUNDS);
    assert_ok(store_get(store, 0, SLICE("sum"), NEVER, &arena, &sum));
    assert_slice(sum, "160000");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_never_holds_more_than_it_may, set_up, tear_down),
        cmocka_unit_test_setup_teardown(all_is_counted_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_oldest_idle_go_first, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_has_ended_goes_before_what_has_not, set_up, tear_down),
        cmocka_unit_test_setup_teardown(leases_stay, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            where_all_are_leases_nothing_new_comes_in, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_smaller_bound_holds_from_the_next_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(threads_agree, set_up, tear_down)};
    return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
