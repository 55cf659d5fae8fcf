/* Splits: each gets its share, users stay, and whoever picks during a change sees the whole of the
 * old or of the new shares. */
#include "service/split.h"

#include "base/random.h"
#include "support/balance_rig.h"

#include <pthread.h>

#define PICKS 1000000

static const uint64_t seeds[] = {
    0x9e3779b97f4a7c15u, 0x1234567812345678u, 0xd6e8feb86659fd93u, 0x2545f4914f6cdd1du, 7, 8, 9};

static void set(struct split *split, const double *shares, size_t count)
{
    split_init(split, seeds, count);
    split_set(split, shares);
}

static void check_shares(const double *shares, size_t count)
{
    struct split split;
    struct random random;
    uint64_t counts[SPLIT_MAX] = {0};
    uint32_t classes = 0;
    random_init(&random);
    set(&split, shares, count);
    for (int i = 0; i < PICKS; i++)
        counts[split_pick(&split, random_next(&random))]++;
    for (size_t i = 0; i < count; i++)
        classes += shares[i] > 0;
    double chi = balance_rig_chi(counts, shares, (uint32_t)count);
    if (classes > 1 && chi > balance_rig_chi_most(classes - 1))
        fail_msg("chi-square %f", chi);
}

static void test_shares(void **state)
{
    (void)state;
    check_shares((double[]){0.9, 0.1}, 2);
    check_shares((double[]){0.001, 0.999}, 2);
    check_shares((double[]){0.1, 0.2, 0.3, 0.4}, 4);
    check_shares((double[]){0.5, 0, 0.25, 0, 0.05, 0.1, 0.1}, 7);
    check_shares((double[]){0, 1, 0}, 3);
}

/* Users numbered one after the other are no worse than drawn ones. */
static void test_neighbours(void **state)
{
    (void)state;
    struct split split;
    const double shares[] = {0.7, 0.1, 0.2};
    uint64_t counts[SPLIT_MAX] = {0};
    set(&split, shares, 3);
    for (uint64_t i = 0; i < PICKS; i++)
        counts[split_pick(&split, i)]++;
    assert_true(balance_rig_chi(counts, shares, 3) < balance_rig_chi_most(2));
}

/* Who has `to` in the first split has it in the second one too. */
static void check_raise(const double *before, const double *after, size_t count, uint32_t to)
{
    struct split old, new;
    uint64_t kept = 0;
    set(&old, before, count);
    set(&new, after, count);
    for (uint64_t user = 0; user < PICKS / 4; user++) {
        uint32_t had = split_pick(&old, user), has = split_pick(&new, user);
        if (had == to)
            assert_int_equal(has, to);
        if (had != has)
            assert_int_equal(has, to);
        kept += had == has;
    }
    assert_true(kept > PICKS / 8);
}

static void test_nobody_leaves_who_grows(void **state)
{
    (void)state;
    check_raise((double[]){0.9, 0.1}, (double[]){0.8, 0.2}, 2, 1);
    check_raise((double[]){0.1, 0.9}, (double[]){0.5, 0.5}, 2, 0);
    check_raise((double[]){0.9, 0}, (double[]){0.99, 0.01}, 2, 1);
}

/* Of three, those of the one that grows stay, whichever of them it is. */
static void test_nobody_leaves_of_three(void **state)
{
    (void)state;
    for (uint32_t to = 0; to < 3; to++) {
        double before[] = {0.4, 0.4, 0.4}, after[] = {0.35, 0.35, 0.35};
        before[to] = 0.2;
        after[to] = 0.3;
        struct split old, new;
        set(&old, before, 3);
        set(&new, after, 3);
        for (uint64_t user = 0; user < 100000; user++)
            if (split_pick(&old, user) == to)
                assert_int_equal(split_pick(&new, user), to);
    }
}

/* What the file calls first changes nothing. */
static void test_order_is_of_no_account(void **state)
{
    (void)state;
    struct split one, other;
    const uint64_t turned[] = {seeds[2], seeds[0], seeds[1]};
    split_init(&one, seeds, 3);
    split_init(&other, turned, 3);
    split_set(&one, (double[]){0.5, 0.2, 0.3});
    split_set(&other, (double[]){0.3, 0.5, 0.2});
    for (uint64_t user = 0; user < 10000; user++)
        assert_int_equal((split_pick(&one, user) + 1) % 3, split_pick(&other, user));
}

static void test_only(void **state)
{
    (void)state;
    struct split split;
    split_init(&split, seeds, 3);
    assert_int_equal(split_only(&split), 0);
    split_set(&split, (double[]){0, 0, 0.1});
    assert_int_equal(split_only(&split), 2);
    assert_int_equal(split_pick(&split, 99), 2);
    split_set(&split, (double[]){0.1, 0, 0.1});
    assert_int_equal(split_only(&split), SPLIT_MAX);
}

struct reader {
    struct split split;
    _Atomic bool ends;
    uint64_t wrong;
    _Atomic uint64_t picks;
};

/* Whatever the shares are, the second has none. */
static void *pick_on(void *argument)
{
    struct reader *reader = argument;
    for (uint64_t user = 0; !atomic_load(&reader->ends); user++) {
        reader->wrong += split_pick(&reader->split, user) == 1;
        atomic_fetch_add(&reader->picks, 1);
    }
    return NULL;
}

static void test_change_is_seen_whole(void **state)
{
    (void)state;
    struct reader reader = {.ends = false};
    pthread_t thread;
    split_init(&reader.split, seeds, 3);
    split_set(&reader.split, (double[]){1, 0, 0});
    assert_int_equal(pthread_create(&thread, NULL, pick_on, &reader), 0);
    for (int i = 0; i < 50000 || atomic_load(&reader.picks) < 50000; i++)
        split_set(&reader.split, i & 1 ? (double[]){1, 0, 0} : (double[]){0, 0, 1});
    atomic_store(&reader.ends, true);
    pthread_join(thread, NULL);
    assert_int_equal(reader.wrong, 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shares),
        cmocka_unit_test(test_neighbours),
        cmocka_unit_test(test_nobody_leaves_who_grows),
        cmocka_unit_test(test_nobody_leaves_of_three),
        cmocka_unit_test(test_order_is_of_no_account),
        cmocka_unit_test(test_only),
        cmocka_unit_test(test_change_is_seen_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
