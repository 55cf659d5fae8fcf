#include "run/buffer.h"

#include "run/loop.h"
#include "support/unit.h"

static uint64_t lent(struct loop *loop)
{
    struct loop_counters counters;
    loop_read_counters(loop, &counters);
    return counters.buffers_lent;
}

static void buffers_come_back_warm_and_shrink_under_pressure(void **state)
{
    (void)state;
    struct loop *loop;
    struct buffer *taken[40];
    assert_ok(loop_new(&(struct loop_options){.buffers_large_max = 20}, &loop));
    for (size_t i = 0; i < 40; i++) {
        taken[i] = buffer_take();
        assert_non_null(taken[i]);
        assert_int_equal(taken[i]->capacity, i < 20 ? BUFFER_LARGE : BUFFER_SMALL);
        memset(taken[i]->data, 'x', taken[i]->capacity);
    }
    assert_int_equal(lent(loop), 40);
    for (size_t i = 0; i < 40; i++)
        buffer_give(taken[i]);
    assert_int_equal(lent(loop), 0);
    buffer_give(NULL);
    struct buffer *again = buffer_take();
    assert_int_equal(again->capacity, BUFFER_LARGE);
    buffer_give(again);
    assert_ptr_equal(buffer_take(), again);
    struct buffer *small = buffer_take_small();
    assert_int_equal(small->capacity, BUFFER_SMALL);
    buffer_give(small);
    buffer_give(again);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buffers_come_back_warm_and_shrink_under_pressure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
