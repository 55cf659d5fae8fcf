#include "balance/balancer.h"

#include "support/unit.h"

#define COUNT 3

struct fixture {
    struct load loads[COUNT];
    struct candidate candidates[COUNT];
    struct random random;
    struct pick pick;
    int64_t state[64];
    const struct balancer_type *type;
};

static void begin(struct fixture *f, const char *type, const uint32_t *weights)
{
    memset(f, 0, sizeof *f);
    f->type = balancer_type_of(slice_of_text(type));
    f->random = (struct random){{1, 2, 3, 4}};
    for (int i = 0; i < COUNT; i++)
        f->candidates[i] = (struct candidate){&f->loads[i], weights[i]};
    f->pick = (struct pick){.candidates = f->candidates, .count = COUNT, .random = &f->random};
    assert_non_null(f->type);
    assert_true(balancer_state_size(f->type, COUNT) <= sizeof f->state);
    if (f->type->build)
        f->type->build(f->state, f->candidates, COUNT);
}

static uint32_t pick(struct fixture *f)
{
    return f->type->pick(f->state, &f->pick);
}

static void count_picks(struct fixture *f, int turns, int counts[COUNT])
{
    memset(counts, 0, COUNT * sizeof counts[0]);
    for (int i = 0; i < turns; i++)
        counts[pick(f)]++;
}

static void test_equal_weights_take_turns(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, "round-robin", (uint32_t[]){2, 2, 2});
    uint32_t first = pick(&f);
    for (uint32_t i = 1; i < 10; i++)
        assert_int_equal(pick(&f), (first + i) % COUNT);
}

static void test_who_is_left_shares_evenly(void **state)
{
    (void)state;
    struct fixture f;
    int counts[COUNT];
    begin(&f, "round-robin", (uint32_t[]){1, 1, 1});
    f.loads[1].is_down = DOWN_EJECTED;
    count_picks(&f, 100, counts);
    assert_int_equal(counts[0], 50);
    assert_int_equal(counts[1], 0);
    assert_int_equal(counts[2], 50);
    f.loads[1].is_down = 0;
    count_picks(&f, 90, counts);
    assert_int_equal(counts[1], 30);
}

static void test_weights_are_spread_smoothly(void **state)
{
    (void)state;
    static const char *const types[] = {"round-robin", "weighted-round-robin"};
    for (size_t i = 0; i < 2; i++) {
        struct fixture f;
        begin(&f, types[i], (uint32_t[]){5, 1, 1});
        static const uint32_t expected[] = {0, 0, 1, 0, 2, 0, 0};
        for (size_t turn = 0; turn < 21; turn++)
            assert_int_equal(pick(&f), expected[turn % 7]);
    }
}

static void test_weights_without_one(void **state)
{
    (void)state;
    struct fixture f;
    int counts[COUNT];
    begin(&f, "weighted-round-robin", (uint32_t[]){5, 3, 1});
    f.loads[0].is_down = DOWN_CHECK;
    count_picks(&f, 400, counts);
    assert_int_equal(counts[0], 0);
    assert_int_equal(counts[1], 300);
    assert_int_equal(counts[2], 100);
}

static void test_weight_zero_is_never_picked(void **state)
{
    (void)state;
    struct fixture f;
    int counts[COUNT];
    begin(&f, "round-robin", (uint32_t[]){0, 1, 1});
    count_picks(&f, 100, counts);
    assert_int_equal(counts[0], 0);
    assert_int_equal(counts[1], 50);
}

static void test_tried_and_none(void **state)
{
    (void)state;
    static const char *const types[] = {"round-robin", "weighted-round-robin"};
    for (size_t i = 0; i < 2; i++) {
        struct fixture f;
        begin(&f, types[i], (uint32_t[]){1, 1, 1});
        f.pick.tried = 1 | 4;
        assert_int_equal(pick(&f), 1);
        assert_int_equal(pick(&f), 1);
        f.loads[1].is_down = DOWN_DRAINED;
        assert_int_equal(pick(&f), PICK_NONE);
        f.pick.count = 0;
        assert_int_equal(pick(&f), PICK_NONE);
    }
}

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(balancer_types[0]->name, "round-robin");
    assert_null(balancer_type_of(SLICE("round-robi")));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal_weights_take_turns),
        cmocka_unit_test(test_who_is_left_shares_evenly),
        cmocka_unit_test(test_weights_are_spread_smoothly),
        cmocka_unit_test(test_weights_without_one),
        cmocka_unit_test(test_weight_zero_is_never_picked),
        cmocka_unit_test(test_tried_and_none),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
