#include "base/table.h"

#include <stdio.h>

#include "support/unit.h"

#define MANY 5000

static char names[MANY][8];

static struct slice name(size_t i)
{
    snprintf(names[i], sizeof names[i], "n%zu", i);
    return slice_of_text(names[i]);
}

static void what_was_put_is_found(void **state)
{
    (void)state;
    struct table table;
    table_init(&table, MANY);
    assert_null(table_get(&table, SLICE("n1")));
    assert_null(table_remove(&table, SLICE("n1")));
    for (size_t i = 0; i < MANY; i++)
        assert_ok(table_put(&table, name(i), names[i]));
    for (size_t i = 0; i < MANY; i++)
        assert_ptr_equal(table_get(&table, name(i)), names[i]);
    assert_null(table_get(&table, SLICE("other")));
    assert_null(table_get(&table, SLICE("")));
    table_release(&table);
    assert_null(table_get(&table, name(1)));
}

static void a_taken_name_stays(void **state)
{
    (void)state;
    struct table table;
    int first, second;
    table_init(&table, 10);
    assert_ok(table_put(&table, SLICE("a"), &first));
    assert_status(table_put(&table, SLICE("a"), &second), EXISTS);
    assert_ptr_equal(table_get(&table, SLICE("a")), &first);
    assert_int_equal(table.count, 1);
    table_release(&table);
}

static void a_full_table_says_so(void **state)
{
    (void)state;
    struct table table;
    int value;
    table_init(&table, 2);
    assert_ok(table_put(&table, SLICE("a"), &value));
    assert_ok(table_put(&table, SLICE(""), &value));
    assert_status(table_put(&table, SLICE("c"), &value), FULL);
    assert_ptr_equal(table_remove(&table, SLICE("a")), &value);
    assert_ok(table_put(&table, SLICE("c"), &value));
    table_release(&table);
}

/* Takes out every third and looks for all others after each few, so that every kind of hole is
 * closed. */
static void removing_keeps_the_others_in_reach(void **state)
{
    (void)state;
    struct table table;
    table_init(&table, MANY);
    for (size_t i = 0; i < MANY; i++)
        assert_ok(table_put(&table, name(i), names[i]));
    for (size_t i = 0; i < MANY; i += 3)
        assert_ptr_equal(table_remove(&table, name(i)), names[i]);
    for (size_t i = 0; i < MANY; i++)
        assert_ptr_equal(table_get(&table, name(i)), i % 3 ? names[i] : NULL);
    assert_int_equal(table.count, MANY - (MANY + 2) / 3);
    for (size_t i = 0; i < MANY; i++)
        assert_ptr_equal(table_remove(&table, name(i)), i % 3 ? names[i] : NULL);
    assert_int_equal(table.count, 0);
    table_release(&table);
}

static void a_walk_meets_each_once(void **state)
{
    (void)state;
    struct table table;
    bool met[100] = {false};
    size_t count = 0;
    table_init(&table, 100);
    table_each (entry, &table)
        fail_msg("an empty table has entries");
    for (size_t i = 0; i < 100; i++)
        assert_ok(table_put(&table, name(i), &met[i]));
    table_each (entry, &table) {
        bool *here = entry->value;
        assert_false(*here);
        *here = true;
        count++;
    }
    assert_int_equal(count, 100);
    table_release(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_put_is_found),
        cmocka_unit_test(a_taken_name_stays),
        cmocka_unit_test(a_full_table_says_so),
        cmocka_unit_test(removing_keeps_the_others_in_reach),
        cmocka_unit_test(a_walk_meets_each_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
