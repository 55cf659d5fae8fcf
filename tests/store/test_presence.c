/* Gateways that count each other: the same in every store. */
#include "store/presence.h"

#include "support/on_loop.h"
#include "support/store_rig.h"
#include "support/unit.h"

static struct store_rig *rig;
static struct store_program program;

static int set_up(void **state)
{
    (void)state;
    rig = store_rig_new();
    assert_ok(store_program_init(&program, &presence_script));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    store_rig_free(rig);
    return 0;
}

static int64_t say(struct store *store, int64_t who, int64_t lasts)
{
    const int64_t arguments[] = {who, lasts};
    int64_t count;
    assert_ok(store_run(store, 0, &program, SLICE("counted"), arguments, NEVER, &count));
    return count;
}

static void count_in(struct store *store)
{
    assert_int_equal(say(store, 7, 60000), 1);
    assert_int_equal(say(store, 7, 60000), 1);
    assert_int_equal(say(store, INT64_MAX, 60000), 2);
    assert_int_equal(say(store, 0, 60000), 3);
    assert_int_equal(say(store, 77, 20), 4);
    assert_int_equal(say(store, 7, 60000), 4);
    rig_until(say(store, 7, 60000) == 3); /* who says nothing is gone */
    for (int64_t who = 100; who < 300; who++)
        assert_int_equal(say(store, who, 60000), who - 96);
    assert_int_equal(say(store, INT64_MAX, 60000), 203);
}

static void gateways_are_counted_in_redis(void **state)
{
    (void)state;
    count_in(store_rig_redis(rig));
}

static void gateways_are_counted_in_a_file(void **state)
{
    (void)state;
    count_in(store_rig_durable(rig));
}

static void gateways_are_counted_in_memory(void **state)
{
    (void)state;
    count_in(memory_store(rig->stores->memory));
}

static void what_cannot_be_read_is_nobody(void **state)
{
    struct store *store = memory_store(rig->stores->memory);
    (void)state;
    static const char *const texts[] = {"", "\n", "x y\n", "7", "-1 99999999999999\n", "7 \n"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_ok(store_set(store, 0, SLICE("counted"), slice_of_text(texts[i]), HOUR, NEVER));
        assert_int_equal(say(store, 5, 60000), 1);
    }
}

static void fewer_are_believed_when_all_have_had_time(void **state)
{
    struct presence presence = {0};
    instant now = HOUR;
    (void)state;
    assert_int_equal(presence_take(&presence, now, 1, 3), 3);
    assert_int_equal(presence_take(&presence, now + 1, 3, 1), 3);
    assert_int_equal(presence_take(&presence, now + PRESENCE_LASTS, 3, 2), 2);
    presence_fail(&presence);
    now += HOUR;
    assert_int_equal(presence_take(&presence, now, 2, 1), 2);
    assert_int_equal(presence_take(&presence, now + PRESENCE_LASTS - 1, 2, 1), 2);
    assert_int_equal(presence_take(&presence, now + PRESENCE_LASTS, 2, 1), 1);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

static int run_all(void)
{
    const struct CMUnitTest tests[] = {EACH(gateways_are_counted_in_redis),
        EACH(gateways_are_counted_in_a_file), EACH(gateways_are_counted_in_memory),
        EACH(what_cannot_be_read_is_nobody), EACH(fewer_are_believed_when_all_have_had_time)};
    return cmocka_run_group_tests_name("presence", tests, NULL, NULL);
}

int main(void)
{
    return run_tests_on_loop(run_all);
}
