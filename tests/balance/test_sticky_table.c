/* The table of sessions: who is remembered, forgotten and crowded out; and many threads at once. */
#include "balance/sticky_table.h"

#include "balance/mix.h"
#include "support/unit.h"

#include <pthread.h>

static void test_remembers_and_forgets(void **state)
{
    (void)state;
    struct sticky_table *table;
    assert_ok(sticky_table_new(64, &table));
    assert_int_equal(sticky_table_find(table, 5, 60, 100), 0);
    sticky_table_put(table, 5, 7, 100);
    sticky_table_put(table, 6, 8, 100);
    assert_int_equal(sticky_table_find(table, 5, 60, 150), 7);
    assert_int_equal(sticky_table_find(table, 5, 60, 210), 7); /* each request keeps it alive */
    assert_int_equal(sticky_table_find(table, 6, 60, 161), 0);
    assert_int_equal(sticky_table_count(table, 60, 210), 1);
    sticky_table_put(table, 5, 9, 210);
    assert_int_equal(sticky_table_find(table, 5, 60, 211), 9);
    sticky_table_drop(table, 5);
    assert_int_equal(sticky_table_find(table, 5, 60, 211), 0);
    sticky_table_drop(table, 5);
    sticky_table_free(table);
    sticky_table_free(NULL);
}

/* Keys that share a bucket: the one that was silent for longest makes room. */
static void test_the_oldest_makes_room(void **state)
{
    (void)state;
    struct sticky_table *table;
    assert_ok(sticky_table_new(8, &table));
    for (uint32_t i = 0; i < 8; i++)
        sticky_table_put(table, 1000 + i, i + 1, 10 + i);
    assert_int_equal(sticky_table_find(table, 1000, 100, 20), 1); /* not the oldest any more */
    sticky_table_put(table, 2000, 99, 21);
    assert_int_equal(sticky_table_find(table, 1001, 100, 21), 0);
    assert_int_equal(sticky_table_find(table, 1000, 100, 21), 1);
    assert_int_equal(sticky_table_find(table, 2000, 100, 21), 99);
    assert_int_equal(sticky_table_count(table, 100, 21), 8);
    sticky_table_free(table);
}

#define THREADS 4

/* Each key belongs to one endpoint only: whoever finds another has read a torn entry. */
static void *hammer(void *argument)
{
    struct sticky_table *table = argument;
    uintptr_t wrong = 0;
    for (uint64_t i = 0; i < 200000; i++) {
        uint64_t key = mix(i % 97);
        uint32_t found = sticky_table_find(table, key, 1000, (uint32_t)(i / 1000));
        wrong += found && found != (uint32_t)(key >> 32 | 1);
        if (!found || i % 7 == 0)
            sticky_table_put(table, key, (uint32_t)(key >> 32 | 1), (uint32_t)(i / 1000));
        if (i % 31 == 0)
            sticky_table_drop(table, key);
    }
    return (void *)wrong;
}

static void test_many_threads(void **state)
{
    (void)state;
    struct sticky_table *table;
    pthread_t threads[THREADS];
    assert_ok(sticky_table_new(16, &table));
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hammer, table), 0);
    for (int i = 0; i < THREADS; i++) {
        void *wrong;
        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
    sticky_table_free(table);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_remembers_and_forgets),
        cmocka_unit_test(test_the_oldest_makes_room),
        cmocka_unit_test(test_many_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
