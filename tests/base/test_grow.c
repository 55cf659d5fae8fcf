#include "base/grow.h"

#include <stdint.h>
#include <stdlib.h>

#include "support/unit.h"

static void what_is_in_a_list_stays_when_it_grows(void **state)
{
    int *items = NULL;
    size_t capacity = 0, moves = 0;
    (void)state;
    for (size_t count = 0; count < 1000; count++) {
        size_t before = capacity;
        assert_true(grow_for_one(&items, &capacity, count, sizeof *items));
        assert_true(count < capacity);
        moves += capacity != before;
        items[count] = (int)count;
    }
    for (int i = 0; i < 1000; i++)
        assert_int_equal(items[i], i);
    assert_true(moves < 10);
    free(items);
}

/* Sanitizers end a program that asks for too much instead of telling it. */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define REFUSES_MEMORY
#endif

#if defined(REFUSES_MEMORY)
static void without_memory_it_is_as_it_was(void **state)
{
    char *items = malloc(1), *same = items;
    size_t capacity = 1;
    (void)state;
    assert_non_null(items);
    assert_false(grow_for_one(&items, &capacity, 1, SIZE_MAX / 2));
    assert_ptr_equal(items, same);
    assert_int_equal(capacity, 1);
    free(items);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_in_a_list_stays_when_it_grows),
#if defined(REFUSES_MEMORY)
        cmocka_unit_test(without_memory_it_is_as_it_was),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
