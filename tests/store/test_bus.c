/* Messages on their way to the control thread: what is kept, what is lost, and who is told. */
#include <stdlib.h>
#include <string.h>

#include "run/loop.h"
#include "store/bus.h"
#include "support/on_loop.h"
#include "support/unit.h"
#include "support/world.h"

struct ear {
    struct store_listener listener;
    unsigned begun, heard;
    char last[16];
};

static void count_begin(struct store_listener *listener)
{
    ((struct ear *)listener)->begun++;
}

static void count_heard(struct store_listener *listener, struct slice message)
{
    struct ear *ear = (struct ear *)listener;
    ear->heard++;
    memcpy(ear->last, message.data, message.size < 16 ? message.size : 16);
}

static struct store one, other; /* only their addresses matter */

static struct ear ear_of(struct store *store)
{
    return (struct ear){
        .listener = {
            .channel = SLICE("news"), .begin = count_begin, .hear = count_heard, .store = store}};
}

/* With both of them at it. */
static void begin(struct store_bus *bus, struct ear *mine, struct ear *theirs)
{
    assert_ok(store_bus_init(bus, loop_current()));
    store_bus_add(bus, &mine->listener);
    store_bus_add(bus, &theirs->listener);
}

static void a_store_is_heard_by_its_own(void **state)
{
    struct store_bus bus;
    struct ear mine = ear_of(&one), theirs = ear_of(&other);
    (void)state;
    begin(&bus, &mine, &theirs);
    assert_true(store_bus_has(&bus, &one, SLICE("news")));
    assert_false(store_bus_has(&bus, &one, SLICE("new")));
    store_bus_say(&bus, &one, SLICE("news"), SLICE("a"));
    store_bus_say(&bus, &one, SLICE("new"), SLICE("b"));
    store_bus_begin(&bus, &other, SLICE("news"));
    rig_until(theirs.begun);
    assert_int_equal(mine.heard, 1);
    assert_int_equal(mine.begun, 0);
    assert_int_equal(theirs.heard, 0);
    assert_int_equal(bus.heard, 1);
    assert_int_equal(bus.lost, 0);
    store_bus_release(&bus);
}

/* Nothing is heard before this fiber waits. */
static void what_has_no_room_is_lost_and_told(void **state)
{
    struct store_bus bus;
    struct ear mine = ear_of(&one), theirs = ear_of(&other);
    (void)state;
    begin(&bus, &mine, &theirs);
    for (int i = 0; i < STORE_BUS_MESSAGES_MAX + 3; i++)
        store_bus_say(&bus, &one, SLICE("news"), SLICE("a"));
    rig_until(mine.begun && theirs.begun);
    assert_int_equal(mine.heard, STORE_BUS_MESSAGES_MAX);
    assert_int_equal(bus.heard, STORE_BUS_MESSAGES_MAX);
    assert_int_equal(bus.lost, 3);
    store_bus_say(&bus, &one, SLICE("news"), SLICE("b"));
    rig_until(mine.heard == STORE_BUS_MESSAGES_MAX + 1);
    assert_int_equal(mine.begun, 1);
    assert_int_equal(theirs.begun, 1);
    store_bus_release(&bus);
}

static void bytes_are_bounded_too(void **state)
{
    struct store_bus bus;
    struct ear mine = ear_of(&one);
    struct slice large = {calloc(1, STORE_BUS_BYTES_MAX), STORE_BUS_BYTES_MAX};
    (void)state;
    assert_non_null(large.data);
    assert_ok(store_bus_init(&bus, loop_current()));
    store_bus_add(&bus, &mine.listener);
    store_bus_say(&bus, &one, SLICE("news"), large);
    store_bus_say(&bus, &one, SLICE("news"), SLICE("a"));
    rig_until(mine.begun);
    assert_int_equal(mine.heard, 1);
    assert_int_equal(bus.lost, 1);
    store_bus_say(&bus, &one, SLICE("news"), large);
    rig_until(mine.heard == 2);
    store_bus_release(&bus);
    free((char *)(uintptr_t)large.data);
}

/* The message to the loop is on its way when the bus goes: nobody is harmed. */
static void it_may_go_with_messages_on_their_way(void **state)
{
    struct store_bus bus;
    struct ear mine = ear_of(&one);
    (void)state;
    assert_ok(store_bus_init(&bus, loop_current()));
    store_bus_add(&bus, &mine.listener);
    store_bus_say(&bus, &one, SLICE("news"), SLICE("a"));
    store_bus_release(&bus);
    memset(&bus, 0xa5, sizeof bus);
    assert_ok(fiber_sleep_until(loop_now() + MILLISECOND)); /* it has been delivered by then */
    assert_int_equal(mine.heard, 0);
}

static void without_a_loop_nobody_hears(void **state)
{
    struct store_bus bus;
    struct ear mine = ear_of(&one);
    (void)state;
    assert_ok(store_bus_init(&bus, NULL));
    store_bus_add(&bus, &mine.listener);
    store_bus_say(&bus, &one, SLICE("news"), SLICE("a"));
    store_bus_begin(&bus, &one, SLICE("news"));
    assert_true(list_is_empty(&bus.queue));
    store_bus_release(&bus);
}

static int run_all(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_store_is_heard_by_its_own),
        cmocka_unit_test(what_has_no_room_is_lost_and_told),
        cmocka_unit_test(bytes_are_bounded_too),
        cmocka_unit_test(it_may_go_with_messages_on_their_way),
        cmocka_unit_test(without_a_loop_nobody_hears)};
    return cmocka_run_group_tests_name("bus", tests, NULL, NULL);
}

int main(void)
{
    return run_tests_on_loop(run_all);
}
